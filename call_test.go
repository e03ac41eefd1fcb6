package kalshi

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A sentRequest is a request as it was handed to the transport.
type sentRequest struct {
	method, url string
	path        string // that goes over the wire
	header      http.Header
	body        []byte // nil: there was none
}

// A sentLog is all that a transport was handed.
type sentLog struct{ requests []sentRequest }

func (l *sentLog) add(req *http.Request) {
	path, _, _ := strings.Cut(req.URL.RequestURI(), "?")
	sent := sentRequest{method: req.Method, url: req.URL.String(), path: path, header: req.Header.Clone()}
	if req.Body != nil {
		sent.body, _ = io.ReadAll(req.Body)
	}
	l.requests = append(l.requests, sent)
}

// only returns the one request that was sent.
func (l *sentLog) only(t testing.TB) sentRequest {
	t.Helper()
	require.Len(t, l.requests, 1)
	return l.requests[0]
}

// answerWith has mock answer every request so, with pairs of header names and
// values, and returns what it will have been sent.
func answerWith(mock *httpmock.MockTransport, status int, body string, header ...string) *sentLog {
	sent := new(sentLog)
	mock.RegisterNoResponder(func(req *http.Request) (*http.Response, error) {
		sent.add(req)
		resp := httpmock.NewStringResponse(status, body)
		for i := 0; i < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	})
	return sent
}

// assertSentSigned asserts that the headers sign the request now, over that path,
// with the key that the public one belongs to.
func assertSentSigned(t testing.TB, public crypto.PublicKey, sent sentRequest, path string) {
	t.Helper()
	assert.Equal(t, path, sent.path, "what is sent")
	assert.Equal(t, testKeyID, sent.header.Get("KALSHI-ACCESS-KEY"))
	timestamp := sent.header.Get("KALSHI-ACCESS-TIMESTAMP")
	ms, err := strconv.ParseInt(timestamp, 10, 64)
	assert.NoError(t, err)
	assert.WithinDuration(t, time.Now(), time.UnixMilli(ms), time.Minute)
	signature, err := base64.StdEncoding.DecodeString(sent.header.Get("KALSHI-ACCESS-SIGNATURE"))
	assert.NoError(t, err)
	text := []byte(timestamp + sent.method + path)
	switch public := public.(type) {
	case ed25519.PublicKey:
		assert.True(t, ed25519.Verify(public, text, signature), "the signature")
	case *rsa.PublicKey:
		digest := sha256.Sum256(text)
		assert.NoError(t, rsa.VerifyPSS(public, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: 32}))
	default:
		assert.Fail(t, "unknown key", "%T", public)
	}
}

// A knownCall is one of the four calls, with input that the client takes.
type knownCall struct {
	name, method string
	path         string // below the base URL
	mint         bool
	success      int
	answer       string // of a success
	do           func(context.Context, *Client) error
}

func knownCalls(t testing.TB) []knownCall {
	t.Helper()
	public, err := MarshalPublicKey(newEd25519Key(t).Public())
	require.NoError(t, err)
	return []knownCall{
		{"GetAPIKeys", "GET", "/api_keys", false, 200, `{"api_keys":[]}`, func(ctx context.Context, c *Client) error {
			_, err := c.GetAPIKeys(ctx)
			return err
		}},
		{"CreateAPIKey", "POST", "/api_keys", true, 201, `{"api_key_id":"new"}`, func(ctx context.Context, c *Client) error {
			_, err := c.CreateAPIKey(ctx, CreateAPIKeyRequest{Name: "bot", PublicKey: public})
			return err
		}},
		{"GenerateAPIKey", "POST", "/api_keys/generate", true, 201, `{"api_key_id":"new","private_key":"text"}`, func(ctx context.Context, c *Client) error {
			_, err := c.GenerateAPIKey(ctx, GenerateAPIKeyRequest{Name: "bot"})
			return err
		}},
		{"DeleteAPIKey", "DELETE", "/api_keys/old", false, 204, ``, func(ctx context.Context, c *Client) error {
			return c.DeleteAPIKey(ctx, "old")
		}},
	}
}

