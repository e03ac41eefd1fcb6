package kalshi

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// testBaseURL has a path of its own, so that a call whose path does not start
// from the base URL shows.
const (
	testBaseURL = "https://exchange.test/some/base/v2"
	testKeyID   = "11111111-2222-4333-8444-555555555555"
)

// TestMain keeps what the tests and Examples write together, and removes it.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kalshi-go-test-")
	if err == nil { // else this is a test's child, under another user
		_ = os.Chmod(dir, 0o755) // for that user
		for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
			_ = os.Setenv(name, dir)
		}
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// newEd25519Key makes a key of the type that costs nothing.
func newEd25519Key(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

// testRSAKey is one RSA-2048 key for all tests, since it takes long to make.
var testRSAKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newTestSigner(t testing.TB, key crypto.Signer) *Signer {
	t.Helper()
	signer, err := NewSigner(testKeyID, key)
	require.NoError(t, err)
	return signer
}

// newTestClient returns a client at testBaseURL, with an Ed25519 key and no
// wait between attempts, and the transport that answers it.
func newTestClient(t testing.TB, opts ...Option) (*Client, *httpmock.MockTransport) {
	t.Helper()
	mock := httpmock.NewMockTransport()
	opts = append([]Option{WithBaseURL(testBaseURL), WithHTTPClient(&http.Client{Transport: mock})}, opts...)
	client, err := NewClient(newTestSigner(t, newEd25519Key(t)), opts...)
	require.NoError(t, err)
	client.jitter = noJitter
	return client, mock
}

// newServerClient returns a client for a server that the test has started,
// with no wait between attempts and connections of its own.
func newServerClient(t testing.TB, srv *kalshitest.Server, opts ...Option) *Client {
	t.Helper()
	key, err := ParsePrivateKey([]byte(srv.PrivateKey))
	require.NoError(t, err)
	signer, err := NewSigner(srv.KeyID, key)
	require.NoError(t, err)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	opts = append([]Option{WithBaseURL(srv.URL), WithHTTPClient(&http.Client{Transport: transport})}, opts...)
	client, err := NewClient(signer, opts...)
	require.NoError(t, err)
	client.jitter = noJitter
	return client
}

// noJitter takes the wait out of backoff.
func noJitter(time.Duration) time.Duration { return 0 }
