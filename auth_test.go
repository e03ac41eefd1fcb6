package kalshi

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"context"
	"io/fs"
	"sync/atomic"

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

// Whatever can stand in a header is left to the service.
func TestNewSigner_rejectsIDs(t *testing.T) {
	t.Parallel()
	key := newEd25519Key(t)
	_, err := NewSigner("!key-of/1~", key)
	require.NoError(t, err)
	const bad = "has blanks, control or non-ASCII characters"
	for id, want := range map[string]string{
		"": "is empty", "a b": bad, testKeyID + "\n": bad, "a\r\nX-Evil: 1": bad, "a\x00b": bad, "a\x7f": bad, "a\u00a0b": bad, "a\u200bb": bad, "a\xff": bad,
	} {
		signer, err := NewSigner(id, key)
		assert.Nil(t, signer)
		assertInvalid(t, err, "kalshi: key ID "+want)
	}
}

func TestNewSignerFromPEM(t *testing.T) {
	t.Parallel()
	for _, kt := range goodKeyTexts(t) {
		signer, err := NewSignerFromPEM(testKeyID, []byte(kt.text))
		require.NoError(t, err, kt.name)
		assert.Equal(t, testKeyID, signer.KeyID())
		signature, err := signer.SignText("text")
		require.NoError(t, err)
		assertVerifies(t, kt.key.Public(), "text", signature)

		signer, err = NewSignerFromPEM("a b", []byte(kt.text))
		assert.Nil(t, signer)
		assertInvalid(t, err, "key ID")
	}
	signer, err := NewSignerFromPEM(testKeyID, nil)
	assert.Nil(t, signer)
	assertInvalid(t, err, "private key")
}

// A FIX logon is signed over five fields with SOH between them. Who forgets a
// field or writes a time of his own learns it here and not from a refused
// logon.
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
		{"20261015-07:08:09.01", 1, "K", "sendingTime"},
		{"20261015-07:08:09.010123", 1, "K", "sendingTime"},
		{"20261015-07:08:09,010", 1, "K", "sendingTime"},
		{"20261015-07:08:09.010Z", 1, "K", "sendingTime"},
		{" 20261015-07:08:09.01", 1, "K", "sendingTime"},
		{"2026-10-15T07:08:09.010", 1, "K", "sendingTime"},
		{"20261015 07:08:09.010", 1, "K", "sendingTime"},
		{"20261015-7:08:09.0100", 1, "K", "sendingTime"},
		{"20260229-07:08:09.010", 1, "K", "sendingTime"}, // no leap year
		{"20261315-07:08:09.010", 1, "K", "sendingTime"},
		{"20261015-24:00:00.000", 1, "K", "sendingTime"},
		{"20261015-07:08:60.000", 1, "K", "sendingTime"}, // a leap second
		{"20261015-07:08:09.0\x010", 1, "K", "sendingTime"},
		{sendingTime, 0, "K", "msgSeqNum"},
		{sendingTime, -1, "K", "msgSeqNum"},
		{sendingTime, 1, "", "targetCompID"},
		{sendingTime, 1, "K\x01", "targetCompID"},
	} {
		signature, err := signer.SignFIXLogon(tt.sendingTime, tt.msgSeqNum, tt.target)
		assert.Empty(t, signature)
		assertInvalid(t, err, "kalshi: "+tt.field+" ")
	}
}

// What is signed of a URL, and of its path and query for Headers.
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
				require.NoError(t, signer.SignRequest(req))
				h, err := signer.Headers(tt.method, u.RequestURI())
				require.NoError(t, err)
				for _, h := range []http.Header{req.Header, h} {
					assert.Equal(t, time.Now().UnixMilli(), assertSigned(t, key.Public(), h, tt.want).UnixMilli())
					assert.Len(t, h, 3)
				}
				assert.Equal(t, tt.method, req.Method)
			})
		})
	}
}

