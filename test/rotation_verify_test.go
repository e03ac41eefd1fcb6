package test

import (
	"cmp"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// An error that is not about the signature proves that the new key signs, and the
// admin's list shows its rights. For a key that rotates itself it proves nothing,
// since its copy may list too.
func TestRotation_provenByError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		status     int
		itself     bool // the key rotates itself
		proves     bool
	}{
		{"insufficient scope", forbiddenBody, 403, false, true},
		{"restricted to a sub-account", "this API key is restricted to a single sub-account and cannot access this endpoint", 403, false, true},
		{"forbidden without a word", "", 403, false, false},
		{"a gateway's words", "API has been moved", 401, false, false},
		{"a gateway's page", "<html>Request blocked</html>", 403, false, false},
		{"a gateway's code", "error code: 1020", 403, false, false},
		{"a 401 of another kind", `{"error":{"code":"subaccount_restricted"}}`, 401, false, true},
		{"unknown key", unknownKeyBody, 401, false, false},
		{"wrong signature", wrongSignatureBody, 401, false, false},
		{"expired timestamp", expiredBody, 401, false, false},
		{"signature lost on the way", `{"error":{"code":"signature_is_missing_from_headers","message":"signature is missing from headers"}}`, 401, false, false},
		{"not found", notFoundBody, 404, false, false},
		{"insufficient scope of a key that rotates itself", forbiddenBody, 403, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				run := newAdminRun(t, kalshitest.Key{Scopes: []string{"read"}})
				if tt.itself {
					run = newRotationRun(t)
				}
				run.at(kalshi.StageVerify, func(_ *rotationRun, req *http.Request, _ roundTripper) (*http.Response, error) {
					return respond(req, tt.status, tt.body)
				})
				_, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{})
				keys, _ := run.keys()
				if tt.proves {
					require.NoError(t, err)
					assert.Equal(t, "new", keys)
					return
				}
				_ = requireFails(t, err, kalshi.StageVerify)
				assert.ErrorContains(t, err, ": verify: the old key still signs; ")
				assert.Equal(t, "old", keys)
				assert.Empty(t, run.saved)
			})
		})
	}
}

// The list must show the new key with the old one's rights before Save is
// called. A new key may appear late; wrong rights are final.
func TestRotation_rights(t *testing.T) {
	t.Parallel()
	for name, newRun := range runsOf(map[string]kalshitest.Key{
		"a reader": {Scopes: []string{"read"}}, "a key that may not list": {Scopes: []string{"write::trade"}},
	}) {
		for _, tt := range []struct {
			name, id, scope string // what is listed in place of the new key's ID and the first scope
			lists           int    // in so many lists
			took            time.Duration
			text            string // empty is success
		}{
			{"other scopes", "", "write::tomorrow", always, 0, "other rights"},
			{"shown at the third try", "another", "", 2, 300 * time.Millisecond, ""},
			{"never shown", "another", "", always, verifyTook, "the list does not show the new key"},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					run := newRun(t)
					run.send = func(req *http.Request) (*http.Response, error) {
						keys, newID := run.keys()
						resp, err := run.transport.RoundTrip(req)
						if req.Method != http.MethodGet || keys != "old new" || err != nil || tt.lists == 0 {
							return resp, err
						}
						return editJSON(resp, func(list map[string]any) {
							tt.lists--
							key := list["api_keys"].([]any)[3].(map[string]any)
							key["api_key_id"] = cmp.Or(tt.id, newID)
							key["scopes"].([]any)[0] = cmp.Or(tt.scope, key["scopes"].([]any)[0].(string))
						})
					}
					began := time.Now()
					_, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{})
					assert.Equal(t, tt.took, time.Since(began))
					keys, _ := run.keys()
					if tt.text == "" {
						require.NoError(t, err)
						assert.Equal(t, "new", keys)
						return
					}
					_ = requireFails(t, err, kalshi.StageVerify)
					assert.ErrorContains(t, err, tt.text)
					assert.Equal(t, "old", keys)
					assert.Empty(t, run.saved)
				})
			})
		}
	}
}

// A place where the new key is not known yet, when that is to delete the old one, is
// tried again for as long as in verify. If it stays so, the old key deletes itself.
// While nobody's key is known, nothing proves that the old one is gone.
func TestRotation_newKeyUnknownAtDelete(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		unknown int  // of the new key
		outage  bool // of the old key, too
		took    time.Duration
		keys    string
	}{
		{"for a while", 2, false, 300 * time.Millisecond, "new"},
		{"for ever", always, false, verifyTook, "new"},
		{"as is the old one", always, true, verifyTook, "old new"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				run := newRotationRun(t)
				run.at(kalshi.StageDelete, func(_ *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
					if tt.unknown == 0 || !tt.outage && req.Header.Get("KALSHI-ACCESS-KEY") == oldKeyID {
						return send(req)
					}
					tt.unknown--
					return respond(req, 401, unknownKeyBody)
				})
				began := time.Now()
				got, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{})
				assert.Equal(t, tt.took, time.Since(began))
				keys, _ := run.keys()
				assert.Equal(t, tt.keys, keys)
				if tt.outage {
					_ = requireFails(t, err, kalshi.StageDelete)
					return
				}
				require.NoError(t, err)
				assert.False(t, got.OldKeyGone)
			})
		})
	}
}
