package test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// send sends a request of the bot's own.
func send(ctx context.Context, c *kalshi.Client, method, url, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	return checked(c.HTTPClient().Do(req))
}

// GET and HEAD are retried by the policy of the client's own calls, until they end
// with a response, which is returned as it is. Anything else is sent once.
func TestHTTPClient_retries(t *testing.T) {
	t.Parallel()
	type fault = kalshitest.Fault
	for _, tt := range []struct {
		name  string
		fault fault
		want  int // requests of a GET, with two retries
		kind  string
	}{
		{"lost", fault{Drop: true}, 2, "ok"},
		{"lost always", fault{Drop: true, Times: always}, 3, "Transport"},
		{"429", fault{Status: 429}, 2, "ok"},
		{"503 always", fault{Status: 503, Times: always}, 3, "Server"},
		{"501", fault{Status: 501}, 1, "Server"},
		{"404", fault{Status: 404}, 1, "NotFound"},
		{"429 for a minute", fault{Status: 429, Header: http.Header{"Retry-After": {"60"}}}, 1, "RateLimit"},
		{"a Location that is no URL", fault{Status: 302, Header: http.Header{"Location": {"http://%zz"}}}, 1, "API"},
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} {
			t.Run(tt.name+"/"+method, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					x := inMemory(t)
					x.transport.DisableKeepAlives = true // so that net/http sends nothing again by itself
					x.Handle("/trade-api/v2/any", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
					x.Inject(tt.fault)
					err := send(t.Context(), x.client(t), method, x.URL+"/any", "")
					if method == "GET" || method == "HEAD" {
						assert.Equal(t, tt.kind, kindOf(err), "%v", err)
						x.assertRequests(t, tt.want)
					} else {
						assert.Error(t, err)
						x.assertRequests(t, 1)
					}
				})
			})
		}
	}
}

// What a proxy would follow to another place does not leave, an order knows that it
// was not sent, and the text names where requests may go. Those go there.
func TestHTTPClient_throughAProxy(t *testing.T) {
	t.Parallel()
	proxied := make(chan string, 1)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxied <- r.Host
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(proxy.Close)
	through, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	hc := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(through)}}
	t.Cleanup(hc.CloseIdleConnections)
	client, err := kalshi.NewClient(newSigner(t, "id", pemText(newKey())), kalshi.WithHTTPClient(hc), kalshi.WithMaxRetries(0))
	require.NoError(t, err)
	hosts := []string{"api.elections.kalshi.com", "external-api-ws.kalshi.com", "external-api-margin-ws.kalshi.com"}
	for name, change := range map[string]func(req *http.Request){
		"another host":             func(req *http.Request) { req.URL.Host = "elsewhere.test" },
		"a letter that folds to i": func(req *http.Request) { req.URL.Host = "api.elections.kalshİ.com" },
		"a Host of its own":        func(req *http.Request) { req.Host = "elsewhere.test" },
		"an opaque URL":            func(req *http.Request) { req.URL.Opaque = "//elsewhere.test/x" },
		"no slash before the path": func(req *http.Request) { req.URL.Path = "@elsewhere.test/x" },
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, client.BaseURL()+"/portfolio/orders", strings.NewReader(order))
		require.NoError(t, err)
		change(req)
		err = checked(client.HTTPClient().Do(req))
		assert.True(t, isA[*kalshi.ValidationError](err) && isA[*kalshi.NotSentError](err), "%s: %v", name, err)
		if strings.Contains(err.Error(), " only") {
			assert.ErrorContains(t, err, "https://"+strings.Join(hosts, ", https://"))
		}
	}
	for _, host := range hosts {
		err := send(t.Context(), client, http.MethodPost, "https://"+host+kalshi.MarginWebSocketPath, order)
		assert.True(t, isA[*kalshi.NotSentError](err), "the proxy refuses: %v", err)
		assert.Equal(t, host+":443", <-proxied, "the first that came to the proxy")
	}
}

// A brokenKey cannot sign.
type brokenKey struct{ crypto.Signer }

func (brokenKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the HSM is gone")
}

