package kalshitest

// What happens to a request that meets a fault.

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// applyFault responds to a request that meets f, or panics with
// [http.ErrAbortHandler], which closes the connection.
func (s *Server) applyFault(f Fault, w *responseWriter, in *incoming) {
	handler := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { s.exchange(w, in) }))
	if f.Process {
		handler = capture(handler, in.request())
	}
	if !s.wait(in.http.Context(), f.Delay) {
		panic(http.ErrAbortHandler)
	}
	switch {
	case f.Reset:
		reset(w.ResponseWriter)
		panic(http.ErrAbortHandler)
	case f.Drop:
		panic(http.ErrAbortHandler)
	case f.Answer != nil:
		handler = f.Answer
	case f.replaces():
		handler = Response{f.Status, f.Header, f.Body}
	}
	if f.Cut {
		capture(handler, in.request()).cut(w)
		panic(http.ErrAbortHandler)
	}
	handler.ServeHTTP(w, in.request())
}

// capture returns h's response to r.
func capture(h http.Handler, r *http.Request) *response {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return &response{rec.Code, rec.Result().Header, rec.Body.Bytes()}
}

// cut sends the header of the response and half of its body.
func (r *response) cut(w *responseWriter) {
	if len(r.body) == 0 {
		return
	}
	half := *r
	half.header, half.body = r.header.Clone(), r.body[:len(r.body)/2]
	half.header.Set("Content-Length", strconv.Itoa(len(r.body)))
	half.ServeHTTP(w, nil)
	w.Flush()
}

// wait waits for d. It reports false if the client or the server closes the
// connection before.
func (s *Server) wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-s.closing:
	}
	return false
}

// reset closes the connection under w. With a linger time of 0, the kernel sends a
// reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
