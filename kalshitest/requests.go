package kalshitest

// The record of the requests that arrived.

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxBody is the largest request body that the server accepts, in bytes.
const maxBody = 1 << 20

// A server keeps its newest maxRequests requests, and fewer if these hold more than
// maxRequestBytes.
const (
	maxRequests     = 10_000
	maxRequestBytes = 64 << 20
)

// Request is a request as it came over the wire, and its result.
type Request struct {
	// Method is the HTTP method.
	Method string

	// Path is the escaped path, from its first slash and without the query. It
	// is the path that the client has to sign.
	Path string

	// RawQuery is the query without the question mark, still escaped.
	RawQuery string

	// Header holds the header fields. net/http removes Host from them.
	Header http.Header

	// Body is the first 1 MiB of the request body, or nil if there was none.
	Body []byte

	// KeyID is the Kalshi-Access-Key header: the key that the client claims to
	// have signed with.
	KeyID string

	// Processed is whether the exchange processed the request: it listed the
	// keys, made or deleted one, or a handler given to [Server.Handle] responded
	// with a 2xx or a protocol switch. It stays true if a [Fault] then lost or
	// replaced the response. It is set before the response is written.
	Processed bool

	// Status is the HTTP status that was sent to the client, or 0 if none was
	// sent so far. A hijacked connection counts as 101.
	Status int

	// Diagnosis says why the server rejected the request with a 401, as far as it
	// can tell: which mistakes explain the signature, how far off the timestamp
	// is, how the key ID differs from a known one. It never guesses, and is empty
	// when there is nothing to say. It is one line of ASCII without a signature or
	// a key, and the response has it in the header Kalshitest-Diagnosis. The
	// exchange has no such header.
	Diagnosis string

	// SignedBy is the ID of the key that made the signature if Diagnosis found
	// that it is another than KeyID.
	SignedBy string
}

// Requests returns a copy of the requests that have arrived so far, in order of
// arrival, including those that met a [Fault] or were rejected. A request has
// arrived when its whole body has.
//
// The server keeps the newest 10,000 requests, and fewer if their headers and
// bodies exceed 64 MiB, so that it can run for days. [WithRequestHook] sees
// every request.
//
// If a reused connection breaks, the transport of net/http sends a GET again by
// itself, so one dropped call may appear twice.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Request, len(s.requests))
	for i, r := range s.requests {
		all[i] = r.clone()
	}
	return all
}

// ClearRequests forgets the requests that have arrived so far.
func (s *Server) ClearRequests() {
	s.update(func() { s.requests, s.signatures, s.requestBytes = nil, nil, 0 })
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
	if s.signatures == nil {
		s.signatures = make(map[string]*Request)
	}
	if signature := r.Header.Get(headerSignature); s.signatures[signature] == nil {
		s.signatures[signature] = r
	}
	for len(s.requests) > maxRequests || s.requestBytes > maxRequestBytes {
		if signature := s.requests[0].Header.Get(headerSignature); s.signatures[signature] == s.requests[0] {
			delete(s.signatures, signature)
		}
		s.requestBytes -= s.requests[0].size()
		s.requests[0] = nil // the array under the slice lives on for a while
		s.requests = s.requests[1:]
	}
}

// An incoming is a request being served, and its record.
type incoming struct {
	http     *http.Request
	record   *Request
	tooLarge bool // the body is longer than maxBody
}

// request returns a copy of the request with its body unread.
func (in *incoming) request() *http.Request {
	r := in.http.Clone(in.http.Context())
	r.Body = io.NopCloser(bytes.NewReader(in.record.Body))
	return r
}

// receive reads a request with its body and records it.
func (s *Server) receive(r *http.Request) *incoming {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		panic(http.ErrAbortHandler) // the client closed the connection
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

// update calls change while it holds the server's lock.
func (s *Server) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// wirePath returns the path of a request target exactly as it was sent, since that
// is what the client signed. [net/url.URL.EscapedPath] may escape it differently.
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
