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
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The documented schema 3.34.0 of the four calls, as far as it can be told
// from the client: what it may send, and what it has to understand.

type schemaField struct {
	name     string
	kind     string // string, integer, array; or the name of an enum or a schema
	items    string // of an array: the kind
	required bool
	nullable bool
}

var schemaEnums = map[string][]string{
	"ApiKeyType": {"rsa", "ed25519"},
	"ApiKeyScope": {
		"read", "write", "read::block_trade_accept", "read::portfolio_balance",
		"write::trade", "write::transfer", "write::fcm_risk", "write::block_trade_accept",
	},
}

var schemaObjects = map[string][]schemaField{
	"GetApiKeysResponse": {
		{name: "api_keys", kind: "array", items: "ApiKey", required: true},
		{name: "api_key_region_expiration_ts", kind: "integer", nullable: true},
	},
	"ApiKey": {
		{name: "api_key_id", kind: "string", required: true},
		{name: "name", kind: "string", required: true},
		{name: "scopes", kind: "array", items: "ApiKeyScope", required: true},
		{name: "subaccount", kind: "integer", nullable: true},
		{name: "fcm_subtrader_id", kind: "string", nullable: true},
	},
	"CreateApiKeyRequest": {
		{name: "name", kind: "string", required: true},
		{name: "public_key", kind: "string", required: true},
		{name: "scopes", kind: "array", items: "ApiKeyScope"},
		{name: "subaccount", kind: "integer"},
		{name: "fcm_subtrader_id", kind: "string"},
	},
	"CreateApiKeyResponse": {
		{name: "api_key_id", kind: "string", required: true},
		{name: "warning", kind: "string", nullable: true},
	},
	"GenerateApiKeyRequest": {
		{name: "name", kind: "string", required: true},
		{name: "key_type", kind: "ApiKeyType"},
		{name: "scopes", kind: "array", items: "ApiKeyScope"},
		{name: "subaccount", kind: "integer"},
		{name: "fcm_subtrader_id", kind: "string"},
	},
	"GenerateApiKeyResponse": {
		{name: "api_key_id", kind: "string", required: true},
		{name: "key_type", kind: "ApiKeyType"},
		{name: "private_key", kind: "string", required: true},
		{name: "warning", kind: "string", nullable: true},
	},
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

var schemaCalls = map[string]struct {
	method, path string
	request      string // the object that is sent, if any
	response     string // the object that is received, if any
	success      int
	errors       []int
}{
	"GetAPIKeys":     {"GET", "/api_keys", "", "GetApiKeysResponse", 200, []int{401, 500}},
	"CreateAPIKey":   {"POST", "/api_keys", "CreateApiKeyRequest", "CreateApiKeyResponse", 201, []int{400, 401, 403, 409, 500}},
	"GenerateAPIKey": {"POST", "/api_keys/generate", "GenerateApiKeyRequest", "GenerateApiKeyResponse", 201, []int{400, 401, 403, 409, 500}},
	"DeleteAPIKey":   {"DELETE", "/api_keys/" + spareKeyID, "", "", 204, []int{400, 401, 404, 500}},
}

func TestSchema_baseURLs(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{
		"https://external-api.kalshi.com/trade-api/v2",
		"https://api.elections.kalshi.com/trade-api/v2",
		"https://external-api.demo.kalshi.co/trade-api/v2",
		"https://demo-api.kalshi.co/trade-api/v2",
	}, []string{kalshi.ExternalProductionBaseURL, kalshi.ProductionBaseURL, kalshi.ExternalDemoBaseURL, kalshi.DemoBaseURL})
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
			switch {
			case want.kind == "array":
				wantType = reflect.SliceOf(schemaTypes[want.items])
			case !special:
				wantType = schemaTypes[want.kind]
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
		case there && !fitsKind(field.kind, field.items, value):
			problems = append(problems, fmt.Sprintf("%s is %v", field.name, value))
		}
	}
	for name := range sent {
		problems = append(problems, name+" is unknown")
	}
	return problems
}

func fitsKind(kind, items string, value any) bool {
	switch value := value.(type) {
	case string:
		return kind == "string" || slices.Contains(schemaEnums[kind], value)
	case float64:
		return kind == "integer" && value == float64(int64(value)) && value >= 0 && value <= 63 // what is sent is a sub-account
	case []any:
		return kind == "array" && !slices.ContainsFunc(value, func(item any) bool { return !fitsKind(items, "", item) })
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

// The calls go where the schema has them, and each of their documented errors
// has a type of its own.
func TestSchema_calls(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		want := schemaCalls[call.name]
		x := inMemory(t)
		client := x.client(t, kalshi.WithMaxRetries(0))
		x.Inject(kalshitest.Fault{Status: want.success, Body: `{"api_keys":[],"api_key_id":"new","private_key":"text"}`})
		require.NoError(t, call.do(t.Context(), client))
		sent := x.Requests()[0]
		assert.Equal(t, want.method, sent.Method)
		assert.Equal(t, "/trade-api/v2"+want.path, sent.Path)
		assert.Empty(t, sent.RawQuery)
		assert.Equal(t, want.request != "", sent.Body != nil, "a body is sent")
		for _, status := range want.errors {
			x.Inject(kalshitest.Fault{Status: status})
			err := call.do(t.Context(), client)
			var api *kalshi.APIError
			require.ErrorAs(t, err, &api)
			assert.Equal(t, status, api.StatusCode)
			assert.Equal(t, statusKind(call, status), kindOf(err))
			assert.NotEqual(t, "API", kindOf(err))
		}
	})
}

