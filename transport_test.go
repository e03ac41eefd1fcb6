package kalshi

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// expired refuses a timestamp by a clock that is an hour ahead.
func expired(req *http.Request) (*http.Response, error) {
	return respond(401, expiredBody, "Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))(req)
}

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

// newRequest returns a request without GetBody, unlike those of net/http.
func newRequest(t testing.TB, method, rawURL, body string) (*http.Request, *countedBody) {
	t.Helper()
	counted := &countedBody{Reader: strings.NewReader(body)}
	req, err := http.NewRequestWithContext(t.Context(), method, rawURL, counted)
	require.NoError(t, err)
	req.ContentLength = int64(len(body))
	return req, counted
}

// It signs what is sent, and leaves the caller's request as it was.
func TestClient_HTTPClient(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	log := respondWith(mock, expired, respond(200, "{}"))
	for i, header := range []http.Header{nil, {"Accept": {"text/plain"}, headerKey: {"stale"}, headerTimestamp: {"1"}}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, testBaseURL+"/portfolio/orders?a=b", strings.NewReader("order"))
		require.NoError(t, err)
		req.Header = header
		before, body := req.Clone(t.Context()), req.Body
		resp, err := client.HTTPClient().Transport.RoundTrip(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.Equal(t, 200, resp.StatusCode)
		assert.Equal(t, before.Header, req.Header)
		assert.Equal(t, before.URL, req.URL)
		assert.Equal(t, []any{before.Method, before.Host, before.ContentLength}, []any{req.Method, req.Host, req.ContentLength})
		assert.True(t, body == req.Body)

		sent := log.requests[i+1]
		assert.Equal(t, []string{"POST", testBaseURL + "/portfolio/orders?a=b", "order"}, []string{sent.method, sent.url, string(sent.body)})
		assert.WithinDuration(t, time.Now().Add(time.Hour), assertSigned(t, publicKey(client), sent.header, "POST/some/base/v2/portfolio/orders"), time.Minute)
		assert.Equal(t, header.Get("Accept"), sent.header.Get("Accept"))
		assert.Len(t, sent.header, max(3, len(header)+1))
	}
	log.assertAttempts(t, 3)
}

// A RoundTripper must close the body, whatever becomes of the request.
func TestClient_HTTPClient_closesTheBody(t *testing.T) {
	t.Parallel()
	const good = testBaseURL + "/portfolio/orders"
	broken, ended := errors.New("broken"), errors.New("ended")
	dial := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, broken }}
	tests := []struct {
		name   string
		change func(c *Client, req *http.Request) (*Client, *http.Request)
		want   any // an error, or the type of one
	}{
		{"another host", func(c *Client, req *http.Request) (*Client, *http.Request) {
			req.URL.Host = "elsewhere.test"
			return c, req
		}, "request goes to https://elsewhere.test, but this client signs for"},
		{"no URL", func(c *Client, req *http.Request) (*Client, *http.Request) {
			req.URL = nil
			return c, req
		}, "request has no URL"},
		{"no client", func(_ *Client, req *http.Request) (*Client, *http.Request) { return nil, req }, "client has no signer"},
		{"zero client", func(_ *Client, req *http.Request) (*Client, *http.Request) { return new(Client), req }, "client has no signer"},
		{"key that cannot sign", func(c *Client, req *http.Request) (*Client, *http.Request) {
			c.signer = newTestSigner(t, &remoteKey{key: newEd25519Key(t), err: broken})
			return c, req
		}, broken},
		{"no connection", func(c *Client, req *http.Request) (*Client, *http.Request) {
			c.httpClient = &http.Client{Transport: dial}
			return c, req
		}, broken},
		{"context that has ended", func(c *Client, req *http.Request) (*Client, *http.Request) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(ended)
			c.httpClient = &http.Client{Transport: dial}
			return c, req.WithContext(ctx)
		}, ended},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, mock := newTestClient(t)
			log := respondWith(mock, respond(200, ""))
			req, body := newRequest(t, http.MethodPost, good, "order")
			client, req = tt.change(client, req)
			resp, err := client.HTTPClient().Transport.RoundTrip(req)
			assert.Nil(t, resp)
			if want, ok := tt.want.(error); ok {
				assert.ErrorIs(t, err, want)
			} else {
				assertInvalid(t, err, "kalshi: "+tt.want.(string))
			}
			assert.NotZero(t, body.closed)
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
	req, _ := newRequest(t, http.MethodPost, testBaseURL, "order")
	again := &countedBody{Reader: strings.NewReader("order")}
	req.GetBody = func() (io.ReadCloser, error) { return again, nil }
	_, err := client.HTTPClient().Transport.RoundTrip(req)
	assert.ErrorIs(t, err, errConnectionLost)
	assert.Equal(t, 1, again.closed)
	assert.Equal(t, 1, refusal.closed)
	assert.True(t, refusal.ended, "so that the connection can be reused")
	log.assertAttempts(t, 1)
}

