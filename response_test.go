package kalshi

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// errorBodies are the shapes of error bodies, and what is understood of them.
var errorBodies = []struct{ name, body, code, message, details string }{
	{"nested", `{"error":{"code":"not_found","message":"not found","details":"no key"}}`, "not_found", "not found", "no key"},
	{"nested with service", `{"error":{"code":"busy","message":"busy","service":"exchange"}}`, "busy", "busy", ""},
	{"flat", `{"code":"bad_request","message":"bad request","details":"no JSON"}`, "bad_request", "bad request", "no JSON"},
	{"msg", `{"msg":"Parameter validation failed for x"}`, "", "Parameter validation failed for x", ""},
	{"nested msg", `{"error":{"msg":"no"}}`, "", "no", ""},
	{"error as text", `{"error":"too many requests"}`, "", "too many requests", ""},
	{"plain text", "this API key is restricted\n", "", "this API key is restricted", ""},
	{"HTML after a line end", "\r\n<!DOCTYPE html>", "", "", ""},
	{"empty", "", "", "", ""},
	{"cut off", `{"error":{"code":"not_f`, "", `{"error":{"code":"not_f`, ""},
	{"null", `null`, "", "", ""},
	{"nothing known in it", `{"status":"error"}`, "", "", ""},
	{"nested nulls", `{"error":{"code":null,"message":null,"details":null}}`, "", "", ""},
	{"numbers", `{"error":{"code":17,"message":1.5,"details":0}}`, "17", "1.5", "0"},
	{"details as an object", `{"error":{"code":"c","message":"m","details":{"field":"name"}}}`, "c", "m", "map[field:name]"},
	{"error as an array", `{"error":["a","b"]}`, "", "[a b]", ""},
	{"error and flat", `{"error":"text","code":"c"}`, "c", "text", ""},
	{"JSON text", `"try later"`, "", `"try later"`, ""},
	{"no text", `{"error":{"code":"a\r\nb","message":"a\u001b[31m","details":"a\u202eb"}}`, "a b", "a [31m", "a b"},
	{"no plain text", "a\r\nb\x1b[31m\u202e", "", "a b [31m", ""},
}

func TestAPIError_parse(t *testing.T) {
	t.Parallel()
	for _, tt := range errorBodies {
		e := newAPIError(nil, new(http.Response), []byte(tt.body))
		assert.Equal(t, []string{tt.code, tt.message, tt.details}, []string{e.Code, e.Message, e.Details}, tt.name)
		assert.Equal(t, tt.body, string(e.Body), tt.name)
	}
}

func TestAPIError_parse_withholdsAPrivateKey(t *testing.T) {
	t.Parallel()
	const secret = "c2VjcmV0"
	for _, body := range []string{
		"-----BEGIN RSA " + redact.PrivateKeyMark + "-----\n" + secret + "\n-----END RSA " + redact.PrivateKeyMark + "-----\n",
		`{"private_key":"-----BEGIN ` + redact.PrivateKeyMark + `-----\n` + secret, // cut off
		`{"msg":"-----BEGIN PRIVATE\u0020KEY-----` + secret + `"}`,
		`{"error":"cannot store ` + encodeBase64(string(pkcs8(t, newEd25519Key(t)))) + `"}`,
	} {
		e := newAPIError(nil, &http.Response{StatusCode: 400}, []byte(body))
		assert.Nil(t, e.Body)
		assert.Contains(t, e.Message, redact.Withheld)
		assert.NotContains(t, e.Error(), secret)
	}
}

func TestClockSkew(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	for date, want := range map[string]time.Duration{
		"Thu, 01 Oct 2026 12:01:30 GMT": 90 * time.Second,
		"Thu, 01 Oct 2026 10:00:00 GMT": -2 * time.Hour,
		"":                              0,
		"yesterday":                     0,
	} {
		got := newUnauthorizedError(nil, &http.Response{Header: http.Header{"Date": {date}}}, nil, received)
		assert.Equal(t, want, got.ClockSkew, date)
		assert.Equal(t, want != 0, got.dated, date)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	received := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	at := func(after time.Duration) string { return received.Add(after).Format(http.TimeFormat) }
	tests := []struct {
		name, value, date string
		want              time.Duration
	}{
		{"absent", "", "", 0},
		{"seconds, with blanks around", " 7 ", "", 7 * time.Second},
		{"zero", "0", "", 0},
		{"negative", "-7", "", 0},
		{"fraction", "1.5", "", 0},
		{"the largest that fits", "9223372036", "", 9223372036 * time.Second},
		{"one second more", "9223372037", "", 9223372036 * time.Second},
		{"beyond 64 bits", "99999999999999999999999", "", 9223372036 * time.Second},
		{"date", at(time.Minute), "", time.Minute},
		{"date in the past", at(-time.Hour), "", 0},
		{"date by a server's clock that is ahead", at(time.Hour + time.Minute), at(time.Hour), time.Minute},
		{"date by a server's clock that is behind", at(-time.Hour + time.Minute), at(-time.Hour), time.Minute},
		{"seconds, whatever the server's clock", "7", at(time.Hour), 7 * time.Second},
		{"date beside a Date that is none", at(time.Minute), "yesterday", time.Minute},
		{"date in the first year", "Mon, 01 Jan 0001 00:00:00 GMT", "", 0},
		{"date in the last year", "Fri, 31 Dec 9999 23:59:59 GMT", "", math.MaxInt64},
	}
	for _, tt := range tests {
		resp := &http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {tt.value}, "Date": {tt.date}}}
		err := statusError(nil, resp, nil, received)
		assert.Equal(t, &RateLimitError{APIError{StatusCode: 429}, tt.want}, err, tt.name)
	}
}

