package test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A watchedTransport counts connections, and bodies until they are closed.
type watchedTransport struct {
	*http.Transport
	dials, open atomic.Int64
}

func watch(t testing.TB, transport *http.Transport) *watchedTransport {
	w := &watchedTransport{Transport: transport}
	transport.MaxResponseHeaderBytes = 1 << 20 // a tenth of the default, to be sooner there
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
		resp.Body = &watchedBody{ReadCloser: resp.Body, closed: sync.OnceFunc(func() { w.open.Add(-1) })}
	}
	return resp, err
}

type watchedBody struct {
	io.ReadCloser
	closed func()
}

func (b *watchedBody) Close() error {
	b.closed()
	return b.ReadCloser.Close()
}

// hostile starts an exchange that responds to everything with h, and a client
// without retries.
func hostile(t testing.TB, h http.HandlerFunc, opts ...kalshi.Option) (*kalshi.Client, *exchange, *watchedTransport) {
	t.Helper()
	x := inMemory(t)
	x.Inject(kalshitest.Fault{Answer: h, Times: always})
	transport := watch(t, x.transport)
	opts = append([]kalshi.Option{kalshi.WithMaxRetries(0), kalshi.WithHTTPClient(&http.Client{Transport: transport})}, opts...)
	return x.client(t, opts...), x, transport
}

// assertErrorText checks that an error has one of the documented types and a
// text that fits one line of a log.
func assertErrorText(t testing.TB, err error) {
	t.Helper()
	if !assert.Error(t, err) {
		return
	}
	assert.NotContains(t, kindOf(err), "untyped")
	text := err.Error()
	assert.True(t, strings.HasPrefix(text, "kalshi: "), text)
	assert.True(t, utf8.ValidString(text), "%q", text)
	assert.False(t, strings.ContainsFunc(text, unicode.IsControl), "%q", text)
	assert.LessOrEqual(t, utf8.RuneCountInString(text), 300, text)
}

// No redirect is followed, since net/http would carry the signature to any
// host: every request goes to the exchange, once, and the status is the error.
func TestHostile_redirects(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		for _, location := range []string{
			"", "/trade-api/v2/api_keys", "https://elsewhere.test/", "ftp://127.0.0.1/", "?again", "/" + strings.Repeat("a", 100_000), "/\xff",
		} {
			for _, status := range []int{301, 302, 303, 307, 308} {
				client, x, transport := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
					if location != "" {
						w.Header().Set("Location", location)
					}
					w.WriteHeader(status)
				}, kalshi.WithMaxRetries(2))
				err := call.do(t.Context(), client)
				assertErrorText(t, err)
				assert.Equal(t, statusKind(call, status), kindOf(err), "%d to %.40q", status, location)
				x.assertRequests(t, 1)
				assert.EqualValues(t, 1, transport.dials.Load())
			}
		}
	})
}

// Bodies that no client should take at their word. Whatever comes of a 2xx, a
// failure is typed, and the connection serves the next call.
func TestHostile_bodies(t *testing.T) {
	nested := func(open, end string, n int) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	tests := []struct {
		name, contentType, body string
		ok                      string // the call that takes it in a 2xx, beside a delete that takes blank and JSON
	}{
		{"empty", "", "", ""},
		{"null", "application/json", "null", ""},
		{"HTML", "text/html", "<html><script>alert(1)</script>", ""},
		{"a string", "application/json", `"api_keys"`, ""},
		{"a number over any type", "application/json", "1e999999", ""},
		{"JSON as an image", "image/png", `{"api_keys":[]}`, "GetAPIKeys"},
		{"a content type that is none", ";;;", `{"api_key_id":"x"}`, "CreateAPIKey"},
		{"two objects", "application/json", `{"api_keys":[]}{"api_keys":[]}`, ""},
		{"null after the list", "application/json", `{"api_keys":[],"api_keys":null,"error":null}`, "GetAPIKeys"},
		{"null for all", "application/json", `{"api_keys":null,"api_key_id":null,"private_key":null,"error":null}`, "GetAPIKeys"},
		{"wrong types", "application/json", `{"api_keys":{"a":1},"api_key_id":[],"private_key":{},"error":[{}]}`, ""},
		{"list of nulls", "application/json", `{"api_keys":[null,null]}`, "GetAPIKeys"},
		{"deeply nested arrays", "application/json", `{"api_keys":` + nested("[", "]", 20_000) + `}`, ""},
		{"nested, under the limit", "application/json", `{"error":` + nested("[", "]", 9_000) + `}`, ""},
		{"a long text", "text/plain", strings.Repeat("long ", 20_000), ""},
		{"a long message", "application/json", `{"error":{"code":"` + strings.Repeat("c", 20_000) + `","message":"` + strings.Repeat("m", 20_000) + `"}}`, ""},
		{"NUL in JSON", "application/json", `{"error":"a\u0000b\u001b[31m"}`, ""},
		{"control characters", "text/plain", "\x00\x1b[2J\r\nHTTP/1.1 200 OK\r\n\u2028\u202e", ""},
		{"no UTF-8", "application/json", "{\"error\":{\"code\":\"\xff\xfe\",\"message\":\"\xc3\x28\"}}", ""},
		{"half a surrogate", "application/json", `{"error":"\ud800"}`, ""},
		{"byte order mark", "application/json", "\ufeff{\"api_keys\":[]}", ""},
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
				if status == 200 && (call.name == tt.ok || call.method == http.MethodDelete && (tt.body == "" || json.Valid([]byte(tt.body)))) {
					assert.NoError(t, err, tt.name)
				} else {
					assertErrorText(t, err)
				}
				x.ClearFaults()
				_, err = client.GetAPIKeys(t.Context())
				assert.NoError(t, err, tt.name)
				if len(tt.body) < 64<<10 {
					assert.EqualValues(t, 1, transport.dials.Load(), "connections after a %d: %s", status, tt.name)
				}
			}
		}
	})
}

