package kalshi

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

// An APIError is a response that is not 2xx. For a status that has a type of its own it is embedded
// in that type, such as [*NotFoundError], and [errors.As] finds both. Code, Message and Details are
// what the service sent, as far as the body is understood, made safe for one line. The codes are not
// a closed set (observed): switch on the error's type.
type APIError struct {
	StatusCode int    // the HTTP status, 3xx included: redirects are not followed
	Code       string // the service's short name for the error, such as "not_found"
	Message    string // the service's description, or the body if that is plain text
	Details    string // more, with some errors, such as "INCORRECT_API_KEY_SIGNATURE"
	Method     string // the request's
	Path       string // the request's, as sent: escaped, no host, no query
	Body       []byte // the response's, at most 64 KiB; nil if it seems to hold a private key
}

func (e *APIError) Error() string {
	switch {
	case e.StatusCode/100 == 3 && e.StatusCode != http.StatusNotModified:
		return e.textWith("redirects are not followed: check the base URL")
	case e.isPage():
		return e.textWith("the page of a gateway, not the service's response")
	}
	return e.textWith("")
}

// textWith returns the error's text with a hint, for which it cuts the service's words short.
func (e *APIError) textWith(hint string) string {
	head := "kalshi: "
	if e.Path != "" {
		head += e.Method + " " + safePath(e.Path) + ": "
	}
	label := cmp.Or(e.Code, http.StatusText(e.StatusCode))
	if len(e.Code) > maxID && strings.ReplaceAll(e.Message, " ", "_") == e.Code {
		label = e.Message // which a long code only repeats
	}
	words := strings.TrimSpace(strconv.Itoa(e.StatusCode) + " " + label)
	if e.Message != "" && e.Message != label {
		words += ": " + e.Message
	}
	if e.Details != "" && e.Details != label && e.Details != e.Message {
		words += ": " + e.Details
	}
	if hint != "" {
		hint = " (" + hint + ")"
	}
	return head + redact.Truncate(words, maxError-len(head)-len(hint)) + hint
}

// isPage reports whether the body is a gateway's page: no error of the service begins with a tag.
func (e *APIError) isPage() bool { return bytes.HasPrefix(bytes.TrimSpace(e.Body), []byte("<")) }

// A BadRequestError is a 400: the service rejected the request's input.
type BadRequestError struct{ APIError }

// An UnauthorizedError is a 401. Its text says which of its causes it was, as far as the service tells.
type UnauthorizedError struct {
	APIError
	KeyID     string        // the key that signed, from the request's header; "" if it is not known
	ClockSkew time.Duration // the service's clock (Date and Age) minus the local one at receipt; 0 if there is no date

	dated     bool      // the response has a date
	host      string    // that the request went to
	timestamp time.Time // that the request was signed with
	received  time.Time // when the response arrived, by the local clock
}

// A ForbiddenError is a 403: the key lacks a scope or is bound to a sub-account or subtrader, or the
// account's location attestation has lapsed, or its usage level does not allow the call.
type ForbiddenError struct{ APIError }

// A NotFoundError is a 404: there is no such key, or no such endpoint at the base URL.
type NotFoundError struct{ APIError }

func (e *NotFoundError) Error() string {
	if e.Code != "" || e.Path == "" || json.Valid(e.Body) || e.isPage() {
		return e.APIError.Error()
	}
	return e.textWith("not in the service's form: check the base URL, https://HOST/trade-api/v2")
}

// A ConflictError is a 409: documented for a subtrader that is not visible yet. Try again later.
type ConflictError struct{ APIError }

// A RateLimitError is a 429: too many requests. It was not processed.
type RateLimitError struct {
	APIError
	RetryAfter time.Duration // what the service asks to wait; 0 if it does not say, as usual (documented)
}

// A ServerError is a 500–599. That of a create comes within an [*OutcomeUnknownError].
type ServerError struct{ APIError }

const (
	codeNotFound          = "not_found"
	codeTimestampExpired  = "header_timestamp_expired"
	detailsUnknownKey     = "NOT_FOUND"
	detailsWrongSignature = "INCORRECT_API_KEY_SIGNATURE"

	skewTolerance = 5 * time.Second // between clocks that agree; the service was observed to accept ±10 s
	maxSkew       = 24 * time.Hour  // that is corrected: signatures for the far future could be replayed then
)

