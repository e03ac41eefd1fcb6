package kalshitest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A client that gives up while it waits: Process decides whether its request has an
// effect.
func TestFault_Delay_ClientGone(t *testing.T) {
	t.Parallel()
	for _, processed := range []bool{false, true} {
		t.Run(fmt.Sprintf("process %v", processed), func(t *testing.T) {
			t.Parallel()
			var s *kalshitest.Server
			labelled(t, func() { s = newServer(t) })
			s.Inject(kalshitest.Fault{Delay: time.Hour, Process: processed})
			ctx, cancel := context.WithCancel(t.Context())
			gone := make(chan reply)
			c := newClient(t, s)
			go func() {
				gone <- c.do("POST", "/api_keys/generate", generateBody, func(r *http.Request) { *r = *r.WithContext(ctx) })
			}()
			require.Eventually(t, func() bool {
				requests := s.Requests()
				return len(requests) == 1 && requests[0].Processed == processed
			}, 10*time.Second, time.Millisecond)
			cancel()
			require.ErrorIs(t, (<-gone).err, context.Canceled)

			noGoroutine(t, "kalshitest.(*Server).") // the request is done with
			requests := s.Requests()
			require.Len(t, requests, 1)
			assert.Equal(t, processed, requests[0].Processed)
			assert.Zero(t, requests[0].Status)
			assert.Equal(t, processed, len(s.Keys()) == 2)
		})
	}
}

// An endless response ends with its client.
func TestFault_Answer_Endless(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ended := make(chan struct{})
	s.Inject(kalshitest.Fault{Answer: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		endless(w, r)
	})})
	res, err := newClient(t, s).http.Get(s.URL + "/api_keys")
	require.NoError(t, err)
	_, err = io.CopyN(io.Discard, res.Body, 1<<20)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("it writes on")
	}
}

// A handler cannot hijack a connection whose response a fault replaces.
func TestFault_Process_Hijack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Handle("GET /trade-api/v2/hijack", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _, err := w.(http.Hijacker).Hijack()
		assert.ErrorIs(t, err, http.ErrNotSupported)
		w.WriteHeader(http.StatusInternalServerError)
	}))
	s.Inject(kalshitest.Fault{Process: true})
	got := newClient(t, s).do("GET", "/hijack", "")
	assert.Equal(t, http.StatusInternalServerError, got.status)
	assert.False(t, s.Requests()[0].Processed)
}
