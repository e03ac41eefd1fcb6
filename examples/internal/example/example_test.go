package example

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// With this variable the test binary is a program that fails.
const failing = "EXAMPLE_TEST_FAILING"

func TestMain(m *testing.M) {
	if os.Getenv(failing) != "" {
		Run("fails", func(_ context.Context, s *Session) error {
			file, err := s.KeyFile()
			return errors.Join(errors.New("failed with "+string(file)), err)
		})
	}
	os.Exit(m.Run())
}

// setenv sets all variables that the programs read.
func setenv(t *testing.T, keyID, privateKey, path, baseURL string) {
	t.Helper()
	t.Setenv("KALSHI_API_KEY_ID", keyID)
	t.Setenv("KALSHI_PRIVATE_KEY", privateKey)
	t.Setenv("KALSHI_PRIVATE_KEY_PATH", path)
	t.Setenv("KALSHI_BASE_URL", baseURL)
}

func TestRun_Failure(t *testing.T) {
	setenv(t, "", "", "", "")
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), failing+"=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, stderr.String(), "failed with ")

	removed := regexp.MustCompile(`Removed the temporary folder (.+) with the key in it`).FindStringSubmatch(string(out))
	require.Len(t, removed, 2, string(out))
	assert.Contains(t, stderr.String(), removed[1])
	assert.NoDirExists(t, removed[1])
}

func TestConnect_StandIn(t *testing.T) {
	setenv(t, "", "", "", "")
	s, err := Connect()
	require.NoError(t, err)
	defer s.Close()
	keys, err := s.Client.GetAPIKeys(t.Context())
	require.NoError(t, err)
	assert.Len(t, keys.APIKeys, 1)
}

func TestConnect_Environment(t *testing.T) {
	srv := kalshitest.NewServer()
	defer srv.Close()
	setenv(t, srv.KeyID, srv.PrivateKey, "", " "+srv.URL+" ")
	s, err := Connect()
	require.NoError(t, err)
	assert.Nil(t, s.StandIn)
	assert.Equal(t, srv.URL, s.Client.BaseURL())
	_, err = s.Client.CurrentAPIKey(t.Context())
	assert.NoError(t, err)
}

// Whoever sets some of the variables means the real exchange.
func TestConnect_HalfAnEnvironment(t *testing.T) {
	setenv(t, "", "", "", kalshi.DemoBaseURL)
	_, err := Connect()
	assert.ErrorContains(t, err, "KALSHI_PRIVATE_KEY is not set")
}

func TestSession_KeyFile(t *testing.T) {
	setenv(t, "", "", " key.pem ", "")
	file, err := new(Session).KeyFile()
	require.NoError(t, err)
	assert.Equal(t, kalshi.KeyFile("key.pem"), file)

	setenv(t, "", "", "", "")
	_, err = new(Session).KeyFile()
	require.ErrorContains(t, err, "KALSHI_PRIVATE_KEY_PATH is not set")

	s, err := Connect()
	require.NoError(t, err)
	defer s.Close()
	file, err = s.KeyFile()
	require.NoError(t, err)
	credentials, err := file.Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, s.StandIn.KeyID, credentials.KeyID())
}

func TestKeyFlags_Out(t *testing.T) {
	_, err := (&KeyFlags{}).Out(&Session{})
	assert.ErrorContains(t, err, "-out")
	out, err := (&KeyFlags{out: "x.pem"}).Out(&Session{})
	require.NoError(t, err)
	assert.Equal(t, "x.pem", out)
}
