package kalshitest_test

// The signer of the diagnosis's tests. It signs wrongly on purpose, and shares no
// code with the server.

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/binary"
	"math/big"
	"net/http"
	"strconv"
	"time"
)

// forgery is how a request is signed. newForgery signs rightly.
type forgery struct {
	ms                 int64
	time, method, path string
	query, body        string // empty, since they are not signed
	text               func(time, method, path string) string
	hash               func(text []byte) []byte // before it is signed
	sign               func(key crypto.Signer, text []byte) []byte
	encode             func(signature []byte) string
}

func newForgery(req *http.Request, now time.Time) *forgery {
	return &forgery{
		ms: now.UnixMilli(), time: strconv.FormatInt(now.UnixMilli(), 10), method: req.Method, path: req.URL.EscapedPath(),
		text: func(time, method, path string) string { return time + method + path },
		hash: func(text []byte) []byte { return text },
		sign: func(key crypto.Signer, text []byte) []byte {
			if _, ok := key.(ed25519.PrivateKey); ok {
				return must(key.Sign(nil, text, crypto.Hash(0)))
			}
			return must(rsa.SignPSS(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, digest(crypto.SHA256, text), &rsa.PSSOptions{SaltLength: 32}))
		},
		encode: base64.StdEncoding.EncodeToString,
	}
}

// apply signs the request.
func (f *forgery) apply(req *http.Request, keyID string, key crypto.Signer) {
	text := f.text(f.time, f.method, f.path+f.query) + f.body
	authenticate(req, keyID, strconv.FormatInt(f.ms, 10), f.encode(f.sign(key, f.hash([]byte(text)))))
}

func digest(h crypto.Hash, parts ...[]byte) []byte {
	state := h.New()
	for _, part := range parts {
		state.Write(part)
	}
	return state.Sum(nil)
}

// pkcs1v15 signs in that way; with hash 0 it pads the text itself.
func pkcs1v15(key crypto.Signer, text []byte, hash crypto.Hash) []byte {
	if hash != 0 {
		text = digest(hash, text)
	}
	return must(rsa.SignPKCS1v15(nil, key.(*rsa.PrivateKey), hash, text))
}

// pss signs with PSS. crypto/rsa cannot do it with another hash for the mask.
func pss(key crypto.Signer, text []byte, hash, mask crypto.Hash, salt int) []byte {
	private := key.(*rsa.PrivateKey)
	bits := private.N.BitLen() - 1
	size := (bits + 7) / 8
	if salt < 0 {
		salt = size - hash.Size() - 2
	}
	random := make([]byte, salt)
	_, _ = rand.Read(random)
	h := digest(hash, make([]byte, 8), digest(hash, text), random)
	block := append(make([]byte, size-hash.Size()-1-salt-1), 1)
	block = append(block, random...)
	for i := range block {
		counter := binary.BigEndian.AppendUint32(nil, uint32(i/mask.Size())) // #nosec G115
		block[i] ^= digest(mask, h, counter)[i%mask.Size()]
	}
	block[0] &= byte(0xff >> (8*size - bits))
	return unpadded(key, append(append(block, h...), 0xbc))
}

// unpadded signs what is encoded already. It does so by the Chinese remainder theorem, which takes a
// quarter of the time.
func unpadded(key crypto.Signer, encoded []byte) []byte {
	private := key.(*rsa.PrivateKey)
	m, p, q, crt := new(big.Int).SetBytes(encoded), private.Primes[0], private.Primes[1], private.Precomputed
	byP, byQ := new(big.Int).Exp(m, crt.Dp, p), new(big.Int).Exp(m, crt.Dq, q)
	byP.Mod(byP.Mul(byP.Sub(byP, byQ), crt.Qinv), p)
	return byQ.Add(byQ, byP.Mul(byP, q)).FillBytes(make([]byte, private.Size()))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A wrong is one way to sign wrongly, and what the diagnosis has to say about it.
type wrong struct {
	name, want string
	kind       string // two of one kind exclude each other
	only       string // the type of key, or empty for both
	rich       bool   // it needs a request with a body and an escaped path
	alone      bool   // it is not tried in pairs
	edit       func(f *forgery, req *http.Request)
}

func text(build func(time, method, path string) string) func(*forgery, *http.Request) {
	return func(f *forgery, _ *http.Request) { f.text = build }
}

func joined(separator string) func(*forgery, *http.Request) {
	return text(func(t, m, p string) string { return t + separator + m + separator + p })
}

func hashed(hash func(text []byte) []byte) func(*forgery, *http.Request) {
	return func(f *forgery, _ *http.Request) { f.hash = hash }
}

func signedBy(sign func(key crypto.Signer, text []byte) []byte) func(*forgery, *http.Request) {
	return func(f *forgery, _ *http.Request) { f.sign = sign }
}

func padded(hash, mask crypto.Hash, salt int) func(*forgery, *http.Request) {
	return signedBy(func(key crypto.Signer, text []byte) []byte { return pss(key, text, hash, mask, salt) })
}

func encoded(encode func([]byte) string) func(*forgery, *http.Request) {
	return func(f *forgery, _ *http.Request) { f.encode = encode }
}

func wrapped(before, after string) func(*forgery, *http.Request) {
	return func(f *forgery, _ *http.Request) {
		encode := f.encode
		f.encode = func(signature []byte) string { return before + encode(signature) + after }
	}
}
