package kalshi

// Rotation of another key than the client's own, of a key that has a source,
// and of one key by two clients.

import (
	"context"
	"crypto"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The admin's key lists, makes and deletes; the new one signs one call, to
// prove itself. It has the old one's rights, and the bot follows.
func TestClient_RotateAPIKey_anotherKey(t *testing.T) {
	t.Parallel()
	const byAdmin = "GET admin, POST admin, GET new, DELETE admin"
	for _, tt := range []struct {
		name string
		bot  kalshitest.Key
		sent string
	}{
		{"a trader", kalshitest.Key{Scopes: []string{"read", "write::trade"}}, byAdmin},
		{"a reader", kalshitest.Key{Scopes: []string{"read"}}, byAdmin},
		{"a key of all rights", kalshitest.Key{}, byAdmin},
		{"a key that may not list", kalshitest.Key{Scopes: []string{"write::trade", "read::portfolio_balance"}}, "GET admin, POST admin, GET new, GET admin, DELETE admin"},
		{"the primary account's key", kalshitest.Key{Subaccount: pointerTo(0)}, "GET admin, POST admin, GET new, GET admin, DELETE admin"},
		{"a sub-account's key", kalshitest.Key{Scopes: []string{"read"}, Subaccount: pointerTo(63)}, "GET admin, POST admin, GET new, GET admin, DELETE admin"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			run := newAdminRun(t, tt.bot)
			admin := run.client.Signer().KeyID()
			before := run.exchange.Keys()[2]
			got, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: run.save})
			require.NoError(t, err)
			keys, newID := run.keys()
			assert.Equal(t, "new", keys)
			assert.Equal(t, &RotateAPIKeyResponse{OldKeyID: testKeyID, NewKeyID: newID}, got)
			after := run.exchange.Keys()[2]
			assert.Equal(t, []any{before.Name, before.Type, before.Scopes, before.Subaccount}, []any{after.Name, after.Type, after.Scopes, after.Subaccount})
			assert.Equal(t, []string{newID, admin}, []string{run.signer.KeyID(), run.client.Signer().KeyID()})
			var sent []string
			for _, r := range run.exchange.Requests() {
				sent = append(sent, r.Method+" "+map[string]string{testKeyID: "old", newID: "new", admin: "admin"}[r.KeyID])
			}
			assert.Equal(t, tt.sent, strings.Join(sent, ", "))
			run.requireSigns(t)
			run.signer, err = run.saved[0].Signer()
			require.NoError(t, err, "what Save got is a whole key")
			run.requireSigns(t)
		})
	}
}

// A refusal proves that the new key signs, if it is not about the signature:
// then the admin's list tells its rights.
func TestClient_RotateAPIKey_provenByRefusal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, body string
		status     int
		proves     bool
	}{
		{"insufficient scope", forbiddenBody, 403, true},
		{"restricted to a sub-account", "this API key is restricted to a single sub-account and cannot access this endpoint", 403, true},
		{"a 401 of another kind", `{"error":{"code":"subaccount_restricted"}}`, 401, true},
		{"unknown key", unknownKeyBody, 401, false},
		{"wrong signature", `{"error":{"code":"authentication_error","details":"INCORRECT_API_KEY_SIGNATURE"}}`, 401, false},
		{"expired timestamp", expiredBody, 401, false},
		{"signature lost on the way", `{"error":{"code":"signature_is_missing_from_headers","message":"signature is missing from headers"}}`, 401, false},
		{"credentials lost on the way", `{"error":{"code":"token_authentication_failure","message":"token authentication failure"}}`, 401, false},
		{"bad request", `{"code":"bad_request"}`, 400, false},
		{"not found", notFoundBody, 404, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				run := newAdminRun(t, kalshitest.Key{Scopes: []string{"read"}})
				run.at(StageVerify, func(_ *rotationRun, req *http.Request, _ roundTripper) (*http.Response, error) {
					return respond(tt.status, tt.body)(req)
				})
				_, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: run.save})
				keys, _ := run.keys()
				if tt.proves {
					require.NoError(t, err)
					assert.Equal(t, "new", keys)
					return
				}
				var failed *RotationError
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, StageVerify, failed.Stage)
				assert.Equal(t, "old", keys)
				assert.Empty(t, run.saved)
			})
		})
	}
}

