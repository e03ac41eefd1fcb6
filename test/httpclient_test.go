package test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

const order = `{"ticker":"TEST-26OCT15","side":"yes","count":1}`

// handleBot serves what a bot calls all day, and counts the orders that were
// placed.
func (x *exchange) handleBot() (orders *atomic.Int64) {
	orders = new(atomic.Int64)
	x.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"balance":1}`))
	}))
	x.Handle("POST /trade-api/v2/portfolio/orders", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != order {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		orders.Add(1)
		w.WriteHeader(http.StatusCreated)
	}))
	return orders
}

// getBalance and placeOrder are such calls, as a bot makes them.
func getBalance(hc *http.Client, baseURL string) error {
	return checked(hc.Get(baseURL + "/portfolio/balance?subaccount=1"))
}

func placeOrder(hc *http.Client, baseURL string) error {
	return checked(hc.Post(baseURL+"/portfolio/orders", "application/json", strings.NewReader(order)))
}

func checked(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := kalshi.CheckResponse(resp); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

// A bot that calls without a pause, through rotation after rotation: no call
// fails, and none is carried out twice.
func TestHTTPClient_underRotations(t *testing.T) {
	t.Parallel()
	callers, rotations := 64, 50
	if testing.Short() {
		callers, rotations = 16, 5
	}
	x := onLoopback(t)
	orders := x.handleBot()
	x.transport.MaxIdleConnsPerHost = callers
	client := x.client(t)
	hc := client.HTTPClient()
	var placed atomic.Int64
	underLoad(t, callers, func(i int) error {
		if i%2 == 0 {
			return getBalance(hc, x.URL)
		}
		placed.Add(1)
		return placeOrder(hc, x.URL)
	}, func() {
		for range rotations {
			if _, err := rotate(t.Context(), client); !assert.NoError(t, err) {
				break
			}
		}
	})
	assert.Equal(t, placed.Load(), orders.Load(), "orders")
	x.logOvertaken(t)
}

// A clock that is set off by an hour and back costs one more request each time,
// and no call.
func TestHTTPClient_clock(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := inMemory(t)
		orders := x.handleBot()
		hc, requests := x.client(t).HTTPClient(), 0
		for _, skew := range []time.Duration{time.Hour, 0, -time.Hour, 0} {
			x.SetClockOffset(skew)
			require.NoError(t, placeOrder(hc, x.URL))
			require.NoError(t, getBalance(hc, x.URL))
			require.NoError(t, placeOrder(hc, x.URL))
			requests += 3 + 1
			x.assertRequests(t, requests)
		}
		assert.EqualValues(t, 2*4, orders.Load())
	})
}

// A timestamp that a slow network made too old is signed again.
func TestHTTPClient_slowDial(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		x := inMemory(t)
		orders := x.handleBot()
		client := x.client(t)
		x.delayed(12 * time.Second)
		require.NoError(t, placeOrder(client.HTTPClient(), x.URL))
		x.assertRequests(t, 2)
		assert.EqualValues(t, 1, orders.Load())
		assert.Zero(t, offset(t, client.Signer()))
	})
}

// A countingListener counts the connections that reach it.
type countingListener struct {
	net.Listener
	conns atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.conns.Add(1)
	}
	return conn, err
}

// Whatever names another server, nothing leaves for it: not even a connection
// is made.
func TestHTTPClient_nothingLeaves(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	other := &countingListener{Listener: listener}
	elsewhere := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	_ = elsewhere.Listener.Close()
	elsewhere.Listener = other
	elsewhere.Start()
	t.Cleanup(elsewhere.Close)

	x := onLoopback(t)
	x.Handle("GET /trade-api/v2/redirect", http.RedirectHandler(elsewhere.URL+"/portfolio", http.StatusTemporaryRedirect))
	client := x.client(t)
	resp, err := client.HTTPClient().Get(x.URL + "/redirect")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode, "the redirect is the response")
	assert.Equal(t, "API", kindOf(kalshi.CheckResponse(resp)))
	x.assertRequests(t, 1)

	following := client.HTTPClient()
	following.CheckRedirect = nil
	_, err = following.Get(x.URL + "/redirect") //nolint:bodyclose // there is no response
	assert.Equal(t, "Validation", kindOf(err), "a caller's own redirect rule gains nothing")
	x.assertRequests(t, 2)

	host := strings.TrimPrefix(elsewhere.URL, "http://")
	for _, to := range []*url.URL{
		{Scheme: "http", Host: host},
		{Scheme: "http", Host: strings.TrimSuffix(strings.TrimPrefix(x.URL, "http://"), "/trade-api/v2"), Opaque: "//" + host + "/portfolio"},
	} {
		err := checked(client.HTTPClient().Do(&http.Request{URL: to}))
		assert.Equal(t, "Validation", kindOf(err), to)
	}
	assert.Zero(t, other.conns.Load(), "connections")
	x.assertRequests(t, 2)

	plain, err := new(http.Client).Get(elsewhere.URL) // it would have been counted
	require.NoError(t, err)
	require.NoError(t, plain.Body.Close())
	assert.EqualValues(t, 1, other.conns.Load())
}

// A WebSocket is dialled by the same client: signed at the handshake, again
// after a rotation, and the connection is handed on as it is.
func TestHTTPClient_webSocket(t *testing.T) {
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
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(client.WebSocketURL(), "ws", "http", 1), nil)
		require.NoError(t, err)
		req.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
		resp, err := hc.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
		conn, ok := resp.Body.(io.ReadWriteCloser)
		require.True(t, ok, "the connection is a %T", resp.Body)
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
