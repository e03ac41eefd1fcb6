package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed251d1451/kalshi-go"
)

// A watchedTransport counts connections, and bodies until they are closed.
type watchedTransport struct {
	*http.Transport
	dials, open atomic.Int64
}

func watch(t testing.TB, transport *http.Transport) *watchedTransport {
	w := &watchedTransport{Transport: transport}
	dial := transport.DialContext
	transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		w.dials.Add(1)
		return dial(ctx, network, addr)
	}
	t.Cleanup(func() { assert.Zero(t, w.open.Load(), "bodies that were not closed") })
	return w
}

func (w *watchedTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.Transport.RoundTrip(req)
	if err == nil {
		w.open.Add(1)
		resp.Body = watchedBody{resp.Body, sync.OnceFunc(func() { w.open.Add(-1) })}
	}
	return resp, err
}

type watchedBody struct {
	io.ReadCloser
	closed func()
}

func (b watchedBody) Close() error { b.closed(); return b.ReadCloser.Close() }

// hostile starts an exchange that responds to everything with h, and a client without retries.
func hostile(t testing.TB, h http.HandlerFunc, opts ...kalshi.Option) (*kalshi.Client, *exchange, *watchedTransport) {
	t.Helper()
	x := inMemory(t)
	x.Inject(fault{Answer: h, Times: always})
	transport := watch(t, x.transport)
	opts = append([]kalshi.Option{kalshi.WithMaxRetries(0), kalshi.WithHTTPClient(&http.Client{Transport: transport})}, opts...)
	return x.client(opts...), x, transport
}

// Bodies that no client should take at their word. Whatever comes of a 2xx, a
// failure is typed, and the connection serves the next call.
func TestHostile_bodies(t *testing.T) {
	const nesting = 20_000
	tests := []struct {
		name, contentType, body string
		ok                      string // the call that takes it in a 2xx, beside a delete that takes JSON without an error
	}{
		{"HTML", "text/html", "<html><script>alert(1)</script>", ""},
		{"JSON as an image", "image/png", `{"api_keys":[]}`, "GetAPIKeys"},
		{"a content type that is none", ";;;", `{"api_key_id":"x"}`, "CreateAPIKey"},
		{"list of nulls", "application/json", `{"api_keys":[null,null]}`, ""},
		{"wrong types", "application/json", `{"api_keys":{"a":1},"api_key_id":[],"private_key":{},"error":[{}]}`, ""},
		{"deep", "application/json", strings.Repeat("[", nesting) + strings.Repeat("]", nesting), ""},
		{"a long text", "text/plain", strings.Repeat("long ", 20_000), ""},
		{"control characters", "text/plain", "\x00\x1b[2J\r\nHTTP/1.1 200 OK\r\n\u2028\u202e\xff", ""},
		{"format verbs", "application/json", `{"error":{"code":"%s%n%!v","message":"%d"}}`, ""},
	}
	forEachCall(t, func(t *testing.T, call call) {
		for _, tt := range tests {
			for _, status := range []int{200, 401, 404, 503} {
				client, x, transport := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", tt.contentType)
					w.WriteHeader(status)
					_, _ = io.WriteString(w, tt.body)
				})
				err := call.do(t.Context(), client)
				deleted := call.method == http.MethodDelete && json.Valid([]byte(tt.body)) && !strings.Contains(tt.body, `"error"`)
				if status == 200 && (call.name == tt.ok || deleted) {
					assert.NoError(t, err, tt.name)
				} else {
					assertErrorText(t, err)
				}
				x.ClearFaults()
				assert.NoError(t, list(t.Context(), client), tt.name)
				if len(tt.body) < 64<<10 && call.method != http.MethodPost { // which has its connection closed
					assert.EqualValues(t, 1, transport.dials.Load(), "connections after a %d: %s", status, tt.name)
				}
			}
		}
	})
}

// JSON that is whole counts, however the transfer ended: it has the key. After
// each of these responses the client serves the next call.
func TestHostile_wire(t *testing.T) {
	const body = `{"api_keys":[],"api_key_id":"x","private_key":"-"}`
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	zipped := string(gzipMember(t, []byte(body)))
	withLength := func(length int64, body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", length, body)
	}
	tests := []struct{ name, wire, want string }{ // want is the kind of a list's and a delete's result
		{"head cut off", "HTTP/1.1 200 OK\r\nContent-Le", "Transport"},
		{"status 099", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "API"},
		{"length over all", withLength(1<<63-1, body), "ok"},
		{"last brace missing", withLength(int64(len(body)), body[:len(body)-1]), "Invalid"},
		{"last chunk missing", fmt.Sprintf("%s%x\r\n%s\r\n", chunked, len(body), body), "ok"},
		{"bad chunk", chunked + "xyz\r\n", "Invalid"},
		{"gzip without its checksum", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + zipped[:len(zipped)-8], "ok"},
	}
	forEachCall(t, func(t *testing.T, call call) {
		for _, tt := range tests {
			client, x, _ := hostile(t, hijack(tt.wire))
			err := call.do(t.Context(), client)
			want := tt.want
			if call.creates() && (want == "Transport" || want == "Invalid") {
				want = "Unknown"
			}
			assert.Equal(t, want, kindOf(err), "%s: %v", tt.name, err)
			if err != nil {
				assertErrorText(t, err)
			}
			x.ClearFaults()
			assert.NoError(t, list(t.Context(), client), tt.name)
		}
	})
}

// A body that never comes does not hold a call longer than its context. That of
// a 101 is the connection, for which nobody waits.
func TestHostile_slowBody(t *testing.T) {
	const noResponse = 0
	cancelled := rule{"Canceled", "Unknown", "Canceled"}
	forEachCall(t, func(t *testing.T, call call) {
		for status, want := range map[int]rule{
			noResponse: cancelled, 200: cancelled, 101: {"API", "API", "API"},
			400: {"BadRequest", "BadRequest", "BadRequest"}, 503: {"Server", "Unknown", "Server"},
		} {
			client, x, _ := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "Upgrade") // as a 101 needs
				w.Header().Set("Upgrade", "magic")
				if status != noResponse {
					w.WriteHeader(status)
					_, _ = io.WriteString(w, `{"api_`)
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			}, kalshi.WithMaxRetries(2))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			time.AfterFunc(time.Second, cancel)
			began := time.Now()
			err := call.do(ctx, client)
			assert.Equal(t, status != 101, time.Since(began) == time.Second, status)
			assert.Equal(t, want.of(call), kindOf(err), "%d: %v", status, err)
			x.assertRequests(t, 1)
		}
	})
}
