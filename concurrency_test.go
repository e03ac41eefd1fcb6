package kalshi

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A thousand callers share one client and one signer while answers are lost,
// refused and cut off. Afterwards each key is accounted for,
// and no goroutine and no connection is left.
func TestConcurrency(t *testing.T) { // not in parallel: it counts goroutines
	callers := 1000
	if testing.Short() {
		callers = 100
	}
	goroutines := runtime.NumGoroutine()
	srv := kalshitest.NewServer()
	defer srv.Close()
	conns := new(connCounter)
	transport := &http.Transport{DialContext: conns.dial, MaxConnsPerHost: 32, MaxIdleConnsPerHost: 32}
	c := newServerClient(t, srv, WithHTTPClient(&http.Client{Transport: transport}))

	var outcomes sync.Map // of mints by key name, of deletes by key ID
	var wg sync.WaitGroup
	srv.Inject(mixedFaults(callers)...)
	for i := range callers {
		keyName := fmt.Sprintf("key %d", i)
		call := apiCalls(keyName)[i%4]
		if call.method == http.MethodDelete {
			keyName = fmt.Sprintf("doomed-%d", i)
			srv.AddKey(kalshitest.Key{ID: keyName})
			call.do = func(ctx context.Context, c *Client) error { return c.DeleteAPIKey(ctx, keyName) }
		}
		wg.Go(func() {
			err := call.do(t.Context(), c)
			if call.method != http.MethodGet {
				outcomes.Store(keyName, err)
			} else if err != nil {
				assert.Contains(t, []string{"Transport", "Server", "Invalid", "RateLimit"}, kindOf(err), "%v", err)
			}
		})
	}
	wg.Wait()

	made, exists := map[string]int{}, map[string]bool{}
	for _, key := range srv.Keys() {
		made[key.Name]++
		exists[key.ID] = true
	}
	kinds := map[string]int{}
	outcomes.Range(func(name, err any) bool {
		var kind string
		if e, failed := err.(error); failed {
			kind = kindOf(e)
		} else {
			kind = kindOf(nil)
		}
		kinds[kind]++
		n := made[name.(string)]
		switch deleted := name.(string)[0] == 'd'; {
		case deleted && kind == "ok":
			assert.False(t, exists[name.(string)], "%s was deleted", name)
		case deleted:
			assert.Contains(t, []string{"Transport", "Server", "RateLimit"}, kind, "%v", err)
		case kind == "ok":
			assert.Equal(t, 1, n, "%s was made", name)
		case kind == "Unknown":
			assert.LessOrEqual(t, n, 1, "%s may have been made", name)
		default:
			assert.Equal(t, "RateLimit", kind, "%v", err)
			assert.Zero(t, n, "%s was not made", name)
		}
		return true
	})
	assert.Equal(t, callers/4*3, kinds["ok"]+kinds["Unknown"]+kinds["RateLimit"]+kinds["Transport"]+kinds["Server"])
	assert.NotZero(t, kinds["Unknown"], "the faults took effect")
	assert.Greater(t, kinds["ok"], callers/4, "and not on all")

	require.NotZero(t, conns.dialed.Load())
	transport.CloseIdleConnections()
	assert.Eventually(t, func() bool { return conns.open.Load() == 0 }, 5*time.Second, time.Millisecond, "open connections")
	srv.Close()
	assert.Eventually(t, func() bool { return runtime.NumGoroutine() <= goroutines+1 }, 5*time.Second, time.Millisecond, "goroutines") // Eventually has one
}

// mixedFaults are faults for about every second of n requests.
func mixedFaults(n int) (faults []kalshitest.Fault) {
	kinds := []kalshitest.Fault{
		{Drop: true}, {Drop: true, Process: true}, {Reset: true, Process: true}, {Cut: true, Method: http.MethodPost},
		{Status: 429}, {Status: 503}, {Status: 502, Process: true}, {Body: "{}", Process: true},
		{Delay: 2 * time.Millisecond, Process: true},
	}
	for i := range n {
		fault := kalshitest.Fault{} // nothing happens
		if i%2 == 1 {
			fault = kinds[i/2%len(kinds)]
		}
		faults = append(faults, fault)
	}
	return faults
}

// A connCounter counts the connections that it has opened, and those of them
// that are not closed.
type connCounter struct{ dialed, open atomic.Int64 }

func (cc *connCounter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	cc.dialed.Add(1)
	cc.open.Add(1)
	return &countedConn{Conn: conn, closed: sync.OnceFunc(func() { cc.open.Add(-1) })}, nil
}

type countedConn struct {
	net.Conn
	closed func()
}

func (conn *countedConn) Close() error {
	conn.closed()
	return conn.Conn.Close()
}