// A URL whose opaque part has a host is sent as the path behind it.
func TestSigner_SignRequest_opaque(t *testing.T) {
	t.Parallel()
	key := newEd25519Key(t)
	signer := newTestSigner(t, key)
	for opaque, want := range map[string]string{
		"//x.test/a%2Fb":   "GET/a%2Fb",
		"//x.test:8443/a/": "GET/a/",
		"//x.test":         "GET/",
		"/a%2Fb":           "GET/a%2Fb",
	} {
		req := &http.Request{Method: "GET", URL: &url.URL{Scheme: "https", Host: "x.test", Opaque: opaque, RawQuery: "c=/d"}}
		require.NoError(t, signer.SignRequest(req))
		assertSigned(t, key.Public(), req.Header, want)
	}
}

func TestSigner_SignRequest_keepsOtherHeaders(t *testing.T) {
	t.Parallel()
	key := newEd25519Key(t)
	signer := newTestSigner(t, key)
	req := httptest.NewRequest(http.MethodGet, "https://x.test/a", nil)
	req.Header.Set("Accept", "application/json")
	for range 2 { // the second time it replaces its own
		require.NoError(t, signer.SignRequest(req))
	}
	assert.Len(t, req.Header, 4)
	assert.Equal(t, "application/json", req.Header.Get("Accept"))
	for name, values := range req.Header {
		assert.Len(t, values, 1, name)
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

// A KMS signs as a key in memory does. It decides by these options what to do.
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

func TestSigner_remoteKeyFails(t *testing.T) {
	t.Parallel()
	errKMS := errors.New("the KMS is away")
	for want, key := range map[string]*remoteKey{
		errKMS.Error():    {key: testRSAKey(), err: errKMS},
		"empty signature": {key: newEd25519Key(t), empty: true},
	} {
		signer := newTestSigner(t, key)
		req := httptest.NewRequest(http.MethodGet, "https://x.test/a", nil)
		h, headersErr := signer.Headers("GET", "/a")
		text, textErr := signer.SignText("text")
		logon, logonErr := signer.SignFIXLogon("20261015-07:08:09.010", 1, "K")
		assert.Empty(t, h)
		assert.Empty(t, text+logon)
		for _, err := range []error{signer.SignRequest(req), headersErr, textErr, logonErr} {
			assert.ErrorContains(t, err, "kalshi: the key "+testKeyID)
			assert.ErrorContains(t, err, want)
			assert.Equal(t, key.err != nil, errors.Is(err, errKMS))
		}
		assert.Empty(t, req.Header, "half a signature")
	}
}

// What a key manager says is made safe for a log. Nothing is sent.
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

// One pointer for all would let a key change what others are asked to sign.
func TestSigner_optionsAreItsOwn(t *testing.T) {
	t.Parallel()
	meddler := &meddlingKey{testRSAKey()}
	_, err := newTestSigner(t, meddler).SignText("text")
	require.NoError(t, err)
	signature, err := newTestSigner(t, testRSAKey()).SignText("text")
	require.NoError(t, err)
	assertVerifies(t, testRSAKey().Public(), "text", signature)
}

// A meddlingKey changes the options that it is handed.
type meddlingKey struct{ *rsa.PrivateKey }

func (k *meddlingKey) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	signature, err := k.PrivateKey.Sign(random, digest, opts)
	opts.(*rsa.PSSOptions).SaltLength = 20
	return signature, err
}

func TestSigner_zeroValue(t *testing.T) {
	t.Parallel()
	for name, signer := range map[string]*Signer{"nil": nil, "zero": new(Signer)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Empty(t, signer.KeyID())
			assert.Empty(t, signer.KeyType())
			_, headersErr := signer.Headers("GET", "/a")
			_, textErr := signer.SignText("text")
			_, logonErr := signer.SignFIXLogon("20261015-07:08:09.010", 1, "K")
			_, clientErr := NewClient(signer)
			req := httptest.NewRequest(http.MethodGet, "https://x.test/a", nil)
			for _, err := range []error{signer.SignRequest(req), headersErr, textErr, logonErr, clientErr} {
				assertInvalid(t, err, "signer", "NewSigner")
			}
			assert.Empty(t, req.Header)
			assert.Equal(t, `kalshi.Signer{KeyID: "", KeyType: ""}`, fmt.Sprint(signer))
			assert.NotPanics(t, func() { _ = signer.LogValue() })
		})
	}
}

