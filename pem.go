package kalshi

// Keys as PEM text: parsing and encoding.

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
	"reflect"
	"strings"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

const (
	minRSABits = 2048    // what the service accepts
	maxRSABits = 8192    // a signature with a larger key takes seconds
	maxDER     = 6 << 10 // RSA with 8192 bits takes 4.7 KiB
)

// ParsePrivateKey parses an RSA (2048 to 8192 bits) or Ed25519 private key
// in PEM form, PKCS#1 or PKCS#8. It tolerates what environment variables and
// editors do to PEM text: \n as two characters, CRLF line ends, a byte-order
// mark, quotes, a single line with or without blanks, indentation, and text
// around the block.
//
// The result is an [*rsa.PrivateKey] or an [ed25519.PrivateKey]. These types
// show their secrets when printed: keep them out of logs.
//
// Any other input is a [*ValidationError], which says what is wrong, how to
// fix it, and never quotes the input.
func ParsePrivateKey(pemData []byte) (crypto.Signer, error) {
	return parsePrivateKey("private key", pemData)
}

// MarshalPublicKey encodes an RSA (2048 to 8192 bits) or Ed25519 public key
// as PEM "PUBLIC KEY", the form that [CreateAPIKeyRequest] takes. For any
// other key it returns a [*ValidationError].
func MarshalPublicKey(pub crypto.PublicKey) (string, error) {
	if _, private := pub.(crypto.Signer); private {
		return "", invalid("public key", "is a private key: pass its Public()")
	}
	if _, err := keyTypeOf("public key", pub); err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "", invalid("public key", "cannot be encoded: %v", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// MarshalPrivateKey encodes an [*rsa.PrivateKey] or [ed25519.PrivateKey] as
// PEM "PRIVATE KEY" (PKCS#8). For a key that is not in memory, such as one in
// a KMS or an HSM, it returns a [*ValidationError].
func MarshalPrivateKey(key crypto.Signer) (PrivateKeyPEM, error) {
	if _, err := checkSigner("private key", key); err != nil {
		return PrivateKeyPEM{}, err
	}
	if pointer, ok := key.(*ed25519.PrivateKey); ok {
		key = *pointer
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return PrivateKeyPEM{}, invalid("private key", "of type %T cannot be encoded: only *rsa.PrivateKey and ed25519.PrivateKey hold their private half in memory", key)
	}
	return newPrivateKeyPEM(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))), nil
}

// isKeyText reports whether a string that should be a file name or a key ID
// is in fact a private key or part of one, as PEM or bare base64.
func isKeyText(name string) bool {
	if redact.HoldsKey(name) || strings.Contains(name, "-----") {
		return true
	}
	if len(name) <= maxID { // as IDs are; no key is as short
		return false
	}
	head := strings.Map(dropNoise, normalizePEM([]byte(name)))
	return strings.Contains(head, redact.Ed25519Mark) ||
		strings.HasPrefix(head, "MII") && len(head) > 128 && !strings.ContainsAny(head, ".:") // RSA, and no path
}

// parsePrivateKey is ParsePrivateKey with the name that errors give the text.
func parsePrivateKey(field string, data []byte) (crypto.Signer, error) {
	der, reason := decodePrivatePEM(data)
	if reason != "" {
		return nil, invalid(field, "%s", reason)
	}
	if len(der) > maxDER { // parsing takes quadratic time, and the service may have sent the key
		return nil, invalid(field, "is too long for a key, and RSA may have at most %d bits: %s", maxRSABits, hintGenerate)
	}
	// Labels are often wrong, and "PRIVATE KEY" does not give the type: try
	// both encodings.
	var key any
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		key, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		return nil, invalid(field, "%s", parseFailure(der))
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, invalid(field, "is for key exchange, not for signing: %s", hintGenerate)
	}
	if _, err := keyTypeOf(field, signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

const (
	hintGenerate = "make one with `openssl genpkey -algorithm ed25519` or generate one at Kalshi"
	reasonEC     = "is an EC key, which Kalshi does not accept: " + hintGenerate
	reasonCut    = "is cut off or damaged: copy the whole PEM again, from the BEGIN line to the END line"
)

// decodePrivatePEM returns the DER bytes of the only private-key block in
// data, or the reason why it cannot.
func decodePrivatePEM(data []byte) (der []byte, reason string) {
	text := normalizePEM(data)
	var found, other string // the body of the private key; the label of another block
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, "-----BEGIN")
		if !ok {
			break
		}
		label, after, ok := strings.Cut(after, "-----")
		if !ok {
			return nil, reasonCut
		}
		label = strings.Join(strings.Fields(label), "") // its blanks may be missing or line ends
		body, after, ok := strings.Cut(after, "-----END")
		switch {
		case !ok:
			return nil, reasonCut
		case label == "OPENSSHPRIVATEKEY":
			return nil, "is in OpenSSH's own format: make an Ed25519 key with `openssl genpkey -algorithm ed25519` instead of ssh-keygen"
		case label == "ECPRIVATEKEY":
			return nil, reasonEC
		case label == "ENCRYPTEDPRIVATEKEY", strings.Contains(body, "ENCRYPTED"):
			return nil, "is encrypted: decrypt it with `openssl pkey -in key.pem -out plain.pem`"
		case !strings.HasSuffix(label, "PRIVATEKEY"):
			other = label
		case found != "":
			return nil, "holds more than one private key: keep only the one that belongs to the key ID"
		default:
			found = body
		}
		rest = after
	}
	if found == "" {
		return nil, missingBlock(text, other)
	}
	found = strings.TrimRight(strings.Map(dropNoise, found), "=")
	der, err := base64.RawStdEncoding.DecodeString(found)
	if err != nil {
		return nil, reasonCut
	}
	return der, ""
}

