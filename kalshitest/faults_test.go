package kalshitest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const generateBody = `{"name":"new","key_type":"ed25519"}`

// Every combination that Fault documents, on a request for a new key.
func TestFault(t *testing.T) {
	t.Parallel()
	odd := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Odd", "yes")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
	})
	short := 20 * time.Millisecond
	tests := []struct {
		name      string
		fault     kalshitest.Fault
		status    int    // as recorded; 0: none sent
		body      string // as read; empty: not looked at
		err       error  // of the request or of the body
		processed bool
	}{
		{"zero", kalshitest.Fault{}, 201, "", nil, true},
		{"process alone", kalshitest.Fault{Process: true}, 201, "", nil, true},
		{"delay", kalshitest.Fault{Delay: short}, 201, "", nil, true},
		{"negative delay", kalshitest.Fault{Delay: -1}, 201, "", nil, true},
		{"delayed response", kalshitest.Fault{Delay: short, Process: true}, 201, "", nil, true},
		{"drop", kalshitest.Fault{Drop: true}, 0, "", io.EOF, false},
		{"drop after processing", kalshitest.Fault{Drop: true, Process: true}, 0, "", io.EOF, true},
		{"delayed drop", kalshitest.Fault{Drop: true, Delay: short}, 0, "", io.EOF, false},
		{"reset", kalshitest.Fault{Reset: true}, 0, "", syscall.ECONNRESET, false},
		{"reset and drop after processing", kalshitest.Fault{Reset: true, Drop: true, Process: true}, 0, "", syscall.ECONNRESET, true},
		{"status", kalshitest.Fault{Status: 502}, 502, "", nil, false},
		{"429", kalshitest.Fault{Status: 429, Body: kalshitest.TooManyRequestsBody}, 429, `{"error":"too many requests"}`, nil, false},
		{"503", kalshitest.Fault{Status: 503, Body: kalshitest.ServiceUnavailableBody, Delay: short}, 503,
			`{"error":{"code":"service_unavailable","message":"service_unavailable","service":"exchange"}}`, nil, false},
		{"status after processing", kalshitest.Fault{Status: 502, Body: "<html>", Process: true}, 502, "<html>", nil, true},
		{"no body where none may be", kalshitest.Fault{Status: 204, Body: "lost"}, 204, "", nil, false},
		{"body alone", kalshitest.Fault{Body: "no JSON"}, 200, "no JSON", nil, false},
		{"header alone", kalshitest.Fault{Header: http.Header{}}, 200, "", nil, false},
		{"answer", kalshitest.Fault{Answer: odd}, 418, generateBody, nil, false},
		{"answer after processing", kalshitest.Fault{Answer: odd, Process: true}, 418, generateBody, nil, true},
		{"cut", kalshitest.Fault{Cut: true}, 201, "", io.ErrUnexpectedEOF, true},
		{"cut and process", kalshitest.Fault{Cut: true, Process: true, Delay: short}, 201, "", io.ErrUnexpectedEOF, true},
		{"cut status", kalshitest.Fault{Cut: true, Status: 500, Body: "12345678"}, 500, "1234", io.ErrUnexpectedEOF, false},
		{"cut answer after processing", kalshitest.Fault{Cut: true, Answer: odd, Process: true}, 418, generateBody[:len(generateBody)/2], io.ErrUnexpectedEOF, true},
		{"cut without a body", kalshitest.Fault{Cut: true, Status: 500}, 0, "", io.EOF, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			c := newClient(t, s)
			s.Inject(tt.fault)
			start := time.Now()
			got := c.do(http.MethodPost, "/api_keys/generate", generateBody)

			assert.GreaterOrEqual(t, time.Since(start), tt.fault.Delay)
			switch {
			case tt.err == nil:
				require.NoError(t, got.err)
			case runtime.GOOS == "windows": // where a reset has another name
				require.Error(t, got.err)
			default:
				require.ErrorIs(t, got.err, tt.err)
			}
			if tt.status != 0 {
				assert.Equal(t, tt.status, got.status)
			}
			if tt.body != "" {
				assert.Equal(t, tt.body, got.body)
			}
			if errors.Is(tt.err, io.ErrUnexpectedEOF) {
				length, err := strconv.Atoi(got.header.Get("Content-Length"))
				require.NoError(t, err)
				assert.Len(t, got.body, length/2)
			}
			keys := 1
			if tt.processed {
				keys = 2
			}
			assert.Len(t, s.Keys(), keys, "made only if it was processed")
			requests := s.Requests()
			require.Len(t, requests, 1)
			assert.Equal(t, tt.processed, requests[0].Processed)
			assert.Equal(t, tt.status, requests[0].Status)

			again := c.do(http.MethodGet, "/api_keys", "")
			assert.Equal(t, http.StatusOK, again.status, "once, and then no more")
		})
	}
}

