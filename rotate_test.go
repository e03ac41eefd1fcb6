package kalshi

import (
	"strings"
	"testing"

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
		{"private key of type *kalshi.remoteKey cannot be encoded", RotateAPIKeyRequest{Store: KeyFile("bot.key"), PrivateKey: &remoteKey{key: newEd25519Key(t)}}},
	} {
		_, err := client.RotateAPIKey(t.Context(), tt.req)
		assertInvalid(t, err, "kalshi: "+tt.want)
	}
	assert.Zero(t, mock.GetTotalCallCount())
}

func TestSameRights(t *testing.T) {
	t.Parallel()
	old := APIKey{ID: "old", Name: "bot", Scopes: []Scope{ScopeRead, ScopeWriteTrade}, Subaccount: new(3)}
	for name, change := range map[string]func(key *APIKey){
		"same: ID and name":     func(key *APIKey) { key.ID, key.Name = "new", "bot 2" },
		"same: order of scopes": func(key *APIKey) { key.Scopes = []Scope{ScopeWriteTrade, ScopeRead} },
		"same: a scope twice":   func(key *APIKey) { key.Scopes = []Scope{ScopeRead, ScopeRead, ScopeWriteTrade} },
		"fewer scopes":          func(key *APIKey) { key.Scopes = []Scope{ScopeRead} },
		"more scopes":           func(key *APIKey) { key.Scopes = []Scope{ScopeRead, ScopeWriteTrade, ScopeWrite} },
		"other scopes":          func(key *APIKey) { key.Scopes = []Scope{ScopeRead, ScopeWrite} },
		"no sub-account":        func(key *APIKey) { key.Subaccount = nil },
		"primary account":       func(key *APIKey) { key.Subaccount = new(0) },
		"another subtrader":     func(key *APIKey) { key.FCMSubtraderID = "user1_desk2" },
	} {
		key := old
		change(&key)
		want := strings.HasPrefix(name, "same: ")
		assert.Equal(t, want, sameRights(&key, &old), name)
		assert.Equal(t, want, sameRights(&old, &key), name)
	}
}