// Middlewares append to headers; the values lie in one array.
func TestSigner_Headers_areSeparate(t *testing.T) {
	t.Parallel()
	h, err := newTestSigner(t, newEd25519Key(t)).Headers("GET", "/a")
	require.NoError(t, err)
	want := h.Clone()
	for name := range h {
		_ = append(h[name], "more")
	}
	assert.Equal(t, want, h)
}

// Each signature must belong to the key that it names, while the key is
// replaced. The race detector looks on.
func TestSigner_concurrent(t *testing.T) {
	t.Parallel()
	creds := make(map[string]*credential)
	for _, id := range []string{"first", "second"} {
		cred, err := newCredential(id, newEd25519Key(t))
		require.NoError(t, err)
		creds[id] = cred
	}
	signer := newTestSigner(t, newEd25519Key(t))
	signer.cred.Store(creds["first"])

	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				h, err := signer.Headers("GET", "/a")
				if !assert.NoError(t, err) {
					return
				}
				cred := creds[h.Get("KALSHI-ACCESS-KEY")]
				assertVerifies(t, cred.key.Public(), h.Get("KALSHI-ACCESS-TIMESTAMP")+"GET/a", h.Get("KALSHI-ACCESS-SIGNATURE"))
				assert.Contains(t, creds, signer.KeyID())
			}
		})
	}
	for i := range 200 {
		signer.cred.Store(creds[[]string{"first", "second"}[i%2]])
		signer.setClockOffset(time.Duration(i) * time.Second)
		_ = fmt.Sprint(signer)
	}
	wg.Wait()
}

var errSource = errors.New("no connection to the secret manager")

// A sourceRun is a client whose signer has a source, and a service that accepts
// one key ID. It has no retries.
type sourceRun struct {
	client *Client
	log    *requestLog
	accept string
	asked  []time.Time
	mu     sync.Mutex
}

// A resultFunc is a source that knows how often it was asked before.
type resultFunc func(ctx context.Context, n int) (string, crypto.Signer, error)

// give gives one key after the other, then the last one for ever. All have the
// same private half, so that only the ID tells them apart.
func give(t testing.TB, ids ...string) resultFunc {
	key := newEd25519Key(t)
	return func(_ context.Context, n int) (string, crypto.Signer, error) {
		return ids[min(n, len(ids)-1)], key, nil
	}
}

// deaf never returns, until the bubble ends.
func deaf(t testing.TB) resultFunc {
	end := make(chan struct{})
	t.Cleanup(func() { close(end) })
	return func(context.Context, int) (string, crypto.Signer, error) {
		<-end
		return "", nil, errSource
	}
}

// first gives a key at first, and does something else from then on.
func first(t testing.TB, id string, then resultFunc) resultFunc {
	before := give(t, id)
	return func(ctx context.Context, n int) (string, crypto.Signer, error) {
		if n == 0 {
			return before(ctx, n)
		}
		return then(ctx, n-1)
	}
}

func failing(context.Context, int) (string, crypto.Signer, error) { return "", nil, errSource }

func (run *sourceRun) source(result resultFunc) KeySource {
	return func(ctx context.Context) (string, crypto.Signer, error) {
		run.mu.Lock()
		n := len(run.asked)
		run.asked = append(run.asked, time.Now())
		run.mu.Unlock()
		return result(ctx, n)
	}
}

