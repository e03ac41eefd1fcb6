package kalshitest_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// proxyTo returns a transport that takes the server for a proxy.
func proxyTo(t *testing.T, s *kalshitest.Server) *http.Transport {
	t.Helper()
	proxy, err := url.Parse(s.URL)
	require.NoError(t, err)
	transport := &http.Transport{Proxy: http.ProxyURL(proxy)}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestNewServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)

	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	assert.Equal(t, "http", u.Scheme)
	assert.Equal(t, "127.0.0.1", u.Hostname())
	assert.Equal(t, "/trade-api/v2", u.Path)

	keys := s.Keys()
	require.Len(t, keys, 1)
	assert.Equal(t, s.KeyID, keys[0].ID)
	assert.Equal(t, "ed25519", keys[0].Type)
	assert.Equal(t, []string{"read", "write"}, keys[0].Scopes)
	assert.Empty(t, keys[0].PrivateKey, "the server keeps no private key")
	assert.Equal(t, keys[0].PublicKey, publicPEM(t, parsePrivateKey(t, s.PrivateKey).Public()))
	assert.Empty(t, s.Requests())
}

func TestServer_Paths(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	s.Handle("GET /trade-api/v2/markets/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.URL.Path)
	}))
	const gone = `{"error":{"code":"not_found","message":"not found"}}`
	tests := []struct {
		name, method, path string
		status             int
		body, location     string
	}{
		{"unknown path", "GET", "/portfolio/orders", 404, gone, ""},
		{"the base", "GET", "", 404, gone, ""},
		{"unknown method", "PATCH", "/api_keys", 404, gone, ""},
		{"method of another path", "GET", "/api_keys/generate", 404, gone, ""},
		{"deeper path", "DELETE", "/api_keys/a/b", 404, gone, ""},
		{"doubled slash", "GET", "//api_keys", 404, gone, ""},
		{"dot element", "GET", "/portfolio/../api_keys", 404, gone, ""},
		{"dot element as an ID", "DELETE", "/api_keys/..", 404, gone, ""},
		{"escaped dot element as an ID", "DELETE", "/api_keys/%2e%2e", 404, gone, ""},
		{"trailing slash", "GET", "/api_keys/", 301, "", "/trade-api/v2/api_keys"},
		{"trailing slash, query", "DELETE", "/api_keys/a%2Fb/?c=d", 301, "", "/trade-api/v2/api_keys/a%2Fb?c=d"},
		{"trailing slash on an unknown path", "GET", "/x/", 301, "", "/trade-api/v2/x"},
		{"trailing slash of a subtree", "GET", "/markets/", 200, "/trade-api/v2/markets/", ""},
		{"below a subtree", "GET", "/markets/a", 200, "/trade-api/v2/markets/a", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := c.do(tt.method, tt.path, "")
			require.NoError(t, got.err)
			assert.Equal(t, tt.status, got.status)
			assert.Equal(t, tt.location, got.header.Get("Location"))
			if tt.status != http.StatusMovedPermanently {
				assert.Equal(t, tt.body, got.body)
			}
		})
	}
}

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
	assert.Panics(t, func() { s.Handle("GET /trade-api/v2/api_keys", http.NotFoundHandler()) }, "the pattern is taken")
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
	} {
		t.Run(pattern, func(t *testing.T) {
			t.Parallel()
			assert.PanicsWithValue(t, fmt.Sprintf("kalshitest: Handle: pattern %q matches no request: write the method in capitals, "+
				"if any, and the full path without a host, such as \"GET /trade-api/v2/portfolio/balance\"", pattern),
				func() { s.Handle(pattern, http.NotFoundHandler()) })
		})
	}
	for _, pattern := range []string{"/trade-api/", "GET  /trade-api/ws/v2", "/trade-api/v2/markets/{ticker}"} {
		assert.NotPanics(t, func() { s.Handle(pattern, http.NotFoundHandler()) }, pattern)
	}
}

