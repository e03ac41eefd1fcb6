package kalshitest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is something that goes wrong between a client and the exchange. Its
// first four fields say to which requests it happens, the others what happens.
// The zero value happens to the next request and does nothing to it.
//
// What was carried out decides what a client has to do next, so every fault
// comes in two kinds: without Process the request never took effect, with
// Process it did.
//
//	Fault{Delay: time.Second}                           // slow, and then as usual
//	Fault{Delay: time.Hour, Process: true}              // carried out, and then no answer in time
//	Fault{Drop: true}                                   // connection lost before the request took effect
//	Fault{Drop: true, Process: true}                    // connection lost after it did
//	Fault{Reset: true}                                  // as Drop, by a TCP reset
//	Fault{Status: 429, Body: TooManyRequestsBody}       // refused: not carried out
//	Fault{Status: 502, Body: "<html>", Process: true}   // carried out, and a gateway broke
//	Fault{Body: "no JSON"}                              // 200 with this body, not carried out
//	Fault{Answer: http.HandlerFunc(endless)}            // any answer at all, not carried out
//	Fault{Answer: http.HandlerFunc(odd), Process: true} // the same, but carried out
//	Fault{Cut: true}                                    // carried out, and half of the real answer
//	Fault{Cut: true, Status: 500, Body: "{}"}           // half of another answer, not carried out
//
//	Fault{Method: "DELETE", Path: "/api_keys/*", Cut: true} // as Cut, at the deletion of any key
//
// Each of them takes a Delay too. Drop and Reset exclude all that answers
// (Status, Body, Header, Answer and Cut), and Answer excludes Status, Body and
// Header.
type Fault struct {
	// Method is the HTTP method of the requests that it happens to. Empty
	// means any.
	Method string

	// Path is a [path.Match] pattern for their escaped paths, below the base:
	// "/api_keys", "/api_keys/generate". A star stands for one path element:
	// "/api_keys/*" with the method DELETE is the deletion of any key. Paths
	// that are not below the base, such as "/trade-api/ws/v2", are matched
	// whole. Empty means any.
	Path string

	// KeyID is the key that they say they are signed with. Empty means any.
	KeyID string

	// Times is to how many of them it happens. 0 means 1, a negative number
	// means all.
	Times int

	// Delay is how long to wait: before anything else, or with Process between
	// carrying the request out and answering. If the client goes away or the
	// server is closed meanwhile, the wait is over and nothing else happens.
	// A request that waits before it is carried out gets older, and its
	// timestamp may expire.
	Delay time.Duration

	// Process carries the request out first, if it is one that the exchange
	// accepts: a key is minted, a key is deleted. Only then is the answer
	// replaced, spoiled or lost. Handlers given to [Server.Handle] cannot
	// hijack such a request.
	Process bool

	// Drop closes the connection without an answer. The transport of net/http
	// then resends a GET by itself if the connection had been used before.
	Drop bool

	// Reset does as Drop does with a TCP reset, which clients tell from an
	// orderly close ("connection reset by peer").
	Reset bool

	// Status is the HTTP status, 200 to 999, to answer with in place of the
	// exchange. 0 means 200 if there is a Body or a Header, and no such answer
	// otherwise.
	Status int

	// Body is the body that goes with Status. It is sent as it is; there is
	// none if it is empty.
	Body string

	// Header holds the header fields that go with Status. Content-Type is
	// application/json for a Body that is JSON, unless it is given here, and
	// Date is the server's clock, unless it is given here.
	Header http.Header

	// Answer answers in place of the exchange, for answers that Status, Body
	// and Header cannot say. It sees the whole request with its body unread.
	// It should return when the request's context is done.
	Answer http.Handler

	// Cut announces the answer's full Content-Length, sends half of the body
	// and closes the connection. An answer without a body is not sent at all,
	// as with Drop. The answer is the exchange's own, and the request is then
	// carried out, unless Status, Body, Header or Answer replace it. Cut holds
	// the whole answer in memory.
	Cut bool
}

// queuedFault is a fault and how many more requests it happens to; a negative
// number means all.
type queuedFault struct {
	Fault
	left int
}

// Inject queues faults. A request meets the first fault in the queue that
// matches it, and no other; those that do not match stay for later requests.
// Requests that the exchange would refuse and paths that it does not know meet
// faults too.
//
// Inject panics on a fault that is a mistake: fields that exclude each other
// (see [Fault]), a method that is not in capitals, and a path that does not
// begin with a slash, ends in one, or has a query or braces.
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

