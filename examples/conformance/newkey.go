package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"strings"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// A newKey is a key that this run made.
type newKey struct {
	reply   reply // to the request that made it
	id      string
	signer  *kalshi.Signer
	private crypto.Signer
	works   string // how soon it did

	err      error // why it is not there or does not work
	reported bool  // by a row
}

// kinds are the keys that the checks sign with, by the fields of the requests that
// make them. They may read at most, but for the one whose scopes are left out.
var kinds = map[string]map[string]any{
	"ed25519":            {"key_type": "ed25519", "scopes": []string{"read"}},
	"rsa":                {"key_type": "rsa", "scopes": []string{"read"}},
	"default":            {"scopes": []string{"read"}},
	"registered ed25519": {"scopes": []string{"read"}},
	"registered rsa":     {"scopes": []string{"read"}},
	"full":               {"key_type": "ed25519"},
	"child":              {"key_type": "ed25519", "scopes": []string{"read::portfolio_balance"}},
	"sub-account":        {"key_type": "ed25519", "scopes": []string{"read"}, "subaccount": 0},
	"short-lived":        {"key_type": "ed25519", "scopes": []string{"read"}},
}

// key returns the key of a kind, which it makes at the first call. If that fails,
// the first call returns the error, and the others an untriedError.
func (s *session) key(ctx context.Context, kind string) (*newKey, error) {
	key := s.make(ctx, kind)
	switch {
	case key.err != nil && key.reported:
		return nil, untriedError("there is no key to try it with: " + key.err.Error())
	case key.err != nil:
		key.reported = true
		return nil, key.err
	}
	return key, nil
}

func (s *session) make(ctx context.Context, kind string) *newKey {
	if s.keys[kind] == nil {
		key := new(newKey)
		if key.err = s.mayWrite(); key.err == nil {
			key.err = s.makeNew(ctx, kind, key)
		}
		s.keys[kind] = key
	}
	return s.keys[kind]
}

func (s *session) makeNew(ctx context.Context, kind string, key *newKey) (err error) {
	fields := maps.Clone(kinds[kind])
	fields["name"] = s.name(kind)
	r := request{method: http.MethodPost, path: "/api_keys/generate", fields: fields}
	if keyType, ok := strings.CutPrefix(kind, "registered "); ok {
		r.path = "/api_keys"
		if key.private, fields["public_key"], err = s.newPair(keyType); err != nil {
			return err
		}
	}
	if key.reply, err = s.send(ctx, r); err != nil {
		return err
	}
	if r.path == "/api_keys" && key.reply.status == http.StatusForbidden {
		return tooLowLevel(key.reply)
	}
	if key.id = key.reply.value("api_key_id"); key.reply.status != http.StatusCreated || key.id == "" {
		return fmt.Errorf("no %s key was made: %v", kind, key.reply)
	}
	if key.private == nil {
		if key.private, err = kalshi.ParsePrivateKey([]byte(key.reply.value("private_key"))); err != nil {
			return err
		}
	}
	if key.signer, err = kalshi.NewSigner(key.id, key.private); err != nil {
		return err
	}
	return s.awaitKey(ctx, key)
}

// awaitKey waits until a new key works: nobody has said that it does at once. A
// key that may not list the keys works when it is told so.
func (s *session) awaitKey(ctx context.Context, key *newKey) (err error) {
	var got reply
	key.works, err = s.until(ctx, key.reply, func() (bool, error) {
		got, err = s.send(ctx, request{path: "/api_keys", key: key})
		return got.status != http.StatusUnauthorized, err
	})
	if err == nil && got.status == http.StatusUnauthorized {
		return fmt.Errorf("the new key does not work: %v", got)
	}
	return err
}

// newPair makes a key pair here, to register its public half.
func (s *session) newPair(keyType string) (private crypto.Signer, publicPEM string, err error) {
	if keyType == string(kalshi.KeyTypeRSA) {
		private, err = s.rsaKey(2048)
	} else {
		_, private, err = ed25519.GenerateKey(rand.Reader)
	}
	if err == nil {
		publicPEM, err = kalshi.MarshalPublicKey(private.Public())
	}
	return private, publicPEM, err
}
