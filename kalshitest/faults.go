package kalshitest

// Faults, and the queue of those that requests have still to meet.

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong between a client and the exchange. The fields
// Method, Path, KeyID and Times say which requests meet it, the others what
// happens to them. The zero value meets the next request and changes nothing.
//
// What a client should do next depends on whether its request was processed. So
// each fault comes in two kinds: without Process the request has no effect, with
// Process it has.
//
//	Fault{Delay: time.Second}                           // slow, then as usual
//	Fault{Delay: time.Hour, Process: true}              // processed, and no response in time
//	Fault{Drop: true}                                   // connection lost before the request had an effect
//	Fault{Drop: true, Process: true}                    // connection lost after it had
//	Fault{Reset: true}                                  // as Drop, with a TCP reset
//	Fault{Status: 429, Body: TooManyRequestsBody}       // rejected: not processed
//	Fault{Status: 403, Body: AttestationLapsedBody}     // the location attestation has lapsed
//	Fault{Status: 410, Body: RetiredPathBody}           // the path is retired, whatever the signature
//	Fault{Status: 502, Body: "<html>", Process: true}   // processed, and a gateway failed
//	Fault{Body: "no JSON"}                              // 200 with this body, not processed
//	Fault{Answer: http.HandlerFunc(endless)}            // any response at all, not processed
//	Fault{Answer: http.HandlerFunc(odd), Process: true} // the same, but processed
//	Fault{Cut: true}                                    // processed, and half of the exchange's response
//	Fault{Cut: true, Status: 500, Body: "{}"}           // half of this response, not processed
//
//	Fault{Method: "DELETE", Path: "/api_keys/*", Cut: true} // as Cut, when any key is deleted
//
// Each form can have a Delay, too. Drop and Reset exclude the fields of a response
// (Status, Body, Header, Answer and Cut), and Answer excludes Status, Body and
// Header.
type Fault struct {
	// Method is the HTTP method of the requests that meet the fault, in
	// capitals. Empty means any.
	Method string

	// Path is a [path.Match] pattern for their escaped paths, below the base:
	// "/api_keys", "/api_keys/generate". A star stands for one path element:
	// "/api_keys/*" with the method DELETE is the deletion of any key. Paths
	// that are not below the base, such as "/trade-api/ws/v2", are matched
	// whole. Empty means any.
	Path string

	// KeyID is the key that they claim to be signed with. Empty means any.
	KeyID string

	// Times is how many requests meet the fault. 0 means 1, and a negative
	// number means all.
	Times int

	// Delay is how long to wait, not negative: before anything else, or with Process between
	// processing the request and responding. If the client closes the connection
	// or the server is closed, the wait ends and nothing else happens. A request
	// that waits before it is processed gets older, and its timestamp may expire.
	Delay time.Duration

	// Process makes the exchange process the request first, if it accepts it: a
	// key is made, a key is deleted. Only then is the response replaced or lost.
	// Handlers given to [Server.Handle] cannot hijack such a request.
	Process bool

	// Drop closes the connection without a response. The transport of net/http
	// then sends a GET again by itself if the connection had been used before.
	Drop bool

	// Reset does the same with a TCP reset, which clients can tell from an
	// orderly close ("connection reset by peer").
	Reset bool

	// Status is the HTTP status of the response, 200 to 999. If it is 0 and there
	// is a Body or a Header, the status is 200.
	Status int

	// Body is the body of the response, sent as it is. A 204 and a 304 have none.
	Body string

	// Header holds the header fields of the response. The server adds its Date,
	// and the Content-Type application/json if Body is JSON, unless they are
	// given here.
	Header http.Header

	// Answer responds in place of the exchange, for responses that Status, Body
	// and Header cannot express. It gets the whole request with its body unread,
	// and should return when the request's context is done.
	Answer http.Handler

	// Cut announces the full Content-Length of the response, sends half of its
	// body and closes the connection. A response without a body is not sent at
	// all, as with Drop. The response is the exchange's own, and the request is
	// processed, unless Status, Body, Header or Answer replace it. Cut holds the
	// whole response in memory.
	Cut bool
}

// A queuedFault is a fault and how many more requests meet it. A negative number
// means all.
type queuedFault struct {
	Fault
	left int
}

