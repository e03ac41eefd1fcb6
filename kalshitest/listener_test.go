package kalshitest_test

import (
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/internal/memnet"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func TestWithListener_inMemory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := memnet.Listen()
		s := newServer(t, kalshitest.WithListener(listener))
		assert.Equal(t, "http://localhost/trade-api/v2", s.URL)
		s.Inject(kalshitest.Fault{Delay: time.Hour, Method: http.MethodGet})
		c := newClient(t, s)
		transport := listener.Transport()
		t.Cleanup(transport.CloseIdleConnections)
		c.http = &http.Client{Transport: transport}
		c.now = func() time.Time { return time.Now().Add(time.Hour) } // it will be that late
		began := time.Now()
		assert.Equal(t, http.StatusOK, c.do(http.MethodGet, "/api_keys", "").status)
		assert.Equal(t, time.Hour, time.Since(began), "by the bubble's clock")
	})
}

func TestWithListener_fixedPort(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := newServer(t, kalshitest.WithListener(listener))
	assert.Equal(t, "http://"+listener.Addr().String()+"/trade-api/v2", s.URL)
	assert.Equal(t, http.StatusOK, newClient(t, s).do(http.MethodGet, "/api_keys", "").status)
	s.Close()
	_, err = listener.Accept()
	assert.Error(t, err, "the server closes the listener")
}
