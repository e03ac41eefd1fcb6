package kalshitest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const uuid4 = `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`

func TestServer_AddKey_Defaults(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	got := s.AddKey(kalshitest.Key{})

	assert.Regexp(t, uuid4, got.ID)
	assert.NotEqual(t, s.KeyID, got.ID)
	assert.Equal(t, "kalshitest", got.Name)
	assert.Equal(t, "ed25519", got.Type)
	assert.Equal(t, []string{"read", "write"}, got.Scopes)
	assert.Nil(t, got.Subaccount)
	assert.Empty(t, got.FCMSubtraderID)
	assert.Equal(t, got.PublicKey, publicPEM(t, parsePrivateKey(t, got.PrivateKey).Public()))

	want := got
	want.PrivateKey = ""
	assert.Equal(t, want, s.Keys()[1], "as added, without the private half")
}

func TestServer_AddKey_Given(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	given := kalshitest.Key{
		ID: "my key", Name: "mine", Type: "rsa", Scopes: []string{"write", "new::scope"}, Subaccount: ptr(0),
		PublicKey: publicPEM(t, rsaKey().Public()),
	}
	got := s.AddKey(given)
	assert.Equal(t, given, got)
	assert.Equal(t, given, s.Keys()[1])

	again := newServer(t).AddKey(s.AddKey(kalshitest.Key{Type: "ed25519", Scopes: []string{}}))
	assert.Empty(t, again.PrivateKey, "a pair of another server's making")
	assert.Equal(t, []string{}, again.Scopes, "no scopes are not the default scopes")

	bound := s.AddKey(kalshitest.Key{Type: "rsa", FCMSubtraderID: "user_a_Sub1"})
	assert.Equal(t, "user_a_Sub1", bound.FCMSubtraderID)
	assert.IsType(t, &rsa.PrivateKey{}, parsePrivateKey(t, bound.PrivateKey))
}

func TestServer_AddKey_SharesNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	given := kalshitest.Key{Scopes: []string{"read"}, Subaccount: ptr(1)}
	got := s.AddKey(given)
	listed := s.Keys()[1]
	for i, k := range []kalshitest.Key{given, got, listed} {
		assert.Equal(t, "read", k.Scopes[0], i)
		assert.Equal(t, 1, *k.Subaccount, i)
		k.Scopes[0] = "write"
		*k.Subaccount = 2
	}
	assert.Equal(t, []string{"read"}, s.Keys()[1].Scopes)
	assert.Equal(t, 1, *s.Keys()[1].Subaccount)
}

func TestServer_AddKey_mistakes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ed := s.AddKey(kalshitest.Key{})
	tests := []struct {
		name, want string
		key        kalshitest.Key
	}{
		{"ID taken", "is taken", kalshitest.Key{ID: s.KeyID}},
		{"type unknown", `unknown key type "ec"`, kalshitest.Key{Type: "ec"}},
		{"type contradicts key", `of type ed25519, not "rsa"`, kalshitest.Key{Type: "rsa", PublicKey: ed.PublicKey}},
		{"not PEM", "not one PEM block", kalshitest.Key{PublicKey: "nonsense"}},
		{"two keys", "not one PEM block", kalshitest.Key{PublicKey: ed.PublicKey + ed.PublicKey}},
		{"private key as public", "not one PEM block", kalshitest.Key{PublicKey: ed.PrivateKey}},
		{"EC key", "neither RSA nor Ed25519", kalshitest.Key{PublicKey: publicPEM(t, ec.Public())}},
		{"private key alone", "without its public key", kalshitest.Key{PrivateKey: ed.PrivateKey}},
		{"sub-account too high", "subaccount: it must be 0 to 63", kalshitest.Key{Subaccount: ptr(64)}},
		{"sub-account negative", "subaccount: it must be 0 to 63", kalshitest.Key{Subaccount: ptr(-1)}},
		{"subtrader malformed", "fcm_subtrader_id: it must be {user_id}_{suffix}", kalshitest.Key{FCMSubtraderID: "user"}},
		{"both restrictions", "fcm_subtrader_id: it must be {user_id}_{suffix}", kalshitest.Key{FCMSubtraderID: "user_a", Subaccount: ptr(1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			defer func() {
				assert.Contains(t, recover(), tt.want)
				assert.Len(t, s.Keys(), 2, "nothing is added")
			}()
			s.AddKey(tt.key)
		})
	}
}

func TestServer_SetRegionExpiration(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	list := func() string { return c.do(http.MethodGet, "/api_keys", "").body }

	assert.NotContains(t, list(), "api_key_region_expiration_ts")
	s.SetRegionExpiration(time.Unix(1791000000, 999_999_999))
	assert.Contains(t, list(), `],"api_key_region_expiration_ts":1791000000}`)
	s.SetRegionExpiration(time.Time{})
	assert.NotContains(t, list(), "api_key_region_expiration_ts")
}

func TestServer_DeleteKey_noRequest(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	assert.False(t, s.DeleteKey("unknown"))
	assert.True(t, s.DeleteKey(s.KeyID))
	assert.Empty(t, s.Keys())
	assert.Equal(t, bodyUnknownKey, newClient(t, s).do("GET", "/api_keys", "").body)
}
