//go:build unix

package test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The steps at which the child can be told to die.
const (
	stepSaveBegun = "save begun"
	stepSaved     = "saved"
	stepRotated   = "rotated"
)

// A process that rotates the key in its file may be killed at any point: what
// the file holds then still works.
func TestCrash_rotation(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a process for each case")
	}
	// The child's requests are list, create, list (verify), delete. The zero
	// fault lets one through.
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	type fault = kalshitest.Fault
	let := fault{Method: get, Times: 1}
	tests := []struct {
		name   string
		faults []fault // kill the child when the last of them happens
		step   string  // or have it die when it has come to this step
		onDisk string  // "old" or "new"
		keys   int     // on the server, beside the spare one
	}{
		{"before inspect", []fault{{Method: get}}, "", "old", 1},
		{"after inspect", []fault{{Method: get, Process: true}}, "", "old", 1},
		{"before create", []fault{{Method: post}}, "", "old", 1},
		{"after create", []fault{{Method: post, Process: true}}, "", "old", 2},
		{"before verify", []fault{let, {Method: get}}, "", "old", 2},
		{"after verify", []fault{let, {Method: get, Process: true}}, "", "old", 2},
		{"in save, before the file is replaced", nil, stepSaveBegun, "old", 2},
		{"in save, after the file is replaced", nil, stepSaved, "new", 2},
		{"before delete", []fault{{Method: del}}, "", "new", 2},
		{"after delete", []fault{{Method: del, Process: true}}, "", "new", 1},
		{"rotated", nil, stepRotated, "new", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := onLoopback(t)
			path := filepath.Join(t.TempDir(), "key")
			x.saveKey(t, path)

			arrived := make(chan struct{})
			if n := len(tt.faults); n > 0 {
				faults := slices.Clone(tt.faults)
				faults[n-1].Answer = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					close(arrived)
					<-r.Context().Done() // the child is dead before a response could reach it
				})
				x.Inject(faults...)
			}
			child := childCommand(t, "rotate", path, x.URL, tt.step)
			child.Stderr = os.Stderr
			require.NoError(t, child.Start())
			if len(tt.faults) > 0 {
				go func() {
					<-arrived
					_ = child.Process.Kill()
				}()
			}
			_ = child.Wait()
			status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
			require.True(t, ok)
			require.Equal(t, syscall.SIGKILL, status.Signal(), "the child has to come as far as that and no further")

			signer, err := kalshi.NewSignerFromSource(t.Context(), kalshi.KeyFile(path).Load)
			require.NoError(t, err)
			_, err = x.clientOf(t, signer).GetAPIKeys(t.Context())
			require.NoError(t, err, "the key on disk must work")
			assert.Equal(t, tt.onDisk == "old", signer.KeyID() == x.KeyID, "%s is on disk", signer.KeyID())
			assert.Len(t, x.Keys(), tt.keys+1)
		})
	}
}

func init() { children["rotate"] = rotateInChild }

// rotateInChild is the process that the test above kills.
func rotateInChild(args []string) {
	path, baseURL, last := args[0], args[1], args[2]
	step := func(name string) {
		if name == last {
			must(syscall.Kill(os.Getpid(), syscall.SIGKILL))
			select {}
		}
	}
	ctx := context.Background()
	signer, err := kalshi.NewSignerFromSource(ctx, kalshi.KeyFile(path).Load)
	must(err)
	client, err := kalshi.NewClient(signer, kalshi.WithBaseURL(baseURL))
	must(err)
	save := func(ctx context.Context, c kalshi.Credentials) error {
		step(stepSaveBegun)
		err := kalshi.KeyFile(path).Save(ctx, c)
		step(stepSaved)
		return err
	}
	_, err = client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Store: kalshi.SaveFunc(save)})
	must(err)
	step(stepRotated)
}
