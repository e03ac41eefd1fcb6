package kalshi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type rotationTest struct {
	name    string
	current APIKey // zero is a plain one
	faults  map[point]memoryFault
	save    func(ctx context.Context, x *memoryExchange, key *GenerateAPIKeyResponse) error
	private bool // register a key of the caller's own
	early   bool // cancel before the rotation begins
	grace   time.Duration

	stage      RotationStage // empty is success
	keys       string        // left on the server, beside one that nobody touches
	saved      string        // what Save was called with
	newID      string
	handedBack bool
	candidates []string
	cause      error    // found by errors.Is
	is         any      // found by errors.As
	text       []string // in the error
	took       time.Duration
}

// Both keys, or one of them, as they stand in the tables below.
const (
	keyOld  = "old"
	keyNew  = "new-1"
	keyBoth = "old new-1"
)

var (
	errSave        = errors.New("disk full")
	unknownKeyBody = `{"error":{"code":"authentication_error","message":"authentication_error","details":"NOT_FOUND"}}`
	forbiddenBody  = `{"error":{"code":"insufficient_scope:_write_required","message":"insufficient scope: write required"}}`
)

func saveFails(context.Context, *memoryExchange, *GenerateAPIKeyResponse) error { return errSave }

var rotationTests = []rotationTest{
	// Before the mint nothing has happened.
	{name: "list refused", faults: map[point]memoryFault{atInspect: refuse(403, forbiddenBody)},
		stage: StageInspect, keys: keyOld, is: new(*ForbiddenError)},
	{name: "list fails at every attempt", faults: map[point]memoryFault{atInspect: refuse(503, "")},
		stage: StageInspect, keys: keyOld, is: new(*ServerError)},
	{name: "list cannot be understood", faults: map[point]memoryFault{atInspect: refuse(200, "{}")},
		stage: StageInspect, keys: keyOld, is: new(*InvalidResponseError)},
	{name: "current key is not listed", faults: map[point]memoryFault{atInspect: refuse(200, `{"api_keys":[]}`)},
		stage: StageInspect, keys: keyOld, text: []string{"does not hold this key"}},
	{name: "current key is bound to a subtrader", current: APIKey{Scopes: []Scope{ScopeRead}, FCMSubtraderID: "user_abc"},
		stage: StageInspect, keys: keyOld, text: []string{"FCM"}},
	{name: "scopes empty", current: APIKey{Scopes: []Scope{}},
		stage: StageInspect, keys: keyOld, text: []string{"without scopes", "full access"}},
	{name: "scopes absent", faults: map[point]memoryFault{atInspect: refuse(200, `{"api_keys":[{"api_key_id":"`+testKeyID+`","name":"bot"}]}`)},
		stage: StageInspect, keys: keyOld, text: []string{"without scopes", "full access"}},
	{name: "cancelled before", early: true,
		stage: StageInspect, keys: keyOld, cause: context.Canceled},
	{name: "cancelled while listing", faults: map[point]memoryFault{atInspect: cancelBefore},
		stage: StageInspect, keys: keyOld, cause: context.Canceled},

	// A mint that certainly did not happen leaves no doubt behind.
	{name: "mint refused", faults: map[point]memoryFault{atMint: refuse(403, forbiddenBody)},
		stage: StageMint, keys: keyOld, is: new(*ForbiddenError)},
	{name: "registering refused", private: true, faults: map[point]memoryFault{atMint: refuse(403, forbiddenBody)},
		stage: StageMint, keys: keyOld, is: new(*ForbiddenError)},
	{name: "cancelled between listing and minting", faults: map[point]memoryFault{atInspect: cancelOnceRead},
		stage: StageMint, keys: keyOld, cause: context.Canceled},

	// One of unknown outcome is looked for, and never deleted.
	{name: "mint answer lost", faults: map[point]memoryFault{atMint: loseAnswer},
		stage: StageMint, keys: keyBoth, candidates: []string{keyNew}, cause: errConnectionLost, is: new(*OutcomeUnknownError), text: []string{keyNew}},
	{name: "registering answer lost", private: true, faults: map[point]memoryFault{atMint: loseAnswer},
		stage: StageMint, keys: keyBoth, candidates: []string{keyNew}, cause: errConnectionLost, is: new(*OutcomeUnknownError), text: []string{keyNew}},
	{name: "mint request lost", faults: map[point]memoryFault{atMint: lose},
		stage: StageMint, keys: keyOld, is: new(*OutcomeUnknownError)},
	{name: "mint answered by a broken gateway", faults: map[point]memoryFault{atMint: replaceAnswer(502, "<html>")},
		stage: StageMint, keys: keyBoth, candidates: []string{keyNew}, is: new(*OutcomeUnknownError), text: []string{keyNew}},
	{name: "mint answer without its private key", faults: map[point]memoryFault{atMint: replaceAnswer(201, `{"api_key_id":"new-1"}`)},
		stage: StageMint, keys: keyBoth, newID: keyNew, candidates: []string{keyNew}, is: new(*OutcomeUnknownError), text: []string{keyNew}},
	{name: "cancelled while minting", faults: map[point]memoryFault{atMint: cancelAfter},
		stage: StageMint, keys: keyBoth, candidates: []string{keyNew}, cause: context.Canceled, is: new(*OutcomeUnknownError)},
	{name: "mint answer lost and list fails", faults: map[point]memoryFault{atMint: loseAnswer, atReconcile: refuse(403, forbiddenBody)},
		stage: StageMint, keys: keyBoth, cause: errConnectionLost, is: new(*OutcomeUnknownError), text: []string{"could not be listed"}},
	{name: "mint answer lost and list hangs", faults: map[point]memoryFault{atMint: loseAnswer, atReconcile: hang},
		stage: StageMint, keys: keyBoth, cause: errConnectionLost, is: new(*OutcomeUnknownError), text: []string{"could not be listed"}, took: 30 * time.Second},
	{name: "minted key does not parse", faults: map[point]memoryFault{atMint: replaceAnswer(201, `{"api_key_id":"new-1","private_key":"no key"}`)},
		stage: StageMint, keys: keyBoth, newID: keyNew, handedBack: true, is: new(*ValidationError), text: []string{keyNew}},

	// A key that does not work is removed again, or else named.
	{name: "verified at the second try", faults: map[point]memoryFault{atVerify: once(refuse(401, unknownKeyBody))},
		keys: keyNew, saved: keyNew},
	{name: "never verified", faults: map[point]memoryFault{atVerify: refuse(401, unknownKeyBody)},
		stage: StageVerify, keys: keyOld, newID: keyNew, is: new(*UnauthorizedError), text: []string{keyNew + " was deleted again"}, took: 10 * time.Second},
	// A 404 is weak proof for a key that no call has shown to be known yet.
	{name: "never verified and gone already", faults: map[point]memoryFault{atVerify: refuse(401, unknownKeyBody), atDiscard: func(_ *memoryExchange, _ *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
		process()
		return process(), nil
	}},
		stage: StageVerify, keys: keyOld, newID: keyNew, handedBack: true, is: new(*UnauthorizedError), took: 10 * time.Second},
	{name: "never verified nor deleted", faults: map[point]memoryFault{atVerify: refuse(401, unknownKeyBody), atDiscard: refuse(403, forbiddenBody)},
		stage: StageVerify, keys: keyBoth, newID: keyNew, handedBack: true, is: new(*UnauthorizedError), text: []string{keyNew, "delete"}, took: 10 * time.Second},
	{name: "verify hangs", faults: map[point]memoryFault{atVerify: hang},
		stage: StageVerify, keys: keyOld, newID: keyNew, cause: context.DeadlineExceeded, took: 30 * time.Second},
	{name: "cancelled once minted", faults: map[point]memoryFault{atMint: cancelOnceRead}, keys: keyNew, saved: keyNew},
	{name: "cancelled in verify", faults: map[point]memoryFault{atVerify: cancelBefore}, keys: keyNew, saved: keyNew},

	// What Save has touched is left alone, and handed back.
	{name: "save fails", save: saveFails,
		stage: StageSave, keys: keyBoth, saved: keyNew, newID: keyNew, handedBack: true, cause: errSave, text: []string{"disk full", keyNew}},
	{name: "save of the caller's own key fails", private: true, save: saveFails,
		stage: StageSave, keys: keyBoth, saved: keyNew, newID: keyNew, handedBack: true, cause: errSave},
	{name: "save panics", save: func(context.Context, *memoryExchange, *GenerateAPIKeyResponse) error { panic("boom") },
		stage: StageSave, keys: keyBoth, saved: keyNew, newID: keyNew, handedBack: true, text: []string{"panicked", "string"}},
	{name: "save panics with the key", save: func(_ context.Context, _ *memoryExchange, key *GenerateAPIKeyResponse) error { panic(key) },
		stage: StageSave, keys: keyBoth, saved: keyNew, newID: keyNew, handedBack: true, text: []string{"*kalshi.GenerateAPIKeyResponse"}},
	{name: "save panics with the key's text", save: func(_ context.Context, _ *memoryExchange, key *GenerateAPIKeyResponse) error {
		panic(errors.New(key.PrivateKey.Reveal()))
	},
		stage: StageSave, keys: keyBoth, saved: keyNew, newID: keyNew, handedBack: true, text: []string{"*errors.errorString"}},
	{name: "save waits too long", save: func(ctx context.Context, _ *memoryExchange, _ *GenerateAPIKeyResponse) error {
		<-ctx.Done()
		return ctx.Err()
	},
		stage: StageSave, keys: keyBoth, saved: keyNew, newID: keyNew, handedBack: true, cause: context.DeadlineExceeded, took: 30 * time.Second},
	{name: "cancelled in save", save: func(ctx context.Context, x *memoryExchange, _ *GenerateAPIKeyResponse) error {
		x.cancel()
		return ctx.Err()
	},
		keys: keyNew, saved: keyNew},

	// The new key is saved and signs: what fails now only leaves the old one.
	{name: "delete refused", faults: map[point]memoryFault{atDelete: refuse(403, forbiddenBody)},
		stage: StageDelete, keys: keyBoth, saved: keyNew, newID: keyNew, is: new(*ForbiddenError), text: []string{keyNew, "delete the old one"}},
	{name: "delete hangs", faults: map[point]memoryFault{atDelete: hang},
		stage: StageDelete, keys: keyBoth, saved: keyNew, newID: keyNew, cause: context.DeadlineExceeded, took: 30 * time.Second},
	{name: "delete never answered", faults: map[point]memoryFault{atDelete: lose},
		stage: StageDelete, keys: keyBoth, saved: keyNew, newID: keyNew, cause: errConnectionLost},
	{name: "delete answer lost", faults: map[point]memoryFault{atDelete: once(loseAnswer)}, keys: keyNew, saved: keyNew},
	{name: "old key gone already", faults: map[point]memoryFault{atDelete: func(_ *memoryExchange, _ *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
		process()
		return process(), nil
	}},
		keys: keyNew, saved: keyNew},
	{name: "cancelled in delete", faults: map[point]memoryFault{atDelete: cancelBefore}, keys: keyNew, saved: keyNew},
	{name: "cancelled in grace", grace: time.Hour, save: func(_ context.Context, x *memoryExchange, _ *GenerateAPIKeyResponse) error {
		time.AfterFunc(time.Minute, x.cancel)
		return nil
	},
		stage: StageDelete, keys: keyBoth, saved: keyNew, newID: keyNew, cause: context.Canceled, text: []string{"grace"}, took: time.Minute},
}

