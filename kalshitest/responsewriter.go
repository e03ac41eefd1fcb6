package kalshitest

// The ResponseWriter that reports the status of a response.

import (
	"bufio"
	"net"
	"net/http"
)

// A responseWriter calls onHeader just before it writes the status, so that the
// record of a request is complete before the client sees the response.
type responseWriter struct {
	http.ResponseWriter
	onHeader func(status int)
	done     bool
}

// WriteHeader implements [http.ResponseWriter].
func (w *responseWriter) WriteHeader(status int) {
	final := status >= 200 || status == http.StatusSwitchingProtocols
	if final && !w.done {
		w.done = true
		w.onHeader(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *responseWriter) Write(p []byte) (int, error) {
	w.finish()
	return w.ResponseWriter.Write(p)
}

// Flush implements [http.Flusher].
func (w *responseWriter) Flush() {
	w.finish()
	_ = http.NewResponseController(w.ResponseWriter).Flush()
}

// Hijack implements [http.Hijacker].
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil && !w.done {
		w.done = true
		w.onHeader(http.StatusSwitchingProtocols)
	}
	return conn, rw, err
}

// Unwrap is for [http.ResponseController].
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// finish writes status 200 if no status was written, as net/http does.
func (w *responseWriter) finish() {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
}