func TestFault_Process_Delete(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	victim := s.AddKey(kalshitest.Key{}).ID
	s.Inject(
		kalshitest.Fault{Method: "DELETE", Cut: true}, // 204 has no body to cut
		kalshitest.Fault{Method: "DELETE", Status: 503, Process: true},
	)
	got := c.do("DELETE", "/api_keys/"+victim, "")
	require.ErrorIs(t, got.err, io.EOF)
	assert.Len(t, s.Keys(), 1)

	got = c.do("DELETE", "/api_keys/"+victim, "")
	assert.Equal(t, 503, got.status)
	requests := s.Requests()
	assert.True(t, requests[0].Processed)
	assert.False(t, requests[1].Processed, "there was nothing left to delete")
}

// A request that the exchange rejects is not processed, whatever the fault.
func TestFault_Process_rejected(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Inject(kalshitest.Fault{Process: true, Status: 200, Body: "{}"})
	got := newClient(t, s).do("POST", "/api_keys/generate", generateBody, func(r *http.Request) {
		r.Header.Set("KALSHI-ACCESS-SIGNATURE", "wrong")
	})
	assert.Equal(t, 200, got.status)
	assert.False(t, s.Requests()[0].Processed)
	assert.Len(t, s.Keys(), 1)
}

func TestFault_Header(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	s.SetClockOffset(time.Hour)
	header := http.Header{"Retry-After": {"7"}}
	s.Inject(
		kalshitest.Fault{Status: 429, Body: "{}", Header: header},
		kalshitest.Fault{Status: 503, Body: "{}", Header: http.Header{"Content-Type": {"text/html"}, "Date": {"never"}}},
		kalshitest.Fault{Status: 503, Body: "plain", Header: http.Header{"Date": nil}},
	)
	header.Set("Retry-After", "changed later")

	got := c.do("GET", "/api_keys", "")
	assert.Equal(t, "7", got.header.Get("Retry-After"))
	assert.Equal(t, "application/json", got.header.Get("Content-Type"))
	date, err := http.ParseTime(got.header.Get("Date"))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(time.Hour), date, time.Minute)

	got = c.do("GET", "/api_keys", "")
	assert.Equal(t, "text/html", got.header.Get("Content-Type"))
	assert.Equal(t, "never", got.header.Get("Date"))

	got = c.do("GET", "/api_keys", "")
	assert.Equal(t, "text/plain; charset=utf-8", got.header.Get("Content-Type"))
	assert.NotContains(t, got.header, "Date")
}

func TestServer_Inject_Match(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault kalshitest.Fault
		want  []string // of the requests below
	}{
		{"any", kalshitest.Fault{}, []string{"list", "create", "generate", "delete", "other", "ws"}},
		{"method", kalshitest.Fault{Method: "POST"}, []string{"create", "generate"}},
		{"path", kalshitest.Fault{Path: "/api_keys"}, []string{"list", "create"}},
		{"path with the base", kalshitest.Fault{Path: "/trade-api/v2/api_keys"}, []string{"list", "create"}},
		{"one element", kalshitest.Fault{Path: "/api_keys/*"}, []string{"generate", "delete"}},
		{"deletion", kalshitest.Fault{Method: "DELETE", Path: "/api_keys/*"}, []string{"delete"}},
		{"one ID, escaped", kalshitest.Fault{Path: "/api_keys/a%2Fb"}, []string{"delete"}},
		{"not below the base", kalshitest.Fault{Path: "/trade-api/ws/v2"}, []string{"ws"}},
		{"path and method", kalshitest.Fault{Method: "GET", Path: "/api_keys"}, []string{"list"}},
		{"key", kalshitest.Fault{KeyID: "another"}, []string{"other"}},
		{"key that nobody has", kalshitest.Fault{KeyID: "nobody"}, nil},
		{"path that nobody asks for", kalshitest.Fault{Path: "/api"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			c := newClient(t, s)
			ws := *c
			ws.url = ws.url[:len(ws.url)-len("/trade-api/v2")]
			tt.fault.Times, tt.fault.Status = -1, 599
			s.Inject(tt.fault)
			var got []string
			send := func(name string, r reply) {
				require.NoError(t, r.err)
				if r.status == 599 {
					got = append(got, name)
				}
			}
			send("list", c.do("GET", "/api_keys?a=b", ""))
			send("create", c.do("POST", "/api_keys", "{}"))
			send("generate", c.do("POST", "/api_keys/generate", "{}"))
			send("delete", c.do("DELETE", "/api_keys/a%2Fb", ""))
			send("other", c.do("GET", "/elsewhere", "", func(r *http.Request) { r.Header.Set("KALSHI-ACCESS-KEY", "another") }))
			send("ws", ws.do("GET", "/trade-api/ws/v2", ""))
			assert.Equal(t, tt.want, got)
		})
	}
}

