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

// An ending is what a rotation leaves behind.
type ending struct {
	stage     kalshi.RotationStage // that failed; empty is success
	keys      string               // that exist
	saved     bool                 // Save was called
	newID     bool                 // the error names the new key
	key       bool                 // and hands its private half back, unless it is the caller's own
	candidate bool                 // the new key is one
}

var (
	rotated      = ending{keys: "new", saved: true}
	kept         = ending{keys: "old new", saved: true}
	untouched    = ending{stage: kalshi.StageInspect, keys: "old"}
	notMade      = ending{stage: kalshi.StageCreate, keys: "old"}
	perhapsMade  = ending{stage: kalshi.StageCreate, keys: "old new", candidate: true}
	madeUnnamed  = ending{stage: kalshi.StageCreate, keys: "old new"}
	madeUnusable = ending{stage: kalshi.StageCreate, keys: "old new", newID: true, key: true}
	takenBack    = ending{stage: kalshi.StageVerify, keys: "old"}
	notTakenBack = ending{stage: kalshi.StageVerify, keys: "old new", newID: true, key: true}
	notSaved     = ending{stage: kalshi.StageSave, keys: "old new", saved: true, newID: true, key: true}
	notDeleted   = ending{stage: kalshi.StageDelete, keys: "old new", saved: true, newID: true}
)

// A trouble is what goes wrong with a rotation.
type trouble func(run *rotationRun)

func faults(faults ...fault) trouble {
	return func(run *rotationRun) { run.Inject(faults...) }
}

func handled(stage kalshi.RotationStage, handle handler) trouble {
	return func(run *rotationRun) { run.at(stage, handle) }
}

func saving(save func(ctx context.Context, run *rotationRun, c kalshi.Credentials) error) trouble {
	return func(run *rotationRun) {
		run.inSave = func(ctx context.Context, c kalshi.Credentials) error { return save(ctx, run, c) }
	}
}

func both(first, second trouble) trouble {
	return func(run *rotationRun) {
		first(run)
		second(run)
	}
}

func with(change func(req *kalshi.RotateAPIKeyRequest)) trouble {
	return func(run *rotationRun) { change(&run.req) }
}

func ownKey(run *rotationRun)          { run.req.PrivateKey = newKey() }
func cancelledBefore(run *rotationRun) { run.cancel() }

// replacedAt has somebody replace the key, which loses against the rotation's: that one is saved.
func replacedAt(stage kalshi.RotationStage) trouble {
	return func(run *rotationRun) {
		run.during(stage, func() { _ = run.signer.Replace(credentials("elsewhere", newKey())) })
	}
}

// A checkedStore reports beforehand whether it could save.
type checkedStore struct {
	kalshi.SaveFunc
	err error
}

func (s checkedStore) Check(context.Context) error { return s.err }

func checkedFor(err error) trouble {
	return func(run *rotationRun) { run.req.Store = checkedStore{run.save, err} }
}

var errSave = errors.New("disk full")

func saveFails(context.Context, *rotationRun, kalshi.Credentials) error { return errSave }

func saveHangs(ctx context.Context, _ *rotationRun, _ kalshi.Credentials) error {
	<-ctx.Done()
	return ctx.Err()
}

func cancelInSave(ctx context.Context, run *rotationRun, _ kalshi.Credentials) error {
	run.cancel()
	return ctx.Err()
}

func cancelInGrace(_ context.Context, run *rotationRun, _ kalshi.Credentials) error {
	time.AfterFunc(time.Minute, run.cancel)
	return nil
}

// A rotationTest is a trouble, its ending, and what the error says.
type rotationTest struct {
	name       string
	trouble    trouble
	ending     ending
	kind, text string
	took       time.Duration
}

var (
	firstList  = gets(fault{}) // which is the old key's
	forbidden  = fault{Status: 403, Body: forbiddenBody, Times: always}
	unknownKey = fault{Status: 401, Body: unknownKeyBody, Times: always}
	hangs      = fault{Delay: time.Hour, Times: always}
	hangsOnce  = fault{Delay: time.Hour}
	lost       = posts(fault{Drop: true, Process: true})
	neverWorks = faults(firstList, gets(unknownKey)) // the new key
)