func TestServer_Env(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	assert.Equal(t, []string{
		"KALSHI_BASE_URL=" + s.URL,
		"KALSHI_API_KEY_ID=" + s.KeyID,
		"KALSHI_PRIVATE_KEY=" + s.PrivateKey,
	}, s.Env())
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

func TestServer_BodyLimit(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	fits := `{"name":"` + strings.Repeat("x", 1<<20-11) + `"}`

	got := c.do(http.MethodPost, "/api_keys/generate", strings.Replace(fits, `xxxxxxxxxxxxxxxxxxxxx"`, `","key_type":"ed25519"`, 1))
	require.NoError(t, got.err)
	assert.Equal(t, http.StatusCreated, got.status, "1 MiB")

	got = c.do(http.MethodPost, "/api_keys/generate", fits+" ")
	require.NoError(t, got.err)
	assert.Equal(t, http.StatusRequestEntityTooLarge, got.status)

	requests := s.Requests()
	require.Len(t, requests, 2)
	assert.Len(t, requests[0].Body, 1<<20)
	assert.Len(t, requests[1].Body, 1<<20)
	assert.False(t, requests[1].Processed)
}

func TestServer_Concurrency(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	s.Inject(kalshitest.Fault{Method: "GET", Status: 503, Times: 10})

	const workers, rounds = 8, 5
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				name := fmt.Sprintf("%d-%d", w, i)
				added := s.AddKey(kalshitest.Key{Name: name})
				got := c.do(http.MethodPost, "/api_keys/generate", jsonText(map[string]string{"name": name, "key_type": "ed25519"}))
				assert.Equal(t, http.StatusCreated, got.status)
				got = c.do(http.MethodDelete, "/api_keys/"+added.ID, "")
				assert.Equal(t, http.StatusNoContent, got.status)
				got = c.do(http.MethodGet, "/api_keys", "")
				assert.Contains(t, []int{200, 503}, got.status)
				s.SetClockOffset(time.Duration(i) * time.Millisecond)
				s.SetRegionExpiration(time.Now())
				_ = s.Keys()
				_ = s.Requests()
			}
		})
	}
	wg.Wait()

	assert.Len(t, s.Keys(), 1+workers*rounds)
	rejected := 0
	for _, r := range s.Requests() {
		assert.Equal(t, r.Status != 503, r.Processed)
		if r.Status == 503 {
			rejected++
		}
	}
	assert.Len(t, s.Requests(), 3*workers*rounds)
	assert.Equal(t, 10, rejected, "no fault is lost and none happens twice")
}

// closeWithin fails if Close takes its time.
func closeWithin(t *testing.T, s *kalshitest.Server) {
	t.Helper()
	done := make(chan struct{})
	go func() { s.Close(); close(done) }()
	select {
	case <-done:
	case <-time.After(4 * time.Second): // httptest waits 5 s before it complains
		t.Error("Close hangs")
	}
}

