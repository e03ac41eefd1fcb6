// Package redact makes text from outside safe for an error: one line, without private keys.
package redact

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
)

const (
	// PrivateKeyMark is in the label of every private key's PEM.
	PrivateKeyMark = "PRIVATE KEY"
	// Withheld stands for what was cut out of a text.
	Withheld = "(withheld: it seems to hold a private key)"
)

var (
	pemText  = regexp.MustCompile(`-----BEGIN.*?(?:-----END[^-]*-{0,5}|$)|\S*\s*-----END[^-]*-{0,5}`) // a block, or a part of one
	pemLabel = regexp.MustCompile(`(?s)PRIVATE.{0,8}KEY-----`)                                        // escaped or not
	word     = regexp.MustCompile(`[A-Za-z0-9+/_%-]+=*`)
	cuts     = regexp.MustCompile(`\x00(?:[ "'\\]*(?:\x00|[A-Za-z0-9+/]+=+))*`) // with the last, short line of a key
	longHex  = regexp.MustCompile(`[0-9A-Fa-f]{65,}`)                           // a digest has 64 digits
	piece    = regexp.MustCompile(`[0-9a-f]{4,}|[A-Z]?[a-z]+|[A-Z]+|[0-9]+`)    // of a name
)

// marks are the bytes before the secret of a key, as they are, in hexadecimal and in base64.
var marks = []string{
	"\x06\x03+ep\x04\"\x04 ", "06032b6570042204", "06032B6570042204", "BQYDK2VwBCIE", // of Ed25519 in DER
	"\x02\x01\x00\x02\x82\x01", "020100028201", "IBAAKCA", "IBADANBgkqhkiG9", // of RSA, the last in PKCS#8
	"50524956415445204b4559", "50524956415445204B4559", "UFJJVkFURSBLRVktLS0tL", "BSSVZBVEUgS0VZLS0tLS", "QUklWQVRFIEtFWS0tLS0t", // of PEM
	"P\x00R\x00I\x00V\x00A\x00T\x00E", "UABSAEkAVgBBAFQAR", "AAUgBJAFYAQQBUAE", "QAFIASQBWAEEAVABF", // of PEM in UTF-16
}

// HoldsKey reports whether a text holds a private key or the beginning of one.
func HoldsKey(s string) bool {
	return pemLabel.MatchString(s) || slices.ContainsFunc(marks, func(mark string) bool { return strings.Contains(s, mark) })
}

// LooksLikeKey reports whether a name is a private key, or a part of one that words do not look like.
func LooksLikeKey(s string) bool {
	return strings.Contains(s, "-----BEGIN") || HoldsKey(s) ||
		slices.ContainsFunc(word.FindAllString(s, -1), func(w string) bool { return len(w) >= 32 && isRandom(w, 24) })
}

// isRandom reports whether a word, or a name in a path, has n characters of base64, in which cases and
// digits alternate more often than in names, or is longer in hexadecimal than a digest.
func isRandom(w string, n int) bool {
	return longHex.MatchString(w) || slices.ContainsFunc(strings.Split(w, "/"), func(name string) bool {
		return len(name) >= n && len(name) < 3*len(piece.FindAllString(name, -1)) &&
			strings.ToUpper(name) != name && strings.ToLower(name) != name
	})
}

// Text makes text from outside safe for one line of a log: it replaces control characters and
// whatever looks like a private key or a part of one, and cuts the rest to n characters.
func Text(s string, n int) string {
	fields := strings.FieldsFunc(s[:min(len(s), 8*160)], func(r rune) bool { return !unicode.IsPrint(r) || r == ' ' })
	s = pemText.ReplaceAllString(strings.ToValidUTF8(strings.Join(fields, " "), "\ufffd"), "\x00")
	s = word.ReplaceAllStringFunc(s, func(w string) string {
		if len(w) >= 16 && isRandom(w, 12) || HoldsKey(w) {
			return "\x00"
		}
		return w
	})
	return Truncate(cuts.ReplaceAllString(s, Withheld), n)
}

// Truncate cuts s to n characters.
func Truncate(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}
