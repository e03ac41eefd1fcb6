//go:build unix

package test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The steps at which the child can be told to stop.
const (
	stepSaveBegun   = "save begun"
	stepFileWritten = "file written beside"
	stepFileRenamed = "file renamed"
	stepRotated     = "rotated"
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
		step   string  // or kill it when it has come to this step
		onDisk string  // "old" or "new"
		keys   int     // on the server, beside the spare one
	}{
		{"before inspect", []fault{{Method: get}}, "", "old", 1},
		{"after inspect", []fault{{Method: get, Process: true}}, "", "old", 1},
		{"before create", []fault{{Method: post}}, "", "old", 1},
		{"after create", []fault{{Method: post, Process: true}}, "", "old", 2},
		{"before verify", []fault{let, {Method: get}}, "", "old", 2},
		{"after verify", []fault{let, {Method: get, Process: true}}, "", "old", 2},
		{"in save", nil, stepSaveBegun, "old", 2},
		{"in save, new file written", nil, stepFileWritten, "old", 2},
		{"in save, new file renamed", nil, stepFileRenamed, "new", 2},
		{"before delete", []fault{{Method: del}}, "", "new", 2},
		{"after delete", []fault{{Method: del, Process: true}}, "", "new", 1},
		{"rotated", nil, stepRotated, "new", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := onLoopback(t)
			path := filepath.Join(t.TempDir(), "key")
			require.NoError(t, kalshi.KeyFile(path).Save(t.Context(), &kalshi.GenerateAPIKeyResponse{ID: x.KeyID, PrivateKey: pemOf(x.PrivateKey)}))

			child := &child{cmd: childCommand(t, "rotate", path, x.URL, tt.step), started: make(chan struct{}), ended: make(chan struct{})}
			if n := len(tt.faults); n > 0 {
				faults := append([]fault(nil), tt.faults...)
				// The child is dead before a response could reach it.
				faults[n-1].Answer = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { child.kill() })
				x.Inject(faults...)
			}
			status, said := child.run(t, tt.step)
			require.Equal(t, syscall.SIGKILL, status.Signal(), "the child has to come as far as that and no further; it said:\n%s", said)

			signer, err := kalshi.NewSignerFromSource(t.Context(), kalshi.KeyFile(path).Load)
			require.NoError(t, err)
			_, err = x.clientOf(t, signer).GetAPIKeys(t.Context())
			require.NoError(t, err, "the key on disk must work")
			assert.Equal(t, tt.onDisk == "old", signer.KeyID() == x.KeyID, "%s is on disk, not the %s key", signer.KeyID(), tt.onDisk)
			assert.Len(t, x.Keys(), tt.keys+1)
		})
	}
}

func init() { children["rotate"] = rotateInChild }

// rotateInChild is the process that the test above kills.
func rotateInChild(args []string) {
	path, baseURL, stop := args[0], args[1], args[2]
	// step tells the parent how far the child is, and waits to be killed if this
	// is where it is to stop; or to end, if it is the parent that was killed.
	step := func(name string) {
		fmt.Println("step: " + name)
		if name == stop {
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(1)
		}
	}
	ctx := context.Background()
	signer, err := kalshi.NewSignerFromSource(ctx, kalshi.KeyFile(path).Load)
	must(err)
	client, err := kalshi.NewClient(signer, kalshi.WithBaseURL(baseURL))
	must(err)
	_, err = client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Save: func(ctx context.Context, key *kalshi.GenerateAPIKeyResponse) error {
		step(stepSaveBegun)
		beside := path + ".new" // as KeyFile does by itself, in two steps to stop between
		if err := kalshi.KeyFile(beside).Save(ctx, key); err != nil {
			return err
		}
		step(stepFileWritten)
		err := os.Rename(beside, path)
		step(stepFileRenamed)
		return err
	}})
	must(err)
	step(stepRotated)
}

// A child is a process under way.
type child struct {
	cmd            *exec.Cmd
	started, ended chan struct{}
}

// run runs the child to its end, or until it comes to a step to be killed at,
// and returns how it ended and what it said.
func (c *child) run(t testing.TB, killAt string) (status syscall.WaitStatus, said string) {
	t.Helper()
	_, err := c.cmd.StdinPipe() // open for as long as this process lives
	require.NoError(t, err)
	stdout, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.cmd.Stderr = c.cmd.Stdout
	require.NoError(t, c.cmd.Start())
	close(c.started)
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		said += lines.Text() + "\n"
		if lines.Text() == "step: "+killAt {
			_ = c.cmd.Process.Kill()
		}
	}
	_ = c.cmd.Wait() // its status tells
	close(c.ended)
	status, _ = c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return status, said
}

// kill returns when the child is dead.
func (c *child) kill() {
	<-c.started
	_ = c.cmd.Process.Kill()
	<-c.ended
}