// A key that rotates itself may list, so that a refusal proves nothing of its
// copy.
func TestClient_RotateAPIKey_refusalOfACopy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newRotationRun(t)
		run.at(StageVerify, func(_ *rotationRun, req *http.Request, _ roundTripper) (*http.Response, error) {
			return respond(403, forbiddenBody)(req)
		})
		_, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: run.save})
		assert.ErrorContains(t, err, ": verify: the old key still signs; ")
		assert.Equal(t, "Forbidden", kindOf(err))
		keys, _ := run.keys()
		assert.Equal(t, "old", keys)
		assert.Empty(t, run.saved)
	})
}

// The list must show the new key with the old one's rights before it is saved.
// It may take a while to show it; other rights will not mend.
func TestClient_RotateAPIKey_rights(t *testing.T) {
	t.Parallel()
	for name, newRun := range map[string]func(testing.TB) *rotationRun{
		"itself": newRotationRun,
		"a key that may not list": func(t testing.TB) *rotationRun {
			return newAdminRun(t, kalshitest.Key{Scopes: []string{"write::trade"}})
		},
	} {
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
			{"fewer scopes", func(key map[string]any) { key["scopes"] = key["scopes"].([]any)[1:] }, -1, 0, "other rights"},
			{"scopes that cannot be read", func(key map[string]any) { key["scopes"] = 7 }, -1, 0, "other rights"},
			{"a subtrader that cannot be read", func(key map[string]any) { key["fcm_subtrader_id"] = 7 }, -1, 0, "other rights"},
			{"a sub-account", func(key map[string]any) { key["subaccount"] = 0 }, -1, 0, "other rights"},
			{"a subtrader", func(key map[string]any) { key["fcm_subtrader_id"] = "user_abc" }, -1, 0, "other rights"},
			{"shown at the third try", nil, 2, 300 * time.Millisecond, ""},
			{"never shown", nil, -1, 10 * time.Second, "the list does not show the new key"},
		} {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					run := newRun(t)
					lists := 0
					intercept(run.client, func(req *http.Request, send roundTripper) (*http.Response, error) {
						keys, newID := run.keys()
						resp, err := send(req)
						if req.Method != http.MethodGet || keys != "old new" || err != nil || resp.StatusCode != 200 {
							return resp, err
						}
						if lists++; tt.hidden >= 0 && lists > tt.hidden {
							return resp, nil
						}
						return editList(resp, newID, tt.change)
					})
					began := time.Now()
					_, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: run.save})
					assert.InDelta(t, tt.took.Seconds(), time.Since(began).Seconds(), 0.9)
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

// What cannot be another key to rotate.
func TestClient_RotateAPIKey_rejectsSigner(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	for want, signer := range map[string]*Signer{
		"Signer holds the client's own key":  client.signer,
		"Signer holds the client's own key:": newTestSigner(t, client.signer.cred.Load().key), // in another signer
		"signer has no key":                  new(Signer),
	} {
		_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, Signer: signer})
		assertInvalid(t, err, "kalshi: "+want)
	}
	assert.Zero(t, mock.GetTotalCallCount())
}

