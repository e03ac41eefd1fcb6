package kalshi

import (
	"context"
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// A rotationRun is a client, an exchange that holds the key to rotate as
// testKeyID, and what Save was handed.
type rotationRun struct {
	over     bool // no handler changes what is sent any more
	client   *Client
	signer   *Signer // whose key is rotated: the client's, or a bot's if the client has an admin key
	exchange *kalshitest.Server
	cancel   context.CancelFunc // of the rotation's context
	saved    []*GenerateAPIKeyResponse
}

// newRotationRun has a client rotate its own key.
func newRotationRun(t testing.TB) *rotationRun {
	t.Helper()
	run := newAdminRun(t, kalshitest.Key{})
	run.client.signer = run.signer
	return run
}

// newAdminRun has a client with an admin key rotate the key of a bot.
func newAdminRun(t testing.TB, bot kalshitest.Key) *rotationRun {
	t.Helper()
	run := new(rotationRun)
	run.client, run.exchange = newExchange(t)
	bot.ID, bot.Name = testKeyID, "bot"
	key, err := ParsePrivateKey([]byte(run.exchange.AddKey(bot).PrivateKey))
	require.NoError(t, err)
	run.signer = newTestSigner(t, key)
	run.exchange.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	return run
}

// runsOf has a key rotate itself, and an admin key rotate each of the bots.
func runsOf(bots map[string]kalshitest.Key) map[string]func(testing.TB) *rotationRun {
	runs := map[string]func(testing.TB) *rotationRun{"itself": newRotationRun}
	for name, bot := range bots {
		runs[name] = func(t testing.TB) *rotationRun { return newAdminRun(t, bot) }
	}
	return runs
}

func (run *rotationRun) admin() bool { return run.signer != run.client.signer }

// rotate rotates the key of the run's signer.
func (run *rotationRun) rotate(ctx context.Context, req RotateAPIKeyRequest) (*RotateAPIKeyResponse, error) {
	if run.admin() {
		req.Signer = run.signer
	}
	return run.client.RotateAPIKey(ctx, req)
}

// requireSigns requires that the key that signs now works, whatever its scopes.
func (run *rotationRun) requireSigns(t testing.TB) {
	t.Helper()
	client := *run.client
	client.signer = run.signer
	resp, err := client.HTTPClient().Get(run.exchange.URL + "/portfolio/balance")
	require.NoError(t, err)
	require.NoError(t, CheckResponse(resp))
	require.NoError(t, resp.Body.Close())
}

func (run *rotationRun) save(_ context.Context, key *GenerateAPIKeyResponse) error {
	run.saved = append(run.saved, key)
	return nil
}

// keys are those that exist now, beside two that have nothing to do with the
// rotation: "old", "new" or "old new". They come with the new one's ID.
func (run *rotationRun) keys() (names, newID string) {
	var found []string
	for _, key := range run.exchange.Keys() {
		switch key.ID {
		case run.exchange.KeyID, otherKeyID:
		case testKeyID:
			found = append(found, "old")
		default:
			found, newID = append(found, "new"), key.ID
		}
	}
	return strings.Join(found, " "), newID
}

// stageOf returns the stage that sends such a request. The listing after a
// create of unknown outcome counts as StageInspect, the rollback as StageDelete.
func (run *rotationRun) stageOf(req *http.Request) RotationStage {
	switch {
	case req.Method == http.MethodPost:
		return StageMint
	case req.Method == http.MethodDelete:
		return StageDelete
	case req.Header.Get(headerKey) == run.client.signer.KeyID():
		return StageInspect
	default:
		return StageVerify
	}
}

// A handler sends a request in its own way.
type handler func(run *rotationRun, req *http.Request, send roundTripper) (*http.Response, error)

// at has the handler send the requests of a stage.
func (run *rotationRun) at(stage RotationStage, handle handler) {
	intercept(run.client, func(req *http.Request, send roundTripper) (*http.Response, error) {
		if !run.over && run.stageOf(req) == stage {
			return handle(run, req, send)
		}
		return send(req)
	})
}

// cancelBefore cancels the rotation when the request is about to be sent.
func cancelBefore(run *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
	run.cancel()
	return send(req)
}

// cancelAfter cancels it when the request has been processed, and loses the
// response.
func cancelAfter(run *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
	resp, err := send(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	run.cancel()
	return nil, errors.Join(err, context.Canceled)
}

// cancelOnceRead cancels it when the response has been read.
func cancelOnceRead(run *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
	return onceRead(run.cancel)(send(req))
}

// twice sends the request a second time, and returns that response.
func twice(_ *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
	if resp, err := send(req); err == nil {
		_ = resp.Body.Close()
	}
	return send(req)
}

// setField changes a field of a response; nil removes it.
func setField(name string, value any) handler {
	return func(_ *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
		resp, err := send(req)
		if err != nil {
			return nil, err
		}
		return editJSON(resp, func(fields map[string]any) { fields[name] = value })
	}
}

func panics(*rotationRun, *http.Request, roundTripper) (*http.Response, error) { panic("a bug") }

// editJSON changes the body of a response.
func editJSON(resp *http.Response, edit func(fields map[string]any)) (*http.Response, error) {
	if resp.StatusCode/100 != 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	fields := map[string]any{}
	if err := json.NewDecoder(resp.Body).Decode(&fields); err != nil {
		return nil, err
	}
	edit(fields)
	body, err := json.Marshal(fields)
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(string(body))), int64(len(body))
	return resp, err
}

var errSave = errors.New("disk full")

// A rotationTest is what goes wrong with a rotation, and what is left of it.
type rotationTest struct {
	name    string
	faults  []kalshitest.Fault
	at      RotationStage // where handle sends the requests
	handle  handler
	save    func(ctx context.Context, run *rotationRun, key *GenerateAPIKeyResponse) error
	private bool // register a key of the caller's own
	early   bool // cancel before the rotation begins
	grace   time.Duration

	stage      RotationStage // empty is success
	keys       string        // left in the exchange
	saved      bool          // Save was called
	newID      bool          // the error names the new key
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
	const list, create, remove, always = http.MethodGet, http.MethodPost, http.MethodDelete, -1
	one := func(f fault) []fault { return []fault{f} }
	// Of the listings, the first one is left alone.
	listAgain := func(f fault, more ...fault) []fault {
		f.Method = list
		return append([]fault{{Method: list}, f}, more...)
	}
	listed := func(fields string) []fault {
		return one(fault{Method: list, Body: `{"api_keys":[{"api_key_id":"` + testKeyID + `","name":"bot"` + fields + `}]}`})
	}
	forbidden := fault{Status: 403, Body: forbiddenBody, Times: always}
	unknownKey := fault{Status: 401, Body: unknownKeyBody, Times: always}
	lost := one(fault{Method: create, Drop: true, Process: true})
	hangs := fault{Method: remove, Delay: time.Hour, Times: always}
	return []rotationTest{
		// Before the create nothing has happened.
		{name: "list is refused", faults: one(forbidden), stage: StageInspect, keys: "old", kind: "Forbidden"},
		{name: "current key is not listed", faults: one(fault{Body: `{"api_keys":[]}`}), stage: StageInspect, keys: "old", text: "does not hold this key"},
		{name: "current key is bound to a subtrader", faults: listed(`,"scopes":["read"],"fcm_subtrader_id":"user_abc"`), stage: StageInspect, keys: "old", text: "FCM"},
		{name: "a scope is no text", faults: listed(`,"scopes":["read",7]`), stage: StageInspect, keys: "old", text: "cannot be read"},
		{name: "scopes are empty", faults: listed(`,"scopes":[]`), stage: StageInspect, keys: "old", text: "full access"},
		{name: "cancelled before", early: true, stage: StageInspect, keys: "old", kind: "Canceled"},
		{name: "cancelled while listing", at: StageInspect, handle: cancelBefore, stage: StageInspect, keys: "old", kind: "Canceled"},

		// A create that certainly did not happen leaves no doubt behind.
		{name: "generate is refused", faults: one(fault{Method: create, Status: 403}), stage: StageMint, keys: "old", kind: "Forbidden"},
		{name: "cancelled between list and create", at: StageInspect, handle: cancelOnceRead, stage: StageMint, keys: "old", kind: "Canceled"},

		// A key that one of unknown outcome may have created is looked for, and never deleted.
		{name: "response is lost", private: true, faults: lost, stage: StageMint, keys: "old new", candidate: true, kind: "Unknown"},
		{name: "request is lost", faults: one(fault{Method: create, Drop: true}), stage: StageMint, keys: "old", kind: "Unknown"},
		{name: "response to generate has no private key", at: StageMint, handle: setField("private_key", nil), stage: StageMint, keys: "old new", newID: true, candidate: true, kind: "Unknown"},
		{name: "cancelled while creating", at: StageMint, handle: cancelAfter, stage: StageMint, keys: "old new", candidate: true, kind: "Unknown", cause: context.Canceled},
		{name: "response is lost and the list is refused", faults: listAgain(forbidden, lost...), stage: StageMint, keys: "old new", kind: "Unknown", text: "could not be listed"},
		{name: "response is lost and the list hangs", faults: listAgain(fault{Delay: time.Hour}, lost...), stage: StageMint, keys: "old new", kind: "Unknown", text: "could not be listed", took: 30 * time.Second},
		{name: "created key does not parse", at: StageMint, handle: setField("private_key", "no key"), stage: StageMint, keys: "old new", newID: true, handedBack: true, kind: "Validation"},

		// A key that does not work is removed again, or else named.
		{name: "verified at the second try", faults: listAgain(fault{Status: 401, Body: unknownKeyBody}), keys: "new", saved: true, took: 100 * time.Millisecond},
		{name: "never verified", faults: listAgain(unknownKey), stage: StageVerify, keys: "old", newID: true, kind: "Unauthorized", text: "was deleted again", took: 10 * time.Second},
		// A 404 is weak proof for a key that no call has shown to be known yet.
		{name: "never verified and gone already", faults: listAgain(unknownKey), at: StageDelete, handle: twice, stage: StageVerify, keys: "old", newID: true, handedBack: true, kind: "Unauthorized", took: 10 * time.Second},
		{name: "never verified and not found at the second try", faults: listAgain(unknownKey, fault{Method: remove, Status: 503}, fault{Method: remove, Status: 404, Body: notFoundBody}),
			stage: StageVerify, keys: "old new", newID: true, handedBack: true, kind: "Unauthorized", took: 10 * time.Second},
		{name: "never verified nor deleted", faults: listAgain(unknownKey, fault{Method: remove, Status: 403}), stage: StageVerify, keys: "old new", newID: true, handedBack: true, kind: "Unauthorized", text: "or delete it", took: 10 * time.Second},
		{name: "transport panics in verify", at: StageVerify, handle: panics, stage: StageVerify, keys: "old", newID: true, text: "panicked with a string"},
		{name: "transport panics in verify and the key cannot be deleted", at: StageVerify, handle: panics, faults: one(fault{Method: remove, Status: 403}),
			stage: StageVerify, keys: "old new", newID: true, handedBack: true, text: "or delete it"},
		{name: "verify hangs", faults: listAgain(fault{Delay: time.Hour, Times: always}), stage: StageVerify, keys: "old", newID: true, cause: context.DeadlineExceeded, took: 30 * time.Second},
		{name: "cancelled once created", at: StageMint, handle: cancelOnceRead, keys: "new", saved: true},
		{name: "cancelled in verify", at: StageVerify, handle: cancelBefore, keys: "new", saved: true},

		// What Save has touched is left alone, and handed back.
		{name: "save fails", private: true, save: saveFails, stage: StageSave, keys: "old new", saved: true, newID: true, handedBack: true, cause: errSave, text: "disk full"},
		{name: "save panics with the key", save: func(_ context.Context, _ *rotationRun, key *GenerateAPIKeyResponse) error { panic(key) },
			stage: StageSave, keys: "old new", saved: true, newID: true, handedBack: true, text: "panicked with a *kalshi.GenerateAPIKeyResponse"},
		{name: "save panics with the key's text", save: func(_ context.Context, _ *rotationRun, key *GenerateAPIKeyResponse) error {
			panic(errors.New(key.PrivateKey.Reveal()))
		}, stage: StageSave, keys: "old new", saved: true, newID: true, handedBack: true, text: "panicked with a *errors.errorString"},
		{name: "save waits too long", save: func(ctx context.Context, _ *rotationRun, _ *GenerateAPIKeyResponse) error {
			<-ctx.Done()
			return ctx.Err()
		}, stage: StageSave, keys: "old new", saved: true, newID: true, handedBack: true, cause: context.DeadlineExceeded, took: 30 * time.Second},
		{name: "cancelled in save", save: func(ctx context.Context, run *rotationRun, _ *GenerateAPIKeyResponse) error {
			run.cancel()
			return ctx.Err()
		}, keys: "new", saved: true},
		// A Save that wipes what it was handed must not wipe the last copy of the key.
		{name: "save wipes the key", save: func(_ context.Context, _ *rotationRun, key *GenerateAPIKeyResponse) error {
			_ = key.PrivateKey.UnmarshalText([]byte("wiped"))
			*key = GenerateAPIKeyResponse{}
			return errSave
		}, stage: StageSave, keys: "old new", saved: true, newID: true, handedBack: true, cause: errSave},

		// The new key is saved and signs: what fails now only leaves the old one.
		{name: "delete is refused", faults: one(fault{Method: remove, Status: 403}), stage: StageDelete, keys: "old new", saved: true, newID: true, kind: "Forbidden", text: "delete the old one"},
		{name: "delete hangs", faults: one(hangs), stage: StageDelete, keys: "old new", saved: true, newID: true, cause: context.DeadlineExceeded, took: 30 * time.Second},
		{name: "response to delete is lost", faults: one(fault{Method: remove, Drop: true, Process: true}), keys: "new", saved: true},
		{name: "old key is gone already", at: StageDelete, handle: twice, keys: "new", saved: true,
			warning: "the old key was gone already: another process may have rotated it, and its new key exists too"},
		// Neither a page nor a gateway's 404 proves that it is gone.
		{name: "delete gets a page", faults: one(fault{Method: remove, Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}}, Times: always}), stage: StageDelete, keys: "old new", saved: true, newID: true, kind: "Invalid", text: "delete the old one"},
		{name: "delete gets a gateway's 404", faults: one(fault{Method: remove, Status: 404, Body: "<html>"}), stage: StageDelete, keys: "old new", saved: true, newID: true, kind: "NotFound"},
		{name: "cancelled in delete", at: StageDelete, handle: cancelBefore, keys: "new", saved: true},
		{name: "cancelled in grace", grace: time.Hour, save: func(_ context.Context, run *rotationRun, _ *GenerateAPIKeyResponse) error {
			time.AfterFunc(time.Minute, run.cancel)
			return nil
		}, stage: StageDelete, keys: "old new", saved: true, newID: true, kind: "Canceled", text: "grace", took: time.Minute},
	}
}

