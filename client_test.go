package kalshi

import (
	"crypto"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"reflect"
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
		{signer, nil, "option is nil"},
		{signer, WithHTTPClient(nil), "HTTP client is nil"},
		{signer, WithMaxRetries(-1), "max retries is negative"},
		{signer, WithUserAgent(""), "user agent is empty"},
		{signer, WithUserAgent("bot\r\nX-Evil: 1"), "user agent is empty or has control"},
		{signer, WithUserAgent("böt"), "user agent is empty or has control or non-ASCII"},
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
	assert.Equal(t, fmt.Sprintf("kalshi-go/%s (%s; %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH), client.header.Get("User-Agent"))
	assert.Equal(t, 2, client.maxRetries)
	assert.Equal(t, 30*time.Second, client.httpClient.Timeout)
	assert.Nil(t, client.httpClient.Transport, "Go's default transport, whatever it is at the time of a call")
	assert.NotSame(t, http.DefaultClient, client.httpClient)
	assert.NotNil(t, client.jitter)
}

func TestWithBaseURL_accepts(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, rawURL, want string }{
		{"production", ProductionBaseURL, "https://api.elections.kalshi.com/trade-api/v2"},
		{"demo", DemoBaseURL, "https://demo-api.kalshi.co/trade-api/v2"},
		{"external production", ExternalProductionBaseURL, "https://external-api.kalshi.com/trade-api/v2"},
		{"external demo", ExternalDemoBaseURL, "https://external-api.demo.kalshi.co/trade-api/v2"},
		{"trailing slash", "https://exchange.test/v2/", "https://exchange.test/v2"},
		{"trailing slashes", "https://exchange.test/v2///", "https://exchange.test/v2"},
		{"port", "https://exchange.test:8443/v2", "https://exchange.test:8443/v2"},
		{"escaped slash and trailing slash", "https://exchange.test/a%2Fb/v2/", "https://exchange.test/a%2Fb/v2"},
		{"letter in the path that has to be escaped", "https://exchange.test/ü/v2", "https://exchange.test/%C3%BC/v2"},
		{"plain http to 127.0.0.1", "http://127.0.0.1:8080/v2", "http://127.0.0.1:8080/v2"},
		{"plain http to 127.9.9.9", "http://127.9.9.9/v2", "http://127.9.9.9/v2"},
		{"plain http to ::1", "http://[::1]:8080/v2", "http://[::1]:8080/v2"},
		{"plain http to localhost", "http://localhost:8080/v2", "http://localhost:8080/v2"},
		{"plain http to LOCALHOST", "http://LOCALHOST/v2", "http://LOCALHOST/v2"},
	}
	for _, tt := range tests {
		client, mock := newTestClient(t, WithBaseURL(tt.rawURL))
		sent := respondWith(mock, respond(204, ""))
		require.NoError(t, client.DeleteAPIKey(t.Context(), "a/b"), tt.name)
		assert.Equal(t, tt.want+"/api_keys/a%2Fb", sent.only(t).url, tt.name)
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
	tests := []struct{ name, rawURL, reason string }{
		{"empty", "", "is empty"},
		{"no scheme", "exchange.test/v2", lacks},
		{"no scheme but slashes", "//exchange.test/v2", lacks},
		{"ftp", "ftp://exchange.test/v2", lacks},
		{"no host", "https:///v2", lacks},
		{"control character", "https://exchange.test/\x00", noURL},
		{"plain http", "http://exchange.test/v2", noHTTPS},
		{"plain http to a name that begins like loopback", "http://127.0.0.1.exchange.test", noHTTPS},
		{"plain http to a name below localhost", "http://localhost.exchange.test", noHTTPS},
		{"plain http to every address", "http://0.0.0.0/v2", noHTTPS},
		{"user and password", "https://bot:hunter2@exchange.test/v2", noUser},
		{"password and bad port", "https://bot:hunter2@exchange.test:port/v2", noURL},
		{"user that looks like a scheme", "bot:hunter2@exchange.test/v2", lacks},
		{"query", "https://exchange.test/v2?token=hunter2", noQuery},
		{"bare question mark", "https://exchange.test/v2?", noQuery},
		{"fragment", "https://exchange.test/v2#hunter2", noQuery},
		{"bare number sign", "https://exchange.test/v2#", noQuery},
		{"Kalshi's host without a path", "https://demo-api.kalshi.co", noAPIPath},
		{"Kalshi's host with a slash alone", "https://api.elections.kalshi.com/", noAPIPath},
		{"Kalshi's host in capitals", "https://API.ELECTIONS.KALSHI.COM", noAPIPath},
	}
	for _, tt := range tests {
		_, err := NewClient(newTestSigner(t, newEd25519Key(t)), WithBaseURL(tt.rawURL))
		assertInvalid(t, err, "kalshi: base URL "+tt.reason)
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
	assert.Empty(t, new(Client).WebSocketURL())
	assert.Empty(t, (*Client)(nil).WebSocketURL())
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
	pemText, err := MarshalPrivateKey(key)
	require.NoError(t, err)
	text, file := pemText.Reveal(), filepath.Join(t.TempDir(), "key.txt")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	type env map[string]string
	tests := []struct {
		name string
		env  env
		opts []Option
		base string
	}{
		{"PEM text", env{envPrivateKey: text}, nil, ProductionBaseURL},
		{"PEM text with escaped line ends", env{envPrivateKey: strings.ReplaceAll(text, "\n", `\n`)}, nil, ProductionBaseURL},
		{"file", env{envPrivateKeyPath: file}, nil, ProductionBaseURL},
		{"blanks around all", env{envKeyID: " \t" + testKeyID + "\n", envPrivateKeyPath: " " + file + "\r\n", envBaseURL: " " + testBaseURL + " "}, nil, testBaseURL},
		{"other variables are blank", env{envPrivateKey: text, envPrivateKeyPath: "  ", envBaseURL: " "}, nil, ProductionBaseURL},
		{"base URL", env{envPrivateKey: text, envBaseURL: testBaseURL + "/"}, nil, testBaseURL},
		{"option wins over a bad base URL", env{envPrivateKey: text, envBaseURL: "ftp://bad"}, []Option{WithBaseURL(DemoBaseURL)}, DemoBaseURL},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.env[envKeyID] == "" {
				tt.env[envKeyID] = testKeyID
			}
			setEnv(t, tt.env)
			client, err := NewClientFromEnv(tt.opts...)
			require.NoError(t, err)
			assert.Equal(t, testKeyID, client.Signer().KeyID())
			assert.Equal(t, tt.base, client.BaseURL())
			assert.Equal(t, key.Public(), publicKey(client))
		})
	}
}

func TestNewClientFromEnv_rejects(t *testing.T) { // not parallel: it sets the environment
	pemText, err := MarshalPrivateKey(newEd25519Key(t))
	require.NoError(t, err)
	text := pemText.Reveal()
	damaged := filepath.Join(t.TempDir(), "damaged")
	require.NoError(t, os.WriteFile(damaged, []byte(text[:60]), 0o600))
	const both = envPrivateKeyPath // the error names this one too
	tests := []struct{ name, keyID, privateKey, path, baseURL, variable, other string }{
		{"nothing set", "", "", "", "", envKeyID, ""},
		{"blank key ID", " ", text, "", "", envKeyID, ""},
		{"key ID with a blank inside", "a b", text, "", "", envKeyID, ""},
		{"no key", testKeyID, "", "", "", envPrivateKey, both},
		{"key twice", testKeyID, text, damaged, "", envPrivateKey, both},
		{"damaged text", testKeyID, text[:60], "", "", envPrivateKey, ""},
		{"damaged file", testKeyID, "", damaged, "", envPrivateKeyPath, ""},
		{"bad base URL", testKeyID, text, "", "http://exchange.test", envBaseURL, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setEnv(t, map[string]string{envKeyID: tt.keyID, envPrivateKey: tt.privateKey, envPrivateKeyPath: tt.path, envBaseURL: tt.baseURL})
			client, err := NewClientFromEnv()
			assert.Nil(t, client)
			assertInvalid(t, err, "kalshi: "+tt.variable+" ", tt.other)
			assert.NotContains(t, err.Error(), text[30:60], "the key's text")
		})
	}
	setEnv(t, map[string]string{envKeyID: testKeyID, envPrivateKeyPath: damaged + ".missing"})
	_, err = NewClientFromEnv()
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, envPrivateKeyPath)
}

