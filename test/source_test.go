package test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path/filepath"
	"runtime"
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
	client *kalshi.Client
	signer *kalshi.Signer
	send   roundTripper // the service
	accept string
	sent   atomic.Int64 // requests

	mu      sync.Mutex
	queries []time.Time // when the source was queried
}

// A resultFunc is a source that is told how many queries there were before.
type resultFunc func(ctx context.Context, n int) (kalshi.Credentials, error)

// sourceKey is the private key of all that sources return: only IDs differ.
var sourceKey = sync.OnceValue(newKey)

// give returns one key ID after the other, then the last one for ever.
func give(ids ...string) resultFunc {
	return func(_ context.Context, n int) (kalshi.Credentials, error) {
		return credentials(ids[min(n, len(ids)-1)], sourceKey()), nil
	}
}

func fail(err error) resultFunc {
	return func(context.Context, int) (kalshi.Credentials, error) { return kalshi.Credentials{}, err }
}

// slowly takes that long, or until its context ends.
func slowly(took time.Duration, result resultFunc) resultFunc {
	return func(ctx context.Context, n int) (kalshi.Credentials, error) {
		select {
		case <-time.After(took):
			return result(ctx, n)
		case <-ctx.Done():
			return kalshi.Credentials{}, ctx.Err()
		}
	}
}

// first returns a key at first, and does something else from then on.
func first(id string, then resultFunc) resultFunc {
	return func(ctx context.Context, n int) (kalshi.Credentials, error) {
		if n == 0 {
			return credentials(id, sourceKey()), nil
		}
		return then(ctx, n-1)
	}
}

func newSourceRun(accept string, result resultFunc) *sourceRun {
	run := &sourceRun{accept: accept}
	run.signer = newSourceSigner(func(ctx context.Context) (kalshi.Credentials, error) {
		run.mu.Lock()
		n := len(run.queries)
		run.queries = append(run.queries, time.Now())
		run.mu.Unlock()
		return result(ctx, n)
	})
	run.send = func(req *http.Request) (*http.Response, error) {
		if req.Header.Get("KALSHI-ACCESS-KEY") != run.accept {
			return respond(req, 401, unknownKeyBody)
		}
		switch req.Method {
		case http.MethodPost:
			return respond(req, 201, `{"api_key_id":"new","private_key":"text"}`)
		case http.MethodDelete:
			return respond(req, 204, "")
		}
		return respond(req, 200, `{"api_keys":[]}`)
	}
	hc := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		run.sent.Add(1)
		return run.send(req)
	})}
	run.client = must1(kalshi.NewClient(run.signer, kalshi.WithHTTPClient(hc), kalshi.WithMaxRetries(0)))
	return run
}

// assertQueries asserts how many queries there were, a second apart at least.
func (run *sourceRun) assertQueries(t testing.TB, want int) {
	t.Helper()
	run.mu.Lock()
	defer run.mu.Unlock()
	assert.Len(t, run.queries, want)
	for i := range run.queries[1:] {
		assert.GreaterOrEqual(t, run.queries[i+1].Sub(run.queries[i]), time.Second, "between queries")
	}
}

