package kalshi

import (
	"context"
	"errors"
	"math"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fullBackoff waits as long as jitter may.
func fullBackoff(ceiling time.Duration) time.Duration { return ceiling }

// The ceilings of the random waits double from 100 ms to 5 s and stay there,
// however often a call is tried again.
func TestClient_backoffCeilings(t *testing.T) {
	t.Parallel()
	c, mock := newTestClient(t, WithMaxRetries(100))
	replyInTurn(mock, reply(503, ""))
	var got []time.Duration
	c.jitter = func(ceiling time.Duration) time.Duration {
		got = append(got, ceiling)
		return 0
	}
	_, err := c.GetAPIKeys(t.Context())
	require.Error(t, err)
	require.Len(t, got, 100)
	const ms = time.Millisecond
	assert.Equal(t, []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms}, got[:7])
	for _, ceiling := range got[7:] {
		assert.Equal(t, 5*time.Second, ceiling)
	}
}

// Jitter is full: the waits are spread from 0 to the ceiling, so that clients
// which failed together do not come back together.
func TestClient_backoffHasFullJitter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		signer := newTestSigner(t, newEd25519Key(t))
		_, mock := newTestClient(t)
		c, err := NewClient(signer, WithBaseURL(testBaseURL), WithHTTPClient(&http.Client{Transport: mock}), WithMaxRetries(1))
		require.NoError(t, err)
		replyInTurn(mock, reply(503, ""))
		short, long := time.Hour, time.Duration(0)
		for range 200 {
			start := time.Now()
			_, err := c.GetAPIKeys(t.Context())
			require.Error(t, err)
			short, long = min(short, time.Since(start)), max(long, time.Since(start))
		}
		assert.Less(t, short, 20*time.Millisecond)
		assert.Greater(t, long, 80*time.Millisecond)
		assert.Less(t, long, 100*time.Millisecond)
	})
}

// Retry-After is waited for, in seconds or as a date, up to 30 s; a longer one
// is left to the caller.
func TestClient_RetryAfter(t *testing.T) {
	t.Parallel()
	const forever = time.Duration(math.MaxInt64)
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of the clock in a synctest bubble
	date := func(d time.Duration) string { return start.Add(d).Format(http.TimeFormat) }
	tests := []struct {
		name   string
		value  string
		date   string        // the server's clock
		wait   time.Duration // before the second attempt
		refuse time.Duration // or what the error tells, and there is none
	}{
		{name: "not sent", wait: 100 * time.Millisecond},
		{name: "seconds", value: "2", wait: 2 * time.Second},
		{name: "seconds in blanks", value: " 2 ", wait: 2 * time.Second},
		{name: "zero", value: "0", wait: 100 * time.Millisecond},
		{name: "the longest wait", value: "30", wait: 30 * time.Second},
		{name: "too long", value: "31", refuse: 31 * time.Second},
		{name: "far too long", value: "86400", refuse: 24 * time.Hour},
		{name: "over a Duration", value: "9223372037", refuse: forever},
		{name: "over 64 bits", value: "99999999999999999999999", refuse: forever},
		{name: "date", value: date(10 * time.Second), wait: 10 * time.Second},
		{name: "date that is past", value: date(-time.Hour), wait: 100 * time.Millisecond},
		{name: "date too far away", value: date(time.Minute), refuse: time.Minute},
		{name: "date centuries away", value: "Fri, 31 Dec 9999 23:59:59 GMT", refuse: forever},
		{name: "date by the server's clock", value: date(time.Hour + 3*time.Second), date: date(time.Hour), wait: 3 * time.Second},
		{name: "negative", value: "-5", wait: 100 * time.Millisecond},
		{name: "fraction", value: "1.5", wait: 100 * time.Millisecond},
		{name: "nonsense", value: "soon", wait: 100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				synctest.Test(t, func(t *testing.T) {
					c, mock := newTestClient(t)
					c.jitter = fullBackoff
					attempts := replyInTurn(mock, reply(429, "", "Retry-After", tt.value, "Date", tt.date), call.success())
					err := call.do(t.Context(), c)
					assert.Equal(t, tt.wait, time.Since(start))
					if tt.refuse == 0 {
						assert.NoError(t, err)
						return
					}
					assert.EqualValues(t, 1, attempts.Load())
					var limited *RateLimitError
					if assert.ErrorAs(t, err, &limited) {
						assert.Equal(t, tt.refuse, limited.RetryAfter)
					}
				})
			})
		})
	}
}

