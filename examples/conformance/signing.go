package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// What is signed, and how.

const (
	wrongSignature = "401 nested: code authentication_error, details INCORRECT_API_KEY_SIGNATURE"
	unknownKey     = "401 nested: code authentication_error, details NOT_FOUND"
	expired        = "401 nested: code header_timestamp_expired"
)

var signing = []check{
	{"the client's signature is accepted", documented, "yes", func(ctx context.Context, s *session) (string, error) {
		_, err := s.client.GetAPIKeys(ctx)
		return "yes", err
	}},
	{"a generated Ed25519 key signs the text itself", documented, "accepted", authenticates(request{path: "/api_keys", by: "ed25519"})},
	{"a generated RSA key signs by PSS, with SHA-256 and a salt of 32 bytes", documented, "accepted", authenticates(request{path: "/api_keys", by: "rsa"})},
	{"a registered Ed25519 key signs the same", documented, "accepted", authenticates(request{path: "/api_keys", by: "registered ed25519"})},
	{"a registered RSA key signs the same", documented, "accepted", authenticates(request{path: "/api_keys", by: "registered rsa"})},
	{"RSA-PSS with another length of the salt", decided, "refused", authenticates(request{path: "/api_keys", by: "rsa", sign: pss(20)})},
	{"RSA by PKCS #1 v1.5", decided, "refused", authenticates(request{path: "/api_keys", by: "rsa", sign: pkcs1})},
	{"a query that is not signed", documented, "accepted", authenticates(request{path: "/api_keys", query: "conformance=1"})},
	{"a query that is signed", documented, "refused", authenticates(request{
		path: "/api_keys", query: "conformance=1",
		text: func(timestamp, method, path string) string { return timestamp + method + path + "?conformance=1" },
	})},
	{"a path that is signed as it is sent, escaped", documented, "accepted", authenticates(request{method: http.MethodDelete, path: "/api_keys/no%20such%20key"})},
	{"a path that is signed unescaped", documented, "refused", authenticates(request{
		method: http.MethodDelete, path: "/api_keys/no%20such%20key",
		text: func(timestamp, method, path string) string {
			return timestamp + method + strings.ReplaceAll(path, "%20", " ")
		},
	})},
	{"a path that is signed without /trade-api/v2", documented, "refused", authenticates(request{
		path: "/api_keys",
		text: func(timestamp, method, path string) string {
			return timestamp + method + strings.TrimPrefix(path, "/trade-api/v2")
		},
	})},
	{"a method that is signed in lower case", documented, "refused", authenticates(request{
		path: "/api_keys",
		text: func(timestamp, method, path string) string { return timestamp + strings.ToLower(method) + path },
	})},
	{"a body that is signed", documented, "refused", authenticates(request{
		method: http.MethodPost, path: "/api_keys/generate", body: noName,
		text: func(timestamp, method, path string) string { return timestamp + method + path + noName },
	})},
	{"a timestamp in seconds", documented, expired, inSeconds},
	{"a signature that is sent twice", decided, "200 api_keys, then 200 api_keys", replayed},
}

// sends describes the response to a request.
func sends(r request) run {
	return func(ctx context.Context, s *session) (string, error) {
		got, err := s.try(ctx, r)
		return got.String(), err
	}
}

// authenticates tells whether the signature of a request is accepted, whatever else
// the response says.
func authenticates(r request) run {
	return func(ctx context.Context, s *session) (string, error) {
		got, err := s.try(ctx, r)
		text := got.String()
		switch {
		case err != nil:
			return "", err
		case got.status != http.StatusUnauthorized:
			return "accepted (" + text + ")", nil
		case text == expired || text == unknownKey: // not for its signature
			return text, nil
		}
		return "refused (" + text + ")", nil
	}
}

// try sends a request. A key that it makes it deletes at once. It returns an
// untriedError if the account's own key or usage level does not allow the request.
func (s *session) try(ctx context.Context, r request) (reply, error) {
	own := r.by == "" && r.method != "" && r.method != http.MethodGet
	if own && s.mayWrite() != nil {
		return reply{}, s.mayWrite()
	}
	got, err := s.send(ctx, r)
	if own && r.path == "/api_keys" && got.status == http.StatusForbidden {
		return reply{}, tooLowLevel(got)
	}
	if id := got.value("api_key_id"); err == nil && s.made[id] != "" {
		_, err = s.send(ctx, deletion(id))
	}
	return got, err
}

// pss signs by RSA-PSS with a salt of that many bytes.
func pss(salt int) func(crypto.Signer, string) (string, error) {
	return rsaSigner(&rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA256})
}

// pkcs1 signs by RSA as PKCS #1 v1.5 does.
var pkcs1 = rsaSigner(crypto.SHA256)

func rsaSigner(opts crypto.SignerOpts) func(crypto.Signer, string) (string, error) {
	return func(key crypto.Signer, text string) (string, error) {
		if _, ok := key.(*rsa.PrivateKey); !ok {
			return "", errors.New("the key is no RSA key")
		}
		digest := sha256.Sum256([]byte(text))
		signature, err := key.Sign(rand.Reader, digest[:], opts)
		return base64.StdEncoding.EncodeToString(signature), err
	}
}

// byAnother signs by a key that the service does not know.
func byAnother(_ crypto.Signer, text string) (string, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(ed25519.Sign(key, []byte(text))), nil
}

func inSeconds(ctx context.Context, s *session) (string, error) {
	seconds := fmt.Sprint(s.now().Unix())
	return sends(request{
		path: "/api_keys", header: http.Header{headerTimestamp: {seconds}},
		text: func(_, method, path string) string { return seconds + method + path },
	})(ctx, s)
}

// replayed sends the same request twice.
func replayed(ctx context.Context, s *session) (string, error) {
	var first reply
	second, err := patiently(ctx, func() (reply, error) {
		req, err := s.build(ctx, request{path: "/api_keys"})
		if err != nil {
			return reply{}, err
		}
		if first, err = s.do(ctx, req); err != nil || first.status == http.StatusTooManyRequests {
			return first, err
		}
		return s.do(ctx, req)
	})
	return fmt.Sprintf("%v, then %v", first, second), err
}
