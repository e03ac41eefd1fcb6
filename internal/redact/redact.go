// Package redact makes text from outside safe for an error: without private keys, and short enough
// for one line.
package redact

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

const (
	// PrivateKeyMark is in the label of every private key's PEM.
	PrivateKeyMark = "PRIVATE KEY"
	// Withheld stands for what was cut out of a text.
	Withheld = "(withheld: it seems to hold a private key)"
)

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
	for _, cut := range []struct {
		where *regexp.Regexp
		isKey func(w string) bool
	}{
		{word, func(w string) bool { return isRandom(w, 20, 3) || len(w) >= 16 && HoldsKey(w) }},
		{beside, func(w string) bool { return isRandom(w, 4, 4) }}, // the last line of a key is short
	} {
		s = cut.where.ReplaceAllStringFunc(s, func(w string) string {
			if cut.isKey(w) {
				return "\x00"
			}
			return w
		})
	}
	if HoldsKey(s) { // in small pieces
		return Withheld
	}
	return Truncate(cuts.ReplaceAllString(s, Withheld), n)
}

// Truncate cuts s to n characters.
func Truncate(s string, n int) string {
	if runes := []rune(s); len(runes) > n {
		return string(runes[:n-1]) + "…"
	}
	return s
}

// LooksLikeKey reports whether a text that should be a name is a private key, or a part of one that
// is long enough to be told from words.
func LooksLikeKey(s string) bool {
	return strings.Contains(s, "-----BEGIN") || HoldsKey(s) ||
		slices.ContainsFunc(word.FindAllString(s, -1), func(w string) bool { return isRandom(w, 32, 3) })
}

var (
	pemText   = regexp.MustCompile(`-----BEGIN.*?(?:-----END[^-]*-{0,5}|$)|\S*\s*-----END[^-]*-{0,5}`) // a block, or a part of one
	beside    = regexp.MustCompile(`\x00 [A-Za-z0-9+/_-]+=*|[A-Za-z0-9+/_-]+=* \x00`)
	cuts      = regexp.MustCompile(`\x00(?:[ "'\\]*\x00)*`)
	word      = regexp.MustCompile(`[A-Za-z0-9+/_%\\-]+=*`)
	longHex   = regexp.MustCompile(`[0-9A-Fa-f]{65,}`) // a digest has 64 digits
	filler    = regexp.MustCompile(`%[0-9A-Fa-f]{2}|\\+(?:u00..|[nrt])|[0-9a-f]{8,}|[^A-Za-z0-9]+`)
	chunk     = regexp.MustCompile(`[A-Z]?[a-z]+|[A-Z]+|[0-9]+`)
	separator = regexp.MustCompile(`[/_-]|\\[A-Z]`)
)

// isRandom reports whether a word has at least a number of characters of a key in base64 or
// hexadecimal. Its pieces of one case or of digits are short, 2.2 characters on average; those of
// words and paths are longer.
func isRandom(w string, atLeast, piece int) bool {
	if len(w) < atLeast {
		return false
	}
	core := filler.ReplaceAllString(w, "")
	return longHex.MatchString(w) || len(core) >= atLeast &&
		len(core) < piece*len(chunk.FindAllString(core, -1)) &&
		strings.ToUpper(core) != core && strings.ToLower(core) != core &&
		len(w) > 6*len(separator.FindAllString(w, -1))
}

// HoldsKey reports whether a text holds a private key, or the beginning of one: PEM, DER, and both
// as base64, hexadecimal or percent-encoded, up to three deep.
func HoldsKey(s string) bool { return holdsKey(s, 3) }

func holdsKey(s string, layers int) bool {
	if slices.ContainsFunc(derMarks, func(mark string) bool { return strings.Contains(s, mark) }) {
		return true
	}
	s = strings.Map(dropNoise, percent.ReplaceAllStringFunc(Unescape(s), fromHex))
	if strings.Contains(s, "PRIVATE") && pemMark.MatchString(s) {
		return true
	}
	for _, encoding := range encodings {
		for run := range strings.FieldsFuncSeq(s, encoding.between) {
			for i := range min(4, len(run)-15) { // the text before it may have joined the run
				if layers > 0 && holdsKey(encoding.decode(run[i:]), layers-1) {
					return true
				}
			}
		}
	}
	return false
}

var encodings = []struct {
	between func(r rune) bool
	decode  func(string) string
}{{notHex, fromHex}, {notBase64, Base64}}

func notHex(r rune) bool {
	return (r < '0' || r > '9') && (r < 'a' || r > 'f') && (r < 'A' || r > 'F')
}

func notBase64(r rune) bool {
	return (r < '/' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '+' && r != '-' && r != '_'
}

func dropNoise(r rune) rune {
	if strings.ContainsRune(" \t\n\"'=:", r) {
		return -1
	}
	return r
}

// derMarks are the bytes before the secret of an Ed25519 key, of an RSA key in PKCS#8, and of one
// in PKCS#1.
var derMarks = []string{"\x06\x03+ep\x04\"\x04 ", "\x02\x01\x000\r\x06\t*\x86H\x86\xf7", "\x02\x01\x00\x02\x82"}

var (
	pemMark   = regexp.MustCompile(`-----(?:BEGIN|END)[A-Z0-9+]*PRIVATE|PRIVATE\+?KEY\+?-----`)
	percent   = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	escape    = regexp.MustCompile(`\\+(?:u00[0-9A-Fa-f]{2}|[nrt])?`)
	base64URL = strings.NewReplacer("-", "+", "_", "/", "=", "")
	// UTF-16 has a byte-order mark, and a zero beside each ASCII character.
	ascii = strings.NewReplacer("\xff\xfe", "", "\xfe\xff", "", "\ufeff", "", "\x00", "", "\r", "\n")
)

// Unescape undoes the escapes of shells and JSON, drops all other backslashes, and turns ASCII text
// in UTF-16 into UTF-8.
func Unescape(s string) string {
	return ascii.Replace(escape.ReplaceAllStringFunc(ascii.Replace(s), func(match string) string {
		char, _ := strconv.Unquote(`"\` + strings.TrimLeft(match, `\`) + `"`)
		return char
	}))
}

// Base64 decodes either alphabet, with padding or without, as far as it goes.
func Base64(s string) string {
	s = base64URL.Replace(s)
	if len(s)%4 == 1 { // cut off
		s = s[:len(s)-1]
	}
	decoded, _ := base64.RawStdEncoding.DecodeString(s)
	return string(decoded)
}

func fromHex(s string) string {
	decoded, _ := hex.DecodeString(strings.TrimPrefix(s, "%"))
	return string(decoded)
}
