package atomicfile

import (
	"errors"
	"io/fs"
	"syscall"
)

// takeACL gives the new file the access ACL of the old one, or none.
func takeACL(newPath, oldPath string) error {
	const name = "system.posix_acl_access"
	_ = syscall.Removexattr(newPath, name) // a default ACL of the folder may have given it one
	acl := make([]byte, 1<<16)             // the largest value of an attribute
	n, err := syscall.Getxattr(oldPath, name, acl)
	if err == nil {
		err = syscall.Setxattr(newPath, name, acl[:n], 0)
	}
	if err == nil || errors.Is(err, syscall.ENODATA) || errors.Is(err, errors.ErrUnsupported) {
		return nil // the file or its file system has no ACL
	}
	return &fs.PathError{Op: "copy the ACL of", Path: oldPath, Err: err}
}
