package test

import (
	"cmp"
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A key rotates itself, or an admin key lists, creates and deletes in its place. The new key signs
// one call to prove that it works. It has the old one's rights, and the bot signs with it.
func TestRotation(t *testing.T) {
	t.Parallel()
	const byAdmin = "GET admin, POST admin, GET new, DELETE admin"
	const listedTwice = "GET admin, POST admin, GET new, GET admin, DELETE admin"
	for _, tt := range []struct {
		name   string
		itself bool
		bot    kalshitest.Key
		toType kalshi.KeyType // the old key's unless it is set
		sent   string
	}{
		{"itself", true, kalshitest.Key{}, "", "GET old, POST old, GET new, DELETE new"},
		{"a trader", false, kalshitest.Key{Scopes: []string{"read", "write::trade"}}, "", byAdmin},
		{"a reader", false, kalshitest.Key{Scopes: []string{"read"}}, "", byAdmin},
		{"another type", false, kalshitest.Key{}, kalshi.KeyTypeRSA, byAdmin},
		{"a key that may not list", false, kalshitest.Key{Scopes: []string{"write::trade", "read::portfolio_balance"}}, "", listedTwice},
		{"the primary account's key", false, kalshitest.Key{Subaccount: new(0)}, "", listedTwice},
		{"a sub-account's key", false, kalshitest.Key{Scopes: []string{"read"}, Subaccount: new(63)}, "", listedTwice},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			run := newAdminRun(t, tt.bot)
			admin := run.KeyID
			if tt.itself {
				run.client = run.clientOf(run.signer)
			}
			before := run.Keys()[2]
			run.inSave = func(context.Context, kalshi.Credentials) error {
				assert.Equal(t, oldKeyID, run.signer.KeyID(), "the switch comes after Save")
				return nil
			}
			got, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{KeyType: tt.toType})
			require.NoError(t, err)
			keys, newID := run.keys()
			assert.Equal(t, "new", keys)
			assert.Equal(t, &kalshi.RotateAPIKeyResponse{OldKeyID: oldKeyID, NewKeyID: newID}, got)
			after := run.Keys()[2]
			before.Type = cmp.Or(string(tt.toType), before.Type)
			assert.Equal(t, []any{before.Name, before.Type, before.Scopes, before.Subaccount}, []any{after.Name, after.Type, after.Scopes, after.Subaccount})
			assert.Equal(t, newID, run.signer.KeyID())
			assert.Equal(t, map[bool]string{true: newID, false: admin}[tt.itself], run.client.Signer().KeyID())
			var sent []string
			for _, r := range run.Requests() {
				sent = append(sent, r.Method+" "+map[string]string{oldKeyID: "old", newID: "new", admin: "admin"}[r.KeyID])
			}
			assert.Equal(t, tt.sent, strings.Join(sent, ", "), "by which key")
			run.requireSigns(t)
			require.NoError(t, run.signer.Replace(run.saved[0]))
			assert.Equal(t, newID, run.signer.KeyID(), "what Save got")
			run.requireSigns(t)
		})
	}
}

// Of the caller's own key only the public half is sent. A warning is passed on.
func TestRotation_privateKey(t *testing.T) {
	t.Parallel()
	own := newKey()
	public, err := kalshi.MarshalPublicKey(own.Public())
	require.NoError(t, err)
	run := newRotationRun(t)
	run.at(kalshi.StageCreate, setField("warning", "mind this"))
	got, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{PrivateKey: own, KeyType: kalshi.KeyTypeEd25519})
	require.NoError(t, err)
	assert.Equal(t, "mind this", got.Warning)
	want, err := json.Marshal(map[string]any{"name": "bot", "public_key": public, "scopes": []string{"read", "write"}})
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(run.Requests()[1].Body))
	for _, r := range run.Requests() {
		assert.NotContains(t, fmt.Sprint(r.Header)+string(r.Body), base64.StdEncoding.EncodeToString(own.Seed()))
	}
	assert.Equal(t, []string{got.NewKeyID, pemText(own)}, []string{run.saved[0].KeyID(), pemText(run.saved[0].PrivateKey())})
	run.requireSigns(t)
}

