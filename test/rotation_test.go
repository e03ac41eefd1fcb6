package test

import (
	"context"
	"errors"
	"net/http"
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

// Through rotation after rotation, while the service's clock jumps and the signer is
// reloaded and given other keys, no call fails, and no order is placed twice.
func TestRotation_underLoad(t *testing.T) {
	t.Parallel()
	callers, rotations := 64, 50
	if testing.Short() {
		callers, rotations = 16, 10
	}
	x := onLoopback(t)
	x.transport.MaxIdleConnsPerHost = callers
	var saved atomic.Value // the Credentials that the source returns
	saved.Store(x.credentials())
	signer := newSourceSigner(func(context.Context) (kalshi.Credentials, error) { return saved.Load().(kalshi.Credentials), nil })
	store := kalshi.SaveFunc(func(_ context.Context, c kalshi.Credentials) error { saved.Store(c); return nil })
	client, other, orders := x.clientOf(signer), x.clientOf(signer), x.handleBot()
	calls := []func() error{
		func() error { return getBalance(client.HTTPClient(), x.URL) },
		func() error { return placeOrder(client.HTTPClient(), x.URL) },
		func() error {
			return errors.Join(list(t.Context(), other), signer.Reload(t.Context()))
		},
		func() error {
			key, err := other.GenerateAPIKey(t.Context(), kalshi.GenerateAPIKeyRequest{Name: "load", KeyType: kalshi.KeyTypeEd25519})
			if err != nil {
				return err
			}
			return other.DeleteAPIKey(t.Context(), key.ID)
		},
	}
	for i := range rotations {
		x.ClearRequests() // which the exchange searches for a replay at each 401
		switch i % 3 {
		case 0:
			x.SetClockOffset([]time.Duration{time.Hour, -time.Minute, 0}[i/3%3])
		case 1:
			assert.NoError(t, signer.Replace(parsed(x.AddKey(kalshitest.Key{Name: "replaced"}))))
		}
		var running sync.WaitGroup
		for caller := range callers {
			running.Go(func() {
				assert.NoError(t, calls[caller%len(calls)](), "caller %d", caller)
			})
		}
		_, err := client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Store: store})
		running.Wait()
		require.NoError(t, err)
	}
	assert.EqualValues(t, callers/len(calls)*rotations, orders.Load(), "orders")
}

// A call that a rotation overtakes is signed again by the new key, one that makes a key, too.
func TestRotation_overtakesCall(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		x := inMemory(t)
		client := x.client(kalshi.WithMaxRetries(0))
		x.Inject(fault{Method: call.method, Delay: 5 * time.Second})
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

// One rotation of a signer at a time: a second waits, and then rotates what the first one left.
func TestRotation_oneAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := inMemory(t)
		other, adminKey := x.client(), x.AddKey(kalshitest.Key{Name: "admin"})
		admin := x.clientOf(newSigner(adminKey.ID, adminKey.PrivateKey))

		save := kalshi.SaveFunc(func(context.Context, kalshi.Credentials) error { time.Sleep(time.Minute / 2); return nil })
		go func() {
			_, err := admin.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Signer: other.Signer(), Store: save})
			assert.NoError(t, err)
		}()
		synctest.Wait() // it is in Save now
		requests := len(x.Requests())

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := rotate(ctx, other)
		assert.Equal(t, x.KeyID, requireFails(t, err, kalshi.StageInspect).OldKeyID)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "waiting for another rotation")
		x.assertRequests(t, requests) // it gave way before it did anything

		got, err := rotate(t.Context(), other)
		require.NoError(t, err)
		assert.NotEqual(t, x.KeyID, got.OldKeyID, "the second one rotates the first one's key")
		assert.Equal(t, []string{spareKeyID, adminKey.ID, got.NewKeyID}, x.keyIDs())
	})
}
