package kalshi

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

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

// pkcs8v2 returns an Ed25519 key with its public key attached, as RFC 5958
// defines it and as older software encodes it.
func pkcs8v2(t testing.TB, key ed25519.PrivateKey) map[string][]byte {
	t.Helper()
	der, public := pkcs8(t, key), key.Public().(ed25519.PublicKey)
	der[4] = 1 // the version
	withPublic := func(header ...byte) []byte {
		all := slices.Concat(der, header, public)
		all[1] = byte(len(all) - 2)
		return all
	}
	return map[string][]byte{
		"implicit tag": withPublic(0x81, 0x21, 0),
		"explicit tag": withPublic(0xa1, 0x23, 0x03, 0x21, 0),
	}
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

// mangles are what environment variables, editors and people do to PEM text.
var mangles = []struct {
	name   string
	mangle func(text string) string
}{
	{"unchanged", func(s string) string { return s }},
	{"line ends as two characters", replace("\n", `\n`)},
	{"CRLF as four characters", replace("\n", `\r\n`)},
	{"CRLF", replace("\n", "\r\n")},
	{"byte-order mark", func(s string) string { return "\ufeff" + s }},
	{"single quotes", func(s string) string { return "'" + s + "'" }},
	{"quotes and escapes, as in a dotenv file", func(s string) string { return `"` + strings.ReplaceAll(s, "\n", `\n`) + `"` }},
	{"escaped quotes", func(s string) string { return `\"` + strings.ReplaceAll(s, "\n", `\\n`) + `\"` }},
	{"one line with blanks", replace("\n", " ")},
	{"one line without any blanks", func(s string) string { return strings.Join(strings.Fields(s), "") }},
	{"blanks as line ends", replace(" ", "\n")},
	{"indented with tabs", func(s string) string { return "\t" + strings.ReplaceAll(s, "\n", "\n\t") }},
	{"tabs as two characters", replace("\n", `\n\t`)},
	{"lines continued with a backslash", replace("\n", "\\\n")},
	{"slashes escaped", replace("/", `\/`)},
	{"no-break spaces", replace("\n", "\u00a0\n")},
	{"text around", func(s string) string { return "Bag Attributes\n    friendlyName: bot\n" + s + "# keep this safe\n" }},
	{"a value in JSON", func(s string) string { return `{"private_key":"` + strings.ReplaceAll(s, "\n", `\n`) + `","id":"x"}` }},
	{"other blocks around", func(s string) string {
		return encodePEM("CERTIFICATE", []byte("some bytes")) + s + encodePEM("PUBLIC KEY", []byte("more bytes"))
	}},
	{"the other label", func(s string) string {
		if strings.Contains(s, " RSA ") {
			return strings.ReplaceAll(s, " RSA ", " ")
		}
		return strings.NewReplacer("BEGIN ", "BEGIN RSA ", "END ", "END RSA ").Replace(s)
	}},
}

func replace(old, by string) func(string) string {
	return func(s string) string { return strings.ReplaceAll(s, old, by) }
}

func TestParsePrivateKey_mangled(t *testing.T) {
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

func TestParsePrivateKey_PKCS8v2(t *testing.T) {
	t.Parallel()
	key := newEd25519Key(t)
	for name, der := range pkcs8v2(t, key) {
		got, err := ParsePrivateKey([]byte(encodePEM("PRIVATE KEY", der)))
		require.NoError(t, err, name)
		assertSameKey(t, key, got)
	}
}

// A refusal is a text that is not a usable key, with words that the error must
// contain: what it is and how to fix it.
type refusal struct {
	name, text string
	words      []string
}

// rsaPSSOnly returns a key whose algorithm is RSASSA-PSS instead of RSA.
func rsaPSSOnly(t testing.TB) string {
	t.Helper()
	der, err := asn1.Marshal(struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		PrivateKey []byte
	}{0, pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}}, x509.MarshalPKCS1PrivateKey(testRSAKey())})
	require.NoError(t, err)
	return encodePEM("PRIVATE KEY", der)
}