// A delete has succeeded if its 2xx does not say no.
func TestDecodeNothing(t *testing.T) {
	t.Parallel()
	for body, ok := range map[string]bool{
		"": true, "\n": true, "{}": true, "null": true, `{"deleted":true}`: true,
		`{"error":"no"}`: false, `{"error":{}}`: false, `{"code":"not_found"}`: false, `{"msg":"no"}`: false,
		"false": false, `"no"`: false, "[]": false, "<html>": false, `{"deleted":`: false,
	} {
		assert.Equal(t, ok, decodeNothing([]byte(body)) == nil, body)
	}
}

func TestGetAPIKeysResponse_decode(t *testing.T) {
	t.Parallel()
	full := APIKey{"a", "bot", []Scope{ScopeRead, ScopeWriteTrade}, new(7), "u_d"}
	for body, want := range map[string]GetAPIKeysResponse{
		`{"api_keys":[{"api_key_id":"a","name":"bot","scopes":["read","write::trade"],"subaccount":7,"fcm_subtrader_id":"u_d"}],
			"api_key_region_expiration_ts":9223372036854775807}`: {[]APIKey{full}, new(int64(1<<63 - 1))},
		`{"api_keys":[{"api_key_id":"zero","subaccount":0,"scopes":[]},
			{"api_key_id":"null","subaccount":null,"scopes":null},{"api_key_id":"absent"}]}`: {
			APIKeys: []APIKey{{ID: "zero", Subaccount: new(0), Scopes: []Scope{}}, {ID: "null"}, {ID: "absent"}},
		},
		`{"next":{"a":[1]},"api_keys":[{"api_key_id":"id","created":"2026","scopes":["read","fly::moon",""]}]}`: {
			APIKeys: []APIKey{{ID: "id", Scopes: []Scope{"read", "fly::moon", ""}}},
		},
		`{"api_keys":[]}`:   {APIKeys: []APIKey{}},
		`{"api_keys":null}`: {APIKeys: []APIKey{}},
	} {
		client, mock := newTestClient(t)
		respondWith(mock, respond(200, body))
		got, err := client.GetAPIKeys(t.Context())
		require.NoError(t, err, body)
		assert.Equal(t, &want, got, body)
	}
}

// A new key is not lost for an optional field; its type is read from the key if it is missing.
func TestGenerateAPIKeyResponse_decode(t *testing.T) {
	t.Parallel()
	texts := map[KeyType]string{
		KeyTypeRSA:     encodePEM("PRIVATE KEY", pkcs8(t, testRSAKey())),
		KeyTypeEd25519: encodePEM("PRIVATE KEY", pkcs8(t, newEd25519Key(t))),
		"":             "some text",
	}
	tests := []struct {
		name, fields string
		key, keyType KeyType
		warning      string
	}{
		{"every field", `"key_type":"rsa","warning":"bound",`, KeyTypeRSA, KeyTypeRSA, "bound"},
		{"type absent, RSA", ``, KeyTypeRSA, KeyTypeRSA, ""},
		{"type absent, Ed25519", ``, KeyTypeEd25519, KeyTypeEd25519, ""},
		{"type malformed", `"key_type":7,`, KeyTypeEd25519, KeyTypeEd25519, ""},
		{"type unknown", `"key_type":"x448",`, KeyTypeEd25519, "x448", ""},
		{"type absent and key unreadable", ``, "", "", ""},
		{"warning null, and an unknown field", `"warning":null,"later":{},`, KeyTypeEd25519, KeyTypeEd25519, ""},
		{"warning malformed", `"warning":{"text":"x"},`, KeyTypeEd25519, KeyTypeEd25519, ""},
	}
	for _, tt := range tests {
		client, mock := newTestClient(t)
		respondWith(mock, respond(201, fmt.Sprintf(`{%s"api_key_id":"new","private_key":%q}`, tt.fields, texts[tt.key])))
		generated, err := client.GenerateAPIKey(t.Context(), botRequest)
		require.NoError(t, err, tt.name)
		assert.Equal(t, &GenerateAPIKeyResponse{"new", tt.keyType, generated.PrivateKey, tt.warning}, generated, tt.name)
		assert.True(t, texts[tt.key] == generated.PrivateKey.Reveal(), "the private key's text, which is not printed here")

		created, err := client.CreateAPIKey(t.Context(), CreateAPIKeyRequest{Name: "bot", PublicKey: testPublicKey()})
		require.NoError(t, err, tt.name)
		assert.Equal(t, &CreateAPIKeyResponse{ID: "new", Warning: tt.warning}, created, tt.name)
	}
}

