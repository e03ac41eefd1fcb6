package test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The errors that a user can meet, to be read aloud: each says what happened,
// where, and what to do next. The service's own words stand as they are; a hint is
// added where they alone are a riddle. What an Example shows is not repeated here.

var uuid = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// assertMessage asserts the text of an error, in which OLD is that key's ID and NEW
// any other.
func assertMessage(t *testing.T, err error, oldKeyID, want string) {
	t.Helper()
	if !assert.Error(t, err, want) {
		return
	}
	got := err.Error()
	assert.LessOrEqual(t, utf8.RuneCountInString(got), 300, got)
	assert.True(t, strings.HasPrefix(got, "kalshi: "), got)
	assert.Equal(t, 1, strings.Count(got, "kalshi: "), got)
	seen := map[string]bool{}
	for part := range strings.SplitSeq(got, ": ") {
		assert.False(t, seen[part], "%q is said twice in %q", part, got)
		seen[part] = true
	}
	assert.Equal(t, want, uuid.ReplaceAllStringFunc(got, func(id string) string {
		if id == oldKeyID {
			return "OLD"
		}
		return "NEW"
	}))
}

const (
	listPath     = "/trade-api/v2/api_keys"
	generatePath = "/trade-api/v2/api_keys/generate"
)

// The service rejects a call, or fails.
func TestMessages_responses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		type fault = kalshitest.Fault
		const attestation = "Your location attestation for API trading is missing or expired. Please verify your location in the Kalshi app or website, and then retry."
		const page = "<html><h1>Bad gateway</h1></html>"
		dated := http.Header{"Date": {time.Now().Add(37 * time.Second).UTC().Format(http.TimeFormat)}}
		listing, creating, generating := calls("my bot")[0], calls("my bot")[1], calls("my bot")[2]
		for _, tt := range []struct {
			call  call
			fault fault
			want  string // behind the method and path
		}{
			{generating, fault{Status: 400, Body: `{"msg":"Parameter validation failed for name"}`}, "400 Bad Request: Parameter validation failed for name"},
			{listing, fault{Status: 401, Body: unknownKeyBody}, "401 authentication_error: NOT_FOUND (unknown key ID OLD: it was deleted, or is of another environment than localhost)"},
			{listing, fault{Status: 401, Body: wrongSignatureBody}, "401 authentication_error: INCORRECT_API_KEY_SIGNATURE (wrong signature: does the private key belong to this key ID?)"},
			{listing, fault{Status: 401, Body: expiredBody, Times: always, Header: dated}, "401 header_timestamp_expired: header timestamp expired (the local clock is 37s behind)"},
			{listing, fault{Status: 401, Body: "API has been moved to another host"}, "401 Unauthorized: API has been moved to another host (check the key ID, the private key and the base URL)"},
			{generating, fault{Status: 403, Body: forbiddenBody}, "403 insufficient_scope:_write_required: insufficient scope: write required"},
			{listing, fault{Status: 403, Body: `{"error":{"code":"` + strings.ReplaceAll(attestation, " ", "_") + `","message":"` + attestation + `"}}`}, "403 " + attestation},
			{listing, fault{Status: 403, Body: page}, "403 Forbidden (the page of a gateway, not the service's response)"},
			{generating, fault{Status: 404, Body: "404 page not found"}, "404 Not Found: 404 page not found (not in the service's form: check the base URL's host)"},
			{listing, fault{Status: 429, Body: kalshitest.TooManyRequestsBody}, "429 Too Many Requests: too many requests"},
			{listing, fault{Status: 502, Body: page}, "502 Bad Gateway (the page of a gateway, not the service's response)"},
			{listing, fault{Status: 301}, "301 Moved Permanently (redirects are not followed: check the base URL)"},
			{listing, fault{Status: 304}, "304 Not Modified"},
			{listing, fault{Body: "{}"}, "the 200 response cannot be understood: it lacks api_keys, or the api_key_id of one"},
			{listing, fault{Body: `{"api_keys":[{"api_key_id":"x","subaccount":"7"}]}`}, "the 200 response cannot be understood: its field api_keys.subaccount has the wrong type"},
			{listing, fault{Delay: time.Hour}, "context deadline exceeded"},
			{generating, fault{Drop: true}, "the connection was closed before a response arrived: EOF"},
			{creating, fault{Status: 500, Body: `{"api_key_id":"new"}`}, "500 Internal Server Error"},
		} {
			x := inMemory(t)
			x.Inject(tt.fault)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			want := "kalshi: " + map[string]string{"GetAPIKeys": "GET " + listPath, "CreateAPIKey": "POST " + listPath, "GenerateAPIKey": "POST " + generatePath}[tt.call.name] + ": " + tt.want
			if named := ""; tt.call.creates() && (tt.fault.Drop || tt.fault.Status == 500) {
				if tt.fault.Status == 500 {
					named = ", ID new"
				}
				want = "kalshi: " + tt.call.name + `: a key named "my bot"` + named + " may exist now: list the keys, delete it if its private half is lost: " + strings.TrimPrefix(want, "kalshi: ")
			}
			assertMessage(t, tt.call.do(ctx, x.client(t, kalshi.WithMaxRetries(0))), x.KeyID, want)
			cancel()
		}
		x := inMemory(t)
		x.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
		_, err := x.client(t, kalshi.WithMaxRetries(0)).GetAPIKeys(t.Context())
		assertMessage(t, err, "", "kalshi: GET "+listPath+": connection refused")
	})
}

// A rotation stops.
func TestMessages_rotations(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		type fault = kalshitest.Fault
		const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
		const generate, old = "POST " + generatePath, "the old key still signs; "
		for _, tt := range []struct {
			saved  error
			faults []fault
			want   string
		}{
			{nil, []fault{{Drop: true}}, "inspect: no key was made: GET " + listPath + ": the connection was closed before a response arrived: EOF"},
			{nil, []fault{{Method: post, Status: 400}}, "create: " + old + "no key was made: " + generate + ": 400 Bad Request"},
			{nil, []fault{{Method: post, Drop: true}}, "create: " + old + "a new one of the same name may exist: none is listed: " + generate + ": the connection was closed before a response arrived: EOF"},
			{nil, []fault{{Method: post, Drop: true, Process: true}}, "create: " + old + "delete if nobody holds it: NEW: " + generate + ": the connection was closed before a response arrived: EOF"},
			{nil, []fault{{}, {}, {Method: get, Status: 403, Times: always}}, "verify: " + old + "the new key was deleted again: signed by the new key: GET " + listPath + ": 403 Forbidden"},
			{errSave, nil, "save: " + old + "save the new key NEW or delete it: disk full"},
			{nil, []fault{{Method: del, Status: 403}}, "delete: the new key NEW signs and is saved; delete the old one: DELETE " + listPath + "/OLD: 403 Forbidden"},
		} {
			x := inMemory(t)
			x.Inject(tt.faults...)
			save := kalshi.SaveFunc(func(context.Context, kalshi.Credentials) error { return tt.saved })
			_, err := x.client(t, kalshi.WithMaxRetries(0)).RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Store: save, KeyType: kalshi.KeyTypeEd25519})
			assertMessage(t, err, x.KeyID, "kalshi: rotate key OLD: "+tt.want)
		}
	})
}
