package kalshitest

// The responses of the exchange and their bodies.

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

// The bodies of errors that the server sends only in a [Fault] or a [Response].
const (
	// TooManyRequestsBody is the documented body of a 429.
	TooManyRequestsBody = `{"error":"too many requests"}`

	// ServiceUnavailableBody is the body of a 503, as observed.
	ServiceUnavailableBody = `{"error":{"code":"service_unavailable","message":"service_unavailable","service":"exchange"}}`

	// AttestationLapsedBody is the body of the 403 to an order when the account's
	// location attestation has lapsed, as observed. See [Server.RequireAttestation].
	AttestationLapsedBody = `{"error":{"code":"Your_location_attestation_for_API_trading_is_missing_or_expired._Please_verify_your_location_in_the_Kalshi_app_or_website,_and_then_retry.",` +
		`"message":"Your location attestation for API trading is missing or expired. Please verify your location in the Kalshi app or website, and then retry."}}`

	// RetiredPathBody is the body of the 410 to a request for a path that the
	// exchange has retired. The code is observed, and that the exchange responds so
	// before it looks at the signature, as a [Fault] does; the rest is decided
	// here.
	RetiredPathBody = `{"error":{"code":"deprecated_v1_order_endpoint","message":"deprecated_v1_order_endpoint"}}`
)

// A response is a whole response, ready to be sent.
type response struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP implements [http.Handler].
func (r *response) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	maps.Copy(w.Header(), r.header)
	w.WriteHeader(r.status)
	if len(r.body) > 0 {
		_, _ = w.Write(r.body) // the client may be gone
	}
}

func jsonResponse(status int, body any) *response {
	return &response{status, http.Header{"Content-Type": {"application/json"}}, must(json.Marshal(body))}
}

func textResponse(status int, text string) *response {
	return &response{status, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, []byte(text)}
}

// An errorBody has the fields of most error bodies, in their order.
type errorBody struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details string `json:"details,omitempty"`
}

// nestedError returns an error of the common shape {"error":{…}}.
func nestedError(status int, body errorBody) *response {
	return jsonResponse(status, struct {
		Error errorBody `json:"error"`
	}{body})
}

// messageBody returns a body whose code is the message with underscores for
// spaces, as many codes are.
func messageBody(message string) errorBody {
	return errorBody{Code: strings.ReplaceAll(message, " ", "_"), Message: message}
}

func noCredentials() *response {
	return nestedError(http.StatusUnauthorized, messageBody("token authentication failure"))
}

func noSignature() *response {
	return nestedError(http.StatusUnauthorized, messageBody("signature is missing from headers"))
}

func timestampExpired() *response {
	return nestedError(http.StatusUnauthorized, messageBody("header timestamp expired"))
}

func authenticationError(details string) *response {
	return nestedError(http.StatusUnauthorized, errorBody{"authentication_error", "authentication_error", details})
}

func insufficientScope(scope string) *response {
	return nestedError(http.StatusForbidden, messageBody("insufficient scope: "+scope+" required"))
}

func subaccountForbidden() *response {
	return textResponse(http.StatusForbidden, "this API key is restricted to a single sub-account and cannot access this endpoint")
}

// forbidden returns the documented 403s whose body is not documented.
func forbidden() *response { return nestedError(http.StatusForbidden, messageBody("forbidden")) }

func notFound() *response { return nestedError(http.StatusNotFound, messageBody("not found")) }

func invalidContentType() *response {
	return jsonResponse(http.StatusBadRequest, messageBody("invalid_content_type"))
}

func badJSON(err error) *response {
	return jsonResponse(http.StatusBadRequest, errorBody{"bad_request", "bad request", err.Error()})
}

// must returns v. It panics on an error, which can only be a bug in this package.
func must[T any](v T, err error) T {
	if err != nil {
		panic("kalshitest: " + err.Error())
	}
	return v
}
