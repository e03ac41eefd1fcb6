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

// The system's errors are path errors, a rename's too.
func TestReplace_fails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	for _, path := range []string{dir, filepath.Join(dir, "none", "file"), filepath.Join(file, "file")} {
		for _, err := range []error{Replace(path, []byte("new")), Check(path, []byte("new"))} {
			assert.ErrorAs(t, err, new(*fs.PathError), path)
		}
	}
	path := filepath.Join(t.TempDir(), "file")
	err := withNew(path, nil, func(name string) error { return os.Rename(name, dir) })
	require.Error(t, err)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Empty(t, entries, "the new file is removed when it cannot be moved")
	requireOnly(t, file, "old")
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
		"proc":                      false,
		"/proc/self":                false,
		filepath.Join(link, "none"): false,
	} {
		assert.Equal(t, want, isMountPoint(path), path)
	}
}
