package kalshi

import (
	"cmp"
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// HTTPClient returns an HTTP client for the API's other endpoints: requests written by hand,
// generated clients, a WebSocket dial. It signs a copy of each request as it is sent, over the Timeout,
// Jar and transport of the client's own HTTP client, and is safe for concurrent use. Put
// [Client.BaseURL] before a path, and call [CheckResponse] on what comes back.
//
// A GET or HEAD is retried as the client's own calls are (see [WithMaxRetries]), until a response's
// header arrives; the Timeout is for all attempts. Any other request is sent once, except that
// net/http repeats one without a body on a connection that broke. If one with a body certainly was
// not sent, the error holds a [*NotSentError]. (If Timeout ends the dialling, net/http hides it: set a
// shorter one for the dial.) A library that retries, put above this client, must not repeat orders.
//
// A 401 for an expired timestamp or a rotated key is retried for every method, since the service has
// not processed the request, unless it has a body and no GetBody.
//
// It sends only to the base URL's origin and the WebSocket hosts of its environment. A 3xx is the
// response. A request that has a KALSHI-ACCESS-SIGNATURE already is sent once, as it is. After an
// upgrade (101), resp.Body is writable only if Timeout is 0. A connection of HTTP/2 that freezes takes
// requests down with it until SendPingTimeout of the transport's [http.HTTP2Config] ends it.
func (c *Client) HTTPClient() *http.Client {
	return &http.Client{Transport: &signingTransport{c}, CheckRedirect: noRedirect, Timeout: c.httpClient.Timeout, Jar: c.httpClient.Jar}
}

// CheckResponse returns nil for a 2xx, whatever its body says, and for any other response of any
// endpoint the error that the client's own calls return, such as [*RateLimitError] for a 429. It
// reads up to 64 KiB of the body, but not of a 101's, and does not close it.
func CheckResponse(resp *http.Response) error {
	if resp == nil {
		return invalid("response", "is nil: check the error of the call first")
	}
	if resp.StatusCode/100 == 2 {
		return nil
	}
	if req := resp.Request; req != nil {
		if err, ok := req.Context().Value(resp).(error); ok {
			return err // as HTTPClient saw it
		}
	}
	return statusError(resp.Request, resp, readErrorBody(resp), time.Now())
}

// A signingTransport is the transport of HTTPClient.
type signingTransport struct{ client *Client }

// CloseIdleConnections closes those of the transport below.
func (t *signingTransport) CloseIdleConnections() { t.client.httpClient.CloseIdleConnections() }

// RoundTrip implements [http.RoundTripper].
func (t *signingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	call := t.client.newCall(operation{
		signed:  headerValue(req.Header, headerSignature) != "",
		oneShot: hasBody(req) && req.GetBody == nil,
	})
	call.noRetry = call.signed || call.oneShot || !slices.Contains([]string{"", http.MethodGet, http.MethodHead}, req.Method)
	for body := req.Body; ; {
		resp, result := t.send(call, req, body)
		next := call.judge(req.Context(), &result)
		switch {
		case next.stop && resp == nil:
			return nil, next.err
		case next.stop:
			if resp.StatusCode == http.StatusUnauthorized { // CheckResponse finds it there
				resp.Request = req.WithContext(context.WithValue(req.Context(), resp, next.err))
			}
			return resp, nil
		case resp != nil:
			_ = readErrorBody(resp) // so that the connection can be reused
			_ = resp.Body.Close()
		}
		err := call.pause(req.Context(), &result, next)
		if err == nil && hasBody(req) {
			body, err = req.GetBody()
		}
		if err != nil {
			return nil, call.notSent(req, err)
		}
	}
}

// send makes one attempt. For a response of 400 or more, the result has an error, too.
func (t *signingTransport) send(call *call, req *http.Request, body io.ReadCloser) (resp *http.Response, result attemptResult) {
	ctx := req.Context()
	if call.signed { // by the caller, or by this client, if it is beneath itself
		ctx = context.WithValue(ctx, t.client, true)
	}
	if hasBody(req) {
		ctx = call.trace.watch(ctx)
	}
	attempt := req.WithContext(ctx)
	attempt.Body = body
	if hasBody(req) && req.GetBody != nil {
		call.trace.getBody, attempt.GetBody = req.GetBody, call.trace.guardedBody
	}
	if call.noRetry && (req.Header.Get("Idempotency-Key") != "" || req.Header.Get("X-Idempotency-Key") != "") {
		attempt.GetBody = nil // with such a header, net/http would repeat the request after a lost response
	}
	if !call.signed {
		attempt.Header = make(http.Header, len(req.Header)+3)
		maps.Copy(attempt.Header, req.Header)
		maps.DeleteFunc(attempt.Header, func(name string, _ []string) bool { // empty ones of a generated client
			return len(name) > 14 && strings.EqualFold(name[:14], "Kalshi-Access-")
		})
	}
	err := t.validate(req)
	if err == nil {
		err = call.begin(attempt)
	}
	if err != nil {
		if body != nil {
			_ = body.Close()
		}
		return nil, attemptResult{err: call.notSent(req, err), outcome: outcomeNotSent}
	}
	began := time.Now()
	resp, err = cmp.Or(t.client.httpClient.Transport, http.DefaultTransport).RoundTrip(attempt)
	received := time.Now()
	switch {
	case err != nil:
		err = redactHTTPError(err)
		if call.trace.unsent() {
			err = call.notSent(req, err)
		}
		result.err, result.outcome, result.retryable = err, outcomeUnknown, true
	case resp != nil:
		resp.Request = req
		switch status := resp.StatusCode; {
		case status == http.StatusUnauthorized:
			result.fail(attempt, resp, peekBody(resp), received)
		case status >= 400:
			result.fail(attempt, resp, nil, received)
		case status/100 == 3: // net/http would make an error of a Location that is no URL
			if _, err := url.Parse(resp.Header.Get("Location")); err != nil {
				resp.Header.Del("Location")
			}
		}
	}
	call.client.reporter.attempt(req.Context(), call.last, attempt.Header, began, resp, result.err)
	return resp, result
}

// validate rejects what must not be sent.
func (t *signingTransport) validate(req *http.Request) error {
	u, allowed := req.URL, t.client.origins
	switch {
	case req.Context().Value(t.client) != nil:
		return invalid("HTTP client", "leads back to itself: WithHTTPClient was given this client's own HTTPClient")
	case u.Opaque != "" || u.Path != "" && !strings.HasPrefix(u.EscapedPath(), "/"):
		return invalid("request", "has a URL whose path does not begin with a slash: a proxy could send it elsewhere")
	}
	if base := t.client.baseURL; (u.Scheme != base.Scheme || u.Host != base.Host) && !slices.Contains(allowed, origin(u.Scheme, u.Host)) {
		return invalid("request", "goes to %s, but this client signs for %s only: put Client.BaseURL before the path, or use another http.Client",
			safePath(origin(u.Scheme, u.Host)), strings.Join(allowed, ", "))
	}
	if req.Host != "" && req.Host != u.Host && origin(u.Scheme, req.Host) != origin(u.Scheme, u.Host) {
		return invalid("request", "has a Host that differs from its URL's: leave Request.Host empty")
	}
	return nil
}
