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
	"sync"
	"testing"
	"text/template"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
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
	name, text string
	key        crypto.Signer
	runs       map[string]struct{}
}

// secrets are a key of each form.
var secrets = sync.OnceValue(func() []*secret {
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(rsaKey())})
	ed25519Key := newKey()
	return []*secret{
		newSecret("RSA in PKCS#1", string(pkcs1), rsaKey()),
		newSecret("RSA in PKCS#8", pemText(rsaKey()), rsaKey()),
		newSecret("Ed25519 in PKCS#8", pemText(ed25519Key), ed25519Key),
	}
})

func pemText(key crypto.Signer) string {
	text, err := kalshi.MarshalPrivateKey(key)
	must(err)
	return text.Reveal()
}

// newSecret knows a key's text, its bytes and its numbers in every form in
// which fmt writes such things.
func newSecret(name, text string, key crypto.Signer) *secret {
	s := &secret{name, text, key, map[string]struct{}{}}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	values := []any{text, strings.Join(lines[1:len(lines)-1], ""), []byte(text)}
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
	s.add(strings.ReplaceAll(fmt.Sprintf("%d", []byte(text)), " ", ","), listRun)
	for part := range s.runs { // the first and last line are no secret
		if strings.Contains(lines[0], part) || strings.Contains(lines[len(lines)-1], part) {
			delete(s.runs, part)
		}
	}
	return s
}

