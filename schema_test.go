package kalshi

import (
	"context"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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

// schemaStructs are the structs of the objects.
var schemaStructs = map[string]any{
	"GetApiKeysResponse":     GetAPIKeysResponse{},
	"ApiKey":                 APIKey{},
	"CreateApiKeyRequest":    CreateAPIKeyRequest{},
	"CreateApiKeyResponse":   CreateAPIKeyResponse{},
	"GenerateApiKeyRequest":  GenerateAPIKeyRequest{},
	"GenerateApiKeyResponse": GenerateAPIKeyResponse{},
}

var schemaCalls = []struct {
	name, method, path string
	query              []string // optional parameters
	request            string   // the object that is sent, if any
	response           string
	success            int
	errors             []int
}{
	{"GetAPIKeys", "GET", "/api_keys", []string{"fcm_subtrader_id"}, "", "GetApiKeysResponse", 200, []int{401, 500}},
	{"CreateAPIKey", "POST", "/api_keys", nil, "CreateApiKeyRequest", "CreateApiKeyResponse", 201, []int{400, 401, 403, 409, 500}},
	{"GenerateAPIKey", "POST", "/api_keys/generate", nil, "GenerateApiKeyRequest", "GenerateApiKeyResponse", 201, []int{400, 401, 403, 409, 500}},
	{"DeleteAPIKey", "DELETE", "/api_keys/{api_key}", nil, "", "", 204, []int{400, 401, 404, 500}},
}

func TestSchema_baseURLs(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{
		"https://external-api.kalshi.com/trade-api/v2",
		"https://api.elections.kalshi.com/trade-api/v2",
		"https://external-api.demo.kalshi.co/trade-api/v2",
		"https://demo-api.kalshi.co/trade-api/v2",
	}, []string{ExternalProductionBaseURL, ProductionBaseURL, ExternalDemoBaseURL, DemoBaseURL})
}

// Every field of the schema is one of the struct, and the reverse.
func TestSchema_structs(t *testing.T) {
	t.Parallel()
	assert.Len(t, schemaStructs, len(schemaObjects))
	for name, fields := range schemaObjects {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			structType := reflect.TypeOf(schemaStructs[name])
			byName := map[string]reflect.StructField{}
			for i := range structType.NumField() {
				field := structType.Field(i)
				tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				assert.True(t, field.IsExported() && tag != "" && tag != "-", "the field %s is not in the schema", field.Name)
				byName[tag] = field
			}
			for _, want := range fields {
				field, ok := byName[want.name]
				if !assert.True(t, ok, "no field for %s", want.name) {
					continue
				}
				delete(byName, want.name)
				assertKind(t, want, field.Type)
				if strings.HasSuffix(name, "Request") {
					_, options, _ := strings.Cut(field.Tag.Get("json"), ",")
					assert.Equal(t, !want.required, options == "omitzero", "%s is left out only where it may be", want.name)
				}
			}
			assert.Empty(t, byName, "fields that are not in the schema")
		})
	}
}

func assertKind(t *testing.T, want schemaField, got reflect.Type) {
	t.Helper()
	kinds := map[string]reflect.Type{
		"string": reflect.TypeFor[string](), "ApiKeyType": reflect.TypeFor[KeyType](), "ApiKeyScope": reflect.TypeFor[Scope](), "ApiKey": reflect.TypeFor[APIKey](),
	}
	switch {
	case want.name == "private_key":
		assert.Equal(t, reflect.TypeFor[PrivateKeyPEM](), got, want.name)
	case want.name == "api_key_region_expiration_ts":
		assert.Equal(t, reflect.TypeFor[*int64](), got, want.name)
	case want.kind == "integer": // 0 is no absence
		assert.Equal(t, reflect.TypeFor[*int](), got, want.name)
	case want.kind == "array":
		assert.Equal(t, reflect.SliceOf(kinds[want.items]), got, want.name)
	default:
		assert.Equal(t, kinds[want.kind], got, want.name)
	}
}

