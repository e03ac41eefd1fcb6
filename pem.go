package kalshi

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

const (
	minRSABits = 2048    // what the service accepts
	maxRSABits = 8192    // a signature with a larger key takes seconds
	maxDER     = 6 << 10 // RSA with 8192 bits takes 4.7 KiB
)

// ParsePrivateKey parses an RSA (2048 to 8192 bits) or Ed25519 private key in PEM form, PKCS#1 or
// PKCS#8. It tolerates what environment variables, editors and secret stores do to PEM text: escapes,
// CRLF, a byte-order mark, UTF-16, quotes, a single line, indentation, text around the block, and
// base64 of it all, once or twice. Any other input is a [*ValidationError], which never quotes it. The
// result is an [*rsa.PrivateKey] or [ed25519.PrivateKey], which show their secrets when printed.
func ParsePrivateKey(pemData []byte) (crypto.Signer, error) {
	return parsePrivateKey("private key", pemData)
}

// MarshalPublicKey encodes an RSA (2048 to 8192 bits) or Ed25519 public key as PEM "PUBLIC KEY",
// the form that [CreateAPIKeyRequest] takes. For any other key it returns a [*ValidationError].
func MarshalPublicKey(pub crypto.PublicKey) (string, error) {
	if _, err := keyTypeOf("public key", pub); err != nil {
		return "", err
	}
	der, _ := x509.MarshalPKIXPublicKey(pub) // its type was checked
	return pemText("PUBLIC KEY", der), nil
}

