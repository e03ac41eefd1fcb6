package kalshi

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
)

// The three headers that sign a request, in the form that [http.Header] keeps.
const (
	headerKey       = "Kalshi-Access-Key"
	headerSignature = "Kalshi-Access-Signature"
	headerTimestamp = "Kalshi-Access-Timestamp"
)

// A sealedBody is the body of a create. It knows whether any of it was read, whatever the transport
// does. It costs a packet: net/http sends the head of a request apart from a body of unknown type.
type sealedBody struct {
	content *bytes.Reader
	first   sync.Once // of Read and seal
	read    bool
}

func (b *sealedBody) Read(p []byte) (int, error) {
	if b.first.Do(func() { b.read = true }); !b.read {
		return 0, errors.New("kalshi: the request has ended")
	}
	return b.content.Read(p)
}

func (b *sealedBody) Close() error { return nil }

// seal reports whether nothing of the body was read, and then keeps it so.
func (b *sealedBody) seal() bool {
	b.first.Do(func() {})
	return !b.read
}

// A connTrace watches the connection of a request with a body of the caller's. A transport that
// reports to no trace leaves everything open.
type connTrace struct {
	hooks   httptrace.ClientTrace
	seen    atomic.Uint32 // of the following
	getBody func() (io.ReadCloser, error)
}

const (
	connAsked   = 1 << iota // for a connection
	connGot                 // one
	connIsHTTP2             // it is one of HTTP/2
	headWritten             // the request's, to it
)

// watch returns the context of an attempt.
func (t *connTrace) watch(ctx context.Context) context.Context {
	t.seen.Store(0)
	if t.hooks.GetConn == nil {
		t.hooks.GetConn = func(string) { t.seen.Or(connAsked) }
		t.hooks.GotConn = func(info httptrace.GotConnInfo) {
			t.seen.Or(connGot)
			if conn, ok := info.Conn.(*tls.Conn); ok && conn.ConnectionState().NegotiatedProtocol == "h2" {
				t.seen.Or(connIsHTTP2)
			}
		}
		t.hooks.WroteHeaders = func() { t.seen.Or(headWritten) }
	}
	return httptrace.WithClientTrace(ctx, &t.hooks)
}

// guardedBody is GetBody until the request was written to a connection of HTTP/2: net/http would
// send it again after a reset that does not prove that it was not processed.
func (t *connTrace) guardedBody() (io.ReadCloser, error) {
	if seen := t.seen.Load(); seen&connIsHTTP2 != 0 && seen&headWritten != 0 {
		return nil, errors.New("kalshi: the connection broke after the request was sent: it is not sent again, since it may have been processed")
	}
	return t.getBody()
}

// unsent reports whether no connection was there to send the request to.
func (t *connTrace) unsent() bool { return t.seen.Load()&(connAsked|connGot) == connAsked }

// hasBody reports whether a request has a body, as net/http sees it.
func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// ended returns the error of a context that has ended, or nil.
func ended(ctx context.Context) error { return withContext(ctx, context.Cause(ctx)) }