// ClearFaults empties the queue. Requests that have met a fault already are
// left to it.
func (s *Server) ClearFaults() {
	s.update(func() { s.faults = nil })
}

// PendingFaults returns how many more requests the injected faults wait for. A
// fault with Times 3 counts as 3 at first; a fault for all requests counts as 0.
// A test that ends with pending faults did not test what it meant to.
func (s *Server) PendingFaults() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	pending := 0
	for _, f := range s.faults {
		pending += max(f.left, 0)
	}
	return pending
}

// check returns what is wrong with f: fields that exclude each other, and a
// Method or a Path that matches no request.
func (f Fault) check() error {
	_, err := path.Match(f.Path, "")
	switch canned := f.replaces(); {
	case !isMethod(f.Method):
		return fmt.Errorf("method %q matches no request: write it in capitals, such as \"POST\"", f.Method)
	case f.Path != "" && f.Path[0] != '/':
		return fmt.Errorf("path %q matches no request: write the path alone, from its first slash, such as \"/api_keys\"", f.Path)
	case strings.Contains(f.Path, "?"):
		before, _, _ := strings.Cut(f.Path, "?")
		return fmt.Errorf("path %q has a query, which is not compared: write %q", f.Path, before)
	case strings.HasSuffix(f.Path, "/"):
		return fmt.Errorf("path %q ends in a slash: write %q", f.Path, strings.TrimRight(f.Path, "/"))
	case strings.ContainsAny(f.Path, "{}"):
		return fmt.Errorf("path %q matches no request: write a star for any path element, such as \"/api_keys/*\"", f.Path)
	case err != nil:
		return fmt.Errorf("path %q: %w", f.Path, err)
	case f.Status != 0 && (f.Status < 200 || f.Status > 999):
		return fmt.Errorf("status %d is not in 200 to 999", f.Status)
	case (f.Drop || f.Reset) && (canned || f.Answer != nil || f.Cut):
		return errors.New("a dropped connection has no answer")
	case f.Answer != nil && canned:
		return errors.New("an Answer excludes Status, Body and Header")
	}
	return nil
}

// isMethod reports whether method may be the method of a request: it is in
// capitals, or empty for any.
func isMethod(method string) bool {
	return !strings.ContainsFunc(method, func(r rune) bool { return r < 'A' || r > 'Z' })
}

// replaces reports whether f has an answer of Status, Body and Header.
func (f Fault) replaces() bool { return f.Status != 0 || f.Body != "" || f.Header != nil }

// matches reports whether f happens to r.
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

// takeFault finds what happens to r and uses it up.
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

// applyFault answers a request that meets f, or panics with
// [http.ErrAbortHandler], which closes the connection.
func (s *Server) applyFault(f Fault, w *responseWriter, in *incoming) {
	reply := http.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { s.exchange(w, in) }))
	if f.Process {
		reply = capture(reply, in.request())
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
		reply = f.Answer
	case f.replaces():
		reply = f.answer()
	}
	if f.Cut {
		capture(reply, in.request()).cut(w)
		panic(http.ErrAbortHandler)
	}
	reply.ServeHTTP(w, in.request())
}

// answer is what Status, Body and Header say.
func (f Fault) answer() *answer {
	a := &answer{f.Status, f.Header.Clone(), []byte(f.Body)}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.header == nil {
		a.header = http.Header{}
	}
	if _, given := a.header["Content-Type"]; !given && json.Valid(a.body) {
		a.header.Set("Content-Type", "application/json")
	}
	return a
}

// capture has h answer r into memory.
func capture(h http.Handler, r *http.Request) *answer {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	return &answer{rec.Code, rec.Result().Header, rec.Body.Bytes()}
}

// cut sends the head of the answer and half of its body.
func (a *answer) cut(w *responseWriter) {
	if len(a.body) == 0 {
		return
	}
	half := *a
	half.header, half.body = a.header.Clone(), a.body[:len(a.body)/2]
	half.header.Set("Content-Length", strconv.Itoa(len(a.body)))
	half.ServeHTTP(w, nil)
	w.Flush()
}

// wait reports whether d went by before the client or the server did.
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

// reset closes the connection under w the hard way: with nothing left to
// linger over, the kernel sends a reset.
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
