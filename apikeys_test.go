package kalshi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClient_GetAPIKeys_request(t *testing.T) {
	t.Parallel()
	for query, opts := range map[string][]GetAPIKeysOption{
		"":                              nil,
		"?fcm_subtrader_id=user1_desk2": {ForSubtrader("user1_desk2")},
		"?fcm_subtrader_id=two":         {ForSubtrader("one"), ForSubtrader("two")},
		"?fcm_subtrader_id=a+b%26c%3Dd%3Fe%23f%2Fg%25h%2Bi%3Bj": {ForSubtrader("a b&c=d?e#f/g%h+i;j")},
		"?fcm_subtrader_id=%C3%BC%0A":                           {ForSubtrader("ü\n")},
	} {
		client, mock := newTestClient(t)
		log := respondWith(mock, respond(200, `{"api_keys":[]}`))
		_, err := client.GetAPIKeys(t.Context(), opts...)
		require.NoError(t, err)
		assert.Equal(t, testBaseURL+"/api_keys"+query, log.only(t).url)
		log.only(t).assertSigned(t, publicKey(client)) // without the query
	}
}

// The body is the request as JSON, and the response comes back whole.
func TestClient_createKey(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	log := respondWith(mock, respond(201, `{"api_key_id":"new","key_type":"x448","private_key":"text","warning":"bound"}`))
	create := CreateAPIKeyRequest{
		Name: "a\"\nü🔑", PublicKey: testPublicKey(), Scopes: []Scope{ScopeRead, "fly::moon"}, Subaccount: new(0),
	}
	created, err := client.CreateAPIKey(t.Context(), create)
	require.NoError(t, err)
	assert.Equal(t, &CreateAPIKeyResponse{ID: "new", Warning: "bound"}, created)
	generate := GenerateAPIKeyRequest{Name: "bot", KeyType: "x448", FCMSubtraderID: "user1_desk2"}
	generated, err := client.GenerateAPIKey(t.Context(), generate)
	require.NoError(t, err)
	want := &GenerateAPIKeyResponse{ID: "new", KeyType: "x448", PrivateKey: generated.PrivateKey, Warning: "bound"}
	assert.Equal(t, want, generated)
	assert.Equal(t, "text", generated.PrivateKey.Reveal())
	body := fmt.Sprintf(`{"name":"a\"\nü🔑","public_key":%q,"scopes":["read","fly::moon"],"subaccount":0}`, testPublicKey())
	assert.Equal(t, body, string(log.requests[0].body))
	body = `{"name":"bot","key_type":"x448","fcm_subtrader_id":"user1_desk2"}`
	assert.Equal(t, body, string(log.requests[1].body))
}

// Bad input must not cost a request.
func TestClient_rejectsInput(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	_, err := client.GetAPIKeys(t.Context(), ForSubtrader(""))
	assertInvalid(t, err, "kalshi: subtrader ID is empty")
	_, err = client.CreateAPIKey(t.Context(), CreateAPIKeyRequest{Name: "bot"})
	assertInvalid(t, err, "kalshi: PublicKey is not a PEM block")
	_, err = client.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{})
	assertInvalid(t, err, "kalshi: Name is empty")
	const dots, control = "is empty or a dot segment", "has control characters"
	for id, want := range map[string]string{
		"": "is empty", ".": dots, "..": dots, "id\n": control, "i\u0085d": control,
		encodePEM("PRIVATE KEY", pkcs8(t, testRSAKey())): "is a private key",
	} {
		assertInvalid(t, client.DeleteAPIKey(t.Context(), id), "kalshi: API key ID "+want)
	}
	var none context.Context
	for _, call := range apiCalls() {
		assertInvalid(t, call.do(none, client), "kalshi: context is nil")
	}
	path := filepath.Join(t.TempDir(), "key")
	_, err = client.GenerateAPIKeyToFile(t.Context(), botRequest, "")
	assertInvalid(t, err, "kalshi: path is empty")
	_, err = client.GenerateAPIKeyToFile(t.Context(), GenerateAPIKeyRequest{}, path)
	assertInvalid(t, err, "kalshi: Name is empty")
	_, err = client.GenerateAPIKeyToFile(none, botRequest, path)
	assertInvalid(t, err, "kalshi: context is nil")
	assert.NoFileExists(t, path)
	assert.Zero(t, mock.GetTotalCallCount())
}

// Once the key is created, it is kept, even if the context ends.
func TestClient_GenerateAPIKeyToFile(t *testing.T) {
	t.Parallel()
	for _, keyType := range []KeyType{KeyTypeEd25519, KeyTypeRSA} {
		client, exchange := newExchange(t)
		ctx, cancel := context.WithCancel(t.Context())
		intercept(client, func(req *http.Request, send roundTripper) (*http.Response, error) {
			resp, err := send(req)
			if req.Method == http.MethodPost {
				text, _ := io.ReadAll(resp.Body)
				resp.Body = io.NopCloser(bytes.NewReader(text))
				cancel()
			}
			return resp, err
		})
		path := filepath.Join(t.TempDir(), "bot.pem")
		got, err := client.GenerateAPIKeyToFile(ctx, GenerateAPIKeyRequest{Name: "bot", KeyType: keyType}, path)
		require.NoError(t, err)
		require.Len(t, exchange.Keys(), 3)
		assert.Equal(t, exchange.Keys()[2].ID, got.ID)
		assert.Equal(t, keyType, got.KeyType)
		c, err := got.Credentials()
		require.NoError(t, err)
		requireKeyFile(t, path, c)
		assertMode0600(t, path)
		client.signer, err = got.Signer()
		require.NoError(t, err)
		requireWorks(t, client)
	}
}

