package test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

var errSave = errors.New("disk full")

// A rotationTest is what goes wrong with a rotation, and what is left of it.
type rotationTest struct {
	name    string
	faults  []kalshitest.Fault
	at      kalshi.RotationStage // where handle sends the requests
	handle  handler
	save    func(ctx context.Context, run *rotationRun, key *kalshi.GenerateAPIKeyResponse) error
	private bool // register a key of the caller's own
	early   bool // cancel before the rotation begins
	grace   time.Duration

	stage      kalshi.RotationStage // empty is success
	keys       string               // left in the exchange
	saved      bool                 // Save was called
	newID      bool                 // the error names the new key
	handedBack bool
	candidate  bool // the new key is one
	kind       string
	cause      error
	text       string // in the error
	warning    string // of a success
	took       time.Duration
}

func rotationTests() []rotationTest {
	type fault = kalshitest.Fault
	const list, create, remove = http.MethodGet, http.MethodPost, http.MethodDelete
	one := func(f fault) []fault { return []fault{f} }
	// Of the listings, the first one is left alone.
	listAgain := func(f fault, more ...fault) []fault {
		f.Method = list
		return append([]fault{{Method: list}, f}, more...)
	}
	listed := func(fields string) []fault {
		return one(fault{Method: list, Body: `{"api_keys":[{"api_key_id":"` + oldKeyID + `","name":"bot"` + fields + `}]}`})
	}
	forbidden := fault{Status: 403, Body: forbiddenBody, Times: always}
	unknownKey := fault{Status: 401, Body: unknownKeyBody, Times: always}
	lost := one(fault{Method: create, Drop: true, Process: true})
	hangs := fault{Method: remove, Delay: time.Hour, Times: always}
	return []rotationTest{
		// Before the create nothing has happened.
		{name: "list is refused", faults: one(forbidden), stage: kalshi.StageInspect, keys: "old", kind: "Forbidden"},
		{name: "current key is not listed", faults: one(fault{Body: `{"api_keys":[]}`}), stage: kalshi.StageInspect, keys: "old", text: "does not hold this key"},
		{name: "current key is bound to a subtrader", faults: listed(`,"scopes":["read"],"fcm_subtrader_id":"user_abc"`), stage: kalshi.StageInspect, keys: "old", text: "FCM"},
		{name: "a scope is no text", faults: listed(`,"scopes":["read",7]`), stage: kalshi.StageInspect, keys: "old", text: "cannot be read"},
		{name: "scopes are empty", faults: listed(`,"scopes":[]`), stage: kalshi.StageInspect, keys: "old", text: "full access"},
		{name: "cancelled before", early: true, stage: kalshi.StageInspect, keys: "old", kind: "Canceled"},
		{name: "cancelled while listing", at: kalshi.StageInspect, handle: cancelBefore, stage: kalshi.StageInspect, keys: "old", kind: "Canceled"},

		// A create that certainly did not happen leaves no doubt behind.
		{name: "generate is refused", faults: one(fault{Method: create, Status: 403}), stage: kalshi.StageMint, keys: "old", kind: "Forbidden"},
		{name: "cancelled between list and create", at: kalshi.StageInspect, handle: cancelOnceRead, stage: kalshi.StageMint, keys: "old", kind: "Canceled"},

		// After a create of unknown outcome, the new key is looked for but never deleted.
		{name: "response is lost", private: true, faults: lost, stage: kalshi.StageMint, keys: "old new", candidate: true, kind: "Unknown"},
		{name: "request is lost", faults: one(fault{Method: create, Drop: true}), stage: kalshi.StageMint, keys: "old", kind: "Unknown"},
		{name: "response to generate has no private key", at: kalshi.StageMint, handle: setField("private_key", nil), stage: kalshi.StageMint, keys: "old new", newID: true, candidate: true, kind: "Unknown"},
		{name: "cancelled while creating", at: kalshi.StageMint, handle: cancelAfter, stage: kalshi.StageMint, keys: "old new", candidate: true, kind: "Unknown", cause: context.Canceled},
		{name: "response is lost and the list is refused", faults: listAgain(forbidden, lost...), stage: kalshi.StageMint, keys: "old new", kind: "Unknown", text: "could not be listed"},
		{name: "response is lost and the list hangs", faults: listAgain(fault{Delay: time.Hour}, lost...), stage: kalshi.StageMint, keys: "old new", kind: "Unknown", text: "could not be listed", took: 30 * time.Second},
		{name: "created key does not parse", at: kalshi.StageMint, handle: setField("private_key", "no key"), stage: kalshi.StageMint, keys: "old new", newID: true, handedBack: true, kind: "Validation"},

		// A key that does not work is removed again, or else named.
		{name: "verified at the second try", faults: listAgain(fault{Status: 401, Body: unknownKeyBody}), keys: "new", saved: true, took: 100 * time.Millisecond},
		{name: "never verified", faults: listAgain(unknownKey), stage: kalshi.StageVerify, keys: "old", newID: true, kind: "Unauthorized", text: "was deleted again", took: verifyTook},
		// A 404 is weak proof for a key that no call has shown to be known yet.
		{name: "never verified and gone already", faults: listAgain(unknownKey), at: kalshi.StageDelete, handle: twice, stage: kalshi.StageVerify, keys: "old", newID: true, handedBack: true, kind: "Unauthorized", took: verifyTook},
		{name: "never verified and not found at the second try", faults: listAgain(unknownKey, fault{Method: remove, Status: 503}, fault{Method: remove, Status: 404, Body: notFoundBody}),
			stage: kalshi.StageVerify, keys: "old new", newID: true, handedBack: true, kind: "Unauthorized", took: verifyTook},
		{name: "never verified nor deleted", faults: listAgain(unknownKey, fault{Method: remove, Status: 403}), stage: kalshi.StageVerify, keys: "old new", newID: true, handedBack: true, kind: "Unauthorized", text: "or delete it", took: verifyTook},
		{name: "transport panics in verify", at: kalshi.StageVerify, handle: panics, stage: kalshi.StageVerify, keys: "old", newID: true, text: "panicked with a string"},
		{name: "transport panics in verify and the key cannot be deleted", at: kalshi.StageVerify, handle: panics, faults: one(fault{Method: remove, Status: 403}),
			stage: kalshi.StageVerify, keys: "old new", newID: true, handedBack: true, text: "or delete it"},
		{name: "verify hangs", faults: listAgain(fault{Delay: time.Hour, Times: always}), stage: kalshi.StageVerify, keys: "old", newID: true, cause: context.DeadlineExceeded, took: 30 * time.Second},
		{name: "cancelled once created", at: kalshi.StageMint, handle: cancelOnceRead, keys: "new", saved: true},
		{name: "cancelled in verify", at: kalshi.StageVerify, handle: cancelBefore, keys: "new", saved: true},

		// What Save has touched is left alone, and handed back.
		{name: "save fails", private: true, save: saveFails, stage: kalshi.StageSave, keys: "old new", saved: true, newID: true, handedBack: true, cause: errSave, text: "disk full"},
		{name: "save panics with the key", save: func(_ context.Context, _ *rotationRun, key *kalshi.GenerateAPIKeyResponse) error { panic(key) },
			stage: kalshi.StageSave, keys: "old new", saved: true, newID: true, handedBack: true, text: "panicked with a *kalshi.GenerateAPIKeyResponse"},
		{name: "save panics with the key's text", save: func(_ context.Context, _ *rotationRun, key *kalshi.GenerateAPIKeyResponse) error {
			panic(errors.New(key.PrivateKey.Reveal()))
		}, stage: kalshi.StageSave, keys: "old new", saved: true, newID: true, handedBack: true, text: "panicked with a *errors.errorString"},
		{name: "save waits too long", save: func(ctx context.Context, _ *rotationRun, _ *kalshi.GenerateAPIKeyResponse) error {
			<-ctx.Done()
			return ctx.Err()
		}, stage: kalshi.StageSave, keys: "old new", saved: true, newID: true, handedBack: true, cause: context.DeadlineExceeded, took: 30 * time.Second},
		{name: "cancelled in save", save: func(ctx context.Context, run *rotationRun, _ *kalshi.GenerateAPIKeyResponse) error {
			run.cancel()
			return ctx.Err()
		}, keys: "new", saved: true},
		// A Save that wipes what it was handed must not wipe the last copy of the key.
		{name: "save wipes the key", save: func(_ context.Context, _ *rotationRun, key *kalshi.GenerateAPIKeyResponse) error {
			_ = key.PrivateKey.UnmarshalText([]byte("wiped"))
			*key = kalshi.GenerateAPIKeyResponse{}
			return errSave
		}, stage: kalshi.StageSave, keys: "old new", saved: true, newID: true, handedBack: true, cause: errSave},

		// The new key is saved and signs: what fails now only leaves the old one.
		{name: "delete is refused", faults: one(fault{Method: remove, Status: 403}), stage: kalshi.StageDelete, keys: "old new", saved: true, newID: true, kind: "Forbidden", text: "delete the old one"},
		{name: "delete hangs", faults: one(hangs), stage: kalshi.StageDelete, keys: "old new", saved: true, newID: true, cause: context.DeadlineExceeded, took: 30 * time.Second},
		{name: "response to delete is lost", faults: one(fault{Method: remove, Drop: true, Process: true}), keys: "new", saved: true},
		{name: "old key is gone already", at: kalshi.StageDelete, handle: twice, keys: "new", saved: true,
			warning: "the old key was gone already: another process may have rotated it, and its new key exists too"},
		// Neither a page nor a gateway's 404 proves that it is gone.
		{name: "delete gets a page", faults: one(fault{Method: remove, Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}}, Times: always}), stage: kalshi.StageDelete, keys: "old new", saved: true, newID: true, kind: "Invalid", text: "delete the old one"},
		{name: "delete gets a gateway's 404", faults: one(fault{Method: remove, Status: 404, Body: "<html>"}), stage: kalshi.StageDelete, keys: "old new", saved: true, newID: true, kind: "NotFound"},
		{name: "cancelled in delete", at: kalshi.StageDelete, handle: cancelBefore, keys: "new", saved: true},
		{name: "cancelled in grace", grace: time.Hour, save: func(_ context.Context, run *rotationRun, _ *kalshi.GenerateAPIKeyResponse) error {
			time.AfterFunc(time.Minute, run.cancel)
			return nil
		}, stage: kalshi.StageDelete, keys: "old new", saved: true, newID: true, kind: "Canceled", text: "grace", took: time.Minute},
	}
}

