package kalshitest

// How a signature may be written in its header, other than in standard base64.

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"strings"
)

// A wrapping is something around or within a signature's text.
type wrapping struct {
	says   string
	remove func(text string) string
}

// wrappings are removed one after the other.
var wrappings = []wrapping{
	{"the signature is a Python bytes literal, b'...': decode it to a string", func(text string) string {
		if m := bytesLiteral.FindStringSubmatch(text); m != nil {
			return m[1] + m[2]
		}
		return text
	}},
	{"the signature is in quotes: leave them out", func(text string) string { return strings.Trim(text, `"'`) }},
	{"the signature has line breaks or blanks in it: encode it as one line", func(text string) string {
		return breaks.ReplaceAllString(text, "")
	}},
	{"the signature is percent-encoded: send it as it is", func(text string) string {
		if plain, err := url.PathUnescape(text); err == nil {
			return plain
		}
		return text
	}},
}

var (
	bytesLiteral = regexp.MustCompile(`^b(?:'(.*)'|"(.*)")$`)
	breaks       = regexp.MustCompile(`\s+|\\r|\\n|%0[AaDd]`)
)

// An alphabet is a way to write bytes as text.
type alphabet struct {
	says   string // empty for the right one
	decode func(text string) ([]byte, error)
}

// alphabets are tried in this order. Hexadecimal comes first, since much of it is
// also base64, of other bytes.
var alphabets = []alphabet{
	{"the signature is hexadecimal: write it in standard base64", decodeHex},
	{"", base64.StdEncoding.DecodeString},
	{"the signature's base64 lacks the = at its end: use standard base64", base64.RawStdEncoding.DecodeString},
	{"the signature is in base64url: use standard base64", base64.URLEncoding.DecodeString},
	{"the signature is in base64url: use standard base64", base64.RawURLEncoding.DecodeString},
}

// decodeHex decodes hexadecimal that is too long to be so by chance.
func decodeHex(text string) ([]byte, error) {
	if len(text) < 2*sha256.Size {
		return nil, hex.ErrLength
	}
	return hex.DecodeString(text)
}

// decodeSignature returns the bytes of a signature and what is wrong with its
// encoding. It returns no bytes if it cannot be decoded.
func decodeSignature(text string) (signature []byte, says []string) {
	for _, w := range wrappings {
		if plain := w.remove(text); plain != text {
			text, says = plain, append(says, w.says)
		}
	}
	for _, a := range alphabets {
		decoded, err := a.decode(text)
		if err != nil || len(decoded) == 0 {
			continue
		}
		if a.says != "" {
			says = append(says, a.says)
		}
		return decoded, says
	}
	return nil, nil
}
