package kalshi

import (
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewClient_rejects(t *testing.T) {
	t.Parallel()
	signer := newTestSigner(t, newEd25519Key(t))
	tests := []struct {
		signer *Signer
		opt    Option
		want   string // the field and the reason
	}{
		{nil, WithMaxRetries(1), "signer is nil"},
		{new(Signer), WithMaxRetries(1), "signer has no key"},
		{signer, WithUserAgent("bot\r\nX-Evil: 1"), "user agent is empty or has control or non-ASCII characters"},
		{signer, WithUserAgent("böt"), "user agent is empty or has control or non-ASCII characters"},
	}
	for _, tt := range tests {
		client, err := NewClient(tt.signer, tt.opt)
		assert.Nil(t, client)
		assertInvalid(t, err, "kalshi: "+tt.want)
	}
}

func TestNewClient_defaults(t *testing.T) {
	t.Parallel()
	signer := newTestSigner(t, newEd25519Key(t))
	client, err := NewClient(signer)
	require.NoError(t, err)
	assert.Same(t, signer, client.Signer())
	assert.Equal(t, ProductionBaseURL, client.BaseURL())
	agent := fmt.Sprintf("kalshi-go/%s (%s; %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	assert.Equal(t, agent, client.header.Get("User-Agent"))
	assert.Equal(t, 2, client.maxRetries)
	assert.Equal(t, 30*time.Second, client.httpClient.Timeout)
	assert.Nil(t, client.httpClient.Transport, "Go's default transport, whatever it is at the time of a call")
	assert.NotSame(t, http.DefaultClient, client.httpClient)
	assert.NotNil(t, client.jitter)
}

func TestWithBaseURL_accepts(t *testing.T) {
	t.Parallel()
	for rawURL, want := range map[string]string{
		ProductionBaseURL:                 "https://api.elections.kalshi.com/trade-api/v2",
		"https://exchange.test/v2/":       "https://exchange.test/v2",
		"https://exchange.test/v2///":     "https://exchange.test/v2",
		"https://exchange.test:8443/v2":   "https://exchange.test:8443/v2",
		"https://exchange.test/a%2Fb/v2/": "https://exchange.test/a%2Fb/v2",
		"https://exchange.test/ü/v2":      "https://exchange.test/%C3%BC/v2",
		"http://127.0.0.1:8080/v2":        "http://127.0.0.1:8080/v2",
		"http://127.9.9.9/v2":             "http://127.9.9.9/v2",
		"http://[::1]:8080/v2":            "http://[::1]:8080/v2",
		"http://localhost:8080/v2":        "http://localhost:8080/v2",
		"http://LOCALHOST/v2":             "http://LOCALHOST/v2",
	} {
		client, mock := newTestClient(t, WithBaseURL(rawURL))
		sent := respondWith(mock, respond(204, ""))
		require.NoError(t, client.DeleteAPIKey(t.Context(), "a/b"), rawURL)
		assert.Equal(t, want+"/api_keys/a%2Fb", sent.only(t).url)
		sent.only(t).assertSigned(t, publicKey(client))
	}
}

func TestWithBaseURL_rejects(t *testing.T) {
	t.Parallel()
	const (
		lacks     = "lacks https:// and a host"
		noURL     = "is not a URL"
		noUser    = "holds a user or password"
		noHTTPS   = "is not https"
		noQuery   = "has a query or fragment"
		noAPIPath = "has no path"
	)
	for rawURL, want := range map[string]string{
		"":                                          "is empty",
		"exchange.test/v2":                          lacks,
		"//exchange.test/v2":                        lacks,
		"ftp://exchange.test/":                      lacks,
		"https:///v2":                               lacks,
		"https://exchange.test/\x00":                noURL,
		"http://exchange.test/v2":                   noHTTPS,
		"http://127.0.0.1.exchange.test":            noHTTPS,
		"http://localhost.exchange.test":            noHTTPS,
		"http://0.0.0.0/v2":                         noHTTPS,
		"https://bot:hunter2@exchange.test/v2":      noUser,
		"https://bot:hunter2@exchange.test:port/v2": noURL,
		"bot:hunter2@exchange.test/v2":              lacks,
		"https://exchange.test/v2?token=hunter2":    noQuery,
		"https://exchange.test/v2?":                 noQuery,
		"https://exchange.test/v2#hunter2":          noQuery,
		"https://exchange.test/v2#":                 noQuery,
		"https://demo-api.kalshi.co":                noAPIPath,
		"https://api.elections.kalshi.com/":         noAPIPath,
		"https://API.ELECTIONS.KALSHI.COM":          noAPIPath,
	} {
		_, err := NewClient(newTestSigner(t, newEd25519Key(t)), WithBaseURL(rawURL))
		assertInvalid(t, err, "kalshi: base URL "+want)
		assert.NotContains(t, err.Error(), "hunter2", "a password must not reach a log")
	}
}

// The documented hosts of the WebSocket, and whatever host a test has.
func TestClient_WebSocketURL(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		ProductionBaseURL:         "wss://api.elections.kalshi.com/trade-api/ws/v2",
		DemoBaseURL:               "wss://demo-api.kalshi.co/trade-api/ws/v2",
		ExternalProductionBaseURL: "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
		ExternalDemoBaseURL:       "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2",
		"https://EXTERNAL-API.kalshi.com:443/trade-api/v2": "wss://external-api-ws.kalshi.com/trade-api/ws/v2",
		"https://exchange.test:8443/some/base":             "wss://exchange.test:8443/trade-api/ws/v2",
		"http://127.0.0.1:8080/trade-api/v2":               "ws://127.0.0.1:8080/trade-api/ws/v2",
		"http://[::1]:8080":                                "ws://[::1]:8080/trade-api/ws/v2",
		"http://localhost/trade-api/v2":                    "ws://localhost/trade-api/ws/v2",
	} {
		client, _ := newTestClient(t, WithBaseURL(base))
		assert.Equal(t, want, client.WebSocketURL(), base)
	}
}

// setEnv sets the variables that the client reads, and no others of them.
func setEnv(t *testing.T, values map[string]string) {
	t.Helper()
	for _, name := range []string{envKeyID, envPrivateKey, envPrivateKeyPath, envBaseURL} {
		t.Setenv(name, values[name])
	}
}

func TestNewClientFromEnv(t *testing.T) { // not parallel: it sets the environment
	key := newEd25519Key(t)
	text, file := encodePEM("PRIVATE KEY", pkcs8(t, key)), filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	type env map[string]string
	tests := []struct {
		name string
		env  env
		opts []Option
		base string
	}{
		{"PEM text", env{envPrivateKey: strings.ReplaceAll(text, "\n", `\n`)}, nil, ProductionBaseURL},
		{"file", env{envPrivateKeyPath: file}, nil, ProductionBaseURL},
		{"blanks", env{envPrivateKeyPath: " " + file + "\r\n", envBaseURL: "\t" + testBaseURL + " "}, nil, testBaseURL},
		{"all others blank", env{envPrivateKey: text, envPrivateKeyPath: " ", envBaseURL: " "}, nil, ProductionBaseURL},
		{"option wins", env{envPrivateKey: text, envBaseURL: "bad"}, []Option{WithBaseURL(DemoBaseURL)}, DemoBaseURL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.env[envKeyID] = " " + testKeyID + "\n"
			setEnv(t, tt.env)
			client, err := NewClientFromEnv(tt.opts...)
			require.NoError(t, err)
			assert.Equal(t, testKeyID, client.Signer().KeyID())
			assert.Equal(t, tt.base, client.BaseURL())
			assert.Equal(t, key.Public(), publicKey(client))
			assertInvalid(t, client.Signer().Reload(t.Context()), "has no key source")
		})
	}
}

