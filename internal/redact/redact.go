// Package redact makes text from outside safe for an error.
package redact

import (
	"strings"
	"unicode"
)

const (
	PrivateKeyMark = "PRIVATE KEY"
	Ed25519Mark    = "BQYDK2VwBCIEI" // in base64, before the secret of every PKCS#8 version
	Withheld       = "the text is withheld, since it seems to hold a private key"
)

// Text makes text from outside safe for one line of a log, and cuts it to
// n characters.
func Text(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s[:min(len(s), 8*160)])
	s = strings.Join(strings.Fields(s), " ")
	if HoldsKey(s) {
		return Withheld
	}
	return Truncate(s, n)
}

// HoldsKey reports whether a text seems to hold a private key: the label of its
// PEM, or an Ed25519 key that has lost it.
func HoldsKey(s string) bool {
	return strings.Contains(s, PrivateKeyMark) || strings.Contains(s, Ed25519Mark)
}

// Truncate cuts s to n characters.
func Truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	runes := []rune(s)
	if len(runes) <= n {
		return s
	}
	return string(runes[:n-1]) + "…"
}
