package kalshi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
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
	forEachCall(t, func(t *testing.T, call apiCall) {
		client, mock := newTestClient(t, WithUserAgent("test"))
		log := respondWith(mock, call.success())
		require.NoError(t, call.do(t.Context(), client))

		sent := log.only(t)
		assert.Equal(t, call.method, sent.method)
		assert.Equal(t, testBaseURL+call.path, sent.url)
		sent.assertSigned(t, publicKey(client))
		assert.Equal(t, call.creates(), sent.body != nil, "there is a body")
		assert.EqualValues(t, len(sent.body), sent.length, "a gateway may not take a body in chunks")
		assert.False(t, sent.resendable)

		want := map[string]string{"Accept": "application/json", "User-Agent": "test"}
		if call.creates() {
			want["Content-Type"] = "application/json"
		}
		for name, value := range want {
			assert.Equal(t, value, sent.header.Get(name))
		}
		assert.Len(t, sent.header, len(want)+3, "what signs, and nothing else")
	})
}

// A failure carries what was sent, the path escaped and without a query, and what the service says.
func TestClient_send_failure(t *testing.T) {
	t.Parallel()
	body := nestedBody("c", "m", "d")
	forEachCall(t, func(t *testing.T, call apiCall) {
		client, mock := newTestClient(t)
		respondWith(mock, respond(403, body))
		var got *ForbiddenError
		require.ErrorAs(t, call.do(t.Context(), client), &got)
		want := APIError{403, "c", "m", "d", call.method, "/some/base/v2" + call.path, []byte(body)}
		assert.Equal(t, want, got.APIError)
	})
	client, mock := newTestClient(t)
	respondWith(mock, respond(403, ""))
	assert.EqualError(t, client.DeleteAPIKey(t.Context(), "a/b"), "kalshi: DELETE /some/base/v2/api_keys/a%2Fb: 403 Forbidden")
}

// A create whose body the transport has read is not retried, whatever the error says.
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

// The error of a context that ended, before or during the call, is found with its cause.
func TestCallError_context(t *testing.T) {
	t.Parallel()
	cause := errors.New("the bot stops")
	forEachCall(t, func(t *testing.T, call apiCall) {
		synctest.Test(t, func(t *testing.T) {
			client, mock := newTestClient(t)
			log := respondWith(mock, func(req *http.Request) (*http.Response, error) {
				<-req.Context().Done()
				return nil, errConnectionLost
			})
			ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
			defer cancel()
			during, before := call.do(ctx, client), call.do(ctx, client)
			log.assertAttempts(t, 1)
			assert.Equal(t, call.creates(), isA[*OutcomeUnknownError](during))
			assert.False(t, isA[*OutcomeUnknownError](before))
			assert.ErrorIs(t, before, cause)
			for _, err := range []error{during, before} {
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, 1, strings.Count(err.Error(), "kalshi:"), err.Error())
			}
		})
	})
}

// That the server just closed an idle connection need not alarm who reads the error.
func TestCallError_connectionClosed(t *testing.T) {
	t.Parallel()
	for cause, closed := range map[error]bool{
		io.EOF:              true,
		io.ErrUnexpectedEOF: true,
		errConnectionLost:   false,
	} {
		client, mock := newTestClient(t)
		respondWith(mock, httpmock.NewErrorResponder(cause))
		_, err := client.GenerateAPIKey(t.Context(), botRequest)
		assert.Equal(t, "Unknown", kindOf(err))
		want := "/some/base/v2/api_keys/generate: "
		if closed {
			want += "the connection was closed before a response arrived: "
		}
		assert.ErrorContains(t, err, want+cause.Error())
	}
}

// What a server sent in the wrong place may be a key: not even the standard library's error shows it.
func TestCallError_quotesNoKey(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString(pkcs8(t, newEd25519Key(t)))
	client, mock := newTestClient(t)
	respondWith(mock, httpmock.NewErrorResponder(fmt.Errorf("malformed HTTP response %q", key)))
	_, err := client.HTTPClient().Get(testBaseURL) //nolint:bodyclose // there is none
	assertNoEcho(t, key, err)
	_, err = client.GetAPIKeys(t.Context())
	assertNoEcho(t, key, err)
	var inner *url.Error
	require.ErrorAs(t, err, &inner)
	assertNoEcho(t, key, inner)
}
