package kalshi

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What follows an attempt: the retry policy as a table.
func TestDecide(t *testing.T) {
	t.Parallel()
	const (
		retry   = "retry"
		resign  = "sign again, not counted"
		fails   = "error"
		unknown = "outcome unknown"
	)
	failure := errors.New("failure")
	result := func(outcome outcome, retryable bool) attemptResult {
		return attemptResult{err: failure, outcome: outcome, retryable: retryable, keyID: "named"}
	}
	resignable := result(outcomeRejected, false)
	resignable.signAgain = true
	goesOn, none := retryState{maxRetries: 2}, retryState{maxRetries: 0}
	ended := retryState{maxRetries: 2, ended: true}
	tests := []struct {
		happened            string
		result              attemptResult
		state               retryState
		retries             int
		list, create, order string // what follows
	}{
		{"success", attemptResult{}, goesOn, 0, "success", "success", "success"},
		{"429", result(outcomeRejected, true), goesOn, 0, retry, retry, fails},
		{"5xx that a retry may resolve", result(outcomeUnknown, true), goesOn, 0, retry, unknown, fails},
		{"any other 5xx", result(outcomeUnknown, false), goesOn, 0, fails, unknown, fails},
		{"any other status", result(outcomeRejected, false), goesOn, 0, fails, fails, fails},
		{"no connection", result(outcomeNotSent, true), goesOn, 0, retry, retry, fails},
		{"key that cannot sign", result(outcomeNotSent, false), goesOn, 0, fails, fails, fails},
		{"401 that a signature may resolve", resignable, goesOn, 0, resign, resign, resign},

		{"429, the last retry but one used", result(outcomeRejected, true), goesOn, 1, retry, retry, fails},
		{"429, all retries used", result(outcomeRejected, true), goesOn, 2, fails, fails, fails},
		{"429, retries turned off", result(outcomeRejected, true), none, 0, fails, fails, fails},
		{"401 that a signature may resolve, retries turned off", resignable, none, 0, resign, resign, resign},

		{"429 and the context has ended", result(outcomeRejected, true), ended, 0, fails, fails, fails},
		{"response lost and the context has ended", result(outcomeUnknown, true), ended, 0, fails, unknown, fails},
		{"no connection and the context has ended", result(outcomeNotSent, true), ended, 0, fails, fails, fails},
		{"401 that a signature may resolve and the context has ended", resignable, ended, 0, fails, fails, fails},
	}
	list, order := operation{name: "GetAPIKeys"}, operation{noRetry: true}
	create := operation{name: "CreateAPIKey", creates: true, keyName: "bot"}
	lost := &OutcomeUnknownError{Operation: "CreateAPIKey", KeyName: "bot", KeyID: "named", Err: failure}
	for _, tt := range tests {
		t.Run(tt.happened, func(t *testing.T) {
			t.Parallel()
			tt.state.jitter, tt.state.remaining, tt.state.retries = fullJitter, math.MaxInt64, tt.retries
			decisions := map[string]decision{
				"success": {stop: true},
				fails:     {stop: true, err: failure},
				unknown:   {stop: true, err: lost},
				resign:    {},
				retry:     {wait: minBackoff << tt.retries, counted: true},
			}
			decided := func(op operation) decision {
				return decide(&op, tt.state, &tt.result)
			}
			assert.Equal(t, decisions[tt.list], decided(list), "list, delete, GET of the caller's own")
			assert.Equal(t, decisions[tt.create], decided(create), "create")
			assert.Equal(t, decisions[tt.order], decided(order), "any other request")
		})
	}
}

// fullJitter waits as long as jitter may.
func fullJitter(ceiling time.Duration) time.Duration { return ceiling }

