package kalshi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A countedBody knows whether it was read to its end, and how often it was closed.
type countedBody struct {
	io.Reader
	ended  bool
	closed int
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

func (b *countedBody) Close() error { b.closed++; return nil }

// newPost returns a request without GetBody, unlike those of net/http.
func newPost(t testing.TB, body string) (*http.Request, *countedBody) {
	t.Helper()
	counted := &countedBody{Reader: strings.NewReader(body)}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, testBaseURL, counted)
	require.NoError(t, err)
	req.ContentLength = int64(len(body))
	return req, counted
}

// It signs what is sent, and leaves the caller's request as it was.
func TestClient_HTTPClient(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	log := respondWith(mock, expired, respond(200, "{}"))
	const target = testBaseURL + "/portfolio/orders?a=b"
	for i, header := range []http.Header{nil, {"Accept": {"text/plain"}, headerKey: {"stale"}, headerTimestamp: {"1"}}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, target, strings.NewReader("order"))
		require.NoError(t, err)
		req.Header = header.Clone()
		body := req.Body
		resp, err := client.HTTPClient().Transport.RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 200, resp.StatusCode)
		assert.Equal(t, header, req.Header)
		assert.Equal(t, target, req.URL.String())
		assert.True(t, body == req.Body)

		sent := log.requests[i+1]
		assert.Equal(t, "POST "+target+" order", sent.method+" "+sent.url+" "+string(sent.body))
		at := assertSigned(t, publicKey(client), sent.header, "POST/some/base/v2/portfolio/orders")
		assert.WithinDuration(t, time.Now().Add(time.Hour), at, time.Minute, "by the service's clock")
		assert.Equal(t, header.Get("Accept"), sent.header.Get("Accept"))
		assert.Len(t, sent.header, max(3, len(header)+1))
	}
	log.assertAttempts(t, 3)
}

// A RoundTripper must close the body of what it does not send.
func TestClient_HTTPClient_closesTheBody(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*Client, *http.Request)
		want   string
	}{
		"another host": {
			func(_ *Client, req *http.Request) { req.URL.Host = "elsewhere.test" },
			"request goes to https://elsewhere.test, but this client signs for https://exchange.test only",
		},
		"a key that cannot sign": {func(c *Client, _ *http.Request) {
			c.signer = newTestSigner(t, &remoteKey{key: newEd25519Key(t), err: errConnectionLost})
		}, errConnectionLost.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			client, mock := newTestClient(t)
			log := respondWith(mock, respond(200, ""))
			req, body := newPost(t, "order")
			tt.change(client, req)
			resp, err := client.HTTPClient().Transport.RoundTrip(req)
			assert.Nil(t, resp)
			assert.ErrorContains(t, err, tt.want)
			assert.Equal(t, 1, body.closed)
			log.assertAttempts(t, 0)
		})
	}
}

// The second time it cannot be signed: the new body is closed, and the first response read and closed.
func TestClient_HTTPClient_closesWhatItSendsAgain(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	first := &countedBody{Reader: strings.NewReader("no such key")}
	log := respondWith(mock, func(*http.Request) (*http.Response, error) {
		assert.NoError(t, client.signer.Replace(credentials(t, otherKeyID, &remoteKey{key: newEd25519Key(t), err: errConnectionLost})))
		return &http.Response{StatusCode: 401, Body: first}, nil
	})
	req, _ := newPost(t, "order")
	again := &countedBody{Reader: strings.NewReader("order")}
	req.GetBody = func() (io.ReadCloser, error) { return again, nil }
	_, err := client.HTTPClient().Transport.RoundTrip(req)
	assert.ErrorIs(t, err, errConnectionLost)
	assert.Equal(t, 1, again.closed)
	assert.Equal(t, 1, first.closed)
	assert.True(t, first.ended, "so that the connection can be reused")
	log.assertAttempts(t, 1)
}

