package kalshi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"text/template"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// How many characters in a row give a secret away: of its text, and of its
// bytes as a list of numbers, of which a few might stand anywhere by chance.
const (
	textRun = 16
	listRun = 40
)

// A secret is a private key, with all texts of those lengths that would show
// a part of it.
type secret struct {
	keyText
	runs map[string]struct{}
}

var flags = []string{"", "+", "#", " ", "-", "0", "+#", "# ", "9", ".9", "9.2", "[1]"}

// verbs are all letters, whether fmt knows them or not.
var verbs = func() (list []string) {
	for _, flag := range flags {
		for verb := 'A'; verb <= 'z'; verb++ {
			if verb <= 'Z' || verb >= 'a' {
				list = append(list, "%"+flag+string(verb))
			}
		}
	}
	return list
}()

// secrets are a key of each form, with its text, its bytes and its numbers in
// every form in which fmt writes such things.
func secrets(t testing.TB) []secret {
	t.Helper()
	var list []secret
	for _, kt := range goodKeyTexts(t) {
		s := secret{kt, map[string]struct{}{}}
		lines := strings.Split(strings.TrimSpace(kt.text), "\n")
		body := strings.Join(lines[1:len(lines)-1], "")
		values := []any{kt.text, body, []byte(kt.text)}
		switch key := kt.key.(type) {
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
		s.add(strings.ReplaceAll(fmt.Sprintf("%d", []byte(kt.text)), " ", ","), listRun)
		for part := range s.runs { // the first and last line are no secret
			if strings.Contains(lines[0], part) || strings.Contains(lines[len(lines)-1], part) {
				delete(s.runs, part)
			}
		}
		list = append(list, s)
	}
	return list
}

func (s *secret) add(text string, run int) {
	for i := 0; i+run <= len(text); i++ {
		part := text[i : i+run]
		if strings.Trim(part, " 0x,[") != "" && !strings.Contains(part, "%!") && !strings.Contains(part, "--") {
			s.runs[part] = struct{}{}
		}
	}
}

// assertHides fails if the text shows a part of the key.
func (s *secret) assertHides(t testing.TB, text, how string) {
	t.Helper()
	for _, run := range []int{textRun, listRun} {
		for i := 0; i+run <= len(text); i++ {
			if _, shown := s.runs[text[i:i+run]]; shown {
				t.Errorf("%s of %s shows the key, after %q", how, s.name, text[max(0, i-20):i])
				return
			}
		}
	}
}

// Without this the tests below could pass with a blind eye.
func TestSecrets_AreFound(t *testing.T) {
	t.Parallel()
	for _, s := range secrets(t) {
		half := len(s.text) / 2
		shown := []string{
			s.text, s.text[half : half+20], fmt.Sprintf("%x", s.text), fmt.Sprintf("%d", []byte(s.text)),
			fmt.Sprintf("%+v", s.key), fmt.Sprintf("%#v", s.key), fmt.Sprintf("%x", s.key), // what the standard library prints
		}
		for i, text := range shown {
			var fake fakeT
			s.assertHides(&fake, text, "")
			assert.NotEmpty(t, fake.text.String(), "%s, %d", s.name, i)
		}
		var fake fakeT
		s.assertHides(&fake, "-----BEGIN "+"PRIVATE KEY----- kalshi.Signer{KeyID: [REDACTED]} 0xc000012345", "")
		assert.Empty(t, fake.text.String())
	}
}

// A fakeT is a test that fails on paper.
type fakeT struct {
	testing.TB
	text strings.Builder
}

func (f *fakeT) Helper()                           {}
func (f *fakeT) Name() string                      { return "fake" }
func (f *fakeT) Errorf(format string, args ...any) { fmt.Fprintf(&f.text, format, args...) }

// What users put keys into.
type (
	exportedField   struct{ Key PrivateKeyPEM }
	unexportedField struct{ key PrivateKeyPEM }
	embeddedField   struct{ PrivateKeyPEM }
	pointerFields   struct {
		Key *PrivateKeyPEM
		key *GenerateAPIKeyResponse
	}
	anyFields struct {
		Key any
		key any
	}
	deepFields struct{ inner []map[string]unexportedField }
	saver      struct {
		signer *Signer
		client *Client
		resp   GenerateAPIKeyResponse
	}
)

// secretHolders are the values that hold a key, each in its own way. Those in
// keyed hold it as text that an encoder would reach.
func secretHolders(t testing.TB, s secret) (keyed, others map[string]any) {
	t.Helper()
	key := newPrivateKeyPEM(s.text)
	pointer := &key
	resp := GenerateAPIKeyResponse{ID: testKeyID, KeyType: KeyTypeRSA, PrivateKey: key, Warning: "none"}
	signer := newTestSigner(t, s.key)
	remote := newTestSigner(t, &remoteKey{key: s.key})
	client, err := NewClient(signer)
	require.NoError(t, err)
	rotation := &RotationError{Stage: StageSave, OldKeyID: "old", NewKeyID: testKeyID, Key: &resp, Err: errors.New("disk full")}
	outcome := &OutcomeUnknownError{Operation: "GenerateAPIKey", KeyName: "bot", Err: rotation}
	rotate := RotateAPIKeyRequest{Name: "bot", PrivateKey: s.key, Save: noStore}

	keyed = map[string]any{
		"PrivateKeyPEM":              key,
		"*PrivateKeyPEM":             pointer,
		"**PrivateKeyPEM":            &pointer,
		"response":                   resp,
		"*response":                  &resp,
		"exported field":             exportedField{key},
		"pointer to exported field":  &exportedField{key},
		"embedded":                   embeddedField{key},
		"pointer fields":             pointerFields{Key: pointer, key: &resp},
		"any fields":                 &anyFields{Key: resp, key: resp},
		"slice":                      []PrivateKeyPEM{key},
		"slice of responses":         []GenerateAPIKeyResponse{resp},
		"slice of pointers":          []*GenerateAPIKeyResponse{&resp},
		"slice of any":               []any{"first", key, &resp},
		"array":                      [1]PrivateKeyPEM{key},
		"map value":                  map[string]PrivateKeyPEM{"key": key},
		"map of responses":           map[string]*GenerateAPIKeyResponse{"key": &resp},
		"map key":                    map[PrivateKeyPEM]string{key: "key"},
		"RotationError by value":     *rotation,
		"OutcomeUnknownError around": *outcome,
	}
	others = map[string]any{
		"unexported field":             unexportedField{key},
		"pointer to unexported field":  &unexportedField{key},
		"unexported any field":         anyFields{key: key},
		"unexported fields of kinds":   saver{signer, client, resp},
		"deep and unexported":          deepFields{[]map[string]unexportedField{{"a": {key}}}},
		"*RotationError":               rotation,
		"RotationError, wrapped":       fmt.Errorf("bot: %w", rotation),
		"RotationError, joined":        errors.Join(rotation, io.EOF),
		"*OutcomeUnknownError":         outcome,
		"*Signer":                      signer,
		"Signer by value":              reflect.ValueOf(signer).Elem().Interface(), // past vet's rule against copies
		"*Signer of a remote key":      remote,
		"slice of *Signer":             []*Signer{signer},
		"*Client":                      client,
		"Client by value":              *client,
		"*RotateAPIKeyRequest":         &rotate,
		"RotateAPIKeyRequest by value": rotate,
	}
	return keyed, others
}

func noStore(context.Context, *GenerateAPIKeyResponse) error { return nil }

// forSecrets runs a test for every value that holds a key.
func forSecrets(t *testing.T, test func(t *testing.T, s *secret, value any, keyed bool)) {
	for _, s := range secrets(t) {
		keyed, others := secretHolders(t, s)
		for i, values := range []map[string]any{keyed, others} {
			for name, value := range values {
				t.Run(s.name+"/"+name, func(t *testing.T) {
					t.Parallel()
					test(t, &s, value, i == 0)
				})
			}
		}
	}
}

// unguarded are the verbs for which fmt calls no method of a value that it is
// given itself: of a struct it prints the bare fields. The library's own types
// hold their keys out of its reach even then. A RotateAPIKeyRequest cannot,
// since its PrivateKey belongs to the caller; these verbs make no sense there.
func unguarded(value any, format string) bool {
	switch value.(type) {
	case RotateAPIKeyRequest, *RotateAPIKeyRequest:
		return strings.ContainsAny(format, "pwT")
	}
	return false
}

func TestSecrets_Format(t *testing.T) {
	t.Parallel()
	forSecrets(t, func(t *testing.T, s *secret, value any, _ bool) {
		for _, format := range verbs {
			if unguarded(value, format) {
				continue
			}
			s.assertHides(t, fmt.Sprintf(format, value), "Sprintf "+format)
			s.assertHides(t, fmt.Errorf("bot: "+format, value).Error(), "Errorf "+format)
		}
		s.assertHides(t, fmt.Sprint(value)+fmt.Sprintln("a", value), "Sprint")
		s.assertHides(t, fmt.Sprintf("%s", []any{value, &value}), "Sprintf in a list")
		for _, wrong := range []string{"no verb", "%*d", "%[5]d", "%", "%!"} {
			s.assertHides(t, fmt.Sprintf(wrong, value), "Sprintf "+wrong)
		}
	})
}

// What the types say instead.
func TestSecrets_Text(t *testing.T) {
	t.Parallel()
	signer := newTestSigner(t, newEd25519Key(t))
	client, err := NewClient(signer, WithBaseURL(testBaseURL))
	require.NoError(t, err)
	key := newPrivateKeyPEM(goodKeyTexts(t)[2].text)
	const signerText = `kalshi.Signer{KeyID: "` + testKeyID + `", KeyType: "ed25519"}`
	tests := []struct {
		value any
		want  string
	}{
		{key, "[REDACTED]"},
		{&key, "[REDACTED]"},
		{PrivateKeyPEM{}, "[REDACTED]"},
		{GenerateAPIKeyResponse{ID: "a", KeyType: KeyTypeRSA, PrivateKey: key}, "{a rsa [REDACTED] }"},
		{signer, signerText},
		{client, `kalshi.Client{BaseURL: "` + testBaseURL + `", Signer: ` + signerText + "}"},
		{RotateAPIKeyRequest{PrivateKey: newEd25519Key(t)}, `kalshi.RotateAPIKeyRequest{KeyType: "ed25519"}`},
		{&RotateAPIKeyRequest{KeyType: KeyTypeRSA}, `kalshi.RotateAPIKeyRequest{KeyType: "rsa"}`},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, fmt.Sprint(tt.value))
	}
	assert.Equal(t, "[REDACTED]", key.String())
	assert.Equal(t, "[REDACTED] [REDACTED]", fmt.Sprintf("%#v %x", key, key))
}

