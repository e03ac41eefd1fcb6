package kalshi

import (
	"compress/gzip"
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

// A countedBody knows whether it was read to its end, and how often it was
// closed.
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
		"another host, by its IPv6 address": {
			func(_ *Client, req *http.Request) { req.URL.Host = "[2001:db8::1]:8443" },
			"request goes to https://[2001:db8::1]:8443, but this client signs for https://exchange.test only",
		},
		"no URL":      {func(_ *Client, req *http.Request) { req.URL = nil }, "request has no URL"},
		"zero client": {func(c *Client, _ *http.Request) { *c = Client{} }, "client has no signer"},
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

// The second time it cannot be signed: the new body is closed, too, and the
// first response is read and closed.
func TestClient_HTTPClient_closesWhatItSendsAgain(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	refusal := &countedBody{Reader: strings.NewReader("no such key")}
	log := respondWith(mock, func(*http.Request) (*http.Response, error) {
		assert.NoError(t, client.signer.Replace(otherKeyID, &remoteKey{key: newEd25519Key(t), err: errConnectionLost}))
		return &http.Response{StatusCode: 401, Body: refusal}, nil
	})
	req, _ := newPost(t, "order")
	again := &countedBody{Reader: strings.NewReader("order")}
	req.GetBody = func() (io.ReadCloser, error) { return again, nil }
	_, err := client.HTTPClient().Transport.RoundTrip(req)
	assert.ErrorIs(t, err, errConnectionLost)
	assert.Equal(t, 1, again.closed)
	assert.Equal(t, 1, refusal.closed)
	assert.True(t, refusal.ended, "so that the connection can be reused")
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
		assert.Zero(t, client.signer.clockOffset(), "nothing is learned from the caller's own signature")

		quoting := errors.New(`malformed HTTP response "the rest of a key"`)
		mock.RegisterNoResponder(httpmock.NewErrorResponder(quoting))
		_, err = client.HTTPClient().Transport.RoundTrip(req)
		assert.ErrorIs(t, err, quoting)
		assert.NotContains(t, err.Error(), "the rest of a key")

		req.URL.Host = "elsewhere.test"
		_, err = client.HTTPClient().Do(req)
		assertInvalid(t, err, "request goes to https://elsewhere.test")
		log.assertAttempts(t, 1)
	}
}

// A 401 that another signature may cure has the request sent again, with its
// whole body. Without GetBody the 401 is returned, with its whole body.
func TestClient_HTTPClient_sendsAgain(t *testing.T) {
	t.Parallel()
	long := expiredBody + strings.Repeat(" ", 2*maxErrorBody) + "."
	var zipped strings.Builder
	zip := gzip.NewWriter(&zipped)
	_, _ = zip.Write([]byte(expiredBody))
	require.NoError(t, zip.Close())
	order := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("order")), nil }
	broken := func() (io.ReadCloser, error) { return nil, errConnectionLost }
	for name, tt := range map[string]struct {
		body    string
		getBody func() (io.ReadCloser, error)
		refusal string
		again   bool
	}{
		"a body that can be had again":            {"order", order, long, true},
		"no body":                                 {"", nil, long, true},
		"a 401 compressed by the caller's choice": {"order", order, zipped.String(), true},
		"a body without GetBody":                  {"order", nil, long, false},
		"a GetBody that fails":                    {"order", broken, long, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			log := respondWith(mock, func(req *http.Request) (*http.Response, error) {
				resp, err := expired(req)
				resp.Body = io.NopCloser(strings.NewReader(tt.refusal))
				if tt.refusal != long {
					resp.Header.Set("Content-Encoding", "gzip")
				}
				return resp, err
			}, respond(200, "done"))
			req, _ := newPost(t, tt.body)
			req.GetBody = tt.getBody
			if tt.body == "" {
				req.Body = nil
			}
			resp, err := client.HTTPClient().Do(req)
			require.NoError(t, err)
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			if tt.again {
				log.assertAttempts(t, 2)
				assert.Equal(t, "200 done", fmt.Sprint(resp.StatusCode, " ", string(got)))
			} else {
				log.assertAttempts(t, 1)
				assert.True(t, resp.StatusCode == 401 && string(got) == tt.refusal, "the 401, with all of its body")
			}
			for _, sent := range log.requests {
				assert.Equal(t, tt.body, string(sent.body))
			}
		})
	}
}