// Who signs has his reasons. Header names have no case.
func TestClient_HTTPClient_signedAlready(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"KALSHI-ACCESS-SIGNATURE", "Kalshi-Access-Signature", "kalshi-access-signature"} {
		client, mock := newTestClient(t)
		log := respondWith(mock, expired)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, testBaseURL, strings.NewReader("order"))
		require.NoError(t, err)
		req.Header = http.Header{name: {"own"}, "Kalshi-Access-Key": {"mine"}}
		want := req.Header.Clone()
		resp, err := client.HTTPClient().Transport.RoundTrip(req)
		require.NoError(t, err)
		assert.Equal(t, 401, resp.StatusCode)
		assert.Equal(t, want, log.only(t).header)
		assert.Equal(t, "order", string(log.only(t).body))
		assert.Zero(t, client.signer.clockOffset(), "nothing is learned from the caller's own signature")

		req.URL.Host = "elsewhere.test"
		_, err = client.HTTPClient().Do(req)
		assertInvalid(t, err, "request goes to https://elsewhere.test")
		log.assertAttempts(t, 1)
	}
}

// What another signature may cure is sent again, with all of its body. Without
// GetBody the response comes back, with all of its body.
func TestClient_HTTPClient_sendsAgain(t *testing.T) {
	t.Parallel()
	long := expiredBody + strings.Repeat(" ", 2*maxErrorBody) + "."
	refuse := func(req *http.Request) (*http.Response, error) {
		resp, err := expired(req)
		resp.Body = io.NopCloser(strings.NewReader(long))
		return resp, err
	}
	order := func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("order")), nil }
	for _, tt := range []struct {
		name    string
		body    bool
		getBody func() (io.ReadCloser, error)
		want    []string // the bodies sent
	}{
		{"a body that can be had again", true, order, []string{"order", "order"}},
		{"no body", false, nil, []string{"", ""}},
		{"a body without GetBody", true, nil, []string{"order"}},
		{"a GetBody that fails", true, func() (io.ReadCloser, error) { return nil, errConnectionLost }, []string{"order"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			log := respondWith(mock, refuse, respond(200, "done"))
			req, _ := newRequest(t, http.MethodPost, testBaseURL, "order")
			req.GetBody = tt.getBody
			if !tt.body {
				req.Body, req.ContentLength = nil, 0
			}
			resp, err := client.HTTPClient().Do(req)
			require.NoError(t, err)
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			var sent []string
			for _, r := range log.requests {
				sent = append(sent, string(r.body))
			}
			assert.Equal(t, tt.want, sent)
			if len(tt.want) == 2 {
				assert.Equal(t, "200 OK done", resp.Status+" "+string(got))
			} else {
				assert.True(t, resp.StatusCode == 401 && string(got) == long, "the 401, with all of its body")
			}
		})
	}
}

