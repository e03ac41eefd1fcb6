package kalshitest_test

import (
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
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

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
