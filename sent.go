package kalshi

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// The three headers that sign a request, in the form that [http.Header] keeps.
const (
	headerKey       = "Kalshi-Access-Key"
	headerSignature = "Kalshi-Access-Signature"
	headerTimestamp = "Kalshi-Access-Timestamp"
)

// A sealedBody is the body of a create. It knows whether any of it was read, so that nothing is
// known to be sent, whatever the transport does. It costs a packet: net/http sends the head of a
// request apart from a body that is not one of its in-memory types.
type sealedBody struct {
	content *bytes.Reader
	state   atomic.Int32
}

const (
	bodyUnread = iota
	bodyRead
	bodySealed
)

func (b *sealedBody) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(bodyUnread, bodyRead) && b.state.Load() == bodySealed {
		return 0, errors.New("kalshi: the request has ended")
	}
	return b.content.Read(p)
}

func (b *sealedBody) Close() error { return nil }

// seal reports whether nothing of the body was read, and then keeps it so.
func (b *sealedBody) seal() bool { return b.state.CompareAndSwap(bodyUnread, bodySealed) }

// A connTrace watches the connection of a request with a body of the caller's. A transport that
// reports to no trace leaves everything open.
type connTrace struct {
	hooks      httptrace.ClientTrace
	asked, got atomic.Bool // for a connection, and one
	http2      atomic.Bool // it is one of HTTP/2
	written    atomic.Bool // the request's head was
	getBody    func() (io.ReadCloser, error)
}

// watch returns the context of an attempt.
func (t *connTrace) watch(ctx context.Context) context.Context {
	for _, flag := range []*atomic.Bool{&t.asked, &t.got, &t.http2, &t.written} {
		flag.Store(false)
	}
	if t.hooks.GetConn == nil {
		t.hooks.GetConn = func(string) { t.asked.Store(true) }
		t.hooks.GotConn = func(info httptrace.GotConnInfo) {
			t.got.Store(true)
			conn, ok := info.Conn.(*tls.Conn)
			t.http2.Store(ok && conn.ConnectionState().NegotiatedProtocol == "h2")
		}
		t.hooks.WroteHeaders = func() { t.written.Store(true) }
	}
	return httptrace.WithClientTrace(ctx, &t.hooks)
}

// guardedBody is GetBody until the request was written to a connection of HTTP/2: net/http would
// send it again after a reset that does not prove that it was not processed.
func (t *connTrace) guardedBody() (io.ReadCloser, error) {
	if t.http2.Load() && t.written.Load() {
		return nil, errors.New("kalshi: the connection broke after the request was sent: it is not sent again, since it may have been processed")
	}
	return t.getBody()
}

// unsent reports whether no connection was there to send the request to.
func (t *connTrace) unsent() bool { return t.asked.Load() && !t.got.Load() }

// hasBody reports whether a request has a body, as net/http sees it.
func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

// notSent is the error of a request that was not sent: a *NotSentError if it has a body.
func notSent(req *http.Request, err error) error {
	if err == nil || !hasBody(req) {
		return err
	}
	return &NotSentError{err}
}

// ended returns the error of a context that has ended, or nil.
func ended(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return withContext(ctx, context.Cause(ctx))
}
