package kalshitest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func TestServer_NewKey_rejected(t *testing.T) {
	t.Parallel()
	s := newServer(t, kalshitest.WithFCMMember())
	c := newClient(t, s)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	small := &rsa.PublicKey{N: new(big.Int).Rsh(rsaKey().N, 1), E: 65537} // 2047 bits

	const create, generate = "/api_keys", "/api_keys/generate"
	rules := map[string]string{
		"name":             "it must not be empty",
		"scopes":           "it must be one or more of read, read::block_trade_accept, read::portfolio_balance, write, write::trade, write::transfer, write::fcm_risk, write::block_trade_accept; write requires read",
		"subaccount":       "it must be 0 to 63",
		"fcm_subtrader_id": "it must be {user_id}_{suffix} with a suffix of 1 to 16 ASCII letters and digits, and excludes subaccount",
		"public_key":       "it must be one PEM block of type PUBLIC KEY with an Ed25519 key, or an RSA key of 2048 bits or more",
		"key_type":         "it must be rsa or ed25519",
	}
	parameter := func(name string) string { return fmt.Sprintf(bodyBadParameter, name, rules[name]) }
	// Both endpoints check the parameters that they share.
	common := []struct{ name, fields, want string }{
		{"name missing", `"key_type":"rsa"`, parameter("name")},
		{"name empty", `"name":""`, parameter("name")},
		{"name null", `"name":null`, parameter("name")},
		{"scopes empty", `"name":"x","scopes":[]`, parameter("scopes")},
		{"scope unknown", `"name":"x","scopes":["read","admin"]`, parameter("scopes")},
		{"write without read", `"name":"x","scopes":["write","read::portfolio_balance"]`, parameter("scopes")},
		{"sub-account negative", `"name":"x","subaccount":-1`, parameter("subaccount")},
		{"sub-account too high", `"name":"x","subaccount":64`, parameter("subaccount")},
		{"both restrictions", `"name":"x","subaccount":0,"fcm_subtrader_id":"u_1"`, parameter("fcm_subtrader_id")},
		{"subtrader empty", `"name":"x","fcm_subtrader_id":""`, parameter("fcm_subtrader_id")},
		{"subtrader without suffix", `"name":"x","fcm_subtrader_id":"u_"`, parameter("fcm_subtrader_id")},
		{"subtrader without user", `"name":"x","fcm_subtrader_id":"_1"`, parameter("fcm_subtrader_id")},
		{"subtrader suffix too long", `"name":"x","fcm_subtrader_id":"u_12345678901234567"`, parameter("fcm_subtrader_id")},
		{"subtrader suffix not ASCII", `"name":"x","fcm_subtrader_id":"u_é"`, parameter("fcm_subtrader_id")},
		{"name of another type", `"name":7`, `{"code":"bad_request","message":"bad request","details":"json: cannot unmarshal number into Go struct field `},
		{"scopes of another type", `"name":"x","scopes":"read"`, `{"code":"bad_request","message":"bad request","details":"json: cannot unmarshal string into Go struct field `},
		{"sub-account with a fraction", `"name":"x","subaccount":1.5`, `{"code":"bad_request","message":"bad request","details":"json: cannot unmarshal number 1.5 into Go struct field `},
	}
	type test struct{ name, path, body, contentType, want string }
	var tests []test
	for _, tt := range common {
		body := "{" + tt.fields + "}"
		tests = append(tests,
			test{"create: " + tt.name, create, `{"public_key":` + jsonText(s.Keys()[0].PublicKey) + "," + tt.fields + "}", "", tt.want},
			test{"generate: " + tt.name, generate, body, "", tt.want})
	}
	withKey := func(text string) string { return jsonText(object{"name": "x", "public_key": text}) }
	broken := `{"code":"bad_request","message":"bad request","details":"`
	tests = append(tests,
		test{"public key missing", create, `{"name":"x"}`, "", parameter("public_key")},
		test{"public key no PEM", create, withKey("nonsense"), "", parameter("public_key")},
		test{"public key private", create, withKey(s.PrivateKey), "", parameter("public_key")},
		test{"public key broken", create, withKey(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("xyz")}))), "", parameter("public_key")},
		test{"public key EC", create, withKey(publicPEM(t, ec.Public())), "", parameter("public_key")},
		test{"public key too small", create, withKey(publicPEM(t, small)), "", parameter("public_key")},
		test{"key type unknown", generate, `{"name":"x","key_type":"ec"}`, "", parameter("key_type")},
		test{"no JSON", generate, `name=x`, "", broken},
		test{"JSON cut off", create, `{"name":"x"`, "", broken},
		test{"two JSON texts", generate, `{"name":"x"}{}`, "", broken},
		test{"JSON of another kind", generate, `[]`, "", broken},
		test{"content type text", generate, `{"name":"x"}`, "text/plain", bodyContentType},
		test{"content type missing", create, `{"name":"x"}`, "-", bodyContentType},
		test{"content type malformed", create, `{"name":"x"}`, ";", bodyContentType},
	)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := c.do(http.MethodPost, tt.path, tt.body, func(r *http.Request) {
				switch tt.contentType {
				case "":
				case "-":
					r.Header.Del("Content-Type")
				default:
					r.Header.Set("Content-Type", tt.contentType)
				}
			})
			require.NoError(t, got.err)
			assert.Equal(t, http.StatusBadRequest, got.status)
			if strings.HasSuffix(tt.want, "}") {
				assert.Equal(t, tt.want, got.body)
			} else {
				assert.True(t, strings.HasPrefix(got.body, tt.want), got.body)
				assert.True(t, json.Valid([]byte(got.body)))
			}
			assert.Equal(t, "application/json", got.header.Get("Content-Type"))
			assert.Len(t, s.Keys(), 1)
		})
	}
}

func TestServer_NewKey_accepted(t *testing.T) {
	t.Parallel()
	s := newServer(t, kalshitest.WithFCMMember())
	c := newClient(t, s)
	for name, fields := range map[string]string{
		"child alone":        `"scopes":["write::transfer"]`,
		"all scopes":         `"scopes":["read","write","read::block_trade_accept","read::portfolio_balance","write::trade","write::transfer","write::fcm_risk","write::block_trade_accept"]`,
		"sub-account 0":      `"subaccount":0`,
		"nulls":              `"scopes":null,"subaccount":null,"fcm_subtrader_id":null`,
		"longest suffix":     `"fcm_subtrader_id":"u_1234567890abcDEF"`,
		"underscore in user": `"fcm_subtrader_id":"a-b_c_1"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := c.do(http.MethodPost, "/api_keys/generate", `{"name":"x","key_type":"ed25519",`+fields+`}`, func(r *http.Request) {
				r.Header.Set("Content-Type", "application/json; charset=utf-8")
			})
			require.NoError(t, got.err)
			assert.Equal(t, http.StatusCreated, got.status, got.body)
		})
	}
}
