package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/examples/internal/example"
)

// The workers are processes of this test binary.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestFleet(t *testing.T) {
	for _, name := range []string{"KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY", "KALSHI_PRIVATE_KEY_PATH", "KALSHI_BASE_URL"} {
		t.Setenv(name, "")
	}
	s, err := example.Connect()
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, fleet(t.Context(), s))

	require.Len(t, s.StandIn.Keys(), 1)
	newID, followed := s.StandIn.Keys()[0].ID, 0
	for _, req := range s.StandIn.Requests() {
		if req.KeyID == newID && req.Processed {
			followed++
		}
	}
	assert.GreaterOrEqual(t, followed, 62, "two calls of the rotation, and twenty of each worker")
}
