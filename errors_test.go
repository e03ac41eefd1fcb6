package kalshi

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
	"github.com/stretchr/testify/assert"
)

func TestAPIError_Error(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  APIError
		want string
	}{
		{APIError{}, "0"},
		{APIError{StatusCode: 400, Code: "bad_request", Message: "bad", Details: "no number"}, "400 bad_request: bad: no number"},
		{APIError{StatusCode: 400, Code: "invalid", Message: "invalid", Details: "invalid"}, "400 invalid"},
		{APIError{StatusCode: 409, Code: "c", Message: "m", Details: "m"}, "409 c: m"},
		{APIError{StatusCode: 429, Message: "too many requests"}, "429 Too Many Requests: too many requests"},
		{APIError{StatusCode: 599}, "599"},
		{APIError{StatusCode: 301}, "301 Moved Permanently (redirects are not followed: check the base URL)"},
	}
	for _, tt := range tests {
		assert.EqualError(t, &tt.err, "kalshi: "+tt.want)
		tt.err.Method, tt.err.Path = "DELETE", "/api_keys/x"
		assert.EqualError(t, &tt.err, "kalshi: DELETE /api_keys/x: "+tt.want)
	}
}

// Only a list that is not found points at the base URL.
func TestNotFoundError_Error(t *testing.T) {
	t.Parallel()
	err := &NotFoundError{APIError{StatusCode: 404, Method: "GET", Path: "/v2/api_keys"}}
	assert.EqualError(t, err, "kalshi: GET /v2/api_keys: 404 Not Found (check the base URL: it must end in /trade-api/v2)")
	err.Path = "/v2/api_keys/x"
	assert.EqualError(t, err, "kalshi: GET /v2/api_keys/x: 404 Not Found")
}

// The hint names the cause that the service reports. The clock is blamed only if
// the service names no other cause.
func TestUnauthorizedError_Error(t *testing.T) {
	t.Parallel()
	const (
		headers  = "a proxy or transport may have dropped the KALSHI-ACCESS headers"
		wrongKey = "wrong signature: does the private key belong to this key ID?"
		unknown  = "unknown key ID: keys are per environment, demo or production"
		agree    = "the clocks agree: the request took too long to arrive"
		daysOff  = "the local clock is 3 days behind, beyond what is corrected"
	)
	tests := []struct {
		name, code, details string
		skew                time.Duration // the server's clock minus the local one
		undated             bool
		hint                string
	}{
		{"no signature header, whatever the clock", "signature_is_missing_from_headers", "", time.Hour, false, headers},
		{"no credentials", "token_authentication_failure", "", 0, false, headers},
		{"wrong signature, whatever the clock", "", detailsWrongSignature, time.Hour, false, wrongKey},
		{"unknown key ID, whatever the clock", "", detailsUnknownKey, -time.Hour, false, unknown},
		{"expired, no date", codeTimestampExpired, "", 0, true, "check the local clock"},
		{"expired, clocks agree", codeTimestampExpired, "", 5 * time.Second, false, agree},
		{"expired, clocks differ", codeTimestampExpired, "", -6 * time.Second, false, "the local clock is 6 seconds ahead"},
		{"clock behind, and no word of it", "", "", 2 * time.Hour, false, "the local clock is 2 hours behind"},
		{"clock a little off", "", "", -90 * time.Minute, false, "the local clock is 5400 seconds ahead"},
		{"clock a day off", codeTimestampExpired, "", -24 * time.Hour, false, "the local clock is 24 hours ahead"},
		{"clock days off", codeTimestampExpired, "", 73 * time.Hour, false, daysOff},
	}
	for _, tt := range tests {
		api := APIError{StatusCode: 401, Code: tt.code, Details: tt.details}
		err := &UnauthorizedError{api, tt.skew, !tt.undated}
		assert.EqualError(t, err, api.Error()+" ("+tt.hint+")", tt.name)
	}
}

// The zero value of every error type prints. Only pointers implement error, so a
// value type is no valid target of errors.As.
func TestErrors_zeroValues(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		new(APIError), new(BadRequestError), new(UnauthorizedError), new(ForbiddenError), new(NotFoundError),
		new(ConflictError), new(RateLimitError), new(ServerError), new(ValidationError), new(InvalidResponseError),
		new(OutcomeUnknownError), new(RotationError), new(callError),
	} {
		value := reflect.TypeOf(err).Elem()
		assert.False(t, value.Implements(reflect.TypeFor[error]()), value.Name())
		assert.True(t, strings.HasPrefix(err.Error(), "kalshi: "), value.Name())
		assert.NotPanics(t, func() { _ = errors.Is(err, io.EOF) }, value.Name())
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			assert.NotContains(t, fmt.Sprintf(verb, err), "PANIC", value.Name()+" "+verb)
		}
	}
}