func saveFails(context.Context, *rotationRun, *GenerateAPIKeyResponse) error { return errSave }

// Whatever fails, wherever: a working key signs, and the error names all that
// is left behind. It makes no difference whether a key rotates itself or an
// admin key rotates one of a bot, which may have next to no rights.
func TestClient_RotateAPIKey_failures(t *testing.T) {
	t.Parallel()
	for name, newRun := range runsOf(map[string]kalshitest.Key{
		"a trader":                {Scopes: []string{"read", "write::trade"}},
		"a reader":                {Scopes: []string{"read"}},
		"a key that may not list": {Scopes: []string{"read::portfolio_balance"}},
		"a sub-account's key":     {Subaccount: pointerTo(0)},
	}) {
		for _, tt := range rotationTests() {
			t.Run(name+"/"+tt.name, func(t *testing.T) {
				inBubble(t, func(t *testing.T) { tt.run(t, newRun(t)) })
			})
		}
	}
}

func (tt *rotationTest) run(t *testing.T, run *rotationRun) {
	run.exchange.Inject(tt.faults...)
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
	req := RotateAPIKeyRequest{Grace: tt.grace, Save: func(ctx context.Context, key *GenerateAPIKeyResponse) error {
		private = key.PrivateKey.Reveal()
		_ = run.save(ctx, key)
		if tt.save == nil {
			return nil
		}
		return tt.save(ctx, run, key)
	}}
	if tt.private {
		req.PrivateKey = newEd25519Key(t)
	}
	began := time.Now()
	got, err := run.rotate(ctx, req)
	run.over = true

	assert.InDelta(t, tt.took.Seconds(), time.Since(began).Seconds(), 0.9, "time taken, in seconds")
	keys, newID := run.keys()
	assert.Equal(t, tt.keys, keys, "keys in the exchange")
	assert.Equal(t, tt.saved, len(run.saved) == 1)
	signs := testKeyID
	if tt.stage == "" || tt.stage == StageDelete {
		signs = newID
	}
	assert.Equal(t, signs, run.signer.KeyID(), "the key that signs")
	if tt.stage == "" {
		require.NoError(t, err)
		assert.Equal(t, &RotateAPIKeyResponse{OldKeyID: testKeyID, NewKeyID: newID, Warning: tt.warning}, got)
	} else {
		assert.Nil(t, got)
		tt.checkError(t, err, newID, private)
	}
	run.exchange.ClearFaults()
	run.requireSigns(t)
}

