package test

import (
	"encoding/json"
	"go/ast"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/test/schema"
)

// The client's structs, which are the JSON that it sends and reads, against the documented schema.
// examples/schema compares the same facts with the published document.

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
	for object, fields := range schema.Objects {
		structType, byName := schemaTypes[object], map[string]reflect.StructField{}
		for i := range structType.NumField() {
			field := structType.Field(i)
			tag, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			assert.True(t, field.IsExported() && tag != "" && tag != "-", "%s.%s is not in the schema", object, field.Name)
			byName[tag] = field
		}
		for _, want := range fields {
			field, ok := byName[want.Name]
			if !assert.True(t, ok, "%s has no field for %s", object, want.Name) {
				continue
			}
			delete(byName, want.Name)
			wantType, special := schemaTypes[want.Name]
			if !special {
				wantType = schemaTypes[want.Kind]
			}
			if want.List {
				wantType = reflect.SliceOf(wantType)
			}
			assert.Equal(t, wantType, field.Type, "%s.%s", object, want.Name)
			if want.Nullable {
				null := []byte(`{"` + want.Name + `":null}`)
				assert.NoError(t, json.Unmarshal(null, reflect.New(structType).Interface()))
			}
			if strings.HasSuffix(object, "Request") {
				_, options, _ := strings.Cut(field.Tag.Get("json"), ",")
				assert.Equal(t, !want.Required, options == "omitzero", "%s.%s is left out only where it may be", object, want.Name)
			}
		}
		assert.Empty(t, byName, "fields of %s that are not in the schema", object)
	}
}

// Every value of an enum is a constant, and the reverse.
func TestSchema_enums(t *testing.T) {
	t.Parallel()
	files, _ := parse(t, "../models.go", 0)
	got := map[string][]string{}
	for node := range ast.Preorder(files[0]) {
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
	assert.ElementsMatch(t, schema.Enums["ApiKeyType"], got["KeyType"])
	assert.ElementsMatch(t, schema.Enums["ApiKeyScope"], got["Scope"])
}

// The check itself has to see what is wrong, and shows no text that may be a key.
func TestSchema_problemsAreFound(t *testing.T) {
	t.Parallel()
	const request, list = "GenerateApiKeyRequest", "GetApiKeysResponse"
	for _, tt := range []struct {
		object, body string
		want         []string
	}{
		{request, `{`, []string{"it is no JSON"}},
		{request, `[]`, []string{"is of the wrong type"}},
		{request, `{"key_type":"dsa","scopes":"read","subaccount":64,"more":1}`,
			[]string{`"more" is unknown`, `key_type is "dsa"`, "name is missing", "scopes is no list", "subaccount is 64"}},
		{request, `{"name":1,"scopes":["x",null],"subaccount":-1}`,
			[]string{"name is of the wrong type", `scopes[] is "x"`, "scopes[] is of the wrong type", "subaccount is -1"}},
		{request, `{"name":"a","subaccount":0.5}`, []string{"subaccount is 0.5"}},
		{request, `{"name":"a","subaccount":null}`, []string{"subaccount is of the wrong type"}},
		{list, `{"api_keys":null}`, []string{"api_keys is no list"}},
		{list, `{"api_keys":[1,{"api_key_id":"1","name":"a"}]}`, []string{"api_keys[] is of the wrong type", "api_keys[].scopes is missing"}},
		{"GenerateApiKeyResponse", `{"api_key_id":"1","private_key":["secret"]}`, []string{"private_key is of the wrong type"}},
	} {
		assert.Equal(t, tt.want, schema.Problems(tt.object, []byte(tt.body)), tt.body)
	}
	const null = `{"api_keys":[{"api_key_id":"1","name":"a","scopes":[],"subaccount":null,"fcm_subtrader_id":null}],"api_key_region_expiration_ts":null}`
	assert.Empty(t, schema.Problems(list, []byte(null)))
}
