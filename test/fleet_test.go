package test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

// Three processes on one key file, and a fourth one that rotates the key time
// and again with no grace: no call fails in any of them, nor needs a restart.
func TestFleet(t *testing.T) {
	t.Parallel()
	workers, rotations := 3, 20
	if testing.Short() {
		rotations = 3
	}
	x := onLoopback(t)
	x.handleBot()
	path := filepath.Join(t.TempDir(), "bot.key")
	x.saveKey(t, path)
	signer := newSourceSigner(kalshi.KeyFile(path).Load)
	client := x.clientOf(signer)

	fleet := make([]func() workerReport, workers)
	for i := range fleet {
		fleet[i] = startWorker(t, path, x.URL)
	}
	for range rotations {
		_, err := client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Store: kalshi.KeyFile(path)})
		require.NoError(t, err)
	}
	for i, stop := range fleet {
		report := stop()
		assert.Empty(t, report.Failed, "worker %d", i)
		assert.Equal(t, signer.KeyID(), report.KeyID, "the key of the last call")
		assert.Greater(t, report.Keys, 1)
		t.Logf("worker %d: %d calls with %d keys", i, report.Calls, report.Keys)
	}
	assert.Len(t, x.keyIDs(), 2, "the spare key and the last one")
}

// A workerReport is what a worker prints at its end.
type workerReport struct {
	Calls, Keys int
	Failed      []string
	KeyID       string // of the last call
}

// startWorker starts a process that calls without a pause until its stdin ends,
// and waits for its first call. The function has it make a last one.
func startWorker(t testing.TB, path, baseURL string) (stop func() workerReport) {
	t.Helper()
	cmd := childCommand(t, "follow")
	cmd.Env = append(cmd.Env, "KALSHI_PRIVATE_KEY_PATH="+path, "KALSHI_BASE_URL="+baseURL, "KALSHI_API_KEY_ID=", "KALSHI_PRIVATE_KEY=")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, errors.Join(err, cmd.Start()))
	reports := json.NewDecoder(stdout)
	var first, last workerReport
	require.NoError(t, reports.Decode(&first))
	return func() workerReport {
		require.NoError(t, errors.Join(stdin.Close(), reports.Decode(&last), cmd.Wait()))
		return last
	}
}

func init() { children["follow"] = followInChild }

// followInChild is a worker. It is configured as any bot is, and has no code for rotations.
func followInChild([]string) {
	client := must1(kalshi.NewClientFromEnv())
	hc := client.HTTPClient()
	var stop atomic.Bool
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop.Store(true)
	}()

	var report workerReport
	for last := false; !last; {
		last = stop.Load()
		call := []func(*http.Client, string) error{getBalance, placeOrder}[report.Calls%2]
		report.Calls++
		if err := call(hc, client.BaseURL()); err != nil {
			report.Failed = append(report.Failed, err.Error())
		}
		if keyID := client.Signer().KeyID(); keyID != report.KeyID {
			report.KeyID = keyID
			report.Keys++
		}
		if last || report.Calls == 1 {
			must(json.NewEncoder(os.Stdout).Encode(report))
		}
	}
}
