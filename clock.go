package kalshi

import (
	"context"
	"sync/atomic"
	"time"
)

// A clock is the local clock plus an offset, which is learned from refused timestamps, and doubted.
type clock struct{ nanoseconds atomic.Int64 }

func (c *clock) offset() time.Duration { return time.Duration(c.nanoseconds.Load()) }

// learn sets the offset to what the 401 for a timestamp made with that offset teaches. It reports
// whether a new timestamp may be accepted: one that is more than the tolerance away, the first time,
// or else one without the offset that did not help. So a wrong Date does not stop a client for ever.
func (c *clock) learn(e *UnauthorizedError, offset time.Duration, again bool) (retry bool) {
	taught := offset
	if e.dated && e.ClockSkew.Abs() <= maxSkew {
		taught = e.ClockSkew
		if taught.Abs() <= skewTolerance {
			taught = 0
		}
	}
	moved := e.received.Add(taught).Sub(e.timestamp) // by the wall clock, so that a computer that slept meanwhile counts
	switch {
	case moved.Abs() > skewTolerance && !again:
		c.nanoseconds.Store(int64(taught))
		return true
	case offset != 0:
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
		return ended(ctx)
	}
}
