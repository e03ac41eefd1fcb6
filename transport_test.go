package kalshi

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is learned from a refused timestamp, and whether it is worth signing
// again: once, if the offset moves or the request was long under way.
func TestAuthenticator_recover(t *testing.T) {
	t.Parallel()
	expired := func(skew time.Duration) *UnauthorizedError {
		return &UnauthorizedError{APIError: APIError{StatusCode: 401, Code: codeTimestampExpired}, ClockSkew: skew, dated: true}
	}
	undated := expired(0)
	undated.dated = false
	other := expired(time.Hour)
	other.Code = "authentication_error"
	tests := []struct {
		name     string
		before   time.Duration // the offset that is known
		err      error
		underway time.Duration // from signing to the response
		offset   time.Duration // known afterwards
		again    bool
	}{
		{"behind", 0, expired(time.Hour), 0, time.Hour, true},
		{"ahead", 0, expired(-time.Minute), 0, -time.Minute, true},
		{"a day behind", 0, expired(24 * time.Hour), 0, 24 * time.Hour, true},
		{"more than a day behind", 0, expired(24*time.Hour + 1), 0, 0, false},
		{"more than a day ahead", 0, expired(-24*time.Hour - 1), 0, 0, false},
		{"the clocks agree", 0, expired(5 * time.Second), 0, 0, false},
		{"the clocks agree again", time.Hour, expired(0), 0, 0, true},
		{"the offset was right already", time.Hour, expired(time.Hour + 5*time.Second), 0, time.Hour + 5*time.Second, false},
		{"long under way", 0, expired(0), 6 * time.Second, 0, true},
		{"not so long under way", 0, expired(0), 5 * time.Second, 0, false},
		{"no date", time.Hour, undated, 0, time.Hour, false},
		{"no date and long under way", time.Hour, undated, 6 * time.Second, time.Hour, true},
		{"another 401", 0, other, time.Hour, 0, false},
		{"another error", 0, errConnectionLost, time.Hour, 0, false},
		{"success", 0, nil, time.Hour, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				signer := newTestSigner(t, newEd25519Key(t))
				signer.setClockOffset(tt.before)
				auth := authenticator{signer: signer}
				req, err := http.NewRequest(http.MethodGet, testBaseURL, nil)
				require.NoError(t, err)
				require.NoError(t, auth.sign(req))
				again, err := auth.recover(t.Context(), tt.err, time.Now().Add(tt.underway))
				assert.Equal(t, tt.again, again)
				assert.Equal(t, tt.err, err)
				assert.Equal(t, tt.offset, signer.clockOffset())
				again, _ = auth.recover(t.Context(), tt.err, time.Now().Add(tt.underway))
				assert.False(t, again, "once")
			})
		})
	}
}

// A call that a rotation overtakes is refused with the old key, which is gone,
// and succeeds with the new one. It was not processed, so this holds for
// creates too, and it is not one of the retries that WithMaxRetries counts.
func TestClient_do_credentialReplaced(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		client, mock := newTestClient(t, WithMaxRetries(0))
		next, err := newCredential(otherKeyID, newEd25519Key(t))
		require.NoError(t, err)
		log := respondWith(mock, func(req *http.Request) (*http.Response, error) {
			client.signer.cred.Store(next)
			return respond(401, `{"error":{"details":"NOT_FOUND"}}`)(req)
		}, call.success())
		require.NoError(t, call.do(t.Context(), client))
		log.assertAttempts(t, 2)
		assert.Equal(t, testKeyID, log.requests[0].header.Get(headerKey))
		assert.Equal(t, otherKeyID, log.requests[1].header.Get(headerKey))
	})
}

// What the current credential is refused for is final, also after it was
// replaced; and a call with a credential of its own keeps it.
func TestClient_do_credentialReplacedInVain(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	next, err := newCredential(otherKeyID, newEd25519Key(t))
	require.NoError(t, err)
	log := respondWith(mock, func(req *http.Request) (*http.Response, error) {
		client.signer.cred.Store(next)
		return respond(401, "{}")(req)
	})
	own := client.signer.cred.Load()
	_, err = client.GetAPIKeys(t.Context())
	assert.Equal(t, "Unauthorized", kindOf(err))
	log.assertAttempts(t, 2)

	_, err = client.list(t.Context(), own)
	assert.Equal(t, "Unauthorized", kindOf(err))
	log.assertAttempts(t, 3)
	assert.Equal(t, testKeyID, log.requests[2].header.Get(headerKey))
}