// Every value of an enum is a constant, and the reverse.
func TestSchema_enums(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "models.go", nil, 0)
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
			problems = append(problems, fmt.Sprintf("%s is %v, not a %s", field.name, value, field.kind))
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
		enum, limited := schemaEnums[kind]
		return kind == "string" || limited && slices.Contains(enum, value)
	case float64:
		return kind == "integer" && value == float64(int64(value)) && value >= 0 && value <= 63 // what is sent is a sub-account
	case []any:
		return kind == "array" && !slices.ContainsFunc(value, func(item any) bool { return !fitsKind(items, "", item) })
	default:
		return false
	}
}

// Every request that the client can make is in the schema, and every field of
// a request can be sent.
func TestSchema_requests(t *testing.T) {
	t.Parallel()
	public := testPublicPEM(t)
	scopes := []Scope{ScopeRead, ScopeWrite, ScopeReadBlockTradeAccept, ScopeReadPortfolioBalance, ScopeWriteTrade, ScopeWriteTransfer, ScopeWriteFCMRisk, ScopeWriteBlockTradeAccept}
	variants := []GenerateAPIKeyRequest{
		{},
		{Scopes: scopes, Subaccount: pointerTo(0), KeyType: KeyTypeRSA},
		{Subaccount: pointerTo(63), KeyType: KeyTypeEd25519},
		{FCMSubtraderID: "user1_desk2"},
	}
	send := map[string]func(context.Context, *Client, GenerateAPIKeyRequest) error{
		"CreateAPIKey": func(ctx context.Context, c *Client, r GenerateAPIKeyRequest) error {
			_, err := c.CreateAPIKey(ctx, CreateAPIKeyRequest{Name: "bot", PublicKey: public, Scopes: r.Scopes, Subaccount: r.Subaccount, FCMSubtraderID: r.FCMSubtraderID})
			return err
		},
		"GenerateAPIKey": func(ctx context.Context, c *Client, r GenerateAPIKeyRequest) error {
			r.Name = "bot"
			_, err := c.GenerateAPIKey(ctx, r)
			return err
		},
	}
	for _, call := range schemaCalls {
		if call.request == "" {
			continue
		}
		t.Run(call.name, func(t *testing.T) {
			t.Parallel()
			seen := map[string]any{}
			for _, variant := range variants {
				client, mock := newTestClient(t)
				log := answerWith(mock, call.success, `{"api_key_id":"new","private_key":"text"}`)
				require.NoError(t, send[call.name](t.Context(), client, variant))
				body := log.only(t).body
				assert.Empty(t, schemaProblems(call.request, body), "%s", body)
				require.NoError(t, json.Unmarshal(body, &seen)) // which adds to what is there
			}
			for _, field := range schemaObjects[call.request] {
				assert.Contains(t, seen, field.name, "never sent")
			}
		})
	}
}

