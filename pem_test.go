package kalshi

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"math/big"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A keyText is a private key with its PEM text, made when the test runs.
type keyText struct {
	name, text string
	key        crypto.Signer
}

func encodePEM(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func pkcs8(t testing.TB, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return der
}

func spki(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	require.NoError(t, err)
	return der
}

// goodKeyTexts returns a key in each of the three supported encodings.
func goodKeyTexts(t testing.TB) []keyText {
	t.Helper()
	rsaKey, edKey := testRSAKey(), newEd25519Key(t)
	return []keyText{
		{"RSA in PKCS#1", encodePEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), rsaKey},
		{"RSA in PKCS#8", encodePEM("PRIVATE KEY", pkcs8(t, rsaKey)), rsaKey},
		{"Ed25519 in PKCS#8", encodePEM("PRIVATE KEY", pkcs8(t, edKey)), edKey},
	}
}

const mention = "# from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----\n"

// mangles are what environment variables, editors and people do to PEM text.
var mangles = []struct {
	name   string
	mangle func(text string) string
}{
	{"unchanged", func(s string) string { return s }},
	{"line ends as two characters", replace("\n", `\n`)},
	{"CRLF", replace("\n", "\r\n")},
	{"byte-order mark", func(s string) string { return "\ufeff" + s }},
	{"single quotes", func(s string) string { return "'" + s + "'" }},
	{"escaped quotes", func(s string) string { return `\"` + strings.ReplaceAll(s, "\n", `\\n`) + `\"` }},
	{"one line with blanks", replace("\n", " ")},
	{"one line without any blanks", func(s string) string { return strings.Join(strings.Fields(s), "") }},
	{"blanks as line ends", replace(" ", "\n")},
	{"indented with tabs", func(s string) string { return "\t" + strings.ReplaceAll(s, "\n", "\n\t") }},
	{"lines continued with a backslash", replace("\n", "\\\n")},
	{"slashes escaped", replace("/", `\/`)},
	{"the escapes of JSON encoders", func(s string) string {
		return strings.NewReplacer("\n", `\u000a`, "+", `\u002B`, "/", `\/`, "=", `\u003d`).Replace(s)
	}},
	{"lines in quotes, with no-break spaces", replace("\n", "'\u00a0\n'")},
	{"CR alone", replace("\n", "\r")},
	{"UTF-16", func(s string) string { return encodeUTF16(binary.LittleEndian, "\ufeff"+s) }},
	{"UTF-16, big endian", func(s string) string { return encodeUTF16(binary.BigEndian, "\ufeff"+s) }},
	{"base64", encodeBase64},
	{"base64 twice", func(s string) string { return encodeBase64(encodeBase64(s)) }},
	{"base64 wrapped with CRLF, twice", func(s string) string { return wrap(76, "\r\n", encodeBase64(wrap(64, "\n", encodeBase64(s)))) }},
	{"base64 without padding, in quotes", func(s string) string { return `"` + strings.TrimRight(encodeBase64(s), "=") + `"` }},
	{"base64 of UTF-16", func(s string) string { return encodeBase64(encodeUTF16(binary.LittleEndian, s)) }},
	{"base64 in JSON", func(s string) string { return `{"private_key": "` + encodeBase64(s) + `"}` }},
	{"a comment that mentions BEGIN", func(s string) string { return "# paste all from -----BEGIN on\n" + s }},
	{"a comment that mentions the BEGIN line", func(s string) string { return "# -----BEGIN PRIVATE KEY----- is the first line\n" + s }},
	{"comments that mention both lines", func(s string) string { return mention + s + mention }},
	{"text around", func(s string) string { return "Bag Attributes\n    friendlyName: bot\n" + s + "# keep this safe\n" }},
	{"a value in JSON", func(s string) string { return `{"private_key":"` + strings.ReplaceAll(s, "\n", `\n`) + `","id":"x"}` }},
	{"other blocks around", func(s string) string { return encodePEM("CERTIFICATE", nil) + s + encodePEM("PUBLIC KEY", nil) }},
	{"the other label", func(s string) string {
		if strings.Contains(s, " RSA ") {
			return strings.ReplaceAll(s, " RSA ", " ")
		}
		return strings.NewReplacer("BEGIN ", "BEGIN RSA ", "END ", "END RSA ").Replace(s)
	}},
}

func encodeBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func encodeUTF16(order binary.ByteOrder, s string) string {
	b, _ := binary.Append(nil, order, utf16.Encode([]rune(s)))
	return string(b)
}

// wrap breaks a text into lines.
func wrap(width int, lineEnd, s string) string {
	return regexp.MustCompile(fmt.Sprintf(".{1,%d}", width)).ReplaceAllString(s, "${0}"+lineEnd)
}

func replace(old, by string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, old, by) }
}

