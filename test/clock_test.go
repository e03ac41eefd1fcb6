package test

import (
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A clockRun is a call to make against an exchange whose clock differs. It has
// no retries but those of the clock.
type clockRun struct {
	*exchange
	client *kalshi.Client
	call   call
}

func forEachClock(t *testing.T, test func(t *testing.T, run *clockRun)) {
	forEachCall(t, func(t *testing.T, call call) {
		x := inMemory(t)
		test(t, &clockRun{x, x.client(t, kalshi.WithMaxRetries(0)), call})
	})
}

// do makes the call. A delete finds its key however often it is made.
func (run *clockRun) do(t testing.TB) error {
	t.Helper()
	if !slices.Contains(run.keyIDs(), spareKeyID) {
		run.AddKey(kalshitest.Key{ID: spareKeyID})
	}
	return run.call.do(t.Context(), run.client)
}

// offset is by how much a signer's timestamps differ from the local clock.
func offset(t testing.TB, signer *kalshi.Signer) time.Duration {
	t.Helper()
	header, err := signer.Headers(http.MethodGet, kalshi.WebSocketPath)
	require.NoError(t, err)
	ms, err := strconv.ParseInt(header.Get("KALSHI-ACCESS-TIMESTAMP"), 10, 64)
	require.NoError(t, err)
	return time.Until(time.UnixMilli(ms))
}

// date is the Date header of a server whose clock is off by skew.
func date(skew time.Duration) string {
	return time.Now().Add(skew).UTC().Format(http.TimeFormat)
}

// delayed has the next requests arrive late.
func (x *exchange) delayed(transit ...time.Duration) {
	for _, d := range transit {
		x.Inject(kalshitest.Fault{Delay: d})
	}
}

// A clock that is off costs the first call one more attempt, and later ones
// nothing: creates too, and with retries turned off. The signer keeps it, for
// everything that signs with it.
func TestClock_offsetIsLearned(t *testing.T) {
	forEachClock(t, func(t *testing.T, run *clockRun) {
		signer, requests := run.client.Signer(), 0
		for _, skew := range []time.Duration{11 * time.Second, -time.Minute, 23 * time.Hour} {
			run.SetClockOffset(skew)
			require.NoError(t, run.do(t))
			requests += 2
			run.assertRequests(t, requests)
			assert.Equal(t, skew, offset(t, signer))

			require.NoError(t, run.do(t))
			require.NoError(t, run.do(t))
			requests += 2
			run.assertRequests(t, requests)
		}
	})
}

// A request that took long to arrive expired with the clocks in step: it is
// retried once, and nothing is learned or unlearned from it.
func TestClock_slowDial(t *testing.T) {
	forEachClock(t, func(t *testing.T, run *clockRun) {
		for _, skew := range []time.Duration{0, time.Minute} {
			run.SetClockOffset(skew)
			_, err := run.client.GetAPIKeys(t.Context())
			require.NoError(t, err)
			requests := len(run.Requests())
			run.delayed(12 * time.Second)
			require.NoError(t, run.do(t))
			run.assertRequests(t, requests+2)
			assert.Equal(t, skew, offset(t, run.client.Signer()))

			run.delayed(12*time.Second, 12*time.Second)
			assert.Equal(t, "Unauthorized", kindOf(run.do(t)))
			run.assertRequests(t, requests+4)
		}
	})
}

// The correction is beside the retries: it takes none of theirs, and they
// follow it as usual.
func TestClock_besideRetries(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		x := inMemory(t)
		x.SetClockOffset(time.Minute)
		x.Inject(kalshitest.Fault{Status: 429}, kalshitest.Fault{}, kalshitest.Fault{Status: 429})
		assert.NoError(t, call.do(t.Context(), x.client(t, kalshi.WithMaxRetries(2))))
		x.assertRequests(t, 4)
	})
}

// Callers in parallel all recover, those too whose refusal comes after another
// one has taught the signer the offset.
func TestClock_parallelCallers(t *testing.T) {
	const callers = 50
	forEachClock(t, func(t *testing.T, run *clockRun) {
		run.SetClockOffset(-time.Hour)
		for i := range callers { // the first attempts are all under way before one is refused
			run.delayed(time.Duration(1+i%7) * time.Second)
		}
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				err := run.call.do(t.Context(), run.client)
				assert.True(t, err == nil || isA[*kalshi.NotFoundError](err), "%v", err) // another one deleted the key
			})
		}
		wg.Wait()
		run.assertRequests(t, 2*callers)
	})
}
