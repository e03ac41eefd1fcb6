package kalshi

// The pipeline that every call goes through.

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

// An operation is one call of the API, for all of its attempts.
type operation struct {
	name   string // the Client's method
	method string
	path   string // below the base URL, escaped
	query  string // encoded
	body   []byte

	nonIdempotent bool                 // creates a key: retried only if it was certainly not processed
	keyName       string               // of the key that is created
	existed       func(id string) bool // reports keys known to be older than the one created; may be nil
	keyID         string               // of the key that is deleted
	rollback      bool                 // deletes a key just created: a 404 may mean that it is not visible everywhere yet
	credential    *credential          // signs instead of the signer's own, if set
	subtrader     bool                 // names an FCM subtrader
}

// A decoder is what the body of a 2xx is decoded into. A list is decoded again
// after a retry, a new key at most once.
type decoder interface{ decode(body []byte) error }

// An attemptResult is the result of sending an operation once.
type attemptResult struct {
	err        error // nil is success
	outcome    outcome
	retryable  bool          // another attempt may succeed
	retryAfter time.Duration // from the response
	signAgain  bool          // a 401 that another signature may resolve
	keyID      string        // of the new key, if the response names it in spite of err
	received   time.Time     // when the response or the error arrived
}

// do runs an operation: it sends it, retries it as decide says, and decodes
// the response into out.
func (c *Client) do(ctx context.Context, op *operation, out decoder) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	return c.run(ctx, op, out, &authenticator{signer: c.signer, fixed: op.credential})
}

func (c *Client) run(ctx context.Context, op *operation, out decoder, auth *authenticator) error {
	var state retryState
	for {
		result := c.send(ctx, op, out, auth)
		if state.alreadyDeleted(op, &result, auth.used) {
			return nil
		}
		result.signAgain, result.err = auth.recover(ctx, result.err, result.received)
		next := decide(op, state, &result, c.retryPolicy(ctx))
		if next.stop {
			return op.explain(next.err)
		}
		state.record(&result, next)
		if err := sleep(ctx, next.wait); err != nil {
			return fmt.Errorf("%w: while waiting to retry: %w", result.err, err)
		}
	}
}

// ready rejects what a call cannot be made with.
func (c *Client) ready(ctx context.Context) error {
	switch {
	case ctx == nil:
		return invalid("context", "is nil: use context.Background()")
	case c == nil || c.signer == nil:
		return invalid("client", "has no signer: make it with NewClient")
	}
	return nil
}

// explain adds to a 403 a hint on the FCM subtrader, if the call named one.
func (op *operation) explain(err error) error {
	if _, forbidden := errors.AsType[*ForbiddenError](err); forbidden && op.subtrader {
		return &multiError{innerMessage(err) + " (FCMSubtraderID is for FCM members only: leave it out for other accounts)", []error{err}}
	}
	return err
}

// send makes one attempt: build, sign, send, decode.
func (c *Client) send(ctx context.Context, op *operation, out decoder, auth *authenticator) (result attemptResult) {
	var sent sentTrace
	req, err := c.newRequest(ctx, op, &sent)
	if err != nil {
		return attemptResult{err: err, outcome: outcomeNotSent}
	}
	if ctx.Err() != nil {
		return attemptResult{err: newCallError(req, context.Cause(ctx)), outcome: outcomeNotSent}
	}
	if err := auth.sign(req); err != nil {
		return attemptResult{err: err, outcome: outcomeNotSent}
	}

	hc := *c.httpClient // the caller's own stays as it is
	hc.CheckRedirect = noRedirect
	resp, err := hc.Do(req)
	result.received = time.Now()
	if err != nil {
		result.err = newCallError(req, err)
		result.outcome, result.retryable = sent.outcome(), true
		return result
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		result.handleSuccess(req, op, resp, out, auth)
	} else {
		result.handleFailure(req, op, resp, auth)
	}
	return result
}