// aboutKey reports whether the ID is unknown, or the private key does not belong to it.
func (e *UnauthorizedError) aboutKey() bool {
	return e.Details == detailsUnknownKey || e.Details == detailsWrongSignature
}

// lacksHeaders reports whether the request arrived without its signature or its key ID.
func (e *UnauthorizedError) lacksHeaders() bool {
	return strings.HasPrefix(e.Code, "signature_is_missing") || strings.HasPrefix(e.Code, "token_authentication")
}

func (e *UnauthorizedError) Error() string {
	var hint string
	switch {
	case e.Details == detailsWrongSignature:
		hint = "wrong signature: does the private key belong to this key ID?"
	case e.Details == detailsUnknownKey:
		hint = strings.TrimSpace("unknown key ID "+safeID(e.KeyID)) +
			": it was deleted, or is of another environment than " + cmp.Or(safeID(e.host), "this one")
	case e.isPage():
		return e.APIError.Error()
	case e.lacksHeaders():
		hint = "a proxy or transport may have dropped the KALSHI-ACCESS headers"
	case e.Code != codeTimestampExpired:
		hint = "check the key ID, the private key and the base URL"
	case !e.dated:
		hint = "check the local clock"
	case e.ClockSkew.Abs() <= skewTolerance:
		hint = "the clocks agree: the request took too long to arrive"
	case e.ClockSkew < 0:
		hint = "the local clock is " + e.ClockSkew.Abs().Round(time.Second).String() + " ahead"
	default:
		hint = "the local clock is " + e.ClockSkew.Round(time.Second).String() + " behind"
	}
	if e.Code == codeTimestampExpired && e.ClockSkew.Abs() > maxSkew {
		hint += ", beyond what is corrected"
	}
	return e.textWith(hint)
}

// provesKey reports whether an error is about rights, which shows that the signature was accepted.
func provesKey(err error) bool {
	if forbidden, ok := errors.AsType[*ForbiddenError](err); ok {
		return forbidden.Code != "" || strings.Contains(forbidden.Message, "sub-account")
	}
	e, ok := errors.AsType[*UnauthorizedError](err)
	return ok && e.Code != "" && !e.aboutKey() && !e.lacksHeaders() && e.Code != codeTimestampExpired
}

// A ValidationError is bad input, rejected before any network I/O.
type ValidationError struct {
	Field  string // what is wrong: a field of a request, a parameter, an option, a variable or a file
	Reason string // what is wrong with it and what to do; it never quotes a key
}

func (e *ValidationError) Error() string {
	return errorText(maxError, "%s %s", redact.Text(e.Field, maxText), e.Reason)
}