// What is wrong with a source's first result is the error, made safe.
func TestNewSignerFromSource(t *testing.T) {
	t.Parallel()
	secret := pemText(newKey())
	for _, tt := range []struct {
		source kalshi.KeySource
		text   string
		cause  error
	}{
		{nil, "kalshi: key source is nil", nil},
		{func(context.Context) (kalshi.Credentials, error) {
			return kalshi.Credentials{}, fmt.Errorf("kalshi: a\nb %s: %w", secret, errSource)
		}, "kalshi: the key source failed: a b ", errSource},
		{func(context.Context) (kalshi.Credentials, error) { return kalshi.Credentials{}, nil }, "kalshi: the key source failed: credentials are empty", nil},
		{func(context.Context) (kalshi.Credentials, error) { panic(secret) }, "kalshi: the key source failed: it panicked with a string", nil},
		{func(context.Context) (kalshi.Credentials, error) {
			runtime.Goexit()
			return kalshi.Credentials{}, nil
		}, "kalshi: the key source failed: it ended its goroutine", nil},
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
}

// A call whose key is refused goes on with the source's key: creates too, with
// retries turned off, and requests through HTTPClient.
func TestSource_isQueried(t *testing.T) {
	t.Parallel()
	for _, call := range append(calls("bot"), botCall("order", http.MethodPost, "/portfolio/orders", order)) {
		runInBubble(t, call.name, func(t *testing.T) {
			run := newSourceRun("second", give("first", "second"))
			require.NoError(t, call.do(t.Context(), run.client))
			assert.EqualValues(t, 2, run.sent.Load())
			run.assertQueries(t, 2)
			assert.Equal(t, "second", run.signer.KeyID())

			run.accept = "third"
			assert.Error(t, call.do(t.Context(), run.client))
			run.assertQueries(t, 3)

			run.send = func(req *http.Request) (*http.Response, error) { return respond(req, 401, wrongSignatureBody) }
			assert.Error(t, call.do(t.Context(), run.client))
			run.assertQueries(t, 4)
		})
	}
}

// Errors that are not about the signer's key cause no query: other statuses, a
// delete of the signing key, the new key of a rotation.
func TestSource_isNotQueried(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun("first", give("first"))
		accept := run.send
		for _, status := range []int{401, 403, 404, 500} {
			run.send = func(req *http.Request) (*http.Response, error) {
				return respond(req, status, `{"error":{"code":"some_code"}}`)
			}
			assert.Error(t, list(t.Context(), run.client))
		}

		run.send = func(*http.Request) (*http.Response, error) {
			run.send = func(req *http.Request) (*http.Response, error) { return respond(req, 401, unknownKeyBody) }
			return nil, errors.New("connection lost")
		}
		require.NoError(t, kalshi.WithMaxRetries(1)(run.client))
		require.NoError(t, run.client.DeleteAPIKey(t.Context(), "first"))

		run.send = func(req *http.Request) (*http.Response, error) {
			if req.Header.Get("KALSHI-ACCESS-KEY") == "first" && req.Method == http.MethodGet {
				return respond(req, 200, `{"api_keys":[{"api_key_id":"first","name":"bot","scopes":["read","write"]}]}`)
			}
			return accept(req)
		}
		_, err := run.client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Store: noSave, PrivateKey: newKey()})
		_ = requireFails(t, err, kalshi.StageVerify)
		run.assertQueries(t, 1)
	})
}

// If the source does not help, the error says why, and wraps both causes. It is
// the same through HTTPClient and CheckResponse, whenever that is called: the
// key that was refused, and the skew at receipt.
func TestSource_doesNotHelp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		then  resultFunc
		keyID string
		text  string
		cause error
		took  time.Duration
	}{
		{"same key", give("dead"), "dead", "the key source gave the same key", nil, 0},
		{"two dead keys in turn", func(ctx context.Context, n int) (kalshi.Credentials, error) {
			return give("dead-too", "dead")(ctx, n%2)
		}, "dead-too", "the key source gave the same key", nil, time.Second},
		{"it fails", slowly(8*time.Second, fail(errSource)), "dead", "the key source failed: no connection to the secret manager", errSource, 8 * time.Second},
		{"it was cancelled, not the call", fail(context.Canceled), "dead", "the key source failed: context canceled", context.Canceled, 0},
		{"it gives up when its context ends", slowly(time.Hour, nil), "dead", "the key source failed: context deadline exceeded", context.DeadlineExceeded, 30 * time.Second},
		{"it panics", func(context.Context, int) (kalshi.Credentials, error) { panic(errSource) }, "dead", "the key source failed: it panicked with a *errors.errorString", nil, 0},
	} {
		for _, call := range []call{calls("bot")[0], botCall("HTTPClient", http.MethodGet, "/api_keys", "")} {
			runInBubble(t, tt.name+"/"+call.name, func(t *testing.T) {
				run := newSourceRun("", first("dead", tt.then))
				send := run.send
				run.send = func(req *http.Request) (*http.Response, error) {
					resp, err := send(req)
					resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
					return resp, err
				}
				time.Sleep(time.Minute) // since the first query
				began := time.Now()
				err := call.do(t.Context(), run.client)
				assert.Equal(t, tt.took, time.Since(began))
				assert.LessOrEqual(t, run.sent.Load(), int64(2), "requests")
				assert.EqualError(t, err, "kalshi: GET /trade-api/v2/api_keys: 401 authentication_error: NOT_FOUND (unknown key ID "+
					tt.keyID+": it was deleted, or is of another environment than api.elections.kalshi.com); "+tt.text)
				var refused *kalshi.UnauthorizedError
				require.ErrorAs(t, err, &refused)
				assert.Equal(t, tt.keyID, refused.KeyID)
				assert.Zero(t, refused.ClockSkew)
				if tt.cause != nil {
					assert.ErrorIs(t, err, tt.cause)
				}
			})
		}
	}
}

