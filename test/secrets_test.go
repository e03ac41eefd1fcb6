package test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/gob"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
)

// How many characters in a row give a secret away: of its text, and of its bytes as a list of
// numbers, of which a few might stand anywhere by chance.
const (
	textRun = 16
	listRun = 40
)

// A secret is a private key, with all texts of those lengths that would show a part of it.
type secret struct {
	name, text string
	key        crypto.Signer
	runs       map[string]struct{}
}

// secrets are a key of each type, as the service sends it.
var secrets = sync.OnceValue(func() []*secret {
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey())})
	key := newKey()
	return []*secret{newSecret("RSA", string(pkcs1), rsaKey()), newSecret("Ed25519", pemText(key), key)}
})

// newSecret knows a key's text, bytes and numbers in every form in which fmt writes such things.
func newSecret(name, text string, key crypto.Signer) *secret {
	s := &secret{name, text, key, map[string]struct{}{}}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	body := strings.Join(lines[1:len(lines)-1], "\n")
	values := []any{body, []byte(body)}
	switch key := key.(type) {
	case ed25519.PrivateKey:
		values = append(values, key.Seed())
	case *rsa.PrivateKey:
		for _, n := range append([]*big.Int{key.D}, key.Primes...) {
			values = append(values, n.Bytes(), n.Bits(), n)
		}
	}
	for _, value := range values {
		for _, format := range []string{"%s", "%x", "%X"} {
			s.add(fmt.Sprintf(format, value), textRun)
		}
		for _, format := range []string{"%v", "%d", "%o", "%b", "%U", "% x", "%# x", "%#v", "%q"} {
			s.add(fmt.Sprintf(format, value), listRun)
		}
	}
	return s
}

func (s *secret) add(text string, run int) {
	for i := 0; i+run <= len(text); i++ {
		part := text[i : i+run]
		if strings.Trim(part, " 0x,[") != "" {
			s.runs[part] = struct{}{}
		}
	}
}

// shownIn reports where a text shows a part of the key: what stands before it.
func (s *secret) shownIn(text string) (before string, shown bool) {
	for _, run := range []int{textRun, listRun} {
		for i := 0; i+run <= len(text); i++ {
			if _, shown := s.runs[text[i:i+run]]; shown {
				return text[max(0, i-20):i], true
			}
		}
	}
	return "", false
}

func (s *secret) assertHides(t testing.TB, text, how string) {
	t.Helper()
	if before, shown := s.shownIn(text); shown {
		t.Errorf("%s of %s shows the key, after %q", how, s.name, before)
	}
}

// The detector finds keys in every form that fmt prints: the tests below do not pass for lack of sight.
func TestSecrets_areFound(t *testing.T) {
	t.Parallel()
	for _, s := range secrets() {
		for i, text := range []string{
			s.text, s.text[len(s.text)/2:][:20], fmt.Sprintf("%x", s.text), fmt.Sprintf("%d", []byte(s.text)),
			fmt.Sprintf("%+v", s.key), fmt.Sprintf("%#v", s.key), fmt.Sprintf("%x", s.key), // what the standard library prints
		} {
			_, shown := s.shownIn(text)
			assert.True(t, shown, "%s, %d", s.name, i)
		}
		_, shown := s.shownIn("-----BEGIN " + "PRIVATE KEY----- kalshi.Signer{KeyID: [REDACTED]} 0xc000012345")
		assert.False(t, shown)
	}
}

// What users put keys into.
type (
	embeddedField    struct{ kalshi.PrivateKeyPEM }
	anyFields        struct{ Key, key any }
	unexportedFields struct {
		key    kalshi.PrivateKeyPEM
		creds  kalshi.Credentials
		signer *kalshi.Signer
		client *kalshi.Client
		resp   kalshi.GenerateAPIKeyResponse
	}
)

// A holder is a value that holds a key, and the names of the encoders that reach it there.
type holder struct {
	name, encoders string
	value          any
}