// A key that lacks the scope for its own rotation: the error names both cures.
// An admin key that lacks it does not get that advice.
func TestClient_RotateAPIKey_namesTheCures(t *testing.T) {
	t.Parallel()
	const cures = "a key needs read and write to rotate itself: grant both, or have an admin key rotate it (RotateAPIKeyRequest.Signer)"
	for stage, key := range map[RotationStage]kalshitest.Key{
		StageInspect: {Subaccount: pointerTo(0)},
		StageMint:    {Scopes: []string{"read", "write::trade"}},
	} {
		run := newAdminRun(t, key)
		run.client.signer = run.signer
		_, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: noSave})
		assert.ErrorContains(t, err, string(stage)+": the old key still signs: "+cures)
		assert.Equal(t, "Forbidden", kindOf(err))

		weak := newAdminRun(t, key)
		weak.client.signer, weak.signer = weak.signer, weak.client.signer
		_, err = weak.rotate(t.Context(), RotateAPIKeyRequest{Save: noSave})
		assert.Equal(t, "Forbidden", kindOf(err))
		assert.NotContains(t, err.Error(), cures)
	}
}

// A rotation of a key that was replaced in its source meanwhile rotates the new
// one, and says so.
func TestClient_RotateAPIKey_followsTheSource(t *testing.T) {
	t.Parallel()
	for name, newRun := range map[string]func(testing.TB) *rotationRun{
		"itself":      newRotationRun,
		"another key": func(t testing.TB) *rotationRun { return newAdminRun(t, kalshitest.Key{Scopes: []string{"read"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				run := newRun(t)
				own, admin := run.signer.cred.Load(), run.admin()
				next := run.exchange.AddKey(kalshitest.Key{ID: "next", Name: "next", Scopes: run.exchange.Keys()[2].Scopes})
				key, err := ParsePrivateKey([]byte(next.PrivateKey))
				require.NoError(t, err)
				asked := 0
				source := func(context.Context) (string, crypto.Signer, error) {
					if asked++; asked <= 2 {
						return testKeyID, own.key, nil
					}
					return "next", key, nil
				}
				run.signer, err = NewSignerFromSource(t.Context(), source)
				require.NoError(t, err)
				if !admin {
					run.client.signer = run.signer
				}
				by, err := NewClient(newTestSigner(t, own.key), WithBaseURL(run.exchange.URL), WithHTTPClient(run.client.httpClient))
				require.NoError(t, err)
				if admin {
					by.signer = run.client.signer
				}
				require.NoError(t, by.DeleteAPIKey(t.Context(), testKeyID))

				_, err = run.rotate(t.Context(), RotateAPIKeyRequest{Save: noSave}) // the source is not that far
				var failed *RotationError
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, []any{StageInspect, testKeyID}, []any{failed.Stage, failed.OldKeyID})

				got, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: noSave})
				require.NoError(t, err)
				assert.Equal(t, "next", got.OldKeyID)
				assert.Equal(t, got.NewKeyID, run.signer.KeyID())
				keys, newID := run.keys()
				assert.Equal(t, []string{"new", got.NewKeyID}, []string{keys, newID})
				run.requireSigns(t)
			})
		})
	}
}

// A switch by hand while a rotation of the same signer is running loses: the
// new key is saved.
func TestClient_RotateAPIKey_replacedMeanwhile(t *testing.T) {
	t.Parallel()
	for _, stage := range []RotationStage{StageMint, StageVerify, StageSave} {
		run := newAdminRun(t, kalshitest.Key{})
		replace := func() { assert.NoError(t, run.signer.Replace("elsewhere", newEd25519Key(t))) }
		run.at(stage, func(_ *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
			replace()
			return send(req)
		})
		got, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: func(context.Context, *GenerateAPIKeyResponse) error {
			if stage == StageSave {
				replace()
			}
			return nil
		}})
		require.NoError(t, err, stage)
		assert.Equal(t, testKeyID, got.OldKeyID)
		assert.Equal(t, got.NewKeyID, run.signer.KeyID(), stage)
		keys, _ := run.keys()
		assert.Equal(t, "new", keys)
		run.requireSigns(t)
	}
}