// The same in a log, where the types answer for themselves too.
func TestSecrets_LogValue(t *testing.T) {
	t.Parallel()
	signer := newTestSigner(t, newEd25519Key(t))
	client, err := NewClient(signer, WithBaseURL(testBaseURL))
	require.NoError(t, err)
	key := newPrivateKeyPEM("text")
	const signerText = "[key_id=" + testKeyID + " key_type=ed25519]"
	for _, tt := range []struct {
		value slog.LogValuer
		want  string
	}{
		{key, "[REDACTED]"},
		{&key, "[REDACTED]"},
		{signer, signerText},
		{client, "[base_url=" + testBaseURL + " signer=kalshi.Signer{KeyID: \"" + testKeyID + "\", KeyType: \"ed25519\"}]"},
		{RotateAPIKeyRequest{PrivateKey: newEd25519Key(t)}, `{KeyType: "ed25519"}`},
		{&RotateAPIKeyRequest{KeyType: KeyTypeRSA}, `{KeyType: "rsa"}`},
	} {
		assert.Equal(t, tt.want, tt.value.LogValue().String())
	}
}

func TestSecrets_Log(t *testing.T) {
	t.Parallel()
	forSecrets(t, func(t *testing.T, s *secret, value any, _ bool) {
		var out bytes.Buffer
		for _, handler := range []slog.Handler{
			slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, &slog.HandlerOptions{AddSource: true}),
		} {
			logger := slog.New(handler)
			logger.Info("value", "key", value)
			logger.Info("group", slog.Group("group", slog.Any("key", value), slog.Any("pointer", &value)))
			logger.With("key", value).WithGroup("group").Error("attributes", "list", []any{value})
			logger.Info("a value without its name", value)
		}
		log.New(&out, "", 0).Print("value ", value)
		require.Contains(t, out.String(), "attributes")
		s.assertHides(t, out.String(), "a log")
	})
}

