package kalshitest_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const (
	bodyWrongSignature = `{"error":{"code":"authentication_error","message":"authentication_error","details":"INCORRECT_API_KEY_SIGNATURE"}}`
	bodyUnknownKey     = `{"error":{"code":"authentication_error","message":"authentication_error","details":"NOT_FOUND"}}`
	bodyNoSignature    = `{"error":{"code":"signature_is_missing_from_headers","message":"signature is missing from headers"}}`
	bodyExpired        = `{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`
	bodyNoCredentials  = `{"error":{"code":"token_authentication_failure","message":"token authentication failure"}}`
)

func TestServer_Authentication_Headers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)

	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	drop := func(names ...string) func(*http.Request) {
		return func(r *http.Request) {
			for _, name := range names {
				r.Header.Del(name)
			}
		}
	}
	const key, timestamp, signature = "KALSHI-ACCESS-KEY", "KALSHI-ACCESS-TIMESTAMP", "KALSHI-ACCESS-SIGNATURE"
	tests := []struct {
		name string
		edit func(*http.Request)
		want string
	}{
		{"no credentials", drop(key, timestamp, signature), bodyNoCredentials},
		{"no key ID", drop(key), bodyNoCredentials},
		{"no signature", drop(signature), bodyNoSignature},
		{"no timestamp", drop(timestamp), bodyExpired},
		{"timestamp of another time", set(timestamp, "1"), bodyExpired},
		{"timestamp that is no number", set(timestamp, "now"), bodyExpired},
		{"timestamp beyond int64", set(timestamp, "18446744073709551615"), bodyExpired},
		{"largest timestamp", set(timestamp, "9223372036854775807"), bodyExpired},
		{"unknown key", set(key, "no-such-key"), bodyUnknownKey},
		{"signature that is not base64", set(signature, "%%%"), bodyWrongSignature},
		{"signature in URL base64", func(r *http.Request) {
			r.Header.Set(signature, strings.Repeat("-_", 43)+"==")
		}, bodyWrongSignature},
		{"signature of another text", set(signature, base64.StdEncoding.EncodeToString(make([]byte, 64))), bodyWrongSignature},
		{"signature too short", set(signature, "AAAA"), bodyWrongSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := c.do(http.MethodGet, "/api_keys", "", tt.edit)
			require.NoError(t, got.err)
			assert.Equal(t, http.StatusUnauthorized, got.status)
			assert.Equal(t, tt.want, got.body)
			assert.Equal(t, "application/json", got.header.Get("Content-Type"))
		})
	}
}

// What authors of bots get wrong when they sign.
func TestServer_Authentication_SignedText(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := newServer(t, kalshitest.WithClock(func() time.Time { return now }))
	ed := newClient(t, s)
	registered := s.AddKey(kalshitest.Key{PublicKey: publicPEM(t, rsaKey().Public())})
	rs := *ed
	rs.keyID, rs.key = registered.ID, rsaKey()

	path := "/trade-api/v2/api_keys"
	ms := strconv.FormatInt(now.UnixMilli(), 10)
	seconds := strconv.FormatInt(now.Unix(), 10)
	good := ms + "GET" + path
	pkcs1v15 := func(text string) string {
		digest := sha256.Sum256([]byte(text))
		return encode(rsaKey().Sign(rand.Reader, digest[:], crypto.SHA256))
	}
	prehashed := func(text string) string {
		digest := sha256.Sum256([]byte(text))
		return encode(ed.key.Sign(rand.Reader, digest[:], crypto.Hash(0)))
	}
	tests := []struct {
		name      string
		client    *client
		timestamp string
		signature string
		want      string // empty: 200
	}{
		{"ed25519", ed, ms, sign(ed.key, good), ""},
		{"rsa", &rs, ms, sign(rs.key, good), ""},
		{"query signed", ed, ms, sign(ed.key, good+"?fcm_subtrader_id="), bodyWrongSignature},
		{"base path not signed", ed, ms, sign(ed.key, ms+"GET/api_keys"), bodyWrongSignature},
		{"host signed", ed, ms, sign(ed.key, ms+"GET"+s.URL+"/api_keys"), bodyWrongSignature},
		{"method in lower case", ed, ms, sign(ed.key, ms+"get"+path), bodyWrongSignature},
		{"method not signed", ed, ms, sign(ed.key, ms+path), bodyWrongSignature},
		{"timestamp not signed", ed, ms, sign(ed.key, "GET"+path), bodyWrongSignature},
		{"timestamp with a sign", ed, "+" + ms, sign(ed.key, "+"+good), bodyExpired},
		{"seconds", ed, seconds, sign(ed.key, seconds+"GET"+path), bodyExpired},
		{"ed25519 over a digest", ed, ms, prehashed(good), bodyWrongSignature},
		{"rsa with PKCS1v15", &rs, ms, pkcs1v15(good), bodyWrongSignature},
		{"rsa with a salt of 31 bytes", &rs, ms, signPSS(rs.key, good, 31), bodyWrongSignature},
		{"rsa with a salt of 33 bytes", &rs, ms, signPSS(rs.key, good, 33), bodyWrongSignature},
		{"rsa with the longest salt", &rs, ms, signPSS(rs.key, good, rsa.PSSSaltLengthAuto), bodyWrongSignature},
		{"the other key's signature", ed, ms, sign(rs.key, good), bodyWrongSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req, err := http.NewRequest(http.MethodGet, s.URL+"/api_keys?fcm_subtrader_id=", nil)
			require.NoError(t, err)
			authenticate(req, tt.client.keyID, tt.timestamp, tt.signature)
			got := tt.client.send(req)
			require.NoError(t, got.err)
			if tt.want == "" {
				assert.Equal(t, http.StatusOK, got.status, got.body)
				return
			}
			assert.Equal(t, http.StatusUnauthorized, got.status)
			assert.Equal(t, tt.want, got.body)
		})
	}
}

