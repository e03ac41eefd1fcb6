package test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// oldKeyID is the key that a rotationRun rotates.
const oldKeyID = "11111111-2222-4333-8444-555555555555"

// verifyTook is how long a new key is tried for, with waits of 0.1, 0.2, 0.4 and
// 0.8 seconds, and then of one second each.
const verifyTook = 9500 * time.Millisecond

// A rotationRun is a client, an exchange that holds the key to rotate as
// oldKeyID, and what Save was handed.
type rotationRun struct {
	*exchange
	client *kalshi.Client
	signer *kalshi.Signer // whose key is rotated: the client's, or a bot's if the client has an admin key
	key    crypto.Signer  // the signer's at first
	send   roundTripper   // sends the requests of client
	over   bool           // no handler changes what is sent any more
	cancel context.CancelFunc
	req    kalshi.RotateAPIKeyRequest
	inSave func(context.Context, kalshi.Credentials) error // may be nil
	saved  []kalshi.Credentials
}

// newRotationRun has a client rotate its own key.
func newRotationRun(t testing.TB) *rotationRun {
	t.Helper()
	run := newAdminRun(t, kalshitest.Key{})
	run.client = run.clientOf(run.signer)
	return run
}

// newAdminRun has a client with an admin key rotate the key of a bot.
func newAdminRun(t testing.TB, bot kalshitest.Key) *rotationRun {
	t.Helper()
	run := &rotationRun{exchange: inMemory(t)}
	run.send = run.transport.RoundTrip
	bot.ID, bot.Name = oldKeyID, "bot"
	old := run.AddKey(bot)
	run.key, run.signer = parsed(old).PrivateKey(), newSigner(oldKeyID, old.PrivateKey)
	run.client = run.clientOf(newSigner(run.KeyID, run.PrivateKey))
	run.handleBot()
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

// clientOf returns a client whose requests the run's handlers see.
func (run *rotationRun) clientOf(signer *kalshi.Signer) *kalshi.Client {
	transport := roundTripper(func(req *http.Request) (*http.Response, error) { return run.send(req) })
	return run.exchange.clientOf(signer, kalshi.WithHTTPClient(&http.Client{Transport: transport, Timeout: attemptTimeout}))
}

func (run *rotationRun) admin() bool { return run.signer != run.client.Signer() }

// rotate rotates the key of the run's signer.
func (run *rotationRun) rotate(ctx context.Context, req kalshi.RotateAPIKeyRequest) (*kalshi.RotateAPIKeyResponse, error) {
	if run.admin() {
		req.Signer = run.signer
	}
	if req.Store == nil {
		req.Store = kalshi.SaveFunc(run.save)
	}
	return run.client.RotateAPIKey(ctx, req)
}

func (run *rotationRun) save(ctx context.Context, c kalshi.Credentials) error {
	run.saved = append(run.saved, c)
	if run.inSave != nil {
		return run.inSave(ctx, c)
	}
	return nil
}

// rotate rotates the client's key and saves nothing.
func rotate(ctx context.Context, client *kalshi.Client) (*kalshi.RotateAPIKeyResponse, error) {
	return client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Store: noSave})
}

// requireFails requires that a rotation failed at that stage.
func requireFails(t testing.TB, err error, stage kalshi.RotationStage) *kalshi.RotationError {
	t.Helper()
	var failed *kalshi.RotationError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, stage, failed.Stage, "%v", err)
	return failed
}

// requireSigns requires that the key that signs now works, whatever its scopes.
func (run *rotationRun) requireSigns(t testing.TB) {
	t.Helper()
	require.NoError(t, getBalance(run.clientOf(run.signer).HTTPClient(), run.URL))
}

// keys are those that exist now, beside two that have nothing to do with the
// rotation: "old", "new" or "old new". They come with the new one's ID.
func (run *rotationRun) keys() (names, newID string) {
	var found []string
	for _, key := range run.Keys() {
		switch key.ID {
		case run.KeyID, spareKeyID:
		case oldKeyID:
			found = append(found, "old")
		default:
			found, newID = append(found, "new"), key.ID
		}
	}
	return strings.Join(found, " "), newID
}

// stageOf returns the stage that sends such a request. The listing after a
// create of unknown outcome counts as StageInspect, the rollback as StageDelete.
func (run *rotationRun) stageOf(req *http.Request) kalshi.RotationStage {
	switch {
	case req.Method == http.MethodPost:
		return kalshi.StageCreate
	case req.Method == http.MethodDelete:
		return kalshi.StageDelete
	case req.Header.Get("KALSHI-ACCESS-KEY") == run.client.Signer().KeyID():
		return kalshi.StageInspect
	default:
		return kalshi.StageVerify
	}
}

// A handler sends a request in its own way.
type handler func(run *rotationRun, req *http.Request, send roundTripper) (*http.Response, error)

// at has the handler send the requests of a stage.
func (run *rotationRun) at(stage kalshi.RotationStage, handle handler) {
	send := run.send
	run.send = func(req *http.Request) (*http.Response, error) {
		if !run.over && run.stageOf(req) == stage {
			return handle(run, req, send)
		}
		return send(req)
	}
}

// during has something happen once, when a stage is about to begin.
func (run *rotationRun) during(stage kalshi.RotationStage, happens func()) {
	happens = sync.OnceFunc(happens)
	run.at(stage, func(_ *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
		happens()
		return send(req)
	})
	if stage == kalshi.StageSave {
		run.inSave = func(context.Context, kalshi.Credentials) error { happens(); return nil }
	}
}

// cancelBefore cancels the rotation when the request is about to be sent.
func cancelBefore(run *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
	run.cancel()
	return send(req)
}

// cancelAfter cancels it when the request has been processed, and loses the response.
func cancelAfter(run *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
	resp, err := send(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	run.cancel()
	return nil, errors.Join(err, context.Canceled)
}

// cancelOnceRead cancels it when the response has arrived whole.
func cancelOnceRead(run *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
	resp, err := send(req)
	if err != nil {
		return nil, err
	}
	defer run.cancel()
	return editJSON(resp, func(map[string]any) {})
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
