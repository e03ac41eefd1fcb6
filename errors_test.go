package kalshi

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAPIError_Error(t *testing.T) {
	t.Parallel()
	const attestation = "Your location attestation for API trading is missing or expired. Please verify your location and retry."
	for want, err := range map[string]APIError{
		"0":                               {},
		"400 bad_request: bad: no number": {StatusCode: 400, Code: "bad_request", Message: "bad", Details: "no number"},
		"400 invalid":                     {StatusCode: 400, Code: "invalid", Message: "invalid", Details: "invalid"},
		"409 c: m":                        {StatusCode: 409, Code: "c", Message: "m", Details: "m"},
		"403 " + attestation:              {StatusCode: 403, Code: strings.ReplaceAll(attestation, " ", "_"), Message: attestation},
		"429 Too Many Requests: too many requests": {StatusCode: 429, Message: "too many requests"},
		"599":              {StatusCode: 599},
		"304 Not Modified": {StatusCode: 304},
		"301 Moved Permanently (redirects are not followed: check the base URL)": {StatusCode: 301},
		"502 Bad Gateway (the page of a gateway, not the service's response)":    {StatusCode: 502, Body: []byte("\n<html>")},
	} {
		assert.EqualError(t, &err, "kalshi: "+want)
		err.Method, err.Path = "DELETE", "/api_keys/x"
		assert.EqualError(t, &err, "kalshi: DELETE /api_keys/x: "+want)
	}
}

// Only a 404 that is not the service's own points at the base URL.
func TestNotFoundError_Error(t *testing.T) {
	t.Parallel()
	for path, hint := range map[string]string{
		"/v2/api_keys":                    " (not in the service's form: check the base URL, https://HOST/trade-api/v2)",
		"/trade-api/v2/api_keys/generate": " (not in the service's form: check the base URL, https://HOST/trade-api/v2)",
	} {
		err, head := &NotFoundError{APIError{StatusCode: 404, Method: "GET", Path: path}}, "kalshi: GET "+path+": 404 "
		assert.EqualError(t, err, head+"Not Found"+hint)
		err.Body = []byte(`{"msg":"market not found"}`)
		assert.EqualError(t, err, head+"Not Found")
		err.Body = []byte(" <html>")
		assert.EqualError(t, err, head+"Not Found (the page of a gateway, not the service's response)")
	}
}

// The hint names the cause that the service reports, and blames the clock for no other.
func TestUnauthorizedError_Error(t *testing.T) {
	t.Parallel()
	const (
		headers = "a proxy or transport may have dropped the KALSHI-ACCESS headers"
		unknown = "unknown key ID " + testKeyID + ": it was deleted, or is of another environment than exchange.test"
	)
	tests := []struct {
		code, details string
		skew          time.Duration // the server's clock minus the local one
		undated       bool
		hint          string
	}{
		{"signature_is_missing_from_headers", "", time.Hour, false, headers},
		{"token_authentication_failure", "", 0, false, headers},
		{"", detailsWrongSignature, time.Hour, false, "wrong signature: does the private key belong to this key ID?"},
		{"", detailsUnknownKey, -time.Hour, false, unknown},
		{"", "", 2 * time.Hour, false, "check the key ID, the private key and the base URL"},
		{codeTimestampExpired, "", 0, true, "check the local clock"},
		{codeTimestampExpired, "", 5 * time.Second, false, "the clocks agree: the request took too long to arrive"},
		{codeTimestampExpired, "", -6 * time.Second, false, "the local clock is 6s ahead"},
		{codeTimestampExpired, "", 24 * time.Hour, false, "the local clock is 24h0m0s behind"},
		{codeTimestampExpired, "", 73 * time.Hour, false, "the local clock is 73h0m0s behind, beyond what is corrected"},
	}
	for _, tt := range tests {
		api := APIError{StatusCode: 401, Code: tt.code, Details: tt.details}
		err := &UnauthorizedError{APIError: api, KeyID: testKeyID, ClockSkew: tt.skew, dated: !tt.undated, host: "exchange.test"}
		assert.EqualError(t, err, api.Error()+" ("+tt.hint+")")
	}
}

// The zero value of every error type prints. Only pointers implement error.
func TestErrors_zeroValues(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		new(APIError), new(BadRequestError), new(UnauthorizedError), new(ForbiddenError), new(NotFoundError),
		new(ConflictError), new(RateLimitError), new(ServerError), new(ValidationError), new(InvalidResponseError),
		new(OutcomeUnknownError), new(RotationError), new(NotSentError), new(NotSavedError),
	} {
		value := reflect.TypeOf(err).Elem()
		assert.False(t, value.Implements(reflect.TypeFor[error]()), value.Name())
		assert.True(t, strings.HasPrefix(err.Error(), "kalshi: "), value.Name())
		assert.NotPanics(t, func() { _ = errors.Is(err, io.EOF) }, value.Name())
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v %s %q", err, err, err, err, err), "PANIC", value.Name())
	}
}

