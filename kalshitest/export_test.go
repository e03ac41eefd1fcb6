package kalshitest

import "time"

// WithClock replaces the local clock.
func WithClock(now func() time.Time) Option {
	return func(c *config) { c.now = now }
}

// WirePath is wirePath.
var WirePath = wirePath

// Record is record: it keeps a request as if it had arrived.
func (s *Server) Record(r *Request) { s.record(r) }
