package kalshi

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// plainKey is a current key that nothing speaks against rotating.
var plainKey = APIKey{Name: "bot", Scopes: []Scope{ScopeRead, ScopeWrite}}

func newRotatingClient(t testing.TB, current APIKey) (*Client, *memoryExchange) {
	t.Helper()
	client, mock := newTestClient(t)
	return client, newMemoryExchange(client, mock, current)
}

func TestClient_RotateAPIKey(t *testing.T) {
	t.Parallel()
	client, x := newRotatingClient(t, plainKey)
	var saved *GenerateAPIKeyResponse
	got, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{
		Save: func(_ context.Context, key *GenerateAPIKeyResponse) error {
			saved = key
			assert.Equal(t, testKeyID, client.Signer().KeyID(), "the switch comes after Save")
			assert.Len(t, x.callsAt(atVerify), 1, "Save comes after the verifying call")
			return nil
		},
	})
	require.NoError(t, err)
	assert.Equal(t, &RotateAPIKeyResponse{OldKeyID: testKeyID, NewKeyID: "new-1"}, got)
	assert.Equal(t, "new-1", client.Signer().KeyID())
	assert.Equal(t, []string{"other", "new-1"}, x.ids())

	var order []point
	for _, call := range x.calls {
		order = append(order, call.at)
	}
	assert.Equal(t, []point{atInspect, atMint, atVerify, atDelete}, order)
	assert.Equal(t, "new-1", x.callsAt(atDelete)[0].keyID, "the new key signs the old one's deletion")

	signer, err := saved.Signer()
	require.NoError(t, err, "what Save got is a whole key")
	assert.Equal(t, "new-1", signer.KeyID())
	assert.Equal(t, x.private["new-1"], saved.PrivateKey.Reveal())
	requireWorks(t, client)
}

