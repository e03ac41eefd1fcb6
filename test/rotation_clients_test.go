package test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// If the key was replaced in the signer's source, the rotation rotates the key
// that the source has now, and reports that one as the old key.
func TestRotation_followsTheSource(t *testing.T) {
	t.Parallel()
	for name, newRun := range runsOf(map[string]kalshitest.Key{"another key": {Scopes: []string{"read"}}}) {
		runInBubble(t, name, func(t *testing.T) {
			run := newRun(t)
			admin := run.admin()
			next := run.AddKey(kalshitest.Key{ID: "next", Name: "next", Scopes: run.Keys()[2].Scopes})
			asked := 0
			source := func(context.Context) (kalshi.Credentials, error) {
				if asked++; asked <= 2 {
					return credentials(oldKeyID, run.key), nil
				}
				return parsed(next), nil
			}
			run.signer = newSourceSigner(source)
			require.NoError(t, run.client.DeleteAPIKey(t.Context(), oldKeyID))
			if !admin {
				run.client = run.clientOf(run.signer)
			}

			_, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{}) // the source is not that far
			assert.Equal(t, oldKeyID, requireFails(t, err, kalshi.StageInspect).OldKeyID)

			got, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{})
			require.NoError(t, err)
			assert.Equal(t, "next", got.OldKeyID)
			assert.Equal(t, got.NewKeyID, run.signer.KeyID())
			keys, newID := run.keys()
			assert.Equal(t, []string{"new", got.NewKeyID}, []string{keys, newID})
			run.requireSigns(t)
		})
	}
}

// Two clients rotate one key, one between two stages of the other. Each key that is left is known
// to one of them, and the one that finds the old key gone says so.
func TestRotation_twoClients(t *testing.T) {
	t.Parallel()
	for name, newRun := range runsOf(map[string]kalshitest.Key{"another key": {Scopes: []string{"read"}}}) {
		for _, stage := range []kalshi.RotationStage{kalshi.StageInspect, kalshi.StageCreate, kalshi.StageVerify, kalshi.StageSave, kalshi.StageDelete} {
			runInBubble(t, name+"/"+string(stage), func(t *testing.T) {
				run := newRun(t)
				other := *run
				other.signer = newSigner(oldKeyID, pemText(run.key))
				other.client = other.clientOf(map[bool]*kalshi.Signer{true: run.client.Signer(), false: other.signer}[run.admin()])
				var known []string
				run.during(stage, func() {
					if got, err := other.rotate(t.Context(), kalshi.RotateAPIKeyRequest{}); assert.NoError(t, err) {
						assert.False(t, got.OldKeyGone)
						known = append(known, got.NewKeyID)
					}
				})
				got, err := run.rotate(t.Context(), kalshi.RotateAPIKeyRequest{})
				if err == nil {
					assert.True(t, got.OldKeyGone)
					known = append(known, got.NewKeyID)
					run.requireSigns(t)
				} else {
					assert.Contains(t, []kalshi.RotationStage{kalshi.StageInspect, kalshi.StageCreate}, stage)
					assert.Empty(t, requireFails(t, err, stage).NewKeyID)
				}
				for _, key := range run.Keys()[2:] {
					assert.Contains(t, known, key.ID)
				}
				assert.Len(t, run.Keys(), 2+len(known))
				other.requireSigns(t)
			})
		}
	}
}

// A bot's source that returns the admin's key by mistake would have the admin delete its own key.
func TestRotation_sourceGivesTheAdminsKey(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newAdminRun(t, kalshitest.Key{})
		asked := 0
		signer := newSourceSigner(func(context.Context) (kalshi.Credentials, error) {
			if asked++; asked == 1 {
				return credentials("not-listed", newKey()), nil
			}
			return run.credentials(), nil
		})
		_, err := run.client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Store: noSave, Signer: signer})
		assert.ErrorContains(t, err, "holds the client's own key")
		assert.NoError(t, list(t.Context(), run.client))
	})
}
