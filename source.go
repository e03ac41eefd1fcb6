package kalshi

// Where a Signer gets its key again when the service no longer accepts it.

import (
	"context"
	"fmt"
	"time"
)

// A KeySource returns the API key to sign with now: from a key file
// ([KeyFile.Load]) or a secret manager. It may be called from several
// goroutines. Its context ends after 30 seconds and does not belong to any one
// call, since many may wait for its result.
type KeySource func(ctx context.Context) (Credentials, error)

const (
	sourceTimeout = 30 * time.Second
	sourcePause   = time.Second // at least, between two queries after refused keys
)

// A sourceQuery is one call of the source.
type sourceQuery struct {
	started time.Time
	done    chan struct{} // closed when err is set
	err     error
}

// NewSignerFromSource returns a signer with the key that the source returns
// now. When the service no longer accepts that key, the client's calls and
// those through [Client.HTTPClient] ask the source again, at most once a
// second, and go on with the key it returns then. So a bot follows a rotation
// that another process made, with no failed call.
//
// The error of a source that fails is found with errors.Is and errors.As.
func NewSignerFromSource(ctx context.Context, source KeySource) (*Signer, error) {
	s := &Signer{rotating: make(chan struct{}, 1), source: source}
	if source == nil {
		return nil, invalid("key source", "is nil: give one such as KeyFile(path).Load")
	}
	if err := s.Reload(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Replace switches the signer to another key, at once for everything that
// holds it: for a secret manager that calls back when the key was rotated.
// Requests under way that are then refused are signed again by the client. It
// returns a [*ValidationError] for what [NewSigner] does not accept. It does
// not tell the signer's source, which is asked again when the key is refused.
func (s *Signer) Replace(c Credentials) error {
	if _, err := s.credential(); err != nil {
		return err
	}
	cred, err := c.credential()
	if err == nil {
		s.cred.Store(cred)
	}
	return err
}

// Reload asks the signer's source now, and switches to the key that it returns,
// at once for everything that holds the signer: for a SIGHUP, say. When the
// source returns the key that signs already, nothing changes. A signer that has
// no source returns a [*ValidationError].
func (s *Signer) Reload(ctx context.Context) error {
	switch {
	case s == nil || s.source == nil:
		return invalid("signer", "has no key source: make it with NewSignerFromSource, or call Replace")
	case ctx == nil:
		return invalid("context", "is nil: use context.Background()")
	}
	s.mu.Lock()
	query := s.startQuery()
	s.mu.Unlock()
	select {
	case <-query.done:
		return query.err
	case <-ctx.Done():
		return fmt.Errorf("kalshi: waiting for the key source: %w", withContext(ctx, context.Cause(ctx)))
	}
}

// startQuery queries the source in a new goroutine. No caller's context ends the
// query, so that none can cancel it for the others. The caller holds mu.
func (s *Signer) startQuery() *sourceQuery {
	query := &sourceQuery{started: time.Now(), done: make(chan struct{})}
	s.query = query
	current := s.cred.Load()
	go func() {
		defer close(query.done)
		cred, err := s.load()
		switch {
		case err != nil:
			query.err = newRedactedError("kalshi: the key source failed: "+innerMessage(err), err)
		case current == nil || !current.same(cred):
			s.cred.CompareAndSwap(current, cred) // a late result undoes no rotation
		}
	}()
	return query
}

// load calls the source. It does not wait for one that ignores its context.
func (s *Signer) load() (*credential, error) {
	ctx, cancel := context.WithTimeout(context.Background(), sourceTimeout)
	defer cancel()
	type result struct {
		cred *credential
		err  error
	}
	results := make(chan result, 1)
	go func() {
		found, err := s.source(ctx)
		if err != nil {
			results <- result{err: err}
			return
		}
		cred, err := found.credential()
		results <- result{cred, err}
	}()
	select {
	case r := <-results:
		return r.cred, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("it did not return within %v: %w", sourceTimeout, ctx.Err())
	}
}

// follow waits until the signer no longer holds the refused key, or until a query
// that started after this call has ended. It starts one at most once a second,
// and callers that wait share the result.
func (s *Signer) follow(ctx context.Context, refused *credential) error {
	s.mu.Lock()
	tooOld := s.query
	s.mu.Unlock()
	var query *sourceQuery // asked after the refusal
	var done chan struct{} // of query
	for refused.same(s.cred.Load()) {
		pause := sourcePause
		if query == nil {
			s.mu.Lock()
			switch {
			case s.query != tooOld:
				query = s.query
			case tooOld == nil || time.Since(tooOld.started) >= sourcePause:
				query = s.startQuery()
			default:
				pause = time.Until(tooOld.started.Add(sourcePause))
			}
			s.mu.Unlock()
		}
		if query != nil {
			done = query.done
		}
		select {
		case <-done:
			return query.err
		case <-tooOld.pending(): // it may have brought another key
		case <-time.After(pause): // and so may a rotation or Replace
		case <-ctx.Done():
			return withContext(ctx, context.Cause(ctx))
		}
	}
	return nil
}

// pending returns a channel that is closed when a query that is still running
// ends; otherwise nil, which is never ready.
func (q *sourceQuery) pending() <-chan struct{} {
	if q == nil {
		return nil
	}
	select {
	case <-q.done:
		return nil
	default:
		return q.done
	}
}