// A request with a body that certainly was not sent says so, of a bot as of a call
// that creates a key. Any other failure, and any without a body, leaves it open.
func TestNotSentError(t *testing.T) {
	t.Parallel()
	refuse := func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
	untrusted := httptest.NewUnstartedServer(nil)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	untrusted.StartTLS()
	t.Cleanup(untrusted.Close)
	type fault = kalshitest.Fault
	for _, tt := range []struct {
		name   string
		breaks func(x *exchange)
		key    func(crypto.Signer) crypto.Signer
		ended  bool
		want   bool
	}{
		{name: "cannot be signed", key: func(key crypto.Signer) crypto.Signer { return brokenKey{key} }, want: true},
		{name: "context has ended", ended: true, want: true},
		{name: "dial fails", breaks: func(x *exchange) { x.transport.DialContext = refuse }, want: true},
		{name: "TLS fails", breaks: func(x *exchange) {
			x.URL = untrusted.URL + "/trade-api/v2"
			x.transport.DialContext = nil
		}, want: true},
		{name: "connection is lost", breaks: func(x *exchange) { x.Inject(fault{Drop: true, Times: always}) }},
		{name: "no response in time", breaks: func(x *exchange) { x.Inject(fault{Delay: time.Hour, Times: always}) }},
		{name: "service fails", breaks: func(x *exchange) { x.Inject(fault{Status: 503, Times: always}) }},
	} {
		for _, how := range []string{"order", "balance", "GenerateAPIKey", "CreateAPIKey", "GetAPIKeys", "DeleteAPIKey"} {
			t.Run(tt.name+"/"+how, func(t *testing.T) {
				t.Parallel()
				x := inMemory(t)
				key := x.credentials(t).PrivateKey()
				if tt.key != nil {
					key = tt.key(key)
				}
				signer, err := kalshi.NewSigner(x.KeyID, key)
				require.NoError(t, err)
				if tt.breaks != nil {
					tt.breaks(x)
				}
				client := x.clientOf(t, signer, kalshi.WithMaxRetries(0), kalshi.WithHTTPClient(&http.Client{Transport: x.transport, Timeout: time.Second / 5}))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.ended {
					cancel()
				}
				all := map[string]func() error{
					"order":   func() error { return send(ctx, client, http.MethodPost, x.URL+"/portfolio/orders", order) },
					"balance": func() error { return send(ctx, client, http.MethodGet, x.URL+"/portfolio/balance", "") },
				}
				for _, call := range calls("bot") {
					all[call.name] = func() error { return call.do(ctx, client) }
				}
				err = all[how]()
				require.Error(t, err)
				hasBody := how == "order" || how == "GenerateAPIKey" || how == "CreateAPIKey"
				assert.Equal(t, tt.want && hasBody, isA[*kalshi.NotSentError](err), "%v", err)
				if tt.want && hasBody {
					assert.False(t, isA[*kalshi.OutcomeUnknownError](err))
				}
			})
		}
	}
}

// Timeout says of an error whether it was one, whatever that was reworded into.
func TestHTTPClient_timeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, dials := range []bool{false, true} {
			x := inMemory(t)
			x.Inject(kalshitest.Fault{Delay: time.Hour, Times: always})
			if dials {
				x.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, context.DeadlineExceeded
				}
			}
			client := x.client(t, kalshi.WithMaxRetries(0))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for _, err := range []error{calls("bot")[0].do(ctx, client), send(ctx, client, http.MethodPost, x.URL+"/portfolio/orders", order)} {
				var timeout interface{ Timeout() bool }
				require.ErrorAs(t, err, &timeout)
				assert.True(t, timeout.Timeout(), "%v", err)
			}
		}
	})
}

// Clients generated from the exchange's OpenAPI document set the three headers
// empty. They are signed; and what the response holds is the request as it was
// made, so that a clone of it for the next page is signed anew.
func TestHTTPClient_responseRequest(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := inMemory(t)
		x.handleBot()
		client := x.client(t)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.URL+"/portfolio/balance", nil)
		require.NoError(t, err)
		empty := http.Header{"KALSHI-ACCESS-KEY": {""}, "KALSHI-ACCESS-SIGNATURE": {""}, "Kalshi-Access-Timestamp": {""}}
		req.Header = empty.Clone()
		for range 2 {
			resp, err := client.HTTPClient().Do(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.NoError(t, kalshi.CheckResponse(resp))
			assert.Equal(t, empty, resp.Request.Header)
			req = resp.Request.Clone(t.Context())
			req.URL.RawQuery = "cursor=next"
			time.Sleep(time.Hour) // a slow page
		}
		x.assertRequests(t, 2)
		assert.Len(t, x.Requests()[0].Header.Values("KALSHI-ACCESS-SIGNATURE"), 1)
	})
}

