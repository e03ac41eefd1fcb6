package kalshi

import (
	"context"
	"net/http"
	"slices"
	"time"
)

const (
	minBackoff = 100 * time.Millisecond // ceiling of the first wait
	maxBackoff = 5 * time.Second        // ceiling of the later ones
	maxWait    = 30 * time.Second       // of a single wait, Retry-After included
	spread     = 100 * time.Millisecond // of those who were asked to wait for the same time
)

// An operation is what a call sends.
type operation struct {
	name   string // the Client's method
	method string
	path   string // below the base URL, escaped
	query  string // encoded
	body   []byte

	creates bool   // a key: retried only if it was certainly not processed
	keyName string // of the key that is created
	noRetry bool   // a request of the caller's own that must not be repeated
	oneShot bool   // one with a body that cannot be read again
	signed  bool   // one that came signed
}

// An outcome is what is known about an attempt that did not succeed.
type outcome int

const (
	outcomeNotSent  outcome = iota // nothing of it reached the service
	outcomeRejected                // the service responded, and did not process it
	outcomeUnknown                 // it may have been processed
)

// An attemptResult is the result of one attempt.
type attemptResult struct {
	err        error // nil is success
	outcome    outcome
	retryable  bool          // another attempt may succeed
	retryAfter time.Duration // from the response
	signAgain  bool          // a 401 that another signature may resolve
	keyID      string        // of the new key, if the response names it in spite of err
}

// A retryState is what decide knows about the call beside its last attempt.
type retryState struct {
	maxRetries int
	jitter     func(ceiling time.Duration) time.Duration // in [0, ceiling)
	retries    int                                       // that count against the maximum
	unknown    bool                                      // an earlier attempt may have been processed
	remaining  time.Duration                             // until the context's deadline
	ended      bool                                      // the context has ended
}

// A decision is what follows an attempt.
type decision struct {
	stop    bool
	err     error         // of the call, with stop
	wait    time.Duration // before the next attempt
	counted bool          // against the maximum
}

// decide is the whole retry policy. It is pure.
func decide(op *operation, state retryState, result *attemptResult) decision {
	switch {
	case result.signAgain && !op.oneShot && !state.ended:
		return decision{}
	case op.creates && result.outcome == outcomeUnknown:
		return decision{stop: true, err: &OutcomeUnknownError{Operation: op.name, KeyName: op.keyName, KeyID: result.keyID, Err: result.err}}
	case !result.retryable, state.ended, op.noRetry, state.retries >= state.maxRetries, result.retryAfter > maxWait: // success, too
		return decision{stop: true, err: result.err}
	}
	wait := state.jitter(min(minBackoff<<min(state.retries, 6), maxBackoff)) // 100 ms · 2⁶ is over 5 s
	if result.retryAfter > 0 {
		wait = max(wait, result.retryAfter+state.jitter(spread))
	}
	if wait > maxWait || wait >= state.remaining {
		return decision{stop: true, err: result.err}
	}
	return decision{wait: wait, counted: true}
}

// fail records a response that is not 2xx.
func (r *attemptResult) fail(req *http.Request, resp *http.Response, body []byte, received time.Time) {
	r.err = statusError(req, resp, body, received)
	r.outcome, r.retryable = classifyStatus(resp.StatusCode)
	r.retryAfter = retryAfter(resp.Header, received)
}

// classifyStatus says what a status that is not 2xx means. A 499 is a gateway's that saw its client
// close the connection, 520 to 524 are of one that lost the service's response.
func classifyStatus(status int) (result outcome, retryable bool) {
	switch {
	case status == 429:
		return outcomeRejected, true
	case slices.Contains([]int{500, 502, 503, 504, 520, 521, 522, 523, 524}, status):
		return outcomeUnknown, true
	case status > 500, slices.Contains([]int{302, 303, 408, 499}, status):
		return outcomeUnknown, false
	}
	return outcomeRejected, false
}

const patience = 10 * time.Second // while a new key becomes known everywhere

// patiently tries again while the new key may not be known everywhere yet (undocumented).
func patiently(ctx context.Context, try func() (again bool, err error)) error {
	until := time.Now().Add(patience)
	for wait := minBackoff; ; wait = min(2*wait, time.Second) {
		again, err := try()
		if !again || time.Until(until) < wait || sleep(ctx, wait) != nil {
			return err
		}
	}
}