// The one query of the four calls.
func TestSchema_query(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := inMemory(t, kalshitest.WithFCMMember())
		_, err := x.client(t).GetAPIKeys(t.Context(), kalshi.ForSubtrader("user1_desk2"))
		require.NoError(t, err)
		assert.Equal(t, "fcm_subtrader_id=user1_desk2", x.Requests()[0].RawQuery)
	})
}

// Every request for a key is in the schema, and can have every field.
func TestSchema_requests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := inMemory(t)
		x.Inject(kalshitest.Fault{Status: 201, Body: `{"api_key_id":"new","private_key":"text"}`, Times: always})
		client, primary, last := x.client(t), 0, 63
		seen := map[string]map[string]any{"/api_keys": {}, "/api_keys/generate": {}}
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
		for _, sent := range x.Requests() {
			for _, call := range schemaCalls {
				if call.method == sent.Method && "/trade-api/v2"+call.path == sent.Path {
					assert.Empty(t, schemaProblems(call.request, sent.Body), "%s", sent.Body)
					all := seen[call.path]
					require.NoError(t, json.Unmarshal(sent.Body, &all)) // which adds to what is there
				}
			}
		}
		for _, call := range schemaCalls {
			for _, field := range schemaObjects[call.request] {
				assert.Contains(t, seen[call.path], field.name, "never sent")
			}
		}
	})
}

// schemaSample makes an object with all of its fields.
func schemaSample(object string) map[string]any {
	sample := map[string]any{}
	for _, field := range schemaObjects[object] {
		sample[field.name] = sampleOf(field.kind, field.items)
	}
	return sample
}

func sampleOf(kind, items string) any {
	switch {
	case kind == "string":
		return "text"
	case kind == "integer":
		return 7
	case kind == "array":
		return []any{sampleOf(items, "")}
	case schemaEnums[kind] != nil:
		return schemaEnums[kind][0]
	default:
		return schemaSample(kind)
	}
}

// Every response in the schema is understood, with all of its fields; and none
// that lacks what is required.
func TestSchema_responses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := inMemory(t)
		client := x.client(t, kalshi.WithMaxRetries(0))
		ask := map[string]func() (any, error){
			"GetAPIKeys": func() (any, error) { return client.GetAPIKeys(t.Context()) },
			"CreateAPIKey": func() (any, error) {
				return client.CreateAPIKey(t.Context(), kalshi.CreateAPIKeyRequest{Name: "bot", PublicKey: publicKey()})
			},
			"GenerateAPIKey": func() (any, error) {
				return client.GenerateAPIKey(t.Context(), kalshi.GenerateAPIKeyRequest{Name: "bot"})
			},
		}
		receive := func(name string, sample map[string]any) (any, error) {
			body, err := json.Marshal(sample)
			require.NoError(t, err)
			x.Inject(kalshitest.Fault{Status: schemaCalls[name].success, Body: string(body)})
			return ask[name]()
		}
		for name, call := range schemaCalls {
			if call.response == "" {
				continue
			}
			got, err := receive(name, schemaSample(call.response))
			require.NoError(t, err)
			assertNoZeroField(t, reflect.ValueOf(got).Elem())
			for _, field := range schemaObjects[call.response] {
				sample := schemaSample(call.response)
				if field.nullable {
					sample[field.name] = nil
					_, err := receive(name, sample)
					assert.NoError(t, err, "%s.%s is null", call.response, field.name)
				}
				delete(sample, field.name)
				_, err := receive(name, sample)
				assert.Equal(t, field.required, err != nil, "%s.%s is absent: %v", call.response, field.name, err)
			}
		}
		// An entry of the list is never a reason to lose the others.
		for _, field := range schemaObjects["ApiKey"] {
			null, absent := schemaSample("ApiKey"), schemaSample("ApiKey")
			null[field.name] = nil
			delete(absent, field.name)
			got, err := receive("GetAPIKeys", map[string]any{"api_keys": []any{null, absent, schemaSample("ApiKey")}})
			require.NoError(t, err, field.name)
			assert.Len(t, got.(*kalshi.GetAPIKeysResponse).APIKeys, 3)
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