// The check itself has to see what is wrong.
func TestSchemaProblems(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{}`:                             "name is missing",
		`{"name":1}`:                     "name is 1, not a string",
		`{"name":"a","key_type":"dsa"}`:  "key_type is dsa, not a ApiKeyType",
		`{"name":"a","scopes":"read"}`:   "scopes is read, not a array",
		`{"name":"a","scopes":["x"]}`:    "scopes is [x], not a array",
		`{"name":"a","subaccount":64}`:   "subaccount is 64, not a integer",
		`{"name":"a","subaccount":1.5}`:  "subaccount is 1.5, not a integer",
		`{"name":"a","subaccount":null}`: "subaccount is <nil>, not a integer",
		`{"name":"a","more":1}`:          "more is unknown",
	} {
		assert.Equal(t, []string{want}, schemaProblems("GenerateApiKeyRequest", []byte(body)), body)
	}
}

// The calls go where the schema has them, and each of their documented errors
// has a type of its own.
func TestSchema_calls(t *testing.T) {
	t.Parallel()
	known := knownCalls(t)
	require.Len(t, known, len(schemaCalls))
	for i, call := range schemaCalls {
		t.Run(call.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, call.name, known[i].name)
			client, mock := newTestClient(t, WithMaxRetries(0))
			log := answerWith(mock, call.success, known[i].answer)
			require.NoError(t, known[i].do(t.Context(), client))
			sent := log.only(t)
			assert.Equal(t, call.method, sent.method)
			assert.Equal(t, testBaseURL+strings.Replace(call.path, "{api_key}", "old", 1), sent.url)
			assert.Equal(t, call.request != "", sent.body != nil, "a body is sent")
			for _, status := range call.errors {
				answerWith(mock, status, "")
				types := errorTypes(known[i].do(t.Context(), client))
				assert.GreaterOrEqual(t, len(types), 2, "%d: %v", status, types)
			}
		})
	}
}

func TestSchema_queries(t *testing.T) {
	t.Parallel()
	options := map[string][]GetAPIKeysOption{"fcm_subtrader_id": {ForSubtrader("user1_desk2")}}
	for _, call := range schemaCalls {
		for _, name := range call.query {
			require.Contains(t, options, name)
			client, mock := newTestClient(t)
			log := answerWith(mock, call.success, `{"api_keys":[]}`)
			_, err := client.GetAPIKeys(t.Context(), options[name]...)
			require.NoError(t, err)
			sent, err := url.Parse(log.only(t).url)
			require.NoError(t, err)
			assert.Equal(t, url.Values{name: {"user1_desk2"}}, sent.Query())
		}
	}
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
	answers := map[string]func() decoder{
		"GetApiKeysResponse":     func() decoder { return new(GetAPIKeysResponse) },
		"CreateApiKeyResponse":   func() decoder { return new(CreateAPIKeyResponse) },
		"GenerateApiKeyResponse": func() decoder { return new(GenerateAPIKeyResponse) },
	}
	decode := func(t *testing.T, object string, sample map[string]any) (decoder, error) {
		t.Helper()
		body, err := json.Marshal(sample)
		require.NoError(t, err)
		require.Contains(t, answers, object)
		got := answers[object]()
		return got, got.decode(body)
	}
	for _, call := range schemaCalls {
		if call.response == "" {
			continue
		}
		t.Run(call.response, func(t *testing.T) {
			t.Parallel()
			got, err := decode(t, call.response, schemaSample(call.response))
			require.NoError(t, err)
			assertNoZeroField(t, reflect.ValueOf(got).Elem())
			for _, field := range schemaObjects[call.response] {
				sample := schemaSample(call.response)
				if field.nullable {
					sample[field.name] = nil
					_, err := decode(t, call.response, sample)
					assert.NoError(t, err, "%s is null", field.name)
				}
				delete(sample, field.name)
				_, err := decode(t, call.response, sample)
				assert.Equal(t, field.required, err != nil, "%s is absent: %v", field.name, err)
			}
		})
	}
}

// An entry of the list is never a reason to lose the others.
func TestSchema_listEntries(t *testing.T) {
	t.Parallel()
	for _, field := range schemaObjects["ApiKey"] {
		for _, absent := range []bool{true, false} {
			sample := schemaSample("ApiKey")
			sample[field.name] = nil
			if absent {
				delete(sample, field.name)
			}
			body, err := json.Marshal(map[string]any{"api_keys": []any{sample, schemaSample("ApiKey")}})
			require.NoError(t, err)
			var got GetAPIKeysResponse
			require.NoError(t, got.decode(body), "%s", body)
			assert.Len(t, got.APIKeys, 2)
		}
	}
}

// assertNoZeroField asserts that each field of a struct was decoded.
func assertNoZeroField(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		assert.False(t, v.Field(i).IsZero(), "%s.%s", v.Type().Name(), v.Type().Field(i).Name)
		if v.Field(i).Kind() == reflect.Slice && v.Field(i).Len() > 0 && v.Field(i).Index(0).Kind() == reflect.Struct {
			assertNoZeroField(t, v.Field(i).Index(0))
		}
	}
}