func TestNewClientFromEnv_rejects(t *testing.T) { // not parallel: it sets the environment
	text := encodePEM("PRIVATE KEY", pkcs8(t, newEd25519Key(t)))
	write := func(name, text string) (path string) {
		path = filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	plain, damaged, named := write("plain", text), write("damaged", text[:60]), write("named", envKeyID+"=a b\n"+text)
	tests := []struct{ name, keyID, privateKey, path, baseURL, want string }{
		{"nothing set", "", "", "", "", envKeyID + " is not set: "},
		{"blank key ID", " ", text, "", "", envKeyID + " is not set: "},
		{"key ID with a blank inside", "a b", text, "", "", envKeyID + " has blanks"},
		{"none in the file either", "", "", plain, "", envKeyID + " is not set, and the key file does not name it"},
		{"blank inside it in the file", "", "", named, "", envPrivateKeyPath + " " + named + ": " + envKeyID + " has blanks"},
		{"no key", testKeyID, "", "", "", envPrivateKey + " is not set: "},
		{"key twice", testKeyID, text, plain, "", envPrivateKey + " and " + envPrivateKeyPath + " are both set"},
		{"damaged text", testKeyID, text[:60], "", "", envPrivateKey + " is cut off"},
		{"damaged file", testKeyID, "", damaged, "", envPrivateKeyPath + " " + damaged + " is cut off"},
		{"bad base URL", testKeyID, text, "", "http://exchange.test", envBaseURL + " is not https"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setEnv(t, map[string]string{
				envKeyID: tt.keyID, envPrivateKey: tt.privateKey, envPrivateKeyPath: tt.path, envBaseURL: tt.baseURL,
			})
			client, err := NewClientFromEnv()
			assert.Nil(t, client)
			assertInvalid(t, err, "kalshi: "+tt.want)
			assertNoEcho(t, text, err)
		})
	}
	setEnv(t, map[string]string{envKeyID: testKeyID, envPrivateKeyPath: plain + ".missing"})
	_, err := NewClientFromEnv()
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, envPrivateKeyPath)
}

