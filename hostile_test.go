package kalshi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A watchedTransport counts connections, and bodies until they are closed.
type watchedTransport struct {
	http.Transport
	dials, open atomic.Int64
	onRead      func() // when a body is read
}

func newWatchedTransport(t *testing.T) *watchedTransport {
	tr := new(watchedTransport)
	tr.MaxResponseHeaderBytes = 1 << 20 // a tenth of the default, to be sooner there
	tr.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		tr.dials.Add(1)
		return dialer.DialContext(ctx, network, addr)
	}
	t.Cleanup(func() {
		tr.CloseIdleConnections()
		assert.Zero(t, tr.open.Load(), "bodies that were not closed")
	})
	return tr
}

func (tr *watchedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := tr.Transport.RoundTrip(req)
	if err == nil {
		tr.open.Add(1)
		resp.Body = &watchedBody{ReadCloser: resp.Body, tr: tr}
	}
	return resp, err
}

type watchedBody struct {
	io.ReadCloser
	tr   *watchedTransport
	once sync.Once
}

func (b *watchedBody) Read(p []byte) (int, error) {
	if b.tr.onRead != nil {
		b.tr.onRead()
	}
	return b.ReadCloser.Read(p)
}

func (b *watchedBody) Close() error {
	b.once.Do(func() { b.tr.open.Add(-1) })
	return b.ReadCloser.Close()
}

// newHostileServer returns an exchange that answers everything with h, and a
// client without retries.
func newHostileServer(t *testing.T, h http.HandlerFunc, opts ...Option) (*Client, *kalshitest.Server, *watchedTransport) {
	t.Helper()
	srv, tr := startExchange(t), newWatchedTransport(t)
	srv.Inject(kalshitest.Fault{Answer: h, Times: -1})
	opts = append([]Option{WithMaxRetries(0), WithHTTPClient(&http.Client{Transport: tr})}, opts...)
	return newServerClient(t, srv, opts...), srv, tr
}

// assertTypedError checks that an error has one of the documented types and a
// text that fits one line of a log.
func assertTypedError(t *testing.T, err error) {
	t.Helper()
	if !assert.Error(t, err) {
		return
	}
	assert.NotContains(t, kindOf(err), "untyped")
	text := err.Error()
	assert.True(t, strings.HasPrefix(text, "kalshi: "), text)
	assert.True(t, utf8.ValidString(text), "%q", text)
	assert.False(t, strings.ContainsFunc(text, unicode.IsControl), "%q", text)
	assert.LessOrEqual(t, utf8.RuneCountInString(text), 500)
}

// No redirect is followed: net/http would carry the signature to any host. It
// is an answer like others.
func TestHostile_redirects(t *testing.T) {
	t.Parallel()
	var strayed atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strayed.Add(1) }))
	t.Cleanup(func() {
		other.Close()
		assert.Zero(t, strayed.Load(), "requests that another host has seen")
	})
	targets := map[string]string{
		"same host":    "/trade-api/v2/api_keys",
		"other host":   other.URL + "/trade-api/v2/api_keys",
		"other scheme": "ftp://127.0.0.1/",
		"relative":     "?again",
		"none":         "",
		"very long":    "/" + strings.Repeat("a", 100_000),
		"no UTF-8":     "/\xff",
	}
	for name, location := range targets {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				for _, status := range []int{301, 302, 303, 307, 308} {
					c, srv, _ := newHostileServer(t, func(w http.ResponseWriter, _ *http.Request) {
						if location != "" {
							w.Header().Set("Location", location)
						}
						w.WriteHeader(status)
					}, WithMaxRetries(2))
					err := call.do(t.Context(), c)
					assertTypedError(t, err)
					var apiErr *APIError
					if assert.ErrorAs(t, err, &apiErr, "%d", status) {
						assert.Equal(t, status, apiErr.StatusCode)
					}
					assert.Equal(t, "API", kindOf(err))
					assertRequests(t, srv, 1)
				}
			})
		})
	}
}

