package kalshi

import (
	"errors"
	"strings"
	"unicode"
)

const (
	maxErrorText   = 300 // characters of a whole error
	maxText        = 160 // of one text from outside in it
	maxWords       = 130 // of the service's words in it, so that a hint fits too
	maxPathText    = 80
	privateKeyMark = "PRIVATE KEY"
	withheld       = "the text is withheld, since it seems to hold a private key"
)

// clean makes text from outside safe and short enough for one line of a log.
func clean(s string) string {
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
	return clip(s, maxText)
}

// idText is the ID or name of a key in an error.
func idText(id string) string { return clip(clean(id), 40) }

// clip cuts s to n characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}

// clipMiddle cuts s to n characters and keeps both its ends, as of a path.
func clipMiddle(s string, n int) string {
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n/3]) + "…" + string(runes[len(runes)-(n-n/3-1):])
}

// unquoted replaces an error of net/http that quotes what a server sent in the
// wrong place: that may be a private key.
func unquoted(err error) error {
	if err == nil {
		return nil
	}
	for _, quoting := range []string{"malformed", "bad Content-Length", "unsupported transfer encoding"} {
		if strings.Contains(err.Error(), quoting) {
			return errors.New("the answer is not sound HTTP")
		}
	}
	return err
}