func certificate(t testing.TB, key crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return encodePEM("CERTIFICATE", der)
}

func refusals(t testing.TB) []refusal {
	t.Helper()
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	require.NoError(t, err)
	xKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	edKey := newEd25519Key(t)
	spki, err := x509.MarshalPKIXPublicKey(edKey.Public())
	require.NoError(t, err)
	edDER := pkcs8(t, edKey)
	edText := encodePEM("PRIVATE KEY", edDER)
	legacy := string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: edDER,
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00112233445566778899AABBCCDDEEFF"}}))
	encrypted := encodePEM("ENCRYPTED PRIVATE KEY", edDER)
	openSSH := encodePEM("OPENSSH PRIVATE KEY", append([]byte("openssh-key-v1\x00"), edDER...))

	cut, public, noBlock := []string{"cut off", "copy the whole PEM"}, []string{"public key", "use the private key"}, []string{"no BEGIN PRIVATE KEY line", "name of its file"}
	ec, small := []string{"EC key", "genpkey -algorithm ed25519"}, "RSA needs at least 2048"
	decrypt := []string{"is encrypted", "decrypt it with `openssl pkey"}
	return []refusal{
		{"empty", "", []string{"is empty", "use the PEM text"}},
		{"escaped line ends alone", `\n\n`, []string{"is empty"}},
		{"encrypted PKCS#8", encrypted, decrypt},
		{"encrypted in the old form", legacy, decrypt},
		{"OpenSSH", openSSH, []string{"OpenSSH", "make an Ed25519 key with `openssl genpkey -algorithm ed25519`"}},
		{"public key", encodePEM("PUBLIC KEY", spki), public},
		{"OpenSSH public key", "ssh-ed25519 " + base64.StdEncoding.EncodeToString(spki) + " me@host\n", public},
		{"certificate", certificate(t, edKey), []string{"certificate", "use the private key"}},
		{"EC in SEC1", encodePEM("EC PRIVATE KEY", sec1), ec},
		{"EC in SEC1 under another label", encodePEM("PRIVATE KEY", sec1), ec},
		{"EC in PKCS#8", encodePEM("PRIVATE KEY", pkcs8(t, ecKey)), ec},
		{"RSASSA-PSS only", rsaPSSOnly(t), []string{"RSASSA-PSS", "make a plain RSA key"}},
		{"RSA 1024", encodePEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsa1024)), []string{"1024 bits", small}},
		{"RSA 8200", encodePEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(largeRSAKey(t))), []string{"at most 8192"}},
		{"X25519", encodePEM("PRIVATE KEY", pkcs8(t, xKey)), []string{"key exchange", "genpkey -algorithm ed25519"}},
		{"two private keys", edText + edText, []string{"more than one private key", "keep only the one"}},
		{"a plain and an encrypted key", edText + encrypted, decrypt},
		{"a file's name", "/home/somebody/keys/exchange-prod.pem", noBlock},
		{"bare base64", base64.StdEncoding.EncodeToString(edDER), noBlock},
		{"another kind of block", encodePEM("SOMETHING ELSE", edDER), noBlock},
		{"a body that is not base64", strings.Replace(edText, "MC4", "M*4", 1), cut},
		{"a body that is not ASN.1", encodePEM("PRIVATE KEY", []byte("this is not a private key at all")), cut},
		{"an empty block", encodePEM("PRIVATE KEY", nil), cut},
		{"no BEGIN line", strings.TrimPrefix(edText, "-----BEGIN PRIVATE KEY-----"), cut},
		{"PKCS#8 with a damaged RSA key", encodePEM("PRIVATE KEY", brokenPKCS8(t)), []string{"neither a valid RSA nor a valid Ed25519 key"}},
	}
}

