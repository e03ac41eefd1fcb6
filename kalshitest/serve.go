package kalshitest

// The path of a request through the server: record, fault, routing, endpoint.

import (
	"context"
	"net/http"
	"path"
	"strings"
)

// serve is the handler of every request. It records the request, and applies the
// first fault that matches or else responds as the exchange does.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if control := s.controls(r); control != nil {
		control.ServeHTTP(w, r)
		return
	}
	in := s.receive(r)
	if hook := s.config.requestHook; hook != nil {
		defer func() {
			var done Request
			s.update(func() { done = in.record.clone() })
			hook(done)
		}()
	}
	out := &responseWriter{ResponseWriter: w, onHeader: func(status int) {
		if _, ok := w.Header()["Date"]; !ok {
			w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
		}
		s.update(func() { in.record.Status = status })
	}}
	if fault, ok := s.takeFault(in.record); ok {
		s.applyFault(fault, out, in)
	} else {
		s.exchange(out, in)
	}
	out.finish()
}

// controls returns the handler of a request that is not for the exchange, or nil.
func (s *Server) controls(r *http.Request) http.Handler {
	if !strings.HasPrefix(wirePath(r.RequestURI), controlPath) {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.control
}

// exchange responds as the exchange does.
func (s *Server) exchange(w http.ResponseWriter, in *incoming) {
	out := &responseWriter{ResponseWriter: w, onHeader: func(status int) {
		if status == http.StatusSwitchingProtocols || status/100 == 2 {
			s.update(func() { in.record.Processed = true })
		}
	}}
	s.route(in).ServeHTTP(out, in.request())
	out.finish()
}

// route returns the handler for a request: an endpoint, or the response to a
// request that reaches none.
func (s *Server) route(in *incoming) http.Handler {
	s.mu.Lock()
	mux := s.mux
	s.mu.Unlock()
	_, pattern := mux.Handler(in.request())
	escaped, subtree := in.record.Path, strings.HasSuffix(pattern, "/")
	bare := strings.TrimRight(escaped, "/")
	switch {
	case in.tooLarge:
		return textResponse(http.StatusRequestEntityTooLarge, "request entity too large")
	case escaped != "/" && path.Clean(escaped) != bare:
		return notFound()
	case escaped != "/" && escaped != bare && !subtree:
		if in.record.RawQuery != "" {
			bare += "?" + in.record.RawQuery
		}
		return http.RedirectHandler(bare, http.StatusMovedPermanently)
	case pattern == "":
		return notFound()
	}
	caller, failure := s.authenticate(in)
	switch {
	case failure != nil:
		return failure
	case caller.FCMSubtraderID != "" && underBase(escaped):
		return forbidden()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

// callerKey is the context key of the [Key] that signed a request.
type callerKey struct{}

// underBase reports whether path is the path of a REST endpoint.
func underBase(path string) bool {
	return path == basePath || strings.HasPrefix(path, basePath+"/")
}