// An unusable 2xx reports the reason and the new key's ID, and quotes nothing else of the body.
func TestInvalidResponse(t *testing.T) {
	t.Parallel()
	const (
		notJSON = "it is not the JSON object that was expected, or is cut off"
		noID    = "it lacks api_key_id"
		noKey   = "it lacks private_key"
	)
	tests := []struct{ name, body, reason, keyID string }{
		{"empty", "", notJSON, ""},
		{"null", "null", noID, ""},
		{"array", `["s3cret"]`, notJSON, ""},
		{"two objects", `{"api_key_id":"id1","private_key":"s3cret"} {}`, notJSON, "id1"},
		{"no private key", `{"api_key_id":"id1","more":"s3cret"}`, noKey, "id1"},
		{"private key empty", `{"api_key_id":"id1","private_key":"","more":"s3cret"}`, noKey, "id1"},
		{"private key a number", `{"api_key_id":"id1","private_key":123456}`, "its field private_key has the wrong type", "id1"},
		{"private key an object", `{"private_key":{"s3cret":1},"api_key_id":"id1"}`, "its field private_key has the wrong type", "id1"},
		{"no ID", `{"private_key":"s3cret"}`, noID, ""},
		{"ID a number", `{"api_key_id":123456,"private_key":"s3cret"}`, "its field api_key_id has the wrong type", ""},
		{"cut off in the private key", `{"api_key_id":"id1","private_key":"s3cret`, notJSON, "id1"},
		{"cut off in the ID", `{"private_key":"s3cret","api_key_id":"id`, notJSON, ""},
		{"raw line end in the private key", "{\"api_key_id\":\"id1\",\"private_key\":\"s3cret\n\"}", notJSON, "id1"},
		{"ID below another field", `{"key":{"api_key_id":"s3cret"}}`, noID, ""},
		{"key text as the ID", `{"api_key_id":"` + encodeBase64(string(pkcs8(t, newEd25519Key(t)))) + `"}`, noKey, ""},
		{"over 2 MiB", `{"api_key_id":"id1","more":"` + strings.Repeat("x", maxBody) + `"}`, "it is longer than 2 MiB", "id1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			log := respondWith(mock, respond(201, tt.body))
			key, err := client.GenerateAPIKey(t.Context(), botRequest)
			assert.Nil(t, key)
			log.assertAttempts(t, 1, "a second request could create a second key")
			var invalid *InvalidResponseError
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, &InvalidResponseError{201, "POST", "/some/base/v2/api_keys/generate", invalid.Err}, invalid)
			assert.EqualError(t, invalid.Err, tt.reason)
			assert.Equal(t, &OutcomeUnknownError{"GenerateAPIKey", "bot", tt.keyID, invalid}, err)
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				assert.NotRegexp(t, "s3cret|123456", fmt.Sprintf("%v %+v %#v", cause, cause, cause))
			}
		})
	}
}

// A list without api_keys, or one that is cut off, is an InvalidResponseError.
func TestInvalidResponse_list(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t, WithMaxRetries(0))
	cut := io.NopCloser(io.MultiReader(strings.NewReader(`{"api_keys":[`), iotest.ErrReader(io.ErrUnexpectedEOF)))
	respondWith(mock, respond(200, `{"api_key_region_expiration_ts":1}`), func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: cut, ContentLength: -1}, nil
	})
	for _, want := range []error{errNoKeys, io.ErrUnexpectedEOF} {
		_, err := client.GetAPIKeys(t.Context())
		assert.Equal(t, "Invalid", kindOf(err))
		assert.ErrorIs(t, err, want)
	}
}
