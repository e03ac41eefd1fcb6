package kalshi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func nestedBody(code, message, details string) string {
	return fmt.Sprintf(`{"error":{"code":%q,"message":%q,"details":%q}}`, code, message, details)
}

// What a user reads, for the answers that were observed.
func TestAPIError_Error(t *testing.T) {
	t.Parallel()
	const restricted = "this API key is restricted to a single sub-account and cannot access this endpoint"
	tests := []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"wrong signature", 401, nestedBody("authentication_error", "authentication_error", "INCORRECT_API_KEY_SIGNATURE"),
			"401 authentication_error: INCORRECT_API_KEY_SIGNATURE (wrong signature: does the private key belong to this key ID?)"},
		{"unknown key ID", 401, nestedBody("authentication_error", "authentication_error", "NOT_FOUND"),
			"401 authentication_error: NOT_FOUND (unknown key ID: keys are per environment, demo or production)"},
		{"no signature header", 401, `{"error":{"code":"signature_is_missing_from_headers","message":"signature is missing from headers"}}`,
			"401 signature_is_missing_from_headers: signature is missing from headers (a proxy or transport may have dropped the KALSHI-ACCESS headers)"},
		{"timestamp out of window", 401, `{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`,
			"401 header_timestamp_expired: header timestamp expired (check the local clock)"},
		{"no credentials", 401, `{"error":{"code":"token_authentication_failure","message":"token authentication failure"}}`,
			"401 token_authentication_failure: token authentication failure (a proxy or transport may have dropped the KALSHI-ACCESS headers)"},
		{"dead host", 401, "API has been moved to elsewhere",
			"401 Unauthorized: API has been moved to elsewhere (check the key ID, the private key and the base URL)"},
		{"scope", 403, `{"error":{"code":"insufficient_scope:_write_required","message":"insufficient scope: write required"}}`,
			"403 insufficient_scope:_write_required: insufficient scope: write required"},
		{"sub-account key", 403, restricted, "403 Forbidden: " + restricted},
		{"JSON", 400, `{"code":"bad_request","message":"bad request","details":"json: cannot unmarshal number"}`, "400 bad_request: bad request: json: cannot unmarshal number"},
		{"content type", 400, `{"code":"invalid_content_type","message":"invalid_content_type"}`, "400 invalid_content_type"},
		{"parameter", 400, `{"msg":"Parameter validation failed for x"}`, "400 Bad Request: Parameter validation failed for x"},
		{"not found", 404, `{"error":{"code":"not_found","message":"not found"}}`, "404 not_found: not found"},
		{"too many requests, documented", 429, `{"error":"too many requests"}`, "429 Too Many Requests: too many requests"},
		{"too many requests, observed", 429, `{"error":{"code":"too_many_requests","message":"too many requests"}}`, "429 too_many_requests: too many requests"},
		{"unavailable", 503, `{"error":{"code":"service_unavailable","message":"service_unavailable","service":"exchange"}}`, "503 service_unavailable"},
		{"gateway", 502, "<html>", "502 Bad Gateway"},
		{"status without a name", 599, "", "599"},
		{"redirect", 301, "", "301 Moved Permanently (redirects are not followed: check the base URL)"},
		{"details that repeat", 409, nestedBody("c", "m", "m"), "409 c: m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t, WithMaxRetries(0), WithBaseURL("https://exchange.test/trade-api/v2"))
			answerWith(mock, tt.status, tt.body, "Location", "https://elsewhere.test")
			assert.EqualError(t, client.DeleteAPIKey(t.Context(), "x"), "kalshi: DELETE /trade-api/v2/api_keys/x: "+tt.want)
		})
	}
}

// The path is told as it was sent, and the query is not.
func TestAPIError_path(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	answerWith(mock, http.StatusForbidden, "")
	_, err := client.GetAPIKeys(t.Context(), ForSubtrader("user1_desk2"))
	assert.EqualError(t, err, "kalshi: GET /some/base/v2/api_keys: 403 Forbidden")
	assert.EqualError(t, client.DeleteAPIKey(t.Context(), "a/b"), "kalshi: DELETE /some/base/v2/api_keys/a%2Fb: 403 Forbidden")
}

