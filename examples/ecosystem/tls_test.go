package ecosystem_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// newTransport returns Go's default transport, but trusting these roots alone:
// for a gateway with a certificate of the company's own, or to pin one.
func newTransport(roots *x509.CertPool) *http.Transport {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	return transport
}

func TestTLS_CustomRoot(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		exchange, signer := newExchange(t)
		baseURL, front := newTLSFront(t, exchange)
		roots := x509.NewCertPool()
		roots.AddCert(front.Certificate())
		transport := newTransport(roots)
		transport.ForceAttemptHTTP2 = proto == "HTTP/2.0"
		client := newClient(t, signer, baseURL, &http.Client{Transport: transport})

		key, err := client.GenerateAPIKey(t.Context(), newKey)
		require.NoError(t, err)
		require.NoError(t, client.DeleteAPIKey(t.Context(), key.ID))
		assert.Equal(t, proto, exchange.Requests()[0].Header.Get("X-Front-Proto"))
	}
}

// Without the root the handshake fails. The error is the standard library's and
// says why. No create request can have been sent.
func TestTLS_UnknownRoot(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	baseURL, _ := newTLSFront(t, exchange)
	hc := &http.Client{Transport: newTransport(x509.NewCertPool())}
	client := newClient(t, signer, baseURL, hc, kalshi.WithMaxRetries(0))

	calls := map[string]func() error{
		"list": func() error {
			_, err := client.GetAPIKeys(t.Context())
			return err
		},
		"generate": func() error {
			_, err := client.GenerateAPIKey(t.Context(), newKey)
			return err
		},
	}
	for name, call := range calls {
		err := call()
		var urlErr *url.Error
		require.ErrorAs(t, err, &urlErr, name)
		var unknownRoot x509.UnknownAuthorityError
		require.ErrorAs(t, err, &unknownRoot, name)
		assert.ErrorContains(t, err, "certificate signed by unknown authority", name)
		var unknown *kalshi.OutcomeUnknownError
		assert.NotErrorAs(t, err, &unknown, name)
	}
	assert.Empty(t, exchange.Requests())
}
