package kalshi

import (
	"encoding/base64"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func assertMode0600(t testing.TB, path string) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, fs.FileMode(0o600), info.Mode())
	}
}

// names lists the entries of a folder.
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

func TestNewFile_save_removesItsFile(t *testing.T) {
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

// Another program replaces the file before the write fails.
func TestNewFile_leavesOtherFilesAlone(t *testing.T) {
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

func TestNewFile_discard(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	file, err := createFile(path)
	require.NoError(t, err)
	assertMode0600(t, path)
	require.NoError(t, file.discard())
	assert.Empty(t, names(t, filepath.Dir(path)))
	assert.NoError(t, file.discard(), "a second time")
}

// rerunVariable is set in the environment of a child process.
const rerunVariable = "KALSHI_GO_TEST_RERUN"

// rerun returns a command that runs only the calling test, in a child process,
// for what affects a whole process. The child reads how from rerunVariable.
func rerun(t testing.TB, how string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	test, _, _ := strings.Cut(t.Name(), "/")
	cmd := exec.CommandContext(t.Context(), program, "-test.run=^"+test+"$", "-test.v")
	// By default the race detector waits a second when a process exits.
	cmd.Env = append(os.Environ(), rerunVariable+"="+how, "GORACE=atexit_sleep_ms=0")
	return cmd
}

func TestLoadPrivateKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, kt := range goodKeyTexts(t) {
		path := filepath.Join(dir, string(rune('a'+i)))
		require.NoError(t, os.WriteFile(path, []byte(kt.text), 0o600))
		got, err := LoadPrivateKey(path)
		require.NoError(t, err, kt.name)
		assertSameKey(t, kt.key, got)
	}
}

func TestLoadPrivateKey_refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()

	t.Run("a missing file", func(t *testing.T) {
		_, err := LoadPrivateKey(filepath.Join(dir, "none.pem"))
		require.ErrorIs(t, err, fs.ErrNotExist)
		assert.Contains(t, err.Error(), "none.pem")
		assert.True(t, strings.HasPrefix(err.Error(), "kalshi: "), err)
	})
	t.Run("a file whose name begins like a key", func(t *testing.T) {
		for _, name := range []string{"MII", "MII.pem", strings.Repeat("MII/", 40) + "key.pem"} {
			_, err := LoadPrivateKey(filepath.FromSlash(name))
			assert.ErrorIs(t, err, fs.ErrNotExist, name)
		}
	})
	t.Run("a home directory that no shell expanded", func(t *testing.T) {
		_, err := LoadPrivateKey("~/key.pem")
		require.ErrorIs(t, err, fs.ErrNotExist)
		assert.ErrorContains(t, err, "only a shell expands ~: write $HOME/key.pem in a shell, or the full path")
		assert.ErrorContains(t, newPrivateKeyPEM("text").WriteFile("~/none/key.pem"), "$HOME/none/key.pem")
	})
	t.Run("a folder", func(t *testing.T) {
		_, err := LoadPrivateKey(dir)
		var pathErr *fs.PathError
		assert.ErrorAs(t, err, &pathErr)
	})
	t.Run("a file without a key", func(t *testing.T) {
		path := filepath.Join(dir, "empty.pem")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		_, err := LoadPrivateKey(path)
		assertInvalid(t, err, "empty.pem", "is empty")
	})
	t.Run("a key at the limit", func(t *testing.T) {
		path := filepath.Join(dir, "large.pem")
		text := goodKeyTexts(t)[2].text
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("\n", maxKeyFileSize-len(text))+text), 0o600))
		_, err := LoadPrivateKey(path)
		assert.NoError(t, err)
	})
	t.Run("a key before the limit, in a larger file", func(t *testing.T) {
		path := filepath.Join(dir, "huge.pem")
		text := goodKeyTexts(t)[2].text + strings.Repeat("\n", maxKeyFileSize)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := LoadPrivateKey(path)
		assertInvalid(t, err, "huge.pem", "over 1 MiB")
	})
	// A likely mistake: the key instead of the name of its file. The operating
	// system's error would quote it.
	t.Run("the text of a key", func(t *testing.T) {
		for _, kt := range goodKeyTexts(t) {
			for _, m := range mangles {
				text := m.mangle(kt.text)
				_, err := LoadPrivateKey(text)
				require.Error(t, err)
				assertNoEcho(t, text, err)
			}
		}
		ders := slices.Collect(maps.Values(pkcs8v2(t, newEd25519Key(t))))
		for _, kt := range goodKeyTexts(t) {
			ders = append(ders, pkcs8(t, kt.key))
		}
		for _, der := range ders {
			bare := base64.StdEncoding.EncodeToString(der)
			for _, text := range []string{
				bare,
				strings.TrimRight(bare, "="),
				bare[:len(bare)-7],
				bare[:40] + `\n` + bare[40:] + `\n`,
				bare + "\n-----END",
				base64.RawURLEncoding.EncodeToString(der),
				"BEGIN PRIVATE KEY\n" + bare,
			} {
				_, err := LoadPrivateKey(text)
				require.Error(t, err)
				assertNoEcho(t, text, err)
				_, err = NewSigner(text, newEd25519Key(t)) // the ID and the key swapped
				require.Error(t, err)
				assertNoEcho(t, text, err)
			}
		}
	})
}
