package test

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

var errSource = errors.New("no connection to the secret manager")

// A sourceRun is a client without retries whose signer has a source, and a
// service that accepts one key ID.
type sourceRun struct {
	client     *kalshi.Client
	signer     *kalshi.Signer
	send       roundTripper // the service
	httpClient *http.Client // leads to it
	accept     string
	sent       atomic.Int64 // requests

	mu    sync.Mutex
	asked []time.Time // when the source was asked
}

// A resultFunc is a source that is told how often it was asked before.
type resultFunc func(ctx context.Context, n int) (string, crypto.Signer, error)

// sourceKey is the private key of all that sources give: only IDs differ.
var sourceKey = sync.OnceValue(newKey)

// give gives one key ID after the other, then the last one for ever.
func give(ids ...string) resultFunc {
	return func(_ context.Context, n int) (string, crypto.Signer, error) {
		return ids[min(n, len(ids)-1)], sourceKey(), nil
	}
}

// flap gives two dead keys in turn.
func flap() resultFunc {
	return func(_ context.Context, n int) (string, crypto.Signer, error) {
		return []string{"dead-too", "dead"}[n%2], sourceKey(), nil
	}
}

// deaf does not return until the test ends.
func deaf(t testing.TB) resultFunc {
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	return func(context.Context, int) (string, crypto.Signer, error) {
		<-end
		return "", nil, errSource
	}
}

func fail(err error) resultFunc {
	return func(context.Context, int) (string, crypto.Signer, error) { return "", nil, err }
}

// first gives a key at first, and does something else from then on.
func first(id string, then resultFunc) resultFunc {
	before := give(id)
	return func(ctx context.Context, n int) (string, crypto.Signer, error) {
		if n == 0 {
			return before(ctx, n)
		}
		return then(ctx, n-1)
	}
}

func newSourceRun(t testing.TB, accept string, result resultFunc) *sourceRun {
	t.Helper()
	var err error
	run := &sourceRun{accept: accept}
	run.signer, err = kalshi.NewSignerFromSource(t.Context(), func(ctx context.Context) (string, crypto.Signer, error) {
		run.mu.Lock()
		n := len(run.asked)
		run.asked = append(run.asked, time.Now())
		run.mu.Unlock()
		return result(ctx, n)
	})
	require.NoError(t, err)
	run.send = func(req *http.Request) (*http.Response, error) {
		switch {
		case req.Header.Get("KALSHI-ACCESS-KEY") != run.accept:
			return respond(req, 401, unknownKeyBody)
		case req.Method == http.MethodPost:
			return respond(req, 201, `{"api_key_id":"new","private_key":"text"}`)
		case req.Method == http.MethodDelete:
			return respond(req, 204, "")
		default:
			return respond(req, 200, `{"api_keys":[]}`)
		}
	}
	run.httpClient = &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		run.sent.Add(1)
		return run.send(req)
	})}
	run.client, err = kalshi.NewClient(run.signer, kalshi.WithHTTPClient(run.httpClient), kalshi.WithMaxRetries(0))
	require.NoError(t, err)
	return run
}

func (run *sourceRun) list(ctx context.Context) error {
	_, err := run.client.GetAPIKeys(ctx)
	return err
}

// assertAsked asserts how often the source was asked, and that a second passed
// between the questions.
func (run *sourceRun) assertAsked(t testing.TB, want int) {
	t.Helper()
	run.mu.Lock()
	defer run.mu.Unlock()
	assert.Len(t, run.asked, want)
	for i := range run.asked[1:] {
		assert.GreaterOrEqual(t, run.asked[i+1].Sub(run.asked[i]), time.Second, "between questions")
	}
}

func TestNewSignerFromSource(t *testing.T) {
	t.Parallel()
	x, key := onLoopback(t), newKey()
	returns := func(id string, key crypto.Signer, err error) kalshi.KeySource {
		return func(context.Context) (string, crypto.Signer, error) { return id, key, err }
	}
	first, err := kalshi.ParsePrivateKey([]byte(x.PrivateKey))
	require.NoError(t, err)
	signer, err := kalshi.NewSignerFromSource(t.Context(), returns(x.KeyID, first, nil))
	require.NoError(t, err)
	_, err = x.clientOf(t, signer).GetAPIKeys(t.Context())
	require.NoError(t, err)

	secret := pemText(key)
	for _, tt := range []struct {
		source kalshi.KeySource
		text   string
		cause  error
	}{
		{nil, "kalshi: key source is nil", nil},
		{returns("", nil, errSource), "kalshi: the key source failed: " + errSource.Error(), errSource},
		{returns("", nil, fmt.Errorf("kalshi: a\nb: %w", errSource)), "kalshi: the key source failed: a b: ", errSource},
		{returns("", nil, errors.New("it said "+secret)), "kalshi: the key source failed: the text is withheld, ", nil},
		{returns("", key, nil), "kalshi: the key source failed: key ID is empty", nil},
		{returns("id", nil, nil), "kalshi: the key source failed: private key is nil", nil},
		{kalshi.KeyFile(filepath.Join(t.TempDir(), "none")).Load, "kalshi: the key source failed: key file: open ", fs.ErrNotExist},
	} {
		signer, err := kalshi.NewSignerFromSource(t.Context(), tt.source)
		assert.Nil(t, signer)
		assert.ErrorContains(t, err, tt.text)
		assert.NotContains(t, err.Error(), secret[30:60])
		if tt.cause != nil {
			assert.ErrorIs(t, err, tt.cause)
		}
	}
	var none context.Context
	_, err = kalshi.NewSignerFromSource(none, returns("id", key, nil))
	assert.EqualError(t, err, "kalshi: context is nil: use context.Background()")
}

