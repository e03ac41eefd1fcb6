package kalshi

// A response becomes a value or an error.

import (
	"bytes"
	"compress/gzip"
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

// statusError returns the error for a response that is not 2xx.
func statusError(method, path string, resp *http.Response, body []byte, received time.Time) error {
	e := APIError{StatusCode: resp.StatusCode, Method: method, Path: path, Body: body}
	e.parse(body)
	switch {
	case e.StatusCode == http.StatusBadRequest:
		return &BadRequestError{e}
	case e.StatusCode == http.StatusUnauthorized:
		skew, dated := clockSkew(resp.Header, received)
		return &UnauthorizedError{APIError: e, ClockSkew: skew, dated: dated}
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

// parse understands the five shapes of error bodies that were observed:
// {"error":{code,message,details}}, {code,message,details}, {"msg":…},
// {"error":"…"}, and text or HTML from gateways.
func (e *APIError) parse(body []byte) {
	if redact.HoldsKey(string(body)) {
		e.Body, e.Message = nil, redact.Withheld
		return
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
	if slices.Contains([]string{e.Code, e.Message, e.Details}, redact.Withheld) {
		e.Body = nil // the mark was escaped
	}
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

// clockSkew returns the server's clock minus the local one at receipt.
func clockSkew(h http.Header, received time.Time) (skew time.Duration, ok bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0, false
	}
	return date.Sub(received), true
}

// retryAfter returns how long a Retry-After header asks to wait: seconds, or
// a date, which is measured against the server's own clock where that is
// known. Nonsense is 0, and a number too large for a Duration the largest.
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
	maxBody      = 8 << 20  // bytes of a 2xx response, decompressed
	maxErrorBody = 64 << 10 // bytes of any other response
)

var errTooLong = fmt.Errorf("it is longer than %d MiB", maxBody>>20)

// readBody reads a body to its end, or to the limit: then it returns what it
// has and errTooLong. It undoes compression that net/http has left, since the
// caller or a transport had asked for it.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.StatusCode == http.StatusNoContent && resp.ContentLength == 0 {
		return nil, nil
	}
	var from io.Reader = resp.Body
	if strings.EqualFold(resp.Header.Get("Content-Encoding"), "gzip") {
		unzip, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, err
		}
		from = unzip
	}
	var body bytes.Buffer
	body.Grow(int(min(max(resp.ContentLength, 0), limit)) + bytes.MinRead)
	_, err := body.ReadFrom(io.LimitReader(from, limit+1))
	if int64(body.Len()) > limit {
		body.Truncate(int(limit))
		err = errTooLong
	}
	return body.Bytes(), err
}

// readErrorBody reads what there is of the body of an error. That of a 101 is
// the connection, which no context ends.
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

// findKeyID looks for the new key's ID in the body of a create that failed: in
// whole JSON, or in JSON that is cut off but begins with the ID, as the
// service's does.
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

// noResult is the result of a call that returns nothing. Its body is blank or
// JSON; a page comes from a proxy, which may not have passed the request on.
type noResult struct{}

func (noResult) decode(body []byte) error {
	if len(bytes.TrimSpace(body)) > 0 && !json.Valid(body) {
		return errors.New("it is neither blank nor JSON")
	}
	return nil
}

// maxListCommas bounds the memory that a list takes: 8 MiB of "{},{}" would
// decode to hundreds. A listed key has four commas or more, and more than 100
// bytes.
const maxListCommas = 200_000

// A keyList is a list of keys and what could not be read of it.
type keyList struct {
	GetAPIKeysResponse
	unreadable []string    // IDs of the keys with a field of the wrong type
	signedWith *credential // the key that listed
}

func (r *keyList) decode(body []byte) error {
	if bytes.Count(body, []byte{','}) > maxListCommas {
		return errTooMany
	}
	*r = keyList{}
	err := json.Unmarshal(body, &r.GetAPIKeysResponse)
	if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		*r = keyList{}
		return r.decodeEach(body)
	}
	if err != nil {
		return errNotJSON
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

// decodeEach decodes a list in which a field has the wrong type. The other
// keys, and the readable fields of this one, are still good.
func (r *keyList) decodeEach(body []byte) error {
	var raw struct {
		APIKeys            []json.RawMessage `json:"api_keys"`
		RegionExpirationTS json.RawMessage   `json:"api_key_region_expiration_ts"`
	}
	if err := unmarshal(body, &raw); err != nil {
		return err
	}
	if raw.APIKeys == nil {
		return errMissing("api_keys")
	}
	*r = keyList{GetAPIKeysResponse: GetAPIKeysResponse{APIKeys: make([]APIKey, len(raw.APIKeys))}}
	r.RegionExpirationTS = numberIn[int64](raw.RegionExpirationTS)
	for i, data := range raw.APIKeys {
		key := &r.APIKeys[i]
		if json.Unmarshal(data, key) != nil {
			r.unreadable = append(r.unreadable, key.ID)
			var numbers struct{ Subaccount json.RawMessage }
			_ = json.Unmarshal(data, &numbers)
			key.Subaccount = numberIn[int](numbers.Subaccount)
		}
	}
	return nil
}

// numberIn returns nil for what is not a number. json.Unmarshal would leave a
// pointer to 0, which is a sub-account and a time.
func numberIn[T int | int64](data json.RawMessage) *T {
	var n *T
	if json.Unmarshal(data, &n) != nil {
		return nil
	}
	return n
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

func (r *CreateAPIKeyResponse) id() string   { return r.ID }
func (r *GenerateAPIKeyResponse) id() string { return r.ID }

var (
	errNotJSON = errors.New("it is not the JSON object that was expected, or is cut off")
	errTooMany = errors.New("it has more values than a list of keys")
)

func errMissing(field string) error { return errors.New("it lacks " + field) }
