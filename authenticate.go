package kalshi

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Signs the attempts of a call, and says what a 401 is worth.

// maxSkew is the largest clock skew that is corrected. A server that could obtain
// signatures for the far future could replay them later.
const maxSkew = 24 * time.Hour

// An authenticator signs the attempts of one call.
type authenticator struct {
	signer *Signer
	fixed  *credential // signs instead of the signer's own, if set

	// Of the last attempt:
	used     *credential
	signedAt time.Time     // by the local clock
	offset   time.Duration // of the service's clock, as it was known then

	clockCorrected bool          // one attempt was made for the clock; there is no second
	refused        []*credential // after which the source was asked
}

// sign signs one attempt.
func (a *authenticator) sign(req *http.Request) error {
	a.used, a.signedAt, a.offset = a.fixed, time.Now(), a.signer.clockOffset()
	if a.used == nil {
		a.used = a.signer.cred.Load()
	}
	return a.used.setHeaders(req.Header, a.signedAt.Add(a.offset), req.Method, signedPath(req.URL))
}

// recover reports whether a failed attempt is worth signing and sending again:
// its key was replaced meanwhile, its timestamp was out of bounds, or the
// signer's source has another key. It learns the service's clock and the key on
// the way. If not, it returns the error of the call.
func (a *authenticator) recover(ctx context.Context, err error, received time.Time) (signAgain bool, _ error) {
	refusal, ok := errors.AsType[*UnauthorizedError](err)
	if !ok {
		return false, err
	}
	a.learnClock(refusal)
	switch {
	case a.fixed == nil && !a.used.same(a.signer.cred.Load()):
		return true, err // each time it is replaced, so that no rotation can fail a call
	case refusal.Code == codeTimestampExpired:
		return a.clockMoved(received), err
	case a.fixed == nil && a.signer.source != nil && refusal.aboutKey():
		return a.askSource(ctx, err)
	}
	return false, err
}

// learnClock takes over the service's clock from a refused timestamp.
func (a *authenticator) learnClock(e *UnauthorizedError) {
	if e.Code == codeTimestampExpired && e.dated && e.ClockSkew.Abs() <= maxSkew {
		a.signer.setClockOffset(e.ClockSkew)
	}
}

// clockMoved reports whether a new timestamp would differ much from the refused
// one, since the offset changed or the request was long under way. It returns
// true at most once a call.
func (a *authenticator) clockMoved(received time.Time) bool {
	if a.clockCorrected {
		return false
	}
	a.clockCorrected = true
	moved := (a.signer.clockOffset() - a.offset).Abs()
	underway := received.Round(0).Sub(a.signedAt.Round(0)) // by the wall clock: a computer that slept counts
	return moved > skewTolerance || underway > skewTolerance
}

// askSource reports whether the signer's source has a key that this call has
// not had refused yet.
func (a *authenticator) askSource(ctx context.Context, refusal error) (bool, error) {
	a.refused = append(a.refused, a.used)
	err := a.signer.follow(ctx, a.used)
	if !slices.ContainsFunc(a.refused, a.signer.cred.Load().same) {
		return true, refusal
	}
	text := strings.TrimPrefix(refusal.Error(), "kalshi: ") + "; "
	switch {
	case err == nil:
		return false, &multiError{text + "the key source gave the same key", []error{refusal}}
	case ctx.Err() != nil:
		text += "waiting for the key source: "
	}
	return false, &multiError{text + strings.TrimPrefix(err.Error(), "kalshi: "), []error{refusal, err}}
}
