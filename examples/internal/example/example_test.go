package example

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// setenv sets all that the programs read.
func setenv(t *testing.T, keyID, privateKey, path, baseURL string) {
	t.Helper()
	t.Setenv("KALSHI_API_KEY_ID", keyID)
	t.Setenv("KALSHI_PRIVATE_KEY", privateKey)
	t.Setenv("KALSHI_PRIVATE_KEY_PATH", path)
	t.Setenv("KALSHI_BASE_URL", baseURL)
}

func TestConnect_StandIn(t *testing.T) {
	setenv(t, "", "", "", "")
	s, err := connect()
	require.NoError(t, err)
	defer s.StandIn.Close()
	keys, err := s.Client.GetAPIKeys(t.Context())
	require.NoError(t, err)
	assert.Len(t, keys.APIKeys, 1)
}

func TestConnect_Environment(t *testing.T) {
	srv := kalshitest.NewServer()
	defer srv.Close()
	setenv(t, srv.KeyID, srv.PrivateKey, "", " "+srv.URL+" ")
	s, err := connect()
	require.NoError(t, err)
	assert.Nil(t, s.StandIn)
	assert.Equal(t, srv.URL, s.BaseURL)
	_, err = s.Client.CurrentAPIKey(t.Context())
	assert.NoError(t, err)
}

// Whoever sets only half of it means the real exchange, and must not be
// answered by a stand-in.
func TestConnect_HalfAnEnvironment(t *testing.T) {
	setenv(t, "", "", "", kalshi.DemoBaseURL)
	_, err := connect()
	assert.ErrorContains(t, err, "KALSHI_API_KEY_ID is not set")
}

func TestKeyFlags_Out(t *testing.T) {
	_, err := (&KeyFlags{}).Out(&Session{})
	assert.ErrorContains(t, err, "-out")
	out, err := (&KeyFlags{out: "x.pem"}).Out(&Session{})
	require.NoError(t, err)
	assert.Equal(t, "x.pem", out)
}
