package kalshi

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// PrivateKeyPEM is the PEM text of a private key. It prints as [REDACTED]. Encoding it as text,
// JSON, XML or gob is an error, because a silently redacted copy would lose a key that can never be
// fetched again: use [PrivateKeyPEM.Reveal]. The zero value holds no key.
type PrivateKeyPEM struct {
	// fmt prints a nested pointer as an address, even where it ignores methods (unexported fields,
	// %p). Assertion libraries follow pointers, but cannot look into a function.
	reveal *func() string
}

func newPrivateKeyPEM(text string) PrivateKeyPEM {
	return PrivateKeyPEM{new(func() string { return text })}
}

// Reveal returns the PEM text, or "" if there is none. Keep it out of logs and errors.
func (k PrivateKeyPEM) Reveal() string {
	if k.reveal == nil {
		return ""
	}
	return (*k.reveal)()
}

// UnmarshalText stores a copy of text, whatever it is, so that JSON decodes into a PrivateKeyPEM.
func (k *PrivateKeyPEM) UnmarshalText(text []byte) error {
	*k = newPrivateKeyPEM(string(text))
	return nil
}

var errRedacted = errors.New("kalshi: refusing to encode a private key: call Reveal and store the text safely")

// MarshalText always fails, and with it JSON, XML and text encoders.
func (k PrivateKeyPEM) MarshalText() ([]byte, error) { return nil, errRedacted }

// MarshalBinary always fails, and with it gob.
func (k PrivateKeyPEM) MarshalBinary() ([]byte, error) { return nil, errRedacted }

const redacted = "[REDACTED]"

func (k PrivateKeyPEM) String() string { return redacted }

// Format prints [REDACTED] for every verb.
func (k PrivateKeyPEM) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue logs [REDACTED].
func (k PrivateKeyPEM) LogValue() slog.Value { return slog.StringValue(redacted) }