func (tt *rotationTest) checkError(t *testing.T, err error, newID, private string) {
	t.Helper()
	var rotation *RotationError
	require.ErrorAs(t, err, &rotation)
	assert.Equal(t, []any{tt.stage, testKeyID}, []any{rotation.Stage, rotation.OldKeyID})
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
	if tt.handedBack && tt.stage != StageMint {
		assert.Equal(t, rotation.NewKeyID, rotation.Key.ID)
		assert.True(t, tt.stage == StageVerify || private == rotation.Key.PrivateKey.Reveal(), "the whole key")
		assert.Equal(t, !tt.private, rotation.Key.PrivateKey.Reveal() != "")
	}
}

// A key rotates itself, or an admin's key lists, makes and deletes in its place;
// then the new one signs one call, to prove itself. It has the old one's rights,
// and the bot follows.
func TestClient_RotateAPIKey(t *testing.T) {
	t.Parallel()
	const byAdmin = "GET admin, POST admin, GET new, DELETE admin"
	const listedTwice = "GET admin, POST admin, GET new, GET admin, DELETE admin"
	for _, tt := range []struct {
		name   string
		itself bool
		bot    kalshitest.Key
		sent   string
	}{
		{"itself", true, kalshitest.Key{}, "GET old, POST old, GET new, DELETE new"},
		{"a trader", false, kalshitest.Key{Scopes: []string{"read", "write::trade"}}, byAdmin},
		{"a reader", false, kalshitest.Key{Scopes: []string{"read"}}, byAdmin},
		{"a key of all rights", false, kalshitest.Key{}, byAdmin},
		{"a key that may not list", false, kalshitest.Key{Scopes: []string{"write::trade", "read::portfolio_balance"}}, listedTwice},
		{"the primary account's key", false, kalshitest.Key{Subaccount: pointerTo(0)}, listedTwice},
		{"a sub-account's key", false, kalshitest.Key{Scopes: []string{"read"}, Subaccount: pointerTo(63)}, listedTwice},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			run := newAdminRun(t, tt.bot)
			admin := run.exchange.KeyID
			if tt.itself {
				run.client.signer = run.signer
			}
			before := run.exchange.Keys()[2]
			got, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: func(ctx context.Context, key *GenerateAPIKeyResponse) error {
				assert.Equal(t, testKeyID, run.signer.KeyID(), "the switch comes after Save")
				return run.save(ctx, key)
			}})
			require.NoError(t, err)
			keys, newID := run.keys()
			assert.Equal(t, "new", keys)
			assert.Equal(t, &RotateAPIKeyResponse{OldKeyID: testKeyID, NewKeyID: newID}, got)
			after := run.exchange.Keys()[2]
			assert.Equal(t, []any{before.Name, before.Type, before.Scopes, before.Subaccount}, []any{after.Name, after.Type, after.Scopes, after.Subaccount})
			assert.Equal(t, newID, run.signer.KeyID())
			assert.Equal(t, map[bool]string{true: newID, false: admin}[tt.itself], run.client.Signer().KeyID())
			var sent []string
			for _, r := range run.exchange.Requests() {
				sent = append(sent, r.Method+" "+map[string]string{testKeyID: "old", newID: "new", admin: "admin"}[r.KeyID])
			}
			assert.Equal(t, tt.sent, strings.Join(sent, ", "), "by which key")
			run.requireSigns(t)
			run.signer, err = run.saved[0].Signer()
			require.NoError(t, err, "what Save got is a whole key")
			run.requireSigns(t)
		})
	}
}

