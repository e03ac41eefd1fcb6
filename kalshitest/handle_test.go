package kalshitest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func TestServer_Handle(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	s.Handle("POST /trade-api/v2/portfolio/orders/{id}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s %s", r.Header.Get("Kalshi-Access-Key"), r.PathValue("id"), body)
		assert.NoError(t, http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)))
	}))
	s.Handle("GET /trade-api/v2/silent", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	got := c.do(http.MethodPost, "/portfolio/orders/7", `{"side":"yes"}`)
	require.NoError(t, got.err)
	assert.Equal(t, http.StatusCreated, got.status)
	assert.Equal(t, s.KeyID+` 7 {"side":"yes"}`, got.body)

	got = c.do(http.MethodGet, "/silent", "")
	assert.Equal(t, http.StatusOK, got.status)

	got = c.do(http.MethodPost, "/portfolio/orders/7", "{}", func(r *http.Request) { r.Header.Del("KALSHI-ACCESS-SIGNATURE") })
	assert.Equal(t, http.StatusUnauthorized, got.status)
	assert.Equal(t, bodyNoSignature, got.body)

	limited := c.as(t, s.AddKey(kalshitest.Key{Scopes: []string{}, Subaccount: ptr(3)}))
	got = limited.do(http.MethodGet, "/silent", "")
	assert.Equal(t, http.StatusOK, got.status, "scopes and sub-accounts are the handler's")

	bound := c.as(t, s.AddKey(kalshitest.Key{FCMSubtraderID: "user_a"}))
	got = bound.do(http.MethodGet, "/silent", "")
	assert.Equal(t, http.StatusForbidden, got.status)

	requests := s.Requests()
	require.Len(t, requests, 5)
	assert.Equal(t, http.StatusCreated, requests[0].Status)
	assert.True(t, requests[0].Processed)
	assert.Equal(t, http.StatusOK, requests[1].Status)
	assert.True(t, requests[1].Processed)
	assert.False(t, requests[2].Processed)
	assert.False(t, requests[4].Processed)
}

func TestServer_Handle_mistakes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, pattern := range []string{
		"GET /portfolio/balance",
		"/",
		"/trade-api",
		"portfolio/balance",
		"",
		"GET 127.0.0.1/trade-api/v2/portfolio/balance",
		"localhost/trade-api/v2/portfolio/balance",
		"GET http://127.0.0.1/trade-api/v2/portfolio/balance",
		"get /trade-api/v2/portfolio/balance",
		"DELTE /trade-api/v2/portfolio/balance",
	} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			assert.PanicsWithValue(t, fmt.Sprintf("kalshitest: Handle: pattern %q matches no request: write one of "+
				"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, or no method, and the full path without a host, such as \"GET /trade-api/v2/portfolio/balance\"", pattern),
				func() { s.Handle(pattern, http.NotFoundHandler()) })
		})
	}
	for _, pattern := range []string{"/trade-api/", "GET  /trade-api/ws/v2", "/trade-api/v2/markets/{ticker}"} {
		assert.NotPanics(t, func() { s.Handle(pattern, http.NotFoundHandler()) }, pattern)
	}
}

func TestServer_Handle_Stream(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	more := make(chan struct{})
	s.Handle("GET /trade-api/v2/stream", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		<-more
		fmt.Fprint(w, "end")
	}))
	got := make(chan reply)
	client := newClient(t, s)
	go func() { got <- client.do(http.MethodGet, "/stream", "") }()
	require.Eventually(t, func() bool {
		requests := s.Requests()
		return len(requests) == 1 && requests[0].Status == http.StatusOK && requests[0].Processed
	}, 10*time.Second, time.Millisecond, "the record is complete before the response")
	close(more)
	assert.Equal(t, "end", (<-got).body)
}

// A WebSocket library hijacks the connection in just this way.
func TestServer_Handle_Hijack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	s.Handle("GET /trade-api/ws/v2", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if !assert.NoError(t, err) {
			return
		}
		defer conn.Close()
		fmt.Fprint(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello\n")
		rw.Flush()
	}))
	c.url = strings.TrimSuffix(s.URL, "/trade-api/v2")
	rejected := c.do(http.MethodGet, "/trade-api/ws/v2", "", func(r *http.Request) { r.Header.Del("KALSHI-ACCESS-KEY") })
	assert.Equal(t, bodyNoCredentials, rejected.body)

	// Keys bound to a subtrader are rejected on REST endpoints only.
	c = c.as(t, s.AddKey(kalshitest.Key{FCMSubtraderID: "user_a"}))
	req, err := http.NewRequest(http.MethodGet, c.url+"/trade-api/ws/v2", nil)
	require.NoError(t, err)
	timestamp := fmt.Sprint(time.Now().UnixMilli())
	authenticate(req, c.keyID, timestamp, sign(c.key, timestamp+"GET/trade-api/ws/v2"))
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	res, err := c.http.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "hello\n", line)

	last := s.Requests()[1]
	assert.Equal(t, http.StatusSwitchingProtocols, last.Status)
	assert.True(t, last.Processed)
}

