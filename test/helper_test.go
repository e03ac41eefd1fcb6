package test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/internal/memnet"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const (
	always         = -1               // has a fault happen to every request
	attemptTimeout = 30 * time.Second // the default one of a client's attempt
	stageTimeout   = 60 * time.Second // of each stage of a rotation once its key is made
)

type fault = kalshitest.Fault

// An exchange is a stand-in for the service that holds a key to delete, and
// the transport that leads to it.
type exchange struct {
	*kalshitest.Server
	transport *http.Transport
}

// spareKeyID is the key that the delete of [calls] removes.
const spareKeyID = "22222222-3333-4444-8555-666666666666"

// inMemory starts an exchange for a bubble, where waiting takes no time.
func inMemory(t testing.TB, opts ...kalshitest.Option) *exchange {
	t.Helper()
	listener := memnet.Listen()
	return start(t, listener.Transport(), append(opts, kalshitest.WithListener(listener))...)
}

// onLoopback starts an exchange for suites that need a real socket.
func onLoopback(t testing.TB, opts ...kalshitest.Option) *exchange {
	t.Helper()
	return start(t, new(http.Transport), opts...)
}

func start(t testing.TB, transport *http.Transport, opts ...kalshitest.Option) *exchange {
	t.Helper()
	x := &exchange{kalshitest.NewServer(opts...), transport}
	t.Cleanup(x.Close)
	t.Cleanup(transport.CloseIdleConnections)
	x.AddKey(kalshitest.Key{ID: spareKeyID, Name: "spare"})
	return x
}

// client returns a client that signs with the exchange's first key.
func (x *exchange) client(opts ...kalshi.Option) *kalshi.Client {
	return x.clientOf(newSigner(x.KeyID, x.PrivateKey), opts...)
}

// clientOf returns a client that shares a signer, and the exchange's transport
// with the default time-out.
func (x *exchange) clientOf(signer *kalshi.Signer, opts ...kalshi.Option) *kalshi.Client {
	hc := &http.Client{Transport: x.transport, Timeout: attemptTimeout}
	opts = append([]kalshi.Option{kalshi.WithBaseURL(x.URL), kalshi.WithHTTPClient(hc)}, opts...)
	return must1(kalshi.NewClient(signer, opts...))
}

func newSigner(keyID, privateKey string) *kalshi.Signer {
	return must1(kalshi.NewSignerFromPEM(keyID, []byte(privateKey)))
}

// newSourceSigner returns a signer that has a source, which has not failed yet.
func newSourceSigner(source kalshi.KeySource) *kalshi.Signer {
	return must1(kalshi.NewSignerFromSource(context.Background(), source))
}

// credentials returns those of the exchange's first key.
func (x *exchange) credentials() kalshi.Credentials {
	return parsed(kalshitest.Key{ID: x.KeyID, PrivateKey: x.PrivateKey})
}

// parsed returns the credentials of a key of the exchange.
func parsed(key kalshitest.Key) kalshi.Credentials {
	return credentials(key.ID, must1(kalshi.ParsePrivateKey([]byte(key.PrivateKey))))
}

// list makes the call that changes nothing.
func list(ctx context.Context, c *kalshi.Client) error {
	_, err := c.GetAPIKeys(ctx)
	return err
}

// assertRequests checks how many requests have arrived so far.
func (x *exchange) assertRequests(t testing.TB, want int) {
	t.Helper()
	assert.Equal(t, want, len(x.Requests()), "requests that arrived") // Len would print their headers
}

// keyIDs returns the IDs of the keys that exist now.
func (x *exchange) keyIDs() (ids []string) {
	for _, key := range x.Keys() {
		ids = append(ids, key.ID)
	}
	return ids
}

// A call is one of the four calls.
type call struct {
	name, method string
	do           func(context.Context, *kalshi.Client) error
}

// creates reports whether the call makes a key, so that it must not be processed twice.
func (c call) creates() bool { return c.method == http.MethodPost }

// calls are the four calls. Those that make a key give it that name.
func calls(keyName string) []call {
	return []call{
		{"GetAPIKeys", http.MethodGet, list},
		{"CreateAPIKey", http.MethodPost, func(ctx context.Context, c *kalshi.Client) error {
			_, err := c.CreateAPIKey(ctx, kalshi.CreateAPIKeyRequest{Name: keyName, PublicKey: publicKey()})
			return err
		}},
		{"GenerateAPIKey", http.MethodPost, func(ctx context.Context, c *kalshi.Client) error {
			_, err := c.GenerateAPIKey(ctx, kalshi.GenerateAPIKeyRequest{Name: keyName, KeyType: kalshi.KeyTypeEd25519})
			return err
		}},
		{"DeleteAPIKey", http.MethodDelete, func(ctx context.Context, c *kalshi.Client) error { return c.DeleteAPIKey(ctx, spareKeyID) }},
	}
}

const order = `{"ticker":"TEST-26OCT15","side":"yes","count":1}`

// handleBot serves what a bot calls all day, and counts the orders that were placed.
func (x *exchange) handleBot() (orders *atomic.Int64) {
	orders = new(atomic.Int64)
	x.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	x.Handle("POST /trade-api/v2/portfolio/orders", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && string(body) == order {
			orders.Add(1)
		}
	}))
	return orders
}

