package test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
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

// Calls of all kinds without a pause, through rotation after rotation, while the
// service's clock jumps and the signer is reloaded and given other keys: not one
// of them fails, and no order is placed twice.
func TestRotation_underLoad(t *testing.T) {
	t.Parallel()
	callers, rotations := 64, 50
	if testing.Short() {
		callers, rotations = 16, 10
	}
	x := onLoopback(t)
	x.transport.MaxIdleConnsPerHost = callers
	orders := x.handleBot()
	var saved atomic.Value // the Credentials that the source returns
	saved.Store(x.credentials(t))
	signer, err := kalshi.NewSignerFromSource(t.Context(), func(context.Context) (kalshi.Credentials, error) {
		return saved.Load().(kalshi.Credentials), nil
	})
	require.NoError(t, err)
	client, other := x.clientOf(t, signer), x.clientOf(t, signer)
	var placed atomic.Int64
	kinds := []func() error{
		func() error { return getBalance(client.HTTPClient(), x.URL) },
		func() error {
			placed.Add(1)
			return placeOrder(client.HTTPClient(), x.URL)
		},
		func() error {
			_, err := other.GetAPIKeys(t.Context())
			return errors.Join(err, signer.Reload(t.Context()))
		},
		func() error {
			key, err := other.GenerateAPIKey(t.Context(), kalshi.GenerateAPIKeyRequest{Name: "load", KeyType: kalshi.KeyTypeEd25519})
			if err != nil {
				return err
			}
			return other.DeleteAPIKey(t.Context(), key.ID)
		},
	}

	var stop atomic.Bool
	var running sync.WaitGroup
	var round atomic.Pointer[sync.WaitGroup] // waits until each caller has made a call that began in it
	nextRound := func() {
		next := new(sync.WaitGroup)
		next.Add(callers)
		round.Store(next)
	}
	nextRound()
	for i := range callers {
		running.Go(func() {
			for last := (*sync.WaitGroup)(nil); !stop.Load(); {
				this := round.Load()
				assert.NoError(t, kinds[i%len(kinds)](), "caller %d", i)
				if this != last {
					this.Done()
					last = this
				}
			}
		})
	}
	store := kalshi.SaveFunc(func(_ context.Context, c kalshi.Credentials) error {
		saved.Store(c)
		return nil
	})
	for i := range rotations {
		round.Load().Wait()
		switch i % 3 {
		case 0:
			x.SetClockOffset([]time.Duration{time.Hour, -time.Minute, 0}[i/3%3])
		case 1:
			key := x.AddKey(kalshitest.Key{Name: "replaced"})
			assert.NoError(t, signer.Replace(parsed(t, key)))
		}
		if _, err := client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Store: store}); !assert.NoError(t, err) {
			break
		}
		nextRound()
	}
	stop.Store(true)
	running.Wait()
	assert.Equal(t, placed.Load(), orders.Load(), "orders")
	overtaken := 0
	for _, r := range x.Requests() {
		if r.Status == http.StatusUnauthorized {
			overtaken++
		}
	}
	t.Logf("of the last %d requests, %d were overtaken by a rotation or a clock", len(x.Requests()), overtaken)
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
			save := kalshi.SaveFunc(func(context.Context, kalshi.Credentials) error {
				<-saving
				return nil
			})
			_, err := admin.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Signer: other.Signer(), Store: save})
			first <- err
		}()
		synctest.Wait() // the first is in Save now
		requests := len(x.Requests())

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := rotate(ctx, other)
		assert.Equal(t, x.KeyID, requireFails(t, err, kalshi.StageInspect).OldKeyID)
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

// A WebSocket is dialled by the same client: signed at the handshake, again
// after a rotation, and the connection is handed on as it is.
func TestRotation_webSocket(t *testing.T) {
	t.Parallel()
	x := onLoopback(t)
	x.Handle("GET "+kalshi.WebSocketPath, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"))
		_, _ = io.CopyN(conn, buffered, int64(len("echo")))
	}))
	client := x.client(t)
	hc := client.HTTPClient()
	hc.Timeout = 0 // with one, net/http hides the connection; WebSocket libraries know that
	dial := func() {
		handshake := strings.Replace(client.WebSocketURL(), "ws", "http", 1)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, handshake, nil)
		require.NoError(t, err)
		req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
		resp, err := hc.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		conn, ok := resp.Body.(io.ReadWriteCloser)
		require.True(t, ok, "the connection of a %d is a %T", resp.StatusCode, resp.Body)
		_, err = conn.Write([]byte("echo"))
		require.NoError(t, err)
		echo, err := io.ReadAll(conn)
		require.NoError(t, err)
		assert.Equal(t, "echo", string(echo))
	}
	dial()
	_, err := rotate(t.Context(), client)
	require.NoError(t, err)
	dial()
}
