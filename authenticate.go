package kalshi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"time"
)

// maxRefused is how many keys of a source one call tries.
const maxRefused = 10

// An authenticator signs the attempts of one call.
type authenticator struct {
	signer       *Signer
	reporter     *reporter
	used         *credential   // by the last attempt
	offset       time.Duration // of the service's clock, as the last attempt knew it
	clockRetries int           // attempts that followed a refused timestamp
	refused      []*credential // that this call does not try again
}

// retry401 takes over the service's clock after an expired timestamp, and the source's key after a
// refused one. It reports whether another signature may be accepted, and returns the call's error.
func (a *authenticator) retry401(ctx context.Context, e *UnauthorizedError) (retry bool, err error) {
	if e.Code == codeTimestampExpired {
		a.clockRetries++
		return a.clockRetries <= 2 && a.signer.clock.learn(e, a.offset, a.clockRetries > 1), e
	}
	a.refused = append(a.refused, a.used)
	switch {
	case a.hasNewKey():
		return true, e
	case a.signer.source == nil || !e.aboutKey() || len(a.refused) == maxRefused:
		return false, e
	}
	what := "gave the same key"
	if err = a.signer.source.refresh(ctx, a.used); err != nil {
		what = "failed: " + innerMessage(err)
	}
	if a.hasNewKey() {
		return true, e
	}
	a.reporter.sourceFailed(ctx, a.used.keyID, what)
	return false, reword(innerMessage(e)+"; the key source "+what, e, err)
}

// hasNewKey reports whether the signer has a key that this call has not had refused.
func (a *authenticator) hasNewKey() bool {
	return !slices.ContainsFunc(a.refused, a.signer.cred.Load().same)
}

// Recover is for requests that are signed by hand, such as the dial of a WebSocket library that
// takes a header. It learns from a 401 what the client's own calls learn: the service's clock, or
// another key from the signer's source, for which it waits until ctx ends. It reports whether to
// sign and send again: once or twice, and not in a loop. It is false for any other response, and nil.
// It reads the headers of resp.Request, and leaves the body readable.
func (s *Signer) Recover(ctx context.Context, resp *http.Response) bool {
	cred := s.credential()
	if cred.key == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized || resp.Request == nil {
		return false
	}
	e := newUnauthorizedError(resp.Request, resp, peekBody(resp), time.Now())
	switch {
	case e.timestamp.UnixMilli() == 0: // it was not signed
		return false
	case e.Code != codeTimestampExpired && e.KeyID != cred.keyID:
		return e.aboutKey() // it was replaced meanwhile
	}
	auth := authenticator{signer: s, used: cred, offset: s.clock.offset()}
	retry, _ := auth.retry401(ctx, e)
	return retry
}

// peekBody returns the body of an error, and leaves the response's as it was.
func peekBody(resp *http.Response) []byte {
	if resp.Body == nil {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
	return body
}