func TestSecrets_Encode(t *testing.T) {
	t.Parallel()
	encoders := map[string]func(w io.Writer, value any) error{
		"JSON": func(w io.Writer, value any) error { return json.NewEncoder(w).Encode(value) },
		"XML":  func(w io.Writer, value any) error { return xml.NewEncoder(w).Encode(value) },
		"gob":  func(w io.Writer, value any) error { return gob.NewEncoder(w).Encode(value) },
		"text/template": func(w io.Writer, value any) error {
			return template.Must(template.New("").Parse("{{.}} {{print .}} {{html .}}")).Execute(w, value)
		},
		"html/template": func(w io.Writer, value any) error {
			return htmltemplate.Must(htmltemplate.New("").Parse("<p title='{{.}}'>{{.}}</p><script>x={{.}}</script>")).Execute(w, value)
		},
	}
	forSecrets(t, func(t *testing.T, s *secret, value any, keyed bool) {
		for name, encode := range encoders {
			var out bytes.Buffer
			err := encode(&out, value)
			s.assertHides(t, out.String(), name)
			if err != nil {
				s.assertHides(t, err.Error(), "the error of "+name)
			}
			if name == "JSON" && keyed { // the others cannot encode some of these at all
				assert.ErrorContains(t, err, "Reveal", "a key must not be lost in silence")
			}
		}
	})
}

