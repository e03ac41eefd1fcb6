package test

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
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
	saved  []*kalshi.GenerateAPIKeyResponse
}

// newRotationRun has a client rotate its own key.
func newRotationRun(t testing.TB) *rotationRun {
	t.Helper()
	run := newAdminRun(t, kalshitest.Key{})
	run.client = run.clientOf(t, run.signer)
	return run
}

// newAdminRun has a client with an admin key rotate the key of a bot.
func newAdminRun(t testing.TB, bot kalshitest.Key) *rotationRun {
	t.Helper()
	run := &rotationRun{exchange: inMemory(t)}
	run.send = run.transport.RoundTrip
	bot.ID, bot.Name = oldKeyID, "bot"
	var err error
	run.key, err = kalshi.ParsePrivateKey([]byte(run.AddKey(bot).PrivateKey))
	require.NoError(t, err)
	run.signer, err = kalshi.NewSigner(oldKeyID, run.key)
	require.NoError(t, err)
	run.client = run.clientOf(t, newSigner(t, run.KeyID, run.PrivateKey))
	run.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
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
func (run *rotationRun) clientOf(t testing.TB, signer *kalshi.Signer) *kalshi.Client {
	t.Helper()
	transport := roundTripper(func(req *http.Request) (*http.Response, error) { return run.send(req) })
	return run.exchange.clientOf(t, signer, kalshi.WithHTTPClient(&http.Client{Transport: transport}))
}

func (run *rotationRun) admin() bool { return run.signer != run.client.Signer() }

// rotate rotates the key of the run's signer.
func (run *rotationRun) rotate(ctx context.Context, req kalshi.RotateAPIKeyRequest) (*kalshi.RotateAPIKeyResponse, error) {
	if run.admin() {
		req.Signer = run.signer
	}
	if req.Save == nil {
		req.Save = run.save
	}
	return run.client.RotateAPIKey(ctx, req)
}

func (run *rotationRun) save(_ context.Context, key *kalshi.GenerateAPIKeyResponse) error {
	run.saved = append(run.saved, key)
	return nil
}

// rotate rotates the client's key and stores nothing.
func rotate(ctx context.Context, client *kalshi.Client) (*kalshi.RotateAPIKeyResponse, error) {
	return client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Save: noSave})
}

// requireSigns requires that the key that signs now works, whatever its scopes.
func (run *rotationRun) requireSigns(t testing.TB) {
	t.Helper()
	resp, err := run.clientOf(t, run.signer).HTTPClient().Get(run.URL + "/portfolio/balance")
	require.NoError(t, err)
	require.NoError(t, kalshi.CheckResponse(resp))
	require.NoError(t, resp.Body.Close())
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
		return kalshi.StageMint
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
	resp, err := send(req)
	if err == nil {
		resp.Body = &readToEnd{resp.Body, run.cancel}
	}
	return resp, err
}

type readToEnd struct {
	io.ReadCloser
	then func()
}

func (b *readToEnd) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.then()
	}
	return n, err
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
