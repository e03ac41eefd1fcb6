//go:build linux || darwin

package kalshi

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// rerunPath is the environment variable with the path that a child writes to.
const rerunPath = "KALSHI_GO_TEST_PATH"

// writeElsewhere runs the calling test in a child process that writes to path,
// and requires it to pass.
func writeElsewhere(t *testing.T, path, how string, attr *syscall.SysProcAttr) {
	t.Helper()
	cmd := rerun(t, how)
	cmd.Env = append(cmd.Env, rerunPath+"="+path)
	if attr != nil { // another user may not be able to enter this program's folder
		cmd.Path, cmd.Dir, cmd.SysProcAttr = "/proc/self/exe", "/", attr
	}
	out, err := cmd.CombinedOutput()
	if attr != nil && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL)) {
		t.Skip("this root cannot change its user ID")
	}
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS", "%s", out)
}

// passed ends a child process at once. The rest of a test binary's exit, such
// as writing its coverage, would fail under the limits set here.
func passed(t *testing.T) {
	t.Helper()
	if !t.Failed() {
		fmt.Println("--- PASS")
		syscall.Exit(0)
	}
}

func TestNewFile_save_umask(t *testing.T) {
	if mask := os.Getenv(rerunVariable); mask != "" {
		n, err := strconv.ParseInt(mask, 8, 0)
		require.NoError(t, err)
		syscall.Umask(int(n)) // applies to the whole process
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

// A write that fails half-way: the system accepts only 64 bytes.
func TestNewFile_save_halfWay(t *testing.T) {
	const limit = 64
	text := goodKeyTexts(t)[2].text
	require.Greater(t, len(text), limit)
	if os.Getenv(rerunVariable) != "" {
		path := os.Getenv(rerunPath)
		signal.Ignore(syscall.SIGXFSZ)
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}))

		probe := path + ".probe" // shows that the first half is written
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

func TestNewFile_save_diskFull(t *testing.T) {
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
	file.File = os.NewFile(uintptr(full), path) // with the name of the file to remove

	text := goodKeyTexts(t)[2].text
	err = file.save(text)
	require.ErrorIs(t, err, syscall.ENOSPC)
	assertNoEcho(t, text, err)
	assert.Empty(t, names(t, filepath.Dir(path)))
}

// Root can write everywhere, so another user has to try.
func TestCreateFile_readOnlyFolder(t *testing.T) {
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
	dir, err := os.MkdirTemp("", "") // other users cannot enter the folder of t.TempDir
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

// ownedBy fails unless the file has that owner, group and mode.
func ownedBy(t *testing.T, path string, uid, gid int, mode fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	assert.Equal(t, [2]uint32{uint32(uid), uint32(gid)}, [2]uint32{stat.Uid, stat.Gid}, "owner and group")
	assert.Equal(t, mode, info.Mode())
}

func TestKeyFile_Save_keepsMode(t *testing.T) {
	t.Parallel()
	for mode, want := range map[fs.FileMode]fs.FileMode{0o644: 0o640, 0o666: 0o660, 0o400: 0o400, 0o755: 0o750} {
		path := filepath.Join(t.TempDir(), "bot.key")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chmod(path, mode))
		require.NoError(t, KeyFile(path).Save(t.Context(), generatedKey(t)))
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, want, info.Mode())
	}
}

// A rotation run by root must not lock out the bots of another user.
func TestKeyFile_Save_keepsOwner(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	for _, owner := range [][2]int{{65534, 65533}, {65534, 0}, {0, 65533}} {
		dir := t.TempDir()
		path, link := filepath.Join(dir, "bot.key"), filepath.Join(dir, "link")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chown(path, owner[0], owner[1]))
		require.NoError(t, os.Chmod(path, 0o640))
		symlink(t, path, link)
		for _, name := range []string{path, link} {
			require.NoError(t, KeyFile(name).Save(t.Context(), generatedKey(t)))
			ownedBy(t, name, owner[0], owner[1], 0o640)
		}
	}
}

// sharedFolder makes a folder that other users can enter, with a key file.
func sharedFolder(t *testing.T, mode fs.FileMode) (path string, key *GenerateAPIKeyResponse) {
	t.Helper()
	dir, err := os.MkdirTemp("", "") // other users cannot enter the folder of t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path, key = filepath.Join(dir, "bot.key"), generatedKey(t)
	require.NoError(t, KeyFile(path).Save(t.Context(), key))
	require.NoError(t, os.Chmod(path, 0o644))
	require.NoError(t, os.Chmod(dir, mode))
	return path, key
}

