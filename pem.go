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
	"reflect"
	"strings"
)

const (
	minRSABits     = 2048
	maxDER         = 16 << 10 // RSA of 16384 bits takes 9 KiB
	maxKeyFileSize = 1 << 20  // 1 MiB; a key takes less than 4 KiB
)

// ParsePrivateKey parses an RSA (at least 2048 bits) or Ed25519 private key
// in PEM form, PKCS#1 or PKCS#8. It undoes what environment variables and
// editors do to a PEM: \n as two characters, CRLF, a byte-order mark, quotes,
// one line with or without blanks, indentation, text around it.
//
// The result is an [*rsa.PrivateKey] or an [ed25519.PrivateKey]. Those belong
// to the standard library and show their secrets when printed: keep them out
// of logs.
//
// Everything else is refused with a [*ValidationError] that names the cause
// and the cure and never quotes the input.
func ParsePrivateKey(pemData []byte) (crypto.Signer, error) {
	return parsePrivateKey("private key", pemData)
}

// MarshalPublicKey encodes an RSA (at least 2048 bits) or Ed25519 public key
// as PEM "PUBLIC KEY", the form that [CreateAPIKeyRequest] takes. Other keys
// are a [*ValidationError].
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
// PEM "PRIVATE KEY" (PKCS#8). A key that is not in memory, such as one in a
// KMS or an HSM, is a [*ValidationError].
func MarshalPrivateKey(key crypto.Signer) (PrivateKeyPEM, error) {
	if _, err := checkSigner("private key", key); err != nil {
		return PrivateKeyPEM{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return PrivateKeyPEM{}, invalid("private key", "of type %T is not in memory: it stays where it is, and only its public half can be had", key)
	}
	return newPrivateKeyPEM(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))), nil
}

// isKeyText tells whether what should be a file's name or a key ID is a
// private key itself, whole or in part: PEM, or its base64.
func isKeyText(name string) bool {
	head := strings.Map(base64Only, normalizePEM([]byte(name)))
	return strings.Contains(name, privateKeyMark) || strings.Contains(name, "-----") ||
		strings.HasPrefix(head, "MC4CAQAwBQYDK2Vw") || // Ed25519 in PKCS#8
		strings.HasPrefix(head, "MII") && len(head) > 128 && !strings.ContainsAny(head, ".:") // RSA, and no path
}

