package atomicfile

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// requireOnly requires that a folder holds one file, with that text.
func requireOnly(t *testing.T, path, text string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func TestReplace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"new", "and a longer one", ""} {
		require.NoError(t, Replace(path, []byte(text)))
		requireOnly(t, path, text)
		require.NoError(t, Check(path, make([]byte, 100)))
		requireOnly(t, path, text)
	}
}

func TestReplace_fails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	for _, bad := range []string{filepath.Dir(path), filepath.Join(path, "file")} {
		for _, err := range []error{Replace(bad, []byte("new")), Check(bad, []byte("new"))} {
			assert.ErrorAs(t, err, new(*fs.PathError), bad)
		}
	}
	err := withNew(path, []byte("new"), func(string) error { return fs.ErrInvalid })
	require.ErrorIs(t, err, fs.ErrInvalid)
	requireOnly(t, path, "old")
}

func TestIsMountPoint(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink("/", link))
	for path, want := range map[string]bool{
		"/proc":                     true,
		filepath.Join(link, "proc"): true,
		link:                        false, // a rename replaces the link itself
		"/proc/self":                false,
		filepath.Join(link, "none"): false,
	} {
		assert.Equal(t, want, isMountPoint(path), path)
	}
}