// Two clients rotate one key, and one does so between two stages of the other.
// Each key that survives is known to one of them, and whoever finds the old one
// gone says so.
func TestClient_RotateAPIKey_twoClients(t *testing.T) {
	t.Parallel()
	for name, newRun := range map[string]func(testing.TB) *rotationRun{
		"itself":      newRotationRun,
		"another key": func(t testing.TB) *rotationRun { return newAdminRun(t, kalshitest.Key{Scopes: []string{"read"}}) },
	} {
		for _, stage := range []RotationStage{StageInspect, StageMint, StageVerify, StageSave, StageDelete} {
			t.Run(name+"/"+string(stage), func(t *testing.T) {
				inBubble(t, func(t *testing.T) {
					run := newRun(t)
					admin := run.admin()
					other := *run
					other.client = pointerTo(*run.client)
					other.signer = newTestSigner(t, run.signer.cred.Load().key)
					if !admin {
						other.client.signer = other.signer
					}
					var known []string
					rotateToo := func() {
						if len(known) > 0 {
							return
						}
						got, err := other.rotate(t.Context(), RotateAPIKeyRequest{Save: noSave})
						if assert.NoError(t, err) {
							assert.Empty(t, got.Warning)
							known = append(known, got.NewKeyID)
						}
					}
					run.at(stage, func(_ *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
						rotateToo()
						return send(req)
					})
					got, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: func(context.Context, *GenerateAPIKeyResponse) error {
						if stage == StageSave {
							rotateToo()
						}
						return nil
					}})
					if err == nil {
						assert.Contains(t, got.Warning, "the old key was gone already: another process may have rotated it")
						known = append(known, got.NewKeyID)
						run.requireSigns(t)
					} else {
						var failed *RotationError
						require.ErrorAs(t, err, &failed)
						assert.Contains(t, []RotationStage{StageInspect, StageMint}, failed.Stage)
						assert.Equal(t, stage, failed.Stage)
						assert.Empty(t, failed.NewKeyID)
					}
					for _, key := range run.exchange.Keys()[2:] {
						assert.Contains(t, known, key.ID)
					}
					assert.Len(t, run.exchange.Keys(), 2+len(known))
					other.requireSigns(t)
				})
			})
		}
	}
}

// An ID that reads as a path would name another endpoint, or file.
func TestClient_RotateAPIKey_pathAsID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a/b", `a\b`, "..", "../api_keys", "a..b"} {
		run := newRotationRun(t)
		run.at(StageMint, setField("api_key_id", id))
		_, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: run.save})
		var failed *RotationError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, []any{StageMint, id}, []any{failed.Stage, failed.NewKeyID})
		assert.NotNil(t, failed.Key, "it may be the only copy")
		assert.ErrorContains(t, err, "has a slash or dots")
		assert.Empty(t, run.saved)
		requireWorks(t, run.client)
	}
}

// Rotations of one signer wait for each other, by whichever client.
func TestClient_RotateAPIKey_waitsForTheSigner(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newAdminRun(t, kalshitest.Key{})
		saving, done := make(chan struct{}), make(chan error)
		go func() {
			_, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: func(context.Context, *GenerateAPIKeyResponse) error {
				<-saving
				return nil
			}})
			done <- err
		}()
		synctest.Wait()
		itself := *run.client
		itself.signer = run.signer
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := itself.RotateAPIKey(ctx, RotateAPIKeyRequest{Save: noSave})
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "waiting for another rotation")
		close(saving)
		require.NoError(t, <-done)
	})
}

// A bot's source may, by mistake, give the admin's own key: to rotate that as
// the bot's would delete it.
func TestClient_RotateAPIKey_sourceGivesTheAdminsKey(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newAdminRun(t, kalshitest.Key{})
		admin := run.client.signer.cred.Load()
		bot := newEd25519Key(t)
		asked := 0
		signer, err := NewSignerFromSource(t.Context(), func(context.Context) (string, crypto.Signer, error) {
			if asked++; asked == 1 {
				return "not-listed", bot, nil
			}
			return admin.keyID, admin.key, nil
		})
		require.NoError(t, err)
		_, err = run.client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, Signer: signer})
		assert.ErrorContains(t, err, "holds the client's own key")
		requireWorks(t, run.client)
	})
}
