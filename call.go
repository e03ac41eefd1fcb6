package kalshi

// A call of the API: its attempts, each of which is built, signed, sent and decoded.

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
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

// A call is an operation with all of its attempts.
type call struct {
	client *Client
	operation
	decode  func(body []byte) error // takes the body of a 2xx
	settled func(err error) bool    // reports an error that proves success; may be nil
	auth    authenticator
	state   retryState
	trace   connTrace // of a request with a body through HTTPClient
}

func (c *Client) newCall(op operation) *call {
	return &call{client: c, operation: op}
}

// run makes one attempt after the other, until decide says to stop.
func (c *call) run(ctx context.Context) error {
	if ctx == nil {
		return errNoContext
	}
	c.auth.signer = c.client.signer
	for {
		result := c.send(ctx)
		if result.err != nil && c.settled != nil && c.settled(result.err) {
			return nil
		}
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
	if e, ok := errors.AsType[*UnauthorizedError](result.err); ok {
		result.signAgain, result.err = c.auth.retry401(ctx, e, result.received)
	}
	c.client.reporter.signer(ctx)
	return decide(&c.operation, c.state, result, c.client.retryPolicy(ctx))
}

// pause records an attempt and waits for the next one.
func (c *call) pause(ctx context.Context, result *attemptResult, next decision) error {
	c.client.reporter.retry(ctx, c.event(), next.wait, result.err)
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

// event is the current attempt, for the log.
func (c *call) event() attemptEvent {
	e := attemptEvent{method: c.method, path: c.path, number: c.state.attempts}
	if c.name != "" {
		e.base = c.client.baseURL.Path
	}
	return e
}

// send makes one attempt: build, sign, send, decode.
func (c *call) send(ctx context.Context) (result attemptResult) {
	c.state.attempts++
	req, body, err := c.newRequest(ctx)
	if err != nil {
		return attemptResult{err: err, outcome: outcomeNotSent}
	}
	if err = ended(ctx); err != nil {
		return attemptResult{err: callError(req, notSent(req, err)), outcome: outcomeNotSent}
	}
	if err = c.auth.sign(req); err != nil {
		return attemptResult{err: notSent(req, err), outcome: outcomeNotSent}
	}
	c.client.reporter.signer(ctx)

	hc := *c.client.httpClient // the caller's own stays as it is
	hc.CheckRedirect = noRedirect
	began := time.Now()
	resp, err := hc.Do(req)
	result.received = time.Now()
	defer func() { c.client.reporter.attempt(ctx, c.event(), req.Header, began, resp, result.err) }()
	if err != nil {
		result.outcome, result.retryable = outcomeUnknown, true
		if body != nil && body.seal() {
			result.outcome, err = outcomeNotSent, notSent(req, err)
		}
		result.err = callError(req, err)
		return result
	}
	defer resp.Body.Close()
	c.read(&result, req, resp)
	return result
}

// read decodes a 2xx and classifies any other status. Complete JSON is accepted even if the transfer
// then failed: a private key must not be lost.
func (c *call) read(result *attemptResult, req *http.Request, resp *http.Response) {
	if resp.StatusCode/100 != 2 {
		body := readErrorBody(resp) // as far as it goes: the status is enough
		result.err, result.keyID = statusError(req, resp, body, result.received), c.createdID(body)
		result.outcome, result.retryable = classifyStatus(resp.StatusCode)
		result.retryAfter = retryAfter(resp.Header, result.received)
		return
	}
	body, err := readBody(resp, maxBody)
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

// notSent is the error of an attempt that was not sent, after others that were not processed.
func (c *call) notSent(req *http.Request, err error) error {
	if c.state.unknown {
		return err
	}
	return notSent(req, err)
}

// createdID returns the ID that the response to a failed create gives the new key, if any. It is
// neither the signing key's, which a caller might delete then, nor a private key.
func (c *call) createdID(body []byte) string {
	found := newKeyID.FindSubmatch(body)
	if !c.creates || found == nil || string(found[1]) == c.auth.used.keyID || isKeyText(string(found[1])) {
		return ""
	}
	return string(found[1])
}

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newRequest builds the request without its signature. It has no GetBody: with one, net/http could
// send it again after a connection of HTTP/2 broke.
func (c *call) newRequest(ctx context.Context) (*http.Request, *sealedBody, error) {
	u := c.client.base + c.path
	if c.query != "" {
		u += "?" + c.query
	}
	req, err := http.NewRequestWithContext(ctx, c.method, u, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("kalshi: %s: %w", c.name, err)
	}
	maps.Copy(req.Header, c.client.header)
	req.Close = c.close
	if c.body == nil {
		return req, nil, nil
	}
	req.Header.Set("Content-Type", "application/json")
	req.ContentLength = int64(len(c.body))
	body := &sealedBody{content: bytes.NewReader(c.body)}
	req.Body = body
	return req, body, nil
}

// callError is the error of a call that got no response. It keeps the standard library's errors and
// leaves out what their texts repeat.
func callError(req *http.Request, err error) error {
	text := innerMessage(err)
	if inner, ok := errors.AsType[*url.Error](err); ok {
		inner.Err = redactHTTPError(inner.Err)
		text = innerMessage(inner.Err) // without the method and URL that it repeats
	}
	if isClosed(err) {
		text = "the connection was closed before a response arrived: " + text
	}
	err = withContext(req.Context(), err)
	return reword(req.Method+" "+redact.Truncate(req.URL.EscapedPath(), maxPath)+": "+text, err)
}

// isClosed reports whether the connection was closed, often one that had been idle for long.
func isClosed(err error) bool {
	is := func(target error) bool { return errors.Is(err, target) }
	return slices.ContainsFunc([]error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE}, is) ||
		strings.Contains(err.Error(), "server closed idle connection")
}
