package kalshitest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"time"
)

// basePath begins the path of every REST endpoint and is part of what a
// client signs.
const basePath = "/trade-api/v2"

// Server is a running stand-in for the exchange: one account, its API keys and
// the endpoints that manage them, on a port of 127.0.0.1 unless [WithListener]
// was given. It is made by [NewServer], its methods are safe for concurrent use, and its fields must
// not be changed.
type Server struct {
	// URL is the base URL to hand to a client, with the path that every
	// endpoint shares, without a trailing slash: http://127.0.0.1:PORT/trade-api/v2
	// unless [WithListener] was given.
	URL string

	// KeyID is the ID of the account's first key, a UUID. The key has full
	// access (read and write) and may be deleted like any other.
	KeyID string

	// PrivateKey is the private half of the first key as PEM text: Ed25519 in
	// PKCS#8 ("PRIVATE KEY"), or RSA in PKCS#1 ("RSA PRIVATE KEY") where
	// [WithRSA] was given.
	PrivateKey string

	config    config
	http      *httptest.Server
	mux       *http.ServeMux
	closing   chan struct{}
	closeOnce sync.Once

	mu               sync.Mutex // guards everything below
	clockOffset      time.Duration
	keys             []storedKey // in order of creation
	regionExpiration time.Time
	requests         []*Request // in order of arrival
	requestBytes     int        // of all of them
	faults           []*queuedFault
}

// config is what the options decide.
type config struct {
	firstKeyType string
	basicLevel   bool
	fcmMember    bool
	listener     net.Listener
	requestHook  func(Request)
	now          func() time.Time
}

// Option changes what [NewServer] starts.
type Option func(*config)

// WithRSA makes the first key an RSA key of 2048 bits instead of an Ed25519
// one. Making it costs about a tenth of a second.
func WithRSA() Option {
	return func(c *config) { c.firstKeyType = keyTypeRSA }
}

// WithBasicUsageLevel puts the account on a usage level below Premier and
// Market Maker, which registering a public key (POST /api_keys) is documented
// to require: it is answered 403. Without this option it is allowed.
func WithBasicUsageLevel() Option {
	return func(c *config) { c.basicLevel = true }
}

// WithFCMMember makes the account an FCM member, which may bind keys to its
// subtraders. Without this option a request with an fcm_subtrader_id is
// answered 403, as documented.
func WithFCMMember() Option {
	return func(c *config) { c.fcmMember = true }
}

// WithListener serves on a listener of the caller's instead of a new loopback
// port: one in memory, so that tests run in no time inside testing/synctest, or
// one on a fixed port, for other processes. [Server.Close] closes it. The host
// in [Server.URL] is the listener's address, or "localhost" where that is no
// TCP address.
func WithListener(l net.Listener) Option {
	return func(c *config) { c.listener = l }
}

// WithRequestHook calls hook once for each request that arrives, when the server
// is done with it: after the response was written, the connection was closed by
// a [Fault], or a handler given to [Server.Handle] has returned. The client may
// see the response before the hook is called, and [Server.Close] waits for it.
// The hook runs in the goroutine that serves the request, so it must be safe for
// concurrent use. The Request is the hook's own.
func WithRequestHook(hook func(Request)) Option {
	return func(c *config) { c.requestHook = hook }
}

// NewServer starts a server with one key of full access. The caller should
// call [Server.Close] when finished with it. NewServer panics if no loopback
// port is available, as [httptest.NewServer] does.
func NewServer(opts ...Option) *Server {
	cfg := config{firstKeyType: keyTypeEd25519, now: time.Now}
	for _, opt := range opts {
		opt(&cfg)
	}
	s := &Server{config: cfg, mux: http.NewServeMux(), closing: make(chan struct{})}
	s.routeKeys()
	first := s.AddKey(Key{Type: cfg.firstKeyType})
	s.KeyID, s.PrivateKey = first.ID, first.PrivateKey

	listener, host := cfg.listener, "localhost"
	if listener == nil {
		// httptest would fall back to IPv6; this server promises 127.0.0.1.
		var err error
		if listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			panic(fmt.Sprintf("kalshitest: no loopback port to listen on: %v", err))
		}
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok {
		host = tcp.String()
	}
	s.http = &httptest.Server{
		Listener: listener,
		Config:   &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: time.Minute},
	}
	s.http.Start()
	s.URL = "http://" + host + basePath
	return s
}

