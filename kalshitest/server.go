package kalshitest

// The server: how it starts and stops, its clock and its further handlers.

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// basePath is the first part of every REST endpoint's path. Clients sign it, too.
const basePath = "/trade-api/v2"

// Server is a running stand-in for the exchange: one account, its API keys and the
// endpoints that manage them. [NewServer] starts one. Its methods are safe for
// concurrent use; its fields must not be changed.
type Server struct {
	// URL is the base URL for a client: http://127.0.0.1:PORT/trade-api/v2 unless
	// [WithListener] was given. It has no trailing slash.
	URL string

	// KeyID is the ID of the account's first key, a UUID. The key has full
	// access (read and write) and can be deleted like any other.
	KeyID string

	// PrivateKey is the private half of the first key as PEM text: Ed25519 in
	// PKCS#8 ("PRIVATE KEY"), or RSA in PKCS#1 ("RSA PRIVATE KEY") if [WithRSA]
	// was given.
	PrivateKey string

	config    config
	http      *httptest.Server
	closing   chan struct{}
	closeOnce sync.Once

	mu               sync.Mutex // guards everything below
	clockOffset      time.Duration
	mux              *http.ServeMux
	handlers         []handler    // of Handle, in order
	control          http.Handler // of HandleControl; nil if there is none
	keys             []storedKey  // in order of creation
	regionExpiration time.Time
	requests         []*Request          // in order of arrival
	signatures       map[string]*Request // the first request with each
	requestBytes     int                 // of all of them
	faults           []*queuedFault
}

// NewServer starts a server on a new port of 127.0.0.1, with one key that has full
// access. The caller should call [Server.Close] when finished with it. NewServer
// panics if no port is available, as [httptest.NewServer] does.
func NewServer(opts ...Option) *Server {
	cfg := config{firstKeyType: keyTypeEd25519, now: time.Now}
	for _, opt := range opts {
		opt(&cfg)
	}
	s := &Server{config: cfg, closing: make(chan struct{})}
	s.mux = s.newMux(nil)
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

// Close shuts the server down. It closes all connections, including those whose
// request is delayed or still being served, which ends the request's context, and
// waits for the handlers given to [Server.Handle] and [Fault] to return. It does not close the connections that
// such a handler hijacked (WebSockets). Keys and Requests still work after it.
// Calling Close again does nothing.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		close(s.closing)
		_ = s.http.Listener.Close() // no new connection between the next two lines
		s.http.CloseClientConnections()
		s.http.Close()
	})
}

// Env returns environment variables for a client, in the form of [os.Environ]:
// KALSHI_BASE_URL, KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY, the PEM text of the
// first key. Append them to the environment of a child process:
//
//	cmd.Env = append(os.Environ(), exchange.Env()...)
//
// They replace variables of the same names. A KALSHI_PRIVATE_KEY_PATH in the
// caller's own environment has to be removed, since it names another private key.
func (s *Server) Env() []string {
	return []string{
		"KALSHI_BASE_URL=" + s.URL,
		"KALSHI_API_KEY_ID=" + s.KeyID,
		"KALSHI_PRIVATE_KEY=" + s.PrivateKey,
	}
}

// SetClockOffset sets the server's clock to the local clock plus d, to test what a
// client does when the two differ. The server's clock decides which timestamps have
// expired, and it is the Date of every response.
func (s *Server) SetClockOffset(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clockOffset = d
}

// now returns the time by the server's clock.
func (s *Server) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config.now().Add(s.clockOffset)
}
