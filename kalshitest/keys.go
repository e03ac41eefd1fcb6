package kalshitest

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The two types of key, in the exchange's words.
const (
	keyTypeRSA     = "rsa"
	keyTypeEd25519 = "ed25519"
)

// rsaBits is the size of the RSA keys that the exchange makes, and here also
// the smallest that may be registered.
const rsaBits = 2048

// Key is an API key of the account, as [Server.AddKey] takes it and
// [Server.Keys] tells it.
type Key struct {
	// ID names the key in the Kalshi-Access-Key header. AddKey makes a random
	// UUID where it is empty.
	ID string

	// Name is the key's label, which need not be unique. AddKey fills in
	// "kalshitest" where it is empty.
	Name string

	// Type is "ed25519" or "rsa". Where it is empty AddKey takes it from
	// PublicKey, or else makes an Ed25519 key.
	Type string

	// Scopes is what the key may do. Nil stands for "read" and "write" in
	// AddKey; an empty list that is not nil is a key that may do nothing.
	// AddKey takes any scopes in any combination, also ones that no request
	// could ask for.
	Scopes []string

	// Subaccount is the sub-account that the key is restricted to, 0 to 63, or
	// nil if it is not restricted. 0 is the primary account. It excludes
	// FCMSubtraderID.
	Subaccount *int

	// FCMSubtraderID is the FCM subtrader that the key is bound to,
	// {user_id}_{suffix} with a suffix of 1 to 16 ASCII letters and digits, or
	// empty. Such a key is refused on every REST endpoint.
	FCMSubtraderID string

	// PublicKey is the public half, PEM of type "PUBLIC KEY". AddKey makes a
	// pair where it is empty.
	PublicKey string

	// PrivateKey is the private half, PEM of type "PRIVATE KEY" (PKCS#8) for
	// Ed25519 and "RSA PRIVATE KEY" (PKCS#1) for RSA. The server does not keep
	// it: it is set only in what AddKey returns, where AddKey made the pair.
	PrivateKey string
}

// clone returns a copy that shares nothing with k.
func (k Key) clone() Key {
	k.Scopes = slices.Clone(k.Scopes)
	if k.Subaccount != nil {
		n := *k.Subaccount
		k.Subaccount = &n
	}
	return k
}

// storedKey is a key as the server holds it: without its private half.
type storedKey struct {
	Key
	public crypto.PublicKey
}

// AddKey puts a key into the account, past all the checks of the endpoints,
// and returns it complete: fields that are zero get the defaults that [Key]
// tells, so that AddKey(Key{}) is one more key of full access. It makes a pair
// unless a PublicKey is given; RSA costs about a tenth of a second.
//
// Since it sets up a test it does not return errors. It panics if the ID is
// taken, the type is unknown or contradicts the public key, the public key is
// not one of the exchange's, there is a private key but no public one, or the
// restrictions are out of range or exclude each other.
func (s *Server) AddKey(k Key) Key {
	k = k.clone()
	if bad := badRestriction(k.Subaccount, k.FCMSubtraderID); bad != "" {
		panic("kalshitest: AddKey: bad " + bad)
	}
	if k.PublicKey == "" && k.PrivateKey != "" {
		panic("kalshitest: AddKey: a private key without its public key")
	}
	if k.Name == "" {
		k.Name = "kalshitest"
	}
	if k.Scopes == nil {
		k.Scopes = []string{"read", "write"}
	}
	added, err := s.mint(k)
	if err != nil {
		panic(fmt.Sprintf("kalshitest: AddKey: %v", err))
	}
	return added
}

// Keys returns the keys that exist now, in order of creation. The result is
// the caller's own.
func (s *Server) Keys() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Key, len(s.keys))
	for i, k := range s.keys {
		all[i] = k.clone()
	}
	return all
}

// SetRegionExpiration sets when the account's location attestation ends, which
// a listing tells as api_key_region_expiration_ts in whole Unix seconds. The
// zero time, as at the start, stands for an account that was never attested:
// the listing has no such field.
func (s *Server) SetRegionExpiration(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regionExpiration = t
}

// mint completes a key, with an ID and a pair where it lacks them, and stores
// it.
func (s *Server) mint(k Key) (Key, error) {
	if k.ID == "" {
		k.ID = newID()
	}
	var public crypto.PublicKey
	if k.PublicKey == "" {
		if k.Type == "" {
			k.Type = keyTypeEd25519
		}
		var err error
		if public, k.PublicKey, k.PrivateKey, err = newPair(k.Type); err != nil {
			return Key{}, err
		}
	} else {
		parsed, keyType, err := parsePublicKey(k.PublicKey)
		if err != nil {
			return Key{}, err
		}
		if k.Type != "" && k.Type != keyType {
			return Key{}, fmt.Errorf("the public key is of type %s, not %q", keyType, k.Type)
		}
		public, k.Type, k.PrivateKey = parsed, keyType, ""
	}
	stored := storedKey{Key: k.clone(), public: public}
	stored.PrivateKey = ""

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.indexOf(k.ID) >= 0 {
		return Key{}, fmt.Errorf("the ID %q is taken", k.ID)
	}
	s.keys = append(s.keys, stored)
	return k, nil
}

// key looks a key up by its ID.
func (s *Server) key(id string) (storedKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.indexOf(id)
	if i < 0 {
		return storedKey{}, false
	}
	return s.keys[i], true
}

// remove deletes a key and reports whether it was there.
func (s *Server) remove(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.indexOf(id)
	if i >= 0 {
		s.keys = slices.Delete(s.keys, i, i+1)
	}
	return i >= 0
}

// indexOf finds a key in s.keys, -1 if it is not there. The caller holds mu.
func (s *Server) indexOf(id string) int {
	return slices.IndexFunc(s.keys, func(k storedKey) bool { return k.ID == id })
}

// newID makes a random UUID (version 4).
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// newPair makes a pair in the forms that the exchange hands out.
func newPair(keyType string) (public crypto.PublicKey, publicPEM, privatePEM string, err error) {
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

// parsePublicKey reads the one form in which a public key is registered: PEM
// of a SubjectPublicKeyInfo, RSA or Ed25519.
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