func TestUnauthorizedError_clock(t *testing.T) {
	t.Parallel()
	const expired = `{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`
	tests := []struct {
		name string
		body string
		skew time.Duration // the server's clock minus ours
		hint string
	}{
		{"behind", expired, 90 * time.Second, "the local clock is 90 seconds behind"},
		{"ahead", expired, -90 * time.Second, "the local clock is 90 seconds ahead"},
		{"hours behind", expired, 2 * time.Hour, "the local clock is 7200 seconds behind"},
		{"clocks agree", expired, 0, "the clocks agree: the request took too long to arrive"},
		{"clocks agree well enough", expired, 5 * time.Second, "the clocks agree: the request took too long to arrive"},
		{"clocks no longer agree", expired, -6 * time.Second, "the local clock is 6 seconds ahead"},
		{"behind, and no word of it", "", 30 * time.Second, "the local clock is 30 seconds behind"},
		{"wrong signature beside it", nestedBody("authentication_error", "", "INCORRECT_API_KEY_SIGNATURE"), time.Hour, "wrong signature: does the private key belong to this key ID?"},
		{"unknown key ID beside it", nestedBody("authentication_error", "", "NOT_FOUND"), -time.Hour, "unknown key ID: keys are per environment, demo or production"},
		{"missing header beside it", `{"error":{"code":"signature_is_missing_from_headers"}}`, time.Hour, "a proxy or transport may have dropped the KALSHI-ACCESS headers"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { // where time stands still at a whole second
				client, mock := newTestClient(t)
				date := time.Now().Add(tt.skew).UTC().Format(http.TimeFormat)
				answerWith(mock, http.StatusUnauthorized, tt.body, "Date", date)
				_, err := client.GetAPIKeys(t.Context())
				var got *UnauthorizedError
				require.ErrorAs(t, err, &got)
				assert.Equal(t, tt.skew, got.ClockSkew)
				assert.Contains(t, err.Error(), " ("+tt.hint+")")
			})
		})
	}
}

func TestUnauthorizedError_withoutDate(t *testing.T) {
	t.Parallel()
	for _, date := range []string{"", "yesterday"} {
		client, mock := newTestClient(t)
		answerWith(mock, http.StatusUnauthorized, "", "Date", date)
		_, err := client.GetAPIKeys(t.Context())
		var got *UnauthorizedError
		require.ErrorAs(t, err, &got)
		assert.Zero(t, got.ClockSkew, date)
	}
}

// zeroErrors are pointers to all error types of the package.
func zeroErrors() []error {
	return []error{
		new(APIError), new(BadRequestError), new(UnauthorizedError), new(ForbiddenError), new(NotFoundError), new(ConflictError),
		new(RateLimitError), new(ServerError), new(ValidationError), new(InvalidResponseError), new(OutcomeUnknownError), new(RotationError), new(callError),
	}
}

func TestErrors_zeroValues(t *testing.T) {
	t.Parallel()
	for _, err := range zeroErrors() {
		name := reflect.TypeOf(err).Elem().Name()
		assert.True(t, strings.HasPrefix(err.Error(), "kalshi: "), name)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			assert.NotContains(t, fmt.Sprintf(verb, err), "PANIC", name+" "+verb)
		}
		assert.NotPanics(t, func() { _ = errors.Is(err, io.EOF) }, name)
		if api := (*APIError)(nil); strings.HasSuffix(name, "Error") && errors.As(err, &api) {
			assert.Zero(t, *api, name)
		}
	}
}

// Errors are pointers: were values errors too, errors.As would take a target
// that it never finds.
func TestErrors_onlyPointersAreErrors(t *testing.T) {
	t.Parallel()
	for _, err := range zeroErrors() {
		value := reflect.TypeOf(err).Elem()
		assert.False(t, value.Implements(reflect.TypeFor[error]()), value.Name())
	}
}

