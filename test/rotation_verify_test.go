package test

import (
	"net/http"
	"slices"
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
		{"forbidden without a word", "", 403, false, true},
		{"a gateway's page", "<html>Request blocked</html>", 403, false, false},
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
				requireFails(t, err, kalshi.StageVerify)
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
			name   string
			change func(key map[string]any) // of the new key as it is listed; nil hides it
			hidden int                      // for so many listings; all if it is negative
			took   time.Duration
			text   string // empty is success
		}{
			{"scopes in another order, twice", func(key map[string]any) {
				scopes := key["scopes"].([]any)
				slices.Reverse(scopes)
				key["scopes"] = append(scopes, scopes[0])
			}, -1, 0, ""},
			{"more scopes", func(key map[string]any) { key["scopes"] = append(key["scopes"].([]any), "read::tomorrow") }, -1, 0, "other rights"},
			{"a sub-account", func(key map[string]any) { key["subaccount"] = 0 }, -1, 0, "other rights"},
			{"a subtrader", func(key map[string]any) { key["fcm_subtrader_id"] = "user_abc" }, -1, 0, "other rights"},
			{"shown at the third try", nil, 2, 300 * time.Millisecond, ""},
			{"never shown", nil, -1, verifyTook, "the list does not show the new key"},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					run := newRun(t)
					lists := 0
					run.send = func(req *http.Request) (*http.Response, error) {
						keys, newID := run.keys()
						resp, err := run.transport.RoundTrip(req)
						if req.Method != http.MethodGet || keys != "old new" || err != nil || resp.StatusCode != 200 {
							return resp, err
						}
						if lists++; tt.hidden >= 0 && lists > tt.hidden {
							return resp, nil
						}
						return editList(resp, newID, tt.change)
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
					assert.ErrorContains(t, err, ": verify: the old key still signs; the new key ")
					assert.ErrorContains(t, err, tt.text)
					assert.Equal(t, "old", keys)
					assert.Empty(t, run.saved)
					run.requireSigns(t)
				})
			})
		}
	}
}

// editList changes a key in a list, or removes it if change is nil.
func editList(resp *http.Response, keyID string, change func(key map[string]any)) (*http.Response, error) {
	return editJSON(resp, func(fields map[string]any) {
		var keys []any
		for _, key := range fields["api_keys"].([]any) {
			if fields := key.(map[string]any); fields["api_key_id"] == keyID {
				if change == nil {
					continue
				}
				change(fields)
			}
			keys = append(keys, key)
		}
		fields["api_keys"] = keys
	})
}

// A place where the new key is not known yet, when that is to delete the old one, is
// tried again for as long as in verify. If it stays so, the old key deletes itself.
func TestRotation_newKeyUnknownAtDelete(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refusals int
		took     time.Duration
	}{"for a while": {2, 300 * time.Millisecond}, "for ever": {1 << 30, verifyTook}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				run := newRotationRun(t)
				refused := 0
				run.at(kalshi.StageDelete, func(_ *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
					if req.Header.Get("KALSHI-ACCESS-KEY") == oldKeyID || refused == tt.refusals {
						return send(req)
					}
					refused++
					return respond(req, 401, unknownKeyBody)
				})
				began := time.Now()
				got, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{})
				require.NoError(t, err)
				assert.False(t, got.OldKeyGone)
				assert.Equal(t, tt.took, time.Since(began))
				keys, _ := run.keys()
				assert.Equal(t, "new", keys)
			})
		})
	}
}
