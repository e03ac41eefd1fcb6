package kalshi

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"runtime"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewClient_rejects(t *testing.T) {
	t.Parallel()
	for _, agent := range []string{"bot\r\nX-Evil: 1", "böt"} {
		_, err := NewClient(newTestSigner(t, newEd25519Key(t)), WithUserAgent(agent))
		assertInvalid(t, err, "kalshi: user agent is empty or has control or non-ASCII characters")
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
		noURL     = "is empty or no URL"
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
		"https://trading-api.kalshi.com/v2":         "has the host trading-api.kalshi.com, which is no host of the API: use " + ProductionBaseURL,
		"https://DEMO.kalshi.com/trade-api/v2":      "has the host demo.kalshi.com, which is no host of the API: use " + DemoBaseURL,
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

// The caller's client is used as it is, except that its CheckRedirect is not called.
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