// Close shuts the server down. Idle connections are closed and requests still
// under way, delayed ones included, are cut off, so that Close waits for no
// client; it waits only for handlers given to [Server.Handle] or [Fault] that
// ignore their request's context. Connections that such a handler hijacked
// (WebSockets) are its own to close. Keys and Requests remain readable.
// Calling Close again does nothing.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		close(s.closing)
		_ = s.http.Listener.Close() // no newcomers between the next two lines
		s.http.CloseClientConnections()
		s.http.Close()
	})
}

// Env returns what a client needs to know as environment variables, in the form
// of [os.Environ]: KALSHI_BASE_URL, KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY,
// with the PEM text of the first key over several lines. Append it to the
// environment of a child process:
//
//	cmd.Env = append(os.Environ(), exchange.Env()...)
//
// The variables replace others of the same name that come before them. If the
// test's own environment has KALSHI_PRIVATE_KEY_PATH, remove that one: it names
// another private key.
func (s *Server) Env() []string {
	return []string{
		"KALSHI_BASE_URL=" + s.URL,
		"KALSHI_API_KEY_ID=" + s.KeyID,
		"KALSHI_PRIVATE_KEY=" + s.PrivateKey,
	}
}

// SetClockOffset sets the server's clock to the local clock plus d, to test
// what a client does when the two differ. The server's clock decides which
// timestamps are in the window and is the Date of every answer. Zero sets it
// right again.
func (s *Server) SetClockOffset(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clockOffset = d
}

// now is the server's clock.
func (s *Server) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.now().Add(s.clockOffset)
}

// Handle serves further paths of the exchange with h, to callers who
// authenticate: the key ID, the timestamp and the signature are checked before
// h runs, and the key's scopes are left to h, which finds the key's ID in the
// request's Kalshi-Access-Key header. Keys bound to an FCM subtrader are
// refused below /trade-api/v2.
//
// The pattern is one of [http.ServeMux] with the full path, such as
// "GET /trade-api/v2/portfolio/balance" or "GET /trade-api/ws/v2". Handle
// panics where [http.ServeMux.Handle] does, above all when the pattern is
// taken, and on a pattern that matches no request of a client: one with a host,
// a path outside /trade-api/, or a method that is not in capitals. h may hijack
// the connection, as WebSocket libraries do.
func (s *Server) Handle(pattern string, h http.Handler) {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok {
		method, path = "", pattern
	}
	if !isMethod(method) || !strings.HasPrefix(strings.TrimLeft(path, " \t"), "/trade-api/") {
		panic(fmt.Sprintf("kalshitest: Handle: pattern %q matches no request: write the method in capitals, if any, "+
			"and the full path without a host, such as \"GET /trade-api/v2/portfolio/balance\"", pattern))
	}
	s.mux.Handle(pattern, h)
}

// serve takes in every request: it is recorded first, and then left to the
// first fault that matches it or else to the exchange.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
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

// exchange answers a request as the exchange would.
func (s *Server) exchange(w http.ResponseWriter, in *incoming) {
	out := &responseWriter{ResponseWriter: w, onHeader: func(status int) {
		if status == http.StatusSwitchingProtocols || status/100 == 2 {
			s.update(func() { in.record.Processed = true })
		}
	}}
	s.route(in).ServeHTTP(out, in.request())
	out.finish()
}

// route finds what answers a request: an endpoint, if the path is known and
// the caller is who it says.
func (s *Server) route(in *incoming) http.Handler {
	_, pattern := s.mux.Handler(in.request())
	escaped, subtree := in.record.Path, strings.HasSuffix(pattern, "/")
	bare := strings.TrimRight(escaped, "/")
	switch {
	case in.tooLarge:
		return textAnswer(http.StatusRequestEntityTooLarge, "request entity too large")
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
	caller, refusal := s.authenticate(in.record)
	switch {
	case refusal != nil:
		return refusal
	case caller.FCMSubtraderID != "" && underBase(escaped):
		return forbidden()
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, caller)))
	})
}

// callerKey is where an endpoint finds, in its context, the Key that signed.
type callerKey struct{}

// underBase reports whether path is that of a REST endpoint.
func underBase(path string) bool {
	return path == basePath || strings.HasPrefix(path, basePath+"/")
}
