package kalshitest_test

import (
	"net/http"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

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
		{"method in lower case", kalshitest.Fault{Method: "post"}, `method "post" matches no request: write GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, or leave it out`},
		{"method and path in one", kalshitest.Fault{Method: "GET /api_keys"}, `matches no request: write GET`},
		{"method misspelled", kalshitest.Fault{Method: "DELTE"}, `method "DELTE" matches no request`},
		{"delay negative", kalshitest.Fault{Delay: -time.Second}, `the delay -1s is negative`},
		{"body of a 204", kalshitest.Fault{Status: 204, Body: "x"}, `status 204 has no body: leave out Body`},
		{"body of a 304", kalshitest.Fault{Status: 304, Body: "x"}, `status 304 has no body`},
		{"header name with a blank", kalshitest.Fault{Header: http.Header{"Retry After": {"1"}}}, `header name "Retry After" cannot be sent: write one such as "Retry-After"`},
		{"header name with a colon", kalshitest.Fault{Header: http.Header{"Retry-After:": {"1"}}}, `cannot be sent`},
		{"header name empty", kalshitest.Fault{Header: http.Header{"": {"1"}}}, `header name "" cannot be sent`},
		{"header value of two lines", kalshitest.Fault{Header: http.Header{"X": {"a\nb"}}}, `the header X has a value with a line break`},
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
		`Fault{Status: 403, Body: AttestationLapsedBody}`:         {Status: 403, Body: kalshitest.AttestationLapsedBody},
		`Fault{Status: 410, Body: RetiredPathBody}`:               {Status: 410, Body: kalshitest.RetiredPathBody},
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

func TestServer_Faults(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	assert.Empty(t, s.Faults())
	s.Inject(
		kalshitest.Fault{Method: "GET", Status: 503, Times: 3, Header: http.Header{"A": {"b"}}},
		kalshitest.Fault{Method: "DELETE", Drop: true},
		kalshitest.Fault{Method: "POST", Status: 503, Times: -7},
	)
	newClient(t, s).do("GET", "/api_keys", "")
	got := s.Faults()
	assert.Equal(t, []kalshitest.Fault{
		{Method: "GET", Status: 503, Times: 2, Header: http.Header{"A": {"b"}}},
		{Method: "DELETE", Drop: true, Times: 1},
		{Method: "POST", Status: 503, Times: -1},
	}, got)
	got[0].Header.Set("A", "changed")
	assert.Equal(t, "b", s.Faults()[0].Header.Get("A"))
}
