package kalshi

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// errorBodies are the shapes of error bodies, and what is understood of them.
var errorBodies = []struct{ name, body, code, message, details string }{
	{"nested", `{"error":{"code":"not_found","message":"not found","details":"no such key"}}`, "not_found", "not found", "no such key"},
	{"nested with service", `{"error":{"code":"service_unavailable","message":"service_unavailable","service":"exchange"}}`, "service_unavailable", "service_unavailable", ""},
	{"flat", `{"code":"bad_request","message":"bad request","details":"json: cannot unmarshal"}`, "bad_request", "bad request", "json: cannot unmarshal"},
	{"flat without details", `{"code":"invalid_content_type","message":"invalid_content_type"}`, "invalid_content_type", "invalid_content_type", ""},
	{"msg", `{"msg":"Parameter validation failed for x"}`, "", "Parameter validation failed for x", ""},
	{"error as text", `{"error":"too many requests"}`, "", "too many requests", ""},
	{"plain text", "this API key is restricted\n", "", "this API key is restricted", ""},
	{"HTML", "<html><body><h1>502 Bad Gateway</h1></body></html>", "", "", ""},
	{"HTML after a line end", "\r\n<!DOCTYPE html>", "", "", ""},
	{"empty", "", "", "", ""},
	{"blank", " \n", "", "", ""},
	{"cut off", `{"error":{"code":"not_f`, "", `{"error":{"code":"not_f`, ""},
	{"null", `null`, "", "", ""},
	{"nothing known in it", `{"status":"error"}`, "", "", ""},
	{"nulls", `{"error":null,"code":null,"message":null,"details":null}`, "", "", ""},
	{"nested nulls", `{"error":{"code":null,"message":null,"details":null}}`, "", "", ""},
	{"numbers", `{"error":{"code":17,"message":1.5,"details":0}}`, "17", "1.5", "0"},
	{"booleans", `{"code":true,"message":false}`, "true", "false", ""},
	{"details as object", `{"error":{"code":"c","message":"m","details":{"field":"name"}}}`, "c", "m", `{"field":"name"}`},
	{"details as array", `{"code":"c","message":"m","details":["a","b"]}`, "c", "m", `["a","b"]`},
	{"error as array", `{"error":["a","b"]}`, "", `["a","b"]`, ""},
	{"error as number", `{"error":42}`, "", "42", ""},
	{"error and flat", `{"error":"text","code":"c"}`, "c", "text", ""},
	{"JSON text", `"try later"`, "", `"try later"`, ""},
	{"JSON array", `["a"]`, "", `["a"]`, ""},
}

func TestAPIError_parse(t *testing.T) {
	t.Parallel()
	structured := map[string]bool{ // of which it can be said that the service sent them
		"nested": true, "nested with service": true, "flat": true, "flat without details": true, "msg": true, "error as text": true,
		"plain text": false, "HTML": false, "empty": false, "cut off": false, "null": false, "nothing known in it": false, "nulls": false,
	}
	for _, tt := range errorBodies {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := APIError{Body: []byte(tt.body)}
			e.parse(e.Body)
			assert.Equal(t, []string{tt.code, tt.message, tt.details}, []string{e.Code, e.Message, e.Details})
			assert.Equal(t, tt.body, string(e.Body))
			if want, known := structured[tt.name]; known {
				assert.Equal(t, want, e.structured, "structured")
			}
		})
	}
}

func TestAPIError_cleansTextFromOutside(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"line ends", "a\r\nb\nc", "a b c"},
		{"NUL", "a\x00b", "a b"},
		{"escape sequence", "a\x1b[31mb", "a [31mb"},
		{"C1 control character", "a\u009bb", "a b"},
		{"delete", "a\x7fb", "a b"},
		{"bidirectional override", "a\u202eb\u2066c\u200fd", "a b c d"},
		{"zero width", "a\u200bb\ufeffc", "a b c"},
		{"line separator", "a\u2028b", "a b"},
		{"odd blanks", " a\u00a0\u3000\t b ", "a b"},
		{"private use", "a\ue000b", "a b"},
		{"letters beyond ASCII", "schlüssel 鍵 🔑", "schlüssel 鍵 🔑"},
		{"as long as may be", strings.Repeat("ü", 160), strings.Repeat("ü", 160)},
		{"too long", strings.Repeat("ü", 161), strings.Repeat("ü", 159) + "…"},
		{"much too long", strings.Repeat("🔑", 100_000), strings.Repeat("🔑", 159) + "…"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			quoted, err := json.Marshal(tt.text)
			require.NoError(t, err)
			text := string(quoted)
			for shape, body := range map[string]string{
				"nested": `{"error":{"code":` + text + `,"message":` + text + `,"details":` + text + `}}`,
				"flat":   `{"code":` + text + `,"message":` + text + `,"details":` + text + `}`,
			} {
				e := APIError{StatusCode: 400, Method: "GET", Path: "/x"}
				e.parse([]byte(body))
				assert.Equal(t, []string{tt.want, tt.want, tt.want}, []string{e.Code, e.Message, e.Details}, shape)
				assertClean(t, e.Error())
			}
			for shape, body := range map[string]string{"msg": `{"msg":` + text + `}`, "error as text": `{"error":` + text + `}`, "plain": tt.text} {
				e := APIError{StatusCode: 400, Method: "GET", Path: "/x"}
				e.parse([]byte(body))
				assert.Equal(t, tt.want, e.Message, shape)
				assertClean(t, e.Error())
			}
		})
	}
}

