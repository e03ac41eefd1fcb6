package kalshi

// The pipeline that every call goes through.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// An operation is one call of the API, for all of its attempts.
type operation struct {
	name   string // the Client's method
	method string
	path   string // below the base URL, escaped
	query  string // encoded
	body   []byte

	nonIdempotent bool        // creates a key: retried only if it was certainly not processed
	keyName       string      // of the key that is created
	keyID         string      // of the key that is deleted
	rollback      bool        // deletes a key just created: a 404 may mean that it is not visible everywhere yet
	credential    *credential // signs instead of the signer's own, if set
}

// A decoder is what the body of a 2xx is decoded into, each time from scratch.
type decoder interface{ decode(body []byte) error }

// An attemptResult is the result of sending an operation once.
type attemptResult struct {
	err        error // nil is success
	outcome    outcome
	retryable  bool          // another attempt may succeed
	retryAfter time.Duration // from the response
	signAgain  bool          // a 401 that another signature may mend
	keyID      string        // of the new key, if the response names it in spite of err
	received   time.Time     // when the response or the error arrived
}

// do runs an operation: it sends it, retries it as decide says, and decodes
// the response into out; out is nil for an operation without a result.
func (c *Client) do(ctx context.Context, op *operation, out decoder) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	auth := authenticator{signer: c.signer, fixed: op.credential}
	var state retryState
	for {
		result := c.send(ctx, op, out, &auth)
		if state.alreadyDeleted(op, &result, auth.used) {
			return nil
		}
		result.signAgain = auth.recover(result.err, result.received)
		next := decide(op, state, &result, c.retryPolicy(ctx))
		if next.stop {
			return next.err
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

// send makes one attempt: build, sign, send, decode.
func (c *Client) send(ctx context.Context, op *operation, out decoder, auth *authenticator) (result attemptResult) {
	var conn connTrace
	req, err := c.newRequest(conn.attach(ctx, op), op)
	if err != nil {
		return attemptResult{err: err, outcome: outcomeNotSent}
	}
	if ctx.Err() != nil {
		return attemptResult{err: newCallError(req, withContext(ctx, context.Cause(ctx))), outcome: outcomeNotSent}
	}
	if err := auth.sign(req); err != nil {
		return attemptResult{err: err, outcome: outcomeNotSent}
	}

	hc := *c.httpClient // the caller's own stays as it is
	hc.CheckRedirect = noRedirect
	resp, err := hc.Do(req)
	result.received = time.Now()
	if err != nil {
		if urlErr := (*url.Error)(nil); op.nonIdempotent && errors.As(err, &urlErr) {
			urlErr.Err = redactHTTPError(urlErr.Err)
		}
		result.err = newCallError(req, withContext(ctx, err))
		result.outcome, result.retryable = conn.outcome(), true
		return result
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 == 2 {
		result.handleSuccess(req, op, resp, out)
	} else {
		result.handleFailure(req, op, resp)
	}
	return result
}

// handleSuccess decodes a 2xx.
func (r *attemptResult) handleSuccess(req *http.Request, op *operation, resp *http.Response, out decoder) {
	if out == nil {
		if resp.ContentLength == 0 {
			return
		}
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody) // so that the connection can be reused
		return
	}
	body, err := readBody(resp, maxBody)
	if err == nil {
		err = out.decode(body)
	}
	if err = redactHTTPError(err); err == nil {
		return
	}
	r.err = &InvalidResponseError{resp.StatusCode, req.Method, req.URL.EscapedPath(), withContext(req.Context(), err)}
	r.outcome, r.retryable = outcomeUnknown, true
	if op.nonIdempotent {
		r.keyID = findKeyID(body)
	}
}

// handleFailure classifies any other status. Errors of reading the body are
// ignored: the status is enough.
func (r *attemptResult) handleFailure(req *http.Request, op *operation, resp *http.Response) {
	var body []byte
	if resp.StatusCode != http.StatusSwitchingProtocols { // whose body is the connection, which no context ends
		body, _ = readBody(resp, maxErrorBody)
	}
	r.err = statusError(req.Method, req.URL.EscapedPath(), resp, body, r.received)
	r.outcome, r.retryable = classifyStatus(resp.StatusCode)
	r.retryAfter = retryAfter(resp.Header, r.received)
	if op.nonIdempotent {
		r.keyID = findKeyID(body)
	}
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newRequest builds the request without its signature.
func (c *Client) newRequest(ctx context.Context, op *operation) (*http.Request, error) {
	u := c.base + op.path
	if op.query != "" {
		u += "?" + op.query
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
		req.Body = io.NopCloser(bytes.NewReader(op.body))
	}
	return req, nil
}

// withContext adds to err the error of a context that has ended, so that
// errors.Is finds it whatever a transport or a cancel cause made of it.
func withContext(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); ctxErr != nil && !errors.Is(err, ctxErr) {
		return fmt.Errorf("%w: %w", ctxErr, err)
	}
	return err
}