func pemText(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// MarshalPrivateKey encodes an [*rsa.PrivateKey] or [ed25519.PrivateKey] as PEM "PRIVATE KEY"
// (PKCS#8). For any other, such as one in a KMS or an HSM, it returns a [*ValidationError].
func MarshalPrivateKey(key crypto.Signer) (PrivateKeyPEM, error) {
	if _, err := checkSigner("private key", key); err != nil {
		return PrivateKeyPEM{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return PrivateKeyPEM{}, invalid("private key", "of type %T cannot be encoded: only *rsa.PrivateKey and ed25519.PrivateKey are in memory", key)
	}
	return newPrivateKeyPEM(pemText("PRIVATE KEY", der)), nil
}

// Parse parses the text with [ParsePrivateKey].
func (k PrivateKeyPEM) Parse() (crypto.Signer, error) { return ParsePrivateKey([]byte(k.Reveal())) }

// isKeyText reports whether what should be a file name or a key ID is a private key or a part of one.
func isKeyText(name string) bool {
	isUUID := len(name) <= maxID && strings.Trim(name, "0123456789abcdef-") == "" // as IDs are, on every delete
	return !isUUID && redact.LooksLikeKey(name)
}

// parsePrivateKey is ParsePrivateKey with the name that errors give the text.
func parsePrivateKey(field string, data []byte) (crypto.Signer, error) {
	der, reason := privateDER(data)
	switch {
	case reason != "":
		return nil, invalid(field, "%s", reason)
	case len(der) > maxDER: // parsing takes quadratic time, and the service may have sent the key
		return nil, invalid(field, "is too long: RSA may have at most %d bits: %s", maxRSABits, hintGenerate)
	}
	key, _ := x509.ParsePKCS8PrivateKey(der)
	if rsaKey, err := x509.ParsePKCS1PrivateKey(der); err == nil { // labels are often wrong
		key = rsaKey
	}
	signer, ok := key.(crypto.Signer)
	if !ok { // not parsed, or for key exchange
		return nil, invalid(field, "is cut off, damaged, or for neither RSA nor Ed25519: copy %s, or %s", hintWhole, hintGenerate)
	}
	if _, err := keyTypeOf(field, signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

var (
	// A block's label and body, which may have headers. A BEGIN line before it may be mentioned only.
	pemBlock = regexp.MustCompile(`-----BEGIN([^-]*)-----((?:-?[^-])*)-----END`)
	// The base64 of a text, whose lines may be wrapped.
	base64Text = regexp.MustCompile(`[A-Za-z0-9+/]{40,}(?:\s+[A-Za-z0-9+/]+)*(?:=+|\b)`)
	escape     = regexp.MustCompile(`\\+(?:u00[0-9A-Fa-f]{2}|[nrt])?`)
	// What shells, dotenv files and editors put into a PEM body.
	noise = regexp.MustCompile("[\\s\\pZ\"'`]+")
	// UTF-16 has a byte-order mark, and a zero beside each ASCII character.
	ascii = strings.NewReplacer("\xff\xfe", "", "\xfe\xff", "", "\ufeff", "", "\x00", "", "\r", "\n")
)

// plainText undoes UTF-16, escapes, and base64 of a text or of the key in it, once or twice.
func plainText(data []byte) string {
	text := unescape(data)
	for range 2 {
		if pemBlock.MatchString(text) {
			break
		}
		text = base64Text.ReplaceAllStringFunc(text, func(run string) string {
			if decoded := unescape(decodeBase64(run)); utf8.ValidString(decoded) {
				return decoded
			}
			return run
		})
	}
	return text
}

func unescape(data []byte) string {
	return escape.ReplaceAllStringFunc(ascii.Replace(string(data)), func(match string) string {
		char, _ := strconv.Unquote(`"\` + strings.TrimLeft(match, `\`) + `"`)
		return char // none for a backslash alone
	})
}

// decodeBase64 decodes as far as it goes.
func decodeBase64(s string) []byte {
	decoded, _ := base64.RawStdEncoding.DecodeString(strings.TrimRight(withoutNoise(s), "="))
	return decoded
}

func withoutNoise(s string) string { return noise.ReplaceAllString(s, "") }

const (
	hintGenerate = "make one with `openssl genpkey -algorithm ed25519` or generate one at Kalshi"
	hintWhole    = "the whole PEM text, from the BEGIN line to the END line"
	reasonEC     = "is an EC key, which Kalshi does not accept: " + hintGenerate
	reasonPublic = "is a public key: use the private key"
)

// privateDER returns the DER bytes of the only private key in a text, or why it cannot.
func privateDER(data []byte) (der []byte, reason string) {
	text := plainText(data)
	for _, block := range pemBlock.FindAllStringSubmatch(text, -1) {
		label, body := withoutNoise(block[1]), withoutNoise(block[2])
		next, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(body, "="))
		why, isDER := otherForm(label+body), err == nil && bytes.HasPrefix(next, []byte{0x30}) // an ASN.1 sequence
		switch {
		case !strings.HasSuffix(label, "PRIVATEKEY") || why == "" && !isDER:
			continue // another block, or a text that mentions the lines
		case der != nil || reason != "":
			return nil, "holds more than one private key: keep only the one that belongs to the key ID"
		}
		der, reason = next, why
	}
	if der == nil && reason == "" {
		reason = missingReason(data, text)
	}
	return der, reason
}

// otherForm returns why a text without blanks and quotes is no private key, or "" for other forms.
func otherForm(text string) string {
	for _, form := range [...]struct{ mark, reason string }{
		{"OPENSSHPRIVATEKEY", "is in OpenSSH's own format: make an Ed25519 key with `openssl genpkey -algorithm ed25519` instead of ssh-keygen"},
		{"ECPRIVATEKEY", reasonEC},
		{"BgkqhkiG9w0BAQo", "is restricted to RSASSA-PSS, which Kalshi does not accept: make a plain RSA key with `openssl genpkey -algorithm RSA` or, better, an Ed25519 key"},
		{"ENCRYPTED", "is encrypted: decrypt it with `openssl pkey -in key.pem -out plain.pem`"},
		{"PRIVATEKEY-----", "is cut off or damaged: copy " + hintWhole},
		{"PUBLICKEY-----", reasonPublic},
		{"3NzaC1", reasonPublic}, // of OpenSSH
		{"CERTIFICATE-----", "is a certificate: use the private key"},
		{"PuTTY-User-Key-File", "is in PuTTY's own format: " + hintGenerate},
		{"kty:", "is a JWK: convert it to PEM, or " + hintGenerate},
		{redacted, "is what a PrivateKeyPEM prints: use the text that its Reveal returns"},
		{"${", "is a variable that was not expanded: check the quotes around it"},
		{"$(", "is a command that was not run: check the quotes around it"},
	} {
		if strings.Contains(text, form.mark) {
			return form.reason
		}
	}
	return ""
}

// missingReason returns why a plain text, given as data, has no block with a private key.
func missingReason(data []byte, text string) string {
	text, name := withoutNoise(text), string(bytes.TrimSpace(data))
	for _, der := range [][]byte{data, decodeBase64(text)} {
		var head struct{ Version int }
		_, err := asn1.Unmarshal(der, &head)
		reason := otherForm(text)
		switch {
		case err == nil && head.Version == 3:
			return "is PKCS#12: get the key out of it with `openssl pkcs12 -in key.p12 -nocerts -nodes -out key.pem`"
		case err == nil:
			return "is DER, without the BEGIN and END lines of PEM: convert it with `openssl pkey -inform DER -in key.der -out key.pem`"
		case reason != "":
			return reason
		}
	}
	switch {
	case text == "":
		return "is empty: use " + hintWhole
	case (strings.ContainsAny(name, `/\`) || filepath.Ext(name) != "") && !strings.Contains(name, "\n") && !isKeyText(name):
		return "is the name of a file: use the text in it"
	}
	return "has no BEGIN PRIVATE KEY line: use " + hintWhole
}

// keyTypeOf returns the type of a public key, and an error for one that the service does not accept.
func keyTypeOf(field string, pub crypto.PublicKey) (KeyType, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if pub == nil || pub.N == nil || pub.E < 3 || pub.E%2 == 0 {
			return "", invalid(field, "is no RSA key: it needs a modulus, and an exponent that is odd and at least 3")
		}
		if bits := pub.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return "", invalid(field, "has %d bits, and RSA needs at least %d and at most %d: %s", bits, minRSABits, maxRSABits, hintGenerate)
		}
		return KeyTypeRSA, nil
	case ed25519.PublicKey:
		return KeyTypeEd25519, nil
	case *ecdsa.PublicKey:
		return "", invalid(field, "%s", reasonEC)
	case crypto.Signer:
		return "", invalid(field, "is a private key: pass its Public()")
	}
	return "", invalid(field, "of type %T is neither *rsa.PublicKey nor ed25519.PublicKey: "+hintGenerate, pub)
}

// checkSigner is keyTypeOf for a private key, whose Public method may panic.
func checkSigner(field string, key crypto.Signer) (KeyType, error) {
	if v := reflect.ValueOf(key); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return "", invalid(field, "is nil: use ParsePrivateKey, or the key of a KMS or an HSM")
	}
	if key, ok := key.(ed25519.PrivateKey); ok && len(key) != ed25519.PrivateKeySize {
		return "", invalid(field, "is an Ed25519 key of %d bytes and not %d: parse or generate it again", len(key), ed25519.PrivateKeySize)
	}
	return keyTypeOf(field, key.Public())
}

// samePublicKey reports whether two private keys have the same public half.
func samePublicKey(a, b crypto.Signer) bool {
	public, ok := a.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(b.Public())
}

// checkPublicKeyPEM accepts a single PEM block with a public key, and above all no private key.
func checkPublicKeyPEM(text string) error {
	const field, hint = "PublicKey", "make it with MarshalPublicKey"
	withoutBlanks := func(s string) string { return strings.Join(strings.Fields(s), "") }
	block, _ := pem.Decode([]byte(text))
	switch {
	case strings.Contains(text, redact.PrivateKeyMark):
		return invalid(field, "is a private key, which must never be sent: %s from its public half", hint)
	case block == nil || withoutBlanks(text) != withoutBlanks(pemText("PUBLIC KEY", block.Bytes)):
		return invalid(field, "is not a PEM block \"PUBLIC KEY\" alone: %s", hint)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return invalid(field, "holds no RSA or Ed25519 key: %s", hint)
	}
	_, err = keyTypeOf(field, pub)
	return err
}
