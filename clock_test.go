package kalshi

import (
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A clockServer is an exchange that accepts timestamps up to 10 s from its own
// clock, which is the local one plus skew, in the bubble of a test.
type clockServer struct {
	mu       sync.Mutex
	skew     time.Duration
	transit  []time.Duration // how long the next requests take to arrive
	dateless bool
	refusals int
	attempts int
}

func (s *clockServer) answer(success httpmock.Responder) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		s.mu.Lock()
		s.attempts++
		if len(s.transit) > 0 {
			transit := s.transit[0]
			s.transit = s.transit[1:]
			s.mu.Unlock()
			time.Sleep(transit)
			s.mu.Lock()
		}
		defer s.mu.Unlock()
		now := time.Now().Add(s.skew)
		date := now.UTC().Format(http.TimeFormat)
		if s.dateless {
			date = ""
		}
		ms, _ := strconv.ParseInt(req.Header.Get(headerTimestamp), 10, 64)
		if now.Sub(time.UnixMilli(ms)).Abs() > 10*time.Second {
			s.refusals++
			return reply(401, `{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`, "Date", date)(req)
		}
		return success(req)
	}
}

// testClock runs a test for each call in a bubble of its own, with no retries
// but those for the clock's sake.
func testClock(t *testing.T, test func(t *testing.T, c *Client, srv *clockServer, do func() error)) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		synctest.Test(t, func(t *testing.T) {
			srv := new(clockServer)
			c, mock := newTestClient(t, WithMaxRetries(0))
			mock.RegisterNoResponder(srv.answer(call.success()))
			test(t, c, srv, func() error { return call.do(t.Context(), c) })
		})
	})
}

// A clock that is off costs the first call one more attempt, and no later
// call anything: mints too, and with retries turned off.
func TestClock_offsetIsLearned(t *testing.T) {
	for _, skew := range []time.Duration{time.Minute, -time.Minute, 11 * time.Second, 23 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			testClock(t, func(t *testing.T, c *Client, srv *clockServer, do func() error) {
				srv.skew = skew
				require.NoError(t, do())
				assert.Equal(t, 2, srv.attempts)
				assert.Equal(t, skew, c.signer.clockOffset())
				require.NoError(t, do())
				require.NoError(t, do())
				assert.Equal(t, 4, srv.attempts)
			})
		})
	}
}

// What one client learned serves everything that holds the signer.
func TestClock_offsetIsTheSigners(t *testing.T) {
	testClock(t, func(t *testing.T, c *Client, srv *clockServer, do func() error) {
		srv.skew = time.Hour
		require.NoError(t, do())
		header, err := c.Signer().Headers(http.MethodGet, WebSocketPath)
		require.NoError(t, err)
		want := strconv.FormatInt(time.Now().Add(time.Hour).UnixMilli(), 10)
		assert.Equal(t, want, header.Get(headerTimestamp))
	})
}

// When the local clock is mended the offset is wrong, and is dropped.
func TestClock_offsetIsDropped(t *testing.T) {
	testClock(t, func(t *testing.T, c *Client, srv *clockServer, do func() error) {
		srv.skew = time.Minute
		require.NoError(t, do())
		srv.skew = 2 * time.Second
		require.NoError(t, do())
		assert.Zero(t, c.signer.clockOffset())
		assert.Equal(t, 4, srv.attempts)
		require.NoError(t, do())
		assert.Equal(t, 5, srv.attempts)
	})
}

// A request that was long under way expired with the clocks in step: it is
// tried again once, and nothing is learned from it.
func TestClock_slowDial(t *testing.T) {
	testClock(t, func(t *testing.T, c *Client, srv *clockServer, do func() error) {
		srv.transit = []time.Duration{12 * time.Second}
		require.NoError(t, do())
		assert.Equal(t, 2, srv.attempts)
		assert.Zero(t, c.signer.clockOffset())

		srv.transit = []time.Duration{12 * time.Second, 12 * time.Second, 12 * time.Second}
		assert.Equal(t, "Unauthorized", kindOf(do()))
		assert.Equal(t, 4, srv.attempts, "once for each call")
	})
}

// With an offset that is right, a slow request does not unlearn it.
func TestClock_slowDialWithOffset(t *testing.T) {
	testClock(t, func(t *testing.T, c *Client, srv *clockServer, do func() error) {
		srv.skew = time.Minute
		require.NoError(t, do())
		srv.transit = []time.Duration{12 * time.Second}
		require.NoError(t, do())
		assert.Equal(t, 4, srv.attempts)
		assert.Equal(t, time.Minute, c.signer.clockOffset())
	})
}