// brokenPKCS8 returns a valid PKCS#8 wrapper around a damaged RSA key.
func brokenPKCS8(t testing.TB) []byte {
	t.Helper()
	der := pkcs8(t, testRSAKey())
	der[len(der)-100] ^= 0xff
	return der
}

func TestParsePrivateKey_refuses(t *testing.T) {
	t.Parallel()
	for _, r := range refusals(t) {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			key, err := ParsePrivateKey([]byte(r.text))
			assert.Nil(t, key)
			require.Error(t, err)
			assertInvalid(t, err, append(r.words, "kalshi: private key ")...)
			assertNoEcho(t, r.text, err)
		})
	}
}

func TestParsePrivateKey_cutOff(t *testing.T) {
	t.Parallel()
	for _, kt := range goodKeyTexts(t) {
		first := strings.Index(kt.text, "\n") + 1
		last := strings.LastIndex(kt.text, "-----END")
		head, body, tail := kt.text[:first], kt.text[first:last], kt.text[last:]
		check := func(t *testing.T, text string, place int) {
			t.Helper()
			key, err := ParsePrivateKey([]byte(text))
			if err == nil || key != nil {
				t.Fatalf("an incomplete key was accepted, cut at %d", place)
			}
			assertInvalid(t, err)
			assertNoEcho(t, text, err)
		}
		t.Run(kt.name, func(t *testing.T) {
			t.Parallel()
			for i := range len(head) + len(body) {
				check(t, kt.text[:i], i) // without its end
			}
			for i := 1; i < len(kt.text)-len(tail); i++ {
				check(t, kt.text[i+len("-----BEGIN"):], i) // without its start
			}
			compact := strings.ReplaceAll(body, "\n", "")
			enough := len(strings.TrimRight(compact, "=")) // padding is not needed
			for i := range enough {
				check(t, head+compact[:i]+"\n"+tail, i) // with both lines and part of the body
			}
		})
	}
}

// Parsing an RSA key takes quadratic time, and the key may come from the
// service.
func TestParsePrivateKey_tooLong(t *testing.T) {
	t.Parallel()
	long := &pem.Block{Type: privateKeyMark, Bytes: append([]byte{0x30, 0x83, 1, 0, 0}, make([]byte, 1<<16)...)}
	_, err := ParsePrivateKey(pem.EncodeToMemory(long))
	assertInvalid(t, err, "is too long", "at most 8192 bits")
}

// largeRSAKey returns a key of 8200 bits. Its many primes make it cheap.
func largeRSAKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	const primes, bits = 20, 8200
	one, phi := big.NewInt(1), big.NewInt(1)
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: big.NewInt(1), E: 65537}}
	for range primes {
		p, err := rand.Prime(rand.Reader, bits/primes)
		require.NoError(t, err)
		key.Primes = append(key.Primes, p)
		key.N.Mul(key.N, p)
		phi.Mul(phi, new(big.Int).Sub(p, one))
	}
	key.D = new(big.Int).ModInverse(big.NewInt(int64(key.E)), phi)
	return key
}

func TestMarshalPublicKey(t *testing.T) {
	t.Parallel()
	for _, kt := range goodKeyTexts(t) {
		text, err := MarshalPublicKey(kt.key.Public())
		require.NoError(t, err, kt.name)
		block, rest := pem.Decode([]byte(text))
		require.NotNil(t, block, kt.name)
		assert.Equal(t, "PUBLIC KEY", block.Type)
		assert.Empty(t, rest)
		got, err := x509.ParsePKIXPublicKey(block.Bytes)
		require.NoError(t, err, kt.name)
		assert.Equal(t, kt.key.Public(), got)
	}
}

// rsaPublicKey returns an RSA public key of that size, which nobody can use.
func rsaPublicKey(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}
}

