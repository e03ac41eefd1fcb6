package kalshi

import (
	"context"
	"crypto"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestClient_RotateAPIKey_rejectsInput(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	for _, tt := range []struct {
		want string
		req  RotateAPIKeyRequest
	}{
		{"Store is nil", RotateAPIKeyRequest{}},
		{"Grace is negative", RotateAPIKeyRequest{Store: noSave, Grace: -1}},
		{"KeyType ", RotateAPIKeyRequest{Store: noSave, KeyType: KeyTypeRSA, PrivateKey: newEd25519Key(t)}},
		{"KeyType ", RotateAPIKeyRequest{Store: noSave, KeyType: "x", PrivateKey: newEd25519Key(t)}},
		{"PrivateKey ", RotateAPIKeyRequest{Store: noSave, PrivateKey: newEd25519Key(t)[:8]}},
		{"Signer holds the client's own key", RotateAPIKeyRequest{Store: noSave, Signer: client.signer}},
		{"Signer holds the client's own key", RotateAPIKeyRequest{Store: noSave, Signer: newTestSigner(t, client.signer.cred.Load().key)}},
		{"Signer holds the client's own key: leave", RotateAPIKeyRequest{Store: noSave, Signer: newTestSigner(t, newEd25519Key(t))}},
		{"signer is nil or has no key", RotateAPIKeyRequest{Store: noSave, Signer: new(Signer)}},
	} {
		_, err := client.RotateAPIKey(t.Context(), tt.req)
		assertInvalid(t, err, "kalshi: "+tt.want)
	}
	var none context.Context
	_, err := client.RotateAPIKey(none, RotateAPIKeyRequest{Store: noSave})
	assertInvalid(t, err, "kalshi: context is nil")
	assert.Zero(t, mock.GetTotalCallCount())
}

// A copy that drops scopes or the sub-account would be a stronger key.
func TestClient_RotateAPIKey_copiesTheKey(t *testing.T) {
	t.Parallel()
	const scopes = `"scopes":["read","write"]`
	tests := []struct {
		name    string
		signer  crypto.Signer
		current string // fields of the current key
		req     RotateAPIKeyRequest
		want    string
	}{
		{"scopes of tomorrow", newEd25519Key(t), `"scopes":["read::tomorrow"]`, RotateAPIKeyRequest{}, `{"name":"bot","key_type":"ed25519","scopes":["read::tomorrow"]}`},
		{"sub-account", newEd25519Key(t), scopes + `,"subaccount":63`, RotateAPIKeyRequest{}, `{"name":"bot","key_type":"ed25519",` + scopes + `,"subaccount":63}`},
		{"new name", newEd25519Key(t), scopes, RotateAPIKeyRequest{Name: "bot 2"}, `{"name":"bot 2","key_type":"ed25519",` + scopes + `}`},
		{"RSA to Ed25519", testRSAKey(), scopes, RotateAPIKeyRequest{KeyType: KeyTypeEd25519}, `{"name":"bot","key_type":"ed25519",` + scopes + `}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			client.signer = newTestSigner(t, tt.signer)
			log := respondWith(mock, respond(200, `{"api_keys":[{"api_key_id":"`+testKeyID+`","name":"bot",`+tt.current+`}]}`), respond(403, ""))
			tt.req.Store = noSave
			_, err := client.RotateAPIKey(t.Context(), tt.req)
			assert.Equal(t, "Forbidden", kindOf(err))
			log.assertAttempts(t, 2)
			assert.JSONEq(t, tt.want, string(log.requests[1].body))
		})
	}
}

// A gateway's response proves nothing about a key.
func TestProvesKey(t *testing.T) {
	t.Parallel()
	const moved, subaccount = "API has been moved", "this API key is restricted to a single sub-account"
	tests := []struct {
		status int
		body   string
		want   bool
	}{
		{403, forbiddenBody, true}, {403, subaccount, true}, {403, "", false}, {403, "error code: 1020", false}, {403, "<html>", false},
		{401, nestedBody("restricted", "", ""), true}, {401, "", false}, {401, moved, false}, {401, "<html>", false},
		{401, unknownKeyBody, false}, {401, expiredBody, false}, {401, nestedBody("signature_is_missing_from_headers", "", ""), false},
		{404, notFoundBody, false}, {500, "", false},
	}
	for _, tt := range tests {
		err := statusError(nil, &http.Response{StatusCode: tt.status}, []byte(tt.body), time.Now())
		assert.Equal(t, tt.want, provesKey(err), "%d %s", tt.status, tt.body)
	}
}

func TestSameRights(t *testing.T) {
	t.Parallel()
	old := APIKey{ID: "old", Name: "bot", Scopes: []Scope{ScopeRead, ScopeWriteTrade}, Subaccount: new(3)}
	tests := []struct {
		name   string
		change func(key *APIKey)
		want   bool
	}{
		{"ID and name", func(key *APIKey) { key.ID, key.Name = "new", "bot 2" }, true},
		{"order of scopes", func(key *APIKey) { key.Scopes = []Scope{ScopeWriteTrade, ScopeRead} }, true},
		{"a scope twice", func(key *APIKey) { key.Scopes = []Scope{ScopeRead, ScopeRead, ScopeWriteTrade} }, true},
		{"fewer scopes", func(key *APIKey) { key.Scopes = []Scope{ScopeRead} }, false},
		{"more scopes", func(key *APIKey) { key.Scopes = []Scope{ScopeRead, ScopeWriteTrade, ScopeWrite} }, false},
		{"other scopes", func(key *APIKey) { key.Scopes = []Scope{ScopeRead, ScopeWrite} }, false},
		{"no sub-account", func(key *APIKey) { key.Subaccount = nil }, false},
		{"primary account", func(key *APIKey) { key.Subaccount = new(0) }, false},
		{"another subtrader", func(key *APIKey) { key.FCMSubtraderID = "user1_desk2" }, false},
	}
	for _, tt := range tests {
		key := old
		tt.change(&key)
		assert.Equal(t, tt.want, sameRights(&key, &old), tt.name)
		assert.Equal(t, tt.want, sameRights(&old, &key), tt.name)
	}
}
