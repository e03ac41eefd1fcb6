// Package atomicfile replaces files so that they are whole, synced and owned as before. If the
// system refuses, errors wrap an [*fs.PathError].
package atomicfile

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// Read reads up to n bytes of a file.
func Read(path string, n int64) (data []byte, err error) {
	err = retry(func() error {
		f, err := os.Open(path)
		if err == nil {
			data, err = io.ReadAll(io.LimitReader(f, n))
			_ = f.Close()
		}
		return err
	})
	return data, err
}

// Replace writes data to a new file with the rights of the old one, or of the target of a symbolic
// link, and renames it to path. If that fails, the old file is as it was and no other one stays.
func Replace(path string, data []byte) error {
	return withNew(path, data, func(name string) error {
		err := os.Rename(name, path)
		if link, ok := errors.AsType[*os.LinkError](err); ok {
			return &fs.PathError{Op: link.Op, Path: path, Err: link.Err}
		}
		if dir, err := os.Open(filepath.Dir(path)); err == nil {
			_, _ = dir.Sync(), dir.Close() // not every system can sync it
		}
		return err
	})
}

// Check reports whether Replace would work. It leaves the old file alone.
func Check(path string, data []byte) error {
	if isMountPoint(path) {
		return &fs.PathError{Op: "replace", Path: path, Err: syscall.EBUSY}
	}
	return withNew(path, data, os.Remove)
}

// withNew makes the file that is to replace the one at path, and has a function move or remove it.
func withNew(path string, data []byte, move func(name string) error) error {
	old, err := os.Stat(path)
	if err == nil && !old.Mode().IsRegular() {
		return &fs.PathError{Op: "replace", Path: path, Err: errors.New("not a regular file")}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp") // its mode is 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = cmp.Or(err, takeRights(f, path, old), f.Sync(), f.Close()); err == nil {
		err = retry(func() error { return move(f.Name()) })
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// isMountPoint reports whether something is mounted at path, where nothing can be renamed to (Linux).
func isMountPoint(path string) bool {
	dir, _ := filepath.Abs(filepath.Dir(path))
	dir, _ = filepath.EvalSymlinks(dir)
	path = strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(filepath.Join(dir, filepath.Base(path)))
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	mounted, _ := regexp.Match(`(?m)^(\S+ ){4}`+regexp.QuoteMeta(path)+" ", mounts)
	return mounted
}
