package test

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// late has a request arrive when its timestamp has expired.
var late = fault{Delay: 12 * time.Second}

// makesRequests makes a call that has to succeed with so many requests. A
// delete finds its key however often it is made.
func (x *exchange) makesRequests(t testing.TB, call call, client *kalshi.Client, want int) {
	t.Helper()
	if !slices.Contains(x.keyIDs(), spareKeyID) {
		x.AddKey(kalshitest.Key{ID: spareKeyID})
	}
	before := len(x.Requests())
	require.NoError(t, call.do(t.Context(), client))
	x.assertRequests(t, before+want)
}

// A clock that is off costs the first call one more attempt, and later ones nothing: creates too,
// and with retries turned off. The signer keeps it, for everything that signs with it.
func TestClock_offsetIsLearned(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		x := inMemory(t)
		client := x.client(kalshi.WithMaxRetries(0))
		for _, skew := range []time.Duration{11 * time.Second, -time.Minute, 23 * time.Hour} {
			x.SetClockOffset(skew)
			x.makesRequests(t, call, client, 2)
			assert.Equal(t, skew, client.Signer().ClockOffset())
			x.makesRequests(t, call, client, 1)
		}
	})
}

// A request that took long to arrive expired with the clocks in step: it is retried once, and
// nothing is learned or unlearned from it. That holds for any request through HTTPClient, too.
func TestClock_slowDial(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		x := inMemory(t)
		client := x.client(kalshi.WithMaxRetries(0))
		for _, skew := range []time.Duration{0, time.Minute} {
			x.SetClockOffset(skew)
			require.NoError(t, list(t.Context(), client))
			x.Inject(late)
			x.makesRequests(t, call, client, 2)
			x.Inject(late)
			require.NoError(t, checked(client.HTTPClient().Get(x.URL+"/api_keys")))
			assert.Equal(t, skew, client.Signer().ClockOffset())

			x.Inject(late, late)
			assert.Equal(t, "Unauthorized", kindOf(call.do(t.Context(), client)))
		}
	})
}

// The correction is beside the retries: it takes none of theirs, and they follow it as usual.
func TestClock_doesNotCountAsRetry(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		x := inMemory(t)
		x.SetClockOffset(time.Minute)
		x.Inject(fault{Status: 429}, fault{}, fault{Status: 429})
		x.makesRequests(t, call, x.client(kalshi.WithMaxRetries(2)), 4)
	})
}

// A Date that something in between has set wrong or frozen costs the call whose
// timestamp expired two more attempts, and strands no client: what was learned from
// it is dropped when it does not help.
func TestClock_wrongDate(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		start := time.Now()
		for name, date := range map[string]func() time.Time{
			"an hour ahead":  func() time.Time { return time.Now().Add(time.Hour) },
			"an hour behind": func() time.Time { return time.Now().Add(-time.Hour) },
			"frozen":         func() time.Time { return start.Add(-time.Minute) },
		} {
			x := inMemory(t)
			client := x.clientThrough(t, func(h http.Header) { h.Set("Date", date().UTC().Format(http.TimeFormat)) })
			x.Inject(late)
			x.makesRequests(t, call, client, 3)
			assert.Zero(t, client.Signer().ClockOffset(), name)
			x.makesRequests(t, call, client, 1)
		}
	})
}

// The seconds that a cache has held a response, its Age, count.
func TestClock_age(t *testing.T) {
	forEachCall(t, func(t *testing.T, call call) {
		x := inMemory(t)
		x.SetClockOffset(time.Minute)
		client := x.clientThrough(t, func(h http.Header) {
			h.Set("Date", time.Now().Add(20*time.Second).UTC().Format(http.TimeFormat))
			h.Set("Age", "40")
		})
		x.makesRequests(t, call, client, 2)
		assert.Equal(t, time.Minute, client.Signer().ClockOffset())
	})
}

// clientThrough returns a client without retries behind something that changes the
// headers of responses.
func (x *exchange) clientThrough(t testing.TB, change func(http.Header)) *kalshi.Client {
	t.Helper()
	return x.client(kalshi.WithMaxRetries(0), kalshi.WithHTTPClient(&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		resp, err := x.transport.RoundTrip(req)
		if err == nil {
			change(resp.Header)
		}
		return resp, err
	})}))
}
