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
	"strings"
	"syscall"
)

const maxKeyFileSize = 1 << 20 // 1 MiB; a key takes at most 7 KiB

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
		return nil, pathError("create the private key's file", path, err)
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
// [*fs.PathError]; if it is larger, the error is a [*ValidationError].
func LoadPrivateKey(path string) (crypto.Signer, error) {
	return loadPrivateKey("private key file", path)
}

// loadPrivateKey is LoadPrivateKey with the name that errors give the path.
func loadPrivateKey(field, path string) (crypto.Signer, error) {
	data, err := readKeyText(field, path)
	if err != nil {
		return nil, err
	}
	return parsePrivateKey(field+" "+path, data)
}

// readKeyText reads a file that holds a key. Errors call the path by the name
// in field.
func readKeyText(field, path string) ([]byte, error) {
	if isKeyText(path) { // the error for a missing file would quote it
		return nil, invalid(field, "is the text of a key: use the name of its file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, pathError(field, path, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFileSize+1))
	if err != nil {
		return nil, pathError(field, path, err)
	}
	if len(data) > maxKeyFileSize {
		return nil, invalid(field+" "+path, "is over 1 MiB, too large for a key: is it the right file?")
	}
	return data, nil
}

// pathError adds a hint for a path whose ~ was not expanded.
func pathError(what, path string, err error) error {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("kalshi: %s: %w: only a shell expands ~: write $HOME/%s in a shell, or the full path", what, err, rest)
	}
	return fmt.Errorf("kalshi: %s: %w", what, err)
}