// Inject queues faults. A request meets the first fault in the queue that matches
// it, and no other; a fault waits in the queue for the requests that match it.
// Requests that the exchange would reject and requests for unknown paths meet
// faults, too.
//
// Inject panics on a fault that is a mistake: one with fields that exclude each
// other (see [Fault]), a method that is none, a path that does not begin with a
// slash, ends in one, or has a query or braces, a negative Delay, or a response that
// cannot be sent (see [Response]).
func (s *Server) Inject(faults ...Fault) {
	queue := make([]*queuedFault, len(faults))
	for i, f := range faults {
		if err := f.check(); err != nil {
			panic(fmt.Sprintf("kalshitest: Inject: fault %d: %v", i, err))
		}
		f.Header = f.Header.Clone()
		queue[i] = &queuedFault{Fault: f, left: f.Times}
		if f.Times == 0 {
			queue[i].left = 1
		}
	}
	s.update(func() { s.faults = append(s.faults, queue...) })
}

// ClearFaults empties the queue. It does not change what happens to requests that
// have met a fault already.
func (s *Server) ClearFaults() {
	s.update(func() { s.faults = nil })
}

// PendingFaults returns how many more requests the injected faults wait for. A fault
// with Times 3 counts as 3 at first, and a fault for all requests as 0. If it is not
// 0 at the end of a test, the test did not test what it was meant to.
func (s *Server) PendingFaults() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	pending := 0
	for _, f := range s.faults {
		pending += max(f.left, 0)
	}
	return pending
}

// Faults returns a copy of the faults that wait for requests, in the order of the
// queue. Times is how many more requests each waits for, -1 for all.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Fault, len(s.faults))
	for i, f := range s.faults {
		all[i] = f.Fault
		all[i].Header = f.Header.Clone()
		all[i].Times = max(f.left, -1)
	}
	return all
}

// check returns what is wrong with f: fields that exclude each other, and a
// Method or a Path that matches no request.
func (f Fault) check() error {
	replaces := f.replaces()
	switch {
	case !isMethod(f.Method):
		return fmt.Errorf("method %q matches no request: write %s, or leave it out", f.Method, strings.Join(methods, ", "))
	case f.Delay < 0:
		return fmt.Errorf("the delay %v is negative", f.Delay)
	case (f.Drop || f.Reset) && (replaces || f.Answer != nil || f.Cut):
		return errors.New("a dropped connection has no response: leave out Status, Body, Header, Answer and Cut, or Drop and Reset")
	case f.Answer != nil && replaces:
		return errors.New("an Answer excludes Status, Body and Header: write them in its handler")
	}
	if err := checkPath(f.Path); err != nil {
		return err
	}
	return Response{f.Status, f.Header, f.Body}.check()
}

// checkPath returns what is wrong with the path of a fault.
func checkPath(pattern string) error {
	_, err := path.Match(pattern, "")
	switch {
	case pattern != "" && pattern[0] != '/':
		return fmt.Errorf("path %q matches no request: write the path alone, from its first slash, such as \"/api_keys\"", pattern)
	case strings.Contains(pattern, "?"):
		before, _, _ := strings.Cut(pattern, "?")
		return fmt.Errorf("path %q has a query, which is not compared: write %q", pattern, before)
	case strings.HasSuffix(pattern, "/"):
		return fmt.Errorf("path %q ends in a slash: write %q", pattern, strings.TrimRight(pattern, "/"))
	case strings.ContainsAny(pattern, "{}"):
		return fmt.Errorf("path %q matches no request: write a star for any path element, such as \"/api_keys/*\"", pattern)
	case err != nil:
		return fmt.Errorf("path %q: %w: write a backslash before a bracket that is part of the path", pattern, err)
	}
	return nil
}

// methods are the methods that a request may have.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// isMethod reports whether method may be the method of a request, or is empty for
// any.
func isMethod(method string) bool { return method == "" || slices.Contains(methods, method) }

// replaces reports whether f has a response of Status, Body and Header.
func (f Fault) replaces() bool { return f.Status != 0 || f.Body != "" || f.Header != nil }

// matches reports whether r is a request that f is for.
func (f Fault) matches(r *Request) bool {
	below, pattern := r.Path, f.Path
	if underBase(r.Path) {
		below, pattern = strings.TrimPrefix(r.Path, basePath), strings.TrimPrefix(f.Path, basePath)
	}
	match, _ := path.Match(pattern, below)
	return (f.Method == "" || f.Method == r.Method) &&
		(f.Path == "" || match) &&
		(f.KeyID == "" || f.KeyID == r.KeyID)
}

// takeFault returns the fault that r meets, and counts it.
func (s *Server) takeFault(r *Request) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.faults, func(f *queuedFault) bool { return f.matches(r) })
	if i < 0 {
		return Fault{}, false
	}
	f := s.faults[i]
	f.left--
	if f.left == 0 {
		s.faults = slices.Delete(s.faults, i, i+1)
	}
	return f.Fault, true
}
