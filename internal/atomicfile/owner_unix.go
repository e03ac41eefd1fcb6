//go:build unix

// Package atomicfile carries the owner and mode of a file over to the one that
// replaces it.
package atomicfile

import (
	"os"
	"syscall"
)

// Keep gives f the owner, group and mode of the old file, without access for
// others.
func Keep(f *os.File, old os.FileInfo) error {
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
