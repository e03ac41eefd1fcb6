package test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The documented schema 3.34.0 of the four calls, as far as it can be told
// from the client: what it may send, and what it has to understand.

type schemaField struct {
	name               string
	kind               string // string or integer, or the name of an enum or an object
	list               bool   // of such
	required, nullable bool
}

// fields reads such lines as "scopes! []ApiKeyScope": what is required has an
// exclamation mark, what may be null a question mark.
func fields(lines ...string) (fields []schemaField) {
	for _, line := range lines {
		name, kind, _ := strings.Cut(line, " ")
		kind, list := strings.CutPrefix(kind, "[]")
		fields = append(fields, schemaField{
			name: strings.TrimRight(name, "!?"), kind: kind, list: list,
			required: strings.HasSuffix(name, "!"), nullable: strings.HasSuffix(name, "?"),
		})
	}
	return fields
}

var schemaEnums = map[string][]string{
	"ApiKeyType": {"rsa", "ed25519"},
	"ApiKeyScope": {
		"read", "write", "read::block_trade_accept", "read::portfolio_balance",
		"write::trade", "write::transfer", "write::fcm_risk", "write::block_trade_accept",
	},
}

var schemaObjects = map[string][]schemaField{
	"GetApiKeysResponse":     fields("api_keys! []ApiKey", "api_key_region_expiration_ts? integer"),
	"ApiKey":                 fields("api_key_id! string", "name! string", "scopes! []ApiKeyScope", "subaccount? integer", "fcm_subtrader_id? string"),
	"CreateApiKeyRequest":    fields("name! string", "public_key! string", "scopes []ApiKeyScope", "subaccount integer", "fcm_subtrader_id string"),
	"CreateApiKeyResponse":   fields("api_key_id! string", "warning? string"),
	"GenerateApiKeyRequest":  fields("name! string", "key_type ApiKeyType", "scopes []ApiKeyScope", "subaccount integer", "fcm_subtrader_id string"),
	"GenerateApiKeyResponse": fields("api_key_id! string", "key_type ApiKeyType", "private_key! string", "warning? string"),
}

// schemaTypes are the Go types of the objects, and of the fields of each kind.
var schemaTypes = map[string]reflect.Type{
	"GetApiKeysResponse":     reflect.TypeFor[kalshi.GetAPIKeysResponse](),
	"ApiKey":                 reflect.TypeFor[kalshi.APIKey](),
	"CreateApiKeyRequest":    reflect.TypeFor[kalshi.CreateAPIKeyRequest](),
	"CreateApiKeyResponse":   reflect.TypeFor[kalshi.CreateAPIKeyResponse](),
	"GenerateApiKeyRequest":  reflect.TypeFor[kalshi.GenerateAPIKeyRequest](),
	"GenerateApiKeyResponse": reflect.TypeFor[kalshi.GenerateAPIKeyResponse](),
	"string":                 reflect.TypeFor[string](),
	"integer":                reflect.TypeFor[*int](), // 0 is no absence
	"ApiKeyType":             reflect.TypeFor[kalshi.KeyType](),
	"ApiKeyScope":            reflect.TypeFor[kalshi.Scope](),

	"private_key":                  reflect.TypeFor[kalshi.PrivateKeyPEM](),
	"api_key_region_expiration_ts": reflect.TypeFor[*int64](),
}

