package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReplace_keepsMode(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	for _, mode := range []fs.FileMode{0o644, 0o666, 0o400, 0o751, 0o640 | fs.ModeSetgid, 0o700 | fs.ModeSetuid | fs.ModeSticky} {
		require.NoError(t, os.RemoveAll(path))
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chmod(path, mode))
		require.NoError(t, Replace(path, []byte("new")))
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, mode, info.Mode())
	}
}

// An ACL is kept, and a file without one gets none from its folder.
func TestReplace_keepsACL(t *testing.T) {
	t.Parallel()
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
		if errors.Is(err, exec.ErrNotFound) || strings.Contains(string(out), "not supported") {
			t.Skip("needs setfacl, and a file system with ACLs")
		}
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	for _, acl := range []string{"u::rw", "u:65534:r", "g:65534:rw,g::-,m::r"} { // the first is none
		dir := t.TempDir()
		path, other := filepath.Join(dir, "file"), filepath.Join(dir, "other")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chmod(path, 0o660))
		run("setfacl", "-m", acl, path)
		want := run("getfacl", "-np", path)
		run("setfacl", "-d", "-m", "u:65534:rw,g:65534:rw,o::r", dir)
		require.NoError(t, Replace(path, []byte("new")))
		assert.Equal(t, want, run("getfacl", "-np", path))

		require.NoError(t, Replace(other, []byte("new")))
		info, err := os.Stat(other)
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode(), "there is no old file, so only the owner may read it")
	}
}