func TestServer_Inject_Queue(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	statuses := func(n int) (got []int) {
		for range n {
			got = append(got, c.do("GET", "/api_keys", "").status)
		}
		return got
	}
	s.Inject(kalshitest.Fault{Method: "DELETE", Status: 500}, kalshitest.Fault{Status: 501}, kalshitest.Fault{Status: 502, Times: 2})
	s.Inject(kalshitest.Fault{Status: 503, Times: 1})
	assert.Equal(t, []int{501, 502, 502, 503, 200, 200}, statuses(6))
	assert.Equal(t, 500, c.do("DELETE", "/api_keys/x", "").status, "it has waited for its request")

	s.Inject(kalshitest.Fault{Status: 504, Times: -1})
	assert.Equal(t, []int{504, 504, 504, 504}, statuses(4))
	s.ClearFaults()
	assert.Equal(t, []int{200}, statuses(1))
}

func TestServer_Inject_mistakes(t *testing.T) {
	t.Parallel()
	nobody := http.NotFoundHandler()
	tests := []struct {
		name  string
		fault kalshitest.Fault
		want  string
	}{
		{"method in lower case", kalshitest.Fault{Method: "post"}, `method "post" matches no request: write it in capitals, such as "POST"`},
		{"method and path in one", kalshitest.Fault{Method: "GET /api_keys"}, `write it in capitals, such as "POST"`},
		{"path without its slash", kalshitest.Fault{Path: "api_keys"}, `path "api_keys" matches no request: write the path alone, from its first slash, such as "/api_keys"`},
		{"path of a URL", kalshitest.Fault{Path: "http://127.0.0.1/trade-api/v2/api_keys"}, `such as "/api_keys"`},
		{"path with a query", kalshitest.Fault{Path: "/api_keys?limit=1"}, `path "/api_keys?limit=1" has a query, which is not compared: write "/api_keys"`},
		{"path with a slash at its end", kalshitest.Fault{Path: "/api_keys/"}, `path "/api_keys/" ends in a slash: write "/api_keys"`},
		{"path that is a slash", kalshitest.Fault{Path: "/"}, `path "/" ends in a slash: write ""`},
		{"path with braces", kalshitest.Fault{Path: "/api_keys/{id}"}, `path "/api_keys/{id}" matches no request: write a star for any path element, such as "/api_keys/*"`},
		{"pattern", kalshitest.Fault{Path: "/[", Status: 500}, "syntax error in pattern: write a backslash"},
		{"status informational", kalshitest.Fault{Status: 100}, "status 100 cannot be sent: write one from 200 to 999"},
		{"status too high", kalshitest.Fault{Status: 1000}, "status 1000"},
		{"drop with status", kalshitest.Fault{Drop: true, Status: 500}, "a dropped connection has no response: leave out"},
		{"drop with body", kalshitest.Fault{Drop: true, Body: "x"}, "a dropped connection has no response: leave out"},
		{"drop with answer", kalshitest.Fault{Drop: true, Answer: nobody}, "a dropped connection has no response: leave out"},
		{"reset with cut", kalshitest.Fault{Reset: true, Cut: true}, "a dropped connection has no response: leave out"},
		{"answer with status", kalshitest.Fault{Answer: nobody, Status: 500}, "an Answer excludes Status, Body and Header: write them in its handler"},
		{"answer with header", kalshitest.Fault{Answer: nobody, Header: http.Header{}}, "an Answer excludes Status, Body and Header: write them in its handler"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			defer func() {
				assert.Contains(t, recover(), tt.want)
				assert.Equal(t, 200, newClient(t, s).do("GET", "/api_keys", "").status, "none of them is queued")
			}()
			s.Inject(kalshitest.Fault{Status: 500}, tt.fault)
		})
	}
}