// The wait is the longer one of backoff and Retry-After, at most 30 s, and not past the deadline.
func TestDecide_wait(t *testing.T) {
	t.Parallel()
	const forever = time.Duration(math.MaxInt64)
	tests := []struct {
		name                  string
		retries               int
		retryAfter, remaining time.Duration
		want                  time.Duration // 0: no retry
	}{
		{"first", 0, 0, forever, 100 * time.Millisecond},
		{"doubles", 1, 0, forever, 200 * time.Millisecond},
		{"doubles until the ceiling", 5, 0, forever, 3200 * time.Millisecond},
		{"ceiling", 6, 0, forever, 5 * time.Second},
		{"ceiling, however many there were", 1000, 0, forever, 5 * time.Second},
		{"Retry-After, spread", 0, 7 * time.Second, forever, 7100 * time.Millisecond},
		{"Retry-After never shortens the backoff", 6, time.Second, forever, 5 * time.Second},
		{"the longest Retry-After", 0, 29900 * time.Millisecond, forever, 30 * time.Second},
		{"a longer Retry-After", 0, 29901 * time.Millisecond, forever, 0},
		{"an endless Retry-After", 0, forever, forever, 0},
		{"before the deadline", 0, 9900 * time.Millisecond, 10*time.Second + 1, 10 * time.Second},
		{"at the deadline", 0, 9900 * time.Millisecond, 10 * time.Second, 0},
		{"past the deadline", 6, 0, time.Second, 0},
	}
	for _, tt := range tests {
		result := attemptResult{err: errConnectionLost, outcome: outcomeRejected, retryable: true, retryAfter: tt.retryAfter}
		waits := 0 // that are drawn
		jitter := func(ceiling time.Duration) time.Duration { waits++; return ceiling }
		state := retryState{maxRetries: math.MaxInt, jitter: jitter, retries: tt.retries, remaining: tt.remaining}
		want := decision{wait: tt.want, counted: true}
		if tt.want == 0 {
			want = decision{stop: true, err: errConnectionLost}
		}
		assert.Equal(t, want, decide(&operation{}, state, &result), tt.name)
		assert.LessOrEqual(t, waits, map[bool]int{true: 1, false: 2}[tt.retryAfter == 0], tt.name)
	}
}

func TestClassifyStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		outcome   outcome
		retryable bool
		statuses  []int
	}{
		{outcomeRejected, true, []int{429}},
		{outcomeUnknown, true, []int{500, 502, 503, 504, 520, 521, 522, 523, 524}},
		{outcomeUnknown, false, []int{302, 303, 408, 499, 501, 505, 507, 511, 519, 525, 599, 600, 999}},
		{outcomeRejected, false, []int{300, 301, 304, 307, 308, 400, 401, 403, 404, 407, 409, 418, 428, 430, 498}},
	}
	for _, tt := range tests {
		for _, status := range tt.statuses {
			result, retryable := classifyStatus(status)
			assert.Equal(t, []any{tt.outcome, tt.retryable}, []any{result, retryable}, status)
		}
	}
}

// Jitter is full, so that clients which failed together do not come back together.
func TestClient_do_jitter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		client, mock := newTestClient(t, WithMaxRetries(1))
		unchanged, err := NewClient(client.signer)
		require.NoError(t, err)
		client.jitter = unchanged.jitter
		respondWith(mock, respond(503, ""))
		short, long := time.Hour, time.Duration(0)
		for range 200 {
			start := time.Now()
			_, err := client.GetAPIKeys(t.Context())
			require.Error(t, err)
			short, long = min(short, time.Since(start)), max(long, time.Since(start))
		}
		assert.Less(t, short, 20*time.Millisecond)
		assert.Greater(t, long, 80*time.Millisecond)
		assert.Less(t, long, 100*time.Millisecond)
	})
}

// Without time for another attempt the error is the service's, which says more.
func TestClient_do_deadline(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		client, mock := newTestClient(t, WithMaxRetries(10))
		client.jitter = fullJitter
		log := respondWith(mock, respond(429, ""))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := client.GetAPIKeys(ctx)
		assert.Equal(t, "RateLimit", kindOf(err))
		assert.NotErrorIs(t, err, context.DeadlineExceeded)
		log.assertAttempts(t, 4) // at 0, 100, 300 and 700 ms
		assert.Equal(t, 700*time.Millisecond, time.Since(start))
	})
}