// A signed request is sent as it is. Header names have no case.
func TestClient_HTTPClient_signedAlready(t *testing.T) {
	t.Parallel()
	for _, name := range []string{headerSignature, "KALSHI-ACCESS-SIGNATURE"} {
		client, mock := newTestClient(t)
		log := respondWith(mock, expired)
		req, _ := newPost(t, "order")
		req.Header = http.Header{name: {"own"}, headerKey: {"mine"}}
		resp, err := client.HTTPClient().Transport.RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 401, resp.StatusCode)
		assert.Equal(t, http.Header{name: {"own"}, headerKey: {"mine"}}, log.only(t).header)
		assert.Equal(t, "order", string(log.only(t).body))
		assert.Zero(t, client.signer.ClockOffset(), "nothing is learned from the caller's own signature")

		again := getRequest(t)
		again.Header = req.Header
		mock.RegisterNoResponder(respond(503, ""))
		_, err = client.HTTPClient().Transport.RoundTrip(again)
		require.NoError(t, err)
		assert.Equal(t, 2, mock.GetTotalCallCount(), "its signature does not live for long: it is not sent again")

		req.URL.Host = "elsewhere.test"
		_, err = client.HTTPClient().Do(req)
		assertInvalid(t, err, "request goes to https://elsewhere.test")
		log.assertAttempts(t, 1)
	}
}

// After a 401 the request is sent again, with its whole body. Without GetBody the 401 is returned, whole.
func TestClient_HTTPClient_sendsAgain(t *testing.T) {
	t.Parallel()
	long := expiredBody + strings.Repeat(" ", 2*maxErrorBody) + "."
	again := func(req *http.Request) {
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("order")), nil }
	}
	for _, tt := range []struct {
		change func(req *http.Request)
		sent   []string // bodies
		want   string
	}{
		{again, []string{"order", "order"}, "200 done"},
		{func(req *http.Request) { req.Body = nil }, []string{"", ""}, "200 done"},
		{func(*http.Request) {}, []string{"order"}, "401 " + long},
	} {
		client, mock := newTestClient(t)
		log := respondWith(mock, func(req *http.Request) (*http.Response, error) {
			resp, err := expired(req)
			resp.Body = io.NopCloser(strings.NewReader(long))
			return resp, err
		}, respond(200, "done"))
		req, _ := newPost(t, "order")
		tt.change(req)
		resp, err := client.HTTPClient().Do(req)
		require.NoError(t, err)
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.True(t, tt.want == fmt.Sprint(resp.StatusCode, " ", string(got)), "a %d", resp.StatusCode)
		var sent []string
		for _, r := range log.requests {
			sent = append(sent, string(r.body))
		}
		assert.Equal(t, tt.sent, sent)
	}
	client, mock := newTestClient(t)
	respondWith(mock, expired)
	req, _ := newPost(t, "order")
	req.GetBody = func() (io.ReadCloser, error) { return nil, errConnectionLost }
	_, err := client.HTTPClient().Do(req)
	assert.ErrorIs(t, err, errConnectionLost)
}

// Once for the clock, and each time that the key was replaced, however often that is.
func TestClient_HTTPClient_signsAgain(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	ids := []string{"second", "third", "fourth", "fifth"}
	replace := func(req *http.Request) (*http.Response, error) {
		assert.NoError(t, client.signer.Replace(credentials(t, ids[0], newEd25519Key(t))))
		ids = ids[1:]
		return respond(401, unknownKeyBody)(req)
	}
	log := respondWith(mock, replace, replace, expired, replace, replace, respond(200, ""))
	resp, err := client.HTTPClient().Get(testBaseURL)
	require.NoError(t, err)
	assert.Equal(t, 200, resp.StatusCode)
	for i, want := range []string{testKeyID, "second", "third", "third", "fourth", "fifth"} {
		assert.Equal(t, want, log.requests[i].header.Get(headerKey))
	}
	assert.Equal(t, time.Hour, client.signer.ClockOffset().Round(time.Minute))
}

func getRequest(t testing.TB) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, testBaseURL, nil)
	require.NoError(t, err)
	return req
}