// No error may fill a log, and none loses its hint to what stands before it.
func TestErrors_areShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü\u202e", 1000)
	path := "/trade-api/v2/api_keys/" + url.PathEscape(long[:600]) // which takes more when it is escaped
	apiError := func(status int, details string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "https://"+strings.Repeat("x", 200)+path, nil)
		require.NoError(t, err)
		req.Header.Set(headerKey, testKeyID)
		return statusError(req, &http.Response{StatusCode: status}, []byte(nestedBody(long, long, details)), time.Now())
	}
	tests := []struct {
		err  error
		hint string
	}{
		{&InvalidResponseError{200, "DELETE", path, errors.New(long)}, ""},
		{&OutcomeUnknownError{"Generate", strings.Repeat(`"`, 1000), long, apiError(500, long)}, "list the keys"},
		{&RotationError{Stage: StageSave, OldKeyID: long, NewKeyID: long, Err: errors.New(long)}, "the old key still signs"},
		{&RotationError{Stage: StageCreate, Candidates: []string{long, long}, Err: errors.New(long)}, "the old key still signs"},
		{invalid(long, "is %s", strings.Repeat("ü", 1000)), ""},
		{&NotSavedError{Response: &GenerateAPIKeyResponse{ID: "id1"}}, "the new key id1 exists"},
		{&NotSentError{&ValidationError{Reason: long}}, "not sent"},
		{apiError(401, detailsWrongSignature), " (wrong signature: does the private key belong to this key ID?)"},
		{apiError(401, detailsUnknownKey), ": it was deleted, or is of another environment than "},
		{apiError(302, long), " (redirects are not followed: check the base URL)"},
		{apiError(500, long), ""},
	}
	for _, tt := range tests {
		assertClean(t, tt.err.Error())
		assert.True(t, strings.HasPrefix(tt.err.Error(), "kalshi: "), tt.err)
		assert.Contains(t, tt.err.Error(), tt.hint)
	}
	assert.Len(t, []rune(reword(long).Error()), 2*maxError)
}

// The text says what there is now and what to do. Up to three candidates are listed.
func TestRotationError_Error(t *testing.T) {
	t.Parallel()
	unknown := &OutcomeUnknownError{Operation: "GenerateAPIKey", KeyName: "my\nbot", KeyID: "id\x1b", Err: io.EOF}
	const old = "the old key still signs; "
	four := []string{"k1", "k2", "k3", "k4"}
	for want, err := range map[string]RotationError{
		"inspect: no key was made":                                       {Stage: StageInspect, Err: io.EOF},
		"create: " + old + "no key was made":                             {Stage: StageCreate, Err: io.EOF},
		"create: " + old + "a new one of the same name may exist":        {Stage: StageCreate, Err: unknown},
		"create: " + old + "delete the new key id":                       {Stage: StageCreate, NewKeyID: "id\x1b", Err: unknown},
		"create: " + old + "delete if nobody holds it: k1, k2, k3":       {Stage: StageCreate, Candidates: four[:3], Err: unknown},
		"create: " + old + "delete if nobody holds it: k1, k2, k3, k4":   {Stage: StageCreate, Candidates: four, Err: unknown},
		"verify: " + old + "the new key was deleted again":               {Stage: StageVerify, Err: io.EOF},
		"save: " + old + "save the new key new or delete it":             {Stage: StageSave, NewKeyID: "new", Err: io.EOF},
		"delete: the new key new signs and is saved; delete the old one": {Stage: StageDelete, NewKeyID: "new", Err: io.EOF},
	} {
		err.OldKeyID = "old"
		assert.EqualError(t, &err, "kalshi: rotate key old: "+want+": EOF")
		assert.ErrorIs(t, &err, io.EOF)
	}
}

// A key in the part of a response that net/http quotes is cut out; plain words and paths stay.
func TestRedactHTTPError(t *testing.T) {
	t.Parallel()
	assert.NoError(t, redactHTTPError(nil))
	for _, safe := range []error{errConnectionLost, errors.New(`malformed HTTP response "no key"`)} {
		assert.Equal(t, safe, redactHTTPError(safe))
	}
	key := base64.StdEncoding.EncodeToString(pkcs8(t, newEd25519Key(t)))
	cause := fmt.Errorf("malformed HTTP response %q: %w", key, os.ErrDeadlineExceeded)
	got := redactHTTPError(cause)
	assertNoEcho(t, key, got)
	assert.ErrorIs(t, got, cause)
	assert.NoError(t, errors.Unwrap(got), "nobody prints it by unwrapping")
	timeout, ok := got.(interface{ Timeout() bool })
	assert.True(t, ok && timeout.Timeout(), "it is still a time-out")
	assert.False(t, isTimeout(&url.Error{Err: io.EOF}))
}

func TestOutcomeUnknownError_Error(t *testing.T) {
	t.Parallel()
	err := &OutcomeUnknownError{Operation: "GenerateAPIKey", KeyName: "bot"}
	assert.ErrorContains(t, err, `kalshi: GenerateAPIKey: a new key named "bot" may exist`)
	err.KeyID = "id"
	assert.ErrorContains(t, err, `named "bot", ID id may exist`)
}
