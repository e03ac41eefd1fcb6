package kalshitest

// The options of a server.

import (
	"net"
	"time"
)

// A config is what the options set.
type config struct {
	firstKeyType string
	basicLevel   bool
	fcmMember    bool
	listener     net.Listener
	requestHook  func(Request)
	now          func() time.Time
}

// Option configures the server that [NewServer] starts.
type Option func(*config)

// WithRSA makes the first key an RSA key of 2048 bits instead of an Ed25519 key.
// This takes about a tenth of a second.
func WithRSA() Option {
	return func(c *config) { c.firstKeyType = keyTypeRSA }
}

// WithBasicUsageLevel gives the account a usage level below Premier and Market
// Maker, which are documented to be required for registering a public key: the
// response to POST /api_keys is then 403. Without this option it is allowed.
func WithBasicUsageLevel() Option {
	return func(c *config) { c.basicLevel = true }
}

// WithFCMMember makes the account an FCM member, which may bind keys to its
// subtraders. Without this option the response to a request with an
// fcm_subtrader_id is 403, as documented.
func WithFCMMember() Option {
	return func(c *config) { c.fcmMember = true }
}

// WithListener makes the server serve on l instead of a new loopback port. With a
// listener in memory, tests inside [testing/synctest] take no time; with one on a
// fixed port, other processes find the server. [Server.Close] closes l. The host in
// [Server.URL] is the listener's address, or "localhost" if that is not a TCP
// address.
func WithListener(l net.Listener) Option {
	return func(c *config) { c.listener = l }
}

// WithRequestHook makes the server call hook once for each request, when it has
// finished the request: the response is written, or no response will be. The client
// may see the response before hook is called. [Server.Close] waits for running
// hooks, so hook must not call it.
//
// Each call is made in the goroutine that serves the request, so hook must be safe
// for concurrent use. Its argument is a copy.
func WithRequestHook(hook func(Request)) Option {
	return func(c *config) { c.requestHook = hook }
}