// No error may fill a log, whatever the service sends and the caller asks for.
func TestErrors_areShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 1000)
	id := strings.Repeat("ü", 300) // which takes more when it is escaped
	apiError := func(status int, details string) error {
		body := nestedBody(long, long, details)
		resp := &http.Response{StatusCode: status, Header: http.Header{"Date": {"Mon, 01 Jan 0001 00:00:00 GMT"}}}
		return statusError(http.MethodDelete, "/trade-api/v2/api_keys/"+url.PathEscape(id), resp, []byte(body), time.Now())
	}
	errs := map[string]error{
		"InvalidResponse": &InvalidResponseError{StatusCode: 200, Method: "DELETE", Path: "/" + url.PathEscape(id), Err: errors.New(long)},
		"OutcomeUnknown":  &OutcomeUnknownError{Operation: "GenerateAPIKey", KeyName: strings.Repeat(`"`, 1000), KeyID: long, Err: apiError(500, long)},
		"Rotation":        &RotationError{Stage: StageSave, OldKeyID: long, NewKeyID: long, Candidates: []string{long, long, long, long}, Err: errors.New(long)},
		"call":            &callError{"DELETE", "/" + url.PathEscape(id), &url.Error{Op: "Delete", URL: long, Err: errors.New(long)}},
		"Validation":      invalid(long, "is %s", long),
		"401 signature":   apiError(401, detailsWrongSignature),
		"401 key ID":      apiError(401, detailsUnknownKey),
		"401 expired": &UnauthorizedError{APIError: APIError{StatusCode: 401, Method: "DELETE", Path: long, Code: codeTimestampExpired, Message: long, Details: long},
			ClockSkew: 1<<63 - 1, dated: true},
	}
	for _, status := range []int{302, 400, 401, 403, 404, 409, 418, 429, 500, 599} {
		errs[fmt.Sprint(status)] = apiError(status, long)
	}
	for name, err := range errs {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assertClean(t, err.Error())
			assert.True(t, strings.HasPrefix(err.Error(), "kalshi: "))
		})
	}
}

// A file's name is the caller's own, and may hold anything.
func TestValidationError_cleansTheField(t *testing.T) {
	t.Parallel()
	assertClean(t, invalid("private key file /a\n\x1b[31m\u202e/b", "is empty").Error())
}

// A hint that is cut away with what stands before it helps nobody.
func TestErrors_keepTheHint(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	api := APIError{StatusCode: 401, Method: "DELETE", Path: "/" + long, Code: long, Message: long, Details: detailsWrongSignature}
	assert.Contains(t, (&UnauthorizedError{APIError: api}).Error(), " (wrong signature: does the private key belong to this key ID?)")
	api.StatusCode = 302
	assert.Contains(t, api.Error(), " (redirects are not followed: check the base URL)")
}

func TestOutcomeUnknownError_Error(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	answerWith(mock, http.StatusInternalServerError, nestedBody("internal", "boom", ""))
	_, err := client.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{Name: "my\nbot"})
	assert.EqualError(t, err, `kalshi: GenerateAPIKey: a key named "my bot" may exist now: list the keys, delete it if its private half is lost: `+
		"POST /some/base/v2/api_keys/generate: 500 internal: boom")
	unknown := &OutcomeUnknownError{Operation: "CreateAPIKey", KeyName: "bot", KeyID: "id\x1b", Err: io.EOF}
	assert.EqualError(t, unknown, `kalshi: CreateAPIKey: a key named "bot", ID id may exist now: list the keys, delete it if its private half is lost: EOF`)
	assert.ErrorIs(t, unknown, io.EOF)
}