func newSourceRun(t testing.TB, accept string, result resultFunc) *sourceRun {
	t.Helper()
	client, mock := newTestClient(t, WithMaxRetries(0))
	run := &sourceRun{client: client, accept: accept}
	var err error
	client.signer, err = NewSignerFromSource(t.Context(), run.source(result))
	require.NoError(t, err)
	run.log = respondWith(mock, func(req *http.Request) (*http.Response, error) {
		if req.Header.Get(headerKey) != run.accept {
			return respond(401, unknownKeyBody)(req)
		}
		for _, call := range apiCalls() {
			if req.Method == call.method && strings.HasSuffix(req.URL.Path, call.path) {
				return call.success()(req)
			}
		}
		return respond(200, "")(req)
	})
	return run
}

func (run *sourceRun) list(ctx context.Context) error {
	_, err := run.client.GetAPIKeys(ctx)
	return err
}

// assertAsked asserts how often the source was asked, and that there was a
// second between the questions.
func (run *sourceRun) assertAsked(t testing.TB, want int) {
	t.Helper()
	run.mu.Lock()
	defer run.mu.Unlock()
	assert.Len(t, run.asked, want)
	for i := range run.asked[1:] {
		assert.GreaterOrEqual(t, run.asked[i+1].Sub(run.asked[i]), time.Second, "between questions")
	}
}

func TestNewSignerFromSource(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run, key := new(sourceRun), newEd25519Key(t)
		returns := func(id string, key crypto.Signer, err error) KeySource {
			return run.source(func(context.Context, int) (string, crypto.Signer, error) { return id, key, err })
		}
		signer, err := NewSignerFromSource(t.Context(), returns(testKeyID, key, nil))
		require.NoError(t, err)
		assert.Equal(t, testKeyID, signer.KeyID())
		h, err := signer.Headers(http.MethodGet, "/a")
		require.NoError(t, err)
		assertSigned(t, key.Public(), h, "GET/a")

		_, err = NewSignerFromSource(t.Context(), nil)
		assertInvalid(t, err, "kalshi: key source is nil")
		var none context.Context
		_, err = NewSignerFromSource(none, returns(testKeyID, key, nil))
		assertInvalid(t, err, "kalshi: context is nil")

		const failed = "kalshi: the key source failed: "
		secret := encodePEM("PRIVATE KEY", pkcs8(t, key))
		for _, tt := range []struct {
			source KeySource
			want   string
			is     error
		}{
			{returns("", nil, errSource), errSource.Error(), errSource},
			{returns("", nil, fmt.Errorf("kalshi: a\nb: %w", errSource)), "a b: " + errSource.Error(), errSource},
			{returns("", nil, errors.New("it said "+secret)), withheld, nil},
			{returns("", key, nil), "key ID is empty", nil},
			{returns(testKeyID, nil, nil), "private key is nil", nil},
			{KeyFile(filepath.Join(t.TempDir(), "none")).Load, "key file: open ", fs.ErrNotExist},
		} {
			signer, err := NewSignerFromSource(t.Context(), tt.source)
			assert.Nil(t, signer)
			assert.ErrorContains(t, err, failed+tt.want)
			assert.NotContains(t, err.Error(), secret[30:60])
			if tt.is != nil {
				assert.ErrorIs(t, err, tt.is)
			}
		}
	})
}

// Whoever waits for a source that does not return can give up at any time, and
// need not wait longer than 30 s.
func TestNewSignerFromSource_deaf(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run, began := new(sourceRun), time.Now()
		_, err := NewSignerFromSource(t.Context(), run.source(deaf(t)))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.EqualError(t, err, "kalshi: the key source failed: it did not return within 30s: context deadline exceeded")
		assert.Equal(t, 30*time.Second, time.Since(began))

		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errSource) })
		_, err = NewSignerFromSource(ctx, run.source(deaf(t)))
		assert.ErrorIs(t, err, context.Canceled)
		assert.ErrorIs(t, err, errSource)
		assert.ErrorContains(t, err, "kalshi: waiting for the key source: context canceled")
		assert.Equal(t, 31*time.Second, time.Since(began))
	})
}

