package kalshi

// A response becomes a value or an error.

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

// statusError returns the error for a response that is not 2xx; req may be nil.
func statusError(req *http.Request, resp *http.Response, body []byte, received time.Time) error {
	e := newAPIError(req, resp, body)
	switch {
	case e.StatusCode == http.StatusBadRequest:
		return &BadRequestError{e}
	case e.StatusCode == http.StatusUnauthorized:
		return newUnauthorizedError(req, resp, body, received)
	case e.StatusCode == http.StatusForbidden:
		return &ForbiddenError{e}
	case e.StatusCode == http.StatusNotFound:
		return &NotFoundError{e}
	case e.StatusCode == http.StatusConflict:
		return &ConflictError{e}
	case e.StatusCode == http.StatusTooManyRequests:
		return &RateLimitError{APIError: e, RetryAfter: retryAfter(resp.Header, received)}
	case e.StatusCode/100 == 5:
		return &ServerError{e}
	default:
		return &e
	}
}

func newAPIError(req *http.Request, resp *http.Response, body []byte) APIError {
	e := APIError{StatusCode: resp.StatusCode, Body: body}
	if req != nil && req.URL != nil {
		e.Method, e.Path = cmp.Or(req.Method, http.MethodGet), req.URL.EscapedPath()
	}
	e.parse(body)
	return e
}

func newUnauthorizedError(req *http.Request, resp *http.Response, body []byte, received time.Time) *UnauthorizedError {
	e := &UnauthorizedError{APIError: newAPIError(req, resp, body)}
	e.ClockSkew, e.dated = clockSkew(resp.Header, received)
	if req != nil && req.URL != nil {
		e.KeyID, e.host = req.Header.Get(headerKey), req.URL.Hostname()
	}
	return e
}

// parse understands the five shapes of error bodies that were observed:
// {"error":{code,message,details}}, {code,message,details}, {"msg":…}, {"error":"…"}, and text or
// HTML from gateways.
func (e *APIError) parse(body []byte) {
	if redact.HoldsKey(string(body)) {
		e.Body = nil
	}
	type fields struct{ Code, Message, Details, Msg lenientString }
	var flat struct {
		fields
		Error json.RawMessage
	}
	if json.Unmarshal(body, &flat) != nil {
		if text := strings.TrimSpace(string(body)); !strings.HasPrefix(text, "<") {
			e.Message = redact.Text(text, maxText)
		}
		return
	}
	nested := fields{}
	if json.Unmarshal(flat.Error, &nested) != nil {
		_ = json.Unmarshal(flat.Error, &nested.Message) // lenientString takes anything
	}
	first := func(texts ...lenientString) string {
		for _, text := range texts {
			if text != "" {
				return redact.Text(string(text), maxText)
			}
		}
		return ""
	}
	e.Code = first(nested.Code, flat.Code)
	e.Message = first(nested.Message, flat.Message, flat.Msg, nested.Msg)
	e.Details = first(nested.Details, flat.Details)
}

// A lenientString is a JSON string, or the raw text of any other JSON value.
type lenientString string

func (t *lenientString) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) != nil {
		s = string(data)
	}
	*t = lenientString(s)
	return nil
}

// clockSkew returns the service's clock minus the local one at receipt.
func clockSkew(h http.Header, received time.Time) (skew time.Duration, ok bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, false
	}
	age, _ := strconv.ParseUint(h.Get("Age"), 10, 31) // seconds that a cache held the response
	return date.Add(time.Duration(age) * time.Second).Sub(received), true
}

// retryAfter returns how long a Retry-After header asks to wait: seconds, or a date, which is
// measured against the server's own clock where that is known. Nonsense is 0, and a number too
// large for a Duration the largest.
func retryAfter(h http.Header, received time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		const most = uint64(1<<63-1) / uint64(time.Second)
		if seconds > most {
			return 1<<63 - 1
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	skew, _ := clockSkew(h, received)
	return max(0, at.Sub(received.Add(skew)))
}

const (
	maxBody      = 2 << 20  // bytes of a 2xx response: some 14,000 keys
	maxErrorBody = 64 << 10 // bytes of any other response
)

var errTooLong = fmt.Errorf("it is longer than %d MiB", maxBody>>20)

// readBody reads a body to its end, or to the limit: then it returns what it has and errTooLong.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.StatusCode == http.StatusNoContent && resp.ContentLength == 0 {
		return nil, nil
	}
	var body bytes.Buffer
	body.Grow(int(min(max(resp.ContentLength, 0), limit)) + bytes.MinRead)
	_, err := body.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if int64(body.Len()) > limit {
		body.Truncate(int(limit))
		err = errTooLong
	}
	return body.Bytes(), err
}

