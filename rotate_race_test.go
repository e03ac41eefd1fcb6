package kalshi

import (
	"context"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// Calls of all kinds without a pause, from two clients that share the signer,
// through rotation after rotation: not one of them fails.
func TestClient_RotateAPIKey_underLoad(t *testing.T) {
	t.Parallel()
	const callers, rotations = 16, 20
	srv := kalshitest.NewServer()
	t.Cleanup(srv.Close)
	client := newServerClient(t, srv)
	clients := []*Client{client, newSharingClient(t, srv, client.Signer())}

	var running sync.WaitGroup
	var stop atomic.Bool
	calls, failed := make([]int, callers), make([]error, callers)
	started := make(chan struct{}, callers)
	for i := range callers {
		running.Go(func() {
			call := loadOf(i, clients[i%2])
			for !stop.Load() && failed[i] == nil {
				failed[i] = call()
				if calls[i]++; calls[i] == 1 {
					started <- struct{}{}
				}
			}
		})
	}
	for range callers {
		<-started
	}
	for range rotations {
		if _, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave}); !assert.NoError(t, err) {
			break
		}
	}
	stop.Store(true)
	running.Wait()
	for i, err := range failed {
		assert.NoError(t, err, "call %d of caller %d", calls[i], i)
	}

	overtaken := 0
	for _, r := range srv.Requests() {
		if r.Status == http.StatusUnauthorized {
			overtaken++
		}
	}
	t.Logf("%d requests, %d of them overtaken by a rotation", len(srv.Requests()), overtaken)
}

// A call that a rotation overtakes on its way is signed again by the new key,
// also one that makes a key: a 401 was not processed.
func TestClient_overtakenByRotation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		at   point
		call func(*Client) error
		keys []string
	}{
		{"list", atInspect, func(c *Client) error {
			_, err := c.GetAPIKeys(context.Background())
			return err
		}, []string{"other", "new-1"}},
		{"mint", atMint, func(c *Client) error {
			_, err := c.GenerateAPIKey(context.Background(), GenerateAPIKeyRequest{Name: "more"})
			return err
		}, []string{"other", "new-1", "new-2"}},
		{"delete", atDiscard, func(c *Client) error {
			return c.DeleteAPIKey(context.Background(), "other")
		}, []string{"new-1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			testRSAKey() // that a mint may answer, made in real time
			synctest.Test(t, func(t *testing.T) {
				client, mock := newTestClient(t, WithMaxRetries(0))
				x := newMemoryExchange(client, mock, plainKey)
				rotated, called := make(chan struct{}), make(chan error)
				x.faults = map[point]memoryFault{tt.at: once(func(_ *memoryExchange, _ *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
					<-rotated
					return process(), nil
				})}
				go func() { called <- tt.call(client) }()
				synctest.Wait() // it is on its way, signed by the old key

				_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave})
				require.NoError(t, err)
				close(rotated)
				require.NoError(t, <-called)
				assert.Equal(t, tt.keys, x.ids())
			})
		})
	}
}

// loadOf is what caller i calls: mostly listings, and two make and delete keys.
func loadOf(i int, client *Client) func() error {
	if i > 1 {
		return func() error {
			_, err := client.GetAPIKeys(context.Background())
			return err
		}
	}
	return func() error {
		key, err := client.GenerateAPIKey(context.Background(), GenerateAPIKeyRequest{Name: "load", KeyType: KeyTypeEd25519})
		if err != nil {
			return err
		}
		return client.DeleteAPIKey(context.Background(), key.ID)
	}
}

func newSharingClient(t testing.TB, srv *kalshitest.Server, signer *Signer) *Client {
	t.Helper()
	client := newServerClient(t, srv)
	client.signer = signer
	return client
}