// A key file names its ID, whatever the variable says, and the client follows
// the file.
func TestNewClientFromEnv_keyFile(t *testing.T) { // not parallel: it sets the environment
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "bot.key")
		save := func(keyID string) (public crypto.PublicKey) {
			key := generatedKey(t)
			key.ID = keyID
			require.NoError(t, KeyFile(path).Save(t.Context(), key))
			private, err := key.PrivateKey.Parse()
			require.NoError(t, err)
			return private.Public()
		}
		for _, keyID := range []string{"", otherKeyID, "a b"} {
			first := save("first")
			mock := httpmock.NewMockTransport()
			setEnv(t, map[string]string{envKeyID: keyID, envPrivateKeyPath: " " + path + "\n", envBaseURL: testBaseURL})
			client, err := NewClientFromEnv(WithHTTPClient(&http.Client{Transport: mock}), WithMaxRetries(0))
			require.NoError(t, err)
			assert.Equal(t, "first", client.Signer().KeyID())
			assert.Equal(t, first, publicKey(client))

			second := save("second")
			log := respondWith(mock, respond(401, unknownKeyBody), respond(200, `{"api_keys":[]}`))
			requireWorks(t, client)
			log.assertAttempts(t, 2)
			assert.Equal(t, "second", client.Signer().KeyID())
			assert.Equal(t, second, publicKey(client))

			save("third")
			require.NoError(t, client.Signer().Reload(t.Context()))
			assert.Equal(t, "third", client.Signer().KeyID())

			require.NoError(t, os.Remove(path))
			assert.ErrorIs(t, client.Signer().Reload(t.Context()), fs.ErrNotExist)
		}
	})
}