func TestMarshalPublicKey_limits(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{2048, 8192} {
		_, err := MarshalPublicKey(rsaPublicKey(bits))
		assert.NoError(t, err, bits)
	}
	for bits, word := range map[int]string{2047: "at least 2048", 8193: "at most 8192"} {
		_, err := MarshalPublicKey(rsaPublicKey(bits))
		assertInvalid(t, err, strconv.Itoa(bits)+" bits", word)
	}
}

// unusableSigners are keys that every function must reject.
func unusableSigners(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	return map[string]crypto.Signer{
		"nil":                        nil,
		"nil *rsa.PrivateKey":        (*rsa.PrivateKey)(nil),
		"nil *ecdsa.PrivateKey":      (*ecdsa.PrivateKey)(nil),
		"nil *ed25519.PrivateKey":    (*ed25519.PrivateKey)(nil),
		"nil ed25519.PrivateKey":     ed25519.PrivateKey(nil),
		"short ed25519.PrivateKey":   newEd25519Key(t)[:ed25519.SeedSize-1],
		"an Ed25519 seed":            newEd25519Key(t)[:ed25519.SeedSize],
		"*ed25519.PrivateKey to nil": new(ed25519.PrivateKey),
		"zero *rsa.PrivateKey":       new(rsa.PrivateKey),
		"RSA 1024":                   rsa1024,
		"RSA 8193":                   &remoteKey{key: &rsa.PrivateKey{PublicKey: *rsaPublicKey(8193)}},
		"EC":                         ecKey,
	}
}

func TestMarshalPublicKey_refuses(t *testing.T) {
	t.Parallel()
	for name, key := range unusableSigners(t) {
		t.Run(name, func(t *testing.T) {
			text, err := MarshalPublicKey(key)
			assert.Empty(t, text)
			assertInvalid(t, err, "public key")
		})
	}
	xKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	require.NoError(t, err)
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tests := []struct {
		name string
		pub  crypto.PublicKey
		word string
	}{
		{"RSA private key", testRSAKey(), "pass its Public()"},
		{"Ed25519 private key", newEd25519Key(t), "pass its Public()"},
		{"RSA public key by value", testRSAKey().PublicKey, "neither"},
		{"nil *rsa.PublicKey", (*rsa.PublicKey)(nil), "modulus"},
		{"short Ed25519", newEd25519Key(t).Public().(ed25519.PublicKey)[:31], "31 bytes"},
		{"EC", ecKey.Public(), "EC key"},
		{"X25519", xKey.PublicKey(), "neither"},
	}
	for _, tt := range tests {
		t.Run("public/"+tt.name, func(t *testing.T) {
			text, err := MarshalPublicKey(tt.pub)
			assert.Empty(t, text)
			assertInvalid(t, err, tt.word)
		})
	}
}

func TestMarshalPrivateKey(t *testing.T) {
	t.Parallel()
	for _, kt := range goodKeyTexts(t) {
		text, err := MarshalPrivateKey(kt.key)
		require.NoError(t, err, kt.name)
		block, rest := pem.Decode([]byte(text.Reveal()))
		require.NotNil(t, block, kt.name)
		assert.Equal(t, "PRIVATE KEY", block.Type)
		assert.Empty(t, rest)
		got, err := text.Parse()
		require.NoError(t, err, kt.name)
		assertSameKey(t, kt.key, got)
	}
}

func TestMarshalPrivateKey_pointer(t *testing.T) {
	t.Parallel()
	key := newEd25519Key(t)
	text, err := MarshalPrivateKey(&key)
	require.NoError(t, err)
	got, err := text.Parse()
	require.NoError(t, err)
	assertSameKey(t, key, got)
}

func TestMarshalPrivateKey_refuses(t *testing.T) {
	t.Parallel()
	signers := unusableSigners(t)
	signers["in a KMS"] = &remoteKey{key: newEd25519Key(t)}
	for name, key := range signers {
		t.Run(name, func(t *testing.T) {
			var text PrivateKeyPEM
			var err error
			assert.NotPanics(t, func() { text, err = MarshalPrivateKey(key) })
			assert.Empty(t, text.Reveal())
			assertInvalid(t, err, "private key")
		})
	}
}

