//go:build linux || darwin

package kalshi

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rerunPath is the variable that tells such a process where to write.
const rerunPath = "KALSHI_GO_TEST_PATH"

// writeElsewhere runs the calling test again, as another process that writes
// to path, and requires it to have passed.
func writeElsewhere(t *testing.T, path, how string, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := rerun(t, how)
	cmd.Env = append(cmd.Env, rerunPath+"="+path)
	if attr != nil { // it may not look into the folder that this program is in
		cmd.Path, cmd.Dir, cmd.SysProcAttr = "/proc/self/exe", "/", attr
	}
	out, err := cmd.CombinedOutput()
	if attr != nil && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL)) {
		t.Skip("this root may not become another user")
	}
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS", "%s", out)
}

// passed ends such a process at once: what else a test program does at its end,
// such as writing its coverage, this one is not allowed to do.
func passed(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		fmt.Println("--- PASS")
		syscall.Exit(0)
	}
}

func TestPrivateKeyPEM_WriteFile_Umask(t *testing.T) {
	if mask := os.Getenv(rerunVariable); mask != "" {
		n, err := strconv.ParseInt(mask, 8, 0)
		require.NoError(t, err)
		syscall.Umask(int(n)) // of the whole process
		require.NoError(t, newPrivateKeyPEM("text").WriteFile(os.Getenv(rerunPath)))
		passed(t)
	}
	t.Parallel()
	for _, mask := range []string{"000", "022", "077", "177"} {
		t.Run(mask, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key.pem")
			writeElsewhere(t, path, mask, nil)
			assertMode0600(t, path)
		})
	}
}

// A write that fails half-way: the system takes 64 bytes and no more.
func TestPrivateKeyPEM_WriteFile_HalfWay(t *testing.T) {
	const limit = 64
	text := goodKeyTexts(t)[2].text
	require.Greater(t, len(text), limit)
	if os.Getenv(rerunVariable) != "" {
		path := os.Getenv(rerunPath)
		signal.Ignore(syscall.SIGXFSZ)
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}))

		probe := path + ".probe" // shows that half of it does get written
		require.ErrorIs(t, os.WriteFile(probe, []byte(text), 0o600), syscall.EFBIG)
		half, err := os.ReadFile(probe)
		require.NoError(t, err)
		require.Len(t, half, limit)
		require.NoError(t, os.Remove(probe))

		err = newPrivateKeyPEM(text).WriteFile(path)
		require.ErrorIs(t, err, syscall.EFBIG)
		assertNoEcho(t, text, err)
		passed(t)
	}
	t.Parallel()
	dir := t.TempDir()
	writeElsewhere(t, filepath.Join(dir, "key.pem"), "limited", nil)
	assert.Empty(t, names(t, dir))
}

func TestKeyFile_Save_DiskFull(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("has no /dev/full")
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	file, err := createFile(path)
	require.NoError(t, err)
	require.NoError(t, file.Close())
	full, err := syscall.Open("/dev/full", syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	require.NoError(t, err)
	file.File = os.NewFile(uintptr(full), path) // under the file's own name, which alone is removed

	text := goodKeyTexts(t)[2].text
	err = file.save(newPrivateKeyPEM(text))
	require.ErrorIs(t, err, syscall.ENOSPC)
	assertNoEcho(t, text, err)
	assert.Empty(t, names(t, filepath.Dir(path)))
}

// Root may write everywhere, so that another user has to try.
func TestPrivateKeyPEM_WriteFile_ReadOnlyFolder(t *testing.T) {
	try := func(path string) {
		err := newPrivateKeyPEM("text").WriteFile(path)
		require.ErrorIs(t, err, fs.ErrPermission)
		assert.NotContains(t, err.Error(), "text")
	}
	if os.Getenv(rerunVariable) != "" {
		require.NotZero(t, os.Geteuid())
		try(os.Getenv(rerunPath))
		passed(t)
	}
	t.Parallel()
	dir, err := os.MkdirTemp("", "") // t.TempDir lies in a folder that no one else may enter
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o555))
	path := filepath.Join(dir, "key.pem")
	switch {
	case os.Geteuid() != 0:
		try(path)
	case runtime.GOOS == "linux":
		writeElsewhere(t, path, "nobody", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	default:
		t.Skip("runs as root")
	}
	assert.Empty(t, names(t, dir))
}
