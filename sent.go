package kalshi

import (
	"bytes"
	"context"
	"errors"
	"net/http/httptrace"
	"sync/atomic"
)

// Was anything of a request sent?

// A sentTrace watches whether anything of an attempt can have been sent.
type sentTrace struct {
	body       *requestBody // nil for a request without one
	asked, got atomic.Bool  // for a connection, and one
	hooks      httptrace.ClientTrace
}

func (t *sentTrace) watchConn(ctx context.Context) context.Context {
	t.hooks.GetConn = func(string) { t.asked.Store(true) }
	t.hooks.GotConn = func(httptrace.GotConnInfo) { t.got.Store(true) }
	return httptrace.WithClientTrace(ctx, &t.hooks)
}

// outcome judges an attempt that got no response. If the body was not read, and
// cannot be read any more, nothing was sent, whatever the transport does. A
// request without a body was not sent if the transport asked for a connection
// and got none; a transport that never asked does not report to traces.
func (t *sentTrace) outcome() outcome {
	if t.body != nil && t.body.seal() || t.body == nil && t.asked.Load() && !t.got.Load() {
		return outcomeNotSent
	}
	return outcomeUnknown
}

// A requestBody knows whether any of it was read.
type requestBody struct {
	content *bytes.Reader
	state   atomic.Int32
}

const (
	bodyUnread = iota
	bodyRead
	bodySealed
)

func (b *requestBody) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(bodyUnread, bodyRead) && b.state.Load() == bodySealed {
		return 0, errors.New("kalshi: the request has ended")
	}
	return b.content.Read(p)
}

func (b *requestBody) Close() error { return nil }

// seal reports whether nothing of the body was read, and then keeps it so.
func (b *requestBody) seal() bool { return b.state.CompareAndSwap(bodyUnread, bodySealed) }