func holders(s *secret) []holder {
	const all, text, onlyJSON, none = "JSON XML gob", "JSON XML", "JSON", ""
	key, creds := pemOf(s.text), credentials("id", s.key)
	resp := kalshi.GenerateAPIKeyResponse{ID: "id", KeyType: kalshi.KeyTypeRSA, PrivateKey: key, Warning: "none"}
	signer := newSigner("id", s.text)
	remote := must1(kalshi.NewSigner("id", struct{ crypto.Signer }{s.key})) // a key manager's
	client := must1(kalshi.NewClient(signer))
	rotation := &kalshi.RotationError{Stage: kalshi.StageSave, OldKeyID: "old", NewKeyID: "id", PrivateKey: key, Err: io.EOF}
	rotate := kalshi.RotateAPIKeyRequest{Name: "bot", PrivateKey: s.key, Store: noSave}
	return []holder{
		{"PrivateKeyPEM", all, key},
		{"*PrivateKeyPEM", all, &key},
		{"PrivateKeyPEM without a key", all, kalshi.PrivateKeyPEM{}},
		{"Credentials", text, creds},
		{"*Credentials", text, &creds},
		{"NotSavedError by value", onlyJSON, kalshi.NotSavedError{Response: &resp, Err: io.EOF}},
		{"response", all, resp},
		{"*response", all, &resp},
		{"embedded", all, embeddedField{key}},
		{"any fields", onlyJSON, &anyFields{Key: resp, key: resp}},
		{"map value", onlyJSON, map[string]*kalshi.GenerateAPIKeyResponse{"key": &resp}},
		{"map key", onlyJSON, map[kalshi.PrivateKeyPEM]kalshi.Credentials{key: creds}},
		{"RotationError by value", onlyJSON, *rotation},
		{"unexported fields", none, unexportedFields{key, creds, signer, client, resp}},
		{"*RotationError", none, rotation},
		{"RotationError, wrapped", none, fmt.Errorf("bot: %w", rotation)},
		{"*OutcomeUnknownError", none, &kalshi.OutcomeUnknownError{Operation: "GenerateAPIKey", KeyName: "bot", Err: rotation}},
		{"*Signer", none, signer},
		{"Signer by value", none, reflect.ValueOf(signer).Elem().Interface()}, // past vet's rule against copies
		{"*Signer of a remote key", none, remote},
		{"*Client", none, client},
		{"Client by value", none, *client},
		{"*RotateAPIKeyRequest", none, &rotate},
		{"RotateAPIKeyRequest by value", none, rotate},
	}
}

// callersKey reports whether the key is the caller's own, which nothing can hide everywhere.
func (h holder) callersKey() bool { return strings.Contains(h.name, "RotateAPIKeyRequest") }

// Nothing that prints, logs, encodes or compares a value that holds a key shows it.
func TestSecrets(t *testing.T) {
	t.Parallel()
	for _, s := range secrets() {
		for _, h := range holders(s) {
			t.Run(s.name+"/"+h.name, func(t *testing.T) {
				t.Parallel()
				h.print(t, s)
				h.log(t, s)
				h.encode(t, s)
				h.compare(t, s)
			})
		}
	}
}

// print tries every letter as a verb, whether fmt knows it or not, with every flag.
func (h holder) print(t *testing.T, s *secret) {
	for _, letter := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		if h.callersKey() && strings.ContainsRune("pwT", letter) {
			continue // for these, fmt calls no methods and prints the bare fields
		}
		for _, flag := range []string{"", "+", "#", " ", "-", "0", "+#", "# ", "9", ".9", "9.2", "[1]"} {
			format := "%" + flag + string(letter)
			s.assertHides(t, fmt.Sprintf(format, h.value), format)
		}
	}
}

func (h holder) log(t *testing.T, s *secret) {
	var out bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		logger := slog.New(handler)
		logger.Info("value", "key", h.value)
		logger.Info("group", slog.Group("group", slog.Any("key", h.value), slog.Any("pointer", &h.value)))
		logger.Info("a value without its name", h.value)
	}
	require.Contains(t, out.String(), "group.key")
	s.assertHides(t, out.String(), "a log")
}

// encode has encoders fail, and say what to do: a redacted copy would lose the key for good.
func (h holder) encode(t *testing.T, s *secret) {
	var out bytes.Buffer
	for name, encode := range map[string]func(any) error{
		"JSON": json.NewEncoder(&out).Encode, "XML": xml.NewEncoder(&out).Encode, "gob": gob.NewEncoder(&out).Encode,
	} {
		err := encode(h.value)
		s.assertHides(t, fmt.Sprint(out.String(), err), name)
		if strings.Contains(h.encoders, name) {
			assert.Regexp(t, "call (Reveal|Text) and store", err, name)
		}
	}
}

// compare has an assertion library print the value, which follows pointers and ignores methods.
func (h holder) compare(t *testing.T, s *secret) {
	if h.callersKey() {
		return
	}
	var fake fakeT
	nothing := reflect.New(reflect.TypeOf(h.value)).Elem().Interface() // of the same type
	assert.Equal(&fake, h.value, nothing)
	assert.EqualExportedValues(&fake, struct{ Value any }{h.value}, struct{ Value any }{1})
	require.Contains(t, fake.String(), "Not equal")
	s.assertHides(t, fake.String(), "an assertion")
}

