package kalshi

import (
	"cmp"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
)

// The names of a key's two parts, in a key file and in the environment.
const (
	envKeyID      = "KALSHI_API_KEY_ID"
	envPrivateKey = "KALSHI_PRIVATE_KEY"
)

// Credentials are an API key: its ID and its private half. A [KeySource] returns them, and a [Store]
// saves them. They print as key ID and type; encoding them is an error: use [Credentials.Text]. The
// zero value holds no key. They are safe for concurrent use if the key is.
type Credentials struct {
	get *func() *credential // as in PrivateKeyPEM
}

// A credential is a key with its ID. It never changes.
type credential struct {
	keyID   string
	keyType KeyType
	key     crypto.Signer
	opts    crypto.SignerOpts // for the key type
}

// NewCredentials returns a private key with its ID. It accepts what [NewSigner] accepts.
func NewCredentials(keyID string, key crypto.Signer) (Credentials, error) {
	cred, err := newCredential(keyID, key)
	if err != nil {
		return Credentials{}, err
	}
	return cred.public(), nil
}

// ParseCredentials reads the text of a [KeyFile] or a JSON object {"KALSHI_API_KEY_ID": …,
// "KALSHI_PRIVATE_KEY": …}, as tolerantly as [ParsePrivateKey]. No error quotes the input.
func ParseCredentials(text []byte) (Credentials, error) {
	keyID, key, err := parseKeyText("credentials text", text)
	return withKeyID("credentials text", keyID, key, err)
}

// withKeyID returns the credentials of a text that has to name the key's ID.
func withKeyID(field, keyID string, key crypto.Signer, err error) (Credentials, error) {
	switch {
	case err != nil:
		return Credentials{}, err
	case keyID == "":
		return Credentials{}, invalid(field, "does not name the key's ID: add the line %s=<id> above the PEM text", envKeyID)
	}
	return NewCredentials(keyID, key)
}

// keyIDText finds the ID in a key file or a JSON object, even if the text has lost its line ends.
var keyIDText = regexp.MustCompile(`(?m)(?:^|[{,-])[ \t"'{,]*(?:export[ \t]+)?` + envKeyID +
	`["']?[ \t]*[=:][ \t]*["']?(.*?)(?:["']|-----|[ \t](?:export[ \t]+)?` + envPrivateKey + `\b|$)`)

// parseKeyText reads a private key, and its ID if the text names one.
func parseKeyText(field string, text []byte) (keyID string, key crypto.Signer, err error) {
	if key, err = parsePrivateKey(field, text); err != nil {
		return "", nil, err
	}
	if found := keyIDText.FindStringSubmatch(plainText(text)); found != nil {
		keyID = strings.TrimSpace(found[1])
		err = checkKeyID(field+": "+envKeyID, keyID)
	}
	return keyID, key, err
}

// KeyID returns the key's ID, or "" for the zero value.
func (c Credentials) KeyID() string { return c.value().keyID }

// KeyType returns the key's type, or "" for the zero value.
func (c Credentials) KeyType() KeyType { return c.value().keyType }

// PrivateKey returns the private key, or nil for the zero value. A key in memory prints itself: keep
// it out of logs.
func (c Credentials) PrivateKey() crypto.Signer { return c.value().key }

// Fingerprint identifies the key pair without revealing it: "SHA256:" and the unpadded base64 of
// the SHA-256 of the public key as SubjectPublicKeyInfo, or "" for the zero value. It has the form
// of ssh-keygen -l, but not its value. This prints the same, with padding:
//
//	openssl pkey -in key.pem -pubout -outform DER | openssl dgst -sha256 -binary | base64
func (c Credentials) Fingerprint() string { return c.value().fingerprint() }

// Text returns the text of a [KeyFile] with the key, which [ParseCredentials] and [ParsePrivateKey]
// read. For a key that is not in memory, and for the zero value, it returns a [*ValidationError].
func (c Credentials) Text() (PrivateKeyPEM, error) {
	cred, err := c.credential()
	key, keyErr := MarshalPrivateKey(cred.key)
	if err = cmp.Or(err, keyErr); err != nil {
		return PrivateKeyPEM{}, err
	}
	return newPrivateKeyPEM(envKeyID + "=" + cred.keyID + "\n" + key.Reveal()), nil
}

func (c Credentials) String() string { return "kalshi.Credentials" + c.value().String() }

// LogValue logs the key ID and type.
func (c Credentials) LogValue() slog.Value { return c.value().LogValue() }

var errEncodedCredentials = errors.New("kalshi: refusing to encode credentials: call Text and store it safely")

// MarshalText always fails, and with it JSON and XML. (gob finds nothing to encode, which is an error.)
func (c Credentials) MarshalText() ([]byte, error) { return nil, errEncodedCredentials }

func newCredential(keyID string, key crypto.Signer) (*credential, error) {
	keyType, err := checkSigner("private key", key)
	if err = cmp.Or(checkKeyID("key ID", keyID), err); err != nil {
		return nil, err
	}
	cred := &credential{keyID, keyType, key, crypto.Hash(0)} // Ed25519 signs the text itself
	if keyType == KeyTypeRSA {
		cred.opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	return cred, nil
}

// credential returns what c holds, or an empty one and an error for the zero value.
func (c Credentials) credential() (*credential, error) {
	if c.get == nil {
		return new(credential), invalid("credentials", "are empty: make them with NewCredentials or ParseCredentials")
	}
	return (*c.get)(), nil
}

func (c Credentials) value() *credential {
	cred, _ := c.credential()
	return cred
}

func (c *credential) public() Credentials {
	return Credentials{new(func() *credential { return c })}
}

// same reports whether both are the same key: equal ID and public key.
func (c *credential) same(other *credential) bool {
	return c == other || c.keyID == other.keyID && samePublicKey(c.key, other.key)
}

func (c *credential) String() string {
	return fmt.Sprintf("{KeyID: %q, KeyType: %q}", c.keyID, c.keyType)
}

func (c *credential) LogValue() slog.Value {
	return slog.GroupValue(slog.String("key_id", c.keyID), slog.String("key_type", string(c.keyType)))
}

func (c *credential) fingerprint() string {
	if c.key == nil {
		return ""
	}
	der, _ := x509.MarshalPKIXPublicKey(c.key.Public()) // its type was checked
	sum := sha256.Sum256(der)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// checkKeyID rejects a private key, a placeholder, a list, and what cannot stand in a header.
func checkKeyID(field, keyID string) error {
	switch {
	case keyID == "":
		return invalid(field, "is empty: copy it from where the key was made")
	case isKeyText(keyID):
		return invalid(field, "is a private key: give the ID that belongs to it")
	case strings.ContainsFunc(keyID, func(r rune) bool { return r <= ' ' || r > '~' }):
		return invalid(field, "has blanks, control or non-ASCII characters: copy it again")
	case strings.ContainsAny(keyID, `<>,;"'\`):
		return invalid(field, `has one of the characters < > , ; " ' \: give the ID alone`)
	case len(keyID) > 128:
		return invalid(field, "has over 128 characters: copy it again")
	}
	return nil
}
