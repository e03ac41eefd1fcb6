package kalshi

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"
)

const (
	minBackoff = 100 * time.Millisecond // ceiling of the first wait
	maxBackoff = 5 * time.Second        // ceiling of the later ones
	maxWait    = 30 * time.Second       // of a single wait, Retry-After included
	maxSkew    = 24 * time.Hour         // that is believed: who can have signatures made for the far future can replay them then
)

// A fate is what can be said of an attempt that did not succeed.
type fate int

const (
	neverLeft fate = iota // provably, nothing of it reached the service
	declined              // answered, and not processed
	maybeDone             // it may have been processed
)

// judgeStatus says what a status that is not 2xx means for the attempt, and
// whether another one may go better.
func judgeStatus(status int) (fate, bool) {
	switch {
	case status == http.StatusTooManyRequests:
		return declined, true
	case status >= 520 && status <= 524, // a gateway lost the service's answer
		status == http.StatusInternalServerError, status == http.StatusBadGateway,
		status == http.StatusServiceUnavailable, status == http.StatusGatewayTimeout:
		return maybeDone, true
	case status/100 == 5:
		return maybeDone, false
	default:
		return declined, false
	}
}

// connTrace watches whether an attempt got a connection. Without one, nothing
// of it can have left.
type connTrace struct {
	asked      atomic.Bool
	got, wrote atomic.Int32 // how often it got one, and its headers were written
	hooks      httptrace.ClientTrace
}

func (t *connTrace) attach(ctx context.Context) context.Context {
	t.hooks.GetConn = func(string) { t.asked.Store(true) }
	t.hooks.GotConn = func(httptrace.GotConnInfo) { t.got.Add(1) }
	t.hooks.WroteHeaders = func() { t.wrote.Add(1) }
	return httptrace.WithClientTrace(ctx, &t.hooks)
}

// fate judges an attempt that got no answer. A transport that never asked for
// a connection is one that does not report to traces: it may have sent.
func (t *connTrace) fate() fate {
	if t.asked.Load() && t.got.Load() == 0 {
		return neverLeft
	}
	return maybeDone
}

// resent tells whether an answered attempt was sent more than once beneath us.
// Over HTTP/2 the answer may come before WroteHeaders does.
func (t *connTrace) resent(resp *http.Response) bool {
	return t.wrote.Load() > 1 || resp.ProtoMajor == 2 && t.got.Load() > 1
}

// history is what earlier attempts of one call leave to know.
type history struct {
	retries   int  // of those that WithMaxRetries counts
	maybeDone bool // one of them may have been processed
	clock     bool // one was made for the clock's sake
}

// deleted tells whether a delete that was refused had succeeded before: the
// key is gone, and an earlier attempt, or an earlier sending of this one, may
// have done it. A key that deletes itself is answered with an unknown key ID
// then.
func (h *history) deleted(op *operation, a *attempt) bool {
	if op.method != http.MethodDelete || op.undo || !h.maybeDone && !a.resent {
		return false
	}
	var notFound *NotFoundError
	var unauthorized *UnauthorizedError
	return errors.As(a.err, &notFound) && notFound.structured ||
		errors.As(a.err, &unauthorized) && unauthorized.Details == detailsUnknownKey && op.keyID == a.cred.keyID
}

// again decides whether a failed attempt is followed by another one, and how
// long to wait before it.
func (c *Client) again(ctx context.Context, op *operation, a *attempt, past *history) (wait time.Duration, ok bool) {
	past.maybeDone = past.maybeDone || a.fate == maybeDone
	mended := c.mendAuth(op, a, past)
	switch {
	case ctx.Err() != nil:
		return 0, false
	case mended:
		return 0, true
	case !a.retry, op.mint && a.fate == maybeDone, past.retries >= c.maxRetries:
		return 0, false
	}
	wait = max(c.backoff(past.retries), a.after)
	if deadline, limited := ctx.Deadline(); wait > maxWait || limited && time.Until(deadline) <= wait {
		return 0, false
	}
	past.retries++
	return wait, true
}

// mendAuth sees to the two kinds of 401 that another attempt may mend: the
// credential was replaced under way, or the clocks are apart. Neither request
// was processed.
func (c *Client) mendAuth(op *operation, a *attempt, past *history) bool {
	var unauthorized *UnauthorizedError
	if !errors.As(a.err, &unauthorized) {
		return false
	}
	expired := unauthorized.Code == codeTimestampExpired
	if expired && unauthorized.dated && unauthorized.ClockSkew.Abs() <= maxSkew {
		c.signer.setClockOffset(unauthorized.ClockSkew)
	}
	if op.cred == nil && a.cred != c.signer.cred.Load() {
		return true // each time it is replaced, so that no rotation can fail a call
	}
	if !expired || past.clock {
		return false
	}
	past.clock = true
	moved := (c.signer.clockOffset() - a.offset).Abs()
	underway := a.ended.Round(0).Sub(a.signed.Round(0)) // by the wall clock: a computer that slept counts
	return moved > skewTolerance || underway > skewTolerance
}

// backoff returns the wait before retry n, counted from 0: a random one, up
// to a ceiling that doubles.
func (c *Client) backoff(n int) time.Duration {
	ceiling := maxBackoff
	if n < 6 { // 100 ms · 2⁶ is over 5 s
		ceiling = min(minBackoff<<n, maxBackoff)
	}
	return c.jitter(ceiling)
}

// sleep waits, and gives way to the context.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return withContext(ctx, context.Cause(ctx))
	}
}
