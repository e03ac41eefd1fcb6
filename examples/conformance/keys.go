package main

import (
	"cmp"
	"context"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/seed251d1451/kalshi-go/test/schema"
)

// The four calls.

const generated = "201 api_key_id key_type private_key"

var keys = []check{
	{"GET /api_keys", documented, "200 api_keys", sends(request{path: "/api_keys"})},
	{"GET /api_keys: are its fields and types as documented?", documented, "yes", fits("GetApiKeysResponse", "")},
	{"POST /api_keys/generate of an Ed25519 key", documented, generated, makes("ed25519")},
	{"POST /api_keys/generate of an RSA key", documented, generated, makes("rsa")},
	{"POST /api_keys/generate: are its fields and types as documented?", documented, "yes", fits("GenerateApiKeyResponse", "ed25519")},
	{"POST /api_keys of an Ed25519 key", documented, "201 api_key_id", makes("registered ed25519")},
	{"POST /api_keys of an RSA key", documented, "201 api_key_id", makes("registered rsa")},
	{"POST /api_keys: are its fields and types as documented?", documented, "yes", fits("CreateApiKeyResponse", "registered ed25519")},
	{"DELETE /api_keys/{id}", documented, "204", deletes("default", "")},
	{"DELETE /api_keys/{id} of a deleted key", observed, nothingThere, deletes("default", "")},
	{"the form of a generated Ed25519 key", documented, "PRIVATE KEY, ed25519", privateKey("ed25519")},
	{"the form of a generated RSA key", documented, "RSA PRIVATE KEY, rsa, 2048 bits", privateKey("rsa")},
	{"the form of a key that is generated without a key_type", documented, "RSA PRIVATE KEY, rsa, 2048 bits", privateKey("default")},
	{"the form of an ID", observed, "UUID", newKeyHas("ed25519", func(key *newKey) string {
		if uuid.MatchString(key.id) {
			return "UUID"
		}
		return "another"
	})},
	{"the warning with a key that is bound to no subtrader", documented, "none", newKeyHas("ed25519", func(key *newKey) string {
		return cmp.Or(key.reply.value("warning"), "none")
	})},
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// makes describes the response that makes a key of a kind.
func makes(kind string) run {
	return func(ctx context.Context, s *session) (string, error) {
		key := s.make(ctx, kind)
		if _, untried := errors.AsType[untriedError](key.err); untried || key.reply.status == 0 {
			return "", key.err
		}
		return key.reply.String(), nil
	}
}

func tooLowLevel(got reply) error {
	return untriedError("documented for the usage levels Premier and Market Maker: " + got.String())
}

// fits compares a response with the schema: of the request that makes a key of the
// kind, or of the list.
func fits(object, kind string) run {
	return func(ctx context.Context, s *session) (string, error) {
		got, err := s.replyOf(ctx, kind)
		if problems := schema.Problems(object, got.body); err == nil && problems != nil {
			return strings.Join(problems, ", "), nil
		}
		return "yes", err
	}
}

func (s *session) replyOf(ctx context.Context, kind string) (reply, error) {
	if kind == "" {
		return s.send(ctx, request{path: "/api_keys"})
	}
	key, err := s.key(ctx, kind)
	if err != nil {
		return reply{}, err
	}
	return key.reply, nil
}

// newKeyHas describes a key of a kind.
func newKeyHas(kind string, describe func(*newKey) string) run {
	return func(ctx context.Context, s *session) (string, error) {
		key, err := s.key(ctx, kind)
		if err != nil {
			return "", err
		}
		return describe(key), nil
	}
}

// privateKey describes the PEM text of a generated key.
func privateKey(kind string) run {
	return newKeyHas(kind, func(key *newKey) string {
		block, _ := pem.Decode([]byte(key.reply.value("private_key")))
		private, isRSA := key.private.(*rsa.PrivateKey)
		switch {
		case block == nil:
			return "no PEM"
		case isRSA:
			return fmt.Sprintf("%s, rsa, %d bits", block.Type, private.N.BitLen())
		}
		return block.Type + ", " + string(key.signer.KeyType())
	})
}

// deletes describes the response when a key of a kind is deleted, by a key of
// another kind.
func deletes(kind, by string) run {
	return func(ctx context.Context, s *session) (string, error) {
		key, err := s.key(ctx, kind)
		if err != nil {
			return "", err
		}
		r := deletion(key.id)
		r.by = by
		got, err := s.send(ctx, r)
		return got.String(), err
	}
}