// Where a signature may go: to the base URL's origin and the WebSocket's.
func TestClient_HTTPClient_origins(t *testing.T) {
	t.Parallel()
	const local = "http://127.0.0.1:8080/trade-api/v2"
	tests := []struct {
		base, to string
		sent     bool
	}{
		{testBaseURL, "https://exchange.test/", true},
		{testBaseURL, "https://EXCHANGE.test:443/portfolio", true},
		{testBaseURL, "wss://exchange.test" + WebSocketPath, true},
		{"https://exchange.test:8443/v2", "wss://exchange.test:8443" + WebSocketPath, true},
		{local, "ws://127.0.0.1:8080" + WebSocketPath, true},
		{"http://localhost/v2", "http://localhost:80/v2", true},
		{ExternalProductionBaseURL, "https://external-api-ws.kalshi.com" + WebSocketPath, true},
		{ExternalDemoBaseURL, "wss://external-api-ws.demo.kalshi.co" + WebSocketPath, true},
		{ExternalProductionBaseURL, "wss://api.elections.kalshi.com" + WebSocketPath, true},
		{ProductionBaseURL, "https://external-api-ws.kalshi.com" + WebSocketPath, true},
		{ProductionBaseURL, "wss://external-api-margin-ws.kalshi.com" + MarginWebSocketPath, true},
		{DemoBaseURL, "wss://external-api-margin-ws.demo.kalshi.co" + MarginWebSocketPath, true},

		{testBaseURL, "http://exchange.test:443/portfolio", false},
		{testBaseURL, "https://exchange.test:8443/portfolio", false},
		{testBaseURL, "https://exchange.test.elsewhere.test/portfolio", false},
		{testBaseURL, "https://exchange.test@elsewhere.test/portfolio", false},
		{testBaseURL, "https://[2001:db8::1]/portfolio", false},
		{testBaseURL, "ftp://exchange.test/portfolio", false},
		{testBaseURL, "/portfolio", false},
		{local, "http://127.0.0.1/portfolio", false},
		{"http://localhost/v2", "http://localhost:443/v2", false},
		{ExternalProductionBaseURL, "https://external-api-ws.demo.kalshi.co" + WebSocketPath, false},
		{ProductionBaseURL, ExternalProductionBaseURL, false},
		{ProductionBaseURL, "https://external-api-margin-ws.demo.kalshi.co" + MarginWebSocketPath, false},
	}
	for _, tt := range tests {
		client, mock := newTestClient(t, WithBaseURL(tt.base))
		log := respondWith(mock, respond(200, ""))
		u, err := url.Parse(tt.to)
		require.NoError(t, err)
		_, err = client.HTTPClient().Transport.RoundTrip(&http.Request{Method: http.MethodGet, URL: u})
		if tt.sent {
			require.NoError(t, err, tt)
			log.only(t).assertSigned(t, publicKey(client))
			continue
		}
		assertInvalid(t, err, "this client signs for "+strings.Join(client.origins, ", ")+" only")
		log.assertAttempts(t, 0, tt)
	}
}

// A client whose own HTTPClient is beneath itself would call itself until the stack overflows.
func TestClient_HTTPClient_beneathItself(t *testing.T) {
	t.Parallel()
	hc := new(http.Client)
	client, _ := newTestClient(t, WithHTTPClient(hc))
	own := client.HTTPClient().Transport
	for _, beneath := range []http.RoundTripper{own, roundTripper(func(req *http.Request) (*http.Response, error) {
		return own.RoundTrip(req.Clone(req.Context()))
	})} {
		hc.Transport = beneath
		_, err := client.HTTPClient().Get(testBaseURL)
		assertInvalid(t, err, "leads back to itself")
		_, err = client.GetAPIKeys(t.Context())
		assertInvalid(t, err, "leads back to itself")
	}
}

// A context that ends before the request is sent again leaves the 401.
func TestClient_HTTPClient_cancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	sent := 0
	client, _ := newTestClient(t, WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		sent++
		cancel()
		return expired(req)
	})}))
	resp, err := client.HTTPClient().Transport.RoundTrip(getRequest(t).WithContext(ctx))
	require.NoError(t, err)
	assert.Equal(t, 401, resp.StatusCode)
	assert.Equal(t, 1, sent)
}