// A redacted copy would lose the key for good: encoders have to fail, and to
// say what to do.
func TestSecrets_EncodeFailsLoudly(t *testing.T) {
	t.Parallel()
	key := newPrivateKeyPEM(goodKeyTexts(t)[2].text)
	for name, value := range map[string]any{
		"PrivateKeyPEM": key, "*PrivateKeyPEM": &key, "zero": PrivateKeyPEM{},
		"response": GenerateAPIKeyResponse{PrivateKey: key}, "*response": &GenerateAPIKeyResponse{PrivateKey: key},
		"slice": []PrivateKeyPEM{key},
	} {
		_, jsonErr := json.Marshal(value)
		_, xmlErr := xml.Marshal(value)
		gobErr := gob.NewEncoder(io.Discard).Encode(value)
		for encoder, err := range map[string]error{"JSON": jsonErr, "XML": xmlErr, "gob": gobErr} {
			assert.ErrorContains(t, err, "Reveal", "%s of %s", encoder, name)
		}
	}
	_, textErr := key.MarshalText()
	_, binaryErr := key.MarshalBinary()
	assert.ErrorContains(t, textErr, "Reveal")
	assert.ErrorContains(t, binaryErr, "Reveal")
}

// An assertion library follows pointers, and ignores methods and what is
// exported. Of a RotateAPIKeyRequest it shows the caller's own key: that
// belongs to the standard library, and nothing can be done.
func TestSecrets_AssertionFailures(t *testing.T) {
	t.Parallel()
	forSecrets(t, func(t *testing.T, s *secret, value any, _ bool) {
		switch value.(type) {
		case RotateAPIKeyRequest, *RotateAPIKeyRequest:
			return
		}
		var fake fakeT
		other := reflect.New(reflect.TypeOf(value)).Elem().Interface() // the same type, and nothing in it
		assert.Equal(&fake, value, other)
		assert.Equal(&fake, other, value)
		assert.EqualExportedValues(&fake, struct{ Value any }{value}, struct{ Value any }{1})
		assert.Contains(&fake, []any{value}, 1)
		assert.Empty(&fake, value)
		assert.Nil(&fake, value)
		assert.Same(&fake, &value, &other)
		require.Contains(t, fake.text.String(), "Not equal")
		s.assertHides(t, fake.text.String(), "an assertion")
	})
}

