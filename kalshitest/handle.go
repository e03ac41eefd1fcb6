package kalshitest

// The handlers of a test: other paths of the exchange, and control from outside.

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// A handler is a handler and its pattern for a mux.
type handler struct {
	pattern string
	http.Handler
}

// Handle adds a handler for another path of the exchange. The server checks the key
// ID, the timestamp and the signature of a request before it calls h, and rejects
// keys bound to an FCM subtrader below /trade-api/v2. Scopes and sub-accounts are
// h's to check: it finds the key's ID in the Kalshi-Access-Key header. h may hijack
// the connection, as WebSocket libraries do. A [Response] is a handler that always
// responds alike.
//
// The pattern is that of an [http.ServeMux] with the full path, such as
// "GET /trade-api/v2/portfolio/balance" or "GET /trade-api/ws/v2". A later handler
// for the same pattern takes the place of an earlier one, and of the server's own.
//
// Handle panics if the pattern is malformed or conflicts with another one, if no
// client sends such a request (the pattern has a host, a path outside /trade-api/,
// or a method that is none), and on a Response that cannot be sent.
func (s *Server) Handle(pattern string, h http.Handler) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = "", pattern
	}
	if !isMethod(method) || !strings.HasPrefix(strings.TrimLeft(path, " \t"), "/trade-api/") {
		panic(fmt.Sprintf("kalshitest: Handle: pattern %q matches no request: write one of %s, or no method, "+
			"and the full path without a host, such as \"GET /trade-api/v2/portfolio/balance\"", pattern, strings.Join(methods, ", ")))
	}
	if r, ok := h.(Response); ok {
		if err := r.check(); err != nil {
			panic(fmt.Sprintf("kalshitest: Handle: %v", err))
		}
		r.Header = r.Header.Clone()
		h = r
	}
	s.update(func() {
		handlers := append(without(s.handlers, pattern), handler{pattern, h})
		s.mux = s.newMux(handlers) // or a panic, and nothing has changed
		s.handlers = handlers
	})
}

// ClearHandlers removes all handlers that [Server.Handle] has added.
func (s *Server) ClearHandlers() {
	s.update(func() { s.mux, s.handlers = s.newMux(nil), nil })
}

// newMux returns a mux with the endpoints and the handlers.
func (s *Server) newMux(handlers []handler) *http.ServeMux {
	mux := http.NewServeMux()
	all := s.endpoints()
	for _, h := range handlers {
		all = without(all, h.pattern)
	}
	for _, h := range append(all, handlers...) {
		mux.Handle(h.pattern, h)
	}
	return mux
}

// without returns the handlers of other patterns. The names of wildcards make no
// difference.
func without(handlers []handler, pattern string) []handler {
	normal := func(pattern string) string {
		return wildcardName.ReplaceAllString(strings.Join(strings.Fields(pattern), " "), "{")
	}
	return slices.DeleteFunc(slices.Clone(handlers), func(h handler) bool { return normal(h.pattern) == normal(pattern) })
}

var wildcardName = regexp.MustCompile(`\{\w+`)

// RequireAttestation returns a handler that responds with 403 and
// [AttestationLapsedBody] while the account's location attestation has lapsed: while
// the time given to [Server.SetRegionExpiration] is in the past by the server's
// clock. Otherwise it calls h. A time that was never set has not lapsed.
//
// It is for the handlers of orders. That orders in Sports, Elections and
// Entertainment need an attestation is documented, and the response is observed;
// which orders do is for the test to say:
//
//	exchange.Handle("POST /trade-api/v2/portfolio/orders", exchange.RequireAttestation(orders))
func (s *Server) RequireAttestation(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		expiration := s.regionExpiration
		s.mu.Unlock()
		if !expiration.IsZero() && !s.now().Before(expiration) {
			Response{Status: http.StatusForbidden, Body: AttestationLapsedBody}.ServeHTTP(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// controlPath is the path below which requests are for [Server.HandleControl].
const controlPath = "/kalshitest/"

// HandleControl has h serve the paths below /kalshitest/, which the exchange does
// not have, so that another process can control the server by HTTP. The command
// kalshitest does. Such a request needs no signature, meets no fault and is not
// recorded. Any process on the machine can send one, and web pages can, unless h
// rejects them.
func (s *Server) HandleControl(h http.Handler) {
	s.update(func() { s.control = h })
}
