package test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
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

// These limits hold for a whole process, so each is set in one of its own.
func init() {
	children["umask"] = writeUnderUmask
	children["size limit"] = writePastSizeLimit
	children["full disk"] = writeToFullDisk
	children["read-only folder"] = writeToReadOnlyFolder
	children["generate past size limit"] = generatePastSizeLimit
}

// runChild runs a child that has to come to its end. Without the rights for
// its attributes the test is skipped.
func runChild(t testing.TB, attr *syscall.SysProcAttr, name string, args ...string) {
	t.Helper()
	cmd := childCommand(t, name, args...)
	if attr != nil { // another user may not look into the folder that this program is in
		cmd.Path, cmd.Dir, cmd.SysProcAttr = "/proc/self/exe", "/", attr
	}
	out, err := cmd.CombinedOutput()
	if attr != nil && (errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC)) {
		t.Skipf("this user may not: %v", err)
	}
	require.NoError(t, err, "%s", out)
}

// wantError ends a child unless err is of that kind and hides the key.
func wantError(s *secret, err, want error) {
	if !errors.Is(err, want) {
		log.Fatalf("got %v, want %v", err, want)
	}
	if _, shown := s.shownIn(err.Error()); shown {
		log.Fatalf("%v shows the key", err)
	}
}

func newFileSecret() *secret {
	key := newKey()
	return newSecret("the key", pemText(key), key)
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

func TestFiles_umask(t *testing.T) {
	t.Parallel()
	for _, mask := range []string{"000", "022", "077", "177"} {
		t.Run(mask, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key.pem")
			runChild(t, nil, "umask", mask, path)
			info, err := os.Stat(path)
			require.NoError(t, err)
			assert.Equal(t, fs.FileMode(0o600), info.Mode())
		})
	}
}

func writeUnderUmask(args []string) {
	mask, err := strconv.ParseInt(args[0], 8, 0)
	must(err)
	syscall.Umask(int(mask))
	must(pemOf("text").WriteFile(args[1]))
}

// A write that fails half-way: the system takes 64 bytes and no more.
func TestFiles_sizeLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runChild(t, nil, "size limit", filepath.Join(dir, "key.pem"))
	assert.Empty(t, names(t, dir))
}

func writePastSizeLimit(args []string) {
	path, s := args[0], newFileSecret()
	limitFileSize(64)
	probe := path + ".probe" // shows that half of it does get written
	wantError(s, os.WriteFile(probe, []byte(s.text), 0o600), syscall.EFBIG)
	half, err := os.ReadFile(probe)
	must(err)
	if len(half) != 64 {
		log.Fatalf("%d bytes were written", len(half))
	}
	must(os.Remove(probe))
	wantError(s, pemOf(s.text).WriteFile(path), syscall.EFBIG)
}

func limitFileSize(bytes uint64) {
	signal.Ignore(syscall.SIGXFSZ) // which would end the process
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: bytes}))
}

// A disk without room for the key, in a namespace where a child may mount one.
func TestFiles_fullDisk(t *testing.T) {
	t.Parallel()
	runChild(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}, "full disk", t.TempDir())
}

func writeToFullDisk(args []string) {
	dir, s := args[0], newFileSecret()
	must(syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", os.Getpagesize())))
	filler := filepath.Join(dir, "filler")
	must(os.WriteFile(filler, make([]byte, os.Getpagesize()), 0o600))
	wantError(s, pemOf(s.text).WriteFile(filepath.Join(dir, "key.pem")), syscall.ENOSPC)
	entries, err := os.ReadDir(dir)
	must(err)
	if len(entries) != 1 {
		log.Fatalf("left behind: %v", entries)
	}
}

// Root may write everywhere, so that another user has to try.
func TestFiles_readOnlyFolder(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "kalshi-go-test-") // t.TempDir lies in a folder that no one else may enter
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o555))
	var attr *syscall.SysProcAttr
	if os.Geteuid() == 0 {
		attr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	runChild(t, attr, "read-only folder", filepath.Join(dir, "key.pem"))
	assert.Empty(t, names(t, dir))
}

func writeToReadOnlyFolder(args []string) {
	s := newFileSecret()
	wantError(s, pemOf(s.text).WriteFile(args[0]), fs.ErrPermission)
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
			runChild(t, nil, "generate past size limit", x.URL, x.KeyID, x.PrivateKey, filepath.Join(dir, "new"), strconv.FormatBool(tt.returned))
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