func TestParsePrivateKey(t *testing.T) {
	t.Parallel()
	for _, kt := range goodKeyTexts(t) {
		for _, m := range mangles {
			t.Run(kt.name+"/"+m.name, func(t *testing.T) {
				t.Parallel()
				got, err := ParsePrivateKey([]byte(m.mangle(kt.text)))
				require.NoError(t, err)
				assertSameKey(t, kt.key, got)
			})
		}
	}
}

// A reject is a text that is not a usable key, with words that the error must contain.
type reject struct{ name, text, words string }

func newECKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// newSmallRSAKey makes a key of 1024 bits.
func newSmallRSAKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	return key
}

const (
	saysCut     = "cut off or damaged: copy the whole PEM text"
	saysNoBlock = "has no BEGIN PRIVATE KEY line: use the whole PEM text"
	saysPublic  = "is a public key: use the private key"
	saysEC      = "is an EC key, which Kalshi does not accept: make one with `openssl genpkey -algorithm ed25519`"
	saysDER     = "is DER, without the BEGIN and END lines of PEM: convert it with `openssl pkey -inform DER"
	saysPKCS12  = "is PKCS#12: get the key out of it with `openssl pkcs12"
)

func rejects(t testing.TB) []reject {
	t.Helper()
	xKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	public := spki(t, newEd25519Key(t).Public())
	edDER, rsaDER := pkcs8(t, newEd25519Key(t)), pkcs8(t, testRSAKey())
	edText := encodePEM("PRIVATE KEY", edDER)
	encrypted := encodePEM("ENCRYPTED PRIVATE KEY", edDER)
	const header = "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"
	legacy := strings.Replace(encodePEM("RSA PRIVATE KEY", edDER), "\n", header, 1)
	pssOnly := bytes.Replace(rsaDER, []byte("\x0d\x01\x01\x01"), []byte("\x0d\x01\x01\x0a"), 1) // the algorithm's number
	damaged := slices.Clone(rsaDER)
	damaged[len(damaged)-100] ^= 0xff
	long := append([]byte{0x30, 0x83, 1, 0, 0}, make([]byte, 1<<16)...)            // which would take quadratic time to parse
	p12 := string([]byte{0x30, 0x82, 1, 0, 2, 1, 3}) + strings.Repeat("\x00", 253) // its header
	const decrypt, two = "is encrypted: decrypt it with `openssl pkey", "more than one private key: keep only the one"
	return append(otherTexts(), []reject{
		{"encrypted PKCS#8", encrypted, decrypt},
		{"encrypted in the old form", legacy, decrypt},
		{"OpenSSH", encodePEM("OPENSSH PRIVATE KEY", edDER), "OpenSSH's own format: make an Ed25519 key with `openssl genpkey"},
		{"public key", encodePEM("PUBLIC KEY", public), saysPublic},
		{"OpenSSH public key", "ssh-ed25519 " + encodeBase64("\x00\x00\x00\x0bssh-ed25519\x00\x00\x00 "+string(public)) + " me@host\n", saysPublic},
		{"certificate", encodePEM("CERTIFICATE", public), "is a certificate: use the private key"},
		{"EC in SEC1, on whatever curve", encodePEM("EC PRIVATE KEY", edDER), saysEC},
		{"EC in PKCS#8", encodePEM("PRIVATE KEY", pkcs8(t, newECKey(t))), saysEC},
		{"RSASSA-PSS only", encodePEM("PRIVATE KEY", pssOnly), "RSASSA-PSS, which Kalshi does not accept: make a plain RSA key"},
		{"RSA 1024", encodePEM("PRIVATE KEY", pkcs8(t, newSmallRSAKey(t))), "has 1024 bits, and RSA needs at least 2048"},
		{"longer than any key", encodePEM("PRIVATE KEY", long), "is too long: RSA may have at most 8192 bits"},
		{"X25519", encodePEM("PRIVATE KEY", pkcs8(t, xKey)), "for neither RSA nor Ed25519"},
		{"two private keys", edText + edText, two},
		{"a plain and an encrypted key", edText + encrypted, two},
		{"DER", string(edDER), saysDER},
		{"base64 of DER", encodeBase64(string(rsaDER)), saysDER},
		{"PKCS#12", p12, saysPKCS12},
		{"base64 of PKCS#12", wrap(64, "\n", encodeBase64(p12)), saysPKCS12},
		{"another kind of block", encodePEM("SOMETHING ELSE", edDER), saysNoBlock},
		{"a body that is not base64", strings.Replace(edText, "MC4", "M*4", 1), saysCut},
		{"more in the body than the key", strings.Replace(edText, "\n-----END", "*A\n-----END", 1), saysCut},
		{"a body that is not ASN.1", encodePEM("PRIVATE KEY", []byte("this is not a private key at all")), saysCut},
		{"an empty block", encodePEM("PRIVATE KEY", nil), saysCut},
		{"no BEGIN line", strings.TrimPrefix(edText, "-----BEGIN PRIVATE KEY-----"), saysCut},
		{"base64, cut off", encodeBase64(edText)[:100], saysCut},
		{"a damaged RSA key", encodePEM("PRIVATE KEY", damaged), "damaged, or for neither RSA nor Ed25519"},
	}...)
}

