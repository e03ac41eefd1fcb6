package kalshi

// Text from outside, made safe for an error.

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"unicode"
)

// The longest texts in errors, in characters.
const (
	maxError = 300 // an error; one that wraps several may have twice that
	maxText  = 160 // one text from outside
	maxWords = 130 // the service's words, so that a hint fits too
	maxPath  = 80
	maxID    = 40 // the ID or name of a key
)

const (
	privateKeyMark = "PRIVATE KEY"
	ed25519Mark    = "BQYDK2VwBCIEI" // in base64, before the secret of every PKCS#8 version
	withheld       = "the text is withheld, since it seems to hold a private key"
)

// sanitize makes text from outside safe for one line of a log, and cuts it to
// n characters.
func sanitize(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s[:min(len(s), 8*maxText)])
	s = strings.Join(strings.Fields(s), " ")
	if holdsKey(s) {
		return withheld
	}
	return truncate(s, n)
}

// holdsKey reports whether a text seems to hold a private key: the label of its
// PEM, or an Ed25519 key that has lost it.
func holdsKey(s string) bool {
	return strings.Contains(s, privateKeyMark) || strings.Contains(s, ed25519Mark)
}

// truncate cuts s to n characters.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}

// redactHTTPError rewords an error of net/http that may quote what a server
// sent in the wrong place, such as the rest of a private key behind a
// Content-Length that was too short. Failures to connect are safe as they are,
// and so are plain words; quotations and long words are cut out.
func redactHTTPError(err error) error {
	switch err.(type) { //nolint:errorlint // one that is wrapped may have a quotation around it
	case nil, *net.OpError, *net.DNSError, *tls.CertificateVerificationError, *ValidationError:
		return err
	}
	text, _, quoted := strings.Cut(err.Error(), `"`)
	for _, raw := range []string{"malformed MIME header", "debug="} { // what follows is not always quoted
		if before, _, found := strings.Cut(text, raw); found {
			text, quoted = before+raw, true
		}
	}
	words := strings.Fields(text)
	for i, word := range words {
		if len(word) > maxID {
			words[i], quoted = "…", true
		}
	}
	if !quoted {
		return err
	}
	return newRedactedError(strings.Join(words, " ")+" (the rest is withheld: it may quote the response)", err)
}

// A redactedError replaces the text of an error. errors.Is and errors.As see the
// original; errors.Unwrap does not return it.
type redactedError struct {
	text string
	err  *error // behind a pointer, so that no verb of fmt reaches it
}

func newRedactedError(text string, err error) error { return &redactedError{text, &err} }

func (e *redactedError) Error() string        { return e.text }
func (e *redactedError) Is(target error) bool { return errors.Is(*e.err, target) }
func (e *redactedError) As(target any) bool   { return errors.As(*e.err, target) }