func TestServer_Handle_replace(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	get := func(path string) reply { return c.do("GET", path, "") }
	s.Handle("GET /trade-api/v2/markets/{ticker}", kalshitest.Response{Body: "first"})
	s.Handle("GET  /trade-api/v2/markets/{id}", kalshitest.Response{Body: "second"})
	assert.Equal(t, "second", get("/markets/a").body)
	s.Handle("GET /trade-api/v2/markets/a", kalshitest.Response{Body: "exact"})
	assert.Equal(t, "exact", get("/markets/a").body)
	s.Handle("GET /trade-api/v2/api_keys", kalshitest.Response{Body: "mine"})
	assert.Equal(t, "mine", get("/api_keys").body)

	assert.Panics(t, func() { s.Handle("GET /trade-api/v2/{a}/a", http.NotFoundHandler()) }, "it conflicts")
	assert.Panics(t, func() { s.Handle("GET /trade-api/v2/{", http.NotFoundHandler()) }, "it is malformed")
	assert.Equal(t, "second", get("/markets/b").body, "nothing has changed")

	s.ClearHandlers()
	assert.Equal(t, http.StatusNotFound, get("/markets/a").status)
	assert.Contains(t, get("/api_keys").body, s.KeyID)
}

func TestResponse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	header := http.Header{"Retry-After": {"7"}}
	s.Handle("GET /trade-api/v2/a", kalshitest.Response{Status: 429, Header: header, Body: "{}"})
	header.Set("Retry-After", "changed later")
	got := c.do("GET", "/a", "")
	assert.Equal(t, 429, got.status)
	assert.Equal(t, "7", got.header.Get("Retry-After"))
	assert.Equal(t, "application/json", got.header.Get("Content-Type"))
	assert.Equal(t, "{}", got.body)
	s.Handle("GET /trade-api/v2/a", kalshitest.Response{Body: "text"})
	got = c.do("GET", "/a", "")
	assert.Equal(t, 200, got.status)
	assert.Equal(t, "text/plain; charset=utf-8", got.header.Get("Content-Type"))
	assert.PanicsWithValue(t, "kalshitest: Handle: status 204 has no body: leave out Body", func() {
		s.Handle("GET /trade-api/v2/a", kalshitest.Response{Status: 204, Body: "x"})
	})
}

func TestServer_RequireAttestation(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	s.Handle("POST /trade-api/v2/portfolio/orders", s.RequireAttestation(kalshitest.Response{Status: 201, Body: "{}"}))
	order := func() reply { return c.do("POST", "/portfolio/orders", "{}") }
	assert.Equal(t, 201, order().status, "never attested")
	s.SetRegionExpiration(time.Now().Add(time.Hour))
	assert.Equal(t, 201, order().status)
	s.SetClockOffset(2 * time.Hour)
	c.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	got := order()
	assert.Equal(t, 403, got.status, "by the server's clock")
	assert.Equal(t, kalshitest.AttestationLapsedBody, got.body)
	assert.True(t, json.Valid([]byte(got.body)))
	s.SetRegionExpiration(time.Now().Add(3 * time.Hour))
	assert.Equal(t, 201, order().status, "renewed")
}

// A retired path is 410 whatever the signature.
func TestFault_retiredPath(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Inject(kalshitest.Fault{Path: "/portfolio/orders", Status: 410, Body: kalshitest.RetiredPathBody})
	got := newClient(t, s).do("POST", "/portfolio/orders", "{}", func(r *http.Request) { authenticate(r, "unknown", "1", "wrong") })
	assert.Equal(t, 410, got.status)
	assert.Equal(t, kalshitest.RetiredPathBody, got.body)
	assert.True(t, json.Valid([]byte(got.body)))
}

func TestServer_HandleControl(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	c.url = strings.TrimSuffix(s.URL, "/trade-api/v2")
	s.Inject(kalshitest.Fault{Times: -1, Status: 500})
	assert.Equal(t, 500, c.do("GET", "/kalshitest/a", "").status, "there is no control yet")
	s.HandleControl(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	s.ClearRequests()
	got := c.do("GET", "/kalshitest/a", "", func(r *http.Request) { r.Header = nil })
	assert.Equal(t, "/kalshitest/a", got.body)
	assert.Empty(t, s.Requests())
	assert.Equal(t, 500, c.do("GET", "/kalshitesting", "").status)
}