// errorTypes returns the names of all the package's types that errors.As finds.
func errorTypes(err error) []string {
	var names []string
	for _, known := range []struct {
		name string
		is   bool
	}{
		{"OutcomeUnknown", isType[*OutcomeUnknownError](err)},
		{"Validation", isType[*ValidationError](err)},
		{"InvalidResponse", isType[*InvalidResponseError](err)},
		{"BadRequest", isType[*BadRequestError](err)},
		{"Unauthorized", isType[*UnauthorizedError](err)},
		{"Forbidden", isType[*ForbiddenError](err)},
		{"NotFound", isType[*NotFoundError](err)},
		{"Conflict", isType[*ConflictError](err)},
		{"RateLimit", isType[*RateLimitError](err)},
		{"Server", isType[*ServerError](err)},
		{"API", isType[*APIError](err)},
	} {
		if known.is {
			names = append(names, known.name)
		}
	}
	return names
}

func isType[T error](err error) bool {
	var target T
	return errors.As(err, &target)
}

func TestCalls_send(t *testing.T) {
	t.Parallel()
	keys := map[string]crypto.Signer{"Ed25519": newEd25519Key(t), "RSA": testRSAKey()}
	for _, call := range knownCalls(t) {
		for keyName, key := range keys {
			t.Run(call.name+" signed with "+keyName, func(t *testing.T) {
				t.Parallel()
				mock := httpmock.NewMockTransport()
				client, err := NewClient(newTestSigner(t, key), WithBaseURL(testBaseURL),
					WithHTTPClient(&http.Client{Transport: mock}), WithUserAgent("test"))
				require.NoError(t, err)
				log := answerWith(mock, call.success, call.answer)
				require.NoError(t, call.do(t.Context(), client))

				sent := log.only(t)
				assert.Equal(t, call.method, sent.method)
				assert.Equal(t, testBaseURL+call.path, sent.url)
				assertSentSigned(t, key.Public(), sent, "/some/base/v2"+call.path)
				names := []string{"Accept", "User-Agent", headerKey, headerTimestamp, headerSignature}
				if call.mint {
					names = append(names, "Content-Type")
					assert.Equal(t, "application/json", sent.header.Get("Content-Type"))
				} else {
					assert.Nil(t, sent.body)
				}
				assert.ElementsMatch(t, names, slices.Collect(maps.Keys(sent.header)), "and nothing else")
				assert.Equal(t, "application/json", sent.header.Get("Accept"))
				assert.Equal(t, "test", sent.header.Get("User-Agent"))
			})
		}
	}
}

func TestCalls_acceptAny2xx(t *testing.T) {
	t.Parallel()
	for _, call := range knownCalls(t) {
		for _, status := range []int{200, 201, 202, 204, 299} {
			t.Run(call.name+" "+strconv.Itoa(status), func(t *testing.T) {
				t.Parallel()
				client, mock := newTestClient(t)
				answerWith(mock, status, call.answer)
				assert.NoError(t, call.do(t.Context(), client))
			})
		}
	}
}

// Every status with every body that is known, over every call.
func TestCalls_refused(t *testing.T) {
	t.Parallel()
	statuses := []struct {
		status int
		types  []string
	}{
		{302, []string{"API"}},
		{400, []string{"BadRequest", "API"}},
		{401, []string{"Unauthorized", "API"}},
		{403, []string{"Forbidden", "API"}},
		{404, []string{"NotFound", "API"}},
		{409, []string{"Conflict", "API"}},
		{418, []string{"API"}},
		{429, []string{"RateLimit", "API"}},
		{500, []string{"Server", "API"}},
		{502, []string{"Server", "API"}},
		{503, []string{"Server", "API"}},
		{504, []string{"Server", "API"}},
		{599, []string{"Server", "API"}},
	}
	for _, call := range knownCalls(t) {
		for _, tt := range statuses {
			t.Run(call.name+" "+strconv.Itoa(tt.status), func(t *testing.T) {
				t.Parallel()
				client, mock := newTestClient(t, WithMaxRetries(0))
				want := tt.types
				if call.mint && tt.status >= 500 {
					want = append([]string{"OutcomeUnknown"}, want...)
				}
				for _, body := range errorBodies {
					sent := answerWith(mock, tt.status, body.body, "Location", "https://elsewhere.test/")
					err := call.do(t.Context(), client)
					assert.Len(t, sent.requests, 1, body.name)
					assert.Equal(t, want, errorTypes(err), body.name)
					var got *APIError
					if !assert.ErrorAs(t, err, &got, body.name) {
						continue
					}
					assert.Equal(t, tt.status, got.StatusCode, body.name)
					assert.Equal(t, []string{body.code, body.message, body.details}, []string{got.Code, got.Message, got.Details}, body.name)
					assert.Equal(t, call.method+" /some/base/v2"+call.path, got.Method+" "+got.Path, body.name)
					assert.Equal(t, body.body, string(got.Body), body.name)
				}
			})
		}
	}
}