func TestAPIError_replacesInvalidUTF8(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"a\xff\xfeb", "{\"msg\":\"a\xff\xfeb\"}", "\xed\xa0\x80", "\x00" + strings.Repeat("🔑", 1000)} {
		e := APIError{StatusCode: 400, Method: "GET", Path: "/x"}
		e.parse([]byte(body))
		assert.NotEmpty(t, e.Message)
		assertClean(t, e.Error())
	}
}

func TestAPIError_withholdsAPrivateKey(t *testing.T) {
	t.Parallel()
	// Put together here, so that no scanner takes this file for a leak.
	const mark, secret = "PRIVATE" + " KEY", "c2VjcmV0"
	block := "-----BEGIN " + mark + "-----\n" + secret + "\n-----END " + mark + "-----\n"
	quoted, err := json.Marshal(block)
	require.NoError(t, err)
	bodies := map[string]string{
		"plain":         block,
		"PKCS#1":        strings.ReplaceAll(block, mark, "RSA "+mark),
		"nested":        `{"error":{"code":"c","message":` + string(quoted) + `}}`,
		"details":       `{"code":"c","message":"m","details":{"private_key":` + string(quoted) + `}}`,
		"unknown field": `{"private_key":` + string(quoted) + `}`,
		"cut off":       `{"api_key_id":"x","private_key":"-----BEGIN ` + mark + `-----\n` + secret,
		"HTML":          "<html>" + block,
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t, WithMaxRetries(0))
			answerWith(mock, http.StatusBadRequest, body)
			_, err := client.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{Name: "bot"})
			var got *BadRequestError
			require.ErrorAs(t, err, &got)
			assert.Nil(t, got.Body)
			assert.Equal(t, withheld, got.Message)
			assert.NotContains(t, err.Error(), secret)
			assert.NotContains(t, err.Error(), mark+"-")
		})
	}
}

// The mark may only show once the JSON is decoded, or the text is cleaned.
func TestAPIError_withholdsAnEscapedPrivateKey(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{"msg":"BEGIN PRIVATE\u0020KEY secret"}`, "BEGIN PRIVATE\u00a0KEY secret", "BEGIN PRIVATE\nKEY secret"} {
		e := APIError{Body: []byte(body)}
		e.parse(e.Body)
		assert.Equal(t, withheld, e.Message)
	}
}

func TestAPIError_bodyIsCut(t *testing.T) {
	t.Parallel()
	const most = 64 << 10
	for _, size := range []int{most - 1, most, most + 1, 3 * most} {
		client, mock := newTestClient(t, WithMaxRetries(0))
		answerWith(mock, http.StatusBadGateway, strings.Repeat("x", size))
		_, err := client.GetAPIKeys(t.Context())
		var got *APIError
		require.ErrorAs(t, err, &got)
		assert.Len(t, got.Body, min(size, most))
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	at := func(after time.Duration) string { return received.Add(after).Format(http.TimeFormat) }
	const most = time.Duration(1<<63 - 1)
	tests := []struct {
		name, value, date string
		want              time.Duration
	}{
		{"absent", "", "", 0},
		{"seconds", "7", "", 7 * time.Second},
		{"blanks around", " 7 ", "", 7 * time.Second},
		{"zero", "0", "", 0},
		{"negative", "-7", "", 0},
		{"signed", "+7", "", 0},
		{"fraction", "1.5", "", 0},
		{"exponent", "1e3", "", 0},
		{"word", "soon", "", 0},
		{"unit", "7s", "", 0},
		{"two values", "7, 8", "", 0},
		{"largest that fits", "9223372036", "", 9223372036 * time.Second},
		{"one second more", "9223372037", "", most},
		{"beyond 64 bits", "99999999999999999999999", "", most},
		{"date", at(time.Minute), "", time.Minute},
		{"date of now", at(0), "", 0},
		{"date in the past", at(-time.Hour), "", 0},
		{"date, by a server's clock that is ahead", at(time.Hour + time.Minute), at(time.Hour), time.Minute},
		{"date, by a server's clock that is behind", at(-time.Hour + time.Minute), at(-time.Hour), time.Minute},
		{"seconds, whatever the server's clock", "7", at(time.Hour), 7 * time.Second},
		{"date, and a Date that is none", at(time.Minute), "yesterday", time.Minute},
		{"date in the first year", "Mon, 01 Jan 0001 00:00:00 GMT", "", 0},
		{"date in the last year", "Fri, 31 Dec 9999 23:59:59 GMT", "", most},
		{"date in RFC 850 form", received.Add(time.Minute).Format("Monday, 02-Jan-06 15:04:05 GMT"), "", time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{}
			header.Set("Retry-After", tt.value)
			header.Set("Date", tt.date)
			assert.Equal(t, tt.want, retryAfter(header, received))
		})
	}
}

func TestRateLimitError_RetryAfter(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "soon": 0} {
		client, mock := newTestClient(t, WithMaxRetries(0))
		answerWith(mock, http.StatusTooManyRequests, `{"error":"too many requests"}`, "Retry-After", value)
		_, err := client.GetAPIKeys(t.Context())
		var got *RateLimitError
		require.ErrorAs(t, err, &got)
		assert.Equal(t, want, got.RetryAfter, value)
	}
}