// getBalance and placeOrder are such calls, as a bot makes them.
func getBalance(hc *http.Client, baseURL string) error {
	return checked(hc.Get(baseURL + "/portfolio/balance?subaccount=1"))
}

func placeOrder(hc *http.Client, baseURL string) error {
	return checked(hc.Post(baseURL+"/portfolio/orders", "application/json", strings.NewReader(order)))
}

func checked(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := kalshi.CheckResponse(resp); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// forEachCall runs a test for each call, in parallel, each in a bubble of its own.
func forEachCall(t *testing.T, test func(t *testing.T, call call)) {
	t.Parallel()
	for _, call := range calls("bot") {
		runInBubble(t, call.name, func(t *testing.T) { test(t, call) })
	}
}

// runInBubble runs a parallel subtest in a bubble of its own.
func runInBubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { inBubble(t, test) })
}

// inBubble runs a parallel test where waiting takes no time.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	bubble(t, test)
}

func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	if fips140.Enabled() {
		t.Skip("under FIPS 140, random numbers need a clock that moves while code runs")
	}
	synctest.Test(t, test)
}

// publicKey is the text of a public key whose private half nobody has.
var publicKey = sync.OnceValue(func() string { return must1(kalshi.MarshalPublicKey(newKey().Public())) })

func newKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return must1(key, err)
}

// rsaKey is one RSA key for all tests, since it takes long to make.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must1(rsa.GenerateKey(rand.Reader, 2048)) })

// pemText is a private key as PEM text.
func pemText(key crypto.Signer) string { return must1(kalshi.MarshalPrivateKey(key)).Reveal() }

// pemOf returns the text as a response to GenerateAPIKey holds it.
func pemOf(text string) (key kalshi.PrivateKeyPEM) {
	_ = key.UnmarshalText([]byte(text)) // never fails
	return key
}

// credentials are those of a key.
func credentials(keyID string, key crypto.Signer) kalshi.Credentials {
	return must1(kalshi.NewCredentials(keyID, key))
}

// must1 returns what cannot fail.
func must1[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// noSave saves nothing.
var noSave = kalshi.SaveFunc(func(context.Context, kalshi.Credentials) error { return nil })

// isA reports whether an error, or one it wraps, is an E.
func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// kindOf names the type of a call's error, in the order in which a caller should check for them.
func kindOf(err error) string {
	for _, kind := range []struct {
		name string
		is   bool
	}{
		{"ok", err == nil},
		{"Unknown", isA[*kalshi.OutcomeUnknownError](err)},
		{"Canceled", errors.Is(err, context.Canceled)},
		{"Timeout", errors.Is(err, context.DeadlineExceeded)},
		{"Validation", isA[*kalshi.ValidationError](err)},
		{"Invalid", isA[*kalshi.InvalidResponseError](err)},
		{"BadRequest", isA[*kalshi.BadRequestError](err)},
		{"Unauthorized", isA[*kalshi.UnauthorizedError](err)},
		{"Forbidden", isA[*kalshi.ForbiddenError](err)},
		{"NotFound", isA[*kalshi.NotFoundError](err)},
		{"Conflict", isA[*kalshi.ConflictError](err)},
		{"RateLimit", isA[*kalshi.RateLimitError](err)},
		{"Server", isA[*kalshi.ServerError](err)},
		{"API", isA[*kalshi.APIError](err)},
		{"NotSent", isA[*kalshi.NotSentError](err)},
		{"Transport", isA[*url.Error](err)},
	} {
		if kind.is {
			return kind.name
		}
	}
	return fmt.Sprintf("untyped %T", err)
}

// roundTripper is a transport that reports nothing to traces.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// respond responds with a status and a body.
func respond(req *http.Request, status int, body string) (*http.Response, error) {
	resp := httpmock.NewStringResponse(status, body)
	resp.Request = req
	return resp, nil
}

// hijack writes raw bytes in place of a response and closes the connection.
func hijack(wire string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte(wire))
			_ = conn.Close()
		}
	}
}

// Error bodies of the service.
const (
	expiredBody        = `{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`
	forbiddenBody      = `{"error":{"code":"insufficient_scope:_write_required","message":"insufficient scope: write required"}}`
	unknownKeyBody     = `{"error":{"code":"authentication_error","message":"authentication_error","details":"NOT_FOUND"}}`
	notFoundBody       = `{"error":{"code":"not_found","message":"not found"}}`
	wrongSignatureBody = `{"error":{"code":"authentication_error","details":"INCORRECT_API_KEY_SIGNATURE"}}`
)

// assertErrorText checks that an error has one of the documented types and a
// text that fits one line of a log.
func assertErrorText(t testing.TB, err error) {
	t.Helper()
	if !assert.Error(t, err) {
		return
	}
	assert.NotContains(t, kindOf(err), "untyped")
	text := err.Error()
	assert.True(t, strings.HasPrefix(text, "kalshi: "), text)
	assert.True(t, utf8.ValidString(text), "%q", text)
	assert.False(t, strings.ContainsFunc(text, unicode.IsControl), "%q", text)
	assert.LessOrEqual(t, utf8.RuneCountInString(text), 300, text)
}