// A key file names its ID, whatever the variable says, and the client follows
// the file.
func TestNewClientFromEnv_keyFile(t *testing.T) { // not parallel: it sets the environment
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "bot.key")
		save := func(keyID string) *credential {
			c := credentials(t, keyID, newEd25519Key(t))
			require.NoError(t, KeyFile(path).Save(t.Context(), c))
			cred, err := c.credential()
			require.NoError(t, err)
			return cred
		}
		for _, keyID := range []string{"", otherKeyID, "a b"} {
			first := save("first")
			mock := httpmock.NewMockTransport()
			setEnv(t, map[string]string{envKeyID: keyID, envPrivateKeyPath: " " + path + "\n", envBaseURL: testBaseURL})
			client, err := NewClientFromEnv(WithHTTPClient(&http.Client{Transport: mock}), WithMaxRetries(0))
			require.NoError(t, err)
			assert.True(t, first.same(client.signer.cred.Load()))

			second := save("second")
			log := respondWith(mock, respond(401, unknownKeyBody), respond(200, `{"api_keys":[]}`))
			requireWorks(t, client)
			log.assertAttempts(t, 2)
			assert.True(t, second.same(client.signer.cred.Load()))
		}
	})
}

// The caller's slice may have room behind its end, and be used by another
// goroutine for another client.
func TestNewClientFromEnv_leavesTheOptionsAlone(t *testing.T) { // not parallel: it sets the environment
	text := encodePEM("PRIVATE KEY", pkcs8(t, newEd25519Key(t)))
	setEnv(t, map[string]string{envKeyID: testKeyID, envPrivateKey: text, envBaseURL: testBaseURL})
	opts := append(make([]Option, 0, 2), WithMaxRetries(0))
	_, err := NewClientFromEnv(opts...)
	require.NoError(t, err)
	assert.Nil(t, opts[:2][1])
}

// The caller's client is used as it is, except that its CheckRedirect is neither
// called nor changed.
func TestWithHTTPClient_usedAsItStands(t *testing.T) {
	t.Parallel()
	asked := 0
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	jar.SetCookies(&url.URL{Scheme: "https", Host: "exchange.test"}, []*http.Cookie{{Name: "a", Value: "b"}})
	hc := &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { asked++; return nil },
		Jar:           jar,
		Timeout:       time.Minute,
	}
	client, _ := newTestClient(t, WithHTTPClient(hc), WithMaxRetries(0))
	sending := client.HTTPClient()
	assert.Equal(t, time.Minute, sending.Timeout)
	for range 2 { // a transport that is set later counts, too
		mock := httpmock.NewMockTransport()
		hc.Transport = mock
		log := respondWith(mock, respond(302, "", "Location", testBaseURL))
		_, err := client.GetAPIKeys(t.Context())
		assert.Equal(t, "API", kindOf(err))
		resp, err := sending.Get(testBaseURL)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, 302, resp.StatusCode)
		log.assertAttempts(t, 2)
		for _, sent := range log.requests {
			assert.Equal(t, "a=b", sent.header.Get("Cookie"))
		}
	}
	assert.Zero(t, asked)
	_ = hc.CheckRedirect(nil, nil)
	assert.Equal(t, 1, asked)
}

// A caller can mock Go's default transport at any time.
func TestClient_defaultTransport(t *testing.T) { // not parallel: it changes http.DefaultTransport
	client, err := NewClient(newTestSigner(t, newEd25519Key(t)), WithBaseURL(testBaseURL))
	require.NoError(t, err)
	sending := client.HTTPClient()
	httpmock.Activate(t)
	httpmock.RegisterNoResponder(respond(200, `{"api_keys":[]}`))
	requireWorks(t, client)
	resp, err := sending.Get(testBaseURL)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, 2, httpmock.GetTotalCallCount())
}

// Only a client that NewClient returned can send; another one prints.
func TestClient_zeroValue(t *testing.T) {
	t.Parallel()
	assert.NotContains(t, fmt.Sprint(new(Client)), "PANIC")
}
