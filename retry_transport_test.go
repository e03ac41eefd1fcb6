package kalshi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

var dialer net.Dialer

// startExchange starts an exchange that has the key that apiCalls delete.
func startExchange(t testing.TB) *kalshitest.Server {
	t.Helper()
	srv := kalshitest.NewServer()
	t.Cleanup(srv.Close)
	srv.AddKey(kalshitest.Key{ID: otherKeyID})
	return srv
}

// assertRequests checks how many requests have reached an exchange.
func assertRequests(t testing.TB, srv *kalshitest.Server, want int) {
	t.Helper()
	assert.Equal(t, want, len(srv.Requests()), "requests that arrived") // Len would print their headers
}

// Without a connection nothing has left, so every call is tried again, and an
// error is the transport's own: a mint has made nothing for sure.
func TestClient_neverLeft(t *testing.T) {
	t.Parallel()
	failing := func(err error) func(*testing.T, *http.Transport) string {
		return func(_ *testing.T, tr *http.Transport) string {
			tr.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, err }
			return "https://exchange.test/v2"
		}
	}
	tests := []struct {
		name string
		// set prepares the transport and returns the base URL.
		set func(t *testing.T, tr *http.Transport) string
	}{
		{"closed port", func(*testing.T, *http.Transport) string { return "http://127.0.0.1:1" }},
		{"connection refused", failing(&net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})},
		{"no such host", failing(&net.DNSError{Err: "no such host", Name: "exchange.test", IsNotFound: true})},
		{"dial timeout", failing(context.DeadlineExceeded)}, // not the call's own context
		{"TLS with a plain server", func(t *testing.T, _ *http.Transport) string {
			srv := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(srv.Close)
			return strings.Replace(srv.URL, "http:", "https:", 1)
		}},
		{"certificate that is not trusted", func(t *testing.T, _ *http.Transport) string {
			srv := httptest.NewUnstartedServer(http.NotFoundHandler())
			srv.Config.ErrorLog = discardLog()
			srv.StartTLS()
			t.Cleanup(srv.Close)
			return srv.URL
		}},
		{"proxy that refuses", func(t *testing.T, tr *http.Transport) string {
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusProxyAuthRequired)
			}))
			t.Cleanup(proxy.Close)
			proxyURL, err := url.Parse(proxy.URL)
			require.NoError(t, err)
			tr.Proxy = http.ProxyURL(proxyURL)
			return "https://exchange.test/v2"
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				tr := &http.Transport{DisableKeepAlives: true}
				baseURL := tt.set(t, tr)
				var attempts int
				counting := roundTripper(func(req *http.Request) (*http.Response, error) {
					attempts++
					return tr.RoundTrip(req)
				})
				c, _ := newTestClient(t, WithBaseURL(baseURL), WithHTTPClient(&http.Client{Transport: counting}), WithMaxRetries(1))
				err := call.do(t.Context(), c)
				assert.Equal(t, "Transport", kindOf(err), "%v", err)
				assert.Equal(t, 2, attempts)
				assert.NotErrorIs(t, err, context.Canceled)
			})
		})
	}
}

// The mint that could not connect at first is made once when it can.
func TestClient_neverLeftThenConnects(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		srv := startExchange(t)
		c := newServerClient(t, srv, WithHTTPClient(&http.Client{Transport: transportOf(failFirst(2))}))
		require.NoError(t, call.do(t.Context(), c))
		assertRequests(t, srv, 1)
	})
}

// What never left cannot have deleted the key: the 404 is the truth, unless
// another attempt may have.
func TestClient_DeleteAPIKey_goneAfterNeverLeft(t *testing.T) {
	t.Parallel()
	srv := startExchange(t)
	c := newServerClient(t, srv, WithHTTPClient(&http.Client{Transport: transportOf(failFirst(1))}))
	assert.Equal(t, "NotFound", kindOf(c.DeleteAPIKey(t.Context(), "unknown")))

	srv.Inject(kalshitest.Fault{Drop: true, Process: true})
	var dials atomic.Int64
	failSecond := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) == 2 {
			return nil, errors.New("no route")
		}
		return dialer.DialContext(ctx, network, addr)
	}
	c = newServerClient(t, srv, WithHTTPClient(&http.Client{Transport: transportOf(failSecond)}))
	assert.NoError(t, c.DeleteAPIKey(t.Context(), otherKeyID))
	assert.EqualValues(t, 3, dials.Load())
}

