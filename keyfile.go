package kalshi

// Private keys in files.

import (
	"context"
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

	"github.com/seed251d1451/kalshi-go/internal/atomicfile"
)

const maxKeyFileSize = 1 << 20 // 1 MiB; a key takes at most 7 KiB

// A KeyFile is the path of a file with one API key: its ID on a line
//
//	KALSHI_API_KEY_ID=<id>
//
// and below it the private key as PEM text. Both are in one file so that a
// single rename replaces both. Programs that read PEM files, such as OpenSSL,
// ignore the line. [KeyFile.Load] is a [KeySource], and [KeyFile.Save] is for
// [RotateAPIKeyRequest]. Let only one process rotate the key in a file; any
// number can load it.
type KeyFile string

// Load reads the key from the file. It is a [KeySource]. It follows symbolic
// links and ignores the context. If the file cannot be read, the error wraps an
// [*fs.PathError]. If the file is over 1 MiB, or lacks the ID or a key that
// [ParsePrivateKey] accepts, the error is a [*ValidationError].
func (f KeyFile) Load(_ context.Context) (Credentials, error) {
	const field = "key file"
	keyID, key, err := loadKeyFile(field, string(f))
	if err == nil && keyID == "" {
		return Credentials{}, invalid(field+" "+string(f), "does not name the key's ID: add the line %s=<id> above the PEM text", envKeyID)
	}
	if err != nil {
		return Credentials{}, err
	}
	return NewCredentials(keyID, key)
}

// Save writes the credentials to the file, replacing a file that exists in a
// single step. It is a [Store]. It ignores the context, because a key that is
// not saved may be lost. It returns a [*ValidationError] for a key that is not in
// memory.
func (f KeyFile) Save(_ context.Context, c Credentials) error {
	path := string(f)
	if err := checkPath("key file", path); err != nil {
		return err
	}
	text, err := c.Text()
	if err != nil {
		return err
	}
	if err := replaceFile(path, text.Reveal()); err != nil {
		return pathError("save the key file", path, err)
	}
	return nil
}

// Check reports whether Save would work.
func (f KeyFile) Check(_ context.Context) error {
	return checkPath("key file", string(f))
}

// replaceFile writes the text to a new file and renames it to path.
func replaceFile(path, text string) error {
	old, err := os.Stat(path) // follows a link: its target has the owner and mode to keep
	switch {
	case errors.Is(err, fs.ErrNotExist):
		old = nil
	case err != nil:
		return err
	case !old.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil && old != nil {
		err = atomicfile.Keep(f, old)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	_ = syncDir(filepath.Dir(path)) // the key is in place
	return nil
}

// loadKeyFile reads a private key from a file, and its ID if the file names
// one. Errors call the path by the name in field.
func loadKeyFile(field, path string) (keyID string, key crypto.Signer, err error) {
	data, err := readKeyText(field, path)
	if err != nil {
		return "", nil, err
	}
	return parseKeyText(field+" "+path, data)
}

// LoadPrivateKey reads a file of at most 1 MiB and parses it with
// [ParsePrivateKey]. If the file cannot be read, the error wraps an
// [*fs.PathError]; if it is larger, the error is a [*ValidationError].
func LoadPrivateKey(path string) (crypto.Signer, error) {
	const field = "private key file"
	data, err := readKeyText(field, path)
	if err != nil {
		return nil, err
	}
	return parsePrivateKey(field+" "+path, data)
}

// readKeyText reads a file that holds a key. Errors call the path by the name
// in field.
func readKeyText(field, path string) ([]byte, error) {
	if err := checkPath(field, path); err != nil {
		return nil, err
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

// checkPath rejects a path that is empty or, by mistake, a key, which errors
// about the file would quote.
func checkPath(field, path string) error {
	switch {
	case path == "":
		return invalid(field, "is empty: name the file for the private key")
	case isKeyText(path):
		return invalid(field, "is the text of a key: use the name of its file")
	}
	return nil
}

// pathError adds a hint for a path whose ~ was not expanded.
func pathError(what, path string, err error) error {
	if rest, ok := strings.CutPrefix(path, "~/"); ok && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("kalshi: %s: %w: only a shell expands ~: write $HOME/%s in a shell, or the full path", what, err, rest)
	}
	return fmt.Errorf("kalshi: %s: %w", what, err)
}

// A newFile is a new, empty file for a private key.
type newFile struct {
	*os.File
	made os.FileInfo // identifies it, in case another file takes its place
}

// createFile creates the file. It fails if path exists.
func createFile(path string) (*newFile, error) {
	if err := checkPath("path", path); err != nil {
		return nil, err
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

// save writes the text and closes the file. If anything fails, it removes the
// file.
func (k *newFile) save(text string) error {
	_, err := k.WriteString(text)
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