// Responses that are no HTTP, or only just. After each of them the client
// serves the next call.
func TestHostile_wire(t *testing.T) {
	const body = `{"api_keys":[],"api_key_id":"x","private_key":"-"}`
	fine := fmt.Sprintf("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	zipped := string(gzipMember(t, body))
	tests := []struct{ name, wire, want string }{ // want is the kind of a list's and a delete's result
		{"nothing", "", "Transport"},
		{"text", "hello\r\n\r\n", "Transport"},
		{"head cut off", "HTTP/1.1 200 OK\r\nContent-Le", "Transport"},
		{"status 099", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "API"},
		{"length over all", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n" + body, "ok"},
		{"length too short", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n" + body, "Invalid"},
		{"bad chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "Invalid"},
		{"no length, closed", "HTTP/1.1 200 OK\r\n\r\n" + body, "ok"},
		// JSON that is whole counts, however the transfer ended: it has the key.
		{"last chunk missing", fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(body), body), "ok"},
		{"chunk shorter than its length", fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s", len(body)+1, body), "ok"},
		{"gzip without its checksum", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(zipped), zipped[:len(zipped)-8]), "ok"},
		{"gzip with another checksum", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + zipped[:len(zipped)-8] + "12345678", "ok"},
		{"last brace missing", fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body[:len(body)-1]), "Invalid"},
		{"early hints first", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + fine, "ok"},
		{"flood of early hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </"+strings.Repeat("x", 900)+">\r\n\r\n", 2_000), "Transport"},
		{"two responses", fine + fine, "ok"},
		{"headers over all", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2<<20) + "\r\n\r\n", "Transport"},
		{"huge headers", fmt.Sprintf("HTTP/1.1 503 No\r\nRetry-After: %s\r\nDate: %[1]s\r\nX: %[1]s\r\nContent-Length: 0\r\n\r\n", strings.Repeat("9", 300_000)), "Server"},
		{"many headers", "HTTP/1.1 401 No\r\n" + strings.Repeat("Date: Fri, 31 Dec 9999 23:59:59 GMT\r\n", 20_000) + "Content-Length: 0\r\n\r\n", "Unauthorized"},
	}
	forEachCall(t, func(t *testing.T, call call) {
		for _, tt := range tests {
			client, x, _ := hostile(t, hijack(tt.wire))
			err := call.do(t.Context(), client)
			want := tt.want
			if call.creates() && !slices.Contains([]string{"ok", "API", "Unauthorized"}, want) {
				want = "Unknown"
			}
			assert.Equal(t, want, kindOf(err), "%s: %v", tt.name, err)
			if err != nil {
				assertErrorText(t, err)
			}
			x.ClearFaults()
			_, err = client.GetAPIKeys(t.Context())
			assert.NoError(t, err, tt.name)
		}
	})
}

// A proxy that frames a response wrongly makes parts of the body headers, and
// net/http quotes those in its errors. They may be the private key.
func TestHostile_misframedKey(t *testing.T) {
	t.Parallel()
	const part = "s3cret-half-of-a-key-that-is-none-s3cret"
	const chunked = "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
	body := `{"api_key_id":"x","private_key":"` + part + `"}`
	for name, wire := range map[string]string{
		"body for headers":    "HTTP/1.1 201 Created\r\n" + body + "\r\n\r\n",
		"key for a header":    "HTTP/1.1 201 Created\r\n" + part + "\r\n\r\n",
		"body for a status":   body + "\r\n\r\n",
		"body for a trailer":  chunked + "0\r\n" + body + "\r\n\r\n",
		"key for a trailer":   chunked + "0\r\n" + part + "\r\n\r\n",
		"key for a chunk":     chunked + part + "\r\n\r\n",
		"key for a length":    "HTTP/1.1 201 Created\r\nContent-Length: " + part + "\r\n\r\n",
		"key for an encoding": "HTTP/1.1 201 Created\r\nTransfer-Encoding: " + part + "\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				client, _, _ := hostile(t, hijack(wire))
				_, err := client.GenerateAPIKey(t.Context(), kalshi.GenerateAPIKeyRequest{Name: "bot"})
				assert.ErrorAs(t, err, new(*kalshi.OutcomeUnknownError))
				assertHides(t, err, part[:20])
			})
		})
	}
}

