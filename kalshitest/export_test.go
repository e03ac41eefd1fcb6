package kalshitest

import (
	"net/http"
	"time"
)

// WithClock replaces the local clock.
func WithClock(now func() time.Time) Option {
	return func(c *config) { c.now = now }
}

// WirePath is wirePath.
var WirePath = wirePath

// Record is record: it keeps a request as if it had arrived.
func (s *Server) Record(r *Request) { s.record(r) }

// Recorded is how many requests are kept: Requests copies them all.
func (s *Server) Recorded() int { return len(s.requests) }

// Diagnose authenticates a request as if it had arrived, and returns what is said
// about it.
func (s *Server) Diagnose(r *Request) string {
	s.authenticate(&incoming{http: &http.Request{Host: "127.0.0.1"}, record: r})
	return r.Diagnosis
}
