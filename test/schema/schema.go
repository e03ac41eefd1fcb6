// Package schema holds the documented schema of the four calls that manage API keys, as far as a
// client depends on it. The tests, examples/conformance and examples/schema share it.
package schema

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Version is the version of the documented schema.
const Version = "3.34.0"

// A Call is one of the four calls.
type Call struct {
	Method, Path string
	Query        []Field // its parameters in the query
	PathFields   []Field // its parameters in the path
	Request      string  // the object in its body, or ""
	Response     string  // the object in the response, or ""
	Success      int
	Errors       []int
}

// A Field is a field of an object, or a parameter.
type Field struct {
	Name               string
	Kind               string // "string" or "integer", or the name of an enum or an object
	List               bool   // of such
	Required, Nullable bool
	Min, Max           string // of an integer, or ""
}

// Calls are the four calls.
var Calls = []Call{
	{
		Method: "GET", Path: "/api_keys", Query: fields("fcm_subtrader_id string"),
		Response: "GetApiKeysResponse", Success: 200, Errors: []int{401, 500},
	},
	{
		Method: "POST", Path: "/api_keys", Request: "CreateApiKeyRequest",
		Response: "CreateApiKeyResponse", Success: 201, Errors: []int{400, 401, 403, 409, 500},
	},
	{
		Method: "POST", Path: "/api_keys/generate", Request: "GenerateApiKeyRequest",
		Response: "GenerateApiKeyResponse", Success: 201, Errors: []int{400, 401, 403, 409, 500},
	},
	{
		Method: "DELETE", Path: "/api_keys/{api_key}", PathFields: fields("api_key! string"),
		Success: 204, Errors: []int{400, 401, 404, 500},
	},
}

// Objects are the objects in their bodies.
var Objects = map[string][]Field{
	"GetApiKeysResponse":     fields("api_keys! []ApiKey", "api_key_region_expiration_ts? integer"),
	"ApiKey":                 fields("api_key_id! string", "name! string", "scopes! []ApiKeyScope", "subaccount? integer 0-63", "fcm_subtrader_id? string"),
	"CreateApiKeyRequest":    fields("name! string", "public_key! string", "scopes []ApiKeyScope", "subaccount integer 0-63", "fcm_subtrader_id string"),
	"CreateApiKeyResponse":   fields("api_key_id! string", "warning? string"),
	"GenerateApiKeyRequest":  fields("name! string", "key_type ApiKeyType", "scopes []ApiKeyScope", "subaccount integer 0-63", "fcm_subtrader_id string"),
	"GenerateApiKeyResponse": fields("api_key_id! string", "key_type ApiKeyType", "private_key! string", "warning? string"),
}

// Enums are the texts that their fields may have.
var Enums = map[string][]string{
	"ApiKeyType": {"rsa", "ed25519"},
	"ApiKeyScope": {
		"read", "write", "read::block_trade_accept", "read::portfolio_balance",
		"write::trade", "write::transfer", "write::fcm_risk", "write::block_trade_accept",
	},
}

// fields reads lines such as "scopes! []ApiKeyScope" and "subaccount? integer 0-63". An exclamation
// mark is for what is required, a question mark for what may be null.
func fields(lines ...string) (fields []Field) {
	for _, line := range lines {
		words := append(strings.Fields(line), "")
		kind, list := strings.CutPrefix(words[1], "[]")
		least, most, _ := strings.Cut(words[2], "-")
		fields = append(fields, Field{
			Name: strings.TrimRight(words[0], "!?"), Kind: kind, List: list, Min: least, Max: most,
			Required: strings.HasSuffix(words[0], "!"), Nullable: strings.HasSuffix(words[0], "?"),
		})
	}
	return fields
}

// Problems says what in the JSON body does not fit the object, sorted. It shows no
// values except those of enums and integers, since a body may hold a private key.
func Problems(object string, body []byte) []string {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return []string{"it is no JSON"}
	}
	problems := map[string]bool{}
	Field{Kind: object}.check("", value, problems)
	return slices.Sorted(maps.Keys(problems))
}

func (f Field) check(where string, value any, problems map[string]bool) {
	list, isList := value.([]any)
	members, isObject := value.(map[string]any)
	number, isNumber := value.(float64)
	text, isText := value.(string)
	fields, wantObject := Objects[f.Kind]
	values, wantEnum := Enums[f.Kind]
	switch {
	case value == nil && f.Nullable:
	case f.List && isList:
		f.List, f.Nullable = false, false
		for _, item := range list {
			f.check(where+"[]", item, problems)
		}
	case f.List:
		problems[where+" is no list"] = true
	case wantObject && isObject:
		checkObject(where, fields, members, problems)
	case wantEnum && isText:
		if !slices.Contains(values, text) {
			problems[fmt.Sprintf("%s is %.40q", where, text)] = true
		}
	case f.Kind == "integer" && isNumber:
		if !f.inRange(number) {
			problems[fmt.Sprintf("%s is %v", where, number)] = true
		}
	case f.Kind != "string" || !isText:
		problems[strings.TrimSpace(where+" is of the wrong type")] = true
	}
}

func checkObject(where string, fields []Field, members map[string]any, problems map[string]bool) {
	if where != "" {
		where += "."
	}
	for _, field := range fields {
		value, there := members[field.Name]
		delete(members, field.Name)
		switch {
		case there:
			field.check(where+field.Name, value, problems)
		case field.Required:
			problems[where+field.Name+" is missing"] = true
		}
	}
	for name := range members {
		problems[fmt.Sprintf("%s%.40q is unknown", where, name)] = true
	}
}

// inRange reports whether n is an integer within the field's bounds.
func (f Field) inRange(n float64) bool {
	least, errLeast := strconv.ParseFloat(f.Min, 64)
	most, errMost := strconv.ParseFloat(f.Max, 64)
	return n == float64(int64(n)) && (errLeast != nil || n >= least) && (errMost != nil || n <= most)
}
