package kalshitest

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// maxBody is the largest request body that is taken, in bytes.
const maxBody = 1 << 20

// What a server keeps of its requests: the newest maxRequests, and fewer if
// these hold more than maxRequestBytes.
const (
	maxRequests     = 10_000
	maxRequestBytes = 64 << 20
)

// Request is a request that reached the server, as it came over the wire, and
// what became of it.
type Request struct {
	// Method is the HTTP method.
	Method string

	// Path is the escaped path, from its first slash and without the query:
	// the path that the client has to sign.
	Path string

	// RawQuery is what follows the question mark, still escaped.
	RawQuery string

	// Header holds the header fields; net/http takes Host out of them.
	Header http.Header

	// Body is the request body, at most 1 MiB of it. It is nil if there was
	// none.
	Body []byte

	// KeyID is the Kalshi-Access-Key header: the key that the client says it
	// signed with, whether or not that turned out to be so.
	KeyID string

	// Processed is whether the exchange carried the request out: listed the
	// keys, minted one, deleted one, or had a handler given to [Server.Handle]
	// answer with 2xx or a protocol switch. It stays true when a [Fault] then
	// lost or replaced the answer, and is set before the answer leaves.
	Processed bool

	// Status is the HTTP status that was sent to the client, 0 if none was or
	// none has been yet. A hijacked connection counts as 101.
	Status int
}

// Requests returns the requests that have arrived so far, in order of arrival,
// those that met a [Fault] or were refused included. A request has arrived
// when its body has. The result is the caller's own.
//
// The server keeps the newest 10,000 requests, and fewer if their headers and
// bodies exceed 64 MiB, so that it can run for days. [WithRequestHook] sees
// every request.
//
// The transport of net/http resends a GET by itself when a connection that it
// reused breaks, so that one dropped call may be seen twice.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, len(s.requests))
	for i, r := range s.requests {
		all[i] = r.clone()
	}
	return all
}

// clone returns a copy that shares nothing with r.
func (r *Request) clone() Request {
	c := *r
	c.Header = r.Header.Clone()
	c.Body = slices.Clone(r.Body)
	return c
}

// size returns about how many bytes r holds.
func (r *Request) size() int {
	n := len(r.Method) + len(r.Path) + len(r.RawQuery) + len(r.Body)
	for name, values := range r.Header {
		n += len(name)
		for _, value := range values {
			n += len(value)
		}
	}
	return n
}

// record keeps a request and drops the oldest ones where there are too many.
func (s *Server) record(r *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r)
	s.requestBytes += r.size()
	for len(s.requests) > maxRequests || s.requestBytes > maxRequestBytes {
		s.requestBytes -= s.requests[0].size()
		s.requests[0] = nil // the array under the slice lives on for a while
		s.requests = s.requests[1:]
	}
}

// incoming is a request under way and its record.
type incoming struct {
	http     *http.Request
	record   *Request
	tooLarge bool // the body goes on after what was recorded of it
}

// request returns the request with its body unread, however often it is asked.
func (in *incoming) request() *http.Request {
	r := in.http.Clone(in.http.Context())
	r.Body = io.NopCloser(bytes.NewReader(in.record.Body))
	return r
}

// receive reads a request to its end and records it.
func (s *Server) receive(r *http.Request) *incoming {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		panic(http.ErrAbortHandler) // the client went away within its own body
	}
	tooLarge := len(body) > maxBody
	if tooLarge {
		body = body[:maxBody]
	}
	if len(body) == 0 {
		body = nil
	}
	record := &Request{
		Method:   r.Method,
		Path:     wirePath(r.RequestURI),
		RawQuery: r.URL.RawQuery,
		Header:   r.Header.Clone(),
		Body:     body,
		KeyID:    r.Header.Get(headerKey),
	}
	s.record(record)
	return &incoming{http: r, record: record, tooLarge: tooLarge}
}

// update changes what the server's lock guards.
func (s *Server) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// wirePath is the path of a request target exactly as it was sent, which is
// what was signed. [net/url.URL.EscapedPath] may spell it another way.
func wirePath(target string) string {
	target, _, _ = strings.Cut(target, "?")
	if strings.HasPrefix(target, "/") {
		return target
	}
	if _, rest, ok := strings.Cut(target, "://"); ok { // absolute form, as to a proxy
		_, rest, _ = strings.Cut(rest, "/")
		return "/" + rest
	}
	return target
}

// responseWriter tells of the status just before it leaves, so that nobody can
// see an answer before its record.
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

// Unwrap lets an [http.ResponseController] through.
func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// finish sends the status that net/http would imply.
func (w *responseWriter) finish() {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
}
