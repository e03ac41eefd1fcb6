package redact_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

func encodeBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// forms are keys in every form that people have them in: always the same ones, and for RSA only
// bytes that look like one.
func forms(t testing.TB) map[string]string {
	t.Helper()
	random := make([]byte, 1200)
	_, _ = rand.NewChaCha8([32]byte{}).Read(random)
	ed, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(random[:32]))
	require.NoError(t, err)
	pkcs1 := append([]byte("0\x82\x04\xa4\x02\x01\x00\x02\x82\x01\x01\x00"), random...)
	pkcs8 := append([]byte("0\x82\x04\xbe\x02\x01\x000\r\x06\t*\x86H\x86\xf7\r\x01\x01\x01\x05\x00\x04\x82\x04\xa8"), pkcs1...)
	all := map[string]string{}
	for name, der := range map[string][]byte{"Ed25519": ed, "PKCS#8": pkcs8, "PKCS#1": pkcs1} {
		text := string(pem.EncodeToMemory(&pem.Block{Type: redact.PrivateKeyMark, Bytes: der}))
		body := encodeBase64(string(der))
		for form, text := range map[string]string{
			"PEM":                            text,
			"PEM, RSA":                       strings.ReplaceAll(text, "PRIVATE", "RSA PRIVATE"),
			"PEM with CRLF":                  strings.ReplaceAll(text, "\n", "\r\n"),
			"PEM on one line":                strings.ReplaceAll(text, "\n", `\n`),
			"PEM in JSON":                    `{"key":"` + strings.ReplaceAll(text, "\n", `\u000a`) + `"}`,
			"percent-encoded PEM":            url.QueryEscape(text),
			"percent-encoded PEM for a path": url.PathEscape(text),
			"base64 of a PEM":                encodeBase64(text),
			"base64 of a PEM, RSA":           encodeBase64(strings.ReplaceAll(text, "PRIVATE", "RSA PRIVATE")),
			"base64 of a key file":           encodeBase64("KALSHI_API_KEY_ID=11111111-2222\n" + text),
			"base64 of that":                 encodeBase64(encodeBase64(text)),
			"base64url":                      strings.NewReplacer("+", "-", "/", "_").Replace(body),
			"base64":                         body,
			"percent-encoded base64":         url.QueryEscape(body),
			"wrapped base64":                 strings.Join(strings.SplitAfter(body, body[60:64]), "\r\n"),
			"hexadecimal":                    hex.EncodeToString(der),
			"hexadecimal in upper case":      strings.ToUpper(hex.EncodeToString(der)),
			"hexadecimal of a PEM":           hex.EncodeToString([]byte(text)),
		} {
			all[name+", "+form] = text
		}
	}
	return all
}

// Whatever stands around a key, it is found and cut out.
func TestKeys(t *testing.T) {
	t.Parallel()
	for name, key := range forms(t) {
		for _, around := range []string{"%s", "vault said: %s", "KALSHI_PRIVATE_KEY=%s", `malformed HTTP response "%s"`, "/run/%s.pem", "'%s' is bad", "foo%s"} {
			text := fmt.Sprintf(around, key)
			assert.True(t, redact.HoldsKey(text) || strings.HasSuffix(name, "base64 of that"), "%s in %s", name, around)
			assert.True(t, redact.LooksLikeKey(text), "%s in %s", name, around)
			got := redact.Text(text, 160)
			assert.Contains(t, got, redact.Withheld, "%s in %s", name, around)
			assertNoEcho(t, key, got)
		}
	}
}

// assertNoEcho asserts that a text shows no 20 characters of a key in a row.
func assertNoEcho(t testing.TB, key, text string) {
	t.Helper()
	text = strings.ReplaceAll(text, redact.Withheld, "")
	for i := range max(0, len(text)-19) {
		if run := text[i : i+20]; !strings.ContainsAny(run, " /") && strings.Contains(key, run) {
			t.Errorf("20 characters of the key show: %q after %q", text[i:min(len(text), i+40)], text[:i])
			return
		}
	}
}

