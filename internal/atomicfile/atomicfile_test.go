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

// The old file stays until the new one has its name, and no other does.
func TestReplace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"new", "and a longer one", ""} {
		require.NoError(t, Replace(path, []byte(text)))
		for _, bad := range []string{filepath.Dir(path), filepath.Join(path, "file")} {
			for _, err := range []error{Replace(bad, []byte("bad")), Check(bad, []byte("bad"))} {
				assert.ErrorAs(t, err, new(*fs.PathError), bad)
			}
		}
		require.NoError(t, Check(path, make([]byte, 100)))
		require.ErrorIs(t, withNew(path, []byte("bad"), func(string) error { return fs.ErrInvalid }), fs.ErrInvalid)
		got, err := Read(path, 10)
		require.NoError(t, err)
		require.Equal(t, text[:min(10, len(text))], string(got))
		entries, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		require.Len(t, entries, 1)
	}
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