func invalid(field, format string, args ...any) error {
	return &ValidationError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// An InvalidResponseError is a 2xx response that cannot be understood: its body is cut off, is not
// JSON or lacks a required field. It never quotes the body, which may hold a private key.
type InvalidResponseError struct {
	StatusCode int    // the HTTP status, 200–299
	Method     string // the request's
	Path       string // the request's, as sent: escaped, no host, no query
	Err        error  // what is wrong with the body
}

func (e *InvalidResponseError) Error() string {
	return errorText(2*maxError, "%s %s: the %d response cannot be understood: %s", e.Method, safePath(e.Path), e.StatusCode, innerMessage(e.Err))
}

// A NotSentError says that a request with a body, sent by [Client.HTTPClient] or a call that creates
// a key, certainly was not sent: it could not be signed, its context had ended before, or it got no
// connection. Sending it again is safe. Any other error leaves open whether it was processed.
type NotSentError struct {
	Err error // what happened
}

func (e *NotSentError) Error() string {
	return errorText(maxError, "not sent: %s", innerMessage(e.Err))
}

// Timeout reports whether Err is a time-out.
func (e *NotSentError) Timeout() bool { return isTimeout(e.Err) }

// A NotSavedError says that [Client.GenerateAPIKeyToFile] made a key and could not save or delete it.
type NotSavedError struct {
	Response *GenerateAPIKeyResponse // all that holds the key: save it, or delete the key
	Err      error                   // what happened
}

func (e *NotSavedError) Error() string {
	key := cmp.Or(e.Response, new(GenerateAPIKeyResponse)) // nil in the zero value
	return errorText(2*maxError, "the new key %s exists and is not saved: save Response, which alone holds its private key, or delete the key: %s",
		safeID(key.ID), innerMessage(e.Err))
}

// An OutcomeUnknownError says that a key may have been created: the request may have been processed,
// and no usable response arrived, as when the service closes an idle connection just as a request is
// sent. It is not retried, since that could create a second key. List the keys, and delete the one
// whose private half nobody holds. Check for it before the other types: it may wrap one of them.
type OutcomeUnknownError struct {
	Operation string // the method that was called, such as "GenerateAPIKey"
	KeyName   string // the name that was asked for
	KeyID     string // the new key's ID, if the response named it
	Err       error  // what happened
}

func (e *OutcomeUnknownError) Error() string {
	key := fmt.Sprintf("%q", safeID(e.KeyName))
	if e.KeyID != "" {
		key += ", ID " + safeID(e.KeyID)
	}
	return errorText(maxError, "%s: a new key named %s may exist: list the keys, and delete the one that was not there before: %s",
		e.Operation, key, innerMessage(e.Err))
}

func (e *BadRequestError) Unwrap() error      { return &e.APIError }
func (e *UnauthorizedError) Unwrap() error    { return &e.APIError }
func (e *ForbiddenError) Unwrap() error       { return &e.APIError }
func (e *NotFoundError) Unwrap() error        { return &e.APIError }
func (e *ConflictError) Unwrap() error        { return &e.APIError }
func (e *RateLimitError) Unwrap() error       { return &e.APIError }
func (e *ServerError) Unwrap() error          { return &e.APIError }
func (e *InvalidResponseError) Unwrap() error { return e.Err }
func (e *NotSentError) Unwrap() error         { return e.Err }
func (e *NotSavedError) Unwrap() error        { return e.Err }
func (e *OutcomeUnknownError) Unwrap() error  { return e.Err }

// A rewordedError has a text of its own. errors.Is and errors.As find the errors behind it;
// printers and errors.Unwrap do not, since a text from outside may hold a key.
type rewordedError struct {
	text string
	err  *error // behind a pointer, so that no verb of fmt reaches it
}

func reword(text string, errs ...error) error {
	err := errors.Join(errs...)
	return &rewordedError{text, &err}
}

func (e *rewordedError) Error() string        { return errorText(2*maxError, "%s", e.text) }
func (e *rewordedError) Is(target error) bool { return errors.Is(*e.err, target) }
func (e *rewordedError) As(target any) bool   { return errors.As(*e.err, target) }
func (e *rewordedError) Timeout() bool        { return isTimeout(*e.err) }

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// redactHTTPError rewords an error of net/http that quotes a key from a malformed response.
func redactHTTPError(err error) error {
	if err != nil && redact.HoldsKey(err.Error()) {
		return reword(innerMessage(err), err)
	}
	return err
}

// withContext adds to err the error of a context that has ended, so that errors.Is finds it.
func withContext(ctx context.Context, err error) error {
	if ctxErr := ctx.Err(); err != nil && ctxErr != nil && !errors.Is(err, ctxErr) {
		return fmt.Errorf("%w: %w", ctxErr, err)
	}
	return err
}

// innerMessage is the text of an error inside another one, without the prefix.
func innerMessage(err error) string {
	if err == nil {
		return "unknown"
	}
	if text, own := strings.CutPrefix(err.Error(), "kalshi: "); own {
		return redact.Text(text, maxError)
	}
	return redact.Text(err.Error(), maxText)
}

// errorText is an error's text, cut to n characters.
func errorText(n int, format string, args ...any) string {
	return redact.Truncate("kalshi: "+fmt.Sprintf(format, args...), n)
}

func safeID(id string) string     { return redact.Text(id, maxID) } // or the name of a key
func safePath(path string) string { return redact.Text(path, maxPath) }

// The longest texts in errors, in characters.
const (
	maxError = 300 // an error; one that wraps several may have twice that
	maxText  = 160 // one text from outside
	maxPath  = 80
	maxID    = 40 // the ID or name of a key
)