// Every field of the schema is one of the struct, and the reverse.
func TestSchema_structs(t *testing.T) {
	t.Parallel()
	for object, fields := range schemaObjects {
		structType, byName := schemaTypes[object], map[string]reflect.StructField{}
		for i := range structType.NumField() {
			field := structType.Field(i)
			tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			assert.True(t, field.IsExported() && tag != "" && tag != "-", "%s.%s is not in the schema", object, field.Name)
			byName[tag] = field
		}
		for _, want := range fields {
			field, ok := byName[want.name]
			if !assert.True(t, ok, "%s has no field for %s", object, want.name) {
				continue
			}
			delete(byName, want.name)
			wantType, special := schemaTypes[want.name]
			if !special {
				wantType = schemaTypes[want.kind]
			}
			if want.list {
				wantType = reflect.SliceOf(wantType)
			}
			assert.Equal(t, wantType, field.Type, "%s.%s", object, want.name)
			if strings.HasSuffix(object, "Request") {
				_, options, _ := strings.Cut(field.Tag.Get("json"), ",")
				assert.Equal(t, !want.required, options == "omitzero", "%s.%s is left out only where it may be", object, want.name)
			}
		}
		assert.Empty(t, byName, "fields of %s that are not in the schema", object)
	}
}

// Every value of an enum is a constant, and the reverse.
func TestSchema_enums(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../models.go", nil, 0)
	require.NoError(t, err)
	got := map[string][]string{}
	for node := range ast.Preorder(file) {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			continue
		}
		if ident, ok := spec.Type.(*ast.Ident); ok {
			for _, value := range spec.Values {
				text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
				require.NoError(t, err)
				got[ident.Name] = append(got[ident.Name], text)
			}
		}
	}
	assert.ElementsMatch(t, schemaEnums["ApiKeyType"], got["KeyType"])
	assert.ElementsMatch(t, schemaEnums["ApiKeyScope"], got["Scope"])
}

// schemaProblems tells what is wrong with a JSON object.
func schemaProblems(object string, body []byte) (problems []string) {
	var sent map[string]any
	if err := json.Unmarshal(body, &sent); err != nil {
		return []string{err.Error()}
	}
	for _, field := range schemaObjects[object] {
		value, there := sent[field.name]
		delete(sent, field.name)
		switch {
		case !there && field.required:
			problems = append(problems, field.name+" is missing")
		case there && !fits(field, value):
			problems = append(problems, fmt.Sprintf("%s is %v", field.name, value))
		}
	}
	for name := range sent {
		problems = append(problems, name+" is unknown")
	}
	return problems
}

func fits(field schemaField, value any) bool {
	if field.list {
		list, ok := value.([]any)
		field.list = false
		return ok && !slices.ContainsFunc(list, func(item any) bool { return !fits(field, item) })
	}
	switch value := value.(type) {
	case string:
		return field.kind == "string" || slices.Contains(schemaEnums[field.kind], value)
	case float64:
		return field.kind == "integer" && value == float64(int64(value)) && value >= 0 && value <= 63 // what is sent is a sub-account
	default:
		return false
	}
}

