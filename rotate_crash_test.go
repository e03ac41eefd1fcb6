//go:build unix

package kalshi

import (
	"bufio"
	"context"
	"crypto"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The steps within the child at which it can be told to stop.
const (
	stepSaveBegun   = "save begun"
	stepFileWritten = "file written beside"
	stepFileRenamed = "file renamed"
	stepRotated     = "rotated"
)

// What the child is told by its environment.
const (
	childFile = "KALSHI_TEST_CHILD_FILE" // the key's file
	childURL  = "KALSHI_TEST_CHILD_URL"  // of the parent's server
	childStop = "KALSHI_TEST_CHILD_STOP" // the step to stop at
)

// A process that rotates the key in its file may be killed at any point: what
// the file holds then still works.
func TestClient_RotateAPIKey_killed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a process for each case")
	}
	// The child's requests are list, mint, list (verify), delete. A fault with
	// nothing in it lets one through.
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	tests := []struct {
		name    string
		request *kalshitest.Fault // kill the child when this arrives, or with Process, when it is done
		nth     int               // of its method, from 0
		step    string            // or kill it when it has come to this step
		onDisk  string            // "old" or "new"
		keys    int               // on the server
	}{
		{"before inspect", &kalshitest.Fault{Method: get}, 0, "", "old", 1},
		{"after inspect", &kalshitest.Fault{Method: get, Process: true}, 0, "", "old", 1},
		{"before mint", &kalshitest.Fault{Method: post}, 0, "", "old", 1},
		{"after mint", &kalshitest.Fault{Method: post, Process: true}, 0, "", "old", 2},
		{"before verify", &kalshitest.Fault{Method: get}, 1, "", "old", 2},
		{"after verify", &kalshitest.Fault{Method: get, Process: true}, 1, "", "old", 2},
		{"in save", nil, 0, stepSaveBegun, "old", 2},
		{"in save, new file written", nil, 0, stepFileWritten, "old", 2},
		{"in save, new file renamed", nil, 0, stepFileRenamed, "new", 2},
		{"before delete", &kalshitest.Fault{Method: del}, 0, "", "new", 2},
		{"after delete", &kalshitest.Fault{Method: del, Process: true}, 0, "", "new", 1},
		{"rotated", nil, 0, stepRotated, "new", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := kalshitest.NewServer()
			t.Cleanup(srv.Close)
			path := filepath.Join(t.TempDir(), "key")
			require.NoError(t, writeKeyFile(path, srv.KeyID, srv.PrivateKey))

			child := newChild(t, "TestChild_rotate", childFile+"="+path, childURL+"="+srv.URL, childStop+"="+tt.step)
			if tt.request != nil {
				if tt.nth > 0 {
					srv.Inject(kalshitest.Fault{Method: tt.request.Method, Times: tt.nth})
				}
				fault := *tt.request
				// The child is dead before an answer could reach it.
				fault.Answer = http.HandlerFunc(func(http.ResponseWriter, *http.Request) { child.kill() })
				srv.Inject(fault)
			}
			status, said := child.run(t, func(line string) {
				if tt.step != "" && strings.HasSuffix(line, "step: "+tt.step) {
					_ = child.cmd.Process.Kill()
				}
			})
			require.Equal(t, syscall.SIGKILL, status.Signal(), "the child has to come as far as that and no further; it said:\n%s", said)

			keyID, client := loadKeyFile(t, path, srv)
			_, err := client.GetAPIKeys(t.Context())
			require.NoError(t, err, "the key on disk must work")
			assert.Equal(t, tt.onDisk == "old", keyID == srv.KeyID, "%s is on disk, not the %s key", keyID, tt.onDisk)
			assert.Len(t, srv.Keys(), tt.keys)
		})
	}
}

// TestChild_rotate is no test: it is the process that the test above kills.
func TestChild_rotate(t *testing.T) {
	path, baseURL := os.Getenv(childFile), os.Getenv(childURL)
	if path == "" {
		t.Skip("runs only as a child of another test")
	}
	keyID, key, err := readKeyFile(path)
	require.NoError(t, err)
	signer, err := NewSigner(keyID, key)
	require.NoError(t, err)
	client, err := NewClient(signer, WithBaseURL(baseURL))
	require.NoError(t, err)
	_, err = client.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: func(_ context.Context, key *GenerateAPIKeyResponse) error {
		step(stepSaveBegun)
		beside := path + ".new"
		if err := writeKeyFile(beside, key.ID, key.PrivateKey.Reveal()); err != nil {
			return err
		}
		step(stepFileWritten)
		err := os.Rename(beside, path)
		step(stepFileRenamed)
		return err
	}})
	require.NoError(t, err)
	step(stepRotated)
}

// step tells the parent how far the child is, and waits to be killed if this
// is where it is to stop; or to end, if it is the parent that was killed.
func step(name string) {
	fmt.Println("step: " + name)
	if name == os.Getenv(childStop) {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}
}

// A key file holds the ID before the PEM, so that one rename switches both.
func writeKeyFile(path, keyID, privateKey string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(keyID + "\n" + privateKey)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

func readKeyFile(path string) (keyID string, key crypto.Signer, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", nil, err
	}
	keyID, rest, _ := strings.Cut(string(text), "\n")
	key, err = ParsePrivateKey([]byte(rest))
	return keyID, key, err
}

// loadKeyFile is what the next start of the program does.
func loadKeyFile(t testing.TB, path string, srv *kalshitest.Server) (string, *Client) {
	t.Helper()
	keyID, key, err := readKeyFile(path)
	require.NoError(t, err)
	signer, err := NewSigner(keyID, key)
	require.NoError(t, err)
	return keyID, newSharingClient(t, srv, signer)
}

// A child is this test program once more, running one of its tests.
type child struct {
	cmd            *exec.Cmd
	started, ended chan struct{}
}

func newChild(t testing.TB, test string, env ...string) *child {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+test+"$", "-test.count=1")
	cmd.Env = append(os.Environ(), env...)
	return &child{cmd, make(chan struct{}), make(chan struct{})}
}

// run runs the child to its end and returns how it ended and what it said.
func (c *child) run(t testing.TB, onLine func(string)) (status syscall.WaitStatus, said string) {
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
		onLine(lines.Text())
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
