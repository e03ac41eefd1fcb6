package kalshitest

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
)

// The bodies of two errors that the server gives only when a [Fault] asks for
// them.
const (
	// TooManyRequestsBody is the documented body of a 429.
	TooManyRequestsBody = `{"error":"too many requests"}`

	// ServiceUnavailableBody is the body of a 503, as observed.
	ServiceUnavailableBody = `{"error":{"code":"service_unavailable","message":"service_unavailable","service":"exchange"}}`
)

// answer is a whole answer, ready to be sent.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ServeHTTP implements [http.Handler].
func (a *answer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	if len(a.body) > 0 {
		_, _ = w.Write(a.body) // fails only for a client that is gone
	}
}

func jsonAnswer(status int, body any) *answer {
	return &answer{status, http.Header{"Content-Type": {"application/json"}}, must(json.Marshal(body))}
}

func textAnswer(status int, text string) *answer {
	return &answer{status, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, []byte(text)}
}

// problem is what most error bodies say; the order of the fields is theirs.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details string `json:"details,omitempty"`
}

// nested is the common shape of an error.
func nested(status int, p problem) *answer {
	return jsonAnswer(status, struct {
		Error problem `json:"error"`
	}{p})
}

// codeOf is the message with underscores for spaces, as many codes are.
func codeOf(message string) problem {
	return problem{Code: strings.ReplaceAll(message, " ", "_"), Message: message}
}

func noCredentials() *answer {
	return nested(http.StatusUnauthorized, codeOf("token authentication failure"))
}

func noSignature() *answer {
	return nested(http.StatusUnauthorized, codeOf("signature is missing from headers"))
}

func timestampExpired() *answer {
	return nested(http.StatusUnauthorized, codeOf("header timestamp expired"))
}

func authenticationError(details string) *answer {
	return nested(http.StatusUnauthorized, problem{"authentication_error", "authentication_error", details})
}

func insufficientScope(scope string) *answer {
	return nested(http.StatusForbidden, codeOf("insufficient scope: "+scope+" required"))
}

func subaccountRefused() *answer {
	return textAnswer(http.StatusForbidden, "this API key is restricted to a single sub-account and cannot access this endpoint")
}

// forbidden answers the documented 403s whose body is not documented.
func forbidden() *answer { return nested(http.StatusForbidden, codeOf("forbidden")) }

func notFound() *answer { return nested(http.StatusNotFound, codeOf("not found")) }

func invalidContentType() *answer {
	return jsonAnswer(http.StatusBadRequest, codeOf("invalid_content_type"))
}

func badJSON(err error) *answer {
	return jsonAnswer(http.StatusBadRequest, problem{"bad_request", "bad request", err.Error()})
}

// parameterRules says what is valid for each parameter.
var parameterRules = map[string]string{
	"fcm_subtrader_id": "it must be {user_id}_{suffix} with a suffix of 1 to 16 ASCII letters and digits, and excludes subaccount",
	"key_type":         "it must be rsa or ed25519",
	"name":             "it must not be empty",
	"public_key":       "it must be one PEM block of type PUBLIC KEY with an Ed25519 key, or an RSA key of 2048 bits or more",
	"scopes":           "it must be one or more of " + strings.Join(scopes, ", ") + "; write requires read",
	"subaccount":       "it must be 0 to 63",
}

// invalidParameter names the parameter and what is valid for it. Only the words
// before the name are documented.
func invalidParameter(name string) *answer {
	return jsonAnswer(http.StatusBadRequest, map[string]string{
		"msg": "Parameter validation failed for " + name + ": " + parameterRules[name],
	})
}

// must returns v; err can only be a mistake of this package.
func must[T any](v T, err error) T {
	if err != nil {
		panic("kalshitest: " + err.Error())
	}
	return v
}
