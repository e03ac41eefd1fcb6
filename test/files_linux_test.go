package test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

func save(path, keyID string) error {
	return kalshi.KeyFile(path).Save(context.Background(), credentials(keyID, newKey()))
}

const nobody = 65534 // a user without rights

// needsRoot returns a folder that every user may enter, as those of t.TempDir may not be.
func needsRoot(t *testing.T) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user or to mount")
	}
	dir, err := os.MkdirTemp("", "kalshi-go-test-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// A rotation by root leaves the key file to those who may read it.
func TestFiles_saveKeepsReaders(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string][]string{
		"mode 0644": {"chmod", "0644"},
		"ACL":       {"setfacl", "-m", fmt.Sprintf("u:%d:r", nobody)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(needsRoot(t), "bot.key")
			require.NoError(t, save(path, "old"))
			read := func() error {
				cmd := exec.CommandContext(t.Context(), "cat", path)
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
				return cmd.Run()
			}
			require.Error(t, read())
			out, err := exec.CommandContext(t.Context(), prepare[0], append(prepare[1:], path)...).CombinedOutput()
			if errors.Is(err, exec.ErrNotFound) || strings.Contains(string(out), "not supported") {
				t.Skip("needs setfacl, and a file system with ACLs")
			}
			require.NoError(t, err, "%s", out)
			require.NoError(t, read())
			require.NoError(t, save(path, "new"))
			require.NoError(t, read())
		})
	}
}

// A rotation by root leaves the file to its owner, through a link too.
func TestFiles_saveKeepsOwner(t *testing.T) {
	t.Parallel()
	for _, want := range [][2]uint32{{nobody, 65533}, {nobody, 0}, {0, 65533}} {
		dir := needsRoot(t)
		path, link := filepath.Join(dir, "bot.key"), filepath.Join(dir, "link")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chown(path, int(want[0]), int(want[1])))
		require.NoError(t, os.Chmod(path, 0o650|fs.ModeSetgid)) // a change of the owner clears setgid
		require.NoError(t, os.Symlink(path, link))
		for _, name := range []string{path, link} {
			require.NoError(t, save(name, "new"))
			var stat syscall.Stat_t
			require.NoError(t, syscall.Stat(name, &stat))
			assert.Equal(t, want, [2]uint32{stat.Uid, stat.Gid}, "owner and group")
			assert.Equal(t, uint32(syscall.S_IFREG|syscall.S_ISGID|0o650), stat.Mode)
		}
	}
}

// A saveFailure is a reason for which Save fails, and Check too.
type saveFailure struct {
	folder fs.FileMode
	nobody bool // saves
	mounts func(dir, path string) error
	want   error
	hint   string
}

var saveFailures = map[string]saveFailure{
	"read-only folder": {0o555, true, nil, fs.ErrPermission, "with a folder that can be written to"},
	"another's file":   {0o777, true, nil, fs.ErrPermission, "run it as the file's owner"},
	"size limit":       {0o700, false, nil, syscall.EFBIG, ""},
	"mounted file": {0o700, false, func(_, path string) error {
		return syscall.Mount(path, path, "", syscall.MS_BIND, "")
	}, syscall.EBUSY, "mount its folder"},
	"read-only mount": {0o700, false, func(dir, _ string) error {
		err := syscall.Mount(dir, dir, "", syscall.MS_BIND, "")
		return errors.Join(err, syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
	}, syscall.EROFS, "mount its folder so that it can be written to"},
}

// noMount is the exit status of a child that may not mount.
const noMount = 77

// Each failure leaves the old file as it was, and no other.
func TestFiles_saveFails(t *testing.T) {
	t.Parallel()
	for how, tt := range saveFailures {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := needsRoot(t)
			path := filepath.Join(dir, "bot \\ key") // which /proc/self/mountinfo escapes
			require.NoError(t, save(path, "old"))
			require.NoError(t, os.Chmod(path, 0o644))
			require.NoError(t, os.Chmod(dir, tt.folder))
			before, err := os.Stat(path)
			require.NoError(t, err)

			cmd := childCommand(t, "save and fail", how, path)
			if tt.mounts != nil {
				cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			}
			out, err := cmd.CombinedOutput()
			if tt.mounts != nil && (errors.Is(err, syscall.EPERM) || cmd.ProcessState.ExitCode() == noMount) {
				t.Skip("this root cannot mount")
			}
			require.NoError(t, err, "%s", out)

			after, err := os.Stat(path)
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after))
			assert.Equal(t, before.Mode(), after.Mode())
			c, err := kalshi.KeyFile(path).Load(t.Context())
			require.NoError(t, err)
			assert.Equal(t, "old", c.KeyID())
			assert.Equal(t, []string{"bot \\ key"}, names(dir))
		})
	}
}

func init() { children["save and fail"] = saveAndFail }

// saveAndFail has a process of its own, since limits, users and mounts hold for all of it.
func saveAndFail(args []string) {
	how, path := args[0], args[1]
	tt := saveFailures[how]
	if how == "size limit" {
		signal.Ignore(syscall.SIGXFSZ) // which would end the process
		must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 64, Max: 64}))
	}
	if tt.nobody {
		must(errors.Join(syscall.Setgroups(nil), syscall.Setgid(nobody), syscall.Setuid(nobody)))
	}
	if tt.mounts != nil && tt.mounts(filepath.Dir(path), path) != nil {
		os.Exit(noMount)
	}
	for what, err := range map[string]error{
		"kalshi: check the key file: ": kalshi.KeyFile(path).Check(context.Background()),
		"kalshi: save the key file: ":  save(path, "new"),
	} {
		_, refused := errors.AsType[*fs.PathError](err)
		if !refused || !errors.Is(err, tt.want) || !strings.HasPrefix(err.Error(), what) || !strings.Contains(err.Error(), tt.hint) {
			log.Fatalf("got %v, want %v with %q", err, tt.want, tt.hint)
		}
	}
}