// A context that is done before anything is sent, or while there is no
// connection yet, leaves no doubt about a mint.
func TestClient_cancelledBeforeAnythingLeft(t *testing.T) {
	t.Parallel()
	cause := errors.New("shutting down")
	tests := []struct {
		name  string
		dials int64
		ctx   func(context.Context) (context.Context, context.CancelCauseFunc)
		want  error
	}{
		{"cancelled before", 0, func(ctx context.Context) (context.Context, context.CancelCauseFunc) {
			ctx, cancel := context.WithCancelCause(ctx)
			cancel(cause)
			return ctx, cancel
		}, context.Canceled},
		{"deadline before", 0, func(ctx context.Context) (context.Context, context.CancelCauseFunc) {
			ctx, cancel := context.WithDeadlineCause(ctx, time.Unix(0, 0), cause)
			return ctx, func(error) { cancel() }
		}, context.DeadlineExceeded},
		{"cancelled during the dial", 1, context.WithCancelCause, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				ctx, cancel := tt.ctx(t.Context())
				defer cancel(nil)
				done := make(chan struct{})
				defer close(done)
				var dials atomic.Int64
				hang := func(context.Context, string, string) (net.Conn, error) {
					dials.Add(1)
					cancel(cause)
					<-done
					return nil, errors.New("too late")
				}
				c, _ := newTestClient(t, WithHTTPClient(&http.Client{Transport: transportOf(hang)}))
				err := call.do(ctx, c)
				assert.ErrorIs(t, err, tt.want)
				assert.ErrorIs(t, err, cause)
				assert.False(t, isA[*OutcomeUnknownError](err), "%v", err)
				assert.Equal(t, tt.dials, dials.Load())
			})
		})
	}
}

// A transport that does not report to traces may have sent whatever its error
// says, so a mint is not made again.
func TestClient_transportWithoutTrace(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	forEachCall(t, func(t *testing.T, call apiCall) {
		var attempts int
		c, _ := newTestClient(t, WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			attempts++
			return nil, refused
		})}))
		err := call.do(t.Context(), c)
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.Equal(t, call.mints(), isA[*OutcomeUnknownError](err))
		assert.Equal(t, map[bool]int{true: 1, false: 3}[call.mints()], attempts)
	})
}

// A transport around net/http's keeps what the trace tells, whatever it makes
// of the errors.
func TestClient_transportThatWrapsErrors(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(error) error{
		"wrapped": func(err error) error { return fmt.Errorf("transport: %w", err) },
		"opaque":  func(err error) error { return errors.New(err.Error()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrapping := func(tr http.RoundTripper) http.RoundTripper {
				return roundTripper(func(req *http.Request) (*http.Response, error) {
					resp, err := tr.RoundTrip(req)
					if err != nil {
						err = wrap(err)
					}
					return resp, err
				})
			}
			forEachCall(t, func(t *testing.T, call apiCall) {
				srv := startExchange(t)
				c := newServerClient(t, srv, WithHTTPClient(&http.Client{Transport: wrapping(transportOf(failFirst(1)))}))
				assert.NoError(t, call.do(t.Context(), c))

				srv.Inject(kalshitest.Fault{Drop: true, Times: -1})
				err := call.do(t.Context(), c)
				assert.Equal(t, map[bool]string{true: "Unknown", false: "Transport"}[call.mints()], kindOf(err))
			})
		})
	}
}