// brokenAnswers are 2xx bodies to a GenerateAPIKey that cannot be understood,
// with the ID that they name in spite of it.
func brokenAnswers() []struct{ name, body, keyID string } {
	return []struct{ name, body, keyID string }{
		{"empty", "", ""},
		{"null", "null", ""},
		{"empty object", "{}", ""},
		{"text", "s3cret", ""},
		{"HTML", "<html>s3cret</html>", ""},
		{"array", `["s3cret"]`, ""},
		{"JSON text", `"s3cret"`, ""},
		{"two objects", `{"api_key_id":"id1","private_key":"s3cret"} {}`, "id1"},
		{"no private key", `{"api_key_id":"id1","more":"s3cret"}`, "id1"},
		{"private key null", `{"api_key_id":"id1","private_key":null,"more":"s3cret"}`, "id1"},
		{"private key empty", `{"api_key_id":"id1","private_key":"","more":"s3cret"}`, "id1"},
		{"private key a number", `{"api_key_id":"id1","private_key":123456}`, "id1"},
		{"private key an object", `{"private_key":{"s3cret":1},"api_key_id":"id1"}`, "id1"},
		{"private key an array", `{"private_key":["s3cret"],"api_key_id":"id1"}`, "id1"},
		{"no ID", `{"private_key":"s3cret"}`, ""},
		{"empty ID", `{"api_key_id":"","private_key":"s3cret"}`, ""},
		{"ID null", `{"api_key_id":null,"private_key":"s3cret"}`, ""},
		{"ID a number", `{"api_key_id":123456,"private_key":"s3cret"}`, ""},
		{"cut off in the private key", `{"api_key_id":"id1","private_key":"s3cret`, "id1"},
		{"cut off before the ID", `{"private_key":"s3cret","api_key_id":"id`, ""},
		{"cut off behind all", `{"api_key_id":"id1","private_key":"s3cret"`, "id1"},
		{"raw line end in the private key", "{\"api_key_id\":\"id1\",\"private_key\":\"s3cret\n\"}", "id1"},
		{"ID below another field", `{"key":{"api_key_id":"s3cret"}}`, ""},
		{"over 8 MiB", `{"api_key_id":"id1","private_key":"s3cret","more":"` + strings.Repeat("x", maxBody) + `"}`, "id1"},
	}
}

func TestInvalidResponseError_neverQuotesTheBody(t *testing.T) {
	t.Parallel()
	for _, tt := range brokenAnswers() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			sent := answerWith(mock, http.StatusCreated, tt.body)
			key, err := client.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{Name: "bot"})
			assert.Nil(t, key)
			require.Equal(t, []string{"OutcomeUnknown", "InvalidResponse"}, errorTypes(err))
			assert.Len(t, sent.requests, 1, "a second request could make a second key")
			var unknown *OutcomeUnknownError
			require.ErrorAs(t, err, &unknown)
			assert.Equal(t, []string{"GenerateAPIKey", "bot", tt.keyID}, []string{unknown.Operation, unknown.KeyName, unknown.KeyID})
			var invalid *InvalidResponseError
			require.ErrorAs(t, err, &invalid)
			assert.Equal(t, "201 POST /some/base/v2/api_keys/generate", fmt.Sprint(invalid.StatusCode, " ", invalid.Method, " ", invalid.Path))
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				for _, verb := range []string{"%v", "%+v", "%#v"} {
					text := fmt.Sprintf(verb, cause)
					assert.NotContains(t, text, "s3cret", verb)
					assert.NotContains(t, text, "123456", verb)
				}
			}
			assertClean(t, err.Error())
		})
	}
}

func TestInvalidResponseError_saysWhatIsWrong(t *testing.T) {
	t.Parallel()
	tests := []struct{ body, want string }{
		{`{}`, "it lacks api_key_id"},
		{`{"api_key_id":"new"}`, "it lacks private_key"},
		{`{"api_key_id":{},"private_key":"text"}`, "its field api_key_id has the wrong type"},
		{`[]`, "it is not the JSON object that was expected, or is cut off"},
		{`{"api_key_id":"new","private_`, "it is not the JSON object that was expected, or is cut off"},
		{strings.Repeat(" ", maxBody+1), "it is longer than 8 MiB"},
	}
	for _, tt := range tests {
		client, mock := newTestClient(t)
		answerWith(mock, http.StatusCreated, tt.body)
		_, err := client.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{Name: "bot"})
		var got *InvalidResponseError
		require.ErrorAs(t, err, &got)
		assert.EqualError(t, got, "kalshi: POST /some/base/v2/api_keys/generate: the 201 answer cannot be understood: "+tt.want)
	}
}

