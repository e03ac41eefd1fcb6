package main

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// What a request for a key may ask for, and what the list shows of it.

const (
	badParameter = "400 msg: Parameter validation failed for …"
	noName       = `{"name":""}` // makes no key, whoever signs
)

var parameters = []check{
	{"a new key in the list", decided, "listed", func(ctx context.Context, s *session) (string, error) {
		key, err := s.key(ctx, "ed25519")
		if err != nil {
			return "", err
		}
		entry, err := s.entry(ctx, key.id)
		if err == nil && entry == nil {
			return "not yet", nil
		}
		return "listed", err
	}},
	{"its name in the list", documented, "as given", lists("ed25519", func(s *session, entry map[string]any) string {
		if entry["name"] == s.name("ed25519") {
			return "as given"
		}
		return "another"
	})},
	{"its scopes in the list", documented, "read", lists("ed25519", scopes)},
	{"its sub-account in the list, when none was given", documented, "none", lists("ed25519", subaccount)},
	{"a key of sub-account 0 in the list", documented, "0", lists("sub-account", subaccount)},
	{"the scopes of a key that is made without", documented, "read write", lists("full", scopes)},
	{"the scopes of a key with a child alone", documented, "read::portfolio_balance", lists("child", scopes)},
	{"the name of another key", decided, generated, func(ctx context.Context, s *session) (string, error) {
		if _, err := s.key(ctx, "ed25519"); err != nil {
			return "", err
		}
		return generates("name", s.name("ed25519"))(ctx, s)
	}},
	{"a field that is not documented", decided, generated, generates("conformance", true)},
	{"no name", documented, "400 …", generates("name", nil)},
	{"an empty name", decided, "400 …", generates("name", "")},
	{"write without read", documented, "400 …", generates("scopes", []string{"write"})},
	{"an empty list of scopes", decided, "400 …", generates("scopes", []string{})},
	{"an unknown scope", decided, "400 …", generates("scopes", []string{"read", "conformance"})},
	{"an unknown key_type", documented, "400 …", generates("key_type", "dsa")},
	{"sub-account 64", documented, "400 …", generates("subaccount", 64)},
	{"sub-account -1", documented, "400 …", generates("subaccount", -1)},
	{"a sub-account with a subtrader", documented, "400 …", sends(request{
		method: http.MethodPost, path: "/api_keys/generate",
		fields: map[string]any{"key_type": "ed25519", "scopes": []string{"read"}, "subaccount": 0, "fcm_subtrader_id": "conformance_1"},
	})},
	{"a subtrader, by an account that is no FCM member", documented, "403 …", generates("fcm_subtrader_id", "conformance_1")},
	{"a list by subtrader, by such an account", decided, "403 …", sends(request{path: "/api_keys", query: "fcm_subtrader_id=conformance_1"})},
	{"a public key that is none", documented, "400 …", registers("conformance")},
	{"an RSA key of 1024 bits", decided, "400 …", registersSmall},
}

// generates describes the response to a request for an Ed25519 key that may read,
// with one field that differs.
func generates(name string, value any) run {
	fields := map[string]any{"key_type": "ed25519", "scopes": []string{"read"}}
	fields[name] = value
	return sends(request{method: http.MethodPost, path: "/api_keys/generate", fields: fields})
}

// registers describes the response to a request with that public key.
func registers(publicKey string) run {
	return sends(request{
		method: http.MethodPost, path: "/api_keys",
		fields: map[string]any{"public_key": publicKey, "scopes": []string{"read"}},
	})
}

func registersSmall(ctx context.Context, s *session) (string, error) {
	key, err := s.rsaKey(1024)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public()) // kalshi.MarshalPublicKey refuses it
	if err != nil {
		return "", err
	}
	return registers(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))(ctx, s)
}

// lists describes the entry in the list of a key of that kind.
func lists(kind string, describe func(*session, map[string]any) string) run {
	return func(ctx context.Context, s *session) (string, error) {
		key, err := s.key(ctx, kind)
		if err != nil {
			return "", err
		}
		for range 20 {
			entry, err := s.entry(ctx, key.id)
			if err != nil || entry != nil {
				return describe(s, entry), err
			}
			wait(ctx, pollInterval)
		}
		return "not listed", nil
	}
}

// entry returns a key in the list, or nil.
func (s *session) entry(ctx context.Context, id string) (map[string]any, error) {
	got, err := s.send(ctx, request{path: "/api_keys"})
	list, _ := got.object()["api_keys"].([]any)
	for _, item := range list {
		if entry, _ := item.(map[string]any); entry["api_key_id"] == id {
			return entry, err
		}
	}
	return nil, err
}

func scopes(_ *session, entry map[string]any) string {
	list, _ := entry["scopes"].([]any)
	names := make([]string, len(list))
	for i, scope := range list {
		names[i] = fmt.Sprint(scope)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func subaccount(_ *session, entry map[string]any) string {
	if entry["subaccount"] == nil {
		return "none"
	}
	return fmt.Sprint(entry["subaccount"])
}