// Callers that honour the same Retry-After do not come back all at once.
func TestHTTPClient_retryAfterIsSpread(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const callers = 64
		x := inMemory(t)
		x.handleBot()
		client := x.client(t)
		x.Inject(kalshitest.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}, Times: callers})
		began, returned := time.Now(), make(chan time.Duration, callers)
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				assert.NoError(t, getBalance(client.HTTPClient(), x.URL))
				returned <- time.Since(began) - 7*time.Second
			})
		}
		wg.Wait()
		close(returned)
		slots := map[time.Duration]bool{} // of 10 ms
		for after := range returned {
			assert.True(t, 0 <= after && after <= 100*time.Millisecond, after)
			slots[after/(10*time.Millisecond)] = true
		}
		assert.Greater(t, len(slots), 5)
	})
}

func TestHTTPClient_closeIdleConnections(t *testing.T) {
	t.Parallel()
	x := inMemory(t)
	x.handleBot()
	transport := watch(t, x.transport)
	hc := x.client(t, kalshi.WithHTTPClient(&http.Client{Transport: transport})).HTTPClient()
	for _, dials := range []int64{1, 2} {
		require.NoError(t, getBalance(hc, x.URL))
		require.NoError(t, getBalance(hc, x.URL))
		assert.Equal(t, dials, transport.dials.Load())
		hc.CloseIdleConnections()
	}
}

// net/http logs what a broken proxy sends behind a response. Behind that to a
// generate it may be a key.
func TestGenerate_nothingIsLogged(t *testing.T) { // not in parallel: it takes the standard logger
	var logged bytes.Buffer
	defer log.SetOutput(log.Writer())
	log.SetOutput(&logged)
	const secret = "s3cret"
	for call, logs := range map[int]bool{0: true, 2: false} { // a list shows that this test can see
		synctest.Test(t, func(t *testing.T) {
			body := `{"api_keys":[],"api_key_id":"x","private_key":"-"}`
			client, _, _ := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, "HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n"+body)
					_, _ = io.WriteString(conn, secret)
					_ = conn.Close()
				}
			})
			logged.Reset()
			require.NoError(t, calls("bot")[call].do(t.Context(), client))
			synctest.Wait()
			assert.Equal(t, logs, strings.Contains(logged.String(), secret), "call %d", call)
		})
	}
}

// A 201 with a byte order mark before it and NULs behind it has the key.
func TestGenerate_padded(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		x := inMemory(t)
		x.Inject(kalshitest.Fault{Status: 201, Body: "\ufeff" + `{"api_keys":[],"api_key_id":"x","private_key":"-"}` + "\x00\x00"})
		require.NoError(t, call.do(t.Context(), x.client(t)))
	})
}

// Who dials a WebSocket by hand, with a library that takes a header, learns from a
// 401 what the client's own calls learn: the clock, and the source's key.
func TestSigner_Recover_dial(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := inMemory(t)
		x.handleBot()
		keys, n := []kalshi.Credentials{x.credentials(t), parsed(t, x.AddKey(kalshitest.Key{ID: "next"}))}, 0
		signer, err := kalshi.NewSignerFromSource(t.Context(), func(context.Context) (kalshi.Credentials, error) { n++; return keys[n-1], nil })
		require.NoError(t, err)
		dial := func() *http.Response {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.URL+"/portfolio/balance", nil)
			require.NoError(t, err)
			req.Header, err = signer.Headers(http.MethodGet, req.URL.Path)
			require.NoError(t, err)
			resp, err := x.transport.RoundTrip(req)
			require.NoError(t, err)
			t.Cleanup(func() { _ = resp.Body.Close() })
			return resp
		}
		require.NoError(t, x.client(t).DeleteAPIKey(t.Context(), x.KeyID))
		x.SetClockOffset(time.Hour)
		for range 2 {
			resp := dial()
			require.Equal(t, 401, resp.StatusCode)
			require.True(t, signer.Recover(t.Context(), resp))
		}
		resp := dial()
		assert.Equal(t, 200, resp.StatusCode)
		assert.False(t, signer.Recover(t.Context(), resp))
		assert.Equal(t, []any{"next", time.Hour}, []any{signer.KeyID(), signer.ClockOffset()})
	})
}