// The forms that the documentation of Fault shows, by their source text.
func TestServer_Inject_documentedForms(t *testing.T) {
	t.Parallel()
	odd := http.NotFound
	forms := map[string]kalshitest.Fault{
		`Fault{Delay: time.Second}`:                               {Delay: time.Second},
		`Fault{Delay: time.Hour, Process: true}`:                  {Delay: time.Hour, Process: true},
		`Fault{Drop: true}`:                                       {Drop: true},
		`Fault{Drop: true, Process: true}`:                        {Drop: true, Process: true},
		`Fault{Reset: true}`:                                      {Reset: true},
		`Fault{Status: 429, Body: TooManyRequestsBody}`:           {Status: 429, Body: kalshitest.TooManyRequestsBody},
		`Fault{Status: 502, Body: "<html>", Process: true}`:       {Status: 502, Body: "<html>", Process: true},
		`Fault{Body: "no JSON"}`:                                  {Body: "no JSON"},
		`Fault{Answer: http.HandlerFunc(endless)}`:                {Answer: http.HandlerFunc(endless)},
		`Fault{Answer: http.HandlerFunc(odd), Process: true}`:     {Answer: http.HandlerFunc(odd), Process: true},
		`Fault{Cut: true}`:                                        {Cut: true},
		`Fault{Cut: true, Status: 500, Body: "{}"}`:               {Cut: true, Status: 500, Body: "{}"},
		`Fault{Method: "DELETE", Path: "/api_keys/*", Cut: true}`: {Method: "DELETE", Path: "/api_keys/*", Cut: true},
	}
	source, err := os.ReadFile("faults.go")
	require.NoError(t, err)
	documented := regexp.MustCompile(`(?m)^//\t(Fault\{.*\}) +//`).FindAllStringSubmatch(string(source), -1)
	require.Len(t, documented, len(forms))
	for _, form := range documented {
		t.Run(form[1], func(t *testing.T) {
			fault, ok := forms[form[1]]
			require.True(t, ok, "add it to the forms")
			assert.NotPanics(t, func() { newServer(t).Inject(fault) })
		})
	}
}

func TestServer_PendingFaults(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	assert.Zero(t, s.PendingFaults())

	s.Inject(
		kalshitest.Fault{Method: "GET", Status: 503, Times: 3},
		kalshitest.Fault{Method: "DELETE", Status: 503},
		kalshitest.Fault{Method: "POST", Status: 503, Times: -1},
	)
	assert.Equal(t, 4, s.PendingFaults())
	c.do("GET", "/api_keys", "")
	c.do("POST", "/api_keys", "{}")
	assert.Equal(t, 3, s.PendingFaults())
	c.do("GET", "/api_keys", "")
	c.do("GET", "/api_keys", "")
	c.do("GET", "/api_keys", "")
	assert.Equal(t, 1, s.PendingFaults())
	c.do("DELETE", "/api_keys/x", "")
	assert.Zero(t, s.PendingFaults(), "the fault for all requests is left")

	s.Inject(kalshitest.Fault{Times: 2})
	s.ClearFaults()
	assert.Zero(t, s.PendingFaults())
}

// A client that gives up while it waits: Process decides whether its request has an
// effect.
func TestFault_Delay_ClientGone(t *testing.T) {
	t.Parallel()
	for _, processed := range []bool{false, true} {
		t.Run(fmt.Sprintf("process %v", processed), func(t *testing.T) {
			t.Parallel()
			var s *kalshitest.Server
			labelled(t, func() { s = newServer(t) })
			s.Inject(kalshitest.Fault{Delay: time.Hour, Process: processed})
			ctx, cancel := context.WithCancel(t.Context())
			gone := make(chan reply)
			c := newClient(t, s)
			go func() {
				gone <- c.do("POST", "/api_keys/generate", generateBody, func(r *http.Request) { *r = *r.WithContext(ctx) })
			}()
			require.Eventually(t, func() bool {
				requests := s.Requests()
				return len(requests) == 1 && requests[0].Processed == processed
			}, 10*time.Second, time.Millisecond)
			cancel()
			require.ErrorIs(t, (<-gone).err, context.Canceled)

			noGoroutine(t, "kalshitest.(*Server).") // the request is done with
			requests := s.Requests()
			require.Len(t, requests, 1)
			assert.Equal(t, processed, requests[0].Processed)
			assert.Zero(t, requests[0].Status)
			assert.Equal(t, processed, len(s.Keys()) == 2)
		})
	}
}

// An endless response ends with its client.
func TestFault_Answer_Endless(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ended := make(chan struct{})
	s.Inject(kalshitest.Fault{Answer: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		endless(w, r)
	})})
	res, err := newClient(t, s).http.Get(s.URL + "/api_keys")
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, res.Body, 1<<20)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("it writes on")
	}
}

// A handler cannot hijack a connection whose response a fault replaces.
func TestFault_Process_Hijack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Handle("GET /trade-api/v2/hijack", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _, err := w.(http.Hijacker).Hijack()
		assert.ErrorIs(t, err, http.ErrNotSupported)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	s.Inject(kalshitest.Fault{Process: true})
	got := newClient(t, s).do("GET", "/hijack", "")
	assert.Equal(t, http.StatusInternalServerError, got.status)
	assert.False(t, s.Requests()[0].Processed)
}
