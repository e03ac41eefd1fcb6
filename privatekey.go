package kalshi

import (
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// PrivateKeyPEM is the text of a private key, kept out of sight: it prints as
// [REDACTED], and encoding it as text, JSON, XML or gob is an error, since a
// silently redacted copy would lose a key that can never be fetched again.
// [PrivateKeyPEM.Reveal] is the one way to the text. The zero value holds no
// key. Copies share the text; it is never changed, so they are safe for
// concurrent use.
type PrivateKeyPEM struct {
	// The text is held by a function behind a pointer. fmt prints a nested
	// pointer as an address, even where it ignores methods (unexported fields,
	// %p); printers that follow pointers, such as the ones behind assertion
	// libraries, cannot look into a function.
	reveal *func() string
}

func newPrivateKeyPEM(text string) PrivateKeyPEM {
	if text == "" {
		return PrivateKeyPEM{}
	}
	reveal := func() string { return text }
	return PrivateKeyPEM{&reveal}
}

// Reveal returns the PEM text, or "" when there is none. Keep it out of logs
// and errors.
func (k PrivateKeyPEM) Reveal() string {
	if k.reveal == nil {
		return ""
	}
	return (*k.reveal)()
}

// Parse returns the key itself, as [ParsePrivateKey] does.
func (k PrivateKeyPEM) Parse() (crypto.Signer, error) {
	return ParsePrivateKey([]byte(k.Reveal()))
}

// WriteFile writes the text to a new file at path, with mode 0600 where the
// system has modes, and syncs it and its folder to disk. It never overwrites:
// a file, a folder or a symbolic link at path is an error that matches
// [fs.ErrExist]. When writing fails, the file is removed again.
func (k PrivateKeyPEM) WriteFile(path string) error {
	if k.reveal == nil {
		return invalid("private key", "is missing: the service has not sent one, or it was not kept")
	}
	f, err := createFile(path)
	if err != nil {
		return err
	}
	return f.save(k)
}

// UnmarshalText takes over the text, so that JSON and the like can be decoded
// into a PrivateKeyPEM. It never fails; [PrivateKeyPEM.Parse] says whether
// the text is a key.
func (k *PrivateKeyPEM) UnmarshalText(text []byte) error {
	*k = newPrivateKeyPEM(string(text))
	return nil
}

var errRedacted = errors.New("kalshi: a private key is not encoded unasked: call Reveal and store its text with care")

// MarshalText always fails, so that JSON, XML and text encoders do.
func (k PrivateKeyPEM) MarshalText() ([]byte, error) { return nil, errRedacted }

// MarshalBinary always fails, so that gob does.
func (k PrivateKeyPEM) MarshalBinary() ([]byte, error) { return nil, errRedacted }

const redacted = "[REDACTED]"

// String returns [REDACTED].
func (k PrivateKeyPEM) String() string { return redacted }

// Format prints [REDACTED] for every verb.
func (k PrivateKeyPEM) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs [REDACTED].
func (k PrivateKeyPEM) LogValue() slog.Value { return slog.StringValue(redacted) }