// A transport that tries again by itself, and fails to connect the second
// time, has left something behind the first time.
func TestClient_transportThatRetries(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		srv := startExchange(t)
		srv.Inject(kalshitest.Fault{Drop: true, Process: true})
		keys := len(srv.Keys())
		var dials atomic.Int64
		tr := transportOf(func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) > 1 {
				return nil, errors.New("no route")
			}
			return dialer.DialContext(ctx, network, addr)
		})
		retrying := roundTripper(func(req *http.Request) (*http.Response, error) {
			resp, err := tr.RoundTrip(req)
			if err != nil && req.GetBody != nil {
				req = req.Clone(req.Context())
				req.Body, _ = req.GetBody()
			}
			if err != nil {
				resp, err = tr.RoundTrip(req)
			}
			return resp, err
		})
		c := newServerClient(t, srv, WithHTTPClient(&http.Client{Transport: retrying}))
		err := call.do(t.Context(), c)
		assertRequests(t, srv, 1)
		if call.mints() {
			assert.Equal(t, "Unknown", kindOf(err))
			assert.Len(t, srv.Keys(), keys+1)
		} else {
			assert.Equal(t, "Transport", kindOf(err))
		}
	})
}

// HTTP/2 shares one connection, so that a mint may leave without a dial of its
// own; its outcome is unknown all the same.
func TestClient_http2(t *testing.T) {
	t.Parallel()
	type answerFunc func(w http.ResponseWriter, r *http.Request, srv *httptest.Server, cancel func())
	tests := []struct {
		name   string
		answer answerFunc
	}{
		{"stream reset", func(http.ResponseWriter, *http.Request, *httptest.Server, func()) { panic(http.ErrAbortHandler) }},
		{"connection lost", func(_ http.ResponseWriter, r *http.Request, srv *httptest.Server, _ func()) {
			go srv.CloseClientConnections()
			<-r.Context().Done()
		}},
		{"cancelled after sending", func(_ http.ResponseWriter, r *http.Request, _ *httptest.Server, cancel func()) {
			cancel()
			<-r.Context().Done()
		}},
		{"answer broken off", func(w http.ResponseWriter, _ *http.Request, _ *httptest.Server, _ func()) {
			w.WriteHeader(http.StatusCreated)
			_, _ = w.Write([]byte(`{"api_key_id":"made","priv`))
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
	}
	test := func(t *testing.T, call apiCall, answer answerFunc, reused bool) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var mints, overHTTP1 atomic.Int64
		srv := httptest.NewUnstartedServer(nil)
		srv.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.ProtoMajor != 2 {
				overHTTP1.Add(1)
			}
			if r.Method == http.MethodGet {
				_, _ = w.Write([]byte(`{"api_keys":[]}`))
				return
			}
			mints.Add(1)
			answer(w, r, srv, cancel)
		})
		srv.EnableHTTP2 = true
		srv.Config.ErrorLog = discardLog()
		srv.StartTLS()
		defer srv.Close()

		c, _ := newTestClient(t, WithBaseURL(srv.URL), WithHTTPClient(srv.Client()))
		if reused {
			_, err := c.GetAPIKeys(t.Context())
			require.NoError(t, err)
		}
		err := call.do(ctx, c)
		assert.Equal(t, "Unknown", kindOf(err), "%v", err)
		assert.EqualValues(t, 1, mints.Load())
		assert.Zero(t, overHTTP1.Load())
	}
	for _, tt := range tests {
		for _, reused := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, reused %t", tt.name, reused), func(t *testing.T) {
				t.Parallel()
				forEachCall(t, func(t *testing.T, call apiCall) {
					if call.mints() {
						test(t, call, tt.answer, reused)
					}
				})
			})
		}
	}
}

// transportOf is net/http's transport over another dialer, with a connection
// for each request.
func transportOf(dial dialFunc) *http.Transport {
	return &http.Transport{DialContext: dial, DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
}

// failFirst fails to connect n times.
func failFirst(n int64) dialFunc {
	var dials atomic.Int64
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) <= n {
			return nil, errors.New("no route")
		}
		return dialer.DialContext(ctx, network, addr)
	}
}

// discardLog keeps a server from reporting what a test does to it.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }
