package kalshi

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewSigner_rejectsKeys(t *testing.T) {
	t.Parallel()
	for name, key := range unusableSigners(t) {
		t.Run(name, func(t *testing.T) {
			assert.NotPanics(t, func() {
				signer, err := NewSigner(testKeyID, key)
				assert.Nil(t, signer)
				assertInvalid(t, err, "private key")
			})
		})
	}
}

func TestNewSignerFromPEM(t *testing.T) {
	t.Parallel()
	for _, kt := range goodKeyTexts(t) {
		signer, err := NewSignerFromPEM(testKeyID, []byte(kt.text))
		require.NoError(t, err, kt.name)
		assertSameKey(t, kt.key, signer.cred.Load().key)
	}
	_, err := NewSignerFromPEM(testKeyID, nil)
	assertInvalid(t, err, "private key")
}

// A missing field, or a time in another form, is an error here and not a refused logon later.
func TestSigner_SignFIXLogon(t *testing.T) {
	t.Parallel()
	const sendingTime = "20261015-07:08:09.010"
	for keyType, key := range testKeys(t) {
		signer := newTestSigner(t, key)
		signature, err := signer.SignFIXLogon(sendingTime, 1, "KalshiNR")
		require.NoError(t, err, keyType)
		assertVerifies(t, key.Public(), sendingTime+"\x01A\x011\x01"+testKeyID+"\x01KalshiNR", signature)
		signature, err = signer.SignFIXLogon("20280229-23:59:59.999", 1234567, "K")
		require.NoError(t, err, "29 February of a leap year")
		assertVerifies(t, key.Public(), "20280229-23:59:59.999\x01A\x011234567\x01"+testKeyID+"\x01K", signature)
	}
	signer := newTestSigner(t, newEd25519Key(t))
	for _, tt := range []struct {
		sendingTime string
		msgSeqNum   int
		target      string
		field       string
	}{
		{"", 1, "K", "sendingTime"},
		{"20261015-07:08:09", 1, "K", "sendingTime"},
		{"20261015-07:08:09.010123", 1, "K", "sendingTime"},
		{"2026-10-15T07:08:09.010", 1, "K", "sendingTime"},
		{"20261015-07:08:09,010", 1, "K", "sendingTime"}, // which time.Parse takes
		{"20261015-07:08:60.000", 1, "K", "sendingTime"}, // a leap second
		{"20261015-07:08:09.0\x010", 1, "K", "sendingTime"},
		{sendingTime, 0, "K", "msgSeqNum"},
		{sendingTime, 1, "", "targetCompID"},
		{sendingTime, 1, "K\x01", "targetCompID"},
	} {
		signature, err := signer.SignFIXLogon(tt.sendingTime, tt.msgSeqNum, tt.target)
		assert.Empty(t, signature)
		assertInvalid(t, err, "kalshi: "+tt.field+" ")
	}
}

// SignRequest signs the method and the escaped path, without the query. Headers signs the same.
func TestSigner_SignRequest(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, method, url, want string }{
		{"get", "GET", "https://x.test/trade-api/v2/api_keys", "GET/trade-api/v2/api_keys"},
		{"post", "POST", "https://x.test:8443/trade-api/v2/api_keys", "POST/trade-api/v2/api_keys"},
		{"an empty method is GET", "", "https://x.test/a", "GET/a"},
		{"no query", "GET", "https://x.test/a?limit=5&path=/b?c", "GET/a"},
		{"no empty query", "GET", "https://x.test/a?", "GET/a"},
		{"no fragment", "GET", "https://x.test/a#b", "GET/a"},
		{"escapes stay", "DELETE", "https://x.test/api_keys/a%2Fb%20c%3Fd", "DELETE/api_keys/a%2Fb%20c%3Fd"},
		{"escaped where it must be", "GET", "https://x.test/käse und brot", "GET/k%C3%A4se%20und%20brot"},
		{"no path is the root", "GET", "https://x.test?a=b", "GET/"},
		{"a slash at the end", "GET", "https://x.test/a/", "GET/a/"},
		{"no prefix is added", "GET", "https://x.test/portfolio/balance", "GET/portfolio/balance"},
		{"a WebSocket handshake", "GET", "wss://x.test" + WebSocketPath, "GET/trade-api/ws/v2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) { // stops the clock
				key := newEd25519Key(t)
				signer := newTestSigner(t, key)
				u, err := url.Parse(tt.url)
				require.NoError(t, err)
				req := &http.Request{Method: tt.method, URL: u} // and no Header
				for range 2 {                                   // the second time it replaces its own headers
					require.NoError(t, signer.SignRequest(req))
				}
				h, err := signer.Headers(tt.method, u.RequestURI())
				require.NoError(t, err)
				for _, h := range []http.Header{req.Header, h} {
					assert.Equal(t, time.Now().UnixMilli(), assertSigned(t, key.Public(), h, tt.want).UnixMilli())
					assert.Len(t, h, 3)
					assert.Len(t, h[headerSignature], 1)
				}
				assert.Equal(t, tt.method, req.Method)
			})
		})
	}
}

func TestSigner_nothingToSign(t *testing.T) {
	t.Parallel()
	signer := newTestSigner(t, newEd25519Key(t))
	assertInvalid(t, signer.SignRequest(nil), "request")
	assertInvalid(t, signer.SignRequest(&http.Request{}), "request")
	for _, path := range []string{"", "trade-api/v2/api_keys", "?a=/b", "https://x.test/a", " /a"} {
		h, err := signer.Headers("GET", path)
		assert.Nil(t, h)
		assertInvalid(t, err, "kalshi: path does not start with a slash")
	}
}

// A KMS gets the same input as a key in memory, with options that say what to do.
func TestSigner_SignText(t *testing.T) {
	t.Parallel()
	for keyType, key := range testKeys(t) {
		remote := &remoteKey{key: key}
		for _, text := range []string{"", "ключ\x01A", strings.Repeat("long", 1000)} {
			for _, key := range []crypto.Signer{key, remote} {
				signer := newTestSigner(t, key)
				assert.Equal(t, testKeyID+" "+string(keyType), signer.KeyID()+" "+string(signer.KeyType()))
				signature, err := signer.SignText(text)
				require.NoError(t, err, keyType)
				assertVerifies(t, key.Public(), text, signature)
			}
			if keyType == KeyTypeRSA {
				want := sha256.Sum256([]byte(text))
				assert.Equal(t, want[:], remote.signed)
				assert.Equal(t, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}, remote.opts)
			} else {
				assert.Equal(t, text, string(remote.signed))
				assert.Equal(t, crypto.Hash(0), remote.opts.HashFunc())
			}
		}
	}
}

// Signatures judged by another program.
func TestSigner_SignText_openSSL(t *testing.T) {
	t.Parallel()
	const text = "1795378769559GET/trade-api/ws/v2"
	for keyType, key := range testKeys(t) {
		t.Run(string(keyType), func(t *testing.T) {
			t.Parallel()
			encoded, err := newTestSigner(t, key).SignText(text)
			require.NoError(t, err)
			signature, err := base64.StdEncoding.DecodeString(encoded)
			require.NoError(t, err)
			public, err := MarshalPublicKey(key.Public())
			require.NoError(t, err)
			dir := t.TempDir()
			file := func(name, content string) string {
				path := filepath.Join(dir, name)
				require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
				return path
			}
			keyFile, textFile, signatureFile := file("key.pem", public), file("text", text), file("signature", string(signature))
			args := []string{"pkeyutl", "-verify", "-pubin", "-inkey", keyFile, "-rawin", "-in", textFile, "-sigfile", signatureFile}
			if keyType == KeyTypeRSA {
				args = []string{"dgst", "-sha256", "-verify", keyFile, "-signature", signatureFile,
					"-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32", "-sigopt", "rsa_mgf1_md:sha256", textFile}
			}
			assert.Contains(t, openssl(t, "", args...), "Verif") // "Verified OK" or "Signature Verified Successfully"
		})
	}
}

// signErrors has a signer sign in every way, and returns the errors.
func signErrors(t testing.TB, signer *Signer) []error {
	t.Helper()
	req := httptest.NewRequest(http.MethodGet, "https://x.test/a", nil)
	h, headersErr := signer.Headers("GET", "/a")
	text, textErr := signer.SignText("text")
	logon, logonErr := signer.SignFIXLogon("20261015-07:08:09.010", 1, "K")
	requestErr := signer.SignRequest(req)
	assert.Empty(t, h)
	assert.Empty(t, text+logon)
	assert.Empty(t, req.Header, "half a signature")
	return []error{requestErr, headersErr, textErr, logonErr}
}

func TestSigner_remoteKeyFails(t *testing.T) {
	t.Parallel()
	errKMS := errors.New("the KMS is away")
	for _, err := range signErrors(t, newTestSigner(t, &remoteKey{key: testRSAKey(), err: errKMS})) {
		assert.EqualError(t, err, "kalshi: the key "+testKeyID+" could not sign: the KMS is away")
		assert.ErrorIs(t, err, errKMS)
	}
}

// The text of a key manager's error is made safe for a log. Nothing is sent.
func TestSigner_remoteKeyFails_sanitizes(t *testing.T) {
	t.Parallel()
	text, err := MarshalPrivateKey(newEd25519Key(t))
	require.NoError(t, err)
	block := text.Reveal()
	for _, long := range []string{
		strings.Repeat("request 17\nfailed\x1b[31m\r\n", 200),
		"cannot sign with " + block,
		strings.Repeat("x\n", 700) + block + strings.Repeat("x\n", 2000),
	} {
		errKMS := errors.New(long)
		signer := newTestSigner(t, &remoteKey{key: newEd25519Key(t), err: errKMS})
		_, err := signer.SignText("text")
		require.ErrorIs(t, err, errKMS)
		client, mock := newTestClient(t)
		client.signer = signer
		for _, call := range apiCalls() {
			err := call.do(t.Context(), client)
			assert.ErrorIs(t, err, errKMS)
			assert.False(t, isA[*OutcomeUnknownError](err))
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				assertClean(t, cause.Error())
				assertNoEcho(t, block, cause)
			}
		}
		assert.Zero(t, mock.GetTotalCallCount())
	}
}

func TestSigner_zeroValue(t *testing.T) {
	t.Parallel()
	for _, signer := range []*Signer{nil, new(Signer)} {
		assert.Empty(t, signer.KeyID())
		assert.Empty(t, signer.KeyType())
		_, clientErr := NewClient(signer)
		for _, err := range append(signErrors(t, signer), clientErr) {
			assertInvalid(t, err, "signer", "NewSigner")
		}
		assert.Equal(t, `kalshi.Signer{KeyID: "", KeyType: ""}`, fmt.Sprint(signer))
		assert.NotPanics(t, func() { _ = signer.LogValue() })
		assertInvalid(t, signer.Replace(credentials(t, otherKeyID, newEd25519Key(t))), "kalshi: signer ", "NewSigner")
		assertInvalid(t, signer.Reload(t.Context()), "kalshi: signer has no key source")
	}
}

// While the key is replaced, each signature belongs to the key that it names.
func TestSigner_concurrent(t *testing.T) {
	t.Parallel()
	keys := map[string]ed25519.PrivateKey{testKeyID: newEd25519Key(t), otherKeyID: newEd25519Key(t)}
	signer := newTestSigner(t, keys[testKeyID])
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				h, err := signer.Headers("GET", "/a")
				assert.NoError(t, err)
				assertVerifies(t, keys[h.Get(headerKey)].Public(), h.Get(headerTimestamp)+"GET/a", h.Get(headerSignature))
			}
		})
	}
	for range 100 {
		for id, key := range keys {
			assert.NoError(t, signer.Replace(credentials(t, id, key)))
			_ = fmt.Sprint(signer)
		}
	}
	wg.Wait()
}

var errSource = errors.New("no connection to the secret manager")

// Whatever the source returns is taken, a new handle for the same key, too: an
// HSM may have reconnected.
func TestSigner_Reload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		key, other := newEd25519Key(t), newEd25519Key(t)
		results := []Credentials{
			credentials(t, "first", key), credentials(t, "first", &remoteKey{key: key}),
			credentials(t, "first", other), credentials(t, "second", other), {},
		}
		signer, err := NewSignerFromSource(t.Context(), func(ctx context.Context) (c Credentials, err error) {
			_, limited := ctx.Deadline()
			assert.True(t, limited, "a query ends")
			if len(results) == 0 {
				return c, errSource
			}
			c, results = results[0], results[1:]
			return c, nil
		})
		require.NoError(t, err)
		for range 3 { // however soon
			want := results[0]
			require.NoError(t, signer.Reload(t.Context()))
			assert.Equal(t, want.KeyID(), signer.KeyID())
			assert.Equal(t, want.PrivateKey(), signer.cred.Load().key)
		}
		assert.ErrorContains(t, signer.Reload(t.Context()), "kalshi: the key source failed: credentials are empty")
		assert.ErrorIs(t, signer.Reload(t.Context()), errSource)
		assertInvalid(t, signer.Replace(Credentials{}), "kalshi: credentials are empty")
		assert.Equal(t, "second", signer.KeyID(), "what it has still signs")
	})
	assertInvalid(t, newTestSigner(t, newEd25519Key(t)).Reload(t.Context()), "kalshi: signer has no key source")
}