func TestServer_Close(t *testing.T) {
	t.Parallel()
	arrived := func(s *kalshitest.Server) func() bool {
		return func() bool { return len(s.Requests()) > 0 }
	}
	dial := func(t *testing.T, s *kalshitest.Server, text string) net.Conn {
		u, err := url.Parse(s.URL)
		require.NoError(t, err)
		conn, err := net.Dial("tcp", u.Host)
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		_, err = io.WriteString(conn, text)
		require.NoError(t, err)
		return conn
	}
	tests := []struct {
		name  string
		begin func(t *testing.T, s *kalshitest.Server)
	}{
		{"nothing under way", func(*testing.T, *kalshitest.Server) {}},
		{"idle connection", func(t *testing.T, s *kalshitest.Server) {
			assert.Equal(t, 200, newClient(t, s).do("GET", "/api_keys", "").status)
		}},
		{"connection without a request", func(t *testing.T, s *kalshitest.Server) { dial(t, s, "") }},
		{"half a head", func(t *testing.T, s *kalshitest.Server) { dial(t, s, "GET /trade-api/v2/api_keys HTTP/1.1\r\nHo") }},
		{"half a body", func(t *testing.T, s *kalshitest.Server) {
			dial(t, s, "POST /trade-api/v2/api_keys HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
		}},
		{"delayed request", func(t *testing.T, s *kalshitest.Server) {
			s.Inject(kalshitest.Fault{Delay: time.Hour})
			client := newClient(t, s)
			go client.do("GET", "/api_keys", "")
			require.Eventually(t, arrived(s), 10*time.Second, time.Millisecond)
		}},
		{"delayed request with another behind it", func(t *testing.T, s *kalshitest.Server) {
			s.Inject(kalshitest.Fault{Delay: time.Hour})
			conn := dial(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			require.Eventually(t, arrived(s), 10*time.Second, time.Millisecond)
			// net/http has the byte in hand and no longer sees the connection end.
			_, err := io.WriteString(conn, "G")
			require.NoError(t, err)
			noGoroutine(t, "backgroundRead")
		}},
		{"delayed response", func(t *testing.T, s *kalshitest.Server) {
			s.Inject(kalshitest.Fault{Delay: time.Hour, Process: true})
			client := newClient(t, s)
			go client.do("GET", "/api_keys", "")
			require.Eventually(t, arrived(s), 10*time.Second, time.Millisecond)
		}},
		{"endless response that nobody reads", func(t *testing.T, s *kalshitest.Server) {
			s.Inject(kalshitest.Fault{Answer: http.HandlerFunc(endless)})
			dial(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			require.Eventually(t, arrived(s), 10*time.Second, time.Millisecond)
		}},
		{"handler that waits for its context", func(t *testing.T, s *kalshitest.Server) {
			s.Inject(kalshitest.Fault{Answer: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })})
			dial(t, s, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			require.Eventually(t, arrived(s), 10*time.Second, time.Millisecond)
		}},
		{"dropped and reset connections", func(t *testing.T, s *kalshitest.Server) {
			s.Inject(kalshitest.Fault{Drop: true, Times: -1, Method: "POST"}, kalshitest.Fault{Reset: true})
			assert.Error(t, newClient(t, s).do("POST", "/api_keys", "{}").err)
			assert.Error(t, newClient(t, s).do("GET", "/api_keys", "").err)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			labelled(t, func() {
				s := kalshitest.NewServer()
				tt.begin(t, s)
				closeWithin(t, s)
				closeWithin(t, s)
				assert.Error(t, newClient(t, s).do("GET", "/api_keys", "").err)
				assert.Len(t, s.Keys(), 1)
			})
			noGoroutine(t, "")
		})
	}
}

// labelled runs f so that the goroutines it begins, which inherit a label, can
// be told from those of the tests beside it.
func labelled(t *testing.T, f func()) {
	pprof.Do(t.Context(), pprof.Labels("test", t.Name()), func(context.Context) { f() })
}

// noGoroutine waits until no labelled goroutine of this test has the function
// in its stack, or until none is left if the function is empty.
func noGoroutine(t *testing.T, function string) {
	t.Helper()
	label := fmt.Sprintf(`"test":%q`, t.Name())
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		var profile bytes.Buffer
		require.NoError(t, pprof.Lookup("goroutine").WriteTo(&profile, 1))
		left := slices.DeleteFunc(strings.Split(profile.String(), "\n\n"), func(stack string) bool {
			return !strings.Contains(stack, label) || !strings.Contains(stack, function)
		})
		if len(left) == 0 {
			return
		}
		require.True(t, time.Now().Before(deadline), "goroutines are left:\n%s", strings.Join(left, "\n\n"))
	}
}

// endless writes until the client or the server goes away.
func endless(w http.ResponseWriter, _ *http.Request) {
	chunk := bytes.Repeat([]byte("x"), 1<<16)
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}