// net/http gives up on a Location that is no URL before it asks whether to
// follow it, so the status is lost: a transport's error, and for a mint an
// unknown outcome.
func TestHostile_redirectsToNowhere(t *testing.T) {
	t.Parallel()
	for _, location := range []string{"http://[::1", "/%zz"} {
		forEachCall(t, func(t *testing.T, call apiCall) {
			c, srv, _ := newHostileServer(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", location)
				w.WriteHeader(http.StatusFound)
			}, WithMaxRetries(1))
			err := call.do(t.Context(), c)
			assertTypedError(t, err)
			if call.mints() {
				assert.Equal(t, "Unknown", kindOf(err))
				assertRequests(t, srv, 1)
			} else {
				assert.Equal(t, "Transport", kindOf(err))
				assertRequests(t, srv, 2)
			}
		})
	}
}

// Bodies that no client should take at their word. Whatever comes of a 2xx, a
// failure is typed, and the connection serves the next call.
func TestHostile_bodies(t *testing.T) {
	t.Parallel()
	deep := func(open, end string, n int) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	tests := []struct {
		name, contentType, body string
		ok                      string // the calls that take it in a 2xx, beside the delete
	}{
		{"empty", "", "", ""},
		{"null", "application/json", "null", ""},
		{"text", "text/plain", "hello", ""},
		{"HTML", "text/html", "<html><script>alert(1)</script>", ""},
		{"a string", "application/json", `"api_keys"`, ""},
		{"a number over any type", "application/json", "1e999999", ""},
		{"JSON as an image", "image/png", `{"api_keys":[]}`, "GetAPIKeys"},
		{"a content type that is none", ";;;", `{"api_key_id":"x"}`, "CreateAPIKey"},
		{"two objects", "application/json", `{"api_keys":[]}{"api_keys":[]}`, ""},
		{"fields twice", "application/json", `{"api_keys":7,"api_keys":[]}`, ""},
		{"null after the list", "application/json", `{"api_keys":[],"api_keys":null,"error":null}`, "GetAPIKeys"},
		{"null for all", "application/json", `{"api_keys":null,"api_key_id":null,"private_key":null,"error":null}`, "GetAPIKeys"},
		{"wrong types", "application/json", `{"api_keys":{"a":1},"api_key_id":[],"private_key":{},"error":[{}]}`, ""},
		{"list of nulls", "application/json", `{"api_keys":[null,null]}`, "GetAPIKeys"},
		{"list of numbers", "application/json", `{"api_keys":[1,2]}`, ""},
		{"numbers out of range", "application/json", `{"api_keys":[{"subaccount":1e400}],"api_key_region_expiration_ts":99999999999999999999}`, ""},
		{"deeply nested arrays", "application/json", `{"api_keys":` + deep("[", "]", 20_000) + `}`, ""},
		{"deeply nested objects", "application/json", deep(`{"error":`, "}", 11_000), ""},
		{"nested, under the limit", "application/json", `{"error":` + deep("[", "]", 9_000) + `}`, ""},
		{"many fields", "application/json", `{"a":1` + strings.Repeat(`,"error":{"code":"c"}`, 5_000) + `}`, ""},
		{"a long text", "text/plain", strings.Repeat("long ", 20_000), ""},
		{"a long message", "application/json", `{"error":{"code":"` + strings.Repeat("c", 20_000) + `","message":"` + strings.Repeat("m", 20_000) + `"}}`, ""},
		{"NUL", "text/plain", "\x00\x00{\x00}", ""},
		{"NUL in JSON", "application/json", `{"error":"a\u0000b\u001b[31m"}`, ""},
		{"control characters", "text/plain", "\x1b[2J\r\nHTTP/1.1 200 OK\r\n\u2028\u202e", ""},
		{"no UTF-8", "application/json", "{\"error\":{\"code\":\"\xff\xfe\",\"message\":\"\xc3\x28\"}}", ""},
		{"half a surrogate", "application/json", `{"error":"\ud800"}`, ""},
		{"UTF-16", "application/json; charset=utf-16", "\xff\xfe{\x00}\x00", ""},
		{"byte order mark", "application/json", "\ufeff{\"api_keys\":[]}", ""},
		{"format verbs", "application/json", `{"error":{"code":"%s%n%!v","message":"%d"}}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				for _, status := range []int{200, 401, 404, 503} {
					c, srv, tr := newHostileServer(t, func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Content-Type", tt.contentType)
						w.WriteHeader(status)
						_, _ = io.WriteString(w, tt.body)
					})
					err := call.do(t.Context(), c)
					if wantOK := call.method == http.MethodDelete || call.name == tt.ok; status < 300 && wantOK {
						assert.NoError(t, err, status)
					} else {
						assertTypedError(t, err)
					}
					srv.ClearFaults()
					_, err = c.GetAPIKeys(t.Context())
					assert.NoError(t, err)
					if len(tt.body) < maxErrorBody {
						assert.EqualValues(t, 1, tr.dials.Load(), "connections after a %d", status)
					}
				}
			})
		})
	}
}

// Every status that HTTP can carry comes to an end and to a type.
func TestHostile_statuses(t *testing.T) {
	t.Parallel()
	want := func(call apiCall, status int) string {
		switch {
		case status == 299 && call.mints(), status/100 == 5 && call.mints():
			return "Unknown"
		case status == 299 && call.method == http.MethodGet:
			return "Invalid"
		case status == 299:
			return "ok"
		case status/100 == 5:
			return "Server"
		}
		return "API"
	}
	forEachCall(t, func(t *testing.T, call apiCall) {
		for _, status := range []int{299, 300, 304, 306, 399, 418, 451, 499, 510, 599, 600, 700, 999} {
			c, _, _ := newHostileServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
			assert.Equal(t, want(call, status), kindOf(call.do(t.Context(), c)), status)
		}
	})
}

// Answers that are no HTTP, or only just: the call ends at once, with an error
// of the transport's, or it is understood.
func TestHostile_wire(t *testing.T) {
	t.Parallel()
	const body = `{"api_keys":[],"api_key_id":"x","private_key":"-"}`
	fine := fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	tests := []struct {
		name, wire string
		want       string // of a list; "" is any typed error
	}{
		{"nothing", "", "Transport"},
		{"text", "hello\r\n\r\n", "Transport"},
		{"no version", "HTTP/x.y 200 OK\r\n\r\n", "Transport"},
		{"no status", "HTTP/1.1 \r\n\r\n", "Transport"},
		{"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", "Transport"},
		{"status of four digits", "HTTP/1.1 1000 OK\r\n\r\n", "Transport"},
		{"negative status", "HTTP/1.1 -20 OK\r\n\r\n", "Transport"},
		{"status 000", "HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", "API"},
		{"status 099", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "API"},
		{"head cut off", "HTTP/1.1 200 OK\r\nContent-Le", "Transport"},
		{"header without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "Transport"},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "Transport"},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "Transport"},
		{"length over all", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n" + body, "Invalid"},
		{"length too short", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n" + body, "Invalid"},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "Invalid"},
		{"chunk over all", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + body, "Invalid"},
		{"unknown transfer encoding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: magic\r\n\r\n", "Transport"},
		{"no length, closed", "HTTP/1.1 200 OK\r\n\r\n" + body, "ok"},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n" + body, "ok"},
		{"bare line feeds", strings.ReplaceAll(fine, "\r\n", "\n"), "ok"},
		{"early hints first", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + fine, "ok"},
		{"status 199, no other", "HTTP/1.1 199 Odd\r\n\r\n", "Transport"},
		{"continue, no other", "HTTP/1.1 100 Continue\r\n\r\n", "Transport"},
		{"flood of early hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </"+strings.Repeat("x", 900)+">\r\n\r\n", 2_000), "Transport"},
		{"two answers", fine + fine, "ok"},
		{"headers over all", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n", "Transport"},
		{"huge headers", fmt.Sprintf("HTTP/1.1 503 No\r\nRetry-After: %s\r\nDate: %[1]s\r\nX: %[1]s\r\nContent-Length: 0\r\n\r\n", strings.Repeat("9", 300_000)), "Server"},
		{"many headers", "HTTP/1.1 401 No\r\n" + strings.Repeat("Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n", 20_000) + "Content-Length: 0\r\n\r\n", "Unauthorized"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				c, srv, _ := newHostileServer(t, func(w http.ResponseWriter, _ *http.Request) {
					conn, _, err := http.NewResponseController(w).Hijack()
					if err == nil {
						_, _ = io.WriteString(conn, tt.wire)
						_ = conn.Close()
					}
				})
				err := call.do(t.Context(), c)
				if err != nil {
					assertTypedError(t, err)
				}
				if call.method == http.MethodGet {
					assert.Equal(t, tt.want, kindOf(err), "%v", err)
				}
				if call.mints() && (tt.want == "Transport" || tt.want == "Invalid") {
					assert.Equal(t, "Unknown", kindOf(err), "%v", err)
				}
				srv.ClearFaults()
				_, err = c.GetAPIKeys(t.Context())
				assert.NoError(t, err)
			})
		})
	}
}

// A proxy that frames an answer wrongly makes parts of the body headers, and
// net/http quotes those in its errors. They may be the private key.
func TestHostile_misframedKey(t *testing.T) {
	t.Parallel()
	const part = "s3cret-half-of-a-key-that-is-none-s3cret"
	body := `{"api_key_id":"x","private_key":"` + part + `"}`
	for name, wire := range map[string]string{
		"body for headers":    "HTTP/1.1 201 Created\r\n" + body + "\r\n\r\n",
		"key for a header":    "HTTP/1.1 201 Created\r\n" + part + "\r\n\r\n",
		"body for a status":   body + "\r\n\r\n",
		"body for a trailer":  "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + body + "\r\n\r\n",
		"key for a trailer":   "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + part + "\r\n\r\n",
		"key for a chunk":     "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n" + part + "\r\n\r\n",
		"key for a length":    "HTTP/1.1 201 Created\r\nContent-Length: " + part + "\r\n\r\n",
		"key for an encoding": "HTTP/1.1 201 Created\r\nTransfer-Encoding: " + part + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _, _ := newHostileServer(t, func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if err == nil {
					_, _ = io.WriteString(conn, wire)
					_ = conn.Close()
				}
			})
			_, err := c.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{Name: "bot"})
			assert.ErrorAs(t, err, new(*OutcomeUnknownError))
			for ; err != nil; err = errors.Unwrap(err) {
				assert.NotContains(t, err.Error(), part[:20])
			}
		})
	}
}

// A server that switches protocols keeps the connection for itself; the call
// ends all the same, and for certain when its context does.
func TestHostile_switchingProtocols(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		release := make(chan struct{})
		c, _, _ := newHostileServer(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: magic\r\n\r\n")
				<-release
				_ = conn.Close()
			}
		})
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- call.do(ctx, c) }()
		select {
		case err := <-done:
			assertTypedError(t, err)
		case <-time.After(3 * time.Second):
			assert.Fail(t, "the call outlives its context")
		}
		close(release)
	})
}

// A body that never comes does not hold a call longer than its context.
func TestHostile_slowBody(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status int
		want   map[string]string // by method
	}{
		{200, map[string]string{http.MethodGet: "Canceled", http.MethodPost: "Unknown", http.MethodDelete: "ok"}},
		{400, map[string]string{http.MethodGet: "BadRequest", http.MethodPost: "BadRequest", http.MethodDelete: "BadRequest"}},
		{503, map[string]string{http.MethodGet: "Server", http.MethodPost: "Unknown", http.MethodDelete: "Server"}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status), func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				c, srv, tr := newHostileServer(t, func(w http.ResponseWriter, r *http.Request) {
					w.WriteHeader(tt.status)
					_, _ = io.WriteString(w, `{"api_`)
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				}, WithMaxRetries(2))
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var reads atomic.Int64
				tr.onRead = func() {
					if reads.Add(1) == 2 { // the first one gets what was sent
						cancel()
					}
				}
				err := call.do(ctx, c)
				assert.Equal(t, tt.want[call.method], kindOf(err), "%v", err)
				assertRequests(t, srv, 1)
			})
		})
	}
}
