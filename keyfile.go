package kalshi

// Private keys in files.

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// A newFile is a new, empty file for a private key.
type newFile struct {
	*os.File
	made os.FileInfo // identifies it, in case another file takes its place
}

// createFile creates the file. It fails if path exists.
func createFile(path string) (*newFile, error) {
	if path == "" {
		return nil, invalid("path", "is empty: name the file for the private key")
	}
	// O_EXCL does not follow a symbolic link either.
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("kalshi: create the private key's file: %w: name a new file; existing ones are never overwritten", err)
	}
	if err != nil {
		return nil, fmt.Errorf("kalshi: create the private key's file: %w", err)
	}
	made, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("kalshi: create the private key's file: %w", err)
	}
	return &newFile{f, made}, nil
}

// save writes the key and closes the file. If anything fails, it removes the
// file.
func (k *newFile) save(key PrivateKeyPEM) error {
	_, err := k.WriteString(key.Reveal())
	if err == nil {
		err = k.Sync()
	}
	if closeErr := k.Close(); err == nil {
		err = closeErr
	}
	if there, statErr := os.Lstat(k.Name()); err == nil && (statErr != nil || !os.SameFile(k.made, there)) {
		err = errors.New("the file was removed or replaced in the meantime")
	}
	if err == nil {
		err = syncDir(filepath.Dir(k.Name()))
	}
	if err != nil {
		return fmt.Errorf("kalshi: write the private key: %w", errors.Join(err, k.discard()))
	}
	return nil
}

// discard closes and removes the file, unless another one has taken its place.
func (k *newFile) discard() error {
	_ = k.Close() // Windows does not remove open files; a second Close is harmless
	there, err := os.Lstat(k.Name())
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil || !os.SameFile(k.made, there):
		return nil
	}
	return os.Remove(k.Name())
}

// syncDir makes a new directory entry durable where the system supports it.
// Windows cannot sync a folder, a folder without read permission cannot be
// opened, and some file systems do not implement the call.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" || runtime.GOOS == "js" {
		return nil
	}
	d, err := os.Open(dir)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, syscall.EINVAL) {
		return err
	}
	return nil
}

// LoadPrivateKey reads a file of at most 1 MiB and parses it with
// [ParsePrivateKey]. If the file cannot be read, the error wraps an
// [*fs.PathError].
func LoadPrivateKey(path string) (crypto.Signer, error) {
	return loadPrivateKey("private key file", path)
}

// loadPrivateKey is LoadPrivateKey with the name that errors give the path.
func loadPrivateKey(field, path string) (crypto.Signer, error) {
	if isKeyText(path) { // the error for a missing file would quote it
		return nil, invalid(field, "is the text of a key: use the name of its file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("kalshi: %s: %w", field, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFileSize))
	if err != nil {
		return nil, fmt.Errorf("kalshi: %s: %w", field, err)
	}
	return parsePrivateKey(field+" "+path, data)
}
