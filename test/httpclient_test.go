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
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

// send sends a request of the bot's own.
func send(ctx context.Context, c *kalshi.Client, method, url, body string) error {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	return checked(c.HTTPClient().Do(req))
}

// botCall is a call that sends such a request.
func botCall(name, method, path, body string) call {
	return call{name, method, func(ctx context.Context, c *kalshi.Client) error { return send(ctx, c, method, c.BaseURL()+path, body) }}
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
	hc := &http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(must1(url.Parse(proxy.URL)))}}
	t.Cleanup(hc.CloseIdleConnections)
	client := must1(kalshi.NewClient(must1(kalshi.NewSigner("id", newKey())), kalshi.WithHTTPClient(hc), kalshi.WithMaxRetries(0)))
	hosts := []string{"api.elections.kalshi.com", "external-api-ws.kalshi.com", "external-api-margin-ws.kalshi.com"}
	for name, change := range map[string]func(req *http.Request){
		"another host":             func(req *http.Request) { req.URL.Host = "elsewhere.test" },
		"a letter that folds to i": func(req *http.Request) { req.URL.Host = "api.elections.kalshİ.com" },
		"a letter that folds to k": func(req *http.Request) { req.URL.Host = "api.elections.Kalshi.com" },
		"a Host of its own":        func(req *http.Request) { req.Host = "elsewhere.test" },
		"an opaque URL":            func(req *http.Request) { req.URL.Opaque = "//elsewhere.test/x" },
		"no slash before the path": func(req *http.Request) { req.URL.Path = "@elsewhere.test/x" },
		"the slash escaped":        func(req *http.Request) { req.URL.RawPath = "%2F" + req.URL.Path[1:] },
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
	type attempt struct {
		*exchange
		key    crypto.Signer
		cancel func()
	}
	for _, tt := range []struct {
		name   string
		breaks func(a *attempt)
		want   bool
	}{
		{"cannot be signed", func(a *attempt) { a.key = brokenKey{a.key} }, true},
		{"context has ended", func(a *attempt) { a.cancel() }, true},
		{"dial fails", func(a *attempt) { a.transport.DialContext = refuse }, true},
		{"TLS fails", func(a *attempt) { a.URL = "https" + strings.TrimPrefix(a.URL, "http") }, true},
		{"dial fails when it is signed again", func(a *attempt) {
			a.handleBot()
			a.SetClockOffset(time.Hour)
			a.transport.DisableKeepAlives = true
			dial, dials := a.transport.DialContext, 0
			a.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				if dials++; dials > 1 {
					return refuse(ctx, network, addr)
				}
				return dial(ctx, network, addr)
			}
		}, true},
		{"connection is lost", func(a *attempt) { a.Inject(fault{Drop: true, Times: always}) }, false},
		{"no response in time", func(a *attempt) { a.Inject(fault{Delay: time.Hour, Times: always}) }, false},
		{"service fails", func(a *attempt) { a.Inject(fault{Status: 503, Times: always}) }, false},
	} {
		for _, call := range append(calls("bot"), botCall("order", http.MethodPost, "/portfolio/orders", order), botCall("balance", http.MethodGet, "/portfolio/balance", "")) {
			runInBubble(t, tt.name+"/"+call.name, func(t *testing.T) {
				x := inMemory(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				a := &attempt{x, x.credentials().PrivateKey(), cancel}
				tt.breaks(a)
				err := call.do(ctx, x.clientOf(must1(kalshi.NewSigner(x.KeyID, a.key)), kalshi.WithMaxRetries(0)))
				require.Error(t, err)
				notSent := tt.want && call.method == http.MethodPost
				assert.Equal(t, notSent, isA[*kalshi.NotSentError](err), "%v", err)
				assert.False(t, notSent && isA[*kalshi.OutcomeUnknownError](err))
			})
		}
	}
}

// Timeout says of an error whether it was one, whatever that was reworded into.
func TestHTTPClient_timeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		for _, dials := range []bool{false, true} {
			x := inMemory(t)
			x.Inject(fault{Delay: time.Hour, Times: always})
			if dials {
				x.transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, context.DeadlineExceeded
				}
			}
			client := x.client(kalshi.WithMaxRetries(0))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			for _, err := range []error{list(ctx, client), send(ctx, client, http.MethodPost, x.URL+"/portfolio/orders", order)} {
				var timeout interface{ Timeout() bool }
				require.ErrorAs(t, err, &timeout)
				assert.True(t, timeout.Timeout(), "%v", err)
			}
		}
	})
}

func TestHTTPClient_closeIdleConnections(t *testing.T) {
	t.Parallel()
	x := inMemory(t)
	x.handleBot()
	transport := watch(t, x.transport)
	hc := x.client(kalshi.WithHTTPClient(&http.Client{Transport: transport})).HTTPClient()
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
		bubble(t, func(t *testing.T) {
			const body = `{"api_keys":[],"api_key_id":"x","private_key":"-"}`
			client, _, _ := hostile(t, hijack("HTTP/1.1 201 Created\r\nContent-Length: 50\r\n\r\n"+body+secret))
			logged.Reset()
			require.NoError(t, calls("bot")[call].do(t.Context(), client))
			synctest.Wait()
			assert.Equal(t, logs, strings.Contains(logged.String(), secret), "call %d", call)
		})
	}
}
