package kalshi

// Signs each attempt and recovers from the 401s that prove that nothing was
// processed.

import (
	"errors"
	"net/http"
	"time"
)

// maxSkew is the largest skew that is corrected: whoever can have signatures
// made for the far future can replay them then.
const maxSkew = 24 * time.Hour

// An authenticator signs the attempts of one call.
type authenticator struct {
	signer *Signer
	fixed  *credential // signs instead of the signer's own, if set

	// Of the last attempt:
	used     *credential
	signedAt time.Time     // by the local clock
	offset   time.Duration // of the server's clock, as it was known then

	clockCorrected bool // one attempt was made for the clock; there is no second
}

// sign signs one attempt.
func (a *authenticator) sign(req *http.Request) error {
	a.used, a.signedAt, a.offset = a.fixed, time.Now(), a.signer.clockOffset()
	if a.used == nil {
		a.used = a.signer.cred.Load()
	}
	return a.used.setHeaders(req.Header, a.signedAt.Add(a.offset), req.Method, req.URL.RequestURI())
}

// recover reports whether a failed attempt is worth signing and sending again:
// its credential was replaced meanwhile, or its timestamp was out of bounds.
// It learns the server's clock from the latter.
func (a *authenticator) recover(err error, received time.Time) bool {
	unauthorized, ok := errors.AsType[*UnauthorizedError](err)
	if !ok {
		return false
	}
	a.learnClock(unauthorized)
	switch {
	case a.fixed == nil && a.used != a.signer.cred.Load():
		return true // each time it is replaced, so that no rotation can fail a call
	case unauthorized.Code != codeTimestampExpired || a.clockCorrected:
		return false
	}
	a.clockCorrected = true
	moved := (a.signer.clockOffset() - a.offset).Abs()
	underway := received.Round(0).Sub(a.signedAt.Round(0)) // by the wall clock: a computer that slept counts
	return moved > skewTolerance || underway > skewTolerance
}

// learnClock takes over the server's clock from a refused timestamp.
func (a *authenticator) learnClock(e *UnauthorizedError) {
	if e.Code == codeTimestampExpired && e.dated && e.ClockSkew.Abs() <= maxSkew {
		a.signer.setClockOffset(e.ClockSkew)
	}
}