// readErrorBody reads what there is of the body of an error. That of a 101 is the connection, which
// no context ends.
func readErrorBody(resp *http.Response) []byte {
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.Body == nil {
		return nil
	}
	body, _ := readBody(resp, maxErrorBody)
	return body
}

// unmarshal is json.Unmarshal with errors that quote nothing of the body.
func unmarshal(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	var typeErr *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typeErr) && typeErr.Field != "":
		return fmt.Errorf("its field %s has the wrong type", redact.Text(typeErr.Field, maxText))
	default:
		return errNotJSON
	}
}

var keyIDFirst = regexp.MustCompile(`^\s*{\s*"api_key_id"\s*:\s*"([^"\\]+)"`)

// findKeyID looks for the new key's ID in the body of a create that failed: in whole JSON, or in
// JSON that is cut off but begins with the ID, as the service's does.
func findKeyID(body []byte) string {
	var created struct {
		ID string `json:"api_key_id"`
	}
	if err := json.Unmarshal(body, &created); err == nil || created.ID != "" {
		return created.ID
	}
	if match := keyIDFirst.FindSubmatch(body); match != nil {
		return string(match[1])
	}
	return ""
}

// decodeNothing decodes the body of a delete, which is blank or JSON without an error in it; a page
// comes from a proxy, which may not have passed the request on.
func decodeNothing(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) != nil {
		return errors.New("it is neither blank nor a JSON object")
	}
	for _, name := range []string{"error", "code", "msg"} { // as the bodies of errors have them
		if _, ok := object[name]; ok {
			return errors.New("it has an error in it")
		}
	}
	return nil
}

// maxUnchecked is how long a list may be, in bytes, to be decoded before its IDs are checked: a
// long one of empty objects would take hundreds of megabytes.
const maxUnchecked = 64 << 10

func (r *GetAPIKeysResponse) decode(body []byte) error {
	if len(body) > maxUnchecked {
		type idOnly struct {
			ID string `json:"api_key_id"`
		}
		var list struct {
			APIKeys []idOnly `json:"api_keys"`
		}
		if err := unmarshal(body, &list); err != nil {
			return err
		}
		if slices.Contains(list.APIKeys, idOnly{}) {
			return errMissing("the api_key_id of a key")
		}
	}
	*r = GetAPIKeysResponse{}
	if err := unmarshal(body, r); err != nil {
		return err
	}
	if r.find("") != nil {
		return errMissing("the api_key_id of a key")
	}
	if r.APIKeys != nil {
		return nil
	}
	// Nothing there, or null, which is an empty list.
	var raw struct {
		APIKeys json.RawMessage `json:"api_keys"`
	}
	if _ = json.Unmarshal(body, &raw); raw.APIKeys == nil {
		return errMissing("api_keys")
	}
	r.APIKeys = []APIKey{}
	return nil
}

func (r *CreateAPIKeyResponse) decode(body []byte) error {
	if err := unmarshal(body, r); err != nil && r.ID == "" { // ignore a malformed optional field if the ID is there
		return err
	}
	if r.ID == "" {
		return errMissing("api_key_id")
	}
	return nil
}

func (r *GenerateAPIKeyResponse) decode(body []byte) error {
	if err := unmarshal(body, r); err != nil && (r.ID == "" || r.PrivateKey.reveal == nil) {
		return err
	}
	switch {
	case r.ID == "":
		return errMissing("api_key_id")
	case r.PrivateKey.reveal == nil:
		return errMissing("private_key")
	}
	if r.KeyType == "" { // it is optional; the key itself says
		if key, err := r.PrivateKey.Parse(); err == nil {
			r.KeyType, _ = keyTypeOf("", key.Public())
		}
	}
	return nil
}

var errNotJSON = errors.New("it is not the JSON object that was expected, or is cut off")

func errMissing(field string) error { return errors.New("it lacks " + field) }
