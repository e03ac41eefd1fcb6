package test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// Limits hold for a whole process, so each is set in one of its own.
func init() {
	children["save and fail"] = saveAndFail
	children["save until killed"] = saveUntilKilled
	children["generate past size limit"] = generatePastSizeLimit
}

// save saves a key of that ID as the service returns it.
func save(path, keyID string) error {
	c, err := kalshi.NewCredentials(keyID, newKey())
	must(err)
	return kalshi.KeyFile(path).Save(context.Background(), c)
}

// names returns what is in a folder.
func names(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func limitFileSize(bytes uint64) {
	signal.Ignore(syscall.SIGXFSZ) // which would end the process
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: bytes}))
}

// A rotation keeps a key file's mode, but for the access of others.
func TestFiles_saveKeepsMode(t *testing.T) {
	t.Parallel()
	for mode, want := range map[fs.FileMode]fs.FileMode{0o644: 0o640, 0o666: 0o660, 0o400: 0o400, 0o755: 0o750} {
		path := filepath.Join(t.TempDir(), "bot.key")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		require.NoError(t, os.Chmod(path, mode))
		require.NoError(t, save(path, "new"))
		info, err := os.Stat(path)
		require.NoError(t, err)
		assert.Equal(t, want, info.Mode())
	}
}

// A rotation run by root must not lock out the bots of another user.
func TestFiles_saveKeepsOwner(t *testing.T) {
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
			require.NoError(t, save(name, "new"))
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
func TestFiles_saveFails(t *testing.T) {
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
			require.NoError(t, save(path, "old"))
			require.NoError(t, os.Chmod(path, 0o644))
			require.NoError(t, os.Chmod(dir, tt.mode))
			before, err := os.Stat(path)
			require.NoError(t, err)

			cmd := childCommand(t, "save and fail", tt.how, path)
			if tt.attr != nil { // another user may not look into the folder that this program is in
				cmd.Path, cmd.Dir, cmd.SysProcAttr = "/proc/self/exe", "/", tt.attr
			}
			if tt.how == "mounted file" {
				mountOverItself(t, cmd, path)
			}
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState.ExitCode() == noMount || strings.Contains(string(out), "unshare failed") {
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
			assert.Equal(t, []string{"bot.key"}, names(t, dir))
		})
	}
}

// noMount is the exit status of a child that may not mount.
const noMount = 77

// mountOverItself has a child see the file mounted over itself, as a container
// has a single file.
func mountOverItself(t *testing.T, cmd *exec.Cmd, path string) {
	t.Helper()
	unshare, err := exec.LookPath("unshare")
	if err != nil {
		t.Skip("needs unshare to mount a file")
	}
	script := fmt.Sprintf(`mount --bind "$0" "$0" || exit %d; exec "$@"`, noMount)
	cmd.Args = append([]string{unshare, "-m", "sh", "-c", script, path}, cmd.Args...)
	cmd.Path = unshare
}

func saveAndFail(args []string) {
	how, path := args[0], args[1]
	want := map[string]error{
		"read-only folder": fs.ErrPermission,
		"another's file":   fs.ErrPermission,
		"size limit":       syscall.EFBIG,
		"mounted file":     syscall.EBUSY,
	}[how]
	if how == "size limit" {
		limitFileSize(64)
	}
	err := save(path, "new")
	if !errors.Is(err, want) || !strings.HasPrefix(err.Error(), "kalshi: save the key file: ") {
		log.Fatalf("got %v, want %v", err, want)
	}
}

// Whenever a process that saves is killed, the file loads.
func TestFiles_saveIsKilled(t *testing.T) {
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
		_, err = kalshi.KeyFile(path).Load(t.Context())
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
		must(save(args[0], "new"))
		fmt.Println("saved")
	}
}

// A file that takes the first bytes of a generated key and no more: the key is
// deleted again, or handed back when that fails.
func TestFiles_generatePastSizeLimit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		deleting kalshitest.Fault
		returned bool // the key, with the error
	}{
		{"deleted again", kalshitest.Fault{}, false},
		{"delete refused", kalshitest.Fault{Status: 403}, true},
		{"response to the delete lost", kalshitest.Fault{Drop: true}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := onLoopback(t)
			tt.deleting.Method, tt.deleting.Times = "DELETE", always
			x.Inject(tt.deleting)
			before, dir := x.keyIDs(), t.TempDir()
			args := []string{x.URL, x.KeyID, x.PrivateKey, filepath.Join(dir, "new"), strconv.FormatBool(tt.returned)}
			out, err := childCommand(t, "generate past size limit", args...).CombinedOutput()
			require.NoError(t, err, "%s", out)
			assert.Empty(t, names(t, dir), "no half of a key stays behind")
			want := len(before)
			if tt.returned {
				want++
			}
			assert.Len(t, x.Keys(), want)
			assert.Subset(t, x.keyIDs(), before)
		})
	}
}

// childClient is the client of a child.
func childClient(baseURL, keyID, privateKey string) *kalshi.Client {
	signer, err := kalshi.NewSignerFromPEM(keyID, []byte(privateKey))
	must(err)
	client, err := kalshi.NewClient(signer, kalshi.WithBaseURL(baseURL))
	must(err)
	return client
}

func generatePastSizeLimit(args []string) {
	baseURL, keyID, privateKey, path, returned := args[0], args[1], args[2], args[3], args[4]
	limitFileSize(40)
	got, err := childClient(baseURL, keyID, privateKey).GenerateAPIKeyToFile(context.Background(),
		kalshi.GenerateAPIKeyRequest{Name: "bot", KeyType: kalshi.KeyTypeEd25519}, path)
	if !errors.Is(err, syscall.EFBIG) || (got != nil) != (returned == "true") {
		log.Fatalf("got %v, %v", got, err)
	}
	says := "deleted again"
	if got != nil { // it still exists, and works
		says = got.ID
		_, err := childClient(baseURL, got.ID, got.PrivateKey.Reveal()).GetAPIKeys(context.Background())
		must(err)
	}
	if !strings.Contains(err.Error(), says) {
		log.Fatalf("%v does not say %q", err, says)
	}
}
