package kalshi

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/internal/memnet"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const (
	// testBaseURL has a path of its own, so that a call whose path does not start from the base URL
	// shows.
	testBaseURL = "https://exchange.test/some/base/v2"
	testKeyID   = "11111111-2222-4333-8444-555555555555" // signs
	otherKeyID  = "22222222-3333-4444-8555-666666666666" // is deleted
)

// TestMain gives the tests and Examples a temporary folder of their own, and removes it.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kalshi-go-test-")
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		_ = os.Setenv(name, dir)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// An apiCall is one of the four calls, with the response of a success.
type apiCall struct {
	name, method, path string // the path below the base URL
	status             int
	body               string
	do                 func(context.Context, *Client) error
}

// creates reports whether the call makes a key: it must not be processed twice.
func (call apiCall) creates() bool { return call.method == http.MethodPost }

// success responds as the service does.
func (call apiCall) success() httpmock.Responder { return respond(call.status, call.body) }

// lostKind is the kind of the error when a request that may have been processed got no response.
func (call apiCall) lostKind() string {
	if call.creates() {
		return "Unknown"
	}
	return "Transport"
}

// apiCalls are the four calls. New keys are named "bot"; the delete removes otherKeyID.
func apiCalls() []apiCall {
	const generated = `{"api_key_id":"new","private_key":"text"}`
	return []apiCall{
		{"GetAPIKeys", http.MethodGet, "/api_keys", 200, `{"api_keys":[]}`, func(ctx context.Context, c *Client) error {
			_, err := c.GetAPIKeys(ctx)
			return err
		}},
		{"CreateAPIKey", http.MethodPost, "/api_keys", 201, `{"api_key_id":"new"}`, func(ctx context.Context, c *Client) error {
			_, err := c.CreateAPIKey(ctx, CreateAPIKeyRequest{Name: "bot", PublicKey: testPublicKey()})
			return err
		}},
		{"GenerateAPIKey", http.MethodPost, "/api_keys/generate", 201, generated, func(ctx context.Context, c *Client) error {
			_, err := c.GenerateAPIKey(ctx, GenerateAPIKeyRequest{Name: "bot", KeyType: KeyTypeEd25519})
			return err
		}},
		{"DeleteAPIKey", http.MethodDelete, "/api_keys/" + otherKeyID, 204, "", func(ctx context.Context, c *Client) error {
			return c.DeleteAPIKey(ctx, otherKeyID)
		}},
	}
}

// botRequest asks for a key.
var botRequest = GenerateAPIKeyRequest{Name: "bot", KeyType: KeyTypeEd25519, Scopes: []Scope{ScopeRead}}

// forEachCall runs a parallel subtest for each of the four calls.
func forEachCall(t *testing.T, test func(t *testing.T, call apiCall)) {
	for _, call := range apiCalls() {
		t.Run(call.name, func(t *testing.T) {
			t.Parallel()
			test(t, call)
		})
	}
}

// kindOf names the type of a call's error, in the order in which a caller should check for them.
func kindOf(err error) string {
	for _, kind := range []struct {
		name string
		is   bool
	}{
		{"ok", err == nil},
		{"Unknown", isA[*OutcomeUnknownError](err)},
		{"Canceled", errors.Is(err, context.Canceled)},
		{"Validation", isA[*ValidationError](err)},
		{"Invalid", isA[*InvalidResponseError](err)},
		{"BadRequest", isA[*BadRequestError](err)},
		{"Unauthorized", isA[*UnauthorizedError](err)},
		{"Forbidden", isA[*ForbiddenError](err)},
		{"NotFound", isA[*NotFoundError](err)},
		{"Conflict", isA[*ConflictError](err)},
		{"RateLimit", isA[*RateLimitError](err)},
		{"Server", isA[*ServerError](err)},
		{"API", isA[*APIError](err)},
		{"NotSent", isA[*NotSentError](err)},
		{"Transport", isA[*url.Error](err)},
	} {
		if kind.is {
			return kind.name
		}
	}
	return fmt.Sprintf("untyped %T", err)
}

