package kalshi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// testPublicPEM makes a public key in the form that a CreateAPIKeyRequest takes.
func testPublicPEM(t testing.TB) string {
	t.Helper()
	text, err := MarshalPublicKey(newEd25519Key(t).Public())
	require.NoError(t, err)
	return text
}

func TestClient_GetAPIKeys_request(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		opts  []GetAPIKeysOption
		query string
	}{
		{"all keys", nil, ""},
		{"of a subtrader", []GetAPIKeysOption{ForSubtrader("user1_desk2")}, "?fcm_subtrader_id=user1_desk2"},
		{"characters that mean something in a URL", []GetAPIKeysOption{ForSubtrader("a b&c=d?e#f/g%h+i;j")}, "?fcm_subtrader_id=a+b%26c%3Dd%3Fe%23f%2Fg%25h%2Bi%3Bj"},
		{"characters beyond ASCII", []GetAPIKeysOption{ForSubtrader("ü\n")}, "?fcm_subtrader_id=%C3%BC%0A"},
		{"the last one counts", []GetAPIKeysOption{ForSubtrader("one"), ForSubtrader("two")}, "?fcm_subtrader_id=two"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			log := answerWith(mock, http.StatusOK, `{"api_keys":[]}`)
			_, err := client.GetAPIKeys(t.Context(), tt.opts...)
			require.NoError(t, err)
			sent := log.only(t)
			assert.Equal(t, testBaseURL+"/api_keys"+tt.query, sent.url)
			assertSentSigned(t, client.signer.cred.Load().key.Public(), sent, "/some/base/v2/api_keys") // and no query
		})
	}
}

func TestClient_GetAPIKeys_answer(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		want       GetAPIKeysResponse
	}{
		{"every field", `{"api_keys":[{"api_key_id":"id1","name":"bot","scopes":["read","write::trade"],"subaccount":7,"fcm_subtrader_id":null},
			{"api_key_id":"id2","name":"fcm","scopes":["read"],"subaccount":null,"fcm_subtrader_id":"user1_desk2"}],"api_key_region_expiration_ts":1790000000}`,
			GetAPIKeysResponse{
				APIKeys: []APIKey{
					{ID: "id1", Name: "bot", Scopes: []Scope{ScopeRead, ScopeWriteTrade}, Subaccount: pointerTo(7)},
					{ID: "id2", Name: "fcm", Scopes: []Scope{ScopeRead}, FCMSubtraderID: "user1_desk2"},
				},
				RegionExpirationTS: pointerTo(int64(1790000000)),
			}},
		{"subaccount 0, null and absent", `{"api_keys":[{"api_key_id":"zero","subaccount":0},{"api_key_id":"null","subaccount":null},{"api_key_id":"absent"}]}`,
			GetAPIKeysResponse{APIKeys: []APIKey{{ID: "zero", Subaccount: pointerTo(0)}, {ID: "null"}, {ID: "absent"}}}},
		{"unknown fields and scopes", `{"next":{"a":[1]},"api_keys":[{"api_key_id":"id","created":"2026","scopes":["read","fly::moon",""]}]}`,
			GetAPIKeysResponse{APIKeys: []APIKey{{ID: "id", Scopes: []Scope{"read", "fly::moon", ""}}}}},
		{"no scopes, in all forms", `{"api_keys":[{"api_key_id":"empty","scopes":[]},{"api_key_id":"null","scopes":null},{"api_key_id":"absent"}]}`,
			GetAPIKeysResponse{APIKeys: []APIKey{{ID: "empty", Scopes: []Scope{}}, {ID: "null"}, {ID: "absent"}}}},
		{"no keys", `{"api_keys":[]}`, GetAPIKeysResponse{APIKeys: []APIKey{}}},
		{"null for the keys", `{"api_keys":null}`, GetAPIKeysResponse{APIKeys: []APIKey{}}},
		{"null for the attestation", `{"api_keys":[],"api_key_region_expiration_ts":null}`, GetAPIKeysResponse{APIKeys: []APIKey{}}},
		{"attestation at the epoch", `{"api_keys":[],"api_key_region_expiration_ts":0}`, GetAPIKeysResponse{APIKeys: []APIKey{}, RegionExpirationTS: pointerTo(int64(0))}},
		{"attestation beyond 32 bits", `{"api_keys":[],"api_key_region_expiration_ts":9223372036854775807}`, GetAPIKeysResponse{APIKeys: []APIKey{}, RegionExpirationTS: pointerTo(int64(1<<63 - 1))}},
		{"blanks around", " \r\n{ \"api_keys\" : [ ] }\n", GetAPIKeysResponse{APIKeys: []APIKey{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			answerWith(mock, http.StatusOK, tt.body)
			got, err := client.GetAPIKeys(t.Context())
			require.NoError(t, err)
			assert.Equal(t, &tt.want, got)
		})
	}
}

