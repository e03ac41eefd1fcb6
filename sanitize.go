package kalshi

// Text from outside, made safe for an error.

import (
	"errors"
	"strings"
	"unicode"
)

// The longest texts in errors, in characters.
const (
	maxError = 300 // a whole error
	maxText  = 160 // one text from outside
	maxWords = 130 // the service's words, so that a hint fits too
	maxPath  = 80
	maxID    = 40 // the ID or name of a key
)

const (
	privateKeyMark = "PRIVATE KEY"
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
	if strings.Contains(s, privateKeyMark) {
		return withheld
	}
	return truncate(s, n)
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

// redactHTTPError replaces an error of net/http that quotes what a server sent
// in the wrong place: that may be a private key.
func redactHTTPError(err error) error {
	if err == nil {
		return nil
	}
	for _, quoting := range []string{"malformed", "bad Content-Length", "unsupported transfer encoding"} {
		if strings.Contains(err.Error(), quoting) {
			return errors.New("the response is not valid HTTP")
		}
	}
	return err
}