// The same key is the same credential, in whatever value it comes.
func TestSigner_Reload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		key, other := newEd25519Key(t), newEd25519Key(t)
		run := new(sourceRun)
		signer, err := NewSignerFromSource(t.Context(), run.source(func(ctx context.Context, n int) (string, crypto.Signer, error) {
			_, limited := ctx.Deadline()
			assert.True(t, limited, "a question ends")
			switch n {
			case 0:
				return "first", key, nil
			case 1:
				return "first", &remoteKey{key: key}, nil
			case 2:
				return "first", other, nil
			case 3:
				return "second", other, nil
			}
			return "", nil, errSource
		}))
		require.NoError(t, err)
		before := signer.cred.Load()
		require.NoError(t, signer.Reload(t.Context()))
		assert.Same(t, before, signer.cred.Load())

		require.NoError(t, signer.Reload(t.Context()))
		assert.Equal(t, other.Public(), signer.cred.Load().key.Public(), "a key of the same ID")
		require.NoError(t, signer.Reload(t.Context()))
		assert.Equal(t, "second", signer.KeyID())

		assert.ErrorIs(t, signer.Reload(t.Context()), errSource)
		assert.Equal(t, "second", signer.KeyID(), "what it has still signs")
		var none context.Context
		assertInvalid(t, signer.Reload(none), "kalshi: context is nil")
		assert.Len(t, run.asked, 5, "each time, however soon")
	})
	for _, signer := range []*Signer{nil, new(Signer), newTestSigner(t, newEd25519Key(t))} {
		assertInvalid(t, signer.Reload(t.Context()), "kalshi: signer has no key source")
	}
}

func TestSigner_Replace(t *testing.T) {
	t.Parallel()
	signer, key := newTestSigner(t, testRSAKey()), newEd25519Key(t)
	for name, bad := range unusableSigners(t) {
		assertInvalid(t, signer.Replace(otherKeyID, bad), "private key")
		assert.Equal(t, testKeyID, signer.KeyID(), name)
	}
	assertInvalid(t, signer.Replace("a b", key), "key ID")
	require.NoError(t, signer.Replace(otherKeyID, key))
	assert.Equal(t, []any{otherKeyID, KeyTypeEd25519, key.Public()}, []any{signer.KeyID(), signer.KeyType(), signer.cred.Load().key.Public()})
	for _, signer := range []*Signer{nil, new(Signer)} {
		assertInvalid(t, signer.Replace(otherKeyID, key), "kalshi: signer ", "NewSigner")
	}
}

// A result that comes when the key has been switched already is out of date.
func TestSigner_Reload_late(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *Client) string{
		"replaced": func(t *testing.T, c *Client) string {
			require.NoError(t, c.signer.Replace("replaced", newEd25519Key(t)))
			return "replaced"
		},
		"rotated": func(t *testing.T, c *Client) string {
			got, err := c.RotateAPIKey(t.Context(), RotateAPIKeyRequest{Save: noSave})
			require.NoError(t, err)
			return got.NewKeyID
		},
		"reloaded": func(t *testing.T, c *Client) string {
			require.NoError(t, c.signer.Reload(t.Context()))
			return "third"
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				client, exchange := newExchange(t)
				key, err := ParsePrivateKey([]byte(exchange.PrivateKey))
				require.NoError(t, err)
				release := make(chan struct{})
				late := give(t, "", "second", "third")
				client.signer, err = NewSignerFromSource(t.Context(), new(sourceRun).source(func(ctx context.Context, n int) (string, crypto.Signer, error) {
					switch n {
					case 0:
						return exchange.KeyID, key, nil
					case 1:
						<-release
					}
					return late(ctx, n)
				}))
				require.NoError(t, err)
				reloaded := make(chan error)
				go func() { reloaded <- client.signer.Reload(t.Context()) }()
				synctest.Wait()
				want := change(t, client)
				close(release)
				require.NoError(t, <-reloaded)
				assert.Equal(t, want, client.signer.KeyID())
			})
		})
	}
}