func saveFails(context.Context, *rotationRun, *kalshi.GenerateAPIKeyResponse) error { return errSave }

// Whatever fails, wherever: a working key signs, and the error names all that
// is left behind. It makes no difference whether a key rotates itself or an
// admin key rotates one of a bot, which may have next to no rights.
func TestRotation_failures(t *testing.T) {
	t.Parallel()
	for name, newRun := range runsOf(map[string]kalshitest.Key{
		"a trader":                {Scopes: []string{"read", "write::trade"}},
		"a reader":                {Scopes: []string{"read"}},
		"a key that may not list": {Scopes: []string{"read::portfolio_balance"}},
		"a sub-account's key":     {Subaccount: new(0)},
	}) {
		for _, tt := range rotationTests() {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) { tt.run(t, newRun(t)) })
			})
		}
	}
}

func (tt *rotationTest) run(t *testing.T, run *rotationRun) {
	run.Inject(tt.faults...)
	if tt.handle != nil {
		run.at(tt.at, tt.handle)
	}
	var ctx context.Context
	ctx, run.cancel = context.WithCancel(t.Context())
	defer run.cancel()
	if tt.early {
		run.cancel()
	}
	var private string // as Save was handed it
	req := kalshi.RotateAPIKeyRequest{Grace: tt.grace, Save: func(ctx context.Context, key *kalshi.GenerateAPIKeyResponse) error {
		private = key.PrivateKey.Reveal()
		_ = run.save(ctx, key)
		if tt.save == nil {
			return nil
		}
		return tt.save(ctx, run, key)
	}}
	if tt.private {
		req.PrivateKey = newKey()
	}
	began := time.Now()
	got, err := run.rotate(ctx, req)
	run.over = true

	assert.InDelta(t, tt.took.Seconds(), time.Since(began).Seconds(), 0.3, "time taken, in seconds: two retries wait that long at most")
	keys, newID := run.keys()
	assert.Equal(t, tt.keys, keys, "keys in the exchange")
	assert.Equal(t, tt.saved, len(run.saved) == 1)
	signs := oldKeyID
	if tt.stage == "" || tt.stage == kalshi.StageDelete {
		signs = newID
	}
	assert.Equal(t, signs, run.signer.KeyID(), "the key that signs")
	if tt.stage == "" {
		require.NoError(t, err)
		assert.Equal(t, &kalshi.RotateAPIKeyResponse{OldKeyID: oldKeyID, NewKeyID: newID, Warning: tt.warning}, got)
	} else {
		assert.Nil(t, got)
		tt.checkError(t, err, newID, private)
	}
	run.ClearFaults()
	run.requireSigns(t)
}

