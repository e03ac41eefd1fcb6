package kalshitest

// The account's keys and the methods that a test reads and changes them with.

import (
	"crypto"
	"fmt"
	"slices"
	"time"
)

// Key is an API key of the account, as [Server.AddKey] takes it and
// [Server.Keys] returns it.
type Key struct {
	// ID names the key in the Kalshi-Access-Key header. If it is empty, AddKey
	// makes a random UUID.
	ID string

	// Name is the key's label, which need not be unique. If it is empty, AddKey
	// sets it to "kalshitest".
	Name string

	// Type is "ed25519" or "rsa". If it is empty, AddKey takes it from PublicKey,
	// and without one makes an Ed25519 key.
	Type string

	// Scopes is what the key may do. AddKey reads nil as "read" and "write", and
	// an empty list that is not nil as a key that may do nothing. It takes any
	// scopes in any combination, including those that no request may ask for.
	Scopes []string

	// Subaccount is the sub-account that the key is restricted to, 0 to 63, or
	// nil if it is not restricted. 0 is the primary account. It excludes
	// FCMSubtraderID.
	Subaccount *int

	// FCMSubtraderID is the FCM subtrader that the key is bound to,
	// {user_id}_{suffix} with a suffix of 1 to 16 ASCII letters and digits, or
	// empty. Every REST endpoint rejects such a key.
	FCMSubtraderID string

	// PublicKey is the public half, PEM of type "PUBLIC KEY". If it is empty,
	// AddKey makes a key pair.
	PublicKey string

	// PrivateKey is the private half, PEM of type "PRIVATE KEY" (PKCS#8) for
	// Ed25519 and "RSA PRIVATE KEY" (PKCS#1) for RSA. The server does not keep
	// it: it is set only in the result of an AddKey that made the pair.
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

// A storedKey is a key as the server holds it: without its private half.
type storedKey struct {
	Key
	public crypto.PublicKey
}

// AddKey adds a key to the account without the checks of the endpoints and
// returns it. Zero fields get the defaults that [Key] describes, so AddKey(Key{})
// adds a key with full access. It makes a key pair unless there is a PublicKey;
// an RSA pair takes about a tenth of a second.
//
// AddKey sets up a test, so it does not return errors. It panics if the ID is
// taken, the type is unknown or not that of the public key, the public key is not
// of a form that the exchange accepts, there is a private key without a public
// one, or a restriction is out of range or excluded by the other.
func (s *Server) AddKey(k Key) Key {
	k = k.clone()
	if bad := badRestriction(k.Subaccount, k.FCMSubtraderID); bad != "" {
		panic("kalshitest: AddKey: " + bad + ": " + parameterRules[bad])
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
	added, err := s.storeKey(k)
	if err != nil {
		panic(fmt.Sprintf("kalshitest: AddKey: %v", err))
	}
	return added
}

// Keys returns a copy of the keys that exist now, in order of creation.
func (s *Server) Keys() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Key, len(s.keys))
	for i, k := range s.keys {
		all[i] = k.clone()
	}
	return all
}

// DeleteKey deletes a key, as the account's owner can on the exchange's website,
// and reports whether it was there.
func (s *Server) DeleteKey(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.indexOf(id)
	if i >= 0 {
		s.keys = slices.Delete(s.keys, i, i+1)
	}
	return i >= 0
}

// SetRegionExpiration sets when the account's location attestation ends: the
// field api_key_region_expiration_ts of a listing, in whole Unix seconds. With the
// zero time, which is the default, the account was never attested and the listing
// has no such field.
func (s *Server) SetRegionExpiration(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regionExpiration = t
}

// storeKey stores a key and returns it. It makes an ID and a key pair if there is
// none.
func (s *Server) storeKey(k Key) (Key, error) {
	if k.ID == "" {
		k.ID = newID()
	}
	var public crypto.PublicKey
	if k.PublicKey == "" {
		if k.Type == "" {
			k.Type = keyTypeEd25519
		}
		var err error
		if public, k.PublicKey, k.PrivateKey, err = newKeyPair(k.Type); err != nil {
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

// findKey returns the key with the ID.
func (s *Server) findKey(id string) (storedKey, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.indexOf(id)
	if i < 0 {
		return storedKey{}, false
	}
	return s.keys[i], true
}

// indexOf returns the index of a key in s.keys, or -1. The caller holds mu.
func (s *Server) indexOf(id string) int {
	return slices.IndexFunc(s.keys, func(k storedKey) bool { return k.ID == id })
}