// A call that is refused for its key goes on with the source's: creates too,
// and with retries turned off. So does a request through HTTPClient.
func TestClient_do_asksTheSource(t *testing.T) {
	t.Parallel()
	wrong := respond(401, `{"error":{"code":"authentication_error","details":"INCORRECT_API_KEY_SIGNATURE"}}`)
	test := func(t *testing.T, do func(context.Context, *Client) error) {
		inBubble(t, func(t *testing.T) {
			run := newSourceRun(t, "second", give(t, "first", "second"))
			require.NoError(t, do(t.Context(), run.client))
			run.log.assertAttempts(t, 2)
			run.assertAsked(t, 2)
			assert.Equal(t, "second", run.client.signer.KeyID())

			run.accept = "third"
			assert.Error(t, do(t.Context(), run.client))
			run.assertAsked(t, 3)

			intercept(run.client, func(req *http.Request, _ roundTripper) (*http.Response, error) { return wrong(req) })
			assert.Error(t, do(t.Context(), run.client))
			run.assertAsked(t, 4)
		})
	}
	for _, call := range apiCalls() {
		t.Run(call.name, func(t *testing.T) { test(t, call.do) })
	}
	t.Run("HTTPClient", func(t *testing.T) {
		test(t, func(_ context.Context, c *Client) error {
			resp, err := c.HTTPClient().Post(testBaseURL+"/portfolio/orders", "", strings.NewReader("order"))
			require.NoError(t, err)
			defer resp.Body.Close()
			return CheckResponse(resp)
		})
	})
}

// Refusals that are about something else, a key that is not the signer's, and
// a key that has deleted itself are no reason to ask.
func TestClient_do_asksNoSource(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun(t, "first", give(t, "first"))
		other, err := newCredential(otherKeyID, newEd25519Key(t))
		require.NoError(t, err)
		_, err = run.client.list(t.Context(), other)
		assert.Equal(t, "Unauthorized", kindOf(err))
		for _, status := range []int{401, 403, 404, 500} {
			intercept(run.client, func(req *http.Request, _ roundTripper) (*http.Response, error) {
				return respond(status, `{"error":{"code":"some_code"}}`)(req)
			})
			assert.Error(t, run.list(t.Context()))
		}
		run.assertAsked(t, 1)

		client, mock := newTestClient(t)
		client.signer = run.client.signer
		log := respondWith(mock, drop, respond(401, unknownKeyBody))
		require.NoError(t, client.DeleteAPIKey(t.Context(), "first"))
		log.assertAttempts(t, 2)
		run.assertAsked(t, 1)
	})
}