// Once for the clock, and each time that the key was replaced, however often
// rotations overtake the request.
func TestClient_HTTPClient_signsAgain(t *testing.T) {
	t.Parallel()
	unknown := respond(401, unknownKeyBody)
	ids := []string{"second", "third", "fourth", "fifth"}
	client, mock := newTestClient(t)
	replaced := 0
	replace := func(req *http.Request) (*http.Response, error) {
		assert.NoError(t, client.signer.Replace(ids[replaced], newEd25519Key(t)))
		replaced++
		return unknown(req)
	}
	log := respondWith(mock, replace, replace, expired, replace, replace, respond(200, ""))
	resp, err := client.HTTPClient().Get(testBaseURL)
	require.NoError(t, err)
	assert.Equal(t, 200, resp.StatusCode)
	var by []string
	for _, r := range log.requests {
		by = append(by, r.header.Get(headerKey))
	}
	assert.Equal(t, []string{testKeyID, "second", "third", "third", "fourth", "fifth"}, by)
	assert.Equal(t, time.Hour, client.signer.clockOffset().Round(time.Minute))

	for name, responders := range map[string][]httpmock.Responder{
		"an unknown key":          {unknown},
		"insufficient scope":      {respond(403, forbiddenBody)},
		"too many requests":       {respond(429, "")},
		"a gateway's error":       {respond(503, "")},
		"a redirect":              {respond(302, "", "Location", testBaseURL+"/elsewhere")},
		"a lost connection":       {drop},
		"a clock that jumps once": {respond(401, expiredBody, "Date", time.Now().UTC().Format(http.TimeFormat)), expired},
	} {
		log := respondWith(mock, responders...)
		resp, err := client.HTTPClient().Get(testBaseURL)
		log.assertAttempts(t, len(responders), name)
		want, wantErr := responders[len(responders)-1](getRequest(t))
		assert.Equal(t, wantErr != nil, err != nil, name)
		if err == nil {
			assert.Equal(t, want.StatusCode, resp.StatusCode, name)
		}
	}
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
		{testBaseURL, "https://exchange.test:443/trade-api/v2/portfolio", true},
		{testBaseURL, "https://EXCHANGE.test/portfolio", true},
		{testBaseURL, "HTTPS://exchange.test/portfolio", true},
		{testBaseURL, "wss://exchange.test" + WebSocketPath, true},
		{"https://exchange.test:443/v2", "https://exchange.test/portfolio", true},
		{"https://exchange.test:8443/v2", "https://exchange.test:8443/portfolio", true},
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
		{testBaseURL, "https://exchange.test./portfolio", false},
		{testBaseURL, "https://exchange.test.elsewhere.test/portfolio", false},
		{testBaseURL, "https://api.exchange.test/portfolio", false},
		{testBaseURL, "https://exchange.test@elsewhere.test/portfolio", false},
		{testBaseURL, "https://203.0.113.1/portfolio", false},
		{testBaseURL, "https://[2001:db8::1]/portfolio", false},
		{testBaseURL, "ftp://exchange.test/portfolio", false},
		{testBaseURL, "//exchange.test/portfolio", false},
		{testBaseURL, "/portfolio", false},
		{local, "https://127.0.0.1:8080/portfolio", false},
		{local, "http://127.0.0.1/portfolio", false},
		{local, "http://127.0.0.2:8080/portfolio", false},
		{local, "http://localhost:8080/portfolio", false},
		{"http://localhost/v2", "http://localhost:443/v2", false},
		{ExternalProductionBaseURL, "https://external-api-ws.demo.kalshi.co" + WebSocketPath, false},
		{ExternalProductionBaseURL, ProductionBaseURL + "/portfolio", false},
		{ProductionBaseURL, "https://external-api-ws.kalshi.com" + WebSocketPath, false},
		{ProductionBaseURL, DemoBaseURL + "/portfolio", false},
	}
	for _, tt := range tests {
		client, mock := newTestClient(t, WithBaseURL(tt.base))
		log := respondWith(mock, respond(200, ""))
		u, err := url.Parse(tt.to)
		require.NoError(t, err)
		_, err = client.HTTPClient().Transport.RoundTrip(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{}})
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
		_, err := client.HTTPClient().Do(&http.Request{URL: &url.URL{Scheme: "https", Host: "exchange.test", Opaque: opaque, RawQuery: "a=b"}})
		if path == "" {
			assertInvalid(t, err, "this client signs for")
			log.assertAttempts(t, 0, opaque)
			continue
		}
		require.NoError(t, err, opaque)
		assertSigned(t, publicKey(client), log.only(t).header, "GET"+path)
	}
	client, _ := newTestClient(t)
	_, err := client.HTTPClient().Do(&http.Request{URL: &url.URL{Scheme: "https", Opaque: "//exchange.test/v2"}})
	assert.Error(t, err, "no host")
}

// The caller's time-out and cookies hold here too.
func TestClient_HTTPClient_timeoutAndJar(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		client, exchange := newExchange(t)
		jar, err := cookiejar.New(nil)
		require.NoError(t, err)
		client.httpClient.Timeout, client.httpClient.Jar = 7*time.Second, jar
		hc := client.HTTPClient()
		exchange.Inject(kalshitest.Fault{Header: http.Header{"Set-Cookie": {"a=b"}}}, kalshitest.Fault{Delay: time.Hour})
		resp, err := hc.Get(exchange.URL + "/api_keys")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())

		began := time.Now()
		_, err = hc.Get(exchange.URL + "/api_keys")
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 7*time.Second, time.Since(began))
		assert.Equal(t, "a=b", exchange.Requests()[1].Header.Get("Cookie"))
	})
}

// A context that ends before the request is sent again leaves the 401.
func TestClient_HTTPClient_cancelled(t *testing.T) {
	t.Parallel()
	client, _ := newTestClient(t)
	ctx, cancel := context.WithCancel(t.Context())
	attempts := 0
	client.httpClient.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		attempts++
		cancel()
		return expired(req)
	})
	resp, err := client.HTTPClient().Transport.RoundTrip(getRequest(t).WithContext(ctx))
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "401 "+expiredBody, strings.Fields(resp.Status)[0]+" "+string(body))
	assert.Equal(t, 1, attempts)
}

// What a server sent in the wrong place may be a private key.
func TestClient_HTTPClient_quotesNothing(t *testing.T) {
	t.Parallel()
	quoting := errors.New(`malformed HTTP response "the rest of a key"`)
	for _, header := range []http.Header{{}, {headerSignature: {"own"}}} {
		client, mock := newTestClient(t)
		respondWith(mock, func(*http.Request) (*http.Response, error) { return nil, quoting })
		req := getRequest(t)
		req.Header = header
		_, err := client.HTTPClient().Do(req)
		assert.ErrorIs(t, err, quoting)
		assert.NotContains(t, err.Error(), "the rest of a key")
	}
}