// The check itself has to see what is wrong.
func TestSchema_problemsAreFound(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{}`:                             "name is missing",
		`{"name":1}`:                     "name is 1",
		`{"name":"a","key_type":"dsa"}`:  "key_type is dsa",
		`{"name":"a","scopes":["x"]}`:    "scopes is [x]",
		`{"name":"a","subaccount":64}`:   "subaccount is 64",
		`{"name":"a","subaccount":null}`: "subaccount is <nil>",
		`{"name":"a","more":1}`:          "more is unknown",
	} {
		assert.Equal(t, []string{want}, schemaProblems("GenerateApiKeyRequest", []byte(body)), body)
	}
}

// Every request for a key is in the schema, and can have every field.
func TestSchema_requests(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := inMemory(t)
		x.Inject(kalshitest.Fault{Status: 201, Body: `{"api_key_id":"new","private_key":"text"}`, Times: always})
		client, primary, last := x.client(t), 0, 63
		seen := map[string]map[string]any{"GenerateApiKeyRequest": {}, "CreateApiKeyRequest": {}}
		for _, r := range []kalshi.GenerateAPIKeyRequest{
			{Name: "bot"},
			{Name: "bot", Subaccount: &primary, KeyType: kalshi.KeyTypeRSA, Scopes: []kalshi.Scope{
				kalshi.ScopeRead, kalshi.ScopeWrite, kalshi.ScopeReadBlockTradeAccept, kalshi.ScopeReadPortfolioBalance, kalshi.ScopeWriteTrade,
				kalshi.ScopeWriteTransfer, kalshi.ScopeWriteFCMRisk, kalshi.ScopeWriteBlockTradeAccept,
			}},
			{Name: "bot", Subaccount: &last, KeyType: kalshi.KeyTypeEd25519},
			{Name: "bot", FCMSubtraderID: "user1_desk2"},
		} {
			_, err := client.GenerateAPIKey(t.Context(), r)
			require.NoError(t, err)
			_, err = client.CreateAPIKey(t.Context(), kalshi.CreateAPIKeyRequest{
				Name: r.Name, PublicKey: publicKey(), Scopes: r.Scopes, Subaccount: r.Subaccount, FCMSubtraderID: r.FCMSubtraderID,
			})
			require.NoError(t, err)
		}
		for i, sent := range x.Requests() {
			object := []string{"GenerateApiKeyRequest", "CreateApiKeyRequest"}[i%2]
			assert.Empty(t, schemaProblems(object, sent.Body), "%s", sent.Body)
			all := seen[object]
			require.NoError(t, json.Unmarshal(sent.Body, &all)) // which adds to what is there
		}
		for object := range seen {
			for _, field := range schemaObjects[object] {
				assert.Contains(t, seen[object], field.name, "never sent")
			}
		}
	})
}

// schemaSample makes an object with all of its fields.
func schemaSample(object string) map[string]any {
	sample := map[string]any{}
	for _, field := range schemaObjects[object] {
		var value any = "text"
		switch {
		case field.kind == "integer":
			value = 7
		case schemaEnums[field.kind] != nil:
			value = schemaEnums[field.kind][0]
		case schemaObjects[field.kind] != nil:
			value = schemaSample(field.kind)
		}
		if field.list {
			value = []any{value}
		}
		sample[field.name] = value
	}
	return sample
}

// Every response in the schema is understood, with all of its fields; and none
// that lacks what is required.
func TestSchema_responses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := inMemory(t)
		client := x.client(t, kalshi.WithMaxRetries(0))
		ask := map[string]func() (any, error){
			"GetApiKeysResponse": func() (any, error) { return client.GetAPIKeys(t.Context()) },
			"CreateApiKeyResponse": func() (any, error) {
				return client.CreateAPIKey(t.Context(), kalshi.CreateAPIKeyRequest{Name: "bot", PublicKey: publicKey()})
			},
			"GenerateApiKeyResponse": func() (any, error) {
				return client.GenerateAPIKey(t.Context(), kalshi.GenerateAPIKeyRequest{Name: "bot"})
			},
		}
		receive := func(object string, sample map[string]any) (any, error) {
			body, err := json.Marshal(sample)
			require.NoError(t, err)
			x.Inject(kalshitest.Fault{Body: string(body)})
			return ask[object]()
		}
		for object := range ask {
			got, err := receive(object, schemaSample(object))
			require.NoError(t, err)
			assertNoZeroField(t, reflect.ValueOf(got).Elem())
			for _, field := range schemaObjects[object] {
				sample := schemaSample(object)
				if field.nullable {
					sample[field.name] = nil
					_, err := receive(object, sample)
					assert.NoError(t, err, "%s.%s is null", object, field.name)
				}
				delete(sample, field.name)
				_, err := receive(object, sample)
				assert.Equal(t, field.required, err != nil, "%s.%s is absent: %v", object, field.name, err)
			}
		}
	})
}

// assertNoZeroField asserts that each field of a struct was decoded.
func assertNoZeroField(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		assert.False(t, v.Field(i).IsZero(), "%s.%s", v.Type().Name(), v.Type().Field(i).Name)
		if v.Field(i).Kind() == reflect.Slice && v.Field(i).Index(0).Kind() == reflect.Struct {
			assertNoZeroField(t, v.Field(i).Index(0))
		}
	}
}
