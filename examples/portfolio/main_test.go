package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func newSession(t *testing.T) *example.Session {
	t.Helper()
	for _, name := range []string{"KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY", "KALSHI_PRIVATE_KEY_PATH", "KALSHI_BASE_URL"} {
		t.Setenv(name, "")
	}
	s, err := example.Connect()
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func TestPortfolio(t *testing.T) {
	require.NoError(t, portfolio(t.Context(), newSession(t)))
}

// Whatever the service refuses, the program fails (with exit status 1).
func TestPortfolio_Refused(t *testing.T) {
	for _, path := range []string{"/portfolio/balance", "/portfolio/positions", kalshi.WebSocketPath} {
		t.Run(path, func(t *testing.T) {
			s := newSession(t)
			s.StandIn.Inject(kalshitest.Fault{Path: path, Status: http.StatusForbidden})
			var forbidden *kalshi.ForbiddenError
			require.ErrorAs(t, portfolio(t.Context(), s), &forbidden)
		})
	}
}

func TestPortfolio_NoWebSocket(t *testing.T) {
	s := newSession(t)
	s.StandIn.Inject(kalshitest.Fault{Path: kalshi.WebSocketPath, Body: "{}"}) // a 200
	require.ErrorContains(t, portfolio(t.Context(), s), "no WebSocket was opened: 200 OK")
}