// The statuses of any endpoint are those of the client's own calls.
func TestCheckResponse(t *testing.T) {
	t.Parallel()
	assertInvalid(t, CheckResponse(nil), "response is nil")
	for status, want := range map[int]string{
		200: "ok", 201: "ok", 204: "ok", 299: "ok", 101: "API", 302: "API", 400: "BadRequest", 401: "Unauthorized", 403: "Forbidden",
		404: "NotFound", 409: "Conflict", 418: "API", 429: "RateLimit", 500: "Server", 503: "Server", 599: "Server", 600: "API",
	} {
		body := &countedBody{Reader: strings.NewReader(`{"error":{"code":"some_code","message":"some words"}}`)}
		resp := &http.Response{StatusCode: status, Body: body, Header: http.Header{"Retry-After": {"7"}}, Request: getRequest(t)}
		resp.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		err := CheckResponse(resp)
		assert.Equal(t, want, kindOf(err), status)
		assert.Zero(t, body.closed, "the caller closes it")
		if want == "ok" {
			assert.False(t, body.ended, "the body is the caller's")
			continue
		}
		api := new(APIError)
		require.ErrorAs(t, err, &api)
		assert.Equal(t, []any{status, "GET", "/some/base/v2"}, []any{api.StatusCode, api.Method, api.Path})
		if status == 101 {
			assert.False(t, body.ended, "the body is the connection")
			continue
		}
		assert.Equal(t, []any{"some_code", "some words"}, []any{api.Code, api.Message})
		if refused, ok := errors.AsType[*UnauthorizedError](err); ok {
			assert.Equal(t, time.Hour, refused.ClockSkew.Round(time.Minute))
			assert.ErrorContains(t, err, "(the local clock is ")
		}
		if limited, ok := errors.AsType[*RateLimitError](err); ok {
			assert.Equal(t, 7*time.Second, limited.RetryAfter)
		}
	}
}

// A response need not have a request, a method, a body or an end.
func TestCheckResponse_bare(t *testing.T) {
	t.Parallel()
	assert.EqualError(t, CheckResponse(&http.Response{StatusCode: 404}), "kalshi: 404 Not Found")
	assert.EqualError(t, CheckResponse(&http.Response{StatusCode: 404, Request: new(http.Request)}), "kalshi: 404 Not Found")
	u, err := url.Parse("https://exchange.test/v2/a%2Fb?query=1")
	require.NoError(t, err)
	endless := &countedBody{Reader: io.MultiReader(strings.NewReader("words"), endlessReader{})}
	err = CheckResponse(&http.Response{StatusCode: 404, Request: &http.Request{URL: u}, Body: endless})
	assert.ErrorContains(t, err, "kalshi: GET /v2/a%2Fb: 404 Not Found: words")
	api := new(APIError)
	require.ErrorAs(t, err, &api)
	assert.Len(t, api.Body, maxErrorBody)
}

// An endlessReader reads as blanks.
type endlessReader struct{}

func (endlessReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// What is learned from a refused timestamp, and whether it is worth signing
// again: once, if the offset moves or the request was long under way.
func TestAuthenticator_recover(t *testing.T) {
	t.Parallel()
	expired := func(skew time.Duration) *UnauthorizedError {
		return &UnauthorizedError{APIError: APIError{StatusCode: 401, Code: codeTimestampExpired}, ClockSkew: skew, dated: true}
	}
	undated := expired(0)
	undated.dated = false
	other := expired(time.Hour)
	other.Code = "authentication_error"
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
				req, err := http.NewRequest(http.MethodGet, testBaseURL, nil)
				require.NoError(t, err)
				require.NoError(t, auth.sign(req))
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

// What the current credential is refused for is final, also after it was
// replaced; and a call with a credential of its own keeps it.
func TestClient_do_credentialReplacedInVain(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	next, err := newCredential(otherKeyID, newEd25519Key(t))
	require.NoError(t, err)
	log := respondWith(mock, func(req *http.Request) (*http.Response, error) {
		client.signer.cred.Store(next)
		return respond(401, "{}")(req)
	})
	own := client.signer.cred.Load()
	_, err = client.GetAPIKeys(t.Context())
	assert.Equal(t, "Unauthorized", kindOf(err))
	log.assertAttempts(t, 2)

	_, err = client.list(t.Context(), own)
	assert.Equal(t, "Unauthorized", kindOf(err))
	log.assertAttempts(t, 3)
	assert.Equal(t, testKeyID, log.requests[2].header.Get(headerKey))
}