// Candidates are the keys that are new and have the requested name.
func TestRotation_candidates(t *testing.T) {
	t.Parallel()
	for name, others := range map[string][]string{"": {"same"}, "bot 2": nil} {
		run := newRotationRun(t)
		run.at(kalshi.StageCreate, func(run *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
			run.AddKey(kalshitest.Key{ID: "same", Name: "bot"})
			run.AddKey(kalshitest.Key{ID: "differs", Name: "tool"})
			return send(req)
		})
		run.Inject(fault{Method: http.MethodPost, Drop: true, Process: true})
		_, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{Name: name})
		rotation := requireFails(t, err, kalshi.StageCreate)
		keys, newID := run.keys()
		assert.Equal(t, "old new new new", keys, "none is deleted")
		assert.Equal(t, append(slices.Clone(others), newID), rotation.Candidates)
		assert.ErrorContains(t, err, strings.Join(rotation.Candidates, ", "))
	}
}

// An ID that reads as a path would name another endpoint, or another file to a Save.
func TestRotation_pathForID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"../../x/pwned", "/etc/cron.d/x", `..\x`, `a\b`, "..", "a/b", "a..b"} {
		run := newRotationRun(t)
		run.at(kalshi.StageCreate, setField("api_key_id", id))
		_, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{})
		failed := requireFails(t, err, kalshi.StageCreate)
		assert.Equal(t, id, failed.NewKeyID)
		assert.ErrorContains(t, err, "has a slash or dots, as if it were a path")
		assert.NotEmpty(t, failed.PrivateKey.Reveal(), "handed back")
		keys, _ := run.keys()
		assert.Equal(t, "old new", keys, "nothing is deleted")
		run.requireSigns(t)
	}
}

// A service may respond to a create with a key that exists already, for example when it is given
// the same public key twice. Deleting that key would lock the account out.
func TestRotation_sameKeyAgain(t *testing.T) {
	t.Parallel()
	run := newRotationRun(t)
	_, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{PrivateKey: run.key})
	assert.ErrorContains(t, err, "is the key that signs now")
	for _, id := range []string{oldKeyID, spareKeyID} {
		for _, key := range []crypto.Signer{nil, newKey()} {
			for _, status := range []int{201, 500} {
				run.Inject(fault{Method: http.MethodPost, Status: status, Body: `{"api_key_id":"` + id + `","private_key":"text"}`})
				_, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{PrivateKey: key})
				failed := requireFails(t, err, kalshi.StageCreate)
				assert.Empty(t, failed.NewKeyID)
				assert.Empty(t, failed.Candidates)
				assert.Empty(t, failed.PrivateKey.Reveal())
			}
		}
	}
	assert.Len(t, run.Keys(), 3)
	run.requireSigns(t)
}

// A key that may not rotate itself gets an error that says what to do. That does
// not apply to an admin key that lacks the scope, which is named instead.
func TestRotation_forbidden(t *testing.T) {
	t.Parallel()
	const scopes = "a key needs read and write to rotate itself: use one that has both, or have an admin key rotate it (RotateAPIKeyRequest.Signer)"
	const subaccount = "a key restricted to a sub-account cannot rotate itself: have an admin key rotate it (RotateAPIKeyRequest.Signer)"
	for _, tt := range []struct {
		stage kalshi.RotationStage
		key   kalshitest.Key
		hint  string
	}{
		{kalshi.StageInspect, kalshitest.Key{Scopes: []string{"read::portfolio_balance"}}, scopes},
		{kalshi.StageInspect, kalshitest.Key{Subaccount: new(0)}, subaccount},
		{kalshi.StageCreate, kalshitest.Key{Scopes: []string{"read", "write::trade"}}, scopes},
	} {
		run := newAdminRun(t, tt.key)
		admin := run.client.Signer()
		run.client = run.clientOf(run.signer)
		for _, weakAdmin := range []bool{false, true} {
			hint := tt.hint
			if weakAdmin {
				run.signer, hint = admin, "with the admin key "+oldKeyID
			}
			_, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{})
			_ = requireFails(t, err, tt.stage)
			assert.ErrorContains(t, err, "no key was made: "+hint+": ")
			assert.Equal(t, "Forbidden", kindOf(err))
		}
	}
}