// Each failure leaves the old file as it was, and no other.
func TestKeyFile_Save_fails(t *testing.T) {
	// In the child: the error to expect for each condition.
	if how := os.Getenv(rerunVariable); how != "" {
		want := map[string]error{"read-only folder": fs.ErrPermission, "another's file": fs.ErrPermission, "disk full": syscall.EFBIG, "mounted file": syscall.EBUSY}[how]
		require.Error(t, want)
		if how == "disk full" {
			signal.Ignore(syscall.SIGXFSZ)
			require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64, Max: 64}))
		}
		key := generatedKey(t)
		err := KeyFile(os.Getenv(rerunPath)).Save(t.Context(), key)
		require.ErrorIs(t, err, want)
		require.ErrorContains(t, err, "kalshi: save the key file: ")
		assertNoEcho(t, key.PrivateKey.Reveal(), err)
		passed(t)
	}
	t.Parallel()
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	for how, mode := range map[string]fs.FileMode{"read-only folder": 0o555, "another's file": 0o777} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 || runtime.GOOS != "linux" {
				t.Skip("needs root on Linux to become another user")
			}
			path, key := sharedFolder(t, mode)
			before, err := os.Stat(path)
			require.NoError(t, err)
			writeElsewhere(t, path, how, nobody)
			after, err := os.Stat(path)
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after))
			assert.Equal(t, before.Mode(), after.Mode())
			requireKeyFile(t, path, key)
			assert.Equal(t, []string{"bot.key"}, names(t, filepath.Dir(path)))
		})
	}
	t.Run("disk full", func(t *testing.T) {
		t.Parallel()
		path, key := sharedFolder(t, 0o700)
		writeElsewhere(t, path, "disk full", nil)
		requireKeyFile(t, path, key)
		assert.Equal(t, []string{"bot.key"}, names(t, filepath.Dir(path)))
	})
	t.Run("mounted file", func(t *testing.T) {
		t.Parallel()
		unshare, err := exec.LookPath("unshare")
		if err != nil || os.Geteuid() != 0 {
			t.Skip("needs root and unshare to mount a file")
		}
		path, key := sharedFolder(t, 0o700)
		cmd := rerun(t, "mounted file")
		cmd.Env = append(cmd.Env, rerunPath+"="+path)
		cmd.Args = append([]string{unshare, "-m", "sh", "-c", `mount --bind "$0" "$0" || exit 77; exec "$@"`, path}, cmd.Args...)
		cmd.Path = unshare
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() == 77 || strings.Contains(string(out), "unshare failed") {
			t.Skip("this root cannot mount")
		}
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS", "%s", out)
		requireKeyFile(t, path, key)
		assert.Equal(t, []string{"bot.key"}, names(t, filepath.Dir(path)))
	})
}

// Whenever a process that saves is killed, the file loads.
func TestKeyFile_Save_killed(t *testing.T) {
	if os.Getenv(rerunVariable) != "" {
		for {
			require.NoError(t, KeyFile(os.Getenv(rerunPath)).Save(t.Context(), generatedKey(t)))
			fmt.Println("saved")
		}
	}
	t.Parallel()
	if testing.Short() {
		t.Skip("starts many processes")
	}
	path := filepath.Join(t.TempDir(), "bot.key")
	for round := range 10 {
		cmd := rerun(t, "save")
		cmd.Env = append(cmd.Env, rerunPath+"="+path)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		saved := 0
		for lines := bufio.NewScanner(stdout); saved <= round && lines.Scan(); {
			if lines.Text() == "saved" {
				saved++
			}
		}
		require.NoError(t, cmd.Process.Kill()) // during the next one
		require.Error(t, cmd.Wait())
		require.Equal(t, round+1, saved)
		_, _, err = KeyFile(path).Load(t.Context())
		require.NoError(t, err)
	}
	for _, name := range names(t, filepath.Dir(path)) {
		assert.Regexp(t, `^bot\.key(\.\d+\.tmp)?$`, name)
		assertMode0600(t, filepath.Join(filepath.Dir(path), name))
	}
}