// The source is queried once a second for a dead key, however many callers wait.
func TestSource_onceASecond(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const callers, calls = 100, 5
		run := newSourceRun("", give("dead"))
		began := time.Now()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range calls {
					assert.ErrorContains(t, list(t.Context(), run.client), "the key source gave the same key")
				}
			})
		}
		wg.Wait()
		assert.Equal(t, calls*time.Second, time.Since(began), "each call waits for a query that began after it")
		run.assertQueries(t, 1+calls)

		run.accept = "dead" // it lives again
		require.NoError(t, list(t.Context(), run.client))
		run.assertQueries(t, 1+calls)
	})
}

// A query serves the calls that were refused before it began. Later ones need the
// next one, unless it brings the key.
func TestSource_resultServesAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun("second", first("first", slowly(5*time.Second, give("first", "second"))))
		time.Sleep(time.Minute)
		began := time.Now()
		var wg sync.WaitGroup
		for at, took := range map[time.Duration]time.Duration{
			0:               5 * time.Second,  // served by the query at 0 s
			time.Second:     10 * time.Second, // by the one at 5 s
			2 * time.Second: 10 * time.Second,
			6 * time.Second: 10 * time.Second, // too, by the key that it brought
		} {
			wg.Go(func() {
				time.Sleep(at)
				err := list(t.Context(), run.client)
				assert.Equal(t, took, time.Since(began), at)
				assert.Equal(t, at == 0, err != nil, at)
			})
		}
		wg.Wait()
		run.assertQueries(t, 3)
	})
}

// A call that is cancelled leaves the query to the others, and tells that it was
// waiting for it. One that ends before its query may begin causes none.
func TestSource_cancelFailsNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun("second", first("first", slowly(5*time.Second, give("second"))))
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		err := list(ctx, run.client)
		assert.Equal(t, "Timeout", kindOf(err))
		run.assertQueries(t, 1)

		second := make(chan error, 1)
		go func() { second <- list(t.Context(), run.client) }()
		ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err = list(ctx, run.client)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, isA[*kalshi.UnauthorizedError](err))
		assert.ErrorContains(t, err, "; the key source failed: context deadline exceeded")
		assert.Equal(t, 2300*time.Millisecond, time.Since(began), "at once")
		require.NoError(t, <-second)
		assert.Equal(t, 6*time.Second, time.Since(began))
		run.assertQueries(t, 2)
	})
}

// A source that does not return costs one goroutine, and not one a second. After 31 seconds callers
// are told at once since when. When it returns after all, the next call queries it again.
func TestSource_hangs(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		run := newSourceRun("second", first("first", func(_ context.Context, n int) (kalshi.Credentials, error) {
			<-release
			return credentials([]string{"first", "second"}[min(n, 1)], sourceKey()), nil
		}))
		time.Sleep(time.Minute)
		began := time.Now()
		assert.ErrorContains(t, list(t.Context(), run.client), "the key source failed: it has not returned since "+began.UTC().Format(time.TimeOnly))
		assert.Equal(t, 31*time.Second, time.Since(began))
		for range 100 {
			assert.ErrorContains(t, list(t.Context(), run.client), "it has not returned since")
			assert.ErrorContains(t, run.signer.Reload(t.Context()), "it has not returned since")
		}
		assert.Equal(t, 31*time.Second, time.Since(began))
		run.assertQueries(t, 2)
		close(release)
		time.Sleep(time.Second)
		require.NoError(t, list(t.Context(), run.client))
		run.assertQueries(t, 3)
	})
}