func TestInvalidResponseError_lostConnection(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t, WithMaxRetries(0))
	mock.RegisterNoResponder(func(*http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader(`{"api_keys":[`), failingReader{io.ErrUnexpectedEOF})
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body), ContentLength: -1}, nil
	})
	_, err := client.GetAPIKeys(t.Context())
	assert.Equal(t, []string{"InvalidResponse"}, errorTypes(err))
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// What the transport says stays within reach; its text is not repeated.
func TestCallError_keepsTheTransportsError(t *testing.T) {
	t.Parallel()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection\nrefused")}
	client, mock := newTestClient(t, WithMaxRetries(0))
	mock.RegisterNoResponder(httpmock.NewErrorResponder(refused))
	for _, call := range knownCalls(t) {
		err := call.do(t.Context(), client)
		want := "kalshi: " + call.method + " /some/base/v2" + call.path + ": dial tcp: connection refused"
		if call.mint {
			assert.Equal(t, []string{"OutcomeUnknown"}, errorTypes(err))
			err = errors.Unwrap(err)
		}
		assert.EqualError(t, err, want)
		assert.ErrorIs(t, err, refused)
		assert.True(t, isType[*url.Error](err) && isType[*net.OpError](err), "%v", err)
		assert.ErrorAs(t, err, new(net.Error))
	}
}

// A silentTransport never answers, and says of a context why it ended, as
// net/http's own does.
type silentTransport struct{}

func (silentTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, context.Cause(req.Context())
}

func TestCallError_endedContext(t *testing.T) {
	t.Parallel()
	cause := errors.New("the bot stops")
	tests := []struct {
		name    string
		context func(context.Context) (context.Context, func())
		timeout time.Duration // of the HTTP client
		want    error
		cause   error
	}{
		{"cancelled", func(ctx context.Context) (context.Context, func()) { return context.WithCancel(ctx) }, 0, context.Canceled, nil},
		{"cancelled with a cause", func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(ctx)
			return ctx, func() { cancel(cause) }
		}, 0, context.Canceled, cause},
		{"deadline", func(ctx context.Context) (context.Context, func()) { return context.WithTimeout(ctx, time.Second) }, 0, context.DeadlineExceeded, nil},
		{"deadline with a cause", func(ctx context.Context) (context.Context, func()) {
			return context.WithTimeoutCause(ctx, time.Second, cause)
		}, 0, context.DeadlineExceeded, cause},
		{"timeout of the HTTP client", func(ctx context.Context) (context.Context, func()) { return context.WithCancel(ctx) }, time.Second, context.DeadlineExceeded, nil},
	}
	for _, tt := range tests {
		for _, early := range []bool{true, false} {
			if early && tt.timeout > 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s, before the call: %t", tt.name, early), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					hc := &http.Client{Transport: silentTransport{}, Timeout: tt.timeout}
					client, _ := newTestClient(t, WithMaxRetries(0), WithHTTPClient(hc))
					ctx, cancel := tt.context(t.Context())
					defer cancel()
					end := time.AfterFunc(2*time.Second, cancel)
					defer end.Stop()
					if early {
						<-ctx.Done()
					}
					_, err := client.GetAPIKeys(ctx)
					assert.ErrorIs(t, err, tt.want)
					if tt.cause != nil {
						assert.ErrorIs(t, err, tt.cause)
						assert.Contains(t, err.Error(), tt.cause.Error())
					}
					assert.Equal(t, 1, strings.Count(err.Error(), "GET"), err.Error())
					assert.Equal(t, 1, strings.Count(err.Error(), "/some/base/v2/api_keys"), err.Error())
					assert.Equal(t, 1, strings.Count(err.Error(), "kalshi:"), err.Error())
					assert.Empty(t, errorTypes(err))
				})
			})
		}
	}
}

// Three candidates are named; of more, that there are more.
func TestRotationError_candidates(t *testing.T) {
	t.Parallel()
	failed := &RotationError{Stage: StageMint, OldKeyID: "old", Candidates: []string{"k1", "k2", "k3"}, Err: errors.New("no")}
	assert.EqualError(t, failed, "kalshi: rotate key old: mint: the old key still signs; delete if nobody holds it: k1, k2, k3: no")
	failed.Candidates = append(failed.Candidates, "k4")
	assert.EqualError(t, failed, "kalshi: rotate key old: mint: the old key still signs; one of 4 new keys may be the lost one, such as k1, k2, k3: no")
}
