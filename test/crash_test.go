//go:build unix

package test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

// A process that rotates the key in its file may be killed at any point: the file's key works.
func TestCrash_rotation(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a process for each case")
	}
	tests := []struct {
		step   string // at which the child kills itself
		onDisk string // "old" or "new"
		keys   int    // on the server, beside the spare one
	}{
		{"before inspect", "old", 1},
		{"after inspect", "old", 1},
		{"before create", "old", 1},
		{"after create", "old", 2},
		{"before verify", "old", 2},
		{"after verify", "old", 2},
		{"before save", "old", 2},
		{"after save", "new", 2},
		{"before delete", "new", 2},
		{"after delete", "new", 1},
		{"after all", "new", 1},
	}
	for _, tt := range tests {
		t.Run(tt.step, func(t *testing.T) {
			t.Parallel()
			x := onLoopback(t)
			path := filepath.Join(t.TempDir(), "key")
			x.saveKey(t, path)
			child := childCommand(t, "rotate", path, x.URL, tt.step)
			child.Stderr = os.Stderr
			require.Error(t, child.Run())
			status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
			require.True(t, ok)
			require.Equal(t, syscall.SIGKILL, status.Signal(), "the child has to come as far as that and no further")

			signer := newSourceSigner(kalshi.KeyFile(path).Load)
			require.NoError(t, list(t.Context(), x.clientOf(signer)), "the key on disk must work")
			assert.Equal(t, tt.onDisk == "old", signer.KeyID() == x.KeyID, "%s is on disk", signer.KeyID())
			assert.Len(t, x.Keys(), tt.keys+1)
		})
	}
}

func init() { children["rotate"] = rotateInChild }

// rotateInChild is the process that kills itself at a step: before it sends the request of a stage,
// or when the service has responded to that.
func rotateInChild(args []string) {
	path, baseURL, last := args[0], args[1], args[2]
	at := func(step string) {
		if step == last {
			must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
			select {}
		}
	}
	stages := []string{"inspect", "create", "verify", "delete"}
	transport := roundTripper(func(req *http.Request) (*http.Response, error) {
		stage := stages[0]
		stages = stages[1:]
		at("before " + stage)
		defer at("after " + stage)
		return http.DefaultTransport.RoundTrip(req)
	})
	save := func(ctx context.Context, c kalshi.Credentials) error {
		at("before save")
		defer at("after save")
		return kalshi.KeyFile(path).Save(ctx, c)
	}
	ctx := context.Background()
	client := must1(kalshi.NewClientFromKeyFile(path, kalshi.WithBaseURL(baseURL), kalshi.WithHTTPClient(&http.Client{Transport: transport})))
	_, err := client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Store: kalshi.SaveFunc(save)})
	must(err)
	at("after all")
}
