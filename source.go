package kalshi

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// A KeySource returns the API key to sign with now: from a key file ([KeyFile.Load]) or a secret
// manager. Its context, which is no caller's, ends after 30 seconds, which it must honor. It is never
// called again before it has returned. It must not make calls that are signed by the signer it serves.
type KeySource func(ctx context.Context) (Credentials, error)

const (
	sourceTimeout = 30 * time.Second
	sourceGrace   = time.Second // for a source to return after its context has ended
	sourcePause   = time.Second // at least, between two queries after refused keys
)

// A source queries a KeySource: one query at a time, each shared by all who wait for it.
type source struct {
	load KeySource
	held func() *credential                                     // the key that signs now
	take func(c Credentials, err error, held *credential) error // takes over the result of a query
	last atomic.Pointer[sourceQuery]
}

// A sourceQuery is one call of the KeySource.
type sourceQuery struct {
	started time.Time
	done    chan struct{} // closed when err is set
	err     error
}

// refresh waits for a query that started after this call, and returns its error. It starts the
// query unless another caller does, once the earlier one has returned. After a refused key it also
// waits until sourcePause has passed since that started, and returns early if the key is replaced.
func (s *source) refresh(ctx context.Context, refused *credential) error {
	if ctx.Value(s) != nil {
		return errors.New("it made a call that is signed by the signer it serves: give it a client of its own")
	}
	replaced := func() bool { return refused != nil && !refused.same(s.held()) }
	earlier := s.last.Load()
	if earlier != nil {
		err := earlier.wait(ctx)
		if err == nil && refused != nil && !replaced() {
			err = sleep(ctx, time.Until(earlier.started.Add(sourcePause)))
		}
		if err != nil || replaced() {
			return err
		}
	}
	query := &sourceQuery{started: time.Now(), done: make(chan struct{}), err: errors.New("it ended its goroutine")}
	if s.last.CompareAndSwap(earlier, query) {
		go s.run(query, s.held()) //nolint:gosec // no caller's context ends it
	}
	query = s.last.Load()
	if err := query.wait(ctx); err != nil {
		return err
	}
	return query.err
}

// run calls the KeySource. A panic becomes an error without its value, which may hold a key.
func (s *source) run(q *sourceQuery, held *credential) {
	defer close(q.done)
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), s, true), sourceTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			q.err = fmt.Errorf("it panicked with a %T", v)
		}
	}()
	c, err := s.load(ctx)
	q.err = s.take(c, err, held)
}

// wait waits until the query has ended, but no longer than a source may take.
func (q *sourceQuery) wait(ctx context.Context) error {
	limited, cancel := context.WithDeadline(ctx, q.started.Add(sourceTimeout+sourceGrace))
	defer cancel()
	select {
	case <-q.done:
		return nil
	case <-limited.Done():
	}
	select {
	case <-q.done: // long ago
		return nil
	default:
	}
	if err := ended(ctx); err != nil {
		return err
	}
	return fmt.Errorf("it has not returned since %s: it must return when its context ends", q.started.UTC().Format(time.TimeOnly))
}
