//go:build unix

package kalshi

// The owner and mode of a key file that is replaced.

import (
	"os"
	"syscall"
)

// keepOwnerAndMode gives f the owner, group and mode of the old file, without
// access for others.
func keepOwnerAndMode(f *os.File, old os.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	want, _ := old.Sys().(*syscall.Stat_t)
	have, _ := info.Sys().(*syscall.Stat_t)
	if want.Uid != have.Uid || want.Gid != have.Gid { // some file systems know no owners
		if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil {
			return err
		}
	}
	return f.Chmod(old.Mode().Perm() &^ 0o007)
}
