package kalshi

import (
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGetAPIKeysResponse_RegionExpiration(t *testing.T) {
	t.Parallel()
	for resp, want := range map[*GetAPIKeysResponse]time.Time{
		nil:                                 {},
		{}:                                  {},
		{RegionExpirationTS: new(int64(0))}: time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC),
		{RegionExpirationTS: new(int64(1790856000))}: time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC),
	} {
		at, ok := resp.RegionExpiration()
		assert.Equal(t, want, at.UTC())
		assert.Equal(t, !want.IsZero(), ok)
	}
}

func TestAPIKey_Missing(t *testing.T) {
	t.Parallel()
	keyWith := func(scopes ...Scope) *APIKey { return &APIKey{Scopes: scopes} }
	list := func(scopes ...Scope) []Scope { return scopes }
	tests := []struct {
		name       string
		key        *APIKey
		want, miss []Scope
	}{
		{"nothing wanted", keyWith(ScopeRead), nil, nil},
		{"listed", keyWith(ScopeRead, ScopeWriteTrade), list(ScopeWriteTrade, ScopeRead), nil},
		{"parent listed", keyWith(ScopeRead, ScopeWrite), list(ScopeWriteTrade, ScopeReadPortfolioBalance), nil},
		{"child listed", keyWith(ScopeWriteTrade), list(ScopeWrite), list(ScopeWrite)},
		{"sibling listed", keyWith(ScopeWriteTrade), list(ScopeWriteTransfer), list(ScopeWriteTransfer)},
		{"another parent listed", keyWith(ScopeRead), list(ScopeWriteTrade), list(ScopeWriteTrade)},
		{"unknown scope, parent listed", keyWith("admin"), list("admin::some::day"), nil},
		{"unknown scope, listed", keyWith("admin::day"), list("admin::day", "admin"), list("admin")},
		{"a prefix is not a parent", keyWith(ScopeRead), list("readonly"), list("readonly")},
		{"order of want", keyWith(ScopeRead), list(ScopeWriteTransfer, ScopeRead, ScopeWrite), list(ScopeWriteTransfer, ScopeWrite)},
		{"no scopes", keyWith(), list(ScopeRead), list(ScopeRead)},
		{"nil key", nil, list(ScopeRead, ScopeWrite), list(ScopeRead, ScopeWrite)},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.miss, tt.key.Missing(tt.want...), tt.name)
	}
}

func TestRequests_validate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		req  GenerateAPIKeyRequest
		want string // of the error; empty when there is none
	}{
		{"name alone, any text", GenerateAPIKeyRequest{Name: " \n\"ключ\" "}, ""},
		{"a subtrader", GenerateAPIKeyRequest{Name: "a", FCMSubtraderID: "u_1"}, ""},
		{"the primary account", GenerateAPIKeyRequest{Name: "a", Subaccount: new(0)}, ""},
		{ // The service may change these rules.
			"write without read, and what is unknown today",
			GenerateAPIKeyRequest{Name: "a", KeyType: "post-quantum", Scopes: []Scope{"made::up", ScopeWrite}, Subaccount: new(64)}, "",
		},
		{"no name", GenerateAPIKeyRequest{}, "Name is empty"},
		{"an empty list of scopes", GenerateAPIKeyRequest{Name: "a", Scopes: []Scope{}}, "Scopes is an empty list"},
		{"a negative sub-account", GenerateAPIKeyRequest{Name: "a", Subaccount: new(-1)}, "Subaccount is negative"},
		{"both", GenerateAPIKeyRequest{Name: "a", Subaccount: new(0), FCMSubtraderID: "u_1"}, "Subaccount excludes FCMSubtraderID"},
	}
	for _, tt := range tests {
		create := CreateAPIKeyRequest{tt.req.Name, testPublicKey(), tt.req.Scopes, tt.req.Subaccount, tt.req.FCMSubtraderID}
		for _, err := range []error{tt.req.validate(), create.validate()} {
			if tt.want == "" {
				assert.NoError(t, err, tt.name)
			} else {
				assertInvalid(t, err, "kalshi: "+tt.want)
			}
		}
	}
}

