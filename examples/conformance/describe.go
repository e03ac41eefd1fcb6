package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// A reply is a response.
type reply struct {
	status   int
	header   http.Header
	body     []byte
	received time.Time
}

// String describes a response by its status and, for a success, the fields of its
// JSON, and for an error, its form and words. It shows no value of a success,
// which may be a private key.
func (r reply) String() string {
	object := r.object()
	switch {
	case r.status/100 == 3:
		return fmt.Sprintf("%d (to %s)", r.status, r.header.Get("Location"))
	case r.status/100 <= 2 && len(bytes.TrimSpace(r.body)) == 0:
		return strconv.Itoa(r.status)
	case r.status/100 <= 2:
		return strings.TrimSpace(fmt.Sprintf("%d %s", r.status, fieldNames(object)))
	}
	err := kalshi.CheckResponse(&http.Response{StatusCode: r.status, Header: r.header, Body: io.NopCloser(bytes.NewReader(r.body))})
	return describe(r.status, object, err)
}

// object returns the JSON object in the body, or nil.
func (r reply) object() map[string]any {
	var object map[string]any
	_ = json.Unmarshal(r.body, &object) // nil tells
	return object
}

// value returns a text in the JSON object of the body, or "".
func (r reply) value(name string) string {
	text, _ := r.object()[name].(string)
	return text
}

// optional are the fields of a success that need not be there.
var optional = []string{"api_key_region_expiration_ts", "warning"}

// fieldNames returns the names of the fields that are not null, sorted, with the
// optional ones in parentheses.
func fieldNames(object map[string]any) string {
	if object == nil {
		return "no JSON object"
	}
	var names, remark []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		switch {
		case object[name] == nil:
		case slices.Contains(optional, name):
			remark = append(remark, name)
		default:
			names = append(names, strings.Trim(fmt.Sprintf("%.40q", name), `"`))
		}
	}
	if remark != nil {
		names = append(names, "("+strings.Join(remark, " ")+")")
	}
	return strings.Join(names, " ")
}

// describe describes an error response: the form of its body, and its words as the
// client reads them. A message that is the code in other words is left out.
func describe(status int, object map[string]any, err error) string {
	api, _ := errors.AsType[*kalshi.APIError](err)
	var words []string
	if api.Code != "" {
		words = append(words, "code "+api.Code)
	}
	if api.Message != "" && strings.ReplaceAll(api.Message, " ", "_") != api.Code {
		words = append(words, api.Message)
	}
	if api.Details != "" {
		words = append(words, "details "+api.Details)
	}
	text := fmt.Sprintf("%d %s", status, form(object, api))
	if len(words) > 0 {
		text += ": " + strings.Join(words, ", ")
	}
	return text
}

// form names the form of an error's body.
func form(object map[string]any, api *kalshi.APIError) string {
	_, nested := object["error"].(map[string]any)
	_, text := object["error"].(string)
	switch {
	case nested:
		return "nested"
	case text:
		return "error"
	case object["msg"] != nil:
		return "msg"
	case object["code"] != nil:
		return "flat"
	case object != nil:
		return "JSON of another form"
	case api.Message == "":
		return "no body"
	}
	return "text"
}