// One rotation at a time: a second waits, also through another client that
// shares the signer, and then rotates what the first one left.
func TestClient_RotateAPIKey_second(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, x := newRotatingClient(t, plainKey)
		other, err := NewClient(client.Signer(), WithBaseURL(testBaseURL), WithHTTPClient(client.httpClient))
		require.NoError(t, err)

		saving := make(chan struct{})
		first, third := make(chan error), make(chan error)
		go func() {
			_, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: func(context.Context, *GenerateAPIKeyResponse) error {
				<-saving
				return nil
			}})
			first <- err
		}()
		synctest.Wait() // the first is in Save now

		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err = other.RotateAPIKey(ctx, RotateAPIKeyRequest{Save: noSave})
		var rotation *RotationError
		require.ErrorAs(t, err, &rotation)
		assert.Equal(t, RotationError{Stage: StageInspect, OldKeyID: testKeyID, Err: rotation.Err}, *rotation)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Len(t, x.callsAt(atMint), 1, "it gave way before it did anything")

		var got *RotateAPIKeyResponse
		go func() {
			var err error
			got, err = other.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave})
			third <- err
		}()
		synctest.Wait()
		close(saving)
		require.NoError(t, <-first)
		require.NoError(t, <-third)
		assert.Equal(t, &RotateAPIKeyResponse{OldKeyID: "new-1", NewKeyID: "new-2"}, got)
		assert.Equal(t, []string{"other", "new-2"}, x.ids())
	})
}

// A Save that ends its goroutine, as a test's FailNow does, ends the rotation,
// not all that come after it.
func TestClient_RotateAPIKey_goexitInSave(t *testing.T) {
	t.Parallel()
	client, x := newRotatingClient(t, plainKey)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = client.RotateAPIKey(context.Background(), RotateAPIKeyRequest{Save: func(context.Context, *GenerateAPIKeyResponse) error {
			runtime.Goexit()
			return nil
		}})
	}()
	<-ended
	assert.Equal(t, testKeyID, client.Signer().KeyID())

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // where it would wait for ever
	defer cancel()
	_, err := client.RotateAPIKey(ctx, RotateAPIKeyRequest{Save: noSave})
	require.NoError(t, err)
	assert.Equal(t, []string{"other", "new-1", "new-2"}, x.ids(), "what the first one may have saved is left alone")
}

// Whatever else holds the signer follows the switch: another client, and a
// program that signs and sends by itself.
func TestSigner_followsRotation(t *testing.T) {
	t.Parallel()
	srv := kalshitest.NewServer()
	t.Cleanup(srv.Close)
	srv.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	client := newServerClient(t, srv)
	signer := client.Signer()
	other := newSharingClient(t, srv, signer)

	for range 3 {
		old, err := http.NewRequest(http.MethodGet, srv.URL+"/portfolio/balance?a=b", nil)
		require.NoError(t, err)
		require.NoError(t, signer.SignRequest(old))

		got, err := client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave})
		require.NoError(t, err)
		assert.Equal(t, got.NewKeyID, signer.KeyID())
		assert.Equal(t, http.StatusUnauthorized, send(t, client, old), "what was signed before is what Grace is for")

		fresh, err := http.NewRequest(http.MethodGet, srv.URL+"/portfolio/balance?a=b", nil)
		require.NoError(t, err)
		require.NoError(t, signer.SignRequest(fresh))
		assert.Equal(t, http.StatusOK, send(t, client, fresh))
		before := len(srv.Requests())
		requireWorks(t, other)
		assert.Len(t, srv.Requests(), before+1, "the other client needs one attempt")
	}
}

// While the old key lives, what was signed before the switch and is sent after
// it still counts.
func TestSigner_signedBeforeRotation(t *testing.T) {
	t.Parallel()
	srv := kalshitest.NewServer()
	t.Cleanup(srv.Close)
	client := newServerClient(t, srv)
	req, err := http.NewRequest(http.MethodGet, srv.URL+"/api_keys", nil)
	require.NoError(t, err)
	require.NoError(t, client.Signer().SignRequest(req))

	_, err = client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave, KeepOld: true})
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, send(t, client, req))
}

func send(t testing.TB, client *Client, req *http.Request) (status int) {
	t.Helper()
	resp, err := client.httpClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}