func TestCalls_outcomeUnknownNamesTheKey(t *testing.T) {
	t.Parallel()
	for _, call := range knownCalls(t) {
		if !call.mint {
			continue
		}
		client, mock := newTestClient(t, WithMaxRetries(0))
		answerWith(mock, http.StatusInternalServerError, "")
		var got *OutcomeUnknownError
		require.ErrorAs(t, call.do(t.Context(), client), &got)
		assert.Equal(t, []string{call.name, "bot", ""}, []string{got.Operation, got.KeyName, got.KeyID})
	}
}

func TestCalls_withoutClientOrContext(t *testing.T) {
	t.Parallel()
	for _, call := range knownCalls(t) {
		t.Run(call.name, func(t *testing.T) {
			t.Parallel()
			assertRefused(t, call.do(t.Context(), new(Client)), "client", "NewClient")
			assertRefused(t, call.do(t.Context(), nil), "client", "NewClient")
			client, mock := newTestClient(t)
			var none context.Context
			assertRefused(t, call.do(none, client), "context", "is nil")
			assert.Zero(t, mock.GetTotalCallCount())
		})
	}
}

// A trackedBody tells whether it was read to its end, and closed.
type trackedBody struct {
	io.Reader
	ended, closed bool
}

func (b *trackedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.ended = b.ended || err == io.EOF
	return n, err
}

func (b *trackedBody) Close() error { b.closed = true; return nil }

// Only a connection whose answer was read to the end is used again.
func TestCalls_drainAndCloseTheBody(t *testing.T) {
	t.Parallel()
	for _, call := range knownCalls(t) {
		for _, status := range []int{call.success, 200, 404, 500} {
			t.Run(call.name+" "+strconv.Itoa(status), func(t *testing.T) {
				t.Parallel()
				client, mock := newTestClient(t, WithMaxRetries(0))
				text := call.answer
				if status >= 400 || text == "" {
					text = `{"msg":"text"}`
				}
				body := &trackedBody{Reader: strings.NewReader(text)}
				mock.RegisterNoResponder(func(*http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: status, Header: http.Header{}, Body: body, ContentLength: -1}, nil
				})
				_ = call.do(t.Context(), client)
				assert.True(t, body.ended, "read to its end")
				assert.True(t, body.closed, "closed")
			})
		}
	}
}

func TestReadBody(t *testing.T) {
	t.Parallel()
	const limit = 1000
	broken := errors.New("connection lost")
	tests := []struct {
		name   string
		size   int
		length int64 // as announced
		fails  error // at the end of the body
		want   int
		err    error
	}{
		{"empty", 0, 0, nil, 0, nil},
		{"length announced", 700, 700, nil, 700, nil},
		{"length not announced", 700, -1, nil, 700, nil},
		{"as long as the limit", limit, limit, nil, limit, nil},
		{"as long as the limit, not announced", limit, -1, nil, limit, nil},
		{"one byte longer", limit + 1, limit + 1, nil, limit, errTooLong},
		{"one byte longer, not announced", limit + 1, -1, nil, limit, errTooLong},
		{"shorter than announced", 10, 700, io.ErrUnexpectedEOF, 10, io.ErrUnexpectedEOF},
		{"broken", 600, -1, broken, 600, broken},
		{"longer than announced", 700, 10, nil, 700, nil},
		{"absurd length announced", 10, math.MaxInt64, broken, 10, broken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := bytes.Repeat([]byte("x"), tt.size)
			var body io.Reader = bytes.NewReader(data)
			if tt.fails != nil {
				body = io.MultiReader(body, failingReader{tt.fails})
			}
			var got []byte
			var err error
			assert.NotPanics(t, func() {
				got, err = readBody(&http.Response{Body: io.NopCloser(body), ContentLength: tt.length}, limit)
			})
			assert.Equal(t, data[:tt.want], got)
			assert.Equal(t, tt.err, err)
		})
	}
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
