package kalshi

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/seed251d1451/kalshi-go/internal/atomicfile"
)

const maxKeyFileSize = 1 << 20 // 1 MiB

// A KeyFile is the path of a file with one API key: the line KALSHI_API_KEY_ID=<id>, which programs
// that read PEM files ignore, and below it the private key as PEM text. It is a [Store], and
// [KeyFile.Load] is a [KeySource]. Let only one process rotate the key in a file; any number can load it.
type KeyFile string

// Load reads the key from the file, following symbolic links. If the file cannot be read, the error
// wraps an [*fs.PathError]. If it is over 1 MiB, or lacks the ID or a key that [ParsePrivateKey]
// accepts, the error is a [*ValidationError]. The context is ignored.
func (f KeyFile) Load(_ context.Context) (Credentials, error) {
	keyID, key, err := loadKeyFile("key file", string(f))
	return withKeyID("key file "+string(f), keyID, key, err)
}

// Save makes or replaces the file in one step. The new file has the old one's owner, group, mode
// and, on Linux, access ACL, or else Save fails. If there is no old file, only the owner may read the
// new one; on Windows the folder decides. A symbolic link is replaced by a file with the rights of
// its target. Save ignores the context, because a key that is not saved may be lost. After an error,
// which wraps an [*fs.PathError] if the system refuses, the old file is as it was and no other stays.
// If the process is killed, a file NAME.*.tmp with the new key may stay.
func (f KeyFile) Save(_ context.Context, c Credentials) error {
	text, err := c.Text()
	if err = cmp.Or(checkPath("key file", string(f)), err); err != nil {
		return err
	}
	return pathError("save the key file", string(f), atomicfile.Replace(string(f), []byte(text.Reveal())))
}

// Check reports whether Save would work: it makes a temporary file as Save would, and removes it.
func (f KeyFile) Check(_ context.Context) error {
	if err := checkPath("key file", string(f)); err != nil {
		return err
	}
	return pathError("check the key file", string(f), atomicfile.Check(string(f), make([]byte, 7<<10))) // as long as a key can be
}

// LoadPrivateKey reads the private key from a PEM file or a [KeyFile], with the errors of [KeyFile.Load].
func LoadPrivateKey(path string) (crypto.Signer, error) {
	_, key, err := loadKeyFile("private key file", path)
	return key, err
}

// loadKeyFile reads a private key, and its ID if the file names one. Errors call the path field.
func loadKeyFile(field, path string) (keyID string, key crypto.Signer, err error) {
	if err := checkPath(field, path); err != nil {
		return "", nil, err
	}
	text, err := atomicfile.Read(path, maxKeyFileSize+1)
	if err != nil {
		return "", nil, pathError(field, path, err)
	}
	if len(text) > maxKeyFileSize {
		return "", nil, invalid(field+" "+path, "is over 1 MiB, too large for a key: is it the right file?")
	}
	return parseKeyText(field+" "+path, text)
}

// checkPath rejects an empty path and, as errors would quote it, a key in its place.
func checkPath(field, path string) error {
	if path == "" {
		return invalid(field, "is empty: name the file for the private key")
	}
	if isKeyText(path) {
		return invalid(field, "is the text of a key: use the name of its file")
	}
	return nil
}

// pathError adds to an error of the file system what to do about it.
func pathError(what, path string, err error) error {
	if err == nil {
		return nil
	}
	missing := errors.Is(err, fs.ErrNotExist)
	refused, ok := errors.AsType[*fs.PathError](err)
	refusedNew := ok && refused.Path != path && errors.Is(err, fs.ErrPermission) // of the file beside it
	for _, cause := range []struct {
		found bool
		hint  string
	}{
		{errors.Is(err, fs.ErrExist), "name a new file; existing ones are never overwritten"},
		{missing && strings.HasPrefix(path, "~/"), "only a shell expands ~: write the full path"},
		{missing, "correct the path, or make its folder first"},
		{errors.Is(err, syscall.EROFS), "mount its folder so that it can be written to"},
		{errors.Is(err, syscall.EBUSY), "a file that is mounted by itself cannot be replaced: mount its folder"},
		{refusedNew, "run it as the file's owner, or as root, with a folder that can be written to"},
	} {
		if cause.found {
			return fmt.Errorf("kalshi: %s: %w: %s", what, err, cause.hint)
		}
	}
	return fmt.Errorf("kalshi: %s: %w", what, err)
}
