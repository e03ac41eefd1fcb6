package kalshitest_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A right signature is never spoken about.
func TestRequest_Diagnosis_right(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	for i := range 1000 {
		keyType := []string{"ed25519", "ed25519", "ed25519", "rsa"}[i%4] // RSA takes 1 ms
		req := x.request(t, i%3 == 0)
		newForgery(req, x.now.Add(time.Duration(i)*time.Millisecond)).apply(req, keyType, x.keys[keyType])
		status, diagnosis := x.send(t, req)
		assert.NotEqual(t, http.StatusUnauthorized, status)
		assert.Empty(t, diagnosis)
	}
}

// A random signature has no cause, and neither has one by a key that nobody knows.
func TestRequest_Diagnosis_random(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	_, stranger, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	strangers := map[string]crypto.Signer{"ed25519": stranger, "rsa": must(rsa.GenerateKey(rand.Reader, 2048))}
	diagnose := func(keyType string, signature []byte) string {
		return x.Diagnose(&kalshitest.Request{
			Method: "GET", Path: "/trade-api/v2/api_keys", RawQuery: "a=b", KeyID: keyType, Body: []byte("{}"),
			Header: http.Header{
				"Kalshi-Access-Timestamp": {strconv.FormatInt(x.now.UnixMilli(), 10)},
				headerSignature:           {base64.StdEncoding.EncodeToString(signature)},
			},
		})
	}
	var wg sync.WaitGroup
	for keyType, size := range map[string]int{"ed25519": 64, "rsa": 256} {
		wg.Go(func() {
			signature := make([]byte, size)
			for range map[string]int{"ed25519": 200, "rsa": 9800}[keyType] { // one of Ed25519 takes 2 ms
				_, _ = rand.Read(signature)
				assert.Empty(t, diagnose(keyType, signature))
			}
			for i := range 3 {
				forgery := newForgery(x.request(t, false), x.now)
				assert.Empty(t, diagnose(keyType, forgery.sign(strangers[keyType], fmt.Append(nil, i))))
			}
		})
	}
	wg.Go(func() { // by this key, of bytes that end as those of PSS do, as one random signature in 256 is
		encoded := make([]byte, 255)
		for range 100 {
			_, _ = rand.Read(encoded)
			encoded[0] &= 0x7f
			assert.Empty(t, diagnose("rsa", unpadded(x.keys["rsa"], append(encoded, 0xbc))))
		}
	})
	wg.Wait()
	// Of RSA it is certain which key signed, and of Ed25519 it is not.
	other := []byte("another text")
	assert.Empty(t, diagnose("ed25519", newForgery(x.request(t, false), x.now).sign(x.keys["ed25519"], other)))
	assert.Equal(t, "the signature is this key's, but of another text", diagnose("rsa", newForgery(x.request(t, false), x.now).sign(x.keys["rsa"], other)))
	assert.Equal(t, "the RSA padding is PKCS #1 v1.5: use PSS; the hash is SHA-512: use SHA-256; the signature is this key's, but of another text",
		diagnose("rsa", pkcs1v15(x.keys["rsa"], other, crypto.SHA512)))
	assert.Equal(t, "the RSA padding is PKCS #1 v1.5: use PSS; the text is not hashed: use SHA-256; the signature is this key's, but of another text",
		diagnose("rsa", pkcs1v15(x.keys["rsa"], other, 0)))
	assert.Empty(t, diagnose("rsa", pss(x.keys["rsa"], other, crypto.SHA256, crypto.SHA256, -1)), "with the longest salt it is not certain")
}

// A diagnosis ends after 20 ms by the server's clock.
func TestRequest_Diagnosis_time(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	now, step := time.Now(), time.Duration(0)
	s := newServer(t, kalshitest.WithClock(func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(step)
		return now
	}))
	key := parsePrivateKey(t, s.PrivateKey)
	diagnose := func(build func(timestamp string) string) (said string, took time.Duration) {
		began := now
		timestamp := strconv.FormatInt(now.UnixMilli(), 10)
		said = s.Diagnose(&kalshitest.Request{Method: "GET", Path: "/trade-api/v2/api_keys", KeyID: s.KeyID, Header: http.Header{
			"Kalshi-Access-Timestamp": {timestamp}, headerSignature: {sign(key, build(timestamp))},
		}})
		return said, now.Sub(began)
	}
	late := func(timestamp string) string { return "/trade-api/v2/api_keys|" + timestamp + "|GET" }
	said, _ := diagnose(late)
	assert.Contains(t, said, "a bar is signed between the parts")
	said, _ = diagnose(func(timestamp string) string { return "/api_keys|get|" + timestamp })
	assert.Empty(t, said, "three mistakes at once are not looked for")
	step = time.Millisecond
	said, took := diagnose(late)
	assert.Empty(t, said)
	assert.Less(t, took, 30*time.Millisecond)
	said, _ = diagnose(func(timestamp string) string { return timestamp + "get/api_keys" })
	assert.Len(t, strings.Split(said, "; "), 2, "the usual pairs are found on any machine: %q", said)
}