// That api_keys is null is understood; that it is missing is not.
func TestClient_GetAPIKeys_withoutKeys(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t, WithMaxRetries(0))
	answerWith(mock, http.StatusOK, `{"api_key_region_expiration_ts":1}`)
	got, err := client.GetAPIKeys(t.Context())
	assert.Nil(t, got)
	assert.Equal(t, []string{"InvalidResponse"}, errorTypes(err))
	assert.EqualError(t, err, "kalshi: GET /some/base/v2/api_keys: the 200 answer cannot be understood: it lacks api_keys")
}

func TestClient_CreateAPIKey(t *testing.T) {
	t.Parallel()
	public := testPublicPEM(t)
	head := fmt.Sprintf(`{"name":"bot","public_key":%q`, public)
	tests := []struct {
		name   string
		req    CreateAPIKeyRequest
		body   string
		answer string
		want   CreateAPIKeyResponse
	}{
		{"minimal", CreateAPIKeyRequest{Name: "bot", PublicKey: public}, head + `}`, `{"api_key_id":"new"}`, CreateAPIKeyResponse{ID: "new"}},
		{"for a sub-account", CreateAPIKeyRequest{Name: "bot", PublicKey: public, Scopes: []Scope{ScopeRead, "fly::moon"}, Subaccount: pointerTo(63)},
			head + `,"scopes":["read","fly::moon"],"subaccount":63}`, `{"api_key_id":"new","warning":null}`, CreateAPIKeyResponse{ID: "new"}},
		{"for the primary account", CreateAPIKeyRequest{Name: "bot", PublicKey: public, Subaccount: pointerTo(0)},
			head + `,"subaccount":0}`, `{"api_key_id":"new","warning":""}`, CreateAPIKeyResponse{ID: "new"}},
		{"for a subtrader", CreateAPIKeyRequest{Name: "bot", PublicKey: public, Scopes: []Scope{ScopeWrite, ScopeRead}, FCMSubtraderID: "user1_desk2"},
			head + `,"scopes":["write","read"],"fcm_subtrader_id":"user1_desk2"}`, `{"api_key_id":"new","warning":"bound","later":1}`, CreateAPIKeyResponse{ID: "new", Warning: "bound"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			log := answerWith(mock, http.StatusCreated, tt.answer)
			got, err := client.CreateAPIKey(t.Context(), tt.req)
			require.NoError(t, err)
			assert.Equal(t, &tt.want, got)
			assert.Equal(t, tt.body, string(log.only(t).body))
		})
	}
}

