package kalshitest_test

import (
	"fmt"
	"net/http"
	"net/url"
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

func TestServer_Env(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	assert.Equal(t, []string{
		"KALSHI_BASE_URL=" + s.URL,
		"KALSHI_API_KEY_ID=" + s.KeyID,
		"KALSHI_PRIVATE_KEY=" + s.PrivateKey,
	}, s.Env())
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