// The error is both the context's, with its cause, and the service's.
func TestClient_do_cancelledWhileWaiting(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		client, mock := newTestClient(t)
		log := respondWith(mock, respond(429, "", "Retry-After", "20"))
		cause := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(cause) })
		start := time.Now()
		_, err := client.GenerateAPIKey(ctx, botRequest)
		assert.Equal(t, time.Second, time.Since(start))
		log.assertAttempts(t, 1)
		assert.Equal(t, "Canceled", kindOf(err), "a 429 was not processed")
		assert.ErrorIs(t, err, cause)
		assert.True(t, isA[*RateLimitError](err))
	})
}

// drop loses the connection before a response arrives.
func drop(*http.Request) (*http.Response, error) { return nil, errConnectionLost }

// A delete that finds the key gone has succeeded only if an earlier attempt may have removed it.
func TestClient_DeleteAPIKey_alreadyDeleted(t *testing.T) {
	t.Parallel()
	var (
		notFound   = respond(404, notFoundBody)
		page       = respond(404, `<html>not found</html>`)
		noRoute    = respond(404, nestedBody("no_route", "no Route matched with those values", ""))
		failed     = respond(503, ``)
		tooMany    = respond(429, ``)
		unknownKey = respond(401, unknownKeyBody)
		badSign    = respond(401, nestedBody("authentication_error", "", detailsWrongSignature))
	)
	type responders []httpmock.Responder
	tests := []struct {
		name, id  string
		responses responders
		want      string
	}{
		{"at once", otherKeyID, responders{notFound}, "NotFound"},
		{"after a 5xx", otherKeyID, responders{failed, notFound}, "ok"},
		{"after a lost response", otherKeyID, responders{drop, notFound}, "ok"},
		{"after a 5xx, a gateway's page", otherKeyID, responders{failed, page}, "NotFound"},
		{"after a 5xx, a gateway's JSON", otherKeyID, responders{failed, noRoute}, "NotFound"},
		{"after a 429", otherKeyID, responders{tooMany, notFound}, "NotFound"},
		{"after a refused timestamp", otherKeyID, responders{expired, notFound}, "NotFound"},
		{"after a 5xx and a 429", otherKeyID, responders{failed, tooMany, notFound}, "ok"},
		{"own key unknown at once", testKeyID, responders{unknownKey}, "Unauthorized"},
		{"own key unknown after a lost response", testKeyID, responders{drop, unknownKey}, "ok"},
		{"own key unknown after a 429", testKeyID, responders{tooMany, unknownKey}, "Unauthorized"},
		{"own key, wrong signature after a 5xx", testKeyID, responders{failed, badSign}, "Unauthorized"},
		{"another key, own unknown after a 5xx", otherKeyID, responders{failed, unknownKey}, "Unauthorized"},
	}
	for _, tt := range tests {
		client, mock := newTestClient(t)
		log := respondWith(mock, tt.responses...)
		assert.Equal(t, tt.want, kindOf(client.DeleteAPIKey(t.Context(), tt.id)), tt.name)
		log.assertAttempts(t, len(tt.responses), tt.name)
	}
	client, mock := newTestClient(t)
	respondWith(mock, failed, notFound)
	_, err := client.GetAPIKeys(t.Context())
	assert.Equal(t, "NotFound", kindOf(err), "this is for deletes alone")
}

// Once an attempt counts as not sent, a transport that still holds its body can no longer send it.
func TestClient_send_sealsTheBody(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t, WithMaxRetries(1))
	var kept []io.ReadCloser
	mock.RegisterNoResponder(func(req *http.Request) (*http.Response, error) {
		kept = append(kept, req.Body)
		return nil, errConnectionLost
	})
	_, err := client.GenerateAPIKey(t.Context(), botRequest)
	assert.Equal(t, "NotSent", kindOf(err))
	require.Len(t, kept, 2, "it was not sent, so it is tried again")
	for _, body := range kept {
		sent, err := io.ReadAll(body)
		assert.ErrorContains(t, err, "the request has ended")
		assert.Empty(t, sent)
	}
}