// Whatever fails, wherever: a working key signs, and the error tells all that
// is left behind.
func TestClient_RotateAPIKey_failures(t *testing.T) {
	t.Parallel()
	for _, tt := range rotationTests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, tt.run)
		})
	}
}

func (tt *rotationTest) run(t *testing.T) {
	client, mock := newTestClient(t)
	current := tt.current
	if current.Scopes == nil {
		current.Scopes = []Scope{ScopeRead, ScopeWrite}
	}
	current.Name = "bot"
	x := newMemoryExchange(client, mock, current)
	x.faults = tt.faults
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	x.cancel = cancel
	if tt.early {
		cancel()
	}

	var saved savedKeys
	req := RotateAPIKeyRequest{Grace: tt.grace, Save: func(ctx context.Context, key *GenerateAPIKeyResponse) error {
		_ = saved.save(ctx, key)
		if tt.save == nil {
			return nil
		}
		return tt.save(ctx, x, key)
	}}
	if tt.private {
		req.PrivateKey = newEd25519Key(t)
	}
	began := time.Now()
	got, err := client.RotateAPIKey(ctx, req)

	assert.InDelta(t, tt.took.Seconds(), time.Since(began).Seconds(), 0.9, "time taken, in seconds")
	wantKeys := strings.Fields(strings.Replace(tt.keys, keyOld, testKeyID, 1))
	assert.Equal(t, append([]string{"other"}, wantKeys...), x.ids(), "keys on the server")
	assert.Equal(t, strings.Fields(tt.saved), append([]string{}, saved.ids...), "saved")
	if tt.stage == "" {
		require.NoError(t, err)
		assert.Equal(t, &RotateAPIKeyResponse{OldKeyID: testKeyID, NewKeyID: keyNew}, got)
	} else {
		assert.Nil(t, got)
		tt.checkError(t, x, err)
	}

	wantSigner := testKeyID
	if tt.stage == "" || tt.stage == StageDelete {
		wantSigner = keyNew
	}
	assert.Equal(t, wantSigner, client.Signer().KeyID(), "the key that signs")
	x.faults = nil
	requireWorks(t, client)
}