func TestCreateAPIKeyRequest_validate(t *testing.T) {
	t.Parallel()
	for keyType, key := range testKeys(t) {
		text, err := MarshalPublicKey(key.Public())
		require.NoError(t, err)
		for _, text := range []string{
			text, strings.TrimSpace(text), strings.ReplaceAll(text, "\n", "\r\n"), "\n\n" + text + " \n\n",
		} {
			req := CreateAPIKeyRequest{Name: "a", PublicKey: text}
			assert.NoError(t, req.validate(), "%s: %q", keyType, text)
		}
	}
}

// Most importantly, a private key must never be sent.
func TestCreateAPIKeyRequest_validate_refuses(t *testing.T) {
	t.Parallel()
	key := newEd25519Key(t)
	good := encodePEM("PUBLIC KEY", spki(t, key.Public()))
	pkcs1 := x509.MarshalPKCS1PublicKey(&testRSAKey().PublicKey)
	hidden := append(spki(t, key.Public()), pkcs8(t, key)...) // a private key after the public one
	const notPEM, neither = "is not a PEM block", "holds no RSA or Ed25519 key"
	type test struct{ name, text, want string }
	tests := []test{
		{"empty", "", "is not a PEM block"},
		{"private key", encodePEM("PRIVATE KEY", pkcs8(t, key)), "is a private key, which must never be sent"},
		{"not PEM", "some text", notPEM},
		{"another label", encodePEM("RSA PUBLIC KEY", pkcs1), notPEM},
		{"headers", strings.Replace(good, "\n", "\nComment: mine\n\n", 1), notPEM},
		{"cut off", good[:len(good)-30], notPEM},
		{"two keys", good + good, notPEM},
		{"text before", "my key\n" + good, notPEM},
		{"a letter after", good + "x", notPEM},
		{"a broken block before", "-----BEGIN X\n" + good, notPEM},
		{"EC", encodePEM("PUBLIC KEY", spki(t, newECKey(t).Public())), "is an EC key"},
		{"RSA 1024", encodePEM("PUBLIC KEY", spki(t, newSmallRSAKey(t).Public())), "has 1024 bits, and RSA needs at least 2048"},
		{"an empty block", encodePEM("PUBLIC KEY", nil), neither},
		{"PKCS#1 under this label", encodePEM("PUBLIC KEY", pkcs1), neither},
		{"a private key under this label", encodePEM("PUBLIC KEY", pkcs8(t, key)), neither},
		{"a private key in the same block", encodePEM("PUBLIC KEY", hidden), neither},
	}
	for _, kt := range goodKeyTexts(t) {
		for _, m := range mangles {
			private, name := m.mangle(kt.text), kt.name+", "+m.name
			tests = append(tests, test{name, private, "is "}, test{name + " and a public key", private + "\n" + good, "is "})
		}
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := (&CreateAPIKeyRequest{Name: "a", PublicKey: tt.text}).validate()
			require.Error(t, err)
			assertInvalid(t, err, "kalshi: PublicKey "+tt.want)
			assertNoEcho(t, tt.text, err)
		})
	}
}

func TestGenerateAPIKeyResponse_Signer(t *testing.T) {
	t.Parallel()
	good := generatedKey(t)
	signer, err := good.Signer()
	require.NoError(t, err)
	assert.Equal(t, testKeyID, signer.KeyID())
	for want, bad := range map[string]*GenerateAPIKeyResponse{
		"private key is empty": {ID: testKeyID}, "key ID is empty": {PrivateKey: good.PrivateKey},
	} {
		_, err = bad.Signer()
		assertInvalid(t, err, "kalshi: "+want)
	}
}