// A part of a key is no name, and shows no more than a few characters.
func TestKeys_cutOff(t *testing.T) {
	t.Parallel()
	for name, key := range forms(t) {
		if strings.HasPrefix(name, "Ed25519, hex") {
			continue // 64 digits may be a digest
		}
		for cut := 0; cut+120 < len(key); cut += len(key)/12 | 1 {
			for _, part := range []string{key[cut:], key[:len(key)-cut]} {
				assert.True(t, redact.LooksLikeKey(part), "%d characters of %s", len(part), name)
				assertNoEcho(t, key, redact.Text("cannot save "+part, 160))
			}
		}
	}
}

func TestText_plain(t *testing.T) {
	t.Parallel()
	digest := fmt.Sprintf("%x", sha256.Sum256([]byte("a layer")))
	for _, text := range []string{
		"vault: cannot read /var/run/secrets/kubernetes.io/serviceaccount/token: permission denied",
		"open /home/bot/KALSHI PRIVATE KEY.pem: no such file or directory",
		"open /srv/PRIVATE KEY/BEGIN/MIIEvQ/Bot2.key: is a directory",
		"/var/lib/docker/overlay2/" + digest + "/merged/Key1.pem",
		"/var/Lib/Digests/" + digest,
		"/Users/Max/Bot-3f2a1b4c-9d8e-4f7a-8b6c-1a2b3c4d5e6f.pem",
		"/var/folders/c5/w3z1t5ks1rj4pbrz2y1kvjjw0000gn/T/TestKeyFile_badPath123456/001/file",
		"/Users/Max/Library/Application Support/Kalshi/Keys/2026-11-25/Prod1.pem",
		`C:\Users\Bot\AppData\Local\Kalshi\nightly\Key2.pem: access denied`,
		"/tmp/TestParsePrivateKey_OpenSSL1234567/001/bot.key",
		"arn:aws:secretsmanager:us-east-1:123456789012:secret:kalshi-bot-AbCdEf not found",
		"Bot 11111111-2222-4333-8444-555555555555, 3f2a1b4c-9d8e-4f7a-8b6c-1a2b3c4d5e6f, 01ARZ3NDEKTSV4RRFFQ69G5FAV",
		"sha256 " + digest,
		"tls: failed to verify certificate: x509: certificate signed by unknown authority",
		"github.com/seed251d1451/kalshi-go.(*Client).RotateAPIKey: TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		"schlüssel 鍵 🔑 100% of a+b=c",
	} {
		assert.Equal(t, text, redact.Text(text, 300))
		assert.False(t, redact.LooksLikeKey(text), text)
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	line := forms(t)["Ed25519, base64"]
	tests := []struct{ name, text, want string }{
		{"line ends", "a\r\nb\nc\u2028d", "a b c d"},
		{"control characters", "a\x00b\x1b[31mc\u009bd\x7fe", "a b [31mc d e"},
		{"what does not print", "a\u202eb\u2066c\u200fd\u200be\ufefff\ue000g", "a b c d e f g"},
		{"odd blanks", " a\u00a0\u3000\t b ", "a b"},
		{"invalid UTF-8", "a\xff\xfeb", "a\ufffdb"},
		{"as long as may be", strings.Repeat("ü", 160), strings.Repeat("ü", 160)},
		{"much too long", strings.Repeat("🔑", 100_000), strings.Repeat("🔑", 159) + "…"},
		{"a key among words", "cannot store " + line + ": read-only", "cannot store " + redact.Withheld + ": read-only"},
		{"lines of a key", "got " + line[20:] + "\r\n" + line[22:] + "\r\naB3d= instead", "got " + redact.Withheld + " instead"},
		{"the end of a PEM", "bad line q8Zk1w==\n-----END " + redact.PrivateKeyMark + "-----", "bad line " + redact.Withheld},
	}
	for _, tt := range tests {
		got := redact.Text(tt.text, 160)
		assert.Equal(t, tt.want, got, tt.name)
		assert.True(t, utf8.ValidString(got))
	}
}

// Neither a public key nor what only looks random makes a response's body vanish.
func TestHoldsKey_no(t *testing.T) {
	t.Parallel()
	public, err := x509.MarshalPKIXPublicKey(ed25519.NewKeyFromSeed(make([]byte, 32)).Public())
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
	for _, text := range []string{text, encodeBase64(text), redact.PrivateKeyMark, `<script nonce="Yb3aDTf6Xq0PpJZ2vKc9LwR8sNhUeGm1oQ4tViB7">`, ""} {
		assert.False(t, redact.HoldsKey(text), text)
	}
}