func TestClient_GenerateAPIKey_request(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		req  GenerateAPIKeyRequest
		body string
	}{
		{"minimal", GenerateAPIKeyRequest{Name: "bot"}, `{"name":"bot"}`},
		{"for a sub-account", GenerateAPIKeyRequest{Name: "bot", KeyType: KeyTypeEd25519, Scopes: []Scope{ScopeRead, "fly::moon"}, Subaccount: pointerTo(63)},
			`{"name":"bot","key_type":"ed25519","scopes":["read","fly::moon"],"subaccount":63}`},
		{"for the primary account", GenerateAPIKeyRequest{Name: "bot", KeyType: KeyTypeRSA, Subaccount: pointerTo(0)}, `{"name":"bot","key_type":"rsa","subaccount":0}`},
		{"for a subtrader", GenerateAPIKeyRequest{Name: "bot", Scopes: []Scope{ScopeRead}, FCMSubtraderID: "user1_desk2"},
			`{"name":"bot","scopes":["read"],"fcm_subtrader_id":"user1_desk2"}`},
		{"what only the service can judge", GenerateAPIKeyRequest{Name: " ", KeyType: "rot13", Scopes: []Scope{ScopeWrite, ""}, Subaccount: pointerTo(1000)},
			`{"name":" ","key_type":"rot13","scopes":["write",""],"subaccount":1000}`},
		{"name that JSON has to escape", GenerateAPIKeyRequest{Name: "a\"b\\c\nü🔑"}, `{"name":"a\"b\\c\nü🔑"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			log := answerWith(mock, http.StatusCreated, `{"api_key_id":"new","private_key":"text"}`)
			_, err := client.GenerateAPIKey(t.Context(), tt.req)
			require.NoError(t, err)
			assert.Equal(t, tt.body, string(log.only(t).body))
		})
	}
}

func TestClient_GenerateAPIKey_answer(t *testing.T) {
	t.Parallel()
	ed25519Text, err := MarshalPrivateKey(newEd25519Key(t))
	require.NoError(t, err)
	rsaText, err := MarshalPrivateKey(testRSAKey())
	require.NoError(t, err)
	tests := []struct {
		name, privateKey, rest string
		keyType                KeyType
		warning                string
	}{
		{"every field", rsaText.Reveal(), `,"key_type":"rsa","warning":"bound"`, KeyTypeRSA, "bound"},
		{"type absent, RSA", rsaText.Reveal(), ``, KeyTypeRSA, ""},
		{"type absent, Ed25519", ed25519Text.Reveal(), ``, KeyTypeEd25519, ""},
		{"type null", ed25519Text.Reveal(), `,"key_type":null`, KeyTypeEd25519, ""},
		{"type unknown", ed25519Text.Reveal(), `,"key_type":"x448"`, "x448", ""},
		{"warning null", ed25519Text.Reveal(), `,"warning":null,"later":{}`, KeyTypeEd25519, ""},
		{"key of a kind that is not known, and its type absent", "some text", ``, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			answerWith(mock, http.StatusCreated, fmt.Sprintf(`{"api_key_id":"new","private_key":%q%s}`, tt.privateKey, tt.rest))
			got, err := client.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{Name: "bot"})
			require.NoError(t, err)
			assert.Equal(t, "new", got.ID)
			assert.Equal(t, tt.keyType, got.KeyType)
			assert.Equal(t, tt.warning, got.Warning)
			assert.True(t, tt.privateKey == got.PrivateKey.Reveal(), "the private key's text, which is not printed here")
		})
	}
}

func TestClient_DeleteAPIKey_escapesTheID(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, id, path string }{
		{"UUID", testKeyID, testKeyID},
		{"slash", "a/b", "a%2Fb"},
		{"dot segments", "../../portfolio", "..%2F..%2Fportfolio"},
		{"escaped dot segment", "%2e%2e", "%252e%252e"},
		{"three dots", "...", "..."},
		{"query and fragment", "a?b=c#d", "a%3Fb=c%23d"},
		{"percent sign", "100%", "100%25"},
		{"blank and plus", "a b+c", "a%20b+c"},
		{"semicolon and comma", "a;b,c", "a%3Bb%2Cc"},
		{"beyond ASCII", "schlüssel", "schl%C3%BCssel"},
		{"backslash", `..\x`, "..%5Cx"},
		{"the name of another call", "generate", "generate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			log := answerWith(mock, http.StatusNoContent, "")
			require.NoError(t, client.DeleteAPIKey(t.Context(), tt.id))
			sent := log.only(t)
			assert.Equal(t, testBaseURL+"/api_keys/"+tt.path, sent.url)
			assertSentSigned(t, client.signer.cred.Load().key.Public(), sent, "/some/base/v2/api_keys/"+tt.path)
		})
	}
}

// What a delete is answered beside its status is of no interest.
func TestClient_DeleteAPIKey_answers(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 202, 204} {
		for _, body := range []string{"", "{}", "null", "<html>", strings.Repeat("x", 1<<20)} {
			client, mock := newTestClient(t)
			sent := answerWith(mock, status, body)
			assert.NoError(t, client.DeleteAPIKey(t.Context(), "id"), "%d with %d bytes", status, len(body))
			assert.Len(t, sent.requests, 1)
		}
	}
}

// Whatever is refused must not have cost a request.
func TestCalls_refuseBadInput(t *testing.T) {
	t.Parallel()
	public := testPublicPEM(t)
	create := func(req CreateAPIKeyRequest) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error { _, err := c.CreateAPIKey(ctx, req); return err }
	}
	generate := func(req GenerateAPIKeyRequest) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error { _, err := c.GenerateAPIKey(ctx, req); return err }
	}
	list := func(opt GetAPIKeysOption) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error { _, err := c.GetAPIKeys(ctx, opt); return err }
	}
	remove := func(id string) func(context.Context, *Client) error {
		return func(ctx context.Context, c *Client) error { return c.DeleteAPIKey(ctx, id) }
	}
	tests := []struct {
		name          string
		do            func(context.Context, *Client) error
		field, reason string
	}{
		{"list: nil option", list(nil), "option", "is nil"},
		{"list: empty subtrader", list(ForSubtrader("")), "subtrader ID", "is empty"},
		{"delete: empty ID", remove(""), "API key ID", "is empty"},
		{"delete: dot", remove("."), "API key ID", "dot segment"},
		{"delete: two dots", remove(".."), "API key ID", "dot segment"},
		{"delete: line end", remove("id\n"), "API key ID", "control"},
		{"delete: NUL", remove("i\x00d"), "API key ID", "control"},
		{"delete: C1 control character", remove("i\u0085d"), "API key ID", "control"},
		{"delete: invalid UTF-8", remove("\xff"), "API key ID", "control"},
		{"create: empty name", create(CreateAPIKeyRequest{PublicKey: public}), "Name", "is empty"},
		{"create: name not UTF-8", create(CreateAPIKeyRequest{Name: "\xff", PublicKey: public}), "Name", "UTF-8"},
		{"create: empty scopes", create(CreateAPIKeyRequest{Name: "bot", PublicKey: public, Scopes: []Scope{}}), "Scopes", "empty list"},
		{"create: negative sub-account", create(CreateAPIKeyRequest{Name: "bot", PublicKey: public, Subaccount: pointerTo(-1)}), "Subaccount", "negative"},
		{"create: sub-account and subtrader", create(CreateAPIKeyRequest{Name: "bot", PublicKey: public, Subaccount: pointerTo(0), FCMSubtraderID: "u_d"}), "Subaccount", "excludes"},
		{"create: no public key", create(CreateAPIKeyRequest{Name: "bot"}), "PublicKey", "is empty"},
		{"create: public key that is none", create(CreateAPIKeyRequest{Name: "bot", PublicKey: "text"}), "PublicKey", "is not a PEM block"},
		{"generate: empty name", generate(GenerateAPIKeyRequest{}), "Name", "is empty"},
		{"generate: name not UTF-8", generate(GenerateAPIKeyRequest{Name: "\xff"}), "Name", "UTF-8"},
		{"generate: empty scopes", generate(GenerateAPIKeyRequest{Name: "bot", Scopes: []Scope{}}), "Scopes", "empty list"},
		{"generate: negative sub-account", generate(GenerateAPIKeyRequest{Name: "bot", Subaccount: pointerTo(-1)}), "Subaccount", "negative"},
		{"generate: sub-account and subtrader", generate(GenerateAPIKeyRequest{Name: "bot", Subaccount: pointerTo(1), FCMSubtraderID: "u_d"}), "Subaccount", "excludes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			sent := answerWith(mock, http.StatusOK, "{}")
			assertRefused(t, tt.do(t.Context(), client), tt.field, tt.reason)
			assert.Empty(t, sent.requests)
		})
	}
}

// A key is not lost for the sake of an optional field that changed its type.
func TestMints_tolerateOddFields(t *testing.T) {
	t.Parallel()
	key, err := MarshalPrivateKey(newEd25519Key(t))
	require.NoError(t, err)
	text, err := json.Marshal(key.Reveal())
	require.NoError(t, err)
	for _, odd := range []string{`"warning":{"text":"x"}`, `"warning":["x"]`, `"key_type":7`, `"key_type":null`} {
		body := `{` + odd + `,"api_key_id":"id1","private_key":` + string(text) + `}`
		client, mock := newTestClient(t)
		mock.RegisterResponder(http.MethodPost, testBaseURL+"/api_keys/generate", httpmock.NewStringResponder(201, body))
		mock.RegisterResponder(http.MethodPost, testBaseURL+"/api_keys", httpmock.NewStringResponder(201, body))

		generated, err := client.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{Name: "bot"})
		require.NoError(t, err, odd)
		assert.Equal(t, "id1", generated.ID)
		assert.Equal(t, KeyTypeEd25519, generated.KeyType)
		assert.True(t, key.Reveal() == generated.PrivateKey.Reveal())

		public, err := MarshalPublicKey(newEd25519Key(t).Public())
		require.NoError(t, err)
		created, err := client.CreateAPIKey(t.Context(), CreateAPIKeyRequest{Name: "bot", PublicKey: public})
		require.NoError(t, err, odd)
		assert.Equal(t, "id1", created.ID)
	}
}