// normalizePEM replaces escaped line ends by real ones. Base64 has no
// backslashes, so the body is not affected.
func normalizePEM(data []byte) string {
	return strings.NewReplacer(`\n`, "\n", `\r`, "\n", `\t`, " ").Replace(string(data))
}

// dropNoise is for strings.Map. It drops the characters that shells, dotenv
// files and editors insert into a PEM body.
func dropNoise(r rune) rune {
	if strings.ContainsRune(" \t\r\n\v\f\\\"'`\u00a0\ufeff", r) {
		return -1
	}
	return r
}

// missingBlock returns why text has no private-key block; label is that of
// another block in it.
func missingBlock(text, label string) string {
	switch {
	case strings.TrimSpace(text) == "":
		return "is empty: use the PEM text, from the BEGIN line to the END line"
	case strings.HasSuffix(label, "PUBLICKEY"), strings.HasPrefix(text, "ssh-"):
		return "is a public key: use the private key"
	case strings.HasSuffix(label, "CERTIFICATE"):
		return "is a certificate: use the private key"
	case label == "" && strings.Contains(text, "-----END"):
		return reasonCut
	default:
		return "has no BEGIN PRIVATE KEY line: use the PEM text, not the name of its file"
	}
}

var oidRSASSAPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

// parseFailure returns why crypto/x509 did not parse the key.
func parseFailure(der []byte) string {
	var head struct {
		Version   int
		Algorithm struct {
			OID        asn1.ObjectIdentifier
			Parameters asn1.RawValue `asn1:"optional"`
		}
		PrivateKey []byte
	}
	if _, err := asn1.Unmarshal(der, &head); err != nil {
		if _, err := x509.ParseECPrivateKey(der); err == nil {
			return reasonEC
		}
		return reasonCut
	}
	if head.Algorithm.OID.Equal(oidRSASSAPSS) {
		return "is restricted to RSASSA-PSS, which Kalshi does not accept: make a plain RSA key with `openssl genpkey -algorithm RSA` or, better, an Ed25519 key"
	}
	return "is neither a valid RSA nor a valid Ed25519 key: " + hintGenerate
}

// keyTypeOf returns the type of a public key, and an error for keys that the
// service does not accept.
func keyTypeOf(field string, pub crypto.PublicKey) (KeyType, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if pub == nil || pub.N == nil {
			return "", invalid(field, "is an RSA key without a modulus: parse or generate it again")
		}
		bits := pub.N.BitLen()
		if bits < minRSABits {
			return "", invalid(field, "has %d bits, and RSA needs at least %d: %s", bits, minRSABits, hintGenerate)
		}
		if bits > maxRSABits {
			return "", invalid(field, "has %d bits, and RSA may have at most %d: %s", bits, maxRSABits, hintGenerate)
		}
		return KeyTypeRSA, nil
	case ed25519.PublicKey:
		if len(pub) != ed25519.PublicKeySize {
			return "", invalid(field, "is an Ed25519 key of %d bytes and not %d: parse or generate it again", len(pub), ed25519.PublicKeySize)
		}
		return KeyTypeEd25519, nil
	case *ecdsa.PublicKey:
		return "", invalid(field, "%s", reasonEC)
	default:
		return "", invalid(field, "of type %T is neither *rsa.PublicKey nor ed25519.PublicKey: "+hintGenerate, pub)
	}
}

// checkSigner is keyTypeOf for a private key. It first rejects keys whose
// Public method would panic.
func checkSigner(field string, key crypto.Signer) (KeyType, error) {
	if v := reflect.ValueOf(key); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return "", invalid(field, "is nil: use ParsePrivateKey, or the key of a KMS or an HSM")
	}
	if pointer, ok := key.(*ed25519.PrivateKey); ok {
		key = *pointer
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

// checkPublicKeyPEM accepts only a single PEM block with a public key that the
// service accepts. Most importantly, it rejects private keys, which must never
// be sent.
func checkPublicKeyPEM(text string) error {
	const field, hint = "PublicKey", "make it with MarshalPublicKey"
	switch {
	case text == "":
		return invalid(field, "is empty: %s", hint)
	case strings.Contains(text, redact.PrivateKeyMark):
		return invalid(field, "is a private key, which must never be sent: %s from its public half", hint)
	}
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil || block.Type != "PUBLIC KEY" || len(block.Headers) > 0:
		return invalid(field, "is not a PEM block \"PUBLIC KEY\": %s", hint)
	case !strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN PUBLIC KEY-----"),
		strings.Count(text, "-----BEGIN") > 1, len(bytes.TrimSpace(rest)) > 0:
		return invalid(field, "has text around its PEM block: %s", hint)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return invalid(field, "holds no RSA or Ed25519 key: %s", hint)
	}
	_, err = keyTypeOf(field, pub)
	return err
}