// A plain PEM file has no ID to name, so it is no source; its errors name the
// variable.
func TestNewClientFromEnv_plainFile(t *testing.T) { // not parallel: it sets the environment
	pemText := encodePEM("PRIVATE KEY", pkcs8(t, newEd25519Key(t)))
	path := filepath.Join(t.TempDir(), "bot.key")
	require.NoError(t, os.WriteFile(path, []byte(pemText), 0o600))
	setEnv(t, map[string]string{envKeyID: testKeyID, envPrivateKeyPath: path})
	client, err := NewClientFromEnv()
	require.NoError(t, err)
	assert.Equal(t, testKeyID, client.Signer().KeyID())
	assertInvalid(t, client.Signer().Reload(t.Context()), "has no key source")

	setEnv(t, map[string]string{envPrivateKeyPath: path})
	_, err = NewClientFromEnv()
	assertInvalid(t, err, "kalshi: "+envKeyID+" is not set, and the key file does not name it")

	require.NoError(t, os.WriteFile(path, []byte(envKeyID+"=a b\n"+pemText), 0o600))
	_, err = NewClientFromEnv()
	assertInvalid(t, err, "kalshi: "+envPrivateKeyPath+" "+path+": "+envKeyID+" has blanks")
}

// The caller's slice may have room behind its end, and be used by another
// goroutine for another client.
func TestNewClientFromEnv_leavesTheOptionsAlone(t *testing.T) { // not parallel: it sets the environment
	pemText, err := MarshalPrivateKey(newEd25519Key(t))
	require.NoError(t, err)
	setEnv(t, map[string]string{envKeyID: testKeyID, envPrivateKey: pemText.Reveal(), envBaseURL: testBaseURL})
	opts := make([]Option, 1, 2)
	opts[0] = WithMaxRetries(0)
	_, err = NewClientFromEnv(opts...)
	require.NoError(t, err)
	assert.Nil(t, opts[:2][1])
}

