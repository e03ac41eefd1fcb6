package kalshi

import (
	"context"
	"sync/atomic"
	"time"
)

// A clock is the local clock plus an offset, which is learned from refused timestamps and doubted
// when it does not help. A nil clock has the offset 0.
type clock struct{ nanoseconds atomic.Int64 }

func (c *clock) offset() time.Duration {
	if c == nil {
		return 0
	}
	return time.Duration(c.nanoseconds.Load())
}

// A refusedTimestamp is a timestamp that the service did not accept.
type refusedTimestamp struct {
	timestamp time.Time
	offset    time.Duration // that the timestamp was made with
	received  time.Time     // when the response arrived, by the local clock
	skew      time.Duration // the service's clock minus the local one then
	dated     bool          // the response says so
	again     bool          // it is not the first of its call
}

// learn sets the offset to what a refused timestamp teaches, and reports whether a new timestamp
// may be accepted: one that is more than the tolerance away from the refused one, or one without an
// offset that did not help. The latter keeps a wrong Date header, set by a proxy or frozen in a
// cache, from stopping the client for ever.
func (c *clock) learn(r refusedTimestamp) (retry bool) {
	taught := r.offset
	if r.dated && r.skew.Abs() <= maxSkew {
		taught = r.skew
		if taught.Abs() <= skewTolerance {
			taught = 0
		}
	}
	// By the wall clock, so that a computer that slept meanwhile counts.
	moved := r.received.Round(0).Add(taught).Sub(r.timestamp.Round(0))
	switch {
	case moved.Abs() > skewTolerance && !r.again:
		c.nanoseconds.Store(int64(taught))
		return true
	case r.offset != 0:
		c.nanoseconds.Store(0)
		return true
	}
	return false
}

// sleep waits for d, or until ctx is done.
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