func gets(f fault) fault    { f.Method = http.MethodGet; return f }
func posts(f fault) fault   { f.Method = http.MethodPost; return f }
func deletes(f fault) fault { f.Method = http.MethodDelete; return f }

// listed has the list hold the old key alone, with these fields.
func listed(fields string) trouble {
	return faults(fault{Body: `{"api_keys":[{"api_key_id":"` + oldKeyID + `","name":"bot"` + fields + `}]}`, Times: always})
}

var rotationTests = []rotationTest{
	{name: "nothing", trouble: func(*rotationRun) {}, ending: rotated},
	{name: "the store works", trouble: checkedFor(nil), ending: rotated},
	{name: "grace", trouble: with(func(req *kalshi.RotateAPIKeyRequest) { req.Grace = time.Hour }), ending: rotated, took: time.Hour},
	{name: "the old key is kept", trouble: with(func(req *kalshi.RotateAPIKeyRequest) { req.KeepOld, req.Grace = true, time.Hour }), ending: kept},
	{name: "replaced while creating", trouble: replacedAt(kalshi.StageCreate), ending: rotated},
	{name: "replaced in verify", trouble: replacedAt(kalshi.StageVerify), ending: rotated},
	{name: "replaced in save", trouble: replacedAt(kalshi.StageSave), ending: rotated},

	// Before the create nothing has happened. A store that cannot save must not leave
	// one more key each night.
	{name: "the store cannot save", trouble: checkedFor(errSave), ending: untouched, text: "disk full"},
	{name: "list is refused", trouble: faults(forbidden), ending: untouched, kind: "Forbidden"},
	{name: "current key is not listed", trouble: faults(fault{Body: `{"api_keys":[]}`}), ending: untouched, text: "does not hold this key"},
	{name: "current key is bound to a subtrader", trouble: listed(`,"scopes":["read"],"fcm_subtrader_id":"user_abc"`), ending: untouched, text: "FCM"},
	{name: "a scope is no text", trouble: listed(`,"scopes":["read",7]`), ending: untouched, kind: "Invalid"},
	{name: "scopes are empty", trouble: listed(`,"scopes":[]`), ending: untouched, text: "full access"},
	{name: "cancelled before", trouble: cancelledBefore, ending: untouched, kind: "Canceled"},
	{name: "cancelled while listing", trouble: handled(kalshi.StageInspect, cancelBefore), ending: untouched, kind: "Canceled"},

	// A create that certainly did not happen leaves no doubt behind.
	{name: "generate is refused", trouble: faults(posts(fault{Status: 403})), ending: notMade, kind: "Forbidden", text: "no key was made"},
	{name: "cancelled between list and create", trouble: handled(kalshi.StageInspect, cancelOnceRead), ending: notMade, kind: "Canceled"},

	// After a create of unknown outcome, the new key is looked for but never deleted.
	{name: "response is lost", trouble: both(ownKey, faults(lost)), ending: perhapsMade, kind: "Unknown"},
	{name: "request is lost", trouble: faults(posts(fault{Drop: true})), ending: notMade, kind: "Unknown", text: "none is listed"},
	{name: "response is a redirect", trouble: faults(posts(fault{Status: 302, Process: true})), ending: perhapsMade, kind: "Unknown"},
	{name: "response to generate has no private key", trouble: handled(kalshi.StageCreate, setField("private_key", nil)),
		ending: ending{stage: kalshi.StageCreate, keys: "old new", newID: true, candidate: true}, kind: "Unknown"},
	{name: "cancelled while creating", trouble: handled(kalshi.StageCreate, cancelAfter), ending: perhapsMade, kind: "Unknown", text: "context canceled"},
	{name: "response is lost and the list is refused", trouble: faults(firstList, gets(forbidden), lost), ending: madeUnnamed, kind: "Unknown", text: "could not be listed"},
	{name: "response is lost and the list hangs", trouble: faults(firstList, gets(hangs), lost), ending: madeUnnamed, kind: "Unknown", text: "could not be listed", took: stageTimeout},
	{name: "created key does not parse", trouble: handled(kalshi.StageCreate, setField("private_key", "no key")), ending: madeUnusable, kind: "Validation"},

	// A key that does not work is removed again, or else named.
	{name: "verified at the second try", trouble: faults(firstList, gets(fault{Status: 401, Body: unknownKeyBody})), ending: rotated, took: 100 * time.Millisecond},
	{name: "never verified", trouble: neverWorks, ending: takenBack, kind: "Unauthorized", text: "was deleted again", took: verifyTook},
	// A 404 is weak proof for a key that no call has shown to be known yet.
	{name: "never verified and gone already", trouble: both(neverWorks, handled(kalshi.StageDelete, twice)),
		ending: ending{stage: kalshi.StageVerify, keys: "old", newID: true, key: true}, kind: "Unauthorized", took: verifyTook},
	{name: "never verified and not found at the second try", trouble: both(neverWorks, faults(deletes(fault{Status: 503}), deletes(fault{Status: 404, Body: notFoundBody}))),
		ending: notTakenBack, kind: "Unauthorized", took: verifyTook},
	{name: "never verified nor deleted", trouble: both(neverWorks, faults(deletes(forbidden))), ending: notTakenBack, kind: "Unauthorized", text: "or delete it", took: verifyTook},
	{name: "transport panics in verify", trouble: handled(kalshi.StageVerify, panics), ending: takenBack, text: "panicked with a string"},
	{name: "transport panics in verify and the key cannot be deleted", trouble: both(handled(kalshi.StageVerify, panics), faults(deletes(forbidden))), ending: notTakenBack, text: "or delete it"},
	{name: "verify hangs once", trouble: faults(firstList, gets(hangsOnce)), ending: rotated, took: attemptTimeout},
	{name: "verify hangs", trouble: faults(firstList, gets(hangs)), ending: takenBack, kind: "Timeout", took: stageTimeout},
	{name: "cancelled once created", trouble: handled(kalshi.StageCreate, cancelOnceRead), ending: rotated},
	{name: "cancelled in verify", trouble: handled(kalshi.StageVerify, cancelBefore), ending: rotated},

	// What Save has touched is left alone, and handed back.
	{name: "save fails", trouble: both(ownKey, saving(saveFails)), ending: notSaved, text: "disk full"},
	{name: "save panics with the key", trouble: saving(func(_ context.Context, _ *rotationRun, c kalshi.Credentials) error {
		panic(errors.New(pemText(c.PrivateKey())))
	}), ending: notSaved, text: "panicked with a *errors.errorString"},
	{name: "save waits too long", trouble: saving(saveHangs), ending: notSaved, kind: "Timeout", took: stageTimeout},
	{name: "cancelled in save", trouble: saving(cancelInSave), ending: rotated},

	// The new key is saved and signs: what fails now only leaves the old one.
	{name: "delete is refused", trouble: faults(deletes(fault{Status: 403})), ending: notDeleted, kind: "Forbidden", text: "delete the old one"},
	{name: "delete hangs once", trouble: faults(deletes(hangsOnce)), ending: rotated, took: attemptTimeout},
	{name: "delete hangs", trouble: faults(deletes(hangs)), ending: notDeleted, kind: "Timeout", took: stageTimeout},
	{name: "response to delete is lost", trouble: faults(deletes(fault{Drop: true, Process: true})), ending: rotated},
	// Neither a page nor a gateway's 404 proves that it is gone.
	{name: "delete gets a page", trouble: faults(deletes(fault{Body: "<html>", Times: always})), ending: notDeleted, kind: "Invalid", text: "delete the old one"},
	{name: "delete gets a gateway's 404", trouble: faults(deletes(fault{Status: 404, Body: "<html>"})), ending: notDeleted, kind: "NotFound"},
	{name: "delete gets an error in a 200", trouble: faults(deletes(fault{Body: notFoundBody, Times: always})), ending: notDeleted, kind: "Invalid"},
	{name: "cancelled in delete", trouble: handled(kalshi.StageDelete, cancelBefore), ending: rotated},
	{name: "cancelled in grace", trouble: both(with(func(req *kalshi.RotateAPIKeyRequest) { req.Grace = time.Hour }), saving(cancelInGrace)),
		ending: notDeleted, kind: "Canceled", text: "grace", took: time.Minute},
}

