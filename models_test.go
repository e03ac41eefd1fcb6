package kalshi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGetAPIKeysResponse_RegionExpiration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		r    *GetAPIKeysResponse
		want time.Time
		ok   bool
	}{
		{"nil response", nil, time.Time{}, false},
		{"never attested", &GetAPIKeysResponse{}, time.Time{}, false},
		{"seconds", &GetAPIKeysResponse{RegionExpirationTS: pointerTo(int64(1790856000))}, time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC), true},
		{"lapsed", &GetAPIKeysResponse{RegionExpirationTS: pointerTo(int64(1))}, time.Date(1970, 1, 1, 0, 0, 1, 0, time.UTC), true},
		{"zero is a time", &GetAPIKeysResponse{RegionExpirationTS: pointerTo(int64(0))}, time.Unix(0, 0), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := tt.r.RegionExpiration()
			assert.Equal(t, tt.ok, ok)
			assert.True(t, tt.want.Equal(got), "want %v, got %v", tt.want, got)
		})
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

// A listed key survives encoding and decoding by a user.
func TestAPIKey_JSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"api_key_id":"a","name":"b","scopes":["read","some::day"]}`,
		`{"api_key_id":"a","name":"b","scopes":["read"],"subaccount":0}`,
		`{"api_key_id":"a","name":"b","scopes":[],"fcm_subtrader_id":"u_1"}`,
	} {
		var key APIKey
		require.NoError(t, json.Unmarshal([]byte(text), &key))
		got, err := json.Marshal(key)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
	}
	var null APIKey
	require.NoError(t, json.Unmarshal([]byte(`{"subaccount":null,"fcm_subtrader_id":null}`), &null))
	assert.Equal(t, APIKey{}, null)
}

func TestRequests_Validate(t *testing.T) {
	t.Parallel()
	public, err := MarshalPublicKey(newEd25519Key(t).Public())
	require.NoError(t, err)
	tests := []struct {
		name        string
		req         GenerateAPIKeyRequest
		field, word string // of the error; empty when there is none
	}{
		{"name alone", GenerateAPIKeyRequest{Name: "a"}, "", ""},
		{"any text as a name", GenerateAPIKeyRequest{Name: " \n\"ключ\" "}, "", ""},
		{"primary account", GenerateAPIKeyRequest{Name: "a", Subaccount: pointerTo(0)}, "", ""},
		{"a subtrader", GenerateAPIKeyRequest{Name: "a", FCMSubtraderID: "u_1"}, "", ""},
		// The service may change these rules.
		{"a sub-account too high today", GenerateAPIKeyRequest{Name: "a", Subaccount: pointerTo(64)}, "", ""},
		{"a scope unknown today", GenerateAPIKeyRequest{Name: "a", Scopes: []Scope{"made::up"}}, "", ""},
		{"write without read", GenerateAPIKeyRequest{Name: "a", Scopes: []Scope{ScopeWrite}}, "", ""},
		{"a key type unknown today", GenerateAPIKeyRequest{Name: "a", KeyType: "post-quantum"}, "", ""},

		{"no name", GenerateAPIKeyRequest{}, "Name", "is empty"},
		{"a name that is not UTF-8", GenerateAPIKeyRequest{Name: "a\xff"}, "Name", "UTF-8"},
		{"an empty list of scopes", GenerateAPIKeyRequest{Name: "a", Scopes: []Scope{}}, "Scopes", "nil for full access"},
		{"a negative sub-account", GenerateAPIKeyRequest{Name: "a", Subaccount: pointerTo(-1)}, "Subaccount", "is negative: use 0 to 63"},
		{"sub-account and subtrader", GenerateAPIKeyRequest{Name: "a", Subaccount: pointerTo(0), FCMSubtraderID: "u_1"}, "Subaccount", "FCMSubtraderID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			create := CreateAPIKeyRequest{
				Name: tt.req.Name, PublicKey: public, Scopes: tt.req.Scopes, Subaccount: tt.req.Subaccount, FCMSubtraderID: tt.req.FCMSubtraderID,
			}
			for _, err := range []error{tt.req.validate(), create.validate()} {
				if tt.field == "" {
					assert.NoError(t, err)
					continue
				}
				assertInvalid(t, err, tt.word)
				var invalid *ValidationError
				if assert.ErrorAs(t, err, &invalid) {
					assert.Equal(t, tt.field, invalid.Field)
				}
			}
		})
	}
}

func TestCreateAPIKeyRequest_PublicKey(t *testing.T) {
	t.Parallel()
	for keyType, key := range testKeys(t) {
		text, err := MarshalPublicKey(key.Public())
		require.NoError(t, err)
		for name, text := range map[string]string{
			"unchanged":              text,
			"no line end at the end": strings.TrimSpace(text),
			"CRLF":                   strings.ReplaceAll(text, "\n", "\r\n"),
			"blank lines around":     "\n\n" + text + " \n\n",
		} {
			req := CreateAPIKeyRequest{Name: "a", PublicKey: text}
			assert.NoError(t, req.validate(), "%s, %s", keyType, name)
		}
	}
	t.Run("generated by OpenSSL", func(t *testing.T) {
		for _, algorithm := range []string{"RSA", "ed25519"} {
			private := openssl(t, "", "genpkey", "-algorithm", algorithm)
			req := CreateAPIKeyRequest{Name: "a", PublicKey: openssl(t, private, "pkey", "-pubout")}
			assert.NoError(t, req.validate(), algorithm)
		}
	})
}

// Most importantly, a private key must never be sent.
func TestCreateAPIKeyRequest_refusesPrivateKeys(t *testing.T) {
	t.Parallel()
	for _, kt := range goodKeyTexts(t) {
		public, err := MarshalPublicKey(kt.key.Public())
		require.NoError(t, err)
		for _, m := range mangles {
			t.Run(kt.name+"/"+m.name, func(t *testing.T) {
				private := m.mangle(kt.text)
				for _, text := range []string{private, private + "\n" + public, public + private} {
					req := CreateAPIKeyRequest{Name: "a", PublicKey: text}
					err := req.validate()
					require.Error(t, err)
					assertInvalid(t, err, "PublicKey", "MarshalPublicKey")
					assertNoEcho(t, text, err)
					if strings.Contains(text, "PRIVATE KEY") {
						assert.ErrorContains(t, err, "never be sent")
					}
				}
			})
		}
	}
}

func TestCreateAPIKeyRequest_refusesPublicKeys(t *testing.T) {
	t.Parallel()
	key := newEd25519Key(t)
	spki := func(pub any) []byte {
		der, err := x509.MarshalPKIXPublicKey(pub)
		require.NoError(t, err)
		return der
	}
	good := encodePEM("PUBLIC KEY", spki(key.Public()))
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	rsa1024, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	hidden := append(spki(key.Public()), pkcs8(t, key)...) // a private key after the public one
	const notPEM, around, neither = "is not a PEM block", "text around", "no RSA or Ed25519 key"
	tests := []struct{ name, text, word string }{
		{"empty", "", "is empty"},
		{"not PEM", "some text", notPEM},
		{"DER", string(spki(key.Public())), notPEM},
		{"PKCS#1", encodePEM("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&testRSAKey().PublicKey)), notPEM},
		{"certificate", certificate(t, key), notPEM},
		{"OpenSSH", "ssh-ed25519 AAAAC3Nz me@host", notPEM},
		{"headers", strings.Replace(good, "\n", "\nComment: mine\n\n", 1), notPEM},
		{"escaped line ends", strings.ReplaceAll(good, "\n", `\n`), notPEM},
		{"cut off", good[:len(good)-30], notPEM},
		{"two keys", good + good, around},
		{"text before", "my key\n" + good, around},
		{"text after", good + "my key", around},
		{"a broken block before", "-----BEGIN X\n" + good, around},
		{"EC", encodePEM("PUBLIC KEY", spki(ecKey.Public())), "EC key"},
		{"RSA 1024", encodePEM("PUBLIC KEY", spki(rsa1024.Public())), "RSA needs at least 2048"},
		{"an empty block", encodePEM("PUBLIC KEY", nil), neither},
		{"PKCS#1 under this label", encodePEM("PUBLIC KEY", x509.MarshalPKCS1PublicKey(&testRSAKey().PublicKey)), neither},
		{"a private key under this label", encodePEM("PUBLIC KEY", pkcs8(t, key)), neither},
		{"a private key in the same block", encodePEM("PUBLIC KEY", hidden), neither},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req := CreateAPIKeyRequest{Name: "a", PublicKey: tt.text}
			err := req.validate()
			require.Error(t, err)
			assertInvalid(t, err, "PublicKey", tt.word)
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
	key, err := good.PrivateKey.Parse()
	require.NoError(t, err)
	assertSameKey(t, key, signer.cred.Load().key)
	tests := []struct {
		name  string
		r     *GenerateAPIKeyResponse
		field string
	}{
		{"nil", nil, "response"},
		{"no private key", &GenerateAPIKeyResponse{ID: testKeyID}, "private key"},
		{"no key", &GenerateAPIKeyResponse{ID: testKeyID, PrivateKey: newPrivateKeyPEM("some text")}, "private key"},
		{"no ID", &GenerateAPIKeyResponse{PrivateKey: good.PrivateKey}, "key ID"},
	}
	for _, tt := range tests {
		signer, err := tt.r.Signer()
		assert.Nil(t, signer, tt.name)
		assertInvalid(t, err, tt.field)
	}
}
