package kalshi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	maxBody      = 8 << 20  // bytes of a 2xx answer, decompressed
	maxErrorBody = 64 << 10 // bytes of any other answer
)

// An operation is one call of the API, for all of its attempts.
type operation struct {
	name   string // the Client's method
	method string
	path   string // below the base URL, escaped
	query  string // encoded
	body   []byte

	mint    bool        // makes a key: is sent again only if it provably was not processed
	keyName string      // of the key that a mint makes
	keyID   string      // of the key that a delete removes
	undo    bool        // a delete of a key just made: a 404 may be that it is not known everywhere yet
	cred    *credential // signs instead of the signer's own, if set
}

// An answer is what the body of a 2xx is decoded into, each time from scratch.
type answer interface{ decode(body []byte) error }

// An attempt is what came of sending an operation once.
type attempt struct {
	err    error // nil is success
	fate   fate
	retry  bool          // another attempt may go better
	after  time.Duration // to wait before it, from Retry-After
	resent bool          // net/http has sent it more than once
	keyID  string        // of the key that was made, if the answer names it in spite of err

	cred   *credential // that signed it
	signed time.Time
	offset time.Duration // of the clock, at that time
	ended  time.Time
}

// do runs an operation to its end: it sends it, again where that helps and
// cannot harm, and decodes the answer into out (nil: there is nothing in it).
func (c *Client) do(ctx context.Context, op *operation, out answer) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	var past history
	for {
		a := c.send(ctx, op, out)
		if a.err == nil || past.deleted(op, &a) {
			return nil
		}
		wait, again := c.again(ctx, op, &a, &past)
		switch {
		case !again && op.mint && a.fate == maybeDone:
			return &OutcomeUnknownError{Operation: op.name, KeyName: op.keyName, KeyID: a.keyID, Err: a.err}
		case !again:
			return a.err
		}
		if err := sleep(ctx, wait); err != nil {
			return fmt.Errorf("%w: while waiting to try again: %w", a.err, err)
		}
	}
}

// ready refuses what a call cannot be made with.
func (c *Client) ready(ctx context.Context) error {
	switch {
	case ctx == nil:
		return invalid("context", "is nil: use context.Background()")
	case c == nil || c.signer == nil:
		return invalid("client", "has no signer: make it with NewClient")
	}
	return nil
}

// send makes one attempt: build → sign → send → classify → decode.
func (c *Client) send(ctx context.Context, op *operation, out answer) (a attempt) {
	path := c.basePath + op.path
	broken := func(err error) error { return &callError{op.method, path, withContext(ctx, err)} }
	if err := ctx.Err(); err != nil {
		return attempt{err: broken(context.Cause(ctx)), fate: neverLeft}
	}

	var conn connTrace
	traced := ctx
	if op.method != http.MethodGet {
		traced = conn.attach(ctx)
	}
	req := c.newRequest(traced, op, path)
	a.cred, a.signed, a.offset = op.cred, time.Now(), c.signer.clockOffset()
	if a.cred == nil {
		a.cred = c.signer.cred.Load()
	}
	if err := a.cred.setHeaders(req.Header, a.signed.Add(a.offset), req.Method, req.URL.RequestURI()); err != nil {
		a.err = err
		return a
	}

	hc := *c.httpClient // the caller's own stays as it is
	hc.CheckRedirect = noRedirect
	resp, err := hc.Do(req)
	a.ended = time.Now()
	if err != nil {
		if urlErr := (*url.Error)(nil); op.mint && errors.As(err, &urlErr) {
			urlErr.Err = unquoted(urlErr.Err)
		}
		a.err, a.fate, a.retry = broken(err), conn.fate(), true
		return a
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		a.accept(ctx, op, path, resp, out)
	} else {
		a.resent = conn.resent(resp)
		a.refuse(op, path, resp)
	}
	return a
}

// accept takes in a 2xx.
func (a *attempt) accept(ctx context.Context, op *operation, path string, resp *http.Response, out answer) {
	if out == nil {
		if resp.ContentLength != 0 {
			_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody) // so that the connection can be used again
		}
		return
	}
	body, err := readBody(resp, maxBody)
	if err == nil {
		err = out.decode(body)
	}
	if err = unquoted(err); err == nil {
		return
	}
	a.err = &InvalidResponseError{resp.StatusCode, op.method, path, withContext(ctx, err)}
	a.fate, a.retry = maybeDone, true
	if op.mint {
		a.keyID = findKeyID(body[:min(len(body), maxErrorBody)]) // it copies what it skips
	}
}

// refuse takes in any other status. It tells enough, whatever comes of the
// body.
func (a *attempt) refuse(op *operation, path string, resp *http.Response) {
	var body []byte
	if resp.StatusCode != http.StatusSwitchingProtocols { // whose body is the connection, which no context ends
		body, _ = readBody(resp, maxErrorBody)
	}
	a.err = statusError(op.method, path, resp, body, a.ended)
	a.fate, a.retry = judgeStatus(resp.StatusCode)
	a.after = retryAfter(resp.Header, a.ended)
	if op.mint {
		a.keyID = findKeyID(body)
	}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newRequest builds the request without its signature.
func (c *Client) newRequest(ctx context.Context, op *operation, path string) *http.Request {
	u := *c.baseURL
	u.RawQuery = op.query
	u.RawPath = path
	u.Path, _ = url.PathUnescape(path) // made of escaped parts
	// Go's canonical names, so they can be set as they are.
	values := []string{"application/json", c.userAgent, "application/json"}
	header := make(http.Header, 6) // with those that setHeaders adds
	header["Accept"] = values[0:1:1]
	header["User-Agent"] = values[1:2:2]
	req := http.Request{Method: op.method, URL: &u, Host: u.Host, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if op.body != nil {
		header["Content-Type"] = values[2:3:3]
		req.ContentLength = int64(len(op.body))
		// No GetBody: with one, net/http's HTTP/2 sends a POST again after a reset
		// (PROTOCOL_ERROR) that does not prove that it was not processed.
		req.Body = io.NopCloser(bytes.NewReader(op.body))
	}
	return req.WithContext(ctx)
}

// withContext adds to err the error of a context that has ended, so that
// errors.Is finds it whatever a transport or a cancel cause made of it.
func withContext(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil && !errors.Is(err, ctxErr) {
		return fmt.Errorf("%w: %w", ctxErr, err)
	}
	return err
}
