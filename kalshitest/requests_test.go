package kalshitest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func TestServer_Requests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	s.Inject(kalshitest.Fault{Method: "DELETE", Status: 500})

	c.do("GET", "/api_keys?fcm_subtrader_id=&x=%20y", "")
	c.do("POST", "/api_keys/generate", `{"name":"x","key_type":"ed25519"}`)
	c.do("DELETE", "/api_keys/a%2Fb", "")
	c.do("GET", "/api_keys", "", func(r *http.Request) { authenticate(r, "stranger", r.Header.Get("KALSHI-ACCESS-TIMESTAMP"), "AAAA") })
	c.do("GET", "/nothing/", "")

	const base = "/trade-api/v2"
	want := []kalshitest.Request{
		{Method: "GET", Path: base + "/api_keys", RawQuery: "fcm_subtrader_id=&x=%20y", KeyID: s.KeyID, Processed: true, Status: 200},
		{Method: "POST", Path: base + "/api_keys/generate", Body: []byte(`{"name":"x","key_type":"ed25519"}`), KeyID: s.KeyID, Processed: true, Status: 201},
		{Method: "DELETE", Path: base + "/api_keys/a%2Fb", KeyID: s.KeyID, Status: 500},
		{Method: "GET", Path: base + "/api_keys", KeyID: "stranger", Status: 401},
		{Method: "GET", Path: base + "/nothing/", KeyID: s.KeyID, Status: 301},
	}
	got := s.Requests()
	require.Len(t, got, len(want))
	assert.Equal(t, "application/json", got[1].Header.Get("Content-Type"))
	for i := range got {
		assert.Equal(t, got[i].KeyID, got[i].Header.Get("KALSHI-ACCESS-KEY"))
		assert.NotEmpty(t, got[i].Header.Get("KALSHI-ACCESS-SIGNATURE"))
		want[i].Header = got[i].Header
	}
	assert.Equal(t, want, got)
}

func TestServer_Requests_ShareNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	newClient(t, s).do("POST", "/api_keys", "{}")

	first := s.Requests()
	first[0].Method = "changed"
	first[0].Header.Set("Content-Type", "changed")
	first[0].Body[0] = 'x'

	second := s.Requests()[0]
	assert.Equal(t, "POST", second.Method)
	assert.Equal(t, "application/json", second.Header.Get("Content-Type"))
	assert.Equal(t, "{}", string(second.Body))
}

// A server that runs for days keeps the newest requests, and a bounded amount of
// memory.
func TestServer_Requests_bound(t *testing.T) {
	t.Parallel()
	t.Run("by number", func(t *testing.T) {
		t.Parallel()
		s := newServer(t)
		for i := range 10_002 {
			s.Record(&kalshitest.Request{Path: fmt.Sprint(i)})
		}
		got := s.Requests()
		require.Len(t, got, 10_000)
		assert.Equal(t, "2", got[0].Path)
		assert.Equal(t, "10001", got[9_999].Path)
	})
	for name, request := range map[string]kalshitest.Request{
		"by size of the bodies":  {Body: make([]byte, 1<<20)},
		"by size of the headers": {Header: http.Header{"A": {strings.Repeat("x", 1<<20-1)}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			for range 100 {
				s.Record(&request)
			}
			assert.Equal(t, 64, s.Recorded())
			s.Record(&kalshitest.Request{Path: "/"})
			assert.Equal(t, 64, s.Recorded(), "63 of them, and the small one")
		})
	}
}

func TestWithRequestHook(t *testing.T) {
	t.Parallel()
	seen := make(chan kalshitest.Request, 9)
	s := newServer(t, kalshitest.WithRequestHook(func(r kalshitest.Request) { seen <- r }))
	c := newClient(t, s)
	s.Inject(
		kalshitest.Fault{Method: "DELETE", Drop: true, Process: true},
		kalshitest.Fault{Method: "POST", Reset: true},
		kalshitest.Fault{Path: "/delayed", Delay: time.Hour},
	)
	check := func(method string, status int, processed bool) {
		t.Helper()
		r := <-seen
		assert.Equal(t, method, r.Method)
		assert.Equal(t, status, r.Status)
		assert.Equal(t, processed, r.Processed)
		assert.Equal(t, s.KeyID, r.KeyID)
		r.Header.Set("Kalshi-Access-Key", "the hook's own")
	}
	c.do("GET", "/api_keys", "")
	check("GET", 200, true)
	c.do("GET", "/unknown", "")
	check("GET", 404, false)
	c.do("POST", "/api_keys", "{}")
	check("POST", 0, false)
	c.do("DELETE", "/api_keys/"+s.KeyID, "")
	check("DELETE", 0, true)

	go c.do("GET", "/delayed", "")
	require.Eventually(t, func() bool { return len(s.Requests()) == 5 }, 10*time.Second, time.Millisecond)
	assert.Empty(t, seen, "the server is not done with it")
	s.Close()
	require.Len(t, seen, 1, "Close waits for the hook")
	check("GET", 0, false)
	for _, r := range s.Requests() {
		assert.Equal(t, s.KeyID, r.Header.Get("Kalshi-Access-Key"))
	}
}