// Waiting for a source that does not return ends with the context, and after 30
// seconds.
func TestNewSignerFromSource_timeout(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		began, stuck := time.Now(), deaf(t)
		source := func(ctx context.Context) (string, crypto.Signer, error) { return stuck(ctx, 0) }
		_, err := kalshi.NewSignerFromSource(t.Context(), source)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.EqualError(t, err, "kalshi: the key source failed: it did not return within 30s: context deadline exceeded")
		assert.Equal(t, 30*time.Second, time.Since(began))

		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errSource) })
		_, err = kalshi.NewSignerFromSource(ctx, source)
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, err, errSource)
		assert.ErrorContains(t, err, "kalshi: waiting for the key source: context canceled")
		assert.Equal(t, 31*time.Second, time.Since(began))
	})
}

// A call that is refused for its key goes on with the source's key: creates
// too, with retries turned off, and requests through HTTPClient.
func TestSource_isAsked(t *testing.T) {
	t.Parallel()
	test := func(t *testing.T, do func(context.Context, *kalshi.Client) error) {
		inBubble(t, func(t *testing.T) {
			run := newSourceRun(t, "second", give("first", "second"))
			require.NoError(t, do(t.Context(), run.client))
			assert.EqualValues(t, 2, run.sent.Load())
			run.assertAsked(t, 2)
			assert.Equal(t, "second", run.signer.KeyID())

			run.accept = "third"
			assert.Error(t, do(t.Context(), run.client))
			run.assertAsked(t, 3)

			run.send = func(req *http.Request) (*http.Response, error) {
				return respond(req, 401, wrongSignatureBody)
			}
			assert.Error(t, do(t.Context(), run.client))
			run.assertAsked(t, 4)
		})
	}
	for _, call := range calls("bot") {
		t.Run(call.name, func(t *testing.T) { test(t, call.do) })
	}
	t.Run("HTTPClient", func(t *testing.T) {
		test(t, func(_ context.Context, c *kalshi.Client) error {
			resp, err := c.HTTPClient().Post(c.BaseURL()+"/portfolio/orders", "", strings.NewReader("order"))
			require.NoError(t, err)
			defer resp.Body.Close()
			return kalshi.CheckResponse(resp)
		})
	})
}

// Errors that are not about the signer's key are no reason to ask: other
// statuses, a delete of the signing key, the new key of a rotation.
func TestSource_isNotAsked(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun(t, "first", give("first"))
		accept := run.send
		for _, status := range []int{401, 403, 404, 500} {
			run.send = func(req *http.Request) (*http.Response, error) {
				return respond(req, status, `{"error":{"code":"some_code"}}`)
			}
			assert.Error(t, run.list(t.Context()))
		}

		run.send = func(req *http.Request) (*http.Response, error) {
			if run.sent.Load() == 5 {
				return nil, errors.New("connection lost")
			}
			return respond(req, 401, unknownKeyBody)
		}
		retrying, err := kalshi.NewClient(run.signer, kalshi.WithHTTPClient(run.httpClient))
		require.NoError(t, err)
		require.NoError(t, retrying.DeleteAPIKey(t.Context(), "first"))
		assert.EqualValues(t, 6, run.sent.Load())

		run.send = func(req *http.Request) (*http.Response, error) {
			if req.Header.Get("KALSHI-ACCESS-KEY") == "first" && req.Method == http.MethodGet {
				return respond(req, 200, `{"api_keys":[{"api_key_id":"first","name":"bot","scopes":["read","write"]}]}`)
			}
			return accept(req)
		}
		_, err = run.client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Save: noSave, PrivateKey: newKey()})
		assert.Equal(t, "Unauthorized", kindOf(err))
		assert.ErrorContains(t, err, ": verify: ")
		run.assertAsked(t, 1)
	})
}

// If the source does not help, the error says why, and wraps both causes.
func TestSource_doesNotHelp(t *testing.T) {
	t.Parallel()
	const head = "kalshi: GET /trade-api/v2/api_keys: 401 authentication_error: NOT_FOUND (unknown key ID: keys are per environment, demo or production); "
	for _, tt := range []struct {
		name  string
		then  resultFunc    // nil is one that does not return
		limit time.Duration // of the call's context
		text  string
		cause error
		took  time.Duration
	}{
		{"same key", give("dead"), time.Hour, "the key source gave the same key", nil, 0},
		{"two dead keys in turn", flap(), time.Hour, "the key source gave the same key", nil, time.Second},
		{"it fails", fail(errSource), time.Hour, "the key source failed: no connection to the secret manager", errSource, 0},
		{"it was cancelled, not the call", fail(context.Canceled), time.Hour, "the key source failed: context canceled", context.Canceled, 0},
		{"it does not return", nil, time.Hour, "the key source failed: it did not return within 30s: context deadline exceeded", context.DeadlineExceeded, 30 * time.Second},
		{"the call ends before it returns", nil, 7 * time.Second, "waiting for the key source: context deadline exceeded", context.DeadlineExceeded, 7 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				if tt.then == nil {
					tt.then = deaf(t)
				}
				run := newSourceRun(t, "", first("dead", tt.then))
				time.Sleep(time.Minute) // since the first question
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				defer cancel()
				began := time.Now()
				err := run.list(ctx)
				assert.Equal(t, tt.took, time.Since(began))
				assert.EqualError(t, err, head+tt.text)
				assert.True(t, isA[*kalshi.UnauthorizedError](err))
				if tt.cause != nil {
					assert.ErrorIs(t, err, tt.cause)
				}

				resp, err := run.client.HTTPClient().Get(run.client.BaseURL())
				require.NoError(t, err)
				defer resp.Body.Close()
				assert.Equal(t, 401, resp.StatusCode, "through HTTPClient it is the response")
			})
		})
	}
}