func (s *secret) add(text string, run int) {
	for i := 0; i+run <= len(text); i++ {
		part := text[i : i+run]
		if strings.Trim(part, " 0x,[") != "" && !strings.Contains(part, "%!") && !strings.Contains(part, "--") {
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

// Without this the tests below could pass with a blind eye.
func TestSecrets_areFound(t *testing.T) {
	t.Parallel()
	for _, s := range secrets() {
		half := len(s.text) / 2
		for i, text := range []string{
			s.text, s.text[half : half+20], fmt.Sprintf("%x", s.text), fmt.Sprintf("%d", []byte(s.text)),
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
	exportedField   struct{ Key kalshi.PrivateKeyPEM }
	unexportedField struct{ key kalshi.PrivateKeyPEM }
	embeddedField   struct{ kalshi.PrivateKeyPEM }
	pointerFields   struct {
		Key *kalshi.PrivateKeyPEM
		key *kalshi.GenerateAPIKeyResponse
	}
	anyFields struct {
		Key any
		key any
	}
	deepFields struct{ inner []map[string]unexportedField }
	botFields  struct {
		signer *kalshi.Signer
		client *kalshi.Client
		resp   kalshi.GenerateAPIKeyResponse
	}
)

// A holder is a value that holds a key in its own way. Those that are encoded
// hold it where an encoder of JSON reaches it.
type holder struct {
	name    string
	encoded bool
	value   any
}

func holders(s *secret) []holder {
	key := pemOf(s.text)
	pointer := &key
	resp := kalshi.GenerateAPIKeyResponse{ID: "id", KeyType: kalshi.KeyTypeRSA, PrivateKey: key, Warning: "none"}
	signer, err := kalshi.NewSigner("id", s.key)
	must(err)
	remote, err := kalshi.NewSigner("id", &remoteKey{s.key})
	must(err)
	client, err := kalshi.NewClient(signer)
	must(err)
	rotation := &kalshi.RotationError{Stage: kalshi.StageSave, OldKeyID: "old", NewKeyID: "id", Key: &resp, Err: errors.New("disk full")}
	outcome := &kalshi.OutcomeUnknownError{Operation: "GenerateAPIKey", KeyName: "bot", Err: rotation}
	rotate := kalshi.RotateAPIKeyRequest{Name: "bot", PrivateKey: s.key, Save: noSave}
	return []holder{
		{"PrivateKeyPEM", true, key},
		{"*PrivateKeyPEM", true, pointer},
		{"**PrivateKeyPEM", true, &pointer},
		{"response", true, resp},
		{"*response", true, &resp},
		{"exported field", true, exportedField{key}},
		{"pointer to exported field", true, &exportedField{key}},
		{"embedded", true, embeddedField{key}},
		{"pointer fields", true, pointerFields{Key: pointer, key: &resp}},
		{"any fields", true, &anyFields{Key: resp, key: resp}},
		{"slice", true, []kalshi.PrivateKeyPEM{key}},
		{"slice of pointers", true, []*kalshi.GenerateAPIKeyResponse{&resp}},
		{"slice of any", true, []any{"first", key, &resp}},
		{"array", true, [1]kalshi.PrivateKeyPEM{key}},
		{"map value", true, map[string]kalshi.PrivateKeyPEM{"key": key}},
		{"map of responses", true, map[string]*kalshi.GenerateAPIKeyResponse{"key": &resp}},
		{"map key", true, map[kalshi.PrivateKeyPEM]string{key: "key"}},
		{"RotationError by value", true, *rotation},
		{"OutcomeUnknownError around", true, *outcome},
		{"unexported field", false, unexportedField{key}},
		{"pointer to unexported field", false, &unexportedField{key}},
		{"unexported any field", false, anyFields{key: key}},
		{"unexported fields of kinds", false, botFields{signer, client, resp}},
		{"deep and unexported", false, deepFields{[]map[string]unexportedField{{"a": {key}}}}},
		{"*RotationError", false, rotation},
		{"RotationError, wrapped", false, fmt.Errorf("bot: %w", rotation)},
		{"RotationError, joined", false, errors.Join(rotation, io.EOF)},
		{"*OutcomeUnknownError", false, outcome},
		{"*Signer", false, signer},
		{"Signer by value", false, reflect.ValueOf(signer).Elem().Interface()}, // past vet's rule against copies
		{"*Signer of a remote key", false, remote},
		{"slice of *Signer", false, []*kalshi.Signer{signer}},
		{"*Client", false, client},
		{"Client by value", false, *client},
		{"*RotateAPIKeyRequest", false, &rotate},
		{"RotateAPIKeyRequest by value", false, rotate},
	}
}

// callersKey reports whether the key within is the caller's own, of the
// standard library, so that the library cannot hide it from everything.
func (h holder) callersKey() bool {
	switch h.value.(type) {
	case kalshi.RotateAPIKeyRequest, *kalshi.RotateAPIKeyRequest:
		return true
	}
	return false
}

// forEachHolder runs a test for every value that holds a key.
func forEachHolder(t *testing.T, test func(t *testing.T, s *secret, h holder)) {
	t.Parallel()
	for _, s := range secrets() {
		for _, h := range holders(s) {
			t.Run(s.name+"/"+h.name, func(t *testing.T) {
				t.Parallel()
				test(t, s, h)
			})
		}
	}
}

// Every letter is tried as a verb, whether fmt knows it or not, with every
// flag.
func TestSecrets_format(t *testing.T) {
	flags := []string{"", "+", "#", " ", "-", "0", "+#", "# ", "9", ".9", "9.2", "[1]"}
	forEachHolder(t, func(t *testing.T, s *secret, h holder) {
		for _, letter := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
			if h.callersKey() && strings.ContainsRune("pwT", letter) {
				continue // for these, fmt calls no methods and prints the bare fields
			}
			for _, flag := range flags {
				format := "%" + flag + string(letter)
				s.assertHides(t, fmt.Sprintf(format, h.value), "Sprintf "+format)
				s.assertHides(t, fmt.Errorf("bot: "+format, h.value).Error(), "Errorf "+format)
			}
		}
		s.assertHides(t, fmt.Sprint(h.value)+fmt.Sprintln("a", h.value), "Sprint")
		s.assertHides(t, fmt.Sprintf("%s", []any{h.value, &h.value}), "Sprintf in a list")
		for _, wrong := range []string{"no verb", "%*d", "%[5]d", "%", "%!"} {
			s.assertHides(t, fmt.Sprintf(wrong, h.value), "Sprintf "+wrong)
		}
	})
}

// What the types say instead, in print and in a log.
func TestSecrets_text(t *testing.T) {
	t.Parallel()
	signer, err := kalshi.NewSigner("id", newKey())
	require.NoError(t, err)
	client, err := kalshi.NewClient(signer, kalshi.WithBaseURL(kalshi.DemoBaseURL))
	require.NoError(t, err)
	key := pemOf("text")
	const signerText = `kalshi.Signer{KeyID: "id", KeyType: "ed25519"}`
	for _, tt := range []struct {
		value       any
		print, logs string
	}{
		{key, "[REDACTED]", "[REDACTED]"},
		{&key, "[REDACTED]", "[REDACTED]"},
		{kalshi.PrivateKeyPEM{}, "[REDACTED]", "[REDACTED]"},
		{kalshi.GenerateAPIKeyResponse{ID: "a", KeyType: kalshi.KeyTypeRSA, PrivateKey: key}, "{a rsa [REDACTED] }", ""},
		{signer, signerText, "[key_id=id key_type=ed25519]"},
		{client, `kalshi.Client{BaseURL: "` + kalshi.DemoBaseURL + `", Signer: ` + signerText + "}", "[base_url=" + kalshi.DemoBaseURL + " signer=" + signerText + "]"},
		{kalshi.RotateAPIKeyRequest{PrivateKey: newKey()}, `kalshi.RotateAPIKeyRequest{KeyType: "ed25519"}`, `{KeyType: "ed25519"}`},
		{&kalshi.RotateAPIKeyRequest{KeyType: kalshi.KeyTypeRSA}, `kalshi.RotateAPIKeyRequest{KeyType: "rsa"}`, `{KeyType: "rsa"}`},
	} {
		assert.Equal(t, tt.print, fmt.Sprint(tt.value))
		if valuer, ok := tt.value.(slog.LogValuer); assert.Equal(t, tt.logs != "", ok) && ok {
			assert.Equal(t, tt.logs, valuer.LogValue().String())
		}
	}
	assert.Equal(t, "[REDACTED]", key.String())
	assert.Equal(t, "[REDACTED] [REDACTED]", fmt.Sprintf("%#v %x", key, key))
}

func TestSecrets_log(t *testing.T) {
	forEachHolder(t, func(t *testing.T, s *secret, h holder) {
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, &slog.HandlerOptions{AddSource: true})} {
			logger := slog.New(handler)
			logger.Info("value", "key", h.value)
			logger.Info("group", slog.Group("group", slog.Any("key", h.value), slog.Any("pointer", &h.value)))
			logger.With("key", h.value).WithGroup("group").Error("attributes", "list", []any{h.value})
			logger.Info("a value without its name", h.value)
		}
		log.New(&out, "", 0).Print("value ", h.value)
		require.Contains(t, out.String(), "attributes")
		s.assertHides(t, out.String(), "a log")
	})
}

// A redacted copy would lose the key for good: encoders of JSON, XML and gob
// have to fail, and to say what to do. Whatever they do, they show nothing.
func TestSecrets_encode(t *testing.T) {
	failing := map[string]func(w io.Writer, value any) error{
		"JSON": func(w io.Writer, value any) error { return json.NewEncoder(w).Encode(value) },
		"XML":  func(w io.Writer, value any) error { return xml.NewEncoder(w).Encode(value) },
		"gob":  func(w io.Writer, value any) error { return gob.NewEncoder(w).Encode(value) },
	}
	showing := map[string]func(w io.Writer, value any) error{
		"text/template": func(w io.Writer, value any) error {
			return template.Must(template.New("").Parse("{{.}} {{print .}} {{html .}}")).Execute(w, value)
		},
		"html/template": func(w io.Writer, value any) error {
			return htmltemplate.Must(htmltemplate.New("").Parse("<p title='{{.}}'>{{.}}</p><script>x={{.}}</script>")).Execute(w, value)
		},
	}
	forEachHolder(t, func(t *testing.T, s *secret, h holder) {
		for _, encoders := range []map[string]func(io.Writer, any) error{failing, showing} {
			for name, encode := range encoders {
				var out bytes.Buffer
				err := encode(&out, h.value)
				s.assertHides(t, out.String(), name)
				if err != nil {
					s.assertHides(t, err.Error(), "the error of "+name)
				}
				if name == "JSON" && h.encoded { // the others cannot encode some of these at all
					assert.ErrorContains(t, err, "Reveal", "a key must not be lost in silence")
				}
			}
		}
	})
	key := pemOf("text")
	for _, value := range []any{key, &key, kalshi.PrivateKeyPEM{}, kalshi.GenerateAPIKeyResponse{PrivateKey: key}, []kalshi.PrivateKeyPEM{key}} {
		for name, encode := range failing {
			assert.ErrorContains(t, encode(io.Discard, value), "Reveal", "%s of a %T", name, value)
		}
	}
	_, textErr := key.MarshalText()
	_, binaryErr := key.MarshalBinary()
	assert.ErrorContains(t, textErr, "Reveal")
	assert.ErrorContains(t, binaryErr, "Reveal")
}

// A fakeT is a test that fails on paper.
type fakeT struct {
	testing.TB
	text strings.Builder
}

func (f *fakeT) Helper()                           {}
func (f *fakeT) Name() string                      { return "fake" }
func (f *fakeT) Errorf(format string, args ...any) { fmt.Fprintf(&f.text, format, args...) }

// An assertion library follows pointers, and ignores methods and what is
// exported.
func TestSecrets_assertionFailures(t *testing.T) {
	forEachHolder(t, func(t *testing.T, s *secret, h holder) {
		if h.callersKey() {
			return
		}
		var fake fakeT
		other := reflect.New(reflect.TypeOf(h.value)).Elem().Interface() // the same type, and nothing in it
		assert.Equal(&fake, h.value, other)
		assert.Equal(&fake, other, h.value)
		assert.EqualExportedValues(&fake, struct{ Value any }{h.value}, struct{ Value any }{1})
		assert.Contains(&fake, []any{h.value}, 1)
		assert.Empty(&fake, h.value)
		assert.Nil(&fake, h.value)
		assert.Same(&fake, &h.value, &other)
		require.Contains(t, fake.text.String(), "Not equal")
		s.assertHides(t, fake.text.String(), "an assertion")
	})
}

// A real crash: the runtime prints the panic's value by rules of its own.
func TestSecrets_crash(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a process for each case")
	}
	s := secrets()[2]
	for _, name := range []string{
		"PrivateKeyPEM", "*PrivateKeyPEM", "response", "*response", "RotationError, wrapped", "*OutcomeUnknownError",
		"unexported field", "*Signer", "*Client", "RotateAPIKeyRequest by value",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := childCommand(t, "crash", name)
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

func init() {
	children["crash"] = func(args []string) {
		text, err := io.ReadAll(os.Stdin)
		must(err)
		key, err := kalshi.ParsePrivateKey(text)
		must(err)
		for _, h := range holders(&secret{text: string(text), key: key}) {
			if h.name == args[0] {
				go func() { panic(h.value) }()
				select {}
			}
		}
	}
}

// The private half of a generated key in responses that come out as errors,
// and the caller's own key in those of any call.
func TestSecrets_errors(t *testing.T) {
	t.Parallel()
	for _, s := range secrets() {
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
				inBubble(t, func(t *testing.T) {
					x := inMemory(t)
					x.Inject(kalshitest.Fault{Status: tt.status, Body: tt.body, Times: always})
					signer, err := kalshi.NewSigner("id", s.key)
					require.NoError(t, err)
					_, err = x.clientOf(t, signer).GenerateAPIKey(t.Context(), kalshi.GenerateAPIKeyRequest{Name: "bot"})
					require.Error(t, err)
					for ; err != nil; err = errors.Unwrap(err) {
						for _, format := range []string{"%v", "%+v", "%s", "%q"} {
							s.assertHides(t, fmt.Sprintf(format, err), format)
						}
					}
				})
			})
		}
		t.Run(s.name+"/a transport that shows all it gets", func(t *testing.T) {
			t.Parallel()
			signer, err := kalshi.NewSigner("id", s.key)
			require.NoError(t, err)
			client, err := kalshi.NewClient(signer, kalshi.WithMaxRetries(0), kalshi.WithHTTPClient(&http.Client{
				Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					return nil, fmt.Errorf("%+v %+v", r, r.Context())
				}),
			}))
			require.NoError(t, err)
			_, err = client.GetAPIKeys(t.Context())
			require.Error(t, err)
			s.assertHides(t, fmt.Sprintf("%+v", err), "the error")
		})
	}
}
