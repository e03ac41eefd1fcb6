package kalshi

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrivateKeyPEM_WriteFile(t *testing.T) {
	t.Parallel()
	texts := []string{"not a key, and written all the same", "line\r\nends\x00 stay"}
	for _, kt := range goodKeyTexts(t) {
		texts = append(texts, kt.text)
	}
	for _, text := range texts {
		path := filepath.Join(t.TempDir(), "key.pem")
		require.NoError(t, newPrivateKeyPEM(text).WriteFile(path))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
		assertMode0600(t, path)
		assert.Equal(t, []string{"key.pem"}, names(t, filepath.Dir(path)))
	}
}

// A bare name has no folder in it, and the folder is synced.
func TestPrivateKeyPEM_WriteFile_BareName(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, newPrivateKeyPEM("text").WriteFile("key.pem"))
	assertMode0600(t, "key.pem")
}

func assertMode0600(t testing.TB, path string) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, fs.FileMode(0o600), info.Mode())
	}
}

// names lists what is in a folder.
func names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	list := []string{}
	for _, entry := range entries {
		list = append(list, entry.Name())
	}
	return list
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		if runtime.GOOS == "windows" {
			t.Skip("this user may not make symbolic links")
		}
		require.NoError(t, err)
	}
}

func TestPrivateKeyPEM_WriteFile_NeverOverwrites(t *testing.T) {
	t.Parallel()
	const old = "what was there"
	tests := []struct {
		name string
		make func(t *testing.T, path string) // makes something at path
		left []string                        // what is in the folder then, and after
	}{
		{"file", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, []byte(old), 0o600))
		}, []string{"key.pem"}},
		{"empty file", func(t *testing.T, path string) {
			require.NoError(t, os.WriteFile(path, nil, 0o600))
		}, []string{"key.pem"}},
		{"folder", func(t *testing.T, path string) {
			require.NoError(t, os.Mkdir(path, 0o700))
		}, []string{"key.pem"}},
		{"symbolic link to a file", func(t *testing.T, path string) {
			target := filepath.Join(filepath.Dir(path), "target")
			require.NoError(t, os.WriteFile(target, []byte(old), 0o600))
			symlink(t, target, path)
		}, []string{"key.pem", "target"}},
		{"symbolic link to nothing", func(t *testing.T, path string) {
			symlink(t, filepath.Join(filepath.Dir(path), "target"), path)
		}, []string{"key.pem"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key.pem")
			tt.make(t, path)
			before, err := os.Lstat(path)
			require.NoError(t, err)

			err = newPrivateKeyPEM("new text").WriteFile(path)
			require.ErrorIs(t, err, fs.ErrExist)
			assert.True(t, strings.HasPrefix(err.Error(), "kalshi: "), err)
			assert.Contains(t, err.Error(), "key.pem")

			after, err := os.Lstat(path)
			require.NoError(t, err)
			assert.Equal(t, before.Mode(), after.Mode())
			assert.True(t, os.SameFile(before, after))
			assert.Equal(t, tt.left, names(t, filepath.Dir(path)))
			if text, err := os.ReadFile(path); err == nil {
				assert.NotContains(t, string(text), "new")
			}
		})
	}
}

func TestPrivateKeyPEM_WriteFile_Refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := newPrivateKeyPEM("text")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))

	err := key.WriteFile(filepath.Join(dir, "missing", "key.pem"))
	assert.ErrorIs(t, err, fs.ErrNotExist)
	var pathErr *fs.PathError
	assert.ErrorAs(t, key.WriteFile(filepath.Join(dir, "file", "key.pem")), &pathErr, "below a file")
	assert.Error(t, key.WriteFile(filepath.Join(dir, "a\x00b")))
	assertInvalid(t, key.WriteFile(""), "path", "is empty")

	// With no key there is nothing to make a file for.
	for _, none := range []PrivateKeyPEM{{}, newPrivateKeyPEM("")} {
		assertInvalid(t, none.WriteFile(filepath.Join(dir, "key.pem")), "private key", "is missing")
	}
	assert.Equal(t, []string{"file"}, names(t, dir))
}

func TestKeyFile_Save_RemovesItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	file, err := createFile(path)
	require.NoError(t, err)
	require.NoError(t, file.Close()) // so that writing fails
	err = file.save(newPrivateKeyPEM("the key's own text"))
	require.ErrorIs(t, err, fs.ErrClosed)
	assert.Contains(t, err.Error(), "kalshi: write the private key: ")
	assert.NotContains(t, err.Error(), "own text")
	assert.Empty(t, names(t, filepath.Dir(path)))
}

// Somebody puts another file in its place before the writing fails.
func TestKeyFile_LeavesOtherFilesAlone(t *testing.T) {
	t.Parallel()
	end := map[string]func(*testing.T, *newFile){
		"save":    func(t *testing.T, f *newFile) { assert.Error(t, f.save(newPrivateKeyPEM("text"))) },
		"discard": func(t *testing.T, f *newFile) { assert.NoError(t, f.discard()) },
	}
	for name, end := range end {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "key.pem")
			file, err := createFile(path)
			require.NoError(t, err)
			require.NoError(t, file.Close())
			// Moved and not removed: a new file might get the old one's number.
			require.NoError(t, os.Rename(path, filepath.Join(dir, "moved")))
			require.NoError(t, os.WriteFile(path, []byte("another's"), 0o600))

			end(t, file)
			assert.Equal(t, []string{"key.pem", "moved"}, names(t, dir))
			got, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, "another's", string(got))
		})
	}
}

func TestKeyFile_Discard(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	file, err := createFile(path)
	require.NoError(t, err)
	assertMode0600(t, path)
	require.NoError(t, file.discard())
	assert.Empty(t, names(t, filepath.Dir(path)))
	assert.NoError(t, file.discard(), "when there is nothing any more")
}

// rerunVariable tells a test that it runs in a process of its own.
const rerunVariable = "KALSHI_GO_TEST_RERUN"

// rerun prepares a process that runs the calling test alone, for what would
// take all of this process with it. The test asks for how with
// os.Getenv(rerunVariable).
func rerun(t testing.TB, how string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	test, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+test+"$", "-test.v")
	// The race detector waits a second at a process's end, unless told otherwise.
	cmd.Env = append(os.Environ(), rerunVariable+"="+how, "GORACE=atexit_sleep_ms=0")
	return cmd
}