// A fakeT records failures instead of failing the test.
type fakeT struct{ strings.Builder }

func (f *fakeT) Errorf(format string, args ...any) { fmt.Fprintf(f, format, args...) }

// What the types say instead, in print and in a log.
func TestSecrets_text(t *testing.T) {
	t.Parallel()
	const signerText, rotate = `kalshi.Signer{KeyID: "id", KeyType: "ed25519"}`, "kalshi.RotateAPIKeyRequest"
	signer := newSigner("id", pemText(newKey()))
	client := must1(kalshi.NewClient(signer, kalshi.WithBaseURL("https://a.test")))
	key := pemOf("text")
	for _, tt := range []struct {
		value       any
		print, logs string
	}{
		{key, "[REDACTED]", "[REDACTED]"},
		{kalshi.GenerateAPIKeyResponse{ID: "a", KeyType: kalshi.KeyTypeRSA, PrivateKey: key}, "{a rsa [REDACTED] }", "[api_key_id=a key_type=rsa]"},
		{credentials("id", newKey()), `kalshi.Credentials{KeyID: "id", KeyType: "ed25519"}`, "[key_id=id key_type=ed25519]"},
		{signer, signerText, "[key_id=id key_type=ed25519]"},
		{client, `kalshi.Client{BaseURL: "https://a.test", Signer: ` + signerText + "}", "[base_url=https://a.test signer=" + signerText + "]"},
		{
			kalshi.RotateAPIKeyRequest{PrivateKey: newKey(), KeyType: kalshi.KeyTypeEd25519, Signer: signer},
			rotate + `{KeyType: "ed25519", Signer: ` + signerText + "}", rotate + `{KeyType: "ed25519", Signer: ` + signerText + "}",
		},
	} {
		assert.Equal(t, tt.print, fmt.Sprint(tt.value))
		assert.Equal(t, tt.logs, slog.AnyValue(tt.value).Resolve().String())
	}
	assert.Equal(t, "[REDACTED]", key.String(), "which a panic prints")
}

// The private half of a generated key, in responses that come out as errors. A proxy that frames
// one wrongly makes parts of the body headers, or the next response, and net/http quotes those.
func TestSecrets_errors(t *testing.T) {
	t.Parallel()
	const head, chunked = "HTTP/1.1 201 Created\r\n", "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n"
	framed := func(wire string) fault { return fault{Answer: hijack(wire + "\r\n\r\n"), Times: always} }
	for _, s := range secrets() {
		quoted := fmt.Sprintf("%q", s.text) // as JSON has it
		part := strings.Split(s.text, "\n")[1]
		body := `{"api_key_id":"x","private_key":"` + part + `"}`
		for name, fault := range map[string]fault{
			"the key where the ID belongs": {Status: 201, Body: `{"api_key_id":` + quoted + "}"},
			"the key as a field's name":    {Status: 201, Body: `{"api_key_id":"a",` + quoted + ":1}"},
			"cut off":                      {Status: 201, Body: `{"api_key_id":"a","private_key":` + quoted[:len(quoted)-2]},
			"an error that says it":        {Status: 500, Body: `{"error":{"code":"x","message":` + quoted + "}}"},
			"an error that is it":          {Status: 502, Body: s.text},
			"body for headers":             framed(head + body),
			"key for a header":             framed(head + part),
			"body for a response":          framed(body),
			"key for a response":           framed(part + part),
			"key for a status":             framed("HTTP/1.1 " + part),
			"body for a trailer":           framed(chunked + "0\r\n" + body),
			"key for a chunk":              framed(chunked + part),
			"key for a length":             framed(head + "Content-Length: " + part),
			"key for an encoding":          framed(head + "Transfer-Encoding: " + part),
		} {
			runInBubble(t, s.name+"/"+name, func(t *testing.T) {
				x := inMemory(t)
				x.Inject(fault)
				_, err := x.client().GenerateAPIKey(t.Context(), kalshi.GenerateAPIKeyRequest{Name: "bot"})
				assert.ErrorAs(t, err, new(*kalshi.OutcomeUnknownError))
				for ; err != nil; err = errors.Unwrap(err) {
					s.assertHides(t, err.Error(), "the error")
					if fault.Answer != nil { // whose text net/http quotes
						s.assertHides(t, fmt.Sprintf("%+v %#v %q %d", err, err, err, err), "the error")
					}
				}
			})
		}
	}
}
