// Package redact makes text from outside safe for an error: without private keys, and short enough
// for one line.
package redact

import (
	"encoding/base64"
	"fmt"
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

// marks are in every text that holds the beginning of a private key, as it is or in hexadecimal or
// base64, and PEM in base64 twice.
var marks = func() (all []string) {
	for _, mark := range []string{
		"\x06\x03+ep\x04\"\x04 ",              // of Ed25519 in DER, before the secret
		"\x02\x01\x000\r\x06\t*\x86H\x86\xf7", // of RSA in PKCS#8
		"\x02\x01\x00\x02\x82\x01",            // of RSA in PKCS#1
		"P\x00R\x00I\x00V\x00A\x00T\x00E",     // of PEM in UTF-16
		PrivateKeyMark + "-----",
	} {
		all = append(append(all, mark, fmt.Sprintf("%x", mark), fmt.Sprintf("%X", mark)), inBase64(mark)...)
	}
	for _, mark := range inBase64(PrivateKeyMark + "-----") {
		all = append(all, inBase64(mark)...)
	}
	return all
}()

// inBase64 returns what the base64 of every text with s in it has, by where in the text s is.
func inBase64(s string) (all []string) {
	for before := range 3 {
		encoded := base64.RawStdEncoding.EncodeToString([]byte("  "[:before] + s))
		all = append(all, encoded[(before*8+5)/6:(before+len(s))*8/6])
	}
	return all
}

// HoldsKey reports whether a text holds a private key or the beginning of one.
func HoldsKey(s string) bool {
	return pemLabel.MatchString(s) || slices.ContainsFunc(marks, func(mark string) bool { return strings.Contains(s, mark) })
}

// LooksLikeKey reports whether a text that should be a name is a private key, or a part of one that
// is long enough to be told from words.
func LooksLikeKey(s string) bool {
	return strings.Contains(s, "-----BEGIN") || HoldsKey(s) ||
		slices.ContainsFunc(word.FindAllString(s, -1), func(w string) bool { return len(w) >= 32 && isRandom(w, 24) })
}

// isRandom reports whether a word has at least n characters of base64, or more hexadecimal digits
// than a digest. In base64 upper case, lower case and digits take turns after 2.2 characters on
// average, and in names after more. The words of a path are looked at one by one.
func isRandom(w string, n int) bool {
	return longHex.MatchString(w) || slices.ContainsFunc(strings.Split(w, "/"), func(name string) bool {
		return len(name) >= n && len(name) < 3*len(piece.FindAllString(name, -1)) &&
			strings.ToUpper(name) != name && strings.ToLower(name) != name
	})
}

// Text makes text from outside safe for one line of a log: it replaces control characters and
// whatever looks like a private key or a part of one, and cuts the rest to n characters.
func Text(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s[:min(len(s), 8*160)])
	s = pemText.ReplaceAllString(strings.Join(strings.Fields(s), " "), "\x00")
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