// A copy that drops scopes or the sub-account would be a stronger key.
func TestClient_RotateAPIKey_copiesTheKey(t *testing.T) {
	t.Parallel()
	const scopes = `"scopes":["read","write"]`
	tests := []struct {
		name    string
		signer  crypto.Signer
		current string // fields of the current key
		req     RotateAPIKeyRequest
		want    string
	}{
		{"scopes of tomorrow", newEd25519Key(t), `"scopes":["read::tomorrow"]`, RotateAPIKeyRequest{}, `{"name":"bot","key_type":"ed25519","scopes":["read::tomorrow"]}`},
		{"sub-account", newEd25519Key(t), scopes + `,"subaccount":63`, RotateAPIKeyRequest{}, `{"name":"bot","key_type":"ed25519",` + scopes + `,"subaccount":63}`},
		{"new name", newEd25519Key(t), scopes, RotateAPIKeyRequest{Name: "bot 2"}, `{"name":"bot 2","key_type":"ed25519",` + scopes + `}`},
		{"RSA to Ed25519", testRSAKey(), scopes, RotateAPIKeyRequest{KeyType: KeyTypeEd25519}, `{"name":"bot","key_type":"ed25519",` + scopes + `}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t)
			client.signer = newTestSigner(t, tt.signer)
			log := respondWith(mock, respond(200, `{"api_keys":[{"api_key_id":"`+testKeyID+`","name":"bot",`+tt.current+`}]}`), respond(403, ""))
			tt.req.Save = noSave
			_, err := client.RotateAPIKey(t.Context(), tt.req)
			assert.Equal(t, "Forbidden", kindOf(err))
			log.assertAttempts(t, 2)
			assert.JSONEq(t, tt.want, string(log.requests[1].body))
		})
	}
}

// The new key may have another type than the old one. A warning is passed on.
func TestClient_RotateAPIKey_keyType(t *testing.T) {
	t.Parallel()
	run := newRotationRun(t)
	run.at(StageMint, setField("warning", "mind this"))
	for _, keyType := range []KeyType{KeyTypeRSA, KeyTypeEd25519} {
		got, err := run.client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: run.save, KeyType: keyType})
		require.NoError(t, err)
		assert.Equal(t, keyType, run.client.Signer().KeyType())
		assert.Equal(t, []string{"mind this", "mind this"}, []string{got.Warning, run.saved[0].Warning})
		requireWorks(t, run.client)
	}
}

// A key of the caller's own is registered by its public half, and no more.
func TestClient_RotateAPIKey_privateKey(t *testing.T) {
	t.Parallel()
	own := newEd25519Key(t)
	public, err := MarshalPublicKey(own.Public())
	require.NoError(t, err)
	run := newRotationRun(t)
	run.at(StageMint, setField("warning", "mind this"))
	got, err := run.client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: run.save, PrivateKey: own, KeyType: KeyTypeEd25519})
	require.NoError(t, err)
	assert.Equal(t, "mind this", got.Warning)
	want, err := json.Marshal(map[string]any{"name": "bot", "public_key": public, "scopes": []string{"read", "write"}})
	require.NoError(t, err)
	assert.JSONEq(t, string(want), string(run.exchange.Requests()[1].Body))
	for _, r := range run.exchange.Requests() {
		assert.NotContains(t, fmt.Sprint(r.Header)+string(r.Body), base64.StdEncoding.EncodeToString(own.Seed()))
	}
	assert.Equal(t, []*GenerateAPIKeyResponse{{ID: got.NewKeyID, KeyType: KeyTypeEd25519, Warning: "mind this"}}, run.saved)
	requireWorks(t, run.client)
}

func TestClient_RotateAPIKey_rejectsInput(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	for _, tt := range []struct {
		want string
		req  RotateAPIKeyRequest
	}{
		{"Save is nil", RotateAPIKeyRequest{}},
		{"Grace is negative", RotateAPIKeyRequest{Save: noSave, Grace: -1}},
		{"KeyType ", RotateAPIKeyRequest{Save: noSave, KeyType: KeyTypeRSA, PrivateKey: newEd25519Key(t)}},
		{"KeyType ", RotateAPIKeyRequest{Save: noSave, KeyType: "x", PrivateKey: newEd25519Key(t)}},
		{"PrivateKey ", RotateAPIKeyRequest{Save: noSave, PrivateKey: newEd25519Key(t)[:8]}},
		{"Signer holds the client's own key", RotateAPIKeyRequest{Save: noSave, Signer: client.signer}},
		{"Signer holds the client's own key", RotateAPIKeyRequest{Save: noSave, Signer: newTestSigner(t, client.signer.cred.Load().key)}},
		{"Signer holds the client's own key: leave", RotateAPIKeyRequest{Save: noSave, Signer: newTestSigner(t, newEd25519Key(t))}},
		{"signer has no key", RotateAPIKeyRequest{Save: noSave, Signer: new(Signer)}},
	} {
		_, err := client.RotateAPIKey(t.Context(), tt.req)
		assertInvalid(t, err, "kalshi: "+tt.want)
	}
	var none context.Context
	_, err := client.RotateAPIKey(none, RotateAPIKeyRequest{Save: noSave})
	assertInvalid(t, err, "kalshi: context is nil")
	assert.Zero(t, mock.GetTotalCallCount())
}

// Grace is not bounded as the stages are, and the new key signs all the while.
// KeepOld waits for nothing.
func TestClient_RotateAPIKey_oldKey(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			run := newRotationRun(t)
			began, took, left := time.Now(), time.Hour, "new"
			if keep {
				took, left = 0, "old new"
			}
			time.AfterFunc(time.Hour-1, func() {
				keys, newID := run.keys()
				assert.Equal(t, "old new", keys, "the old key waits for its grace to end")
				assert.Equal(t, newID, run.client.Signer().KeyID())
			})
			_, err := run.client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, Grace: time.Hour, KeepOld: keep})
			require.NoError(t, err)
			assert.Equal(t, took, time.Since(began))
			keys, newID := run.keys()
			assert.Equal(t, left, keys)
			assert.Equal(t, newID, run.client.Signer().KeyID())
		})
	}
}

// The caller's context no longer counts in Save, its values still do, and the
// time is bounded.
func TestClient_RotateAPIKey_saveContext(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newRotationRun(t)
		type key struct{}
		ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "value"), time.Second)
		run.cancel = cancel
		run.at(StageVerify, cancelBefore)
		_, err := run.client.RotateAPIKey(ctx, RotateAPIKeyRequest{Save: func(saving context.Context, _ *GenerateAPIKeyResponse) error {
			assert.Error(t, ctx.Err())
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

// Only keys that are new and have the name can be the lost one.
func TestClient_RotateAPIKey_candidates(t *testing.T) {
	t.Parallel()
	for name, others := range map[string][]string{"": {"same"}, "bot 2": nil} {
		run := newRotationRun(t)
		run.at(StageMint, func(run *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
			run.exchange.AddKey(kalshitest.Key{ID: "same", Name: "bot"})
			run.exchange.AddKey(kalshitest.Key{ID: "differs", Name: "tool"})
			return send(req)
		})
		run.exchange.Inject(kalshitest.Fault{Method: http.MethodPost, Drop: true, Process: true})
		_, err := run.client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, Name: name})
		var rotation *RotationError
		require.ErrorAs(t, err, &rotation)
		keys, newID := run.keys()
		assert.Equal(t, "old new new new", keys, "none is deleted")
		assert.Equal(t, append(slices.Clone(others), newID), rotation.Candidates)
		assert.ErrorContains(t, err, strings.Join(rotation.Candidates, ", "))
	}
}

func TestSameRights(t *testing.T) {
	t.Parallel()
	old := APIKey{ID: "old", Name: "bot", Scopes: []Scope{ScopeRead, ScopeWriteTrade}, Subaccount: pointerTo(3)}
	tests := []struct {
		name   string
		change func(key *APIKey)
		want   bool
	}{
		{"ID and name", func(key *APIKey) { key.ID, key.Name = "new", "bot 2" }, true},
		{"order of scopes", func(key *APIKey) { key.Scopes = []Scope{ScopeWriteTrade, ScopeRead} }, true},
		{"a scope twice", func(key *APIKey) { key.Scopes = []Scope{ScopeRead, ScopeRead, ScopeWriteTrade} }, true},
		{"fewer scopes", func(key *APIKey) { key.Scopes = []Scope{ScopeRead} }, false},
		{"more scopes", func(key *APIKey) { key.Scopes = []Scope{ScopeRead, ScopeWriteTrade, ScopeWrite} }, false},
		{"other scopes", func(key *APIKey) { key.Scopes = []Scope{ScopeRead, ScopeWrite} }, false},
		{"no sub-account", func(key *APIKey) { key.Subaccount = nil }, false},
		{"primary account", func(key *APIKey) { key.Subaccount = pointerTo(0) }, false},
		{"another subtrader", func(key *APIKey) { key.FCMSubtraderID = "user1_desk2" }, false},
	}
	for _, tt := range tests {
		key := old
		tt.change(&key)
		assert.Equal(t, tt.want, sameRights(&key, &old), tt.name)
		assert.Equal(t, tt.want, sameRights(&old, &key), tt.name)
	}
}

// An ID that reads as a path would name another endpoint, or another file to a
// Save that names files by it.
func TestClient_RotateAPIKey_pathForID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"../../x/pwned", "/etc/cron.d/x", `..\x`, `a\b`, "..", "a/b", "../api_keys", "a..b"} {
		run := newRotationRun(t)
		run.at(StageMint, setField("api_key_id", id))
		_, err := run.client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: run.save})
		var failed *RotationError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, []string{string(StageMint), id}, []string{string(failed.Stage), failed.NewKeyID})
		assert.ErrorContains(t, err, "has a slash or dots, as if it were a path")
		require.NotNil(t, failed.Key, "handed back")
		_, err = failed.Key.PrivateKey.Parse()
		require.NoError(t, err)
		assert.Empty(t, run.saved)
		keys, _ := run.keys()
		assert.Equal(t, "old new", keys, "nothing is deleted")
		requireWorks(t, run.client)
	}
}

// A service may respond to a create with a key that exists already, above all
// when it is given the same public key twice. To delete that one, as the old
// key or as a new one that does not work, would lock the account out.
func TestClient_RotateAPIKey_sameKeyAgain(t *testing.T) {
	t.Parallel()
	run := newRotationRun(t)
	_, err := run.client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, PrivateKey: run.client.signer.cred.Load().key})
	assert.ErrorContains(t, err, "is the key that signs now")
	for _, id := range []string{testKeyID, otherKeyID} {
		for _, key := range []crypto.Signer{nil, newEd25519Key(t)} {
			for _, status := range []int{201, 500} {
				run.exchange.Inject(kalshitest.Fault{Method: http.MethodPost, Status: status, Body: `{"api_key_id":"` + id + `","private_key":"text"}`})
				_, err := run.client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, PrivateKey: key})
				var failed *RotationError
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, []any{StageMint, "", []string(nil)}, []any{failed.Stage, failed.NewKeyID, failed.Candidates})
				assert.Nil(t, failed.Key)
				assert.Equal(t, status == 201, isA[*InvalidResponseError](err))
			}
		}
	}
	assert.Len(t, run.exchange.Keys(), 3)
	requireWorks(t, run.client)
}

// A refusal proves that the new key signs, if it is not about the signature:
// then the admin's list tells its rights. Of a key that rotates itself it proves
// nothing: the copy may list as well.
func TestClient_RotateAPIKey_provenByRefusal(t *testing.T) {
	t.Parallel()
	const ofItself = "insufficient scope of a key that rotates itself"
	for _, tt := range []struct {
		name, body string
		status     int
		proves     bool
	}{
		{"insufficient scope", forbiddenBody, 403, true},
		{"restricted to a sub-account", "this API key is restricted to a single sub-account and cannot access this endpoint", 403, true},
		{"forbidden without a word", "", 403, true},
		{"a gateway's page", "<html>Request blocked</html>", 403, false},
		{"a 401 of another kind", `{"error":{"code":"subaccount_restricted"}}`, 401, true},
		{"unknown key", unknownKeyBody, 401, false},
		{"wrong signature", `{"error":{"code":"authentication_error","details":"INCORRECT_API_KEY_SIGNATURE"}}`, 401, false},
		{"expired timestamp", expiredBody, 401, false},
		{"signature lost on the way", `{"error":{"code":"signature_is_missing_from_headers","message":"signature is missing from headers"}}`, 401, false},
		{"credentials lost on the way", `{"error":{"code":"token_authentication_failure","message":"token authentication failure"}}`, 401, false},
		{"bad request", `{"code":"bad_request"}`, 400, false},
		{"not found", notFoundBody, 404, false},
		{ofItself, forbiddenBody, 403, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				run := newAdminRun(t, kalshitest.Key{Scopes: []string{"read"}})
				if tt.name == ofItself {
					run = newRotationRun(t)
				}
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
				assert.ErrorContains(t, err, ": verify: the old key still signs; ")
				assert.Equal(t, "old", keys)
				assert.Empty(t, run.saved)
			})
		})
	}
}

// The list must show the new key with the old one's rights before it is saved.
// It may take a while to show it; other rights stay as they are.
func TestClient_RotateAPIKey_rights(t *testing.T) {
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

// A key that lacks the scope for its own rotation: the error names both cures.
// An admin key that lacks it does not get that advice.
func TestClient_RotateAPIKey_namesTheCures(t *testing.T) {
	t.Parallel()
	const scopes = "a key needs read and write to rotate itself: use one that has both, or have an admin key rotate it (RotateAPIKeyRequest.Signer)"
	for _, tt := range []struct {
		stage RotationStage
		key   kalshitest.Key
		cures string
	}{
		{StageInspect, kalshitest.Key{Scopes: []string{"read::portfolio_balance"}}, scopes},
		{StageInspect, kalshitest.Key{Subaccount: pointerTo(0)}, "a key restricted to a sub-account cannot rotate itself: have an admin key rotate it (RotateAPIKeyRequest.Signer)"},
		{StageMint, kalshitest.Key{Scopes: []string{"read", "write::trade"}}, scopes},
	} {
		stage, key, cures := tt.stage, tt.key, tt.cures
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
	for name, newRun := range runsOf(map[string]kalshitest.Key{"another key": {Scopes: []string{"read"}}}) {
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
	for name, newRun := range runsOf(map[string]kalshitest.Key{"another key": {Scopes: []string{"read"}}}) {
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

// A key may be listed without a name, which no new one can be made with.
func TestClient_RotateAPIKey_noName(t *testing.T) {
	t.Parallel()
	for _, key := range []crypto.Signer{nil, newEd25519Key(t)} {
		run := newRotationRun(t)
		run.exchange.Inject(kalshitest.Fault{Body: `{"api_keys":[{"api_key_id":"` + testKeyID + `","name":"","scopes":["read","write"]}]}`})
		_, err := run.rotate(t.Context(), RotateAPIKeyRequest{Save: run.save, PrivateKey: key})
		var failed *RotationError
		require.ErrorAs(t, err, &failed)
		assert.Equal(t, StageMint, failed.Stage)
		assertInvalid(t, errors.Unwrap(err), "Name is empty")
		keys, _ := run.keys()
		assert.Equal(t, "old", keys)
	}
}