// No error may fill a log, whatever the service sends and the caller asks for,
// and none loses its hint to what stands before it.
func TestErrors_areShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü\u202e", 1000)
	path := "/trade-api/v2/api_keys/" + url.PathEscape(strings.Repeat("ü", 300)) // which takes more when it is escaped
	apiError := func(status int, details string) error {
		resp := &http.Response{StatusCode: status, Header: http.Header{"Date": {"Mon, 01 Jan 0001 00:00:00 GMT"}}}
		return statusError(http.MethodDelete, path, resp, []byte(nestedBody(long, long, details)), time.Now())
	}
	tests := []struct {
		name string
		err  error
		hint string
	}{
		{"InvalidResponse", &InvalidResponseError{200, "DELETE", path, errors.New(long)}, ""},
		{"OutcomeUnknown", &OutcomeUnknownError{"Generate", strings.Repeat(`"`, 1000), long, apiError(500, long)}, "list the keys"},
		{
			"Rotation",
			&RotationError{Stage: StageSave, OldKeyID: long, NewKeyID: long, Candidates: []string{long, long}, Err: errors.New(long)},
			"the old key still signs",
		},
		{"call", &callError{"DELETE", path, &url.Error{Op: "Delete", URL: long, Err: errors.New(long)}}, ""},
		{"Validation", invalid(long, "is %s", strings.Repeat("ü", 1000)), ""},
		{"401 signature", apiError(401, detailsWrongSignature), " (wrong signature: does the private key belong to this key ID?)"},
		{"401 key ID", apiError(401, detailsUnknownKey), " (unknown key ID: keys are per environment, demo or production)"},
		{"302", apiError(302, long), " (redirects are not followed: check the base URL)"},
		{"500", apiError(500, long), ""},
	}
	several := &multiError{strings.Repeat("x", 1000), nil}
	assert.Len(t, []rune(several.Error()), 2*maxError)
	for _, tt := range tests {
		assertClean(t, tt.err.Error())
		assert.True(t, strings.HasPrefix(tt.err.Error(), "kalshi: "), tt.name)
		assert.Contains(t, tt.err.Error(), tt.hint, tt.name)
	}
}

// Up to three candidates are listed. If there are more, the text gives their
// number.
func TestRotationError_Error(t *testing.T) {
	t.Parallel()
	unknown := &OutcomeUnknownError{Operation: "GenerateAPIKey", KeyName: "my\nbot", KeyID: "id\x1b", Err: io.EOF}
	err := &RotationError{Stage: StageMint, OldKeyID: "old", Err: unknown}
	const head = "kalshi: rotate key old: mint: the old key still signs"
	assert.ErrorContains(t, err, head+`: GenerateAPIKey: a key named "my bot", ID id may exist now: `)
	err.Candidates = []string{"k1", "k2", "k3"}
	assert.EqualError(t, err, head+"; delete if nobody holds it: k1, k2, k3: EOF")
	err.Candidates = append(err.Candidates, "k4")
	assert.EqualError(t, err, head+"; one of 4 new keys may be the lost one, such as k1, k2, k3: EOF")
	assert.ErrorIs(t, err, io.EOF)
}

// The service's words are cut so that a hint after them still fits.
func TestAPIError_Error_cutsTheWords(t *testing.T) {
	t.Parallel()
	err := &APIError{StatusCode: 400, Message: strings.Repeat("x", 200), Method: "GET", Path: "/" + strings.Repeat("p", 200)}
	head := "kalshi: GET /" + strings.Repeat("p", 78) + "…: "
	assert.EqualError(t, err, head+"400 Bad Request: "+strings.Repeat("x", 130-len("400 Bad Request: ")-1)+"…")
}

func TestSanitize(t *testing.T) {
	t.Parallel()
	bareKey := base64.StdEncoding.EncodeToString(pkcs8(t, newEd25519Key(t)))
	tests := []struct{ name, text, want string }{
		{"line ends", "a\r\nb\nc\u2028d", "a b c d"},
		{"control characters", "a\x00b\x1b[31mc\u009bd\x7fe", "a b [31mc d e"},
		{"what does not print", "a\u202eb\u2066c\u200fd\u200be\ufefff\ue000g", "a b c d e f g"},
		{"odd blanks", " a\u00a0\u3000\t b ", "a b"},
		{"letters beyond ASCII", "schlüssel 鍵 🔑", "schlüssel 鍵 🔑"},
		{"invalid UTF-8", "a\xff\xfeb", "a\ufffd\ufffdb"},
		{"as long as may be", strings.Repeat("ü", 160), strings.Repeat("ü", 160)},
		{"too long", strings.Repeat("ü", 161), strings.Repeat("ü", 159) + "…"},
		{"much too long", strings.Repeat("🔑", 100_000), strings.Repeat("🔑", 159) + "…"},
		{"private key", "-----BEGIN " + redact.PrivateKeyMark + "-----", redact.Withheld},
		{"private key that shows once it is clean", "PRIVATE\u00a0\nKEY", redact.Withheld},
		{"Ed25519 key without its PEM lines", "cannot store " + bareKey, redact.Withheld},
	}
	for _, tt := range tests {
		got := redact.Text(tt.text, maxText)
		assert.Equal(t, tt.want, got, tt.name)
		assertClean(t, got)
	}
}

// The part of a response that net/http quotes may be a private key.
func TestRedactHTTPError(t *testing.T) {
	t.Parallel()
	assert.NoError(t, redactHTTPError(nil))
	for _, safe := range []error{
		&net.OpError{Op: "dial", Net: "tcp", Err: errors.New(`lookup "exchange.test"`)}, // quotes no response
		errors.New("net/http: " + strings.Repeat("x", maxID)),
	} {
		assert.Equal(t, safe, redactHTTPError(safe))
	}
	assert.Equal(t, errConnectionLost, redactHTTPError(errConnectionLost))
	for text, want := range map[string]string{
		`malformed HTTP response "s3cret"`:          "malformed HTTP response",
		`bad Content-Length "s3cret" in "s3cret"`:   "bad Content-Length",
		`malformed MIME header line: s3cret half`:   "malformed MIME header",
		`GOAWAY, ErrCode=NO_ERROR, debug=s3cret`:    "GOAWAY, ErrCode=NO_ERROR, debug=",
		"got " + strings.Repeat("s3cret", 7) + " !": "got … !",
	} {
		cause := errors.New("net/http: " + text)
		got := redactHTTPError(cause)
		assert.EqualError(t, got, "net/http: "+want+" (the rest is withheld: it may quote the response)")
		assert.ErrorIs(t, got, cause)
		assert.NoError(t, errors.Unwrap(got), "nobody prints it by unwrapping")
	}
}