func (tt *rotationTest) checkError(t *testing.T, x *memoryExchange, err error) {
	t.Helper()
	var rotation *RotationError
	require.ErrorAs(t, err, &rotation)
	assert.Equal(t, tt.stage, rotation.Stage)
	assert.Equal(t, testKeyID, rotation.OldKeyID)
	assert.Equal(t, tt.newID, rotation.NewKeyID)
	assert.Equal(t, tt.candidates, rotation.Candidates)
	if tt.cause != nil {
		assert.ErrorIs(t, err, tt.cause)
	}
	if tt.is != nil {
		assert.ErrorAs(t, err, tt.is)
	}
	for _, text := range append(tt.text, testKeyID) {
		assert.Contains(t, err.Error(), text)
	}
	for _, private := range x.private {
		assert.NotContains(t, err.Error(), strings.Split(private, "\n")[1], "the private key shows")
	}
	unparsable := tt.handedBack && tt.stage == StageMint
	switch {
	case !tt.handedBack:
		assert.Nil(t, rotation.Key)
	case assert.NotNil(t, rotation.Key, "the key must be handed back") && !unparsable:
		assert.Equal(t, tt.newID, rotation.Key.ID)
		assert.Equal(t, x.private[tt.newID], rotation.Key.PrivateKey.Reveal())
	}
}