func TestCheckResponse(t *testing.T) {
	t.Parallel()
	assertInvalid(t, CheckResponse(nil), "response is nil")
	for status, want := range map[int]string{
		200: "ok", 201: "ok", 204: "ok", 299: "ok", 400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict",
		429: "RateLimit", 500: "Server", 599: "Server", 101: "API", 302: "API", 399: "API", 418: "API", 600: "API",
	} {
		body := &countedBody{Reader: strings.NewReader(nestedBody("some_code", "some words", ""))}
		resp := &http.Response{StatusCode: status, Body: body, Header: http.Header{}, Request: getRequest(t)}
		resp.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		err := CheckResponse(resp)
		assert.Equal(t, want, kindOf(err), status)
		assert.Zero(t, body.closed, "the caller closes it")
		assert.Equal(t, want != "ok" && status != 101, body.ended, "the body of a 101 is the connection")
		if api := new(APIError); want != "ok" && assert.ErrorAs(t, err, &api) {
			assert.Equal(t, []any{status, "GET", "/some/base/v2"}, []any{api.StatusCode, api.Method, api.Path})
			assert.Equal(t, status != 101, api.Code == "some_code" && api.Message == "some words")
		}
		if refused, ok := errors.AsType[*UnauthorizedError](err); ok {
			assert.Equal(t, time.Hour, refused.ClockSkew.Round(time.Minute))
		}
	}
}

// A response need not have a request, a method or a body.
func TestCheckResponse_bare(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, CheckResponse(&http.Response{StatusCode: 404}), "kalshi: 404 Not Found")
	assert.EqualError(t, CheckResponse(&http.Response{StatusCode: 404, Request: new(http.Request)}), "kalshi: 404 Not Found")
	u, err := url.Parse("https://exchange.test/v2/a%2Fb?query=1")
	require.NoError(t, err)
	long := io.NopCloser(strings.NewReader("words" + strings.Repeat(" ", 2*maxErrorBody)))
	err = CheckResponse(&http.Response{StatusCode: 404, Request: &http.Request{URL: u}, Body: long})
	assert.EqualError(t, err, "kalshi: GET /v2/a%2Fb: 404 Not Found: words (not in the service's form: check the base URL, https://HOST/trade-api/v2)")
	api := new(APIError)
	require.ErrorAs(t, err, &api)
	assert.Len(t, api.Body, 64<<10)
}

// A GET or HEAD is retried, nothing else is, and what comes at the end is returned as it is.
func TestClient_HTTPClient_retries(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method   string
		attempts int
	}{{"GET", 3}, {"", 3}, {"HEAD", 3}, {"POST", 1}, {"PUT", 1}, {"DELETE", 1}, {"PATCH", 1}} {
		for _, responder := range []httpmock.Responder{respond(429, "body"), respond(503, "body"), drop} {
			client, mock := newTestClient(t)
			log := respondWith(mock, responder)
			req := getRequest(t)
			req.Method = tt.method
			resp, err := client.HTTPClient().Transport.RoundTrip(req)
			log.assertAttempts(t, tt.attempts, tt.method)
			if err != nil {
				assert.ErrorIs(t, err, errConnectionLost)
				continue
			}
			assert.Same(t, req, resp.Request)
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, "body", string(got))
		}
	}
	client, mock := newTestClient(t)
	log := respondWith(mock, respond(500, ""), drop, respond(200, "done"))
	resp, err := client.HTTPClient().Get(testBaseURL)
	require.NoError(t, err)
	assert.Equal(t, 200, resp.StatusCode)
	log.assertAttempts(t, 3)
}

// Generated clients set the three headers and leave them empty.
func TestClient_HTTPClient_emptyHeaders(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	log := respondWith(mock, respond(200, ""))
	req := getRequest(t)
	for _, name := range []string{"KALSHI-ACCESS-KEY", "KALSHI-ACCESS-SIGNATURE", "KALSHI-ACCESS-TIMESTAMP", headerSignature} {
		req.Header[name] = []string{""}
	}
	req.Header["kalshi-access-signature"] = nil
	resp, err := client.HTTPClient().Do(req)
	require.NoError(t, err)
	log.only(t).assertSigned(t, publicKey(client))
	assert.Len(t, log.only(t).header, 3)
	assert.Empty(t, resp.Request.Header.Get(headerSignature), "the response shows the caller's request")
	_, err = client.HTTPClient().Do(resp.Request.Clone(t.Context())) // for the next page, say
	require.NoError(t, err)
	log.requests[1].assertSigned(t, publicKey(client))
}