// Whatever fails, wherever: a working key signs, and the error names all that
// is left behind. It makes no difference whether a key rotates itself or an
// admin key rotates one of a bot, which may have next to no rights.
func TestRotation_failures(t *testing.T) {
	runRotations(t, rotationTests, runsOf(map[string]kalshitest.Key{
		"a reader":                {Scopes: []string{"read"}},
		"a key that may not list": {Scopes: []string{"read::portfolio_balance"}},
		"a sub-account's key":     {Subaccount: new(0)},
	}))
}

func runRotations(t *testing.T, tests []rotationTest, runs map[string]func(testing.TB) *rotationRun) {
	t.Parallel()
	for name, newRun := range runs {
		for _, tt := range tests {
			runInBubble(t, name+"/"+tt.name, func(t *testing.T) { tt.run(t, newRun(t)) })
		}
	}
}

func (tt *rotationTest) run(t *testing.T, run *rotationRun) {
	var ctx context.Context
	ctx, run.cancel = context.WithCancel(t.Context())
	defer run.cancel()
	tt.trouble(run)
	began := time.Now()
	got, err := run.rotate(ctx, run.req)
	run.over = true

	assert.InDelta(t, tt.took.Seconds(), time.Since(began).Seconds(), 0.3, "time taken, in seconds: two retries wait that long at most")
	keys, newID := run.keys()
	assert.Equal(t, tt.ending.keys, keys, "keys in the exchange")
	assert.Equal(t, tt.ending.saved, len(run.saved) == 1, "saved")
	signs := oldKeyID
	if tt.ending.stage == "" || tt.ending.stage == kalshi.StageDelete {
		signs = newID
	}
	assert.Equal(t, signs, run.signer.KeyID(), "the key that signs")
	if tt.ending.stage == "" {
		require.NoError(t, err)
		assert.Equal(t, &kalshi.RotateAPIKeyResponse{OldKeyID: oldKeyID, NewKeyID: newID}, got)
	} else {
		assert.Nil(t, got)
		tt.checkError(t, err, newID, run)
	}
	run.ClearFaults()
	run.requireSigns(t)
	time.Sleep(attemptTimeout) // as long as a timer of net/http outlives a panic
}