func (tt *rotationTest) checkError(t *testing.T, err error, newID, private string) {
	t.Helper()
	var rotation *kalshi.RotationError
	require.ErrorAs(t, err, &rotation)
	assert.Equal(t, []any{tt.stage, oldKeyID}, []any{rotation.Stage, rotation.OldKeyID})
	assert.Equal(t, tt.newID, rotation.NewKeyID != "", "NewKeyID is set")
	if tt.newID && newID != "" {
		assert.Equal(t, newID, rotation.NewKeyID)
	}
	assert.ErrorContains(t, err, rotation.NewKeyID)
	if tt.candidate {
		assert.Equal(t, []string{newID}, rotation.Candidates)
		assert.ErrorContains(t, err, newID)
	} else {
		assert.Empty(t, rotation.Candidates)
	}
	if tt.kind != "" {
		assert.Equal(t, tt.kind, kindOf(err))
	}
	if tt.cause != nil {
		assert.ErrorIs(t, err, tt.cause)
	}
	assert.ErrorContains(t, err, tt.text)
	assert.Equal(t, tt.handedBack, rotation.Key != nil, "handed back")
	if private != "" {
		assert.NotContains(t, err.Error(), strings.Split(private, "\n")[1], "the private key shows")
	}
	if tt.handedBack && tt.stage != kalshi.StageMint {
		assert.Equal(t, rotation.NewKeyID, rotation.Key.ID)
		assert.True(t, tt.stage == kalshi.StageVerify || private == rotation.Key.PrivateKey.Reveal(), "the whole key")
		assert.Equal(t, !tt.private, rotation.Key.PrivateKey.Reveal() != "")
	}
}