// Without a key there is no file either.
func TestClient_GenerateAPIKeyToFile_noKey(t *testing.T) {
	t.Parallel()
	for name, responder := range map[string]httpmock.Responder{
		"forbidden":      respond(403, ""),
		"response lost":  httpmock.NewErrorResponder(errConnectionLost),
		"no private key": respond(201, `{"api_key_id":"new"}`),
	} {
		client, mock := newTestClient(t)
		respondWith(mock, responder)
		path := filepath.Join(t.TempDir(), "key")
		got, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
		assert.Nil(t, got)
		assert.Equal(t, name != "forbidden", isA[*OutcomeUnknownError](err), "%s: %v", name, err)
		assert.NoFileExists(t, path)
	}
}

// A create response with the signing key's own ID names no new key: to delete it would lock out.
func TestClient_createKey_ownID(t *testing.T) {
	t.Parallel()
	const id = `{"api_key_id":"` + testKeyID + `"`
	for _, status := range []int{201, 500} {
		for _, rest := range []string{`,"private_key":"text"}`, `}`, `,"private_key":"te`} {
			client, mock := newTestClient(t)
			log := respondWith(mock, respond(status, id+rest))
			path := filepath.Join(t.TempDir(), "key")
			created, createErr := client.CreateAPIKey(t.Context(), CreateAPIKeyRequest{Name: "bot", PublicKey: testPublicKey()})
			generated, generateErr := client.GenerateAPIKey(t.Context(), botRequest)
			saved, saveErr := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
			for _, err := range []error{createErr, generateErr, saveErr} {
				var unknown *OutcomeUnknownError
				require.ErrorAs(t, err, &unknown)
				assert.Empty(t, unknown.KeyID)
			}
			assert.True(t, created == nil && generated == nil && saved == nil)
			assert.NoFileExists(t, path)
			log.assertAttempts(t, 3, "nothing is deleted")
		}
	}
}

// A 403 may be about the account's usage level, which the service does not say.
func TestClient_CreateAPIKey_usageLevel(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	respondWith(mock, respond(403, nestedBody("forbidden", "forbidden", "")), respond(403, nestedBody("forbidden", "forbidden", "")), respond(403, forbiddenBody))
	const hint = "registering a public key is documented for the Premier and Market Maker usage levels"
	request := CreateAPIKeyRequest{Name: "bot", PublicKey: testPublicKey()}
	_, err := client.CreateAPIKey(t.Context(), request)
	assert.ErrorContains(t, err, hint)
	assert.True(t, isA[*ForbiddenError](err))
	request.FCMSubtraderID = "user1_desk2"
	for range 2 { // a member's, and one for a scope
		_, err = client.CreateAPIKey(t.Context(), request)
		assert.Equal(t, "Forbidden", kindOf(err))
		assert.NotContains(t, err.Error(), hint)
		request.FCMSubtraderID = ""
	}
}

func TestClient_CurrentAPIKey(t *testing.T) {
	t.Parallel()
	const other = `{"api_key_id":"other","name":"bot","scopes":["read"]}`
	const own = `{"api_key_id":"` + testKeyID + `","name":"bot","scopes":["read","read::tomorrow"],"subaccount":0}`
	client, mock := newTestClient(t)
	respondWith(mock,
		respond(200, `{"api_keys":[`+other+`,`+own+`]}`),
		respond(200, `{"api_keys":[`+other+`]}`),
		respond(403, ""),
	)
	got, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	want := &APIKey{ID: testKeyID, Name: "bot", Scopes: []Scope{ScopeRead, "read::tomorrow"}, Subaccount: new(0)}
	assert.Equal(t, want, got)

	_, err = client.CurrentAPIKey(t.Context())
	assert.ErrorContains(t, err, "kalshi: CurrentAPIKey: the list lacks "+testKeyID+", the key that signed: ")
	_, err = client.CurrentAPIKey(t.Context())
	assert.Equal(t, "Forbidden", kindOf(err))
}

// The current key is the one that signed the list, and not the one before it.
func TestClient_CurrentAPIKey_replacedMeanwhile(t *testing.T) {
	t.Parallel()
	const oldKey = `{"api_key_id":"` + testKeyID + `","name":"old"}`
	const newKey = `{"api_key_id":"` + otherKeyID + `","name":"new"}`
	first := respond(401, "")
	client, mock := newTestClient(t)
	log := respondWith(mock, func(req *http.Request) (*http.Response, error) {
		assert.NoError(t, client.signer.Replace(credentials(t, otherKeyID, newEd25519Key(t))))
		return first(req)
	}, respond(200, `{"api_keys":[`+oldKey+`,`+newKey+`]}`))
	got, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "new", got.Name)
	log.assertAttempts(t, 2)
}
