package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// compareCopy returns the differences in a copy of the fixture, with its text
// changed in one place.
func compareCopy(t *testing.T, old, replacement string) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/openapi.yaml")
	require.NoError(t, err)
	require.Contains(t, string(text), old)
	doc, err := parse([]byte(strings.Replace(string(text), old, replacement, 1)))
	require.NoError(t, err)
	return doc.compare()
}

func TestCompare(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name             string
		old, replacement string
		want             []string
	}{
		{name: "nothing"},
		{
			"a field is removed", "        name: {type: string}\n", "",
			[]string{"GET /api_keys 200.api_keys[]: the field name is gone"},
		},
		{
			"a field is new", "{api_key_id: {type: string}, ", "{api_key_id: {type: string}, created_ts: {type: integer}, ",
			[]string{"POST /api_keys 201: the field created_ts is new"},
		},
		{
			"a field is new and required", "      properties: {key_type:", "      required: [expiry]\n      properties: {expiry: {type: string}, key_type:",
			[]string{"POST /api_keys/generate request: the field expiry is new, and required"},
		},
		{
			"a field of both requests is required now", "required: [name]\n", "required: [name, scopes]\n",
			[]string{
				"POST /api_keys request.scopes: it is required now",
				"POST /api_keys/generate request.scopes: it is required now",
			},
		},
		{
			"a field is not required any more", "required: [api_key_id, private_key]", "required: [api_key_id]",
			[]string{"POST /api_keys/generate 201.private_key: it is not required any more"},
		},
		{
			"an enum has a new value", "enum: [rsa, ed25519]", "enum: [rsa, ed25519, ml-dsa]",
			[]string{
				"POST /api_keys/generate request.key_type: the value ml-dsa is new",
				"POST /api_keys/generate 201.key_type: the value ml-dsa is new",
			},
		},
		{
			"an enum lacks a value", "        - write::fcm_risk\n", "",
			[]string{
				"GET /api_keys 200.api_keys[].scopes[]: the value write::fcm_risk is gone",
				"POST /api_keys request.scopes[]: the value write::fcm_risk is gone",
				"POST /api_keys/generate request.scopes[]: the value write::fcm_risk is gone",
			},
		},
		{
			"a status is new", "404: {description: none}", "404: {description: none}, 429: {description: later}",
			[]string{"DELETE /api_keys/{api_key}: the status 429 is new"},
		},
		{
			"a status is gone", "        409: {description: conflict}\n", "",
			[]string{"POST /api_keys/generate: the status 409 is gone"},
		},
		{
			"the status of a success changes", "{204:", "{200:",
			[]string{"DELETE /api_keys/{api_key}: the status 204 is gone", "DELETE /api_keys/{api_key}: the status 200 is new"},
		},
		{
			"a type changes", "{type: [integer, 'null'], minimum: 0, maximum: 63}", "{type: string, nullable: true}",
			[]string{"GET /api_keys 200.api_keys[].subaccount: the type was integer and is string"},
		},
		{
			"a type becomes a choice", "private_key: {type: string}", "private_key: {oneOf: [{type: string}, {type: object}]}",
			[]string{"POST /api_keys/generate 201.private_key: the type was string and is of no type"},
		},
		{
			"a list becomes an object", "api_keys: {type: array, items: ", "api_keys: {type: object, items: ",
			[]string{"GET /api_keys 200.api_keys: the type was array and is object"},
		},
		{
			"a field may be null now", "private_key: {type: string}", "private_key: {type: string, nullable: true}",
			[]string{"POST /api_keys/generate 201.private_key: it may be null now"},
		},
		{
			"a field cannot be null any more", "{oneOf: [{type: string}, {type: 'null'}]}", "{type: string}",
			[]string{"GET /api_keys 200.api_keys[].fcm_subtrader_id: it cannot be null any more"},
		},
		{
			"a bound changes", "{type: [integer, 'null'], minimum: 0, maximum: 63}", "{type: [integer, 'null'], minimum: 0, maximum: 127}",
			[]string{"GET /api_keys 200.api_keys[].subaccount: the maximum was 63 and is 127"},
		},
		{
			"a bound is gone", "{type: [integer, 'null'], minimum: 0, maximum: 63}", "{type: [integer, 'null'], maximum: 63}",
			[]string{"GET /api_keys 200.api_keys[].subaccount: the minimum was 0 and is not given"},
		},
		{
			"a parameter is required now", "in: query, schema", "in: query, required: true, schema",
			[]string{"GET /api_keys query.fcm_subtrader_id: it is required now"},
		},
		{
			"a parameter is new", "    delete:\n", "    delete:\n      parameters: [{name: confirm, in: query, required: true, schema: {type: string}}]\n",
			[]string{"DELETE /api_keys/{api_key} query: the field confirm is new, and required"},
		},
		{
			"a body is new", "{204: {description: deleted}", "{204: {description: deleted, content: {text/plain: {}}}",
			[]string{"DELETE /api_keys/{api_key} 204: it has a body now"},
		},
		{
			"a body has another form", "201: {description: created, content: {application/json:", "201: {description: created, content: {text/plain:",
			[]string{"POST /api_keys/generate 201: it has no JSON body any more"},
		},
		{
			"a call is gone", "  /api_keys/generate:", "  /api_key_pairs:",
			[]string{"POST /api_keys/generate: the call is gone"},
		},
		{
			"a call is new", "    delete:\n", "    patch: {}\n    delete:\n",
			[]string{"PATCH /api_keys/{api_key}: the call is new"},
		},
		{
			"a reference leads to itself", "type: string\n      enum:\n", "$ref: '#/components/schemas/ApiKeyScope'\n      type: string\n      enum:\n",
			nil,
		},
		{
			"a reference leads nowhere", "items: {$ref: '#/components/schemas/ApiKey'}", "items: {$ref: '#/components/schemas/Key'}",
			[]string{"GET /api_keys 200.api_keys[]: the type was object and is of no type"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, compareCopy(t, tt.old, tt.replacement))
		})
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	same, err := run("testdata/openapi.yaml", nil, &out)
	require.NoError(t, err)
	assert.True(t, same)
	assert.Equal(t, "The file is schema 3.34.0, and the client was written to 3.34.0.\n"+
		"In the four calls that manage API keys, nothing differs.\n", out.String())
}

func TestRun_differences(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	same, err := run("-", strings.NewReader(`{"info": {"version": "4.0.0"}, "paths": {}}`), &out)
	require.NoError(t, err)
	assert.False(t, same)
	assert.Equal(t, `The file is schema 4.0.0, and the client was written to 3.34.0.
- GET /api_keys: the call is gone
- POST /api_keys: the call is gone
- POST /api_keys/generate: the call is gone
- DELETE /api_keys/{api_key}: the call is gone
`, out.String())
}

// A page that says that the document has moved is no document without the calls.
func TestRun_noDocument(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "<html>moved</html>", "paths: 1", "paths: [", "[]"} {
		same, err := run("-", strings.NewReader(text), new(strings.Builder))
		assert.False(t, same)
		assert.ErrorContains(t, err, "-: ", "%q", text)
	}
	_, err := run(filepath.Join(t.TempDir(), "none"), nil, nil)
	assert.ErrorIs(t, err, os.ErrNotExist)
}