// Retry-After holds for a 503 too, and never shortens the backoff.
func TestClient_RetryAfter_withBackoff(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		seconds string
		backoff time.Duration
		want    time.Duration
	}{
		{"longer than the backoff", "7", time.Second, 7 * time.Second},
		{"shorter than the backoff", "1", 4 * time.Second, 4 * time.Second},
		{"too long", "31", time.Second, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, mock := newTestClient(t)
				c.jitter = func(time.Duration) time.Duration { return tt.backoff }
				replyInTurn(mock, reply(503, "", "Retry-After", tt.seconds), reply(200, `{"api_keys":[]}`))
				start := time.Now()
				_, err := c.GetAPIKeys(t.Context())
				assert.Equal(t, tt.want, time.Since(start))
				assert.Equal(t, tt.want == 0, err != nil)
			})
		})
	}
}

// A wait that would outlast the context's deadline is not begun: what the
// service said is worth more than "deadline exceeded".
func TestClient_retriesEndBeforeDeadline(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		retryAfter string
		timeout    time.Duration
		attempts   int64
		elapsed    time.Duration
	}{
		{"backoff", "", time.Second, 4, 700 * time.Millisecond}, // at 0, 100, 300 and 700 ms
		{"Retry-After beyond it", "10", 9 * time.Second, 1, 0},
		{"Retry-After up to it", "10", 10 * time.Second, 1, 0},
		{"Retry-After within it", "10", 11 * time.Second, 2, 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				synctest.Test(t, func(t *testing.T) {
					c, mock := newTestClient(t, WithMaxRetries(10))
					c.jitter = fullBackoff
					attempts := replyInTurn(mock, reply(429, "", "Retry-After", tt.retryAfter))
					ctx, cancel := context.WithTimeout(t.Context(), tt.timeout)
					defer cancel()
					start := time.Now()
					err := call.do(ctx, c)
					assert.Equal(t, "RateLimit", kindOf(err))
					assert.NotErrorIs(t, err, context.DeadlineExceeded)
					assert.Equal(t, tt.attempts, attempts.Load())
					assert.Equal(t, tt.elapsed, time.Since(start))
				})
			})
		})
	}
}

// A context that ends during a wait ends the call at once. The error is both
// the context's and the service's.
func TestClient_cancelledWhileWaiting(t *testing.T) {
	t.Parallel()
	cause := errors.New("shutting down")
	tests := []struct {
		name  string
		cause error
	}{{"without a cause", nil}, {"with a cause", cause}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				synctest.Test(t, func(t *testing.T) {
					c, mock := newTestClient(t)
					attempts := replyInTurn(mock, reply(429, "", "Retry-After", "20"))
					ctx, cancel := context.WithCancelCause(t.Context())
					time.AfterFunc(time.Second, func() { cancel(tt.cause) })
					start := time.Now()
					err := call.do(ctx, c)
					assert.Equal(t, time.Second, time.Since(start))
					assert.EqualValues(t, 1, attempts.Load())
					assert.ErrorIs(t, err, context.Canceled)
					assert.Equal(t, tt.cause != nil, errors.Is(err, cause))
					assert.True(t, isA[*RateLimitError](err))
					assert.False(t, isA[*OutcomeUnknownError](err), "a 429 was not processed")
				})
			})
		})
	}
}

// A context that ends during the attempt is found in the error, whatever the
// transport and a cancel cause make of it, and there is no further attempt.
func TestClient_cancelledDuringAttempt(t *testing.T) {
	t.Parallel()
	cause := errors.New("shutting down")
	forEachCall(t, func(t *testing.T, call apiCall) {
		ctx, cancel := context.WithCancelCause(t.Context())
		var attempts int
		c, _ := newTestClient(t, WithHTTPClient(&http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
			attempts++
			cancel(cause)
			return nil, errors.New("gone") // tells nothing of the context
		})}))
		err := call.do(ctx, c)
		assert.ErrorIs(t, err, context.Canceled)
		assert.Equal(t, call.mints(), isA[*OutcomeUnknownError](err))
		assert.Equal(t, 1, attempts)
	})
}