func TestServer_Authentication_Window(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name   string
		client time.Duration // its clock against the local one
		server time.Duration
		ok     bool
	}{
		{"exact", 0, 0, true},
		{"slow, at the edge", -10 * time.Second, 0, true},
		{"slow, past the edge", -10*time.Second - time.Millisecond, 0, false},
		{"fast, at the edge", 10 * time.Second, 0, true},
		{"fast, past the edge", 10*time.Second + time.Millisecond, 0, false},
		{"server ahead", 0, time.Hour, false},
		{"both ahead", time.Hour, time.Hour, true},
		{"server behind", 0, -11 * time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, kalshitest.WithClock(func() time.Time { return now }))
			s.SetClockOffset(tt.server)
			c := newClient(t, s)
			c.now = func() time.Time { return now.Add(tt.client) }

			got := c.do(http.MethodGet, "/api_keys", "")
			require.NoError(t, got.err)
			assert.Equal(t, now.Add(tt.server).Format(http.TimeFormat), got.header.Get("Date"))
			if tt.ok {
				assert.Equal(t, http.StatusOK, got.status)
				return
			}
			assert.Equal(t, http.StatusUnauthorized, got.status)
			assert.Equal(t, bodyExpired, got.body)

			s.SetClockOffset(tt.client)
			assert.Equal(t, http.StatusOK, c.do(http.MethodGet, "/api_keys", "").status)
		})
	}
}

// The path is signed as it was sent, whatever net/url makes of it.
func TestServer_Authentication_EscapedPath(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	s.AddKey(kalshitest.Key{ID: "a/b c!"})

	for _, path := range []string{"/api_keys/a%2Fb%20c!", "/api_keys/a%2fb%20c%21", "/api_keys/%61%2Fb%20c!"} {
		got := c.do(http.MethodDelete, path, "")
		require.NoError(t, got.err)
		assert.Equal(t, http.StatusNoContent, got.status, "%s: %s", path, got.body)
		assert.Equal(t, "/trade-api/v2"+path, s.Requests()[len(s.Requests())-1].Path)
		s.AddKey(kalshitest.Key{ID: "a/b c!"})
	}

	// What net/url would escape, but other clients send as it is.
	s.AddKey(kalshitest.Key{ID: "a|b"})
	got := c.do(http.MethodDelete, "/api_keys/raw", "", func(r *http.Request) {
		r.URL.Opaque = "/trade-api/v2/api_keys/a|b"
		timestamp := r.Header.Get("KALSHI-ACCESS-TIMESTAMP")
		authenticate(r, c.keyID, timestamp, sign(c.key, timestamp+r.Method+r.URL.Opaque))
	})
	require.NoError(t, got.err)
	assert.Equal(t, http.StatusNoContent, got.status, got.body)
}

func TestWirePath(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, target, want string }{
		{"plain", "/trade-api/v2/api_keys", "/trade-api/v2/api_keys"},
		{"query", "/api_keys?a=/b?c", "/api_keys"},
		{"a URL within the path", "/api_keys/http://x", "/api_keys/http://x"},
		{"absolute form", "http://127.0.0.1:1/trade-api/v2/api_keys?a=b", "/trade-api/v2/api_keys"},
		{"absolute form, no path", "http://127.0.0.1:1?a=b", "/"},
		{"authority form", "127.0.0.1:1", "127.0.0.1:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, kalshitest.WirePath(tt.target))
		})
	}
}

func TestServer_Authentication_AbsoluteForm(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	c.url = "http://exchange.invalid/trade-api/v2"
	c.http.Transport = proxyTo(t, s)

	got := c.do(http.MethodGet, "/api_keys", "")
	require.NoError(t, got.err)
	assert.Equal(t, http.StatusOK, got.status, got.body)
}

func TestServer_Authentication_GeneratedKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t, kalshitest.WithRSA())
	c := newClient(t, s)
	require.IsType(t, &rsa.PrivateKey{}, c.key)
	assert.Equal(t, http.StatusOK, c.do(http.MethodGet, "/api_keys", "").status)

	second := c.as(t, s.AddKey(kalshitest.Key{}))
	require.IsType(t, ed25519.PrivateKey{}, second.key)
	assert.Equal(t, http.StatusOK, second.do(http.MethodGet, "/api_keys", "").status)
}