// isA reports whether an error, or one that it wraps, is an E.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// assertClean asserts that a text can stand on one line of a log.
func assertClean(t testing.TB, text string) {
	t.Helper()
	assert.True(t, utf8.ValidString(text), "%q is not UTF-8", text)
	assert.False(t, strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "%q has control characters", text)
	assert.LessOrEqual(t, utf8.RuneCountInString(text), 300, "%q is too long", text)
}

// Error bodies of the service.
const (
	expiredBody    = `{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`
	forbiddenBody  = `{"error":{"code":"insufficient_scope:_write_required","message":"insufficient scope: write required"}}`
	unknownKeyBody = `{"error":{"code":"authentication_error","message":"authentication_error","details":"NOT_FOUND"}}`
	notFoundBody   = `{"error":{"code":"not_found","message":"not found"}}`
)

// respond responds with a status, a body and header fields in pairs.
func respond(status int, body string, header ...string) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		resp := httpmock.NewStringResponse(status, body)
		resp.Request = req
		for i := 0; i+1 < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

// expired refuses a timestamp by a clock that is an hour ahead.
func expired(req *http.Request) (*http.Response, error) {
	return respond(401, expiredBody, "Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))(req)
}

var errConnectionLost = errors.New("connection lost")

// roundTripper is a transport that reports nothing to traces.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// A sentRequest is a request as the transport was handed it.
type sentRequest struct {
	method, url string
	path        string // as it goes over the wire
	header      http.Header
	body        []byte // nil: there was none
	length      int64  // as announced
	resendable  bool   // net/http itself may send the body again
	at          time.Time
}

// A requestLog holds the requests that a transport was handed, in order.
type requestLog struct {
	mu       sync.Mutex
	requests []sentRequest
}

// respondWith has a transport respond to one request after the other, and records them.
func respondWith(mock *httpmock.MockTransport, responders ...httpmock.Responder) *requestLog {
	log := new(requestLog)
	mock.RegisterNoResponder(func(req *http.Request) (*http.Response, error) {
		return responders[min(log.add(req), len(responders))-1](req)
	})
	return log
}

// add records a request and returns how many there have been.
func (l *requestLog) add(req *http.Request) int {
	path, _, _ := strings.Cut(req.URL.RequestURI(), "?")
	sent := sentRequest{
		method: req.Method, url: req.URL.String(), path: path, header: req.Header.Clone(),
		length: req.ContentLength, at: time.Now(),
	}
	if req.Body != nil {
		sent.body, _ = io.ReadAll(req.Body)
	}
	if req.GetBody != nil {
		_, err := req.GetBody()
		sent.resendable = err == nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, sent)
	return len(l.requests)
}

// assertAttempts asserts how many requests there were.
func (l *requestLog) assertAttempts(t testing.TB, want int, msgAndArgs ...any) {
	t.Helper()
	l.mu.Lock() // httpmock may still be responding to a cancelled request
	defer l.mu.Unlock()
	assert.Equal(t, want, len(l.requests), msgAndArgs...) // Len would print the requests
}

// only returns the one request that was sent.
func (l *requestLog) only(t testing.TB) sentRequest {
	t.Helper()
	require.Equal(t, 1, len(l.requests), "requests")
	return l.requests[0]
}

// assertSigned asserts that the headers sign the method and path, with no blank between them, by the
// key of testKeyID, and returns when they say that was.
func assertSigned(t testing.TB, public crypto.PublicKey, h http.Header, methodAndPath string) (at time.Time) {
	t.Helper()
	assert.Equal(t, testKeyID, h.Get("KALSHI-ACCESS-KEY"))
	timestamp := h.Get("KALSHI-ACCESS-TIMESTAMP")
	assertVerifies(t, public, timestamp+methodAndPath, h.Get("KALSHI-ACCESS-SIGNATURE"))
	ms, err := strconv.ParseInt(timestamp, 10, 64)
	assert.NoError(t, err)
	return time.UnixMilli(ms)
}

// assertSigned asserts that the request was signed as it was sent, just then.
func (r sentRequest) assertSigned(t testing.TB, public crypto.PublicKey) {
	t.Helper()
	assert.WithinDuration(t, r.at, assertSigned(t, public, r.header, r.method+r.path), time.Minute)
}

// assertVerifies checks a base64 signature: for RSA with PSS and a salt of 32 bytes, no other.
func assertVerifies(t testing.TB, public crypto.PublicKey, text, signature string) {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(signature)
	if !assert.NoError(t, err) {
		return
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256([]byte(text))
		assert.NoError(t, rsa.VerifyPSS(public, crypto.SHA256, digest[:], raw, &rsa.PSSOptions{SaltLength: 32}), "text %q", text)
	case ed25519.PublicKey:
		assert.True(t, ed25519.Verify(public, []byte(text), raw), "text %q", text)
	default:
		t.Errorf("no such key type: %T", public)
	}
}

// must returns what cannot fail.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// newEd25519Key makes a key of the type that costs nothing.
func newEd25519Key(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

// testRSAKey is one key for all tests, since it takes long to make.
var testRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

// testKeys are one key of each type.
func testKeys(t testing.TB) map[KeyType]crypto.Signer {
	t.Helper()
	return map[KeyType]crypto.Signer{KeyTypeRSA: testRSAKey(), KeyTypeEd25519: newEd25519Key(t)}
}

// testPublicKey is a public key in the form that a CreateAPIKeyRequest takes.
var testPublicKey = sync.OnceValue(func() string {
	return must(MarshalPublicKey(make(ed25519.PublicKey, ed25519.PublicKeySize)))
})

func newTestSigner(t testing.TB, key crypto.Signer) *Signer {
	t.Helper()
	signer, err := NewSigner(testKeyID, key)
	require.NoError(t, err)
	return signer
}

// newTestClient returns a client at testBaseURL without waits, and the transport that responds to it.
func newTestClient(t testing.TB, opts ...Option) (*Client, *httpmock.MockTransport) {
	t.Helper()
	mock := httpmock.NewMockTransport()
	return newClientAt(t, newTestSigner(t, newEd25519Key(t)), testBaseURL, mock, opts), mock
}

// publicKey returns the public half of the key that the client signs with.
func publicKey(c *Client) crypto.PublicKey { return c.signer.cred.Load().key.Public() }

// newExchange starts a stand-in that has the key that apiCalls delete, and returns a client that
// signs with its first key, with no wait between attempts. They talk in memory: it runs in a bubble.
func newExchange(t testing.TB, opts ...Option) (*Client, *kalshitest.Server) {
	t.Helper()
	listener := memnet.Listen()
	exchange, transport := kalshitest.NewServer(kalshitest.WithListener(listener)), listener.Transport()
	t.Cleanup(exchange.Close)
	t.Cleanup(transport.CloseIdleConnections)
	exchange.AddKey(kalshitest.Key{ID: otherKeyID})

	signer, err := NewSignerFromPEM(exchange.KeyID, []byte(exchange.PrivateKey))
	require.NoError(t, err)
	return newClientAt(t, signer, exchange.URL, transport, opts), exchange
}

func newClientAt(t testing.TB, signer *Signer, baseURL string, transport http.RoundTripper, opts []Option) *Client {
	t.Helper()
	opts = append([]Option{WithBaseURL(baseURL), WithHTTPClient(&http.Client{Transport: transport})}, opts...)
	client, err := NewClient(signer, opts...)
	require.NoError(t, err)
	client.jitter = func(time.Duration) time.Duration { return 0 } // no wait in backoff
	return client
}

// intercept has a function send the client's requests, which is handed the transport.
func intercept(c *Client, handle func(req *http.Request, send roundTripper) (*http.Response, error)) {
	hc := *c.httpClient
	send := hc.Transport.RoundTrip
	hc.Transport = roundTripper(func(req *http.Request) (*http.Response, error) { return handle(req, send) })
	c.httpClient = &hc
}

// requireWorks requires that the key that the client signs with works.
func requireWorks(t testing.TB, client *Client) {
	t.Helper()
	_, err := client.GetAPIKeys(context.Background())
	require.NoError(t, err)
}

var noSave = SaveFunc(func(context.Context, Credentials) error { return nil })

// credentials returns a key of testKeyID or another ID.
func credentials(t testing.TB, keyID string, key crypto.Signer) Credentials {
	t.Helper()
	c, err := NewCredentials(keyID, key)
	require.NoError(t, err)
	return c
}

var keyLikeRun = regexp.MustCompile(`[A-Za-z0-9+/=_.-]{12,}`)

// assertNoEcho fails if an error has 12 characters in a row of the input, or of its hexadecimal form.
func assertNoEcho(t testing.TB, input string, err error) {
	t.Helper()
	if block, _ := pem.Decode([]byte(input)); block != nil {
		input += fmt.Sprintf("\n%x\n%X", block.Bytes, block.Bytes)
	}
	for _, run := range keyLikeRun.FindAllString(err.Error(), -1) {
		for i := 0; i+12 <= len(run); i++ {
			if strings.Contains(input, run[i:i+12]) {
				t.Errorf("the error quotes its input, after %q", err.Error()[:min(40, len(err.Error()))])
				return
			}
		}
	}
}

// assertInvalid fails unless err is a *ValidationError that contains all words.
func assertInvalid(t testing.TB, err error, words ...string) {
	t.Helper()
	var invalid *ValidationError
	if assert.ErrorAs(t, err, &invalid) {
		for _, word := range words {
			assert.Contains(t, err.Error(), word)
		}
	}
}

// assertSameKey fails unless want and got are the same private key.
func assertSameKey(t testing.TB, want, got crypto.Signer) {
	t.Helper()
	key, ok := want.(interface{ Equal(crypto.PrivateKey) bool })
	assert.True(t, ok && key.Equal(got), "got another key, of type %T", got)
}

func assertMode0600(t testing.TB, path string) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, fs.FileMode(0o600), info.Mode())
	}
}

