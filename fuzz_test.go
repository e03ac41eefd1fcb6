package kalshi

import (
	"bytes"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Whatever comes back, the error has its status and a text that a log can take.
func FuzzErrorBody(f *testing.F) {
	for _, tt := range errorBodies {
		f.Add(400, "", "", []byte(tt.body))
	}
	const date, first, last = "Thu, 01 Oct 2026 12:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"
	long := strings.Repeat("ü\x00\u202e", 200)
	for _, status := range []int{0, 302, 401, 403, 404, 409, 429, 500, 599, 999} {
		f.Add(status, date, "7", []byte(nestedBody(long, long, detailsWrongSignature)))
	}
	f.Add(401, date, "", []byte(`{"code":"header_timestamp_expired"}`))
	f.Add(401, first, "-1", []byte("\xff\xfe{"))
	for _, value := range []string{"99999999999999999999", "9223372037", first, last} {
		f.Add(429, first, value, []byte(nil))
		f.Add(429, last, value, []byte(nil))
	}
	received := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, status int, date, retryAfter string, body []byte) {
		resp := &http.Response{StatusCode: status, Header: http.Header{"Date": {date}, "Retry-After": {retryAfter}}}
		req, err := http.NewRequest(http.MethodDelete, "https://exchange.test/trade-api/v2/api_keys/x", nil)
		require.NoError(t, err)
		err = statusError(req, resp, bytes.Clone(body), received)
		assertClean(t, err.Error())
		assertClean(t, (&OutcomeUnknownError{"GenerateAPIKey", "bot", string(body), err}).Error())
		if limited, ok := errors.AsType[*RateLimitError](err); ok {
			assert.GreaterOrEqual(t, limited.RetryAfter, time.Duration(0))
		}
		got, ok := errors.AsType[*APIError](err)
		require.True(t, ok)
		assert.Equal(t, status, got.StatusCode)
		for _, text := range []string{got.Code, got.Message, got.Details} {
			assertClean(t, text)
		}
		if redact.HoldsKey(string(body)) {
			assert.Nil(t, got.Body)
		} else if got.Body != nil { // it may also look like a part of a key
			assert.Equal(t, body, got.Body)
		}
	})
}

// Whatever the key ID, even one chosen by an attacker, a delete reaches exactly one key, and the
// signature covers the path that is sent.
func FuzzKeyIDPath(f *testing.F) {
	for _, id := range []string{
		testKeyID, "", ".", "..", "...", "../..", "a/../b", `..\..`, "%2e%2e", "..%2f", "%", "%zz", "?", "a?b#c", "a b", "a+b",
		";x", "a;b=c", ":", "//", "//evil.test/x", "@evil.test", "\r\nHost: evil.test", "\x00", "\u202e", "\u2028", "\u00ad",
		"ü", "\xff", "generate", "*", "~", "a%00b", " ", "\u00a0", strings.Repeat("x", 4096),
	} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		client, mock := newTestClient(t, WithMaxRetries(0))
		log := respondWith(mock, respond(http.StatusNoContent, ""))
		if err := client.DeleteAPIKey(t.Context(), id); err != nil {
			assert.ErrorAs(t, err, new(*ValidationError))
			log.assertAttempts(t, 0, "what is refused is refused before it is sent")
			return
		}
		sent := log.only(t)
		sent.assertSigned(t, publicKey(client))
		assert.Equal(t, "https://exchange.test"+sent.path, sent.url, "the host, and no query")
		assert.Equal(t, sent.path, path.Clean(sent.path), "no server that tidies paths makes another one of it")
		segment, below := strings.CutPrefix(sent.path, "/some/base/v2/api_keys/")
		require.True(t, below, sent.path)
		assert.NotContains(t, segment, "/")
		unescaped, err := url.PathUnescape(segment)
		require.NoError(t, err)
		assert.Equal(t, id, unescaped)
	})
}
