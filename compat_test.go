package kalshi

// Old names, for the tests that have not moved yet.

import (
	"context"
	"crypto"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

type sentLog = requestLog

func (call apiCall) mints() bool { return call.creates() }

var (
	reply = respond
	lost  = drop
)

func replyInTurn(mock *httpmock.MockTransport, steps ...httpmock.Responder) (attempts *atomic.Int64) {
	attempts = new(atomic.Int64)
	mock.RegisterNoResponder(func(req *http.Request) (*http.Response, error) {
		return steps[min(int(attempts.Add(1)), len(steps))-1](req)
	})
	return attempts
}

func answerWith(mock *httpmock.MockTransport, status int, body string, header ...string) *sentLog {
	return respondWith(mock, respond(status, body, header...))
}

func assertSentSigned(t testing.TB, public crypto.PublicKey, sent sentRequest, path string) {
	t.Helper()
	assert.Equal(t, path, sent.path, "what is sent")
	sent.assertSigned(t, public)
}

type knownCall struct {
	name, method string
	path         string
	mint         bool
	success      int
	answer       string
	do           func(context.Context, *Client) error
}

func knownCalls(testing.TB) (known []knownCall) {
	for _, call := range apiCalls("bot") {
		if call.method == http.MethodDelete {
			call.path = "/api_keys/old"
			call.do = func(ctx context.Context, c *Client) error { return c.DeleteAPIKey(ctx, "old") }
		}
		known = append(known, knownCall{call.name, call.method, call.path, call.creates(), call.status, call.body, call.do})
	}
	return known
}

func isType[T error](err error) bool { return isA[T](err) }

func errorTypes(err error) (names []string) {
	for name, is := range map[string]bool{"OutcomeUnknown": isA[*OutcomeUnknownError](err), "InvalidResponse": isA[*InvalidResponseError](err)} {
		if is {
			names = append(names, name)
		}
	}
	if len(names) == 2 {
		names = []string{"OutcomeUnknown", "InvalidResponse"}
	}
	for _, known := range []struct {
		name string
		is   bool
	}{
		{"BadRequest", isA[*BadRequestError](err)},
		{"Unauthorized", isA[*UnauthorizedError](err)},
		{"Forbidden", isA[*ForbiddenError](err)},
		{"NotFound", isA[*NotFoundError](err)},
		{"Conflict", isA[*ConflictError](err)},
		{"RateLimit", isA[*RateLimitError](err)},
		{"Server", isA[*ServerError](err)},
		{"API", isA[*APIError](err)},
	} {
		if known.is {
			names = append(names, known.name)
		}
	}
	return names
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

func testPublicPEM(testing.TB) string { return testPublicKey() }

var dialer net.Dialer

func startExchange(t testing.TB) *kalshitest.Server {
	t.Helper()
	srv := kalshitest.NewServer()
	t.Cleanup(srv.Close)
	srv.AddKey(kalshitest.Key{ID: otherKeyID})
	return srv
}

func assertRequests(t testing.TB, srv *kalshitest.Server, want int) {
	t.Helper()
	assert.Equal(t, want, len(srv.Requests()))
}

func failFirst(n int64) func(context.Context, string, string) (net.Conn, error) {
	var dials atomic.Int64
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials.Add(1) <= n {
			return nil, errConnectionLost
		}
		return dialer.DialContext(ctx, network, addr)
	}
}
