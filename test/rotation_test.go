package test

import (
	"context"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// rotate rotates the client's key and stores nothing.
func rotate(ctx context.Context, client *kalshi.Client) (*kalshi.RotateAPIKeyResponse, error) {
	return client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Save: noSave})
}

// Calls of all kinds without a pause, from two clients that share the signer,
// through rotation after rotation: not one of them fails.
func TestRotation_underLoad(t *testing.T) {
	t.Parallel()
	const callers, rotations = 16, 20
	x := onLoopback(t)
	x.transport.MaxIdleConnsPerHost = callers
	signer := newSigner(t, x.KeyID, x.PrivateKey)
	clients := []*kalshi.Client{x.clientOf(t, signer), x.clientOf(t, signer)}

	underLoad(t, callers, func(i int) error { return load(i, clients[i%2]) }, func() {
		for range rotations {
			if _, err := rotate(t.Context(), clients[0]); !assert.NoError(t, err) {
				break
			}
		}
	})
	x.logOvertaken(t)
}

// underLoad has callers call without a pause while a function runs, each at
// least once before. None of the calls may fail.
func underLoad(t testing.TB, callers int, call func(i int) error, during func()) {
	t.Helper()
	var running sync.WaitGroup
	var stop atomic.Bool
	failed, started := make([]error, callers), make(chan struct{}, callers)
	for i := range callers {
		running.Go(func() {
			for n := 0; !stop.Load() && failed[i] == nil; n++ {
				failed[i] = call(i)
				if n == 0 {
					started <- struct{}{}
				}
			}
		})
	}
	for range callers {
		<-started
	}
	during()
	stop.Store(true)
	running.Wait()
	for i, err := range failed {
		assert.NoError(t, err, "caller %d", i)
	}
}

// logOvertaken logs how many requests were refused with an old key, of those
// that the exchange remembers.
func (x *exchange) logOvertaken(t testing.TB) {
	t.Helper()
	requests, overtaken := x.Requests(), 0
	for _, r := range requests {
		if r.Status == http.StatusUnauthorized {
			overtaken++
		}
	}
	t.Logf("of the last %d requests, %d were overtaken by a rotation", len(requests), overtaken)
}

// load is what caller i calls: mostly listings, and two make and delete keys.
func load(i int, client *kalshi.Client) error {
	ctx := context.Background()
	if i > 1 {
		_, err := client.GetAPIKeys(ctx)
		return err
	}
	key, err := client.GenerateAPIKey(ctx, kalshi.GenerateAPIKeyRequest{Name: "load", KeyType: kalshi.KeyTypeEd25519})
	if err != nil {
		return err
	}
	return client.DeleteAPIKey(ctx, key.ID)
}

// A call that a rotation overtakes on its way is signed again by the new key,
// also one that makes a key: a 401 was not processed.
func TestRotation_overtakesCall(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		x := inMemory(t)
		client := x.client(t, kalshi.WithMaxRetries(0))
		x.Inject(kalshitest.Fault{Method: call.method, Delay: 5 * time.Second})
		before, called := len(x.Keys()), make(chan error)
		go func() { called <- call.do(t.Context(), client) }()
		synctest.Wait() // it is on its way, signed by the old key

		_, err := rotate(t.Context(), client)
		require.NoError(t, err)
		require.NoError(t, <-called)
		want := map[string]int{http.MethodPost: before + 1, http.MethodDelete: before - 1, http.MethodGet: before}
		assert.Len(t, x.Keys(), want[call.method])
	})
}

// One rotation of a signer at a time, by whichever client: a second waits, and
// then rotates what the first one left.
func TestRotation_oneAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := inMemory(t)
		other, adminKey := x.client(t), x.AddKey(kalshitest.Key{Name: "admin"})
		admin := x.clientOf(t, newSigner(t, adminKey.ID, adminKey.PrivateKey))

		saving := make(chan struct{})
		first, third := make(chan error), make(chan error)
		go func() {
			_, err := admin.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Signer: other.Signer(), Save: func(context.Context, *kalshi.GenerateAPIKeyResponse) error {
				<-saving
				return nil
			}})
			first <- err
		}()
		synctest.Wait() // the first is in Save now
		requests := len(x.Requests())

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := rotate(ctx, other)
		var rotation *kalshi.RotationError
		require.ErrorAs(t, err, &rotation)
		assert.Equal(t, kalshi.RotationError{Stage: kalshi.StageInspect, OldKeyID: x.KeyID, Err: rotation.Err}, *rotation)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "waiting for another rotation")
		x.assertRequests(t, requests) // it gave way before it did anything

		var got *kalshi.RotateAPIKeyResponse
		go func() {
			var err error
			got, err = rotate(t.Context(), other)
			third <- err
		}()
		synctest.Wait()
		close(saving)
		require.NoError(t, <-first)
		require.NoError(t, <-third)
		assert.NotEqual(t, x.KeyID, got.OldKeyID, "the second one rotates the first one's key")
		assert.Equal(t, []string{spareKeyID, adminKey.ID, got.NewKeyID}, x.keyIDs())
	})
}

// A Save that ends its goroutine, as a test's FailNow does, ends the rotation,
// not all that come after it.
func TestRotation_goexitInSave(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := inMemory(t)
		client := x.client(t)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Save: func(context.Context, *kalshi.GenerateAPIKeyResponse) error {
				runtime.Goexit()
				return nil
			}})
		}()
		<-ended
		assert.Equal(t, x.KeyID, client.Signer().KeyID())
		left := x.keyIDs()
		assert.Len(t, left, 3, "what Save may have stored is left alone")

		_, err := rotate(t.Context(), client)
		require.NoError(t, err)
		assert.Subset(t, x.keyIDs(), left[1:])
	})
}

// Whatever else holds the signer follows the switch: another client, and a
// program that signs and sends by itself. What was signed before the switch
// works for as long as the old key lives.
func TestRotation_signerFollows(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := inMemory(t)
		x.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		client := x.client(t)
		other := x.clientOf(t, client.Signer())
		signed := func() *http.Request {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.URL+"/portfolio/balance?a=b", nil)
			require.NoError(t, err)
			require.NoError(t, client.Signer().SignRequest(req))
			return req
		}
		send := func(req *http.Request) int {
			resp, err := x.transport.RoundTrip(req)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return resp.StatusCode
		}
		for _, keepOld := range []bool{false, true} {
			before := signed()
			got, err := client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Save: noSave, KeepOld: keepOld})
			require.NoError(t, err)
			assert.Equal(t, got.NewKeyID, client.Signer().KeyID())
			assert.Equal(t, keepOld, slices.Contains(x.keyIDs(), got.OldKeyID))
			assert.Equal(t, map[bool]int{false: 401, true: 200}[keepOld], send(before))
			assert.Equal(t, 200, send(signed()))

			requests := len(x.Requests())
			_, err = other.GetAPIKeys(t.Context())
			require.NoError(t, err)
			x.assertRequests(t, requests+1)
		}
	})
}
