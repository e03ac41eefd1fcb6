package test

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

func init() {
	children["save and fail"] = saveAndFail
	children["save until killed"] = saveUntilKilled
}

// savedKey is a key as the service returns it.
func savedKey(id string) (*secret, *kalshi.GenerateAPIKeyResponse) {
	s := newFileSecret()
	return s, &kalshi.GenerateAPIKeyResponse{ID: id, PrivateKey: pemOf(s.text)}
}

// A rotation keeps a key file's mode, but for the access of others.
func TestKeyFile_Save_keepsMode(t *testing.T) {
	t.Parallel()
	for mode, want := range map[fs.FileMode]fs.FileMode{0o644: 0o640, 0o666: 0o660, 0o400: 0o400, 0o755: 0o750} {
		path := filepath.Join(t.TempDir(), "bot.key")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chmod(path, mode))
		_, key := savedKey("new")
		require.NoError(t, kalshi.KeyFile(path).Save(t.Context(), key))
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
	for _, owner := range [][2]uint32{{65534, 65533}, {65534, 0}, {0, 65533}} {
		dir := t.TempDir()
		path, link := filepath.Join(dir, "bot.key"), filepath.Join(dir, "link")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chown(path, int(owner[0]), int(owner[1])))
		require.NoError(t, os.Chmod(path, 0o640))
		require.NoError(t, os.Symlink(path, link))
		for _, name := range []string{path, link} {
			_, key := savedKey("new")
			require.NoError(t, kalshi.KeyFile(name).Save(t.Context(), key))
			info, err := os.Stat(name)
			require.NoError(t, err)
			stat, ok := info.Sys().(*syscall.Stat_t)
			require.True(t, ok)
			got := [2]uint32{stat.Uid, stat.Gid}
			assert.Equal(t, owner, got, "owner and group")
			assert.Equal(t, fs.FileMode(0o640), info.Mode())
		}
	}
}

// Each failure leaves the old file as it was, and no other.
func TestKeyFile_Save_fails(t *testing.T) {
	t.Parallel()
	nobody := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	tests := []struct {
		how  string
		mode fs.FileMode // of the folder
		attr *syscall.SysProcAttr
	}{
		{"read-only folder", 0o555, nobody},
		{"another's file", 0o777, nobody},
		{"size limit", 0o700, nil},
		{"mounted file", 0o700, nil},
	}
	for _, tt := range tests {
		t.Run(tt.how, func(t *testing.T) {
			t.Parallel()
			if os.Geteuid() != 0 && tt.how != "size limit" {
				t.Skip("needs root, to become another user or to mount")
			}
			dir, err := os.MkdirTemp("", "kalshi-go-test-") // t.TempDir lies in a folder that no one else may enter
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			path := filepath.Join(dir, "bot.key")
			_, key := savedKey("old")
			require.NoError(t, kalshi.KeyFile(path).Save(t.Context(), key))
			require.NoError(t, os.Chmod(path, 0o644))
			require.NoError(t, os.Chmod(dir, tt.mode))
			before, err := os.Stat(path)
			require.NoError(t, err)

			if tt.how == "mounted file" {
				saveToMountedFile(t, path)
			} else {
				runChild(t, tt.attr, "save and fail", tt.how, path)
			}
			after, err := os.Stat(path)
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after))
			assert.Equal(t, before.Mode(), after.Mode())
			keyID, _, err := kalshi.KeyFile(path).Load(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "old", keyID)
			assert.Equal(t, []string{"bot.key"}, names(t, dir))
		})
	}
}

// saveToMountedFile runs the child with the file mounted over itself, as a
// container has a single file.
func saveToMountedFile(t *testing.T, path string) {
	t.Helper()
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("needs unshare to mount a file")
	}
	cmd := childCommand(t, "save and fail", "mounted file", path)
	cmd.Args = append([]string{unshare, "-m", "sh", "-c", `mount --bind "$0" "$0" || exit 77; exec "$@"`, path}, cmd.Args...)
	cmd.Path = unshare
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() == 77 || strings.Contains(string(out), "unshare failed") {
		t.Skip("this root cannot mount")
	}
	require.NoError(t, err, "%s", out)
}

func saveAndFail(args []string) {
	how, path := args[0], args[1]
	want := map[string]error{
		"read-only folder": fs.ErrPermission, "another's file": fs.ErrPermission, "size limit": syscall.EFBIG, "mounted file": syscall.EBUSY,
	}[how]
	if how == "size limit" {
		limitFileSize(64)
	}
	s, key := savedKey("new")
	err := kalshi.KeyFile(path).Save(context.Background(), key)
	wantError(s, err, want)
	if !strings.HasPrefix(err.Error(), "kalshi: save the key file: ") {
		log.Fatal(err)
	}
}

// Whenever a process that saves is killed, the file loads.
func TestKeyFile_Save_killed(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts many processes")
	}
	path := filepath.Join(t.TempDir(), "bot.key")
	for round := range 10 {
		cmd := childCommand(t, "save until killed", path)
		stdout, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		saved := 0
		for lines := bufio.NewScanner(stdout); saved <= round && lines.Scan(); {
			saved++
		}
		require.NoError(t, cmd.Process.Kill()) // during the next one
		require.Error(t, cmd.Wait())
		require.Equal(t, round+1, saved)
		_, _, err = kalshi.KeyFile(path).Load(t.Context())
		require.NoError(t, err)
	}
	for _, name := range names(t, filepath.Dir(path)) {
		assert.Regexp(t, `^bot\.key(\.\d+\.tmp)?$`, name)
		info, err := os.Stat(filepath.Join(filepath.Dir(path), name))
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode())
	}
}

func saveUntilKilled(args []string) {
	for {
		_, key := savedKey("new")
		must(kalshi.KeyFile(args[0]).Save(context.Background(), key))
		fmt.Println("saved")
	}
}
