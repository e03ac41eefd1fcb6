package kalshitest

// Key pairs and IDs: how they are made, and how public keys are parsed.

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// The two types of key, as the exchange names them.
const (
	keyTypeRSA     = "rsa"
	keyTypeEd25519 = "ed25519"
)

// rsaBits is the size of the RSA keys that the exchange makes. Here it is also the
// smallest size that may be registered.
const rsaBits = 2048

// newID makes a random UUID (version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newKeyPair makes a key pair in the PEM forms that the exchange uses.
func newKeyPair(keyType string) (public crypto.PublicKey, publicPEM, privatePEM string, err error) {
	var private *pem.Block
	switch keyType {
	case keyTypeRSA:
		key := must(rsa.GenerateKey(rand.Reader, rsaBits))
		public, private = key.Public(), &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	case keyTypeEd25519:
		seed := make([]byte, ed25519.SeedSize)
		_, _ = rand.Read(seed) // never fails
		key := ed25519.NewKeyFromSeed(seed)
		public, private = key.Public(), &pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}
	default:
		return nil, "", "", fmt.Errorf("unknown key type %q", keyType)
	}
	der := must(x509.MarshalPKIXPublicKey(public))
	publicPEM = string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	return public, publicPEM, string(pem.EncodeToMemory(private)), nil
}

// parsePublicKey parses the one form in which a public key may be registered: the
// PEM of an RSA or Ed25519 SubjectPublicKeyInfo.
func parsePublicKey(text string) (public crypto.PublicKey, keyType string, err error) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || block.Type != "PUBLIC KEY" || strings.TrimSpace(string(rest)) != "" {
		return nil, "", errors.New("the public key is not one PEM block of type PUBLIC KEY")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, "", fmt.Errorf("the public key does not parse: %w", err)
	}
	switch public := parsed.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() < rsaBits {
			return nil, "", fmt.Errorf("the RSA key has %d bits, fewer than %d", public.N.BitLen(), rsaBits)
		}
		return public, keyTypeRSA, nil
	case ed25519.PublicKey:
		return public, keyTypeEd25519, nil
	}
	return nil, "", fmt.Errorf("a public key of type %T, neither RSA nor Ed25519", parsed)
}