// otherTexts have no PEM block.
func otherTexts() []reject {
	seed := encodeBase64(string(sha256.New().Sum(nil)))
	const file, quotes = "is the name of a file: use the text in it", " that was not expanded: check the quotes"
	return []reject{
		{"empty", "", "is empty: use the whole PEM text"},
		{"escaped line ends alone", `\n\n`, "is empty"},
		{"empty in quotes", `""`, "is empty"},
		{"JWK", `{"kty": "OKP", "crv": "Ed25519", "d": "` + seed + `"}`, "is a JWK: convert it to PEM"},
		{"PuTTY", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\nPrivate-Lines: 1\n" + seed, "PuTTY's own format"},
		{"a variable", "${KALSHI_KEY}", "is a variable" + quotes},
		{"a GitHub secret", "${{ secrets.KEY }}", "is a variable" + quotes},
		{"a command", "$(cat /run/secrets/key.pem)", "is a command that was not run: check the quotes"},
		{"a redacted key", redacted, "what a PrivateKeyPEM prints: use the text that its Reveal returns"},
		{"a file's path", "/home/somebody/keys/exchange-prod.pem", file},
		{"a file's name in quotes", `"exchange-prod.pem"`, file},
		{"a file's path on Windows", `C:\Users\somebody\exchange-prod`, file},
		{"another text", "not a key at all", saysNoBlock},
		{"another text of lines", "and/or\nnot a key at all", saysNoBlock},
		{"a seed", seed, saysNoBlock},
	}
}

// assertRefused asserts that ParsePrivateKey refuses texts, and quotes none.
func assertRefused(t *testing.T, rejected []reject) {
	t.Helper()
	for _, r := range rejected {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			key, err := ParsePrivateKey([]byte(r.text))
			assert.Nil(t, key)
			require.Error(t, err)
			assertInvalid(t, err, "kalshi: private key ", r.words)
			assertNoEcho(t, r.text, err)
		})
	}
}

func TestParsePrivateKey_refuses(t *testing.T) {
	t.Parallel()
	assertRefused(t, rejects(t))
}

// Wherever a key is cut, at its start, its end or within its body, it is refused.
func TestParsePrivateKey_cutOff(t *testing.T) {
	t.Parallel()
	for _, kt := range goodKeyTexts(t) {
		t.Run(kt.name, func(t *testing.T) {
			t.Parallel()
			first, last := strings.Index(kt.text, "\n")+1, strings.LastIndex(kt.text, "-----END")
			head, body, tail := kt.text[:first], kt.text[first:last], kt.text[last:]
			var cuts []string
			step := 1 + len(kt.text)/600 // the text of an RSA key is long
			for i := 0; i < last; i += step {
				cuts = append(cuts, kt.text[:i], kt.text[i+len("-----BEGIN"):])
			}
			body = strings.TrimRight(strings.ReplaceAll(body, "\n", ""), "=") // padding is not needed
			for i := 0; i < len(body); i += step {
				cuts = append(cuts, head+body[:i]+"\n"+tail)
			}
			for _, text := range cuts {
				key, err := ParsePrivateKey([]byte(text))
				require.True(t, key == nil, "%d of %d characters were accepted as a key", len(text), len(kt.text))
				assertInvalid(t, err)
				assertNoEcho(t, text, err)
			}
		})
	}
}

// rsaPublicKey returns an RSA public key of that size, which nobody can use.
func rsaPublicKey(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}

func TestMarshalPublicKey(t *testing.T) {
	t.Parallel()
	for _, key := range []crypto.PublicKey{rsaPublicKey(2048), rsaPublicKey(8192), newEd25519Key(t).Public()} {
		text, err := MarshalPublicKey(key)
		require.NoError(t, err)
		assert.Equal(t, encodePEM("PUBLIC KEY", spki(t, key)), text)
	}
}

func TestMarshalPublicKey_refuses(t *testing.T) {
	t.Parallel()
	n := rsaPublicKey(2048).N
	for want, keys := range map[string][]crypto.PublicKey{
		"of type <nil> is neither":            {nil},
		"of type rsa.PublicKey is neither":    {*rsaPublicKey(2048)},
		"is a private key: pass its Public()": {testRSAKey(), newEd25519Key(t)},
		"is no RSA key: it needs a modulus, and an exponent that is odd": {
			(*rsa.PublicKey)(nil), &rsa.PublicKey{N: n}, &rsa.PublicKey{N: n, E: 1}, &rsa.PublicKey{N: n, E: 65536},
		},
		"has 2047 bits, and RSA needs at least 2048":                  {rsaPublicKey(2047)},
		"has 8193 bits, and RSA needs at least 2048 and at most 8192": {rsaPublicKey(8193)},
		"is an EC key": {newECKey(t).Public()},
	} {
		for _, key := range keys {
			text, err := MarshalPublicKey(key)
			assert.Empty(t, text, want)
			assertInvalid(t, err, "kalshi: public key "+want)
		}
	}
}