// Once for the clock, and each time that the key was replaced, however often
// rotations overtake the request.
func TestClient_HTTPClient_signsAgain(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	ids := []string{"second", "third", "fourth", "fifth"}
	replace := func(req *http.Request) (*http.Response, error) {
		assert.NoError(t, client.signer.Replace(ids[0], newEd25519Key(t)))
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
	assert.Equal(t, time.Hour, client.signer.clockOffset().Round(time.Minute))
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
		{testBaseURL, "https://exchange.test:443/portfolio", true},
		{testBaseURL, "https://EXCHANGE.test/portfolio", true},
		{testBaseURL, "wss://exchange.test" + WebSocketPath, true},
		{"https://exchange.test:443/v2", "https://exchange.test/portfolio", true},
		{"https://exchange.test:8443/v2", "wss://exchange.test:8443" + WebSocketPath, true},
		{local, "http://127.0.0.1:8080/trade-api/v2/portfolio", true},
		{local, "ws://127.0.0.1:8080" + WebSocketPath, true},
		{"http://localhost/v2", "http://localhost:80/v2", true},
		{"http://[::1]:8080/v2", "http://[::1]:8080/v2", true},
		{ExternalProductionBaseURL, "https://external-api-ws.kalshi.com" + WebSocketPath, true},
		{ExternalDemoBaseURL, "wss://external-api-ws.demo.kalshi.co" + WebSocketPath, true},

		{testBaseURL, "http://exchange.test/portfolio", false},
		{testBaseURL, "ws://exchange.test" + WebSocketPath, false},
		{testBaseURL, "http://exchange.test:443/portfolio", false},
		{testBaseURL, "https://exchange.test:80/portfolio", false},
		{testBaseURL, "https://exchange.test:8443/portfolio", false},
		{testBaseURL, "https://exchange.test.elsewhere.test/portfolio", false},
		{testBaseURL, "https://api.exchange.test/portfolio", false},
		{testBaseURL, "https://exchange.test@elsewhere.test/portfolio", false},
		{testBaseURL, "https://[2001:db8::1]/portfolio", false},
		{testBaseURL, "ftp://exchange.test/portfolio", false},
		{testBaseURL, "//exchange.test/portfolio", false},
		{testBaseURL, "/portfolio", false},
		{local, "http://127.0.0.1/portfolio", false},
		{"http://localhost/v2", "http://localhost:443/v2", false},
		{ExternalProductionBaseURL, "https://external-api-ws.demo.kalshi.co" + WebSocketPath, false},
		{ExternalProductionBaseURL, ProductionBaseURL + "/portfolio", false},
		{ProductionBaseURL, "https://external-api-ws.kalshi.com" + WebSocketPath, false},
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
		assertInvalid(t, err, "this client signs for", strings.TrimSuffix(client.BaseURL(), client.baseURL.Path)+" only")
		log.assertAttempts(t, 0, tt)
	}
}

// An opaque URL says by itself what goes on the wire.
func TestClient_HTTPClient_opaque(t *testing.T) {
	t.Parallel()
	for opaque, path := range map[string]string{
		"//exchange.test/v2/a%2Fb": "/v2/a%2Fb",
		"/v2/a%2Fb":                "/v2/a%2Fb",
		"//elsewhere.test/v2":      "",
		"//exchange.test":          "",
		"//exchange.test@e.test/":  "",
		"//exchange.test:8443/v2":  "",
	} {
		client, mock := newTestClient(t)
		log := respondWith(mock, respond(200, ""))
		u := &url.URL{Scheme: "https", Host: "exchange.test", Opaque: opaque, RawQuery: "a=b"}
		_, err := client.HTTPClient().Do(&http.Request{URL: u})
		if path == "" {
			assertInvalid(t, err, "this client signs for")
			log.assertAttempts(t, 0, opaque)
			continue
		}
		require.NoError(t, err, opaque)
		assertSigned(t, publicKey(client), log.only(t).header, "GET"+path)
	}
}

// A context that ends before the request is sent again leaves the 401.
func TestClient_HTTPClient_cancelled(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	log := respondWith(mock, func(req *http.Request) (*http.Response, error) {
		cancel()
		return expired(req)
	})
	resp, err := client.HTTPClient().Transport.RoundTrip(getRequest(t).WithContext(ctx))
	require.NoError(t, err)
	assert.Equal(t, 401, resp.StatusCode)
	log.assertAttempts(t, 1)
}

