package kalshi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClient_send_request(t *testing.T) {
	t.Parallel()
	for keyType, key := range testKeys(t) {
		forEachCall(t, func(t *testing.T, call apiCall) {
			client, mock := newTestClient(t, WithUserAgent("test"))
			client.signer = newTestSigner(t, key)
			log := respondWith(mock, call.success())
			require.NoError(t, call.do(t.Context(), client), keyType)

			sent := log.only(t)
			assert.Equal(t, call.method, sent.method)
			assert.Equal(t, testBaseURL+call.path, sent.url)
			sent.assertSigned(t, key.Public())
			names := []string{"Accept", "User-Agent", headerKey, headerTimestamp, headerSignature}
			if call.creates() {
				names = append(names, "Content-Type")
				assert.Equal(t, "application/json", sent.header.Get("Content-Type"))
			}
			assert.Equal(t, call.creates(), sent.body != nil, "there is a body")
			assert.False(t, sent.resendable)
			assert.ElementsMatch(t, names, slices.Collect(maps.Keys(sent.header)), "and nothing else")
			assert.Equal(t, "application/json", sent.header.Get("Accept"))
			assert.Equal(t, "test", sent.header.Get("User-Agent"))
		})
	}
}

func TestClient_send_any2xx(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		for _, status := range []int{200, 201, 202, 204, 299} {
			client, mock := newTestClient(t)
			respondWith(mock, respond(status, call.body))
			assert.NoError(t, call.do(t.Context(), client), status)
		}
	})
}

// A failure carries what was sent and all that the service says; the path is
// the escaped one and has no query.
func TestClient_send_failure(t *testing.T) {
	t.Parallel()
	const body = `{"error":{"code":"c","message":"m","details":"d"}}`
	forEachCall(t, func(t *testing.T, call apiCall) {
		client, mock := newTestClient(t)
		respondWith(mock, respond(403, body))
		var got *ForbiddenError
		require.ErrorAs(t, call.do(t.Context(), client), &got)
		want := APIError{StatusCode: 403, Code: "c", Message: "m", Details: "d", Method: call.method, Path: "/some/base/v2" + call.path, Body: []byte(body)}
		assert.Equal(t, want, got.APIError)
	})
	client, mock := newTestClient(t)
	respondWith(mock, respond(403, ""))
	_, err := client.GetAPIKeys(t.Context())
	assert.EqualError(t, err, "kalshi: GET /some/base/v2/api_keys: 403 Forbidden")
	_, err = client.GetAPIKeys(t.Context(), ForSubtrader("user1_desk2"))
	assert.EqualError(t, err, "kalshi: GET /some/base/v2/api_keys: 403 Forbidden (FCMSubtraderID is for FCM members only: leave it out for other accounts)")
	assert.EqualError(t, client.DeleteAPIKey(t.Context(), "a/b"), "kalshi: DELETE /some/base/v2/api_keys/a%2Fb: 403 Forbidden")
}

func TestClient_ready(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		assertInvalid(t, call.do(t.Context(), new(Client)), "kalshi: client", "NewClient")
		assertInvalid(t, call.do(t.Context(), nil), "kalshi: client", "NewClient")
		client, mock := newTestClient(t)
		var none context.Context
		assertInvalid(t, call.do(none, client), "kalshi: context is nil")
		assert.Zero(t, mock.GetTotalCallCount())
	})
}

// The transport's error stays within reach; its text is not repeated. Without
// a report to traces the request may have been sent, whatever the error says,
// so a create is not sent again.
func TestCallError(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: fmt.Errorf("connection\nrefused: %w", syscall.ECONNREFUSED)}
	forEachCall(t, func(t *testing.T, call apiCall) {
		client, mock := newTestClient(t)
		log := respondWith(mock, httpmock.NewErrorResponder(refused))
		err := call.do(t.Context(), client)
		log.assertAttempts(t, map[bool]int{true: 1, false: 3}[call.creates()])
		assert.Equal(t, call.lostKind(), kindOf(err))
		assert.ErrorContains(t, err, call.method+" /some/base/v2"+call.path+": dial tcp: connection refused")
		assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		assert.ErrorAs(t, err, new(net.Error))
		assert.Equal(t, 1, strings.Count(err.Error(), call.path), err.Error())
	})
}

