package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// takeRights does nothing: a new file gets its rights from the folder.
func takeRights(*os.File, string, fs.FileInfo) error { return nil }

// retry repeats op for up to 2 s while another process, such as a virus scanner, has the file open.
func retry(op func() error) error {
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		err := op()
		errno, _ := errors.AsType[syscall.Errno](err)
		inUse := errno == 5 || errno == 32 || errno == 33 // access denied, sharing violation, lock violation
		if !inUse || time.Now().After(end) {
			return err
		}
	}
}
