package kalshi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"time"
)

// A call is an operation with all of its attempts.
type call struct {
	client *Client
	operation
	decode  func(body []byte) error // takes the body of a 2xx
	settled func(err error) bool    // reports an error that proves success; may be nil
	auth    authenticator
	state   retryState
	last    attemptEvent // for the log
	trace   connTrace    // of a request with a body through HTTPClient
}

func (c *Client) newCall(op operation) *call {
	return &call{
		client: c, operation: op,
		auth:  authenticator{signer: c.signer, reporter: c.reporter},
		state: retryState{maxRetries: c.maxRetries, jitter: c.jitter, remaining: math.MaxInt64},
	}
}

// run makes one attempt after the other, until decide says to stop.
func (c *call) run(ctx context.Context) error {
	if ctx == nil {
		return invalid("context", "is nil: use context.Background()")
	}
	for {
		result := c.send(ctx)
		next := c.judge(ctx, &result)
		if next.stop {
			return next.err
		}
		if err := c.pause(ctx, &result, next); err != nil {
			return err
		}
	}
}

// judge decides what follows an attempt.
func (c *call) judge(ctx context.Context, result *attemptResult) decision {
	if result.err != nil && c.settled != nil && c.settled(result.err) {
		return decision{stop: true}
	}
	if e, ok := errors.AsType[*UnauthorizedError](result.err); ok && !c.signed {
		result.signAgain, result.err = c.auth.retry401(ctx, e)
	}
	c.client.reporter.changes(ctx)
	c.state.ended = ctx.Err() != nil
	if deadline, ok := ctx.Deadline(); ok {
		c.state.remaining = time.Until(deadline)
	}
	return decide(&c.operation, c.state, result)
}

// pause records an attempt and waits for the next one.
func (c *call) pause(ctx context.Context, result *attemptResult, next decision) error {
	c.client.reporter.retry(ctx, c.last, next.wait, result.err)
	c.state.unknown = c.state.unknown || result.outcome == outcomeUnknown
	if !next.counted {
		return nil
	}
	c.state.retries++
	if err := sleep(ctx, next.wait); err != nil {
		return fmt.Errorf("%w: while waiting to retry: %w", result.err, err)
	}
	return nil
}

// begin signs an attempt, unless its context has ended.
func (c *call) begin(req *http.Request) (err error) {
	c.last = attemptEvent{req.Method, req.URL.EscapedPath(), c.last.number + 1}
	c.client.reporter.changes(req.Context())
	if err = ended(req.Context()); err == nil && !c.signed {
		c.auth.used, c.auth.offset, err = c.client.signer.setHeaders(req.Header, req.Method, req.URL.RequestURI())
	}
	return err
}

// send makes one attempt: build, sign, send, decode.
func (c *call) send(ctx context.Context) (result attemptResult) {
	req, body := c.newRequest(ctx)
	if err := c.begin(req); err != nil {
		return attemptResult{err: callError(req, c.notSent(req, err)), outcome: outcomeNotSent}
	}
	hc := *c.client.httpClient // the caller's own stays as it is
	hc.CheckRedirect = noRedirect
	began := time.Now()
	resp, err := hc.Do(req)
	received := time.Now()
	defer func() { c.client.reporter.attempt(ctx, c.last, req.Header, began, resp, result.err) }()
	if err != nil {
		result.outcome, result.retryable = outcomeUnknown, true
		if body != nil && body.seal() {
			result.outcome, err = outcomeNotSent, c.notSent(req, err)
		}
		result.err = callError(req, err)
		return result
	}
	defer resp.Body.Close()
	c.read(&result, req, resp, received)
	return result
}

// read decodes a 2xx, even if the transfer failed behind complete JSON, and classifies the others.
func (c *call) read(result *attemptResult, req *http.Request, resp *http.Response, received time.Time) {
	if resp.StatusCode/100 != 2 {
		body := readErrorBody(resp) // as far as it goes: the status is enough
		result.fail(req, resp, body, received)
		result.keyID = c.createdID(body)
		return
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if len(body) > maxBody {
		body, err = body[:maxBody], fmt.Errorf("it is longer than %d MiB", maxBody>>20)
	}
	body = bytes.TrimRight(bytes.TrimPrefix(body, []byte("\ufeff")), "\x00")
	if err == nil || json.Valid(body) {
		err = c.decode(body)
	}
	if err != nil {
		err = withContext(req.Context(), redactHTTPError(err))
		result.err, result.keyID = &InvalidResponseError{resp.StatusCode, req.Method, req.URL.EscapedPath(), err}, c.createdID(body)
		result.outcome, result.retryable = outcomeUnknown, true
	}
}

// newKeyID finds the ID in the response of a create, which may be cut off.
var newKeyID = regexp.MustCompile(`(?:^\s*{|,)\s*"api_key_id"\s*:\s*"([^"\\]+)"`)

// notSent is a *NotSentError if the request has a body and no earlier attempt may have been processed.
func (c *call) notSent(req *http.Request, err error) error {
	if c.state.unknown || !hasBody(req) {
		return err
	}
	return &NotSentError{err}
}

// createdID returns the new key's ID in the response to a failed create, but not the signing key's.
func (c *call) createdID(body []byte) string {
	found := newKeyID.FindSubmatch(body)
	if !c.creates || found == nil || string(found[1]) == c.auth.used.keyID || isKeyText(string(found[1])) {
		return ""
	}
	return string(found[1])
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newRequest builds the unsigned request, without GetBody, with which net/http could send it again.
func (c *call) newRequest(ctx context.Context) (*http.Request, *sealedBody) {
	req, _ := http.NewRequestWithContext(ctx, c.method, c.client.base+c.path, nil) // its parts are valid
	req.URL.RawQuery = c.query
	maps.Copy(req.Header, c.client.header)
	req.Close = c.creates // net/http would log what a broken proxy sends behind the response: perhaps a key
	if c.body == nil {
		return req, nil
	}
	req.Header.Set("Content-Type", "application/json")
	body := &sealedBody{content: bytes.NewReader(c.body)}
	req.Body, req.ContentLength = body, int64(len(c.body))
	return req, body
}

// callError is the error of a call without a response: the standard library's, without repetitions.
func callError(req *http.Request, err error) error {
	text := innerMessage(err)
	if inner, ok := errors.AsType[*url.Error](err); ok {
		inner.Err = redactHTTPError(inner.Err)
		text = innerMessage(inner.Err) // without the method and URL that it repeats
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		text = "the connection was closed before a response arrived: " + text
	}
	err = withContext(req.Context(), err)
	return reword(req.Method+" "+safePath(req.URL.EscapedPath())+": "+text, err)
}