// What a 401 says of the source, and what errors.Is and errors.As find.
func TestClient_do_sourceIsNoHelp(t *testing.T) {
	t.Parallel()
	const head = "kalshi: GET /some/base/v2/api_keys: 401 authentication_error: NOT_FOUND (unknown key ID: keys are per environment, demo or production); "
	cancelled := func(context.Context, int) (string, crypto.Signer, error) { return "", nil, context.Canceled }
	for _, tt := range []struct {
		name   string
		result func(t *testing.T) resultFunc
		limit  time.Duration // of the call's context
		text   string
		is     error
		took   time.Duration
	}{
		{"same key", func(t *testing.T) resultFunc { return give(t, "dead") }, time.Hour, "the key source gave the same key", nil, 0},
		{"it fails", func(t *testing.T) resultFunc { return first(t, "dead", failing) }, time.Hour, "the key source failed: no connection to the secret manager", errSource, 0},
		{"it was cancelled, not the call", func(t *testing.T) resultFunc { return first(t, "dead", cancelled) }, time.Hour, "the key source failed: context canceled", context.Canceled, 0},
		{"it does not return", func(t *testing.T) resultFunc { return first(t, "dead", deaf(t)) }, time.Hour, "the key source failed: it did not return within 30s: context deadline exceeded", context.DeadlineExceeded, 30 * time.Second},
		{"the call ends before it returns", func(t *testing.T) resultFunc { return first(t, "dead", deaf(t)) }, 7 * time.Second, "waiting for the key source: context deadline exceeded", context.DeadlineExceeded, 7 * time.Second},
		{"two dead keys in turn", func(t *testing.T) resultFunc {
			key := newEd25519Key(t)
			return func(_ context.Context, n int) (string, crypto.Signer, error) {
				return []string{"dead", "dead-too"}[n%2], key, nil
			}
		}, time.Hour, "the key source gave the same key", nil, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				run := newSourceRun(t, "", tt.result(t))
				time.Sleep(time.Minute) // since the first question
				ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
				defer cancel()
				began := time.Now()
				err := run.list(ctx)
				assert.Equal(t, tt.took, time.Since(began))
				assert.EqualError(t, err, head+tt.text)
				assert.True(t, isA[*UnauthorizedError](err))
				assert.Equal(t, tt.is != nil, errors.Is(err, errSource) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded))
				if tt.is != nil {
					assert.ErrorIs(t, err, tt.is)
				}

				resp, err := run.client.HTTPClient().Get(testBaseURL)
				require.NoError(t, err)
				defer resp.Body.Close()
				assert.Equal(t, 401, resp.StatusCode, "through HTTPClient it is the response")
			})
		})
	}
}

// However many callers a dead key has, its source is asked once a second.
func TestClient_do_asksOnceASecond(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const callers, calls = 100, 5
		run := newSourceRun(t, "", give(t, "dead"))
		began := time.Now()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range calls {
					assert.ErrorContains(t, run.list(t.Context()), "the key source gave the same key")
				}
			})
		}
		wg.Wait()
		assert.Equal(t, calls*time.Second, time.Since(began), "each call waits for a question of its own time")
		run.assertAsked(t, 1+calls)

		run.accept = "dead" // it lives again
		require.NoError(t, run.list(t.Context()))
		run.assertAsked(t, 1+calls)
	})
}

// A result serves those who were refused before the question. The others need
// one of their own.
func TestClient_do_resultServesAll(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		result := give(t, "first", "first", "second")
		run := newSourceRun(t, "second", func(ctx context.Context, n int) (string, crypto.Signer, error) {
			if n > 0 {
				time.Sleep(5 * time.Second)
			}
			return result(ctx, n)
		})
		time.Sleep(time.Minute)
		began := time.Now()
		var wg sync.WaitGroup
		for at, took := range map[time.Duration]time.Duration{
			0:                       5 * time.Second, // served by the question at 0 s
			500 * time.Millisecond:  6 * time.Second, // by the one at 1 s
			700 * time.Millisecond:  6 * time.Second,
			1500 * time.Millisecond: 6 * time.Second, // too, by the key that it brought; its own is asked at 2 s
		} {
			wg.Go(func() {
				time.Sleep(at)
				err := run.list(t.Context())
				assert.Equal(t, took, time.Since(began), at)
				assert.Equal(t, at == 0, err != nil, at)
			})
		}
		wg.Wait()
		time.Sleep(time.Second) // until the source has returned from the last question
		run.assertAsked(t, 4)
	})
}

// While a caller waits for its own question, an earlier one may bring the key.
func TestClient_do_earlierResultHelps(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		result := give(t, "first", "second")
		run := newSourceRun(t, "second", func(ctx context.Context, n int) (string, crypto.Signer, error) {
			if n > 0 {
				time.Sleep(400 * time.Millisecond)
			}
			return result(ctx, n)
		})
		began := time.Now()
		go func() { _ = run.client.signer.Reload(t.Context()) }()
		time.Sleep(100 * time.Millisecond)
		require.NoError(t, run.list(t.Context()))
		assert.Equal(t, 400*time.Millisecond, time.Since(began))
		assert.Len(t, run.asked, 2)
	})
}