func (tt *rotationTest) checkError(t *testing.T, err error, newID string, run *rotationRun) {
	t.Helper()
	failed, left := requireFails(t, err, tt.ending.stage), tt.ending
	assert.Equal(t, oldKeyID, failed.OldKeyID)
	assert.Equal(t, left.newID, failed.NewKeyID != "", "the error names the new key")
	if left.newID && newID != "" {
		assert.Equal(t, newID, failed.NewKeyID)
	}
	assert.ErrorContains(t, err, failed.NewKeyID)
	if left.candidate {
		assert.Equal(t, []string{newID}, failed.Candidates)
		assert.ErrorContains(t, err, newID)
	} else {
		assert.Empty(t, failed.Candidates)
	}
	if tt.kind != "" {
		assert.Equal(t, tt.kind, kindOf(err))
	}
	assert.ErrorContains(t, err, tt.text)
	private := failed.PrivateKey.Reveal()
	assert.Equal(t, left.key && run.req.PrivateKey == nil, private != "", "the private key is handed back")
	if len(run.saved) == 1 {
		text := pemText(run.saved[0].PrivateKey())
		assert.NotContains(t, err.Error(), strings.Split(text, "\n")[1], "the private key shows")
		if private != "" {
			assert.Equal(t, text, private, "the key that Save got")
		}
	}
}
