package kalshi

// HTTPClient: the round tripper that signs what a bot sends.

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

// HTTPClient returns an HTTP client for the API's other endpoints: requests
// written by hand, generated clients, a WebSocket dial. It signs each request
// when it is sent, by the service's clock, without changing the caller's
// request, and has the Timeout, the Jar and the transport of the client's own
// HTTP client. It is safe for concurrent use.
//
// It sends only to the base URL and to [Client.WebSocketURL]. A request to
// another scheme, host or port is a [*ValidationError] within a [*url.Error],
// and nothing is sent. It follows no redirects: a 3xx is the response.
//
// A 401 that a new signature can resolve is retried, since the service has not
// processed the request: the timestamp was out of bounds, or the key was
// rotated. That needs a request without a body, or with GetBody, which
// [http.NewRequestWithContext] sets for the usual readers; otherwise the 401 is
// returned. There are no other retries. A library that retries, such as
// go-retryablehttp, goes above this client, where each of its attempts is
// signed anew; one below would send a signature again that may have expired.
//
// A request that already has a KALSHI-ACCESS-SIGNATURE header is sent as it is.
//
// To write to the connection of a 101 yourself, set the returned client's
// Timeout to 0; otherwise net/http hides the body's Write method. WebSocket
// libraries do that.
//
//	resp, err := client.HTTPClient().Get(client.BaseURL() + "/portfolio/balance")
//	if err != nil {
//		return err
//	}
//	defer resp.Body.Close()
//	if err := kalshi.CheckResponse(resp); err != nil {
//		return err
//	}
func (c *Client) HTTPClient() *http.Client {
	hc := &http.Client{Transport: &signingTransport{c}, CheckRedirect: noRedirect}
	if c != nil && c.httpClient != nil {
		hc.Timeout, hc.Jar = c.httpClient.Timeout, c.httpClient.Jar
	}
	return hc
}

// CheckResponse returns nil for a 2xx, and for any other response of any
// endpoint the error that the client's own calls return: [*UnauthorizedError]
// for a 401, [*RateLimitError] for a 429, and so on, each of which is an
// [*APIError] too. It reads the body, up to 64 KiB, and does not close it. The
// body of a 101 is the connection and is not read. Call it as soon as the
// response is there: the ClockSkew of a 401 is measured against that time.
//
// A nil response is a [*ValidationError].
func CheckResponse(resp *http.Response) error {
	if resp == nil {
		return invalid("response", "is nil: check the error of the call first")
	}
	if resp.StatusCode/100 == 2 {
		return nil
	}
	received := time.Now()
	var method, path string
	if req := resp.Request; req != nil && req.URL != nil {
		method, path = cmp.Or(req.Method, http.MethodGet), req.URL.EscapedPath()
	}
	return statusError(method, path, resp, readErrorBody(resp), received)
}

// A signingTransport is the transport of HTTPClient.
type signingTransport struct{ client *Client }

// RoundTrip implements [http.RoundTripper].
func (t *signingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.check(req); err != nil {
		closeBody(req)
		return nil, err
	}
	base := t.client.httpClient.Transport
	if base == nil {
		base = http.DefaultTransport
	}
	if hasSignature(req.Header) {
		resp, err := base.RoundTrip(req)
		return resp, redactHTTPError(err)
	}
	auth := authenticator{signer: t.client.signer}
	for body := req.Body; ; {
		attempt := req.WithContext(req.Context())
		attempt.Body = body
		attempt.Header = req.Header.Clone()
		if attempt.Header == nil {
			attempt.Header = make(http.Header)
		}
		if err := auth.sign(attempt); err != nil {
			closeBody(attempt)
			return nil, err
		}
		resp, err := base.RoundTrip(attempt)
		if err != nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
			return resp, redactHTTPError(err)
		}
		if !auth.shouldSignAgain(req.Context(), resp) {
			return resp, nil
		}
		if body, err = rewind(req); err != nil {
			return resp, nil // it cannot be sent again
		}
		_ = resp.Body.Close() // up to 64 KiB of it were read, so that the connection can be reused
	}
}

// check rejects what must not be sent.
func (t *signingTransport) check(req *http.Request) error {
	if err := t.client.ready(req.Context()); err != nil {
		return err
	}
	if req.URL == nil {
		return invalid("request", "has no URL: make it with http.NewRequestWithContext")
	}
	to, base := origin(req.URL), origin(t.client.baseURL)
	allowed := to == base || to == origin(t.client.webSocketURL())
	if opaque := req.URL.Opaque; strings.HasPrefix(opaque, "//") && !strings.HasPrefix(opaque, "//"+req.URL.Host+"/") {
		to, allowed = opaque, false
	}
	switch {
	case allowed:
		return nil
	case req.URL.Host == "":
		return invalid("request", "has no host: put Client.BaseURL before the path; this client signs for %s only", base)
	default:
		return invalid("request", "goes to %s, but this client signs for %s only: use another http.Client", redact.Text(to, maxPath), base)
	}
}

// origin returns a URL's scheme, host and port in one form. A WebSocket is
// dialled by HTTP.
func origin(u *url.URL) string {
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	switch scheme {
	case "ws":
		scheme = "http"
	case "wss":
		scheme = "https"
	}
	if port == "80" && scheme == "http" || port == "443" && scheme == "https" {
		port = ""
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	return scheme + "://" + host
}

func hasSignature(h http.Header) bool {
	for name := range h {
		if strings.EqualFold(name, headerSignature) {
			return true
		}
	}
	return false
}

// shouldSignAgain reports whether a 401 is worth signing and sending the request
// again. It leaves the response's body as it was.
func (a *authenticator) shouldSignAgain(ctx context.Context, resp *http.Response) bool {
	received := time.Now()
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	copied := *resp
	copied.Body = io.NopCloser(bytes.NewReader(body))
	again, _ := a.recover(ctx, statusError("", "", resp, readErrorBody(&copied), received), received)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
	return again && ctx.Err() == nil
}

// rewind returns the request's body from its start.
func rewind(req *http.Request) (io.ReadCloser, error) {
	switch {
	case req.Body == nil || req.Body == http.NoBody:
		return req.Body, nil
	case req.GetBody == nil:
		return nil, errors.New("kalshi: the request has no GetBody")
	}
	return req.GetBody()
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