// names lists the entries of a folder.
func names(t testing.TB, dir string) []string {
	t.Helper()
	list, err := fs.Glob(os.DirFS(dir), "*")
	require.NoError(t, err)
	return list
}

// generatedKey returns a response of GenerateAPIKey with a new key.
func generatedKey(t testing.TB) *GenerateAPIKeyResponse {
	t.Helper()
	text := must(MarshalPrivateKey(newEd25519Key(t)))
	return &GenerateAPIKeyResponse{ID: testKeyID, KeyType: KeyTypeEd25519, PrivateKey: text}
}

// A remoteKey hides a key as a KMS does, keeps what it was asked to sign and fails on demand.
type remoteKey struct {
	key crypto.Signer
	err error

	mu     sync.Mutex
	signed []byte
	opts   crypto.SignerOpts
}

func (k *remoteKey) Public() crypto.PublicKey { return k.key.Public() }

func (k *remoteKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.signed, k.opts = digest, opts
	if k.err != nil {
		return nil, k.err
	}
	return k.key.Sign(random, digest, opts)
}

// inBubble runs a parallel test where waiting takes no time.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if fips140.Enabled() {
		t.Skip("FIPS 140 takes its entropy from a clock that moves")
	}
	t.Parallel()
	synctest.Test(t, test)
}

func nestedBody(code, message, details string) string {
	return fmt.Sprintf(`{"error":{"code":%q,"message":%q,"details":%q}}`, code, message, details)
}