func TestCheckResponse(t *testing.T) {
	t.Parallel()
	assertInvalid(t, CheckResponse(nil), "response is nil")
	for want, statuses := range map[string][]int{
		"ok":           {200, 201, 204, 299},
		"BadRequest":   {400},
		"Unauthorized": {401},
		"Forbidden":    {403},
		"NotFound":     {404},
		"Conflict":     {409},
		"RateLimit":    {429},
		"Server":       {500, 501, 503, 520, 599},
		"API":          {101, 302, 399, 402, 418, 499, 600, 999},
	} {
		for _, status := range statuses {
			body := &countedBody{Reader: strings.NewReader(nestedBody("some_code", "some words", ""))}
			resp := &http.Response{StatusCode: status, Body: body, Header: http.Header{}, Request: getRequest(t)}
			resp.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
			err := CheckResponse(resp)
			assert.Equal(t, want, kindOf(err), status)
			assert.Zero(t, body.closed, "the caller closes it")
			assert.Equal(t, want != "ok" && status != 101, body.ended, "the body of a 101 is the connection")
			if want == "ok" {
				continue
			}
			api := new(APIError)
			require.ErrorAs(t, err, &api)
			assert.Equal(t, []any{status, "GET", "/some/base/v2"}, []any{api.StatusCode, api.Method, api.Path})
			if status != 101 {
				assert.Equal(t, "some_code: some words", api.Code+": "+api.Message)
			}
			if refused, ok := errors.AsType[*UnauthorizedError](err); ok {
				assert.Equal(t, time.Hour, refused.ClockSkew.Round(time.Minute))
			}
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
	assert.EqualError(t, err, "kalshi: GET /v2/a%2Fb: 404 Not Found: words")
	api := new(APIError)
	require.ErrorAs(t, err, &api)
	assert.Len(t, api.Body, 64<<10)
}

// A refused timestamp teaches the clock. It is worth signing again once, if the
// offset moves or the request was long under way.
func TestAuthenticator_recover(t *testing.T) {
	t.Parallel()
	expired := func(skew time.Duration) *UnauthorizedError {
		return &UnauthorizedError{APIError: APIError{StatusCode: 401, Code: codeTimestampExpired}, ClockSkew: skew, dated: true}
	}
	undated, other := expired(0), expired(time.Hour)
	undated.dated, other.Code = false, "authentication_error"
	tests := []struct {
		name     string
		before   time.Duration // the offset that is known
		err      error
		underway time.Duration // from signing to the response
		offset   time.Duration // known afterwards
		again    bool
	}{
		{"behind", 0, expired(time.Hour), 0, time.Hour, true},
		{"ahead", 0, expired(-time.Minute), 0, -time.Minute, true},
		{"a day behind", 0, expired(24 * time.Hour), 0, 24 * time.Hour, true},
		{"more than a day behind", 0, expired(24*time.Hour + 1), 0, 0, false},
		{"more than a day ahead", 0, expired(-24*time.Hour - 1), 0, 0, false},
		{"the clocks agree", 0, expired(5 * time.Second), 0, 0, false},
		{"the clocks agree again", time.Hour, expired(0), 0, 0, true},
		{"the offset was right already", time.Hour, expired(time.Hour + 5*time.Second), 0, time.Hour + 5*time.Second, false},
		{"long under way", 0, expired(0), 6 * time.Second, 0, true},
		{"not so long under way", 0, expired(0), 5 * time.Second, 0, false},
		{"no date", time.Hour, undated, 0, time.Hour, false},
		{"no date and long under way", time.Hour, undated, 6 * time.Second, time.Hour, true},
		{"another 401", 0, other, time.Hour, 0, false},
		{"another error", 0, errConnectionLost, time.Hour, 0, false},
		{"success", 0, nil, time.Hour, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				signer := newTestSigner(t, newEd25519Key(t))
				signer.setClockOffset(tt.before)
				auth := authenticator{signer: signer}
				require.NoError(t, auth.sign(getRequest(t)))
				again, err := auth.recover(t.Context(), tt.err, time.Now().Add(tt.underway))
				assert.Equal(t, tt.again, again)
				assert.Equal(t, tt.err, err)
				assert.Equal(t, tt.offset, signer.clockOffset())
				again, _ = auth.recover(t.Context(), tt.err, time.Now().Add(tt.underway))
				assert.False(t, again, "once")
			})
		})
	}
}
