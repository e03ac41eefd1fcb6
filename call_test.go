package kalshi

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

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