// unusableSigners are keys that every function must reject.
func unusableSigners(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	return map[string]crypto.Signer{
		"nil":                     nil,
		"nil *rsa.PrivateKey":     (*rsa.PrivateKey)(nil),
		"nil *ecdsa.PrivateKey":   (*ecdsa.PrivateKey)(nil),
		"nil *ed25519.PrivateKey": (*ed25519.PrivateKey)(nil),
		"nil ed25519.PrivateKey":  ed25519.PrivateKey(nil),
		"an Ed25519 seed":         newEd25519Key(t)[:ed25519.SeedSize],
		"zero *rsa.PrivateKey":    new(rsa.PrivateKey),
		"RSA 1024":                newSmallRSAKey(t),
		"RSA 8193":                &remoteKey{key: &rsa.PrivateKey{PublicKey: *rsaPublicKey(8193)}},
		"EC":                      newECKey(t),
	}
}

func TestMarshalPrivateKey_refuses(t *testing.T) {
	t.Parallel()
	signers := unusableSigners(t)
	signers["in a KMS"] = &remoteKey{key: newEd25519Key(t)}
	for name, key := range signers {
		text, err := MarshalPrivateKey(key)
		assert.Empty(t, text.Reveal(), name)
		assertInvalid(t, err, "private key")
	}
}

// isOpenSSL reports whether openssl is not LibreSSL, which macOS installs under the same name.
var isOpenSSL = sync.OnceValue(func() bool {
	out, err := exec.Command("openssl", "version").Output()
	return err == nil && strings.HasPrefix(string(out), "OpenSSL ")
})

// openssl runs the command and returns its output. It skips the test if OpenSSL is not installed.
func openssl(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	if !isOpenSSL() {
		t.Skip("OpenSSL is not on PATH, or is LibreSSL, which lacks some key types")
	}
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "openssl %s: %s", args, &stderr)
	return string(out)
}

// OpenSSL generates the keys and checks the result.
func TestParsePrivateKey_OpenSSL(t *testing.T) {
	t.Parallel()
	gen := func(algorithm string, args ...string) string {
		return openssl(t, "", append([]string{"genpkey", "-algorithm", algorithm}, args...)...)
	}
	rsaKey := gen("RSA", "-pkeyopt", "rsa_keygen_bits:2048")
	for name, text := range map[string]string{
		"RSA in PKCS#8":       rsaKey,
		"RSA in PKCS#1":       openssl(t, rsaKey, "rsa", "-traditional"),
		"Ed25519":             gen("ed25519"),
		"printed as text too": openssl(t, rsaKey, "pkey", "-text"),
	} {
		key, err := ParsePrivateKey([]byte(text))
		require.NoError(t, err, name)
		got, err := MarshalPublicKey(key.Public())
		require.NoError(t, err, name)
		want := openssl(t, text, "pkey", "-pubout")
		assert.Equal(t, want, got, name)

		again, err := MarshalPrivateKey(key)
		require.NoError(t, err, name)
		assert.Equal(t, want, openssl(t, again.Reveal(), "pkey", "-pubout"), "the key as written by MarshalPrivateKey")
	}
	assertRefused(t, []reject{
		{"EC with its parameters", openssl(t, "", "ecparam", "-name", "secp256k1", "-genkey"), "EC key"},
		{"EC on a curve that Go lacks", gen("EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"), "genpkey -algorithm ed25519"},
		{"RSASSA-PSS without parameters", gen("RSA-PSS"), "RSASSA-PSS"},
		{"Ed448", gen("ED448"), "damaged, or for neither RSA nor Ed25519"},
	})
}

func FuzzParsePrivateKey(f *testing.F) {
	for _, kt := range goodKeyTexts(f) {
		for _, m := range mangles {
			f.Add([]byte(m.mangle(kt.text)))
		}
	}
	for _, r := range rejects(f) {
		f.Add([]byte(r.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := ParsePrivateKey(data)
		if err != nil {
			assert.Nil(t, key)
			assertInvalid(t, err)
			assertNoEcho(t, string(data), err)
			return
		}
		text, err := MarshalPrivateKey(key)
		require.NoError(t, err)
		again, err := text.Parse()
		require.NoError(t, err)
		assertSameKey(t, key, again)
	})
}