// isOpenSSL reports whether openssl is not LibreSSL, which macOS installs under
// the same name.
var isOpenSSL = sync.OnceValue(func() bool {
	out, err := exec.Command("openssl", "version").Output()
	return err == nil && strings.HasPrefix(string(out), "OpenSSL ")
})

// openssl runs the command with stdin and returns its output. It skips the
// test if OpenSSL is not installed.
func openssl(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not on PATH")
	}
	if !isOpenSSL() {
		t.Skip("this openssl is LibreSSL, which lacks some key types")
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
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
	rsaKey := openssl(t, "", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
	tests := []struct{ name, text string }{
		{"RSA in PKCS#8", rsaKey},
		{"RSA in PKCS#1", openssl(t, rsaKey, "rsa", "-traditional")},
		{"Ed25519", openssl(t, "", "genpkey", "-algorithm", "ed25519")},
		{"PKCS#12 output, with text around", "Bag Attributes: <No Attributes>\nKey Attributes\n" + rsaKey},
		{"printed as text too", openssl(t, rsaKey, "pkey", "-text")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, err := ParsePrivateKey([]byte(tt.text))
			require.NoError(t, err)
			got, err := MarshalPublicKey(key.Public())
			require.NoError(t, err)
			want := openssl(t, tt.text, "pkey", "-pubout")
			assert.Equal(t, want, got)

			again, err := MarshalPrivateKey(key)
			require.NoError(t, err)
			assert.Equal(t, want, openssl(t, again.Reveal(), "pkey", "-pubout"), "the key as written by MarshalPrivateKey")
		})
	}
}

func TestParsePrivateKey_refusesOpenSSL(t *testing.T) {
	t.Parallel()
	gen := func(algorithm string, args ...string) string {
		return openssl(t, "", append([]string{"genpkey", "-algorithm", algorithm}, args...)...)
	}
	rsaKey, edKey := gen("RSA", "-pkeyopt", "rsa_keygen_bits:2048"), gen("ed25519")
	tests := []refusal{
		{"encrypted PKCS#8", openssl(t, edKey, "pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "pass:test"), []string{"is encrypted"}},
		{"encrypted in the old form", openssl(t, rsaKey, "rsa", "-traditional", "-aes128", "-passout", "pass:test"), []string{"is encrypted"}},
		{"EC with its parameters", openssl(t, "", "ecparam", "-name", "prime256v1", "-genkey"), []string{"EC key"}},
		{"EC in SEC1 on a curve that Go lacks", openssl(t, "", "ecparam", "-name", "secp256k1", "-genkey", "-noout"), []string{"EC key"}},
		{"EC on a curve that Go lacks", gen("EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"), []string{"genpkey -algorithm ed25519"}},
		{"RSASSA-PSS with parameters", gen("RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", "-pkeyopt", "rsa_pss_keygen_md:sha256", "-pkeyopt", "rsa_pss_keygen_saltlen:32"), []string{"RSASSA-PSS"}},
		{"RSA 512", gen("RSA", "-pkeyopt", "rsa_keygen_bits:512"), []string{"512 bits"}},
		{"Ed448", gen("ED448"), []string{"neither a valid RSA nor a valid Ed25519 key"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			key, err := ParsePrivateKey([]byte(tt.text))
			assert.Nil(t, key)
			require.Error(t, err)
			assertInvalid(t, err, tt.words...)
			assertNoEcho(t, tt.text, err)
		})
	}
}

func FuzzParsePrivateKey(f *testing.F) {
	for _, kt := range goodKeyTexts(f) {
		for _, m := range mangles {
			f.Add([]byte(m.mangle(kt.text)))
		}
	}
	for _, r := range refusals(f) {
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