// A Location that is no URL stays a response.
func TestClient_HTTPClient_location(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	respondWith(mock, respond(302, "", "Location", "https://[broken"))
	resp, err := client.HTTPClient().Get(testBaseURL)
	require.NoError(t, err)
	assert.Equal(t, 302, resp.StatusCode)
}

// With a header of this name and GetBody, net/http would repeat a request whose response was lost.
func TestClient_HTTPClient_idempotencyKey(t *testing.T) {
	t.Parallel()
	for name, repeatable := range map[string]bool{"Idempotency-Key": false, "X-Idempotency-Key": false, "Other": true} {
		client, mock := newTestClient(t)
		mock.RegisterNoResponder(func(req *http.Request) (*http.Response, error) {
			assert.Equal(t, repeatable, req.GetBody != nil, name)
			return respond(200, "")(req)
		})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, testBaseURL, strings.NewReader("order"))
		require.NoError(t, err)
		req.Header.Set(name, "my-17")
		_, err = client.HTTPClient().Do(req)
		require.NoError(t, err)
		assert.Equal(t, 1, mock.GetTotalCallCount())
	}
}

// What was written to a connection of HTTP/2 is not sent again, by net/http neither.
func TestConnTrace_guardedBody(t *testing.T) {
	t.Parallel()
	trace := connTrace{getBody: func() (io.ReadCloser, error) { return http.NoBody, nil }}
	for seen, again := range map[uint32]bool{connAsked | connGot | connIsHTTP2: true, connGot | headWritten: true, connGot | connIsHTTP2 | headWritten: false} {
		trace.seen.Store(seen)
		_, err := trace.guardedBody()
		assert.Equal(t, again, err == nil, "%b", seen)
	}
}

func TestSigner_Recover(t *testing.T) {
	t.Parallel()
	client, _ := newTestClient(t)
	signer := client.Signer()
	refused := func(respond httpmock.Responder) *http.Response {
		req := getRequest(t)
		require.NoError(t, signer.SignRequest(req))
		resp, err := respond(req)
		require.NoError(t, err)
		return resp
	}
	assert.False(t, signer.Recover(t.Context(), nil))
	assert.False(t, signer.Recover(t.Context(), &http.Response{StatusCode: 401}))
	for _, other := range []httpmock.Responder{respond(200, ""), respond(403, forbiddenBody), respond(401, unknownKeyBody)} {
		assert.False(t, signer.Recover(t.Context(), refused(other)))
	}
	resp, err := expired(getRequest(t))
	require.NoError(t, err)
	assert.False(t, signer.Recover(t.Context(), resp), "it was not signed")
	resp = refused(respond(401, ""))
	resp.Body = nil
	assert.False(t, signer.Recover(t.Context(), resp), "it has no body")
	resp = refused(expired)
	assert.True(t, signer.Recover(t.Context(), resp))
	assert.Equal(t, time.Hour, signer.ClockOffset().Round(time.Minute))
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, expiredBody, string(body), "the body stays readable")

	next := credentials(t, "next", newEd25519Key(t))
	signer.source = &source{load: func(context.Context) (Credentials, error) { return next, nil }, held: signer.cred.Load, take: signer.take}
	auth := authenticator{signer: signer, used: signer.credential()}
	again, err := auth.retry401(t.Context(), &UnauthorizedError{APIError: APIError{Details: detailsUnknownKey}})
	assert.True(t, again)
	assert.True(t, isA[*UnauthorizedError](err), "the call's, if its context has ended")
	next = credentials(t, "last", newEd25519Key(t))
	assert.True(t, signer.Recover(t.Context(), refused(respond(401, unknownKeyBody))), "the source has another key")
	assert.Equal(t, "last", signer.KeyID())
	signer.source = nil

	resp = refused(respond(401, unknownKeyBody))
	require.NoError(t, signer.Replace(credentials(t, otherKeyID, newEd25519Key(t))))
	assert.True(t, signer.Recover(t.Context(), resp), "the key was replaced meanwhile")
	assert.False(t, new(Signer).Recover(t.Context(), resp))
}