// The one who was first to ask may go: the others have their result.
func TestClient_do_cancelFailsNoOther(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		result := give(t, "first", "second")
		run := newSourceRun(t, "second", func(ctx context.Context, n int) (string, crypto.Signer, error) {
			if n > 0 {
				time.Sleep(5 * time.Second)
			}
			if ctx.Err() != nil {
				return "", nil, ctx.Err()
			}
			return result(ctx, n)
		})
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan error, 1)
		go func() { first <- run.list(ctx) }()
		go func() { second <- run.list(t.Context()) }()
		time.AfterFunc(2*time.Second, cancel) // a second after the question
		err := <-first
		assert.ErrorIs(t, err, context.Canceled)
		assert.True(t, isA[*UnauthorizedError](err))
		assert.Equal(t, 2*time.Second, time.Since(began), "at once")
		require.NoError(t, <-second)
		assert.Equal(t, 6*time.Second, time.Since(began))
		run.assertAsked(t, 2)
	})
}

// Who is refused within a second of the last question waits for the next one,
// unless its context ends.
func TestClient_do_cancelledBeforeItAsks(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newSourceRun(t, "", give(t, "dead"))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		err := run.list(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.True(t, isA[*UnauthorizedError](err))
		assert.ErrorContains(t, err, "; waiting for the key source: context deadline exceeded")
		assert.Equal(t, 300*time.Millisecond, time.Since(began))
		run.assertAsked(t, 1)
	})
}

// A question that gets no result does not keep others from asking.
func TestClient_do_asksBesideADeafQuestion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		stuck := deaf(t)
		result := give(t, "first", "", "second")
		run := newSourceRun(t, "second", func(ctx context.Context, n int) (string, crypto.Signer, error) {
			if n == 1 {
				return stuck(ctx, n)
			}
			return result(ctx, n)
		})
		go func() { _ = run.client.signer.Reload(t.Context()) }()
		synctest.Wait()
		began := time.Now()
		require.NoError(t, run.list(t.Context()), "the next question brings the key")
		assert.Equal(t, time.Second, time.Since(began))
	})
}

// A source that flaps between dead keys keeps no caller going, however many
// others make it flap.
func TestClient_do_flappingSource(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const callers = 20
		key := newEd25519Key(t)
		run := newSourceRun(t, "", func(_ context.Context, n int) (string, crypto.Signer, error) {
			return []string{"dead", "dead-too"}[n%2], key, nil
		})
		var sent atomic.Int64
		intercept(run.client, func(req *http.Request, send roundTripper) (*http.Response, error) {
			time.Sleep(time.Duration(sent.Add(1)%7) * 300 * time.Millisecond) // out of step
			return send(req)
		})
		began := time.Now()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() { assert.Equal(t, "Unauthorized", kindOf(run.list(t.Context()))) })
		}
		wg.Wait()
		assert.Less(t, time.Since(began), 20*time.Second)
		t.Log(time.Since(began), len(run.log.requests), len(run.asked))
	})
}

// A key that is replaced while a question has no end is noticed all the same.
func TestClient_do_replacedDuringADeafQuestion(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		run := newSourceRun(t, "second", first(t, "first", func(context.Context, int) (string, crypto.Signer, error) {
			<-release
			return "", nil, errSource
		}))
		time.Sleep(time.Minute)
		began := time.Now()
		time.AfterFunc(10*time.Second, func() { assert.NoError(t, run.client.signer.Replace("second", newEd25519Key(t))) })
		require.NoError(t, run.list(t.Context()))
		assert.LessOrEqual(t, time.Since(began), 11*time.Second)
	})
}
