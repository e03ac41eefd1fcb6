package kalshitest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// What stands in the signature's header without being one.
func TestRequest_Diagnosis_noSignature(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	mac := hmac.New(sha256.New, []byte("secret")).Sum(nil)
	const byRSA = "the signature has 64 bytes, and one of this RSA key has 256"
	tests := []struct{ name, key, signature, want string }{
		{"no base64", "rsa", "%%%", "the signature is not base64"},
		{"HMAC", "rsa", base64.StdEncoding.EncodeToString(mac), "the signature has 32 bytes, as an HMAC with SHA-256 has: sign with the private key, by RSA"},
		{"HMAC in hexadecimal", "ed25519", hex.EncodeToString(mac),
			"the signature is hexadecimal: write it in standard base64; the signature has 32 bytes, as an HMAC with SHA-256 has: sign with the private key, by Ed25519"},
		{"bearer token", "rsa", "Bearer abc", "the signature is a bearer token: sign each request with the private key"},
		{"JWT", "rsa", "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln", "the signature is a bearer token: sign each request with the private key"},
		{"the other type's", "rsa", base64.StdEncoding.EncodeToString(make([]byte, 64)), byRSA},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req := x.request(t, false)
			authenticate(req, tt.key, strconv.FormatInt(x.now.UnixMilli(), 10), tt.signature)
			status, diagnosis := x.send(t, req)
			assert.Equal(t, http.StatusUnauthorized, status)
			assert.Equal(t, tt.want, diagnosis)
		})
	}
	req := x.request(t, false)
	req.Header.Set("Authorization", "Bearer abc")
	_, diagnosis := x.send(t, req)
	assert.Equal(t, "an Authorization header is not for API keys: send the three KALSHI-ACCESS headers", diagnosis)

	req = x.request(t, false)
	authenticate(req, "", "1", "AAAA")
	_, diagnosis = x.send(t, req)
	assert.Equal(t, "there is no KALSHI-ACCESS-KEY header: send the key's ID in it", diagnosis)
}

func TestRequest_SignedBy(t *testing.T) {
	t.Parallel()
	for _, signer := range []string{"ed25519", "rsa"} {
		t.Run(signer, func(t *testing.T) {
			t.Parallel()
			x := newExchange(t)
			claimed := x.AddKey(kalshitest.Key{}).ID
			for _, keyID := range []string{claimed, "unknown"} {
				req := x.request(t, false)
				newForgery(req, x.now).apply(req, keyID, x.keys[signer])
				_, diagnosis := x.send(t, req)
				assert.Equal(t, `the key that signed is "`+signer+`", not the one of the KALSHI-ACCESS-KEY header`, diagnosis)
				assert.Equal(t, signer, x.Requests()[0].SignedBy)
			}
			req := x.request(t, false)
			f := newForgery(req, x.now)
			f.query = "?" + req.URL.RawQuery
			f.apply(req, claimed, x.keys[signer])
			_, diagnosis := x.send(t, req)
			assert.True(t, strings.HasPrefix(diagnosis, "the query is signed: "), diagnosis)
			assert.Equal(t, signer, x.Requests()[0].SignedBy)

			for range 20 { // newer keys, which are all that is tried
				x.AddKey(kalshitest.Key{})
			}
			req = x.request(t, false)
			newForgery(req, x.now).apply(req, claimed, x.keys[signer])
			_, diagnosis = x.send(t, req)
			assert.NotContains(t, diagnosis, "the key that signed")
			assert.Empty(t, x.Requests()[0].SignedBy)
		})
	}
}

// Headers that were made once and are sent again.
func TestRequest_Diagnosis_replay(t *testing.T) {
	t.Parallel()
	now := time.Now().Truncate(time.Millisecond)
	s := newServer(t, kalshitest.WithClock(func() time.Time { return now }))
	c := newClient(t, s)
	c.now = func() time.Time { return now }
	var headers http.Header
	c.do("GET", "/api_keys", "", func(r *http.Request) { headers = r.Header.Clone() })
	replay := func(method string, edit func(http.Header)) string {
		return c.do(method, "/api_keys/x", "", func(r *http.Request) {
			for name := range headers {
				r.Header.Set(name, headers.Get(name))
			}
			edit(r.Header)
		}).header.Get(headerDiagnosis)
	}
	const want = "the signature is that of an earlier request: sign each request anew"
	assert.Equal(t, want, replay("DELETE", func(http.Header) {}))
	assert.Equal(t, want, replay("DELETE", func(h http.Header) {
		h.Set("Kalshi-Access-Timestamp", strconv.FormatInt(now.UnixMilli()+1, 10))
	}), "with a new timestamp")
	s.SetClockOffset(time.Minute)
	assert.Equal(t, "the timestamp is 1m0s behind the server's clock: set the client's clock; the same signature came with an earlier request: sign each request anew",
		replay("DELETE", func(http.Header) {}))

	// The same wrong request again is no replay: its own mistake is named.
	s.SetClockOffset(0)
	timestamp := strconv.FormatInt(now.UnixMilli(), 10)
	signature := sign(c.key, timestamp+"GET/api_keys")
	for range 2 {
		got := c.do("GET", "/api_keys", "", func(r *http.Request) { authenticate(r, c.keyID, timestamp, signature) })
		assert.Equal(t, "the signed path lacks /trade-api/v2: sign the whole path", got.header.Get(headerDiagnosis))
	}
	for range 2 {
		got := c.do("GET", "/api_keys", "", func(r *http.Request) { authenticate(r, c.keyID, timestamp, "AAAA") })
		assert.Equal(t, "the signature has 3 bytes, and one of this Ed25519 key has 64", got.header.Get(headerDiagnosis))
	}
	got := c.do("DELETE", "/api_keys/a", "", func(r *http.Request) { authenticate(r, c.keyID, timestamp, "AAAA") })
	assert.Equal(t, "the signature has 3 bytes, and one of this Ed25519 key has 64; the same signature came with an earlier request: sign each request anew",
		got.header.Get(headerDiagnosis))
}

func TestRequest_Diagnosis_missingSlash(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	x.Handle("GET /trade-api/v2/markets/", kalshitest.Response{})
	req, err := http.NewRequest("GET", x.URL+"/markets/", nil)
	require.NoError(t, err)
	f := newForgery(req, x.now)
	f.path = strings.TrimSuffix(f.path, "/")
	f.apply(req, "rsa", x.keys["rsa"])
	_, diagnosis := x.send(t, req)
	assert.Equal(t, "the signed path lacks the slash at its end: sign the path as it is sent", diagnosis)
}
