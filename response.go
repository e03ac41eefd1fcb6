package kalshi

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

// statusError returns the error for a response that is not 2xx; req may be nil.
func statusError(req *http.Request, resp *http.Response, body []byte, received time.Time) error {
	e := newAPIError(req, resp, body)
	switch e.StatusCode {
	case http.StatusBadRequest:
		return &BadRequestError{e}
	case http.StatusUnauthorized:
		return newUnauthorizedError(req, resp, body, received)
	case http.StatusForbidden:
		return &ForbiddenError{e}
	case http.StatusNotFound:
		return &NotFoundError{e}
	case http.StatusConflict:
		return &ConflictError{e}
	case http.StatusTooManyRequests:
		return &RateLimitError{e, retryAfter(resp.Header, received)}
	}
	if e.StatusCode/100 == 5 {
		return &ServerError{e}
	}
	return &e
}

func newAPIError(req *http.Request, resp *http.Response, body []byte) APIError {
	e := APIError{StatusCode: resp.StatusCode, Body: body}
	if req != nil && req.URL != nil {
		e.Method, e.Path = cmp.Or(req.Method, http.MethodGet), req.URL.EscapedPath()
	}
	e.parse()
	if redact.HoldsKey(string(body)) {
		e.Body = nil
	}
	return e
}

func newUnauthorizedError(req *http.Request, resp *http.Response, body []byte, received time.Time) *UnauthorizedError {
	e := &UnauthorizedError{APIError: newAPIError(req, resp, body), received: received}
	e.ClockSkew, e.dated = clockSkew(resp.Header, received)
	if req != nil && req.URL != nil {
		e.KeyID, e.host = req.Header.Get(headerKey), req.URL.Hostname()
		milliseconds, _ := strconv.ParseInt(req.Header.Get(headerTimestamp), 10, 64)
		e.timestamp = time.UnixMilli(milliseconds)
	}
	return e
}

// parse understands the error bodies that were observed: {"error":{code,message,details}},
// {code,message,details}, {"msg":…}, {"error":"…"}, and text or HTML from gateways.
func (e *APIError) parse() {
	type fields struct{ Code, Message, Details, Msg any }
	var flat struct {
		fields
		Error json.RawMessage
	}
	if json.Unmarshal(e.Body, &flat) != nil {
		if !e.isPage() {
			e.Message = redact.Text(string(e.Body), maxText)
		}
		return
	}
	var nested fields
	if json.Unmarshal(flat.Error, &nested) != nil {
		_ = json.Unmarshal(flat.Error, &nested.Message)
	}
	first := func(values ...any) string { return redact.Text(fmt.Sprint(cmp.Or(append(values, "")...)), maxText) }
	e.Code = first(nested.Code, flat.Code)
	e.Message = first(nested.Message, flat.Message, flat.Msg, nested.Msg)
	e.Details = first(nested.Details, flat.Details)
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

// retryAfter returns how long a Retry-After asks to wait: a date is measured by the server's clock.
func retryAfter(h http.Header, received time.Time) time.Duration {
	value := strings.TrimSpace(h.Get("Retry-After"))
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(max(0, seconds), math.MaxInt64/int64(time.Second))) * time.Second
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

// readErrorBody reads what there is of the body of an error. That of a 101 is the connection.
func readErrorBody(resp *http.Response) []byte {
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.Body == nil {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	return body
}

// unmarshal is json.Unmarshal with errors that quote nothing of the body.
func unmarshal(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	if err == nil {
		return nil
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrong.Field != "" {
		return fmt.Errorf("its field %s has the wrong type", redact.Text(wrong.Field, maxText))
	}
	return errNotJSON
}

var errNotJSON = errors.New("it is not the JSON object that was expected, or is cut off")

func errMissing(field string) error { return errors.New("it lacks " + field) }

// decodeNothing decodes the body of a delete: blank, or JSON without an error. A page is a proxy's.
func decodeNothing(body []byte) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	var object struct{ Error, Code, Msg json.RawMessage } // as the bodies of errors have them
	if json.Unmarshal(body, &object) != nil {
		return errors.New("it is neither blank nor a JSON object")
	}
	if object.Error != nil || object.Code != nil || object.Msg != nil {
		return errors.New("it has an error in it")
	}
	return nil
}

var errNoKeys = errMissing("api_keys, or the api_key_id of one")

func (r *GetAPIKeysResponse) decode(body []byte) error {
	if len(body) > 64<<10 { // as a list of empty objects, it could take hundreds of megabytes
		type idOnly struct {
			ID string `json:"api_key_id"`
		}
		var list struct {
			APIKeys []idOnly `json:"api_keys"`
		}
		_ = json.Unmarshal(body, &list) // an error shows below
		if slices.Contains(list.APIKeys, idOnly{}) {
			return errNoKeys
		}
	}
	*r = GetAPIKeysResponse{APIKeys: make([]APIKey, 1)} // stays if the field is absent
	if err := unmarshal(body, r); err != nil {
		return err
	}
	if r.find("") != nil {
		return errNoKeys
	}
	if r.APIKeys == nil { // null
		r.APIKeys = []APIKey{}
	}
	return nil
}

// The decoders of new keys ignore a malformed optional field if what is required is there.

func (r *CreateAPIKeyResponse) decode(body []byte) error {
	if err := unmarshal(body, r); r.ID == "" {
		return cmp.Or(err, errMissing("api_key_id"))
	}
	return nil
}

func (r *GenerateAPIKeyResponse) decode(body []byte) error {
	err := unmarshal(body, r)
	switch {
	case r.ID == "":
		return cmp.Or(err, errMissing("api_key_id"))
	case r.PrivateKey.Reveal() == "":
		return cmp.Or(err, errMissing("private_key"))
	case r.KeyType == "": // it is optional; the key itself says
		key, _ := r.PrivateKey.Parse()
		r.KeyType, _ = checkSigner("", key)
	}
	return nil
}
