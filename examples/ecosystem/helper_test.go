package ecosystem_test

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// newKey asks for a key of the type that takes no time to make.
var newKey = kalshi.GenerateAPIKeyRequest{Name: "my bot", KeyType: kalshi.KeyTypeEd25519}

// newExchange starts a stand-in for the exchange, with a signer for its key.
func newExchange(t *testing.T) (*kalshitest.Server, *kalshi.Signer) {
	t.Helper()
	exchange := kalshitest.NewServer()
	t.Cleanup(exchange.Close)
	signer, err := kalshi.NewSignerFromPEM(exchange.KeyID, []byte(exchange.PrivateKey))
	require.NoError(t, err)
	return exchange, signer
}

// newPortfolio starts a stand-in that knows a balance, and returns a client of
// it and the balance's URL.
func newPortfolio(t *testing.T, opts ...kalshi.Option) (*kalshitest.Server, *kalshi.Client, string) {
	t.Helper()
	exchange, signer := newExchange(t)
	exchange.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(serveBalance))
	client := newClient(t, signer, exchange.URL, &http.Client{Transport: &http.Transport{}}, opts...)
	return exchange, client, client.BaseURL() + "/portfolio/balance"
}

func serveBalance(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"balance":100000}`)
}

// rotateElsewhere replaces the key in the account by a new one, as a rotation
// in another process does, and returns the new one.
func rotateElsewhere(t *testing.T, exchange *kalshitest.Server, old *kalshi.Signer) kalshitest.Key {
	t.Helper()
	made := exchange.AddKey(kalshitest.Key{Name: "rotated"})
	signer, err := kalshi.NewSignerFromPEM(made.ID, []byte(made.PrivateKey))
	require.NoError(t, err)
	admin := newClient(t, signer, exchange.URL, &http.Client{Transport: &http.Transport{}})
	require.NoError(t, admin.DeleteAPIKey(t.Context(), old.KeyID()))
	return made
}

// keyFileText returns the text of a key file. What a bot reads from its secret
// manager or Kubernetes is the same.
func keyFileText(key kalshitest.Key) string {
	return "KALSHI_API_KEY_ID=" + key.ID + "\n" + key.PrivateKey
}

// newClient returns a client of that base URL which sends with hc.
func newClient(t *testing.T, signer *kalshi.Signer, baseURL string, hc *http.Client, opts ...kalshi.Option) *kalshi.Client {
	t.Helper()
	t.Cleanup(hc.CloseIdleConnections)
	opts = append([]kalshi.Option{kalshi.WithBaseURL(baseURL), kalshi.WithHTTPClient(hc)}, opts...)
	client, err := kalshi.NewClient(signer, opts...)
	require.NoError(t, err)
	return client
}

// newTLSFront starts a server with a certificate that no system trusts. It
// passes all requests to the exchange, with the same path, and notes the
// version of HTTP in X-Front-Proto. newTLSFront returns the base URL, and the
// server for its certificate.
func newTLSFront(t *testing.T, exchange *kalshitest.Server) (string, *httptest.Server) {
	t.Helper()
	target, err := url.Parse(exchange.URL)
	require.NoError(t, err)
	basePath := target.Path
	target.Path = ""
	front := httptest.NewUnstartedServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("X-Front-Proto", r.In.Proto)
		},
	})
	front.EnableHTTP2 = true
	front.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that are meant to fail
	front.StartTLS()
	t.Cleanup(front.Close)
	return front.URL + basePath, front
}

// processed counts the requests with this method that the exchange carried
// out, whether or not its response arrived.
func processed(exchange *kalshitest.Server, method string) (n int) {
	for _, req := range exchange.Requests() {
		if req.Method == method && req.Processed {
			n++
		}
	}
	return n
}