// A real crash: the runtime prints the panic's value by rules of its own.
func TestSecrets_Crash(t *testing.T) {
	if name := os.Getenv(rerunVariable); name != "" {
		text, err := io.ReadAll(os.Stdin)
		require.NoError(t, err)
		key, err := ParsePrivateKey(text)
		require.NoError(t, err)
		keyed, others := secretHolders(t, secret{keyText: keyText{"", string(text), key}})
		value := keyed[name]
		if value == nil {
			value = others[name]
		}
		go func() { panic(value) }() // no test catches that
		select {}
	}
	t.Parallel()
	s := secrets(t)[2]
	for _, name := range []string{
		"PrivateKeyPEM", "*PrivateKeyPEM", "response", "*response", "RotationError, wrapped", "*OutcomeUnknownError",
		"unexported field", "*Signer", "*Client", "RotateAPIKeyRequest by value",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := rerun(t, name)
			cmd.Env = append(cmd.Env, "GOTRACEBACK=all")
			cmd.Stdin = strings.NewReader(s.text)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit, "%s", out)
			require.Contains(t, string(out), "panic: ")
			require.Contains(t, string(out), "goroutine ")
			require.NotContains(t, string(out), "panic: nil")
			s.assertHides(t, string(out), "a crash")
		})
	}
}

// The private half of a generated key in answers that come out as errors, and
// the caller's own key in those of any call.
func TestSecrets_Errors(t *testing.T) {
	t.Parallel()
	for _, s := range secrets(t) {
		quoted, err := json.Marshal(s.text)
		require.NoError(t, err)
		field := `"private_key":` + string(quoted)
		tests := []struct {
			name   string
			status int
			body   string
		}{
			{"no ID", 201, "{" + field + "}"},
			{"an ID of the wrong type", 201, `{"api_key_id":7,` + field + "}"},
			{"a key of the wrong type", 201, `{"api_key_id":"a","private_key":[` + string(quoted) + "]}"},
			{"the key where the ID belongs", 201, `{"api_key_id":` + string(quoted) + "}"},
			{"the key as a field's name", 201, `{"api_key_id":"a",` + string(quoted) + ":1}"},
			{"cut off", 201, `{"api_key_id":"a",` + field[:len(field)-2]},
			{"text", 201, s.text},
			{"an error that has it", 400, "{" + field + `,"msg":"no"}`},
			{"an error that says it", 500, `{"error":{"code":"x","message":` + string(quoted) + "}}"},
			{"an error that is it", 502, s.text},
			{"an error with it in front", 403, strings.Repeat("x", 2000) + s.text},
		}
		for _, tt := range tests {
			t.Run(s.name+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				client, mock := newTestClient(t)
				client.signer = newTestSigner(t, s.key)
				mock.RegisterNoResponder(httpmock.NewStringResponder(tt.status, tt.body))
				_, err := client.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{Name: "bot"})
				require.Error(t, err)
				for _, format := range []string{"%v", "%+v", "%s", "%q"} {
					for inner := err; inner != nil; inner = errors.Unwrap(inner) {
						s.assertHides(t, fmt.Sprintf(format, inner), format)
					}
				}
			})
		}
		t.Run(s.name+"/a transport that shows all it gets", func(t *testing.T) {
			t.Parallel()
			client, mock := newTestClient(t, WithMaxRetries(0))
			client.signer = newTestSigner(t, s.key)
			mock.RegisterNoResponder(func(r *http.Request) (*http.Response, error) {
				return nil, fmt.Errorf("%+v %+v", r, r.Context())
			})
			_, err := client.GetAPIKeys(t.Context())
			require.Error(t, err)
			s.assertHides(t, fmt.Sprintf("%+v", err), "the error")
		})
	}
}
