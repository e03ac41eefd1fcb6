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

const expiredBody = `{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`

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

// When the local clock is corrected the offset is wrong, and is dropped.
func TestClock_offsetIsDropped(t *testing.T) {
	forEachClock(t, func(t *testing.T, run *clockRun) {
		run.SetClockOffset(time.Minute)
		require.NoError(t, run.do(t))
		run.SetClockOffset(2 * time.Second)
		require.NoError(t, run.do(t))
		assert.Zero(t, offset(t, run.client.Signer()))
		run.assertRequests(t, 4)
		require.NoError(t, run.do(t))
		run.assertRequests(t, 5)
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

// What gives no reason to retry, and teaches nothing.
func TestClock_noReasonToRetry(t *testing.T) {
	tests := []struct {
		name string
		date func() []string
		body string
	}{
		{"clocks agree", func() []string { return []string{date(0)} }, expiredBody},
		{"5 s apart", func() []string { return []string{date(5 * time.Second)} }, expiredBody},
		{"no date", func() []string { return nil }, expiredBody},
		{"farther apart than is believed", func() []string { return []string{date(25 * time.Hour)} }, expiredBody},
		{"in the distant past", func() []string { return []string{"Mon, 01 Jan 0001 00:00:00 GMT"} }, expiredBody},
		{"a date that is none", func() []string { return []string{"yesterday"} }, expiredBody},
		{"another error", func() []string { return []string{date(time.Hour)} }, `{"error":{"details":"INCORRECT_API_KEY_SIGNATURE"}}`},
	}
	forEachClock(t, func(t *testing.T, run *clockRun) {
		for i, tt := range tests {
			run.Inject(kalshitest.Fault{Status: 401, Body: tt.body, Header: http.Header{"Date": tt.date()}})
			assert.Equal(t, "Unauthorized", kindOf(run.do(t)), tt.name)
			run.assertRequests(t, i+1)
			assert.Zero(t, offset(t, run.client.Signer()), tt.name)
		}
	})
}

// A server without a date leaves an offset alone that was learned before.
func TestClock_noDateKeepsOffset(t *testing.T) {
	forEachClock(t, func(t *testing.T, run *clockRun) {
		run.SetClockOffset(time.Minute)
		require.NoError(t, run.do(t))
		run.Inject(kalshitest.Fault{Status: 401, Body: expiredBody, Header: http.Header{"Date": nil}, Times: always})
		assert.Equal(t, "Unauthorized", kindOf(run.do(t)))
		assert.Equal(t, time.Minute, offset(t, run.client.Signer()))
	})
}

// A server that refuses whatever it gets, with a clock that jumps about, does
// not keep a call going, and the error tells the skew.
func TestClock_noLoop(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		skew := time.Hour
		client, x, _ := hostile(t, func(w http.ResponseWriter, _ *http.Request) {
			skew *= -2
			w.Header().Set("Date", date(skew))
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(expiredBody))
		}, kalshi.WithMaxRetries(10))
		err := call.do(t.Context(), client)
		x.assertRequests(t, 2)
		var unauthorized *kalshi.UnauthorizedError
		require.ErrorAs(t, err, &unauthorized)
		assert.Equal(t, 4*time.Hour, unauthorized.ClockSkew)
		assert.Contains(t, err.Error(), "4 hours behind")
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