// handleSuccess decodes a 2xx. JSON that arrived whole counts, however the
// transfer ended: a private key must not be lost.
func (r *attemptResult) handleSuccess(req *http.Request, op *operation, resp *http.Response, out decoder, auth *authenticator) {
	body, err := readBody(resp, maxBody)
	if err == nil || json.Valid(body) {
		err = out.decode(body)
	}
	if created, ok := out.(interface{ id() string }); ok && err == nil && op.newKeyID(created.id(), auth) == "" {
		err = errors.New("it gives the new key the ID of an older one")
	}
	if err == nil {
		return
	}
	r.err = &InvalidResponseError{resp.StatusCode, req.Method, req.URL.EscapedPath(), withContext(req.Context(), redactHTTPError(err))}
	r.outcome, r.retryable = outcomeUnknown, true
	if op.nonIdempotent {
		r.keyID = op.newKeyID(findKeyID(body), auth)
	}
}

// handleFailure classifies any other status. Errors of reading the body are
// ignored: the status is enough.
func (r *attemptResult) handleFailure(req *http.Request, op *operation, resp *http.Response, auth *authenticator) {
	body := readErrorBody(resp)
	r.err = statusError(req.Method, req.URL.EscapedPath(), resp, body, r.received)
	r.outcome, r.retryable = classifyStatus(resp.StatusCode)
	r.retryAfter = retryAfter(resp.Header, r.received)
	if op.nonIdempotent {
		r.keyID = op.newKeyID(findKeyID(body), auth)
	}
}

// newKeyID returns id, or "" if it is the signing key's or belongs to a key that
// existed before. A caller might delete the key that an error names.
func (op *operation) newKeyID(id string, auth *authenticator) string {
	if id == auth.used.keyID || op.existed != nil && op.existed(id) {
		return ""
	}
	return id
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newRequest builds the request without its signature; sent will watch it.
func (c *Client) newRequest(ctx context.Context, op *operation, sent *sentTrace) (*http.Request, error) {
	u := c.base + op.path
	if op.query != "" {
		u += "?" + op.query
	}
	if op.method == http.MethodDelete { // a GET may always be retried, and the body of a POST is watched
		ctx = sent.watchConn(ctx)
	}
	req, err := http.NewRequestWithContext(ctx, op.method, u, nil)
	if err != nil {
		return nil, fmt.Errorf("kalshi: %s: %w", op.name, err)
	}
	maps.Copy(req.Header, c.header)
	if op.body != nil {
		req.Header.Set("Content-Type", "application/json")
		req.ContentLength = int64(len(op.body))
		// No GetBody: with one, net/http's HTTP/2 sends a POST again after a reset
		// (PROTOCOL_ERROR) that does not prove that it was not processed.
		sent.body = &requestBody{content: bytes.NewReader(op.body)}
		req.Body = sent.body
	}
	return req, nil
}

// callError is a call that got no response: it keeps the standard library's
// errors and leaves out what their texts repeat.
type callError struct {
	method, path string
	err          error
}

func newCallError(req *http.Request, err error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		urlErr.Err = redactHTTPError(urlErr.Err)
	}
	return &callError{req.Method, req.URL.EscapedPath(), withContext(req.Context(), err)}
}

func (e *callError) Error() string {
	err := e.err
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err // without the method and URL that it repeats
	}
	text := innerMessage(err)
	if isClosed(err) {
		text = "the connection was closed before a response arrived: " + text
	}
	return "kalshi: " + e.method + " " + redact.Truncate(e.path, maxPath) + ": " + text
}

func (e *callError) Unwrap() error { return e.err }

// isClosed reports whether the server, or something between, has closed the
// connection; often one that had been idle for long.
func isClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		err != nil && strings.Contains(err.Error(), "server closed idle connection")
}

// withContext adds to err the error of a context that has ended, so that
// errors.Is finds it whatever a transport or a cancel cause made of it.
func withContext(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil && !errors.Is(err, ctxErr) {
		return fmt.Errorf("%w: %w", ctxErr, err)
	}
	return err
}