// A source that makes calls through the client that it serves does not query itself: it gets an
// error at once if it passes its context on, and after its time otherwise.
func TestSource_callsItsOwnClient(t *testing.T) {
	t.Parallel()
	for _, passesOn := range []bool{true, false} {
		runInBubble(t, fmt.Sprintf("passes its context on: %t", passesOn), func(t *testing.T) {
			var run *sourceRun
			run = newSourceRun("", first("dead", func(ctx context.Context, _ int) (kalshi.Credentials, error) {
				if !passesOn {
					ctx = context.Background()
				}
				return kalshi.Credentials{}, list(ctx, run.client)
			}))
			time.Sleep(time.Minute)
			began, took := time.Now(), 31*time.Second
			if passesOn {
				took = 0
			}
			err := list(t.Context(), run.client)
			assert.True(t, isA[*kalshi.UnauthorizedError](err))
			assert.Equal(t, took, time.Since(began))
			if passesOn {
				assert.ErrorContains(t, err, "it made a call that is signed by the signer it serves")
			}
			time.Sleep(5 * time.Minute) // with nobody calling
			assert.EqualValues(t, 2, run.sent.Load())
			run.assertQueries(t, 2)
		})
	}
}

// A result that comes after the key was switched is out of date, unless the key was
// replaced by itself; and of two Reloads the later one brings the key.
func TestSource_changedDuringAQuery(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(ctx context.Context, c *kalshi.Client, same kalshi.Credentials) error
		want   string // empty is what the change has switched to
		lags   bool   // the result is the first key again
	}{
		"replaced": {func(_ context.Context, c *kalshi.Client, _ kalshi.Credentials) error {
			return c.Signer().Replace(credentials("replaced", newKey()))
		}, "", false},
		"replaced by the same key": {func(_ context.Context, c *kalshi.Client, same kalshi.Credentials) error {
			return c.Signer().Replace(credentials(same.KeyID(), same.PrivateKey()))
		}, "second", false},
		"rotated": {func(ctx context.Context, c *kalshi.Client, _ kalshi.Credentials) error {
			_, err := rotate(ctx, c)
			return err
		}, "", false},
		"rotated, and the source is not that far": {func(ctx context.Context, c *kalshi.Client, _ kalshi.Credentials) error {
			_, err := rotate(ctx, c)
			return err
		}, "", true},
		"reloaded": {func(ctx context.Context, c *kalshi.Client, _ kalshi.Credentials) error {
			go func() { _ = c.Signer().Reload(ctx) }()
			return nil
		}, "third", false},
	} {
		runInBubble(t, name, func(t *testing.T) {
			x := inMemory(t)
			first, n := x.credentials(), 0
			signer := newSourceSigner(func(context.Context) (kalshi.Credentials, error) {
				n++
				time.Sleep(time.Duration(n-1) * time.Second)
				if tt.lags {
					return first, nil
				}
				return []kalshi.Credentials{first, credentials("second", sourceKey()), credentials("third", sourceKey())}[n-1], nil
			})
			go func() { assert.NoError(t, signer.Reload(t.Context())) }()
			time.Sleep(500 * time.Millisecond)
			require.NoError(t, tt.change(t.Context(), x.clientOf(signer), first))
			want := cmp.Or(tt.want, signer.KeyID())
			time.Sleep(time.Minute)
			assert.Equal(t, want, signer.KeyID())
			if tt.lags { // as the cache of a secret manager may
				assert.ErrorContains(t, signer.Reload(t.Context()), "it gave the key "+x.KeyID+", which was replaced: does its cache lag behind?")
				time.Sleep(time.Second)
				x.Inject(fault{Status: 401, Body: unknownKeyBody})
				_, err := x.clientOf(signer).GetAPIKeys(t.Context())
				assert.ErrorContains(t, err, "does its cache lag behind?")
				assert.Equal(t, want, signer.KeyID())
			}
		})
	}
}