func TestWithHTTPClient_usedAsItStands(t *testing.T) {
	t.Parallel()
	followed := 0
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	first, second := httpmock.NewMockTransport(), httpmock.NewMockTransport()
	hc := &http.Client{
		Transport:     first,
		CheckRedirect: func(*http.Request, []*http.Request) error { followed++; return nil },
		Jar:           jar,
		Timeout:       time.Minute,
	}
	before := *hc
	client, _ := newTestClient(t, WithHTTPClient(hc), WithMaxRetries(0))

	sentFirst := respondWith(first, respond(302, "", "Location", "https://elsewhere.test/", "Set-Cookie", "a=b"))
	_, err = client.GetAPIKeys(t.Context())
	assert.Error(t, err)
	assert.Len(t, sentFirst.requests, 1)
	assert.Zero(t, followed, "the caller's redirect rule is not asked")
	assert.Equal(t, reflect.ValueOf(before.CheckRedirect).Pointer(), reflect.ValueOf(hc.CheckRedirect).Pointer())
	before.CheckRedirect, hc.CheckRedirect = nil, nil // functions do not compare
	assert.Equal(t, before, *hc)

	hc.Transport = second
	sentSecond := respondWith(second, respond(200, `{"api_keys":[]}`))
	_, err = client.GetAPIKeys(t.Context())
	require.NoError(t, err, "a transport set later counts")
	assert.Equal(t, "a=b", sentSecond.only(t).header.Get("Cookie"), "the caller's jar is used")
	assert.Len(t, sentFirst.requests, 1)

	sending := client.HTTPClient()
	assert.Equal(t, time.Minute, sending.Timeout)
	for _, transport := range []*httpmock.MockTransport{first, second} { // here, too
		hc.Transport = transport
		sent := respondWith(transport, respond(302, "", "Location", "https://elsewhere.test/"))
		resp, err := sending.Get(testBaseURL)
		require.NoError(t, err)
		assert.NoError(t, resp.Body.Close())
		assert.Equal(t, 302, resp.StatusCode, "a redirect is the response")
		assert.Equal(t, "a=b", sent.only(t).header.Get("Cookie"))
	}
	assert.Zero(t, followed)
}

// A caller who mocks Go's default transport can do so at any time.
func TestClient_withDefaultTransportMocked(t *testing.T) { // not parallel: it changes http.DefaultTransport
	signer := newTestSigner(t, newEd25519Key(t))
	early, err := NewClient(signer, WithBaseURL(testBaseURL))
	require.NoError(t, err)
	earlier := early.HTTPClient()
	httpmock.Activate(t)
	late, err := NewClient(signer, WithBaseURL(testBaseURL))
	require.NoError(t, err)
	httpmock.RegisterResponder(http.MethodGet, testBaseURL+"/api_keys", httpmock.NewStringResponder(http.StatusOK, `{"api_keys":[]}`))
	for name, client := range map[string]*Client{"made before": early, "made after": late} {
		_, err := client.GetAPIKeys(t.Context())
		assert.NoError(t, err, name)
	}
	for name, hc := range map[string]*http.Client{"made before": earlier, "made after": late.HTTPClient()} {
		resp, err := hc.Get(testBaseURL + "/api_keys")
		require.NoError(t, err, name)
		assert.NoError(t, CheckResponse(resp), name)
		assert.NoError(t, resp.Body.Close())
	}
	assert.Equal(t, 4, httpmock.GetTotalCallCount())
}

func TestClient_zeroValue(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d"} {
		assert.Equal(t, `kalshi.Client{BaseURL: "", Signer: kalshi.Signer{KeyID: "", KeyType: ""}}`,
			strings.ReplaceAll(fmt.Sprintf(verb, new(Client)), `"<nil>"`, "<nil>"), verb)
	}
	assert.NotPanics(t, func() { _ = new(Client).LogValue().String() })
	for _, client := range []*Client{nil, new(Client)} {
		assert.NotPanics(t, func() {
			assert.Nil(t, client.Signer())
			assert.Empty(t, client.BaseURL())
			assert.Empty(t, client.WebSocketURL())
			_, err := client.HTTPClient().Get(testBaseURL) //nolint:bodyclose // there is no response
			assertInvalid(t, err, "client has no signer")
			_, err = client.CurrentAPIKey(t.Context())
			assertInvalid(t, err, "client has no signer")
			_, err = client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave})
			assertInvalid(t, err, "client has no signer")
		})
	}
}