// The error of a context that has ended is found whatever a transport makes of
// it, with its cause, and whether it ended before the call or during it.
func TestCallError_context(t *testing.T) {
	t.Parallel()
	cause := errors.New("the bot stops")
	silent := roundTripper(func(req *http.Request) (*http.Response, error) {
		<-req.Context().Done()
		return nil, errConnectionLost
	})
	withCause := func(ctx context.Context) (context.Context, func()) {
		ctx, cancel := context.WithCancelCause(ctx)
		return ctx, func() { cancel(cause) }
	}
	deadline := func(ctx context.Context) (context.Context, func()) {
		return context.WithTimeoutCause(ctx, time.Second, cause)
	}
	for want, newContext := range map[error]func(context.Context) (context.Context, func()){context.Canceled: withCause, context.DeadlineExceeded: deadline} {
		for _, early := range []bool{false, true} {
			forEachCall(t, func(t *testing.T, call apiCall) {
				synctest.Test(t, func(t *testing.T) {
					client, mock := newTestClient(t)
					log := respondWith(mock, silent.RoundTrip)
					ctx, cancel := newContext(t.Context())
					time.AfterFunc(2*time.Second, cancel)
					attempts := 1
					if early {
						<-ctx.Done()
						attempts = 0
					}
					err := call.do(ctx, client)
					assert.ErrorIs(t, err, want)
					assert.Equal(t, call.creates() && !early, isA[*OutcomeUnknownError](err))
					if early {
						assert.ErrorIs(t, err, cause)
					}
					assert.Equal(t, 1, strings.Count(err.Error(), "kalshi:"), err.Error())
					log.assertAttempts(t, attempts)
				})
			})
		}
	}
}

// A user who reads why the outcome of a create is unknown need not be alarmed
// when the server just closed a connection that had been idle.
func TestCallError_connectionClosed(t *testing.T) {
	t.Parallel()
	const closed = "the connection was closed before a response arrived: "
	for cause, want := range map[error]string{
		io.EOF:              closed,
		io.ErrUnexpectedEOF: closed,
		&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}: closed,
		&net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", syscall.EPIPE)}:    closed,
		errors.New("http: server closed idle connection"):                                         closed,
		errConnectionLost:        "",
		context.DeadlineExceeded: "",
	} {
		client, mock := newTestClient(t)
		respondWith(mock, httpmock.NewErrorResponder(cause))
		_, err := client.GenerateAPIKey(t.Context(), botRequest)
		assert.Equal(t, "Unknown", kindOf(err))
		assert.ErrorContains(t, err, "/some/base/v2/api_keys/generate: "+want+cause.Error())
	}
}

// The time-out of the HTTP client is one attempt's, and no end of the context.
func TestCallError_timeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var attempts int
		client, _ := newTestClient(t, WithHTTPClient(&http.Client{Timeout: time.Second, Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			attempts++
			<-req.Context().Done()
			return nil, context.Cause(req.Context())
		})}))
		start := time.Now()
		_, err := client.GetAPIKeys(t.Context())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, "3 3s", fmt.Sprint(attempts, " ", time.Since(start)))
	})
}

// Each attempt sends all of the request, signed anew: an old timestamp would
// be refused after a long wait.
func TestClient_do_signsEachAttempt(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		synctest.Test(t, func(t *testing.T) {
			client, mock := newTestClient(t)
			tooMany := respond(429, "", "Retry-After", "20")
			log := respondWith(mock, tooMany, tooMany, call.success())
			require.NoError(t, call.do(t.Context(), client))
			log.assertAttempts(t, 3)
			for i, sent := range log.requests {
				sent.assertSigned(t, publicKey(client))
				assert.Equal(t, strconv.FormatInt(sent.at.UnixMilli(), 10), sent.header.Get(headerTimestamp))
				assert.Equal(t, time.Duration(i)*20*time.Second, sent.at.Sub(log.requests[0].at))
				assert.Equal(t, string(log.requests[0].body), string(sent.body))
			}
			assert.Equal(t, call.creates(), len(log.requests[0].body) > 0)
		})
	})
}

// The length of a body is announced: a gateway may not take one in chunks. And
// net/http must have no means to send it a second time.
func TestClient_newRequest_body(t *testing.T) {
	t.Parallel()
	client, _ := newTestClient(t)
	req, err := client.newRequest(t.Context(), &operation{method: http.MethodPost, path: pathAPIKeys, body: []byte("12345")}, new(sentTrace))
	require.NoError(t, err)
	assert.EqualValues(t, 5, req.ContentLength)
	assert.Nil(t, req.GetBody)
}
