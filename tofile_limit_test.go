//go:build linux || darwin

package kalshi

import (
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The disk takes the first bytes of the private key and no more. A limit on
// the size of files does that; it holds for a whole process, so it is set in
// one of its own.
func TestClient_GenerateAPIKeyToFile_writeFails(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a process for each case")
	}
	tests := []struct {
		name       string
		deleting   kalshitest.Fault
		handedBack string // "yes" or "no"
		keys       int    // on the server
	}{
		{"deleted again", kalshitest.Fault{}, "no", 1},
		{"delete refused", kalshitest.Fault{Status: 403, Body: forbiddenBody}, "yes", 2},
		{"delete never answered", kalshitest.Fault{Drop: true}, "yes", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := kalshitest.NewServer()
			t.Cleanup(srv.Close)
			tt.deleting.Method, tt.deleting.Times = "DELETE", -1
			srv.Inject(tt.deleting)
			dir := t.TempDir()
			current := filepath.Join(dir, "current")
			require.NoError(t, writeKeyFile(current, srv.KeyID, srv.PrivateKey))

			child := newChild(t, "TestChild_toFile", childFile+"="+current, childURL+"="+srv.URL, childHandedBack+"="+tt.handedBack)
			status, said := child.run(t, func(string) {})
			require.Zero(t, status, "the child must pass; it said:\n%s", said)

			assert.NoFileExists(t, filepath.Join(dir, "new"), "no half of a key stays behind")
			assert.Len(t, srv.Keys(), tt.keys)
			assert.Equal(t, srv.KeyID, srv.Keys()[0].ID)
		})
	}
}

const childHandedBack = "KALSHI_TEST_CHILD_HANDED_BACK"

// TestChild_toFile is no test: it is the process that the test above limits.
func TestChild_toFile(t *testing.T) {
	current, handedBack := os.Getenv(childFile), os.Getenv(childHandedBack)
	if handedBack == "" {
		t.Skip("runs only as a child of another test")
	}
	keyID, key, err := readKeyFile(current)
	require.NoError(t, err)
	signer, err := NewSigner(keyID, key)
	require.NoError(t, err)
	client, err := NewClient(signer, WithBaseURL(os.Getenv(childURL)))
	require.NoError(t, err)

	client.jitter = noJitter

	signal.Ignore(syscall.SIGXFSZ) // else it ends the process
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	limit.Cur = 40 // bytes
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	got, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, filepath.Join(filepath.Dir(current), "new"))
	require.ErrorIs(t, err, syscall.EFBIG)
	if handedBack == "no" {
		assert.Nil(t, got)
		assert.ErrorContains(t, err, "deleted again")
		passed(t)
	}
	require.NotNil(t, got, "the key still exists")
	assert.ErrorContains(t, err, got.ID)
	made, err := got.Signer()
	require.NoError(t, err)
	client, err = NewClient(made, WithBaseURL(os.Getenv(childURL)))
	require.NoError(t, err)
	requireWorks(t, client)
	passed(t)
}