// Behind a Content-Length that is too short stands the rest of a private key,
// which net/http takes for the next response and quotes.
func TestHostile_keyInTheNextResponse(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{
		"s3cret half of a key\r\n\r\n",
		"s3cret-half-of-a-key-in-one-long-word-of-more-than-forty-characters\r\n\r\n",
		"HTTP/1.1 200 s3cret\r\ns3cret half of a key\r\n\r\n",
		"HTTP/1.1 s3cret\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: s3cret\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			x := inMemory(t)
			client := x.client(t, kalshi.WithMaxRetries(0))
			x.Inject(kalshitest.Fault{Answer: misframed(rest)})
			_, err := client.GenerateAPIKey(t.Context(), kalshi.GenerateAPIKeyRequest{Name: "bot"})
			require.ErrorAs(t, err, new(*kalshi.OutcomeUnknownError))
			assertHides(t, err, "s3cret")
			_, err = client.GetAPIKeys(t.Context())
			require.Error(t, err)
			assertHides(t, err, "s3cret")
			x.Inject(kalshitest.Fault{Answer: hijack(rest)})
			resp, err := client.HTTPClient().Get(client.BaseURL() + "/portfolio/balance")
			if err == nil { // this one is a response
				err = resp.Body.Close()
			}
			assertHides(t, err, "s3cret")

			x.Inject(kalshitest.Fault{Method: http.MethodGet}, kalshitest.Fault{Method: http.MethodGet, Answer: hijack(rest), Times: always})
			_, err = client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Save: noSave})
			var rotation *kalshi.RotationError
			require.ErrorAs(t, err, &rotation)
			assert.Equal(t, kalshi.StageVerify, rotation.Stage)
			assertHides(t, err, "s3cret")
		})
	}
}

// misframed announces a response that is shorter than it is, and sends the rest
// when the next request comes.
func misframed(rest string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 201 Created\r\nContent-Length: 20\r\n\r\n"+`{"api_key_id":"x","p`)
		_, _ = conn.Read(make([]byte, 4096))
		_, _ = io.WriteString(conn, rest)
		_ = conn.Close()
	}
}

// assertHides asserts that neither an error nor what it wraps shows a text, however it
// is printed.
func assertHides(t testing.TB, err error, text string) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%d"} {
		assert.NotContains(t, fmt.Sprintf(verb, err), text, "%s of a %T", verb, err)
	}
	switch err := err.(type) { //nolint:errorlint // each layer on its own
	case interface{ Unwrap() error }:
		if inner := err.Unwrap(); inner != nil {
			assertHides(t, inner, text)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range err.Unwrap() {
			assertHides(t, inner, text)
		}
	}
}

// A caller may ask for compression by itself, and net/http then leaves the
// response compressed.
func TestHostile_gzipByTheCallersChoice(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		const body = `{"api_keys":[],"api_key_id":"x","private_key":"-"}`
		for status, text := range map[int]string{200: body, 401: `{"error":{"message":"told you"}}`} {
			_, x, transport := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Accept-Encoding") != "gzip" {
					text = "it was not asked for"
				}
				w.Header().Set("Content-Encoding", "gzip")
				w.WriteHeader(status)
				_, _ = w.Write(gzipMember(t, text))
			})
			transport.DisableCompression = true
			client := x.client(t, kalshi.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
				req = req.Clone(req.Context())
				req.Header.Set("Accept-Encoding", "gzip")
				return transport.RoundTrip(req)
			})}))
			err := call.do(t.Context(), client)
			if status == 200 {
				assert.NoError(t, err)
			} else {
				assert.ErrorContains(t, err, "told you")
			}
		}
	})
}

// A server that switches protocols keeps the connection for itself. The call
// ends all the same.
func TestHostile_switchingProtocols(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		client, _, _ := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: magic\r\n\r\n")
			_, _ = conn.Read(make([]byte, 1)) // until the client closes it
			_ = conn.Close()
		})
		began := time.Now()
		assertErrorText(t, call.do(t.Context(), client))
		assert.Zero(t, time.Since(began))
	})
}

// A body that never comes does not hold a call longer than its context.
func TestHostile_slowBody(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		for _, status := range []int{200, 400, 503} {
			client, x, _ := hostile(t, func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, `{"api_`)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}, kalshi.WithMaxRetries(2))
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			began := time.Now()
			err := call.do(ctx, client)
			assert.Equal(t, time.Second, time.Since(began))
			want := statusKind(call, status)
			if status == 200 {
				want = map[bool]string{true: "Unknown", false: "Canceled"}[call.creates()]
			}
			assert.Equal(t, want, kindOf(err), "%d: %v", status, err)
			x.assertRequests(t, 1)
		}
	})
}
