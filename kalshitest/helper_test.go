package kalshitest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// client is a client of the tests' own: it signs, sends and reads.
type client struct {
	http  *http.Client
	url   string
	keyID string
	key   crypto.Signer
	now   func() time.Time
}

// reply is a response as the client saw it.
type reply struct {
	status int
	header http.Header
	body   string
	err    error // of the request or of the body
}

func newServer(t *testing.T, opts ...kalshitest.Option) *kalshitest.Server {
	t.Helper()
	s := kalshitest.NewServer(opts...)
	t.Cleanup(s.Close)
	return s
}

// newClient returns a client that signs with the server's first key.
func newClient(t *testing.T, s *kalshitest.Server) *client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{
		http: &http.Client{
			Transport:     transport,
			Timeout:       30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		url:   s.URL,
		keyID: s.KeyID,
		key:   parsePrivateKey(t, s.PrivateKey),
		now:   time.Now,
	}
}

// as returns a client that signs with another key.
func (c *client) as(t *testing.T, k kalshitest.Key) *client {
	t.Helper()
	other := *c
	other.keyID, other.key = k.ID, parsePrivateKey(t, k.PrivateKey)
	return &other
}

// do signs and sends a request whose path is below the base. The edits see it
// after it was signed.
func (c *client) do(method, path, body string, edits ...func(*http.Request)) reply {
	req, err := http.NewRequest(method, c.url+path, strings.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	timestamp := strconv.FormatInt(c.now().UnixMilli(), 10)
	signedPath, _, _ := strings.Cut(req.URL.RequestURI(), "?")
	authenticate(req, c.keyID, timestamp, sign(c.key, timestamp+method+signedPath))
	for _, edit := range edits {
		edit(req)
	}
	return c.send(req)
}

func (c *client) send(req *http.Request) reply {
	res, err := c.http.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return reply{status: res.StatusCode, header: res.Header, body: string(body), err: err}
}

func authenticate(req *http.Request, keyID, timestamp, signature string) {
	req.Header.Set("KALSHI-ACCESS-KEY", keyID)
	req.Header.Set("KALSHI-ACCESS-TIMESTAMP", timestamp)
	req.Header.Set("KALSHI-ACCESS-SIGNATURE", signature)
}

// sign signs text the way that goes with the type of the key.
func sign(key crypto.Signer, text string) string {
	if _, ok := key.Public().(*rsa.PublicKey); ok {
		return signPSS(key, text, 32)
	}
	return encode(key.Sign(rand.Reader, []byte(text), crypto.Hash(0)))
}

func signPSS(key crypto.Signer, text string, saltLength int) string {
	digest := sha256.Sum256([]byte(text))
	return encode(key.Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: saltLength, Hash: crypto.SHA256}))
}

func encode(signature []byte, err error) string {
	if err != nil {
		return "unsigned: " + err.Error()
	}
	return base64.StdEncoding.EncodeToString(signature)
}

func parsePrivateKey(t *testing.T, text string) crypto.Signer {
	t.Helper()
	block, rest := pem.Decode([]byte(text))
	require.NotNil(t, block, "no PEM")
	require.Empty(t, rest)
	if block.Type == "RSA PRIVATE KEY" {
		key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
		require.NoError(t, err)
		return key
	}
	require.Equal(t, "PRIVATE KEY", block.Type)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	return key.(crypto.Signer)
}

// publicPEM is the public half in the form in which it is registered.
func publicPEM(t *testing.T, public crypto.PublicKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// rsaKey is one RSA key for all tests, since they are slow to make.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// jsonText is v as JSON, for request bodies.
func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("not JSON: %v", err))
	}
	return string(text)
}

func ptr[T any](v T) *T { return &v }
