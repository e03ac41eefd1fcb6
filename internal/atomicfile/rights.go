//go:build !windows

package atomicfile

import (
	"io/fs"
	"os"
	"syscall"
)

// takeRights gives f the owner, mode and access ACL of the old file at path, if there is one. At no
// point can anybody read f who could not read the old file.
func takeRights(f *os.File, path string, old fs.FileInfo) error {
	if old == nil {
		return nil
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	want, have := old.Sys().(*syscall.Stat_t), info.Sys().(*syscall.Stat_t)
	if want.Uid != have.Uid || want.Gid != have.Gid { // some file systems know no owners
		if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil {
			return err
		}
	}
	if err := takeACL(f.Name(), path); err != nil { // before the mode, which puts the entries of an ACL into force
		return err
	}
	return f.Chmod(old.Mode()) // after the owner, whose change clears bits
}

func retry(op func() error) error { return op() }
