package ecosystem_test

import (
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// A forward proxy receives an absolute URL and the exchange a path. The signature
// covers the path alone, so it is valid.
func TestProxy_Forward(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	var forwarded atomic.Int32
	proxyURL := startProxy(t, &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {
		forwarded.Add(1) // the URL is absolute already
	}})
	transport := &http.Transport{Proxy: http.ProxyURL(proxyURL)}
	client := newClient(t, signer, exchange.URL, &http.Client{Transport: transport})

	_, err := client.GetAPIKeys(t.Context())
	require.NoError(t, err)
	assert.Equal(t, int32(1), forwarded.Load())
}

// A proxy for https receives a CONNECT and sees nothing of what follows.
func TestProxy_Connect(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	baseURL, front := newTLSFront(t, exchange)
	var connected, headers atomic.Int32
	proxyURL := startProxy(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connected.Add(1)
		if r.Header.Get("KALSHI-ACCESS-KEY") != "" {
			headers.Add(1)
		}
		tunnel(w, r)
	}))
	roots := x509.NewCertPool()
	roots.AddCert(front.Certificate())
	transport := newTransport(roots)
	transport.Proxy = http.ProxyURL(proxyURL)
	client := newClient(t, signer, baseURL, &http.Client{Transport: transport})

	for range 2 {
		_, err := client.GetAPIKeys(t.Context())
		require.NoError(t, err)
	}
	assert.Equal(t, int32(1), connected.Load(), "one tunnel for both calls")
	assert.Zero(t, headers.Load(), "the key ID is not for the proxy")
}

// When the proxy refuses, nothing reaches the exchange: no key can have been
// created, and the error is the proxy's.
func TestProxy_ConnectRefused(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	baseURL, _ := newTLSFront(t, exchange)
	proxyURL := startProxy(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusProxyAuthRequired)
	}))
	proxyURL.User = url.UserPassword("me", "wrong-password")
	transport := &http.Transport{Proxy: http.ProxyURL(proxyURL)}
	client := newClient(t, signer, baseURL, &http.Client{Transport: transport}, kalshi.WithMaxRetries(0))

	_, err := client.GenerateAPIKey(t.Context(), newKey)
	require.EqualError(t, err, "kalshi: POST /trade-api/v2/api_keys/generate: Proxy Authentication Required")
	var unknown *kalshi.OutcomeUnknownError
	require.NotErrorAs(t, err, &unknown)
	assert.Empty(t, exchange.Requests())
}

func startProxy(t *testing.T, h http.Handler) *url.URL {
	t.Helper()
	proxy := httptest.NewServer(h)
	t.Cleanup(proxy.Close)
	u, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	return u
}

// tunnel is what a CONNECT proxy does.
func tunnel(w http.ResponseWriter, r *http.Request) {
	upstream, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer upstream.Close()
	w.WriteHeader(http.StatusOK)
	downstream, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer downstream.Close()
	go func() {
		_, _ = io.Copy(upstream, buffered)
		_ = upstream.Close() // the client is gone: end the other direction too
	}()
	_, _ = io.Copy(downstream, upstream)
}