// A copy that drops scopes or the sub-account would be a stronger key.
func TestClient_RotateAPIKey_mintRequest(t *testing.T) {
	t.Parallel()
	subaccount := func(n int) *int { return &n }
	tests := []struct {
		name    string
		signer  crypto.Signer // the current key; nil is Ed25519
		current APIKey
		req     RotateAPIKeyRequest
		want    string
	}{
		{"copies", nil, plainKey, RotateAPIKeyRequest{},
			`{"name":"bot","key_type":"ed25519","scopes":["read","write"]}`},
		{"one scope", nil, APIKey{Name: "viewer", Scopes: []Scope{ScopeReadPortfolioBalance}}, RotateAPIKeyRequest{},
			`{"name":"viewer","key_type":"ed25519","scopes":["read::portfolio_balance"]}`},
		{"scopes of tomorrow", nil, APIKey{Name: "bot", Scopes: []Scope{ScopeRead, "read::tomorrow"}}, RotateAPIKeyRequest{},
			`{"name":"bot","key_type":"ed25519","scopes":["read","read::tomorrow"]}`},
		{"primary account", nil, APIKey{Name: "bot", Scopes: []Scope{ScopeRead}, Subaccount: subaccount(0)}, RotateAPIKeyRequest{},
			`{"name":"bot","key_type":"ed25519","scopes":["read"],"subaccount":0}`},
		{"sub-account", nil, APIKey{Name: "bot", Scopes: []Scope{ScopeRead}, Subaccount: subaccount(63)}, RotateAPIKeyRequest{},
			`{"name":"bot","key_type":"ed25519","scopes":["read"],"subaccount":63}`},
		{"name of its own", nil, plainKey, RotateAPIKeyRequest{Name: "bot 2"},
			`{"name":"bot 2","key_type":"ed25519","scopes":["read","write"]}`},
		{"RSA stays RSA", testRSAKey(), plainKey, RotateAPIKeyRequest{},
			`{"name":"bot","key_type":"rsa","scopes":["read","write"]}`},
		{"RSA to Ed25519", testRSAKey(), plainKey, RotateAPIKeyRequest{KeyType: KeyTypeEd25519},
			`{"name":"bot","key_type":"ed25519","scopes":["read","write"]}`},
		{"Ed25519 to RSA", nil, plainKey, RotateAPIKeyRequest{KeyType: KeyTypeRSA},
			`{"name":"bot","key_type":"rsa","scopes":["read","write"]}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			if tt.signer != nil {
				client.signer = newTestSigner(t, tt.signer)
			}
			x := newMemoryExchange(client, mock, tt.current)
			tt.req.Save = noSave
			_, err := client.RotateAPIKey(t.Context(), tt.req)
			require.NoError(t, err)

			assert.JSONEq(t, tt.want, x.callsAt(atMint)[0].body)
			var asked struct {
				KeyType KeyType `json:"key_type"`
			}
			require.NoError(t, json.Unmarshal([]byte(tt.want), &asked))
			assert.Equal(t, asked.KeyType, client.Signer().KeyType())
			requireWorks(t, client)
		})
	}
}

// A key of the caller's own is registered by its public half, and no more.
func TestClient_RotateAPIKey_privateKey(t *testing.T) {
	t.Parallel()
	own := newEd25519Key(t)
	public, err := MarshalPublicKey(own.Public())
	require.NoError(t, err)
	tests := []struct {
		name string
		req  RotateAPIKeyRequest
	}{
		{"type left out", RotateAPIKeyRequest{PrivateKey: own}},
		{"type agrees", RotateAPIKeyRequest{PrivateKey: own, KeyType: KeyTypeEd25519}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, x := newRotatingClient(t, APIKey{Name: "bot", Scopes: []Scope{ScopeRead}, Subaccount: new(int)})
			var saved *GenerateAPIKeyResponse
			tt.req.Save = func(_ context.Context, key *GenerateAPIKeyResponse) error {
				saved = key
				return nil
			}
			_, err := client.RotateAPIKey(t.Context(), tt.req)
			require.NoError(t, err)

			want, err := json.Marshal(map[string]any{"name": "bot", "public_key": public, "scopes": []string{"read"}, "subaccount": 0})
			require.NoError(t, err)
			assert.JSONEq(t, string(want), x.callsAt(atMint)[0].body)
			for _, call := range x.calls {
				assert.NotContains(t, call.body, base64.StdEncoding.EncodeToString(own.Seed()))
				assert.NotContains(t, call.body, "PRIVATE KEY")
			}
			assert.Equal(t, &GenerateAPIKeyResponse{ID: "new-1", KeyType: KeyTypeEd25519}, saved)
			_, err = saved.Signer()
			assert.ErrorAs(t, err, new(*ValidationError), "there is no private key to sign with")
			path := filepath.Join(t.TempDir(), "key")
			assert.ErrorAs(t, saved.PrivateKey.WriteFile(path), new(*ValidationError))
			assert.NoFileExists(t, path)
			requireWorks(t, client)
		})
	}
}

func TestClient_RotateAPIKey_badInput(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, field string
		ctx         context.Context
		req         RotateAPIKeyRequest
	}{
		{"no Save", "Save", context.Background(), RotateAPIKeyRequest{}},
		{"negative Grace", "Grace", context.Background(), RotateAPIKeyRequest{Save: noSave, Grace: -1}},
		{"type contradicts Ed25519 key", "KeyType", context.Background(), RotateAPIKeyRequest{Save: noSave, KeyType: KeyTypeRSA, PrivateKey: newEd25519Key(t)}},
		{"type contradicts RSA key", "KeyType", context.Background(), RotateAPIKeyRequest{Save: noSave, KeyType: KeyTypeEd25519, PrivateKey: testRSAKey()}},
		{"unknown type beside a key", "KeyType", context.Background(), RotateAPIKeyRequest{Save: noSave, KeyType: "x", PrivateKey: newEd25519Key(t)}},
		{"key that is none", "PrivateKey", context.Background(), RotateAPIKeyRequest{Save: noSave, PrivateKey: newEd25519Key(t)[:8]}},
		{"no context", "context", nil, RotateAPIKeyRequest{Save: noSave}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, x := newRotatingClient(t, plainKey)
			_, err := client.RotateAPIKey(tt.ctx, tt.req)
			var validation *ValidationError
			require.ErrorAs(t, err, &validation)
			assert.Equal(t, tt.field, validation.Field)
			assert.Empty(t, x.calls)
		})
	}
}

func TestClient_RotateAPIKey_warning(t *testing.T) {
	t.Parallel()
	for name, private := range map[string]crypto.Signer{"generated": nil, "registered": newEd25519Key(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, x := newRotatingClient(t, plainKey)
			x.faults = map[point]memoryFault{atMint: addField("warning", "mind this")}
			var saved string
			got, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{
				PrivateKey: private,
				Save: func(_ context.Context, key *GenerateAPIKeyResponse) error {
					saved = key.Warning
					return nil
				},
			})
			require.NoError(t, err)
			assert.Equal(t, "mind this", got.Warning)
			assert.Equal(t, "mind this", saved)
		})
	}
}

// The old key lives on, and nothing is waited for.
func TestClient_RotateAPIKey_keepOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, x := newRotatingClient(t, plainKey)
		began := time.Now()
		_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, KeepOld: true, Grace: time.Hour})
		require.NoError(t, err)
		assert.Zero(t, time.Since(began))
		assert.Equal(t, []string{"other", testKeyID, "new-1"}, x.ids())
		assert.Empty(t, x.callsAt(atDelete))
		assert.Equal(t, "new-1", client.Signer().KeyID())
	})
}

// Grace is not bounded as the stages are, and the new key signs all the while.
func TestClient_RotateAPIKey_grace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, x := newRotatingClient(t, plainKey)
		began := time.Now()
		done := make(chan error)
		go func() {
			_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, Grace: time.Hour})
			done <- err
		}()
		time.Sleep(time.Hour - 1)
		synctest.Wait()
		assert.Equal(t, "new-1", client.Signer().KeyID())
		assert.Equal(t, []string{"other", testKeyID, "new-1"}, x.ids(), "the old key waits for its grace to end")
		requireWorks(t, client)

		require.NoError(t, <-done)
		assert.Equal(t, []string{"other", "new-1"}, x.ids())
		assert.Equal(t, time.Hour, x.callsAt(atDelete)[0].time.Sub(began))
	})
}

// The caller's context no longer counts, its values still do, and the time to
// save is bounded.
func TestClient_RotateAPIKey_saveContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, x := newRotatingClient(t, plainKey)
		type key struct{}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Second)
		x.cancel = cancel
		x.faults = map[point]memoryFault{atVerify: cancelBefore}
		_, err := client.RotateAPIKey(ctx, RotateAPIKeyRequest{Save: func(saving context.Context, _ *GenerateAPIKeyResponse) error {
			require.Error(t, ctx.Err())
			assert.NoError(t, saving.Err())
			deadline, limited := saving.Deadline()
			assert.True(t, limited)
			assert.Equal(t, 30*time.Second, time.Until(deadline))
			assert.Equal(t, "value", saving.Value(key{}))
			return nil
		}})
		require.NoError(t, err)
	})
}

// A Save that wipes what it was handed must not wipe the last copy of the key.
func TestClient_RotateAPIKey_saveChangesItsKey(t *testing.T) {
	t.Parallel()
	client, x := newRotatingClient(t, plainKey)
	_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: func(_ context.Context, key *GenerateAPIKeyResponse) error {
		_ = key.PrivateKey.UnmarshalText([]byte("wiped"))
		*key = GenerateAPIKeyResponse{}
		return errSave
	}})
	var rotation *RotationError
	require.ErrorAs(t, err, &rotation)
	require.NotNil(t, rotation.Key)
	assert.Equal(t, "new-1", rotation.Key.ID)
	assert.Equal(t, x.private["new-1"], rotation.Key.PrivateKey.Reveal())
}

// Only keys that are new and bear the name can be the lost one.
func TestClient_RotateAPIKey_candidates(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		asked string // name
		want  []string
	}{
		{"somebody makes one of that name", "", []string{"new-1", "same"}},
		{"the lost one has a name of its own", "bot 2", []string{"new-1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, x := newRotatingClient(t, plainKey)
			x.faults = map[point]memoryFault{atMint: loseAnswer, atReconcile: alsoMade(
				APIKey{ID: "same", Name: "bot"}, APIKey{ID: "differs", Name: "tool"})}
			_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, Name: tt.asked})
			var rotation *RotationError
			require.ErrorAs(t, err, &rotation)
			assert.Equal(t, tt.want, rotation.Candidates)
			assert.Contains(t, err.Error(), strings.Join(tt.want, ", "))
			assert.Equal(t, []string{"other", testKeyID, "new-1", "same", "differs"}, x.ids(), "none is deleted")
		})
	}
}

// What is known of the clock outlives the key that found it out.
func TestClient_RotateAPIKey_clockOffset(t *testing.T) {
	t.Parallel()
	srv := kalshitest.NewServer()
	t.Cleanup(srv.Close)
	srv.SetClockOffset(time.Hour)
	client := newServerClient(t, srv)
	requireWorks(t, client) // learns it
	before := client.Signer().clockOffset()
	assert.InDelta(t, time.Hour.Seconds(), before.Seconds(), 5)

	_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave})
	require.NoError(t, err)
	requireWorks(t, client)
	assert.Equal(t, before, client.Signer().clockOffset())
	refused := 0
	for _, r := range srv.Requests() {
		if r.Status == 401 {
			refused++
		}
	}
	assert.Equal(t, 1, refused, "only the first call finds the clocks apart")
}

// A service may answer a mint with a key that is there already, above all when
// it is given the same public key twice. To delete that one, as the old key or
// as a new one that does not work, would lock the account out.
func TestClient_RotateAPIKey_sameKeyAgain(t *testing.T) {
	t.Parallel()
	srv := kalshitest.NewServer()
	t.Cleanup(srv.Close)
	client := newServerClient(t, srv)
	other := srv.AddKey(kalshitest.Key{Name: "somebody else's"})

	_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, PrivateKey: client.signer.cred.Load().key})
	assert.ErrorContains(t, err, "is the key that signs now")
	for _, id := range []string{srv.KeyID, other.ID} {
		srv.Inject(kalshitest.Fault{Method: http.MethodPost, Status: 201, Body: `{"api_key_id":"` + id + `"}`})
		_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, PrivateKey: newEd25519Key(t)})
		var failed *RotationError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, StageMint, failed.Stage)
		assert.Empty(t, failed.NewKeyID)
		assert.ErrorContains(t, err, id)
	}
	assert.Len(t, srv.Keys(), 2)
	requireWorks(t, client)
}

// A 404 of a gateway does not prove that the old key is gone.
func TestClient_RotateAPIKey_deleteAnsweredByAGateway(t *testing.T) {
	t.Parallel()
	srv := kalshitest.NewServer()
	t.Cleanup(srv.Close)
	client := newServerClient(t, srv)
	srv.Inject(kalshitest.Fault{Method: http.MethodDelete, Status: 404, Body: "<html>no backend</html>"})
	_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave})
	var failed *RotationError
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, StageDelete, failed.Stage)
	assert.Len(t, srv.Keys(), 2)
}

// A new key may not be known everywhere when it is to be deleted again: its
// 404 proves nothing, not even after an attempt that may have deleted it.
func TestClient_RotateAPIKey_newKeyNotFoundAnywhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, x := newRotatingClient(t, plainKey)
		x.faults = map[point]memoryFault{
			atVerify: refuse(403, forbiddenBody),
			atDiscard: func(_ *memoryExchange, _ *http.Request, n int, _ func() *http.Response) (*http.Response, error) {
				if n == 0 {
					return memoryAnswer(503, ""), nil
				}
				return memoryAnswer(404, `{"error":{"code":"not_found","message":"not found"}}`), nil
			},
		}
		_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave})
		var failed *RotationError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, StageVerify, failed.Stage)
		assert.NotNil(t, failed.Key, "the key may be alive")
	})
}