// A clock that agrees with the server's, or a server that does not tell the
// time, gives no reason to try again.
func TestClock_noReasonToRetry(t *testing.T) {
	t.Parallel()
	const expired = `{"error":{"code":"header_timestamp_expired"}}`
	tests := []struct {
		name string
		date func() string
		body string
	}{
		{"clocks agree", func() string { return time.Now().UTC().Format(http.TimeFormat) }, expired},
		{"5 s apart", func() string { return time.Now().Add(5 * time.Second).UTC().Format(http.TimeFormat) }, expired},
		{"no date", func() string { return "" }, expired},
		{"farther apart than is believed", func() string { return time.Now().Add(25 * time.Hour).UTC().Format(http.TimeFormat) }, expired},
		{"in the distant past", func() string { return "Mon, 01 Jan 0001 00:00:00 GMT" }, expired},
		{"a date that is none", func() string { return "yesterday" }, expired},
		{"another error", func() string { return time.Now().Add(time.Hour).UTC().Format(http.TimeFormat) }, `{"error":{"details":"INCORRECT_API_KEY_SIGNATURE"}}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				synctest.Test(t, func(t *testing.T) {
					c, mock := newTestClient(t)
					attempts := replyInTurn(mock, reply(401, tt.body, "Date", tt.date()))
					assert.Equal(t, "Unauthorized", kindOf(call.do(t.Context(), c)))
					assert.EqualValues(t, 1, attempts.Load())
					assert.Zero(t, c.signer.clockOffset())
				})
			})
		})
	}
}

// A server without a date leaves an offset alone that was learned before.
func TestClock_noDateKeepsOffset(t *testing.T) {
	testClock(t, func(t *testing.T, c *Client, srv *clockServer, do func() error) {
		srv.skew = time.Minute
		require.NoError(t, do())
		srv.skew, srv.dateless = 0, true
		assert.Equal(t, "Unauthorized", kindOf(do()))
		assert.Equal(t, time.Minute, c.signer.clockOffset())
	})
}

// A server that refuses whatever it gets, with a clock that jumps about, does
// not keep a call going, and the error tells the skew.
func TestClock_noLoop(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		synctest.Test(t, func(t *testing.T) {
			c, mock := newTestClient(t, WithMaxRetries(10))
			skew := time.Hour
			attempts := replyInTurn(mock, func(req *http.Request) (*http.Response, error) {
				skew = -2 * skew
				return reply(401, `{"error":{"code":"header_timestamp_expired"}}`, "Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))(req)
			})
			err := call.do(t.Context(), c)
			assert.EqualValues(t, 2, attempts.Load())
			var unauthorized *UnauthorizedError
			require.ErrorAs(t, err, &unauthorized)
			assert.Equal(t, 4*time.Hour, unauthorized.ClockSkew)
			assert.Contains(t, err.Error(), "14400 seconds behind")
		})
	})
}

// The correction is beside the retries: it takes none of theirs, and they
// follow it as ever.
func TestClock_besideRetries(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		synctest.Test(t, func(t *testing.T) {
			c, mock := newTestClient(t, WithMaxRetries(2))
			srv := &clockServer{skew: time.Minute}
			attempts := replyInTurn(mock, reply(429, ""), srv.answer(nil), reply(429, ""), srv.answer(call.success()))
			assert.NoError(t, call.do(t.Context(), c))
			assert.EqualValues(t, 4, attempts.Load())
		})
	})
}

// Callers in parallel all recover, those too whose refusal comes after another
// one has taught the signer the offset.
func TestClock_parallelCallers(t *testing.T) {
	t.Parallel()
	const callers = 50
	forEachCall(t, func(t *testing.T, call apiCall) {
		synctest.Test(t, func(t *testing.T) {
			srv := &clockServer{skew: -time.Hour}
			for i := range callers { // the first attempts are all under way before one is refused
				srv.transit = append(srv.transit, time.Duration(1+i%7)*time.Second)
			}
			c, mock := newTestClient(t, WithMaxRetries(0))
			mock.RegisterNoResponder(srv.answer(call.success()))
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() { assert.NoError(t, call.do(t.Context(), c)) })
			}
			wg.Wait()
			assert.Equal(t, callers, srv.refusals)
			assert.Equal(t, 2*callers, srv.attempts)
		})
	})
}

// The same over sockets, with the exchange's own clock.
func TestClock_exchange(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		srv := startExchange(t)
		c := newServerClient(t, srv)
		for i, offset := range []time.Duration{time.Minute, -time.Minute, 0} {
			srv.SetClockOffset(offset)
			_, err := c.GetAPIKeys(t.Context())
			require.NoError(t, err)
			assertRequests(t, srv, 2*(i+1))
			assert.InDelta(t, offset.Seconds(), c.signer.clockOffset().Seconds(), 3)
		}
		srv.SetClockOffset(time.Minute)
		keys := len(srv.Keys())
		require.NoError(t, call.do(t.Context(), c))
		assertRequests(t, srv, 8)
		switch {
		case call.mints():
			assert.Len(t, srv.Keys(), keys+1)
		case call.method == http.MethodDelete:
			assert.Len(t, srv.Keys(), keys-1)
		}
	})
}