// parsePrivateKey is ParsePrivateKey; field says for errors what the text is.
func parsePrivateKey(field string, data []byte) (crypto.Signer, error) {
	der, reason := decodePrivatePEM(data)
	if reason != "" {
		return nil, invalid(field, "%s", reason)
	}
	if len(der) > maxDER { // the time that parsing takes is quadratic, and a service may send the key
		return nil, invalid(field, "is too long for a key: %s", cureGenerate)
	}
	// The label does not tell the type, nor always the truth: try both forms.
	var key any
	key, err := x509.ParsePKCS1PrivateKey(der)
	if err != nil {
		key, err = x509.ParsePKCS8PrivateKey(der)
	}
	if err != nil {
		return nil, invalid(field, "%s", whyNotPKCS8(der))
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, invalid(field, "is for key exchange, not for signing: %s", cureGenerate)
	}
	if _, err := keyTypeOf(field, signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

const (
	cureGenerate = "make one with `openssl genpkey -algorithm ed25519` or generate one at Kalshi"
	reasonEC     = "is an EC key, which Kalshi does not take: " + cureGenerate
	reasonCut    = "is cut off or damaged: copy the whole PEM again, from the BEGIN line to the END line"
)

// decodePrivatePEM finds the one private-key block in data and returns its
// DER, or else the reason why there is none.
func decodePrivatePEM(data []byte) (der []byte, reason string) {
	text := normalizePEM(data)
	var found, other string // the body of the private key; the label of a block that is none
	for rest := text; ; {
		_, after, ok := strings.Cut(rest, "-----BEGIN")
		if !ok {
			break
		}
		label, after, ok := strings.Cut(after, "-----")
		if !ok {
			return nil, reasonCut
		}
		label = strings.Join(strings.Fields(label), "") // blanks may be gone, or be line ends
		body, after, ok := strings.Cut(after, "-----END")
		switch {
		case !ok:
			return nil, reasonCut
		case label == "OPENSSHPRIVATEKEY":
			return nil, "is in OpenSSH's own format: " + cureGenerate + "; ssh-keygen keys cannot be used"
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
		return nil, whyNoBlock(text, other)
	}
	found = strings.TrimRight(strings.Map(base64Only, found), "=")
	der, err := base64.RawStdEncoding.DecodeString(found)
	if err != nil {
		return nil, reasonCut
	}
	return der, ""
}

// normalizePEM turns escaped line ends into real ones. Backslashes are no part
// of base64, so nothing is lost.
func normalizePEM(data []byte) string {
	return strings.NewReplacer(`\n`, "\n", `\r`, "\n", `\t`, " ").Replace(string(data))
}

// base64Only drops, for strings.Map, what may stand between the characters of
// a PEM body that a shell, a dotenv file or an editor has been at.
func base64Only(r rune) rune {
	if strings.ContainsRune(" \t\r\n\v\f\\\"'`\u00a0\ufeff", r) {
		return -1
	}
	return r
}

func whyNoBlock(text, label string) string {
	switch {
	case strings.TrimSpace(text) == "":
		return "is empty: give the PEM text, from the BEGIN line to the END line"
	case strings.HasSuffix(label, "PUBLICKEY"), strings.HasPrefix(text, "ssh-"):
		return "is a public key: give the private half"
	case strings.HasSuffix(label, "CERTIFICATE"):
		return "is a certificate: give the private key"
	case label == "" && strings.Contains(text, "-----END"):
		return reasonCut
	default:
		return "has no BEGIN PRIVATE KEY line: give the PEM text itself, not a file's name"
	}
}

var oidRSASSAPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

func whyNotPKCS8(der []byte) string {
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
		return "is bound to RSASSA-PSS, which Kalshi does not take: make a plain RSA key with `openssl genpkey -algorithm RSA` or, better, an Ed25519 key"
	}
	return "is neither a sound RSA nor an Ed25519 key: " + cureGenerate
}

// keyTypeOf tells the key type that a public key belongs to, and refuses what
// the service does not take.
func keyTypeOf(field string, pub crypto.PublicKey) (KeyType, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if pub == nil || pub.N == nil {
			return "", invalid(field, "is an RSA key without a modulus: parse or generate it again")
		}
		if bits := pub.N.BitLen(); bits < minRSABits {
			return "", invalid(field, "has %d bits, and RSA needs %d at least: %s", bits, minRSABits, cureGenerate)
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
		return "", invalid(field, "of type %T is neither *rsa.PublicKey nor ed25519.PublicKey: "+cureGenerate, pub)
	}
}

// checkSigner is keyTypeOf for a private key. It refuses first what would
// panic when asked for its public half.
func checkSigner(field string, key crypto.Signer) (KeyType, error) {
	if v := reflect.ValueOf(key); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return "", invalid(field, "is nil: parse one with ParsePrivateKey, or give that of a KMS or an HSM")
	}
	if pointer, ok := key.(*ed25519.PrivateKey); ok {
		key = *pointer
	}
	if key, ok := key.(ed25519.PrivateKey); ok && len(key) != ed25519.PrivateKeySize {
		return "", invalid(field, "is an Ed25519 key of %d bytes and not %d: parse or generate it again", len(key), ed25519.PrivateKeySize)
	}
	return keyTypeOf(field, key.Public())
}

func samePublicKey(a, b crypto.Signer) bool {
	public, ok := a.Public().(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(b.Public())
}

// checkPublicKeyPEM refuses what is not one PEM block with a public key that
// the service takes; above all a private key, which must never be sent.
func checkPublicKeyPEM(text string) error {
	const field, cure = "PublicKey", "make it with MarshalPublicKey"
	switch {
	case text == "":
		return invalid(field, "is empty: %s", cure)
	case strings.Contains(text, "PRIVATE KEY"):
		return invalid(field, "is a private key, which must never be sent: %s from its public half", cure)
	}
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil || block.Type != "PUBLIC KEY" || len(block.Headers) > 0:
		return invalid(field, "is not a PEM block \"PUBLIC KEY\": %s", cure)
	case !strings.HasPrefix(strings.TrimSpace(text), "-----BEGIN PUBLIC KEY-----"),
		strings.Count(text, "-----BEGIN") > 1, len(bytes.TrimSpace(rest)) > 0:
		return invalid(field, "has text around its PEM block: %s", cure)
	}
	pub, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return invalid(field, "holds no RSA or Ed25519 key: %s", cure)
	}
	_, err = keyTypeOf(field, pub)
	return err
}
