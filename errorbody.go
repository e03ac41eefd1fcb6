package kalshi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// statusError turns an answer that is not 2xx into the error for its status.
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
	if bytes.Contains(body, []byte(privateKeyMark)) {
		e.Body, e.Message = nil, withheld
		return
	}
	type fields struct{ Code, Message, Details, Msg looseText }
	var flat struct {
		fields
		Error json.RawMessage
	}
	if json.Unmarshal(body, &flat) != nil {
		if text := strings.TrimSpace(string(body)); !strings.HasPrefix(text, "<") {
			e.Message = clean(text)
		}
		return
	}
	nested := fields{}
	if json.Unmarshal(flat.Error, &nested) != nil {
		_ = json.Unmarshal(flat.Error, &nested.Message) // looseText takes anything
	}
	first := func(texts ...looseText) string {
		for _, text := range texts {
			if text != "" {
				return clean(string(text))
			}
		}
		return ""
	}
	e.Code = first(nested.Code, flat.Code)
	e.Message = first(nested.Message, flat.Message, flat.Msg, nested.Msg)
	e.Details = first(nested.Details, flat.Details)
	e.structured = e.Code != "" || e.Message != ""
	if slices.Contains([]string{e.Code, e.Message, e.Details}, withheld) {
		e.Body = nil // the mark was escaped
	}
}

// looseText is a string in JSON, or whatever else stands there, as its text.
type looseText string

func (t *looseText) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) != nil {
		s = string(data)
	}
	*t = looseText(s)
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

// callError is a call that got no answer: it keeps the standard library's
// errors and leaves out what their texts repeat.
type callError struct {
	method, path string
	err          error
}

func (e *callError) Error() string {
	err := e.err
	if urlErr := (*url.Error)(nil); errors.As(err, &urlErr) {
		err = urlErr.Err // without the method and URL that it repeats
	}
	return "kalshi: " + e.method + " " + clip(e.path, maxPathText) + ": " + causeText(err)
}

func (e *callError) Unwrap() error { return e.err }

// joinedError is more than one error under a text of its own.
type joinedError struct {
	text string
	errs []error
}

func (e *joinedError) Error() string   { return clip("kalshi: "+e.text, maxErrorText) }
func (e *joinedError) Unwrap() []error { return e.errs }

// causeText is the text of an error inside another one, without the prefix
// that the outer one has.
func causeText(err error) string {
	if err == nil {
		return "unknown"
	}
	return clean(strings.TrimPrefix(err.Error(), "kalshi: "))
}

const (
	maxErrorText   = 300 // characters of a whole error
	maxText        = 160 // of one text from outside in it
	maxWords       = 130 // of the service's words in it, so that a hint fits too
	maxPathText    = 80
	privateKeyMark = "PRIVATE KEY"
	withheld       = "the text is withheld, since it seems to hold a private key"
)

// clean makes text from outside safe and short enough for one line of a log.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s[:min(len(s), 8*maxText)])
	s = strings.Join(strings.Fields(s), " ")
	if strings.Contains(s, privateKeyMark) {
		return withheld
	}
	return clip(s, maxText)
}

// idText is the ID or name of a key in an error.
func idText(id string) string { return clip(clean(id), 40) }

// clip cuts s to n characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}

// clipMiddle cuts s to n characters and keeps both its ends, as of a path.
func clipMiddle(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n/3]) + "…" + string(runes[len(runes)-(n-n/3-1):])
}
