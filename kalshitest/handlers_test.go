package kalshitest_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const (
	bodyNeedsRead    = `{"error":{"code":"insufficient_scope:_read_required","message":"insufficient scope: read required"}}`
	bodyNeedsWrite   = `{"error":{"code":"insufficient_scope:_write_required","message":"insufficient scope: write required"}}`
	bodySubaccount   = `this API key is restricted to a single sub-account and cannot access this endpoint`
	bodyContentType  = `{"code":"invalid_content_type","message":"invalid_content_type"}`
	bodyNotFound     = `{"error":{"code":"not_found","message":"not found"}}`
	bodyForbidden    = `{"error":{"code":"forbidden","message":"forbidden"}}`
	bodyBadParameter = `{"msg":"Parameter validation failed for %s: %s"}`
)

// object is a JSON object.
type object = map[string]any

func TestServer_ListKeys(t *testing.T) {
	t.Parallel()
	s := newServer(t, kalshitest.WithFCMMember())
	c := newClient(t, s)
	s.AddKey(kalshitest.Key{ID: "b", Name: "  <Ünïcode>  ", Scopes: []string{"read::portfolio_balance"}, Subaccount: ptr(0)})
	s.AddKey(kalshitest.Key{ID: "a", Name: "bound", Scopes: []string{}, FCMSubtraderID: "u_1"})
	s.AddKey(kalshitest.Key{ID: "c", Name: "bound too", FCMSubtraderID: "u_2"})

	got := c.do(http.MethodGet, "/api_keys", "")
	require.NoError(t, got.err)
	assert.Equal(t, http.StatusOK, got.status)
	assert.Equal(t, "application/json", got.header.Get("Content-Type"))
	assert.JSONEq(t, `{"api_keys":[
		{"api_key_id":"`+s.KeyID+`","name":"kalshitest","scopes":["read","write"]},
		{"api_key_id":"b","name":"  <Ünïcode>  ","scopes":["read::portfolio_balance"],"subaccount":0},
		{"api_key_id":"a","name":"bound","scopes":[],"fcm_subtrader_id":"u_1"},
		{"api_key_id":"c","name":"bound too","scopes":["read","write"],"fcm_subtrader_id":"u_2"}
	]}`, got.body)

	got = c.do(http.MethodGet, "/api_keys?fcm_subtrader_id=u_2", "")
	assert.JSONEq(t, `{"api_keys":[{"api_key_id":"c","name":"bound too","scopes":["read","write"],"fcm_subtrader_id":"u_2"}]}`, got.body)
	got = c.do(http.MethodGet, "/api_keys?fcm_subtrader_id=u_3", "")
	assert.Equal(t, `{"api_keys":[]}`, got.body)
}

func TestServer_CreateKey(t *testing.T) {
	t.Parallel()
	edPublic, edPrivate, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	tests := []struct {
		name string
		body object
		want kalshitest.Key
	}{
		{"ed25519", object{"public_key": publicPEM(t, edPublic), "scopes": nil},
			kalshitest.Key{Type: "ed25519", Scopes: []string{"read", "write"}}},
		{"rsa", object{"public_key": publicPEM(t, rsaKey().Public()), "scopes": []string{"read", "write::trade"}, "subaccount": 63},
			kalshitest.Key{Type: "rsa", Scopes: []string{"read", "write::trade"}, Subaccount: ptr(63)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			c := newClient(t, s)
			tt.body["name"] = "mine"
			tt.body["unknown"] = "ignored"
			got := c.do(http.MethodPost, "/api_keys", jsonText(tt.body))
			require.NoError(t, got.err)
			require.Equal(t, http.StatusCreated, got.status, got.body)

			keys := s.Keys()
			require.Len(t, keys, 2)
			assert.Regexp(t, uuid4, keys[1].ID)
			assert.Equal(t, fmt.Sprintf(`{"api_key_id":"%s"}`, keys[1].ID), got.body)
			tt.want.ID, tt.want.Name, tt.want.PublicKey = keys[1].ID, "mine", tt.body["public_key"].(string)
			assert.Equal(t, tt.want, keys[1])

			made := *c
			made.keyID, made.key = keys[1].ID, edPrivate
			if tt.want.Type == "rsa" {
				made.key = rsaKey()
			}
			assert.NotEqual(t, http.StatusUnauthorized, made.do(http.MethodGet, "/api_keys", "").status)
		})
	}
}

func TestServer_GenerateKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	for keyType, sent := range map[string]string{"rsa": "", "ed25519": `,"key_type":"ed25519"`} {
		t.Run(keyType, func(t *testing.T) {
			t.Parallel()
			got := c.do(http.MethodPost, "/api_keys/generate", `{"name":"new `+keyType+`"`+sent+`}`)
			require.NoError(t, got.err)
			require.Equal(t, http.StatusCreated, got.status, got.body)
			var body map[string]string
			require.NoError(t, json.Unmarshal([]byte(got.body), &body))
			assert.Len(t, body, 3)
			assert.Regexp(t, uuid4, body["api_key_id"])
			assert.Equal(t, keyType, body["key_type"])
			if keyType == "rsa" {
				assert.True(t, strings.HasPrefix(body["private_key"], "-----BEGIN RSA "), "PKCS#1")
			}
			key := parsePrivateKey(t, body["private_key"])
			if key, ok := key.(*rsa.PrivateKey); ok {
				assert.Equal(t, 2048, key.N.BitLen())
			}

			made := *c
			made.keyID, made.key = body["api_key_id"], key
			got = made.do(http.MethodGet, "/api_keys", "")
			assert.Equal(t, http.StatusOK, got.status, "works at once")
			assert.Contains(t, got.body, `"name":"new `+keyType+`"`)
		})
	}
}

func TestServer_DeleteKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	other := c.as(t, s.AddKey(kalshitest.Key{}))

	got := c.do(http.MethodDelete, "/api_keys/"+other.keyID, "")
	require.NoError(t, got.err)
	assert.Equal(t, http.StatusNoContent, got.status)
	assert.Empty(t, got.body)
	require.Len(t, s.Keys(), 1)
	assert.Equal(t, s.KeyID, s.Keys()[0].ID)

	got = other.do(http.MethodGet, "/api_keys", "")
	assert.Equal(t, http.StatusUnauthorized, got.status, "stops at once")
	assert.Equal(t, bodyUnknownKey, got.body)
	got = c.do(http.MethodDelete, "/api_keys/"+other.keyID, "")
	assert.Equal(t, http.StatusNotFound, got.status)
	assert.Equal(t, bodyNotFound, got.body)

	got = c.do(http.MethodDelete, "/api_keys/"+c.keyID, "")
	assert.Equal(t, http.StatusNoContent, got.status, "a key may delete itself")
	assert.Empty(t, s.Keys())
	got = c.do(http.MethodDelete, "/api_keys/"+c.keyID, "")
	assert.Equal(t, bodyUnknownKey, got.body)
}

// Who may do what: each kind of key on each endpoint.
func TestServer_Privileges(t *testing.T) {
	t.Parallel()
	type row struct {
		status int
		body   string // empty: not looked at
	}
	ok, needsRead, needsWrite := row{}, row{403, bodyNeedsRead}, row{403, bodyNeedsWrite}
	subaccount, forbidden := row{403, bodySubaccount}, row{403, bodyForbidden}
	tests := []struct {
		name                           string
		key                            kalshitest.Key
		list, create, generate, delete row
	}{
		{"full access", kalshitest.Key{}, ok, ok, ok, ok},
		{"read only", kalshitest.Key{Scopes: []string{"read"}}, ok, needsWrite, needsWrite, needsWrite},
		{"read and children", kalshitest.Key{Scopes: []string{"read", "write::trade"}}, ok, needsWrite, needsWrite, needsWrite},
		{"read children", kalshitest.Key{Scopes: []string{"read::portfolio_balance"}}, needsRead, needsWrite, needsWrite, needsWrite},
		{"write only", kalshitest.Key{Scopes: []string{"write"}}, needsRead, ok, ok, ok},
		{"no scopes", kalshitest.Key{Scopes: []string{}}, needsRead, needsWrite, needsWrite, needsWrite},
		{"sub-account", kalshitest.Key{Subaccount: ptr(5)}, subaccount, subaccount, subaccount, subaccount},
		{"sub-account 0", kalshitest.Key{Subaccount: ptr(0)}, subaccount, subaccount, subaccount, subaccount},
		{"subtrader", kalshitest.Key{FCMSubtraderID: "u_1"}, forbidden, forbidden, forbidden, forbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			key := s.AddKey(tt.key)
			victim := s.AddKey(kalshitest.Key{}).ID
			c := newClient(t, s).as(t, key)
			check := func(want row, success int, got reply) {
				t.Helper()
				require.NoError(t, got.err)
				if want == ok {
					assert.Equal(t, success, got.status, got.body)
					return
				}
				assert.Equal(t, want.status, got.status)
				assert.Equal(t, want.body, got.body)
			}
			check(tt.list, 200, c.do("GET", "/api_keys", ""))
			check(tt.create, 201, c.do("POST", "/api_keys", jsonText(object{"name": "x", "public_key": key.PublicKey})))
			check(tt.generate, 201, c.do("POST", "/api_keys/generate", `{"name":"x","key_type":"ed25519"}`))
			check(tt.delete, 204, c.do("DELETE", "/api_keys/"+victim, ""))
			for _, r := range s.Requests() {
				assert.Equal(t, r.Status < 300, r.Processed, "%s %s", r.Method, r.Path)
			}
		})
	}
}

func TestServer_UsageLevel(t *testing.T) {
	t.Parallel()
	s := newServer(t, kalshitest.WithBasicUsageLevel())
	c := newClient(t, s)
	got := c.do("POST", "/api_keys", jsonText(object{"name": "x", "public_key": s.Keys()[0].PublicKey}))
	assert.Equal(t, http.StatusForbidden, got.status)
	assert.Equal(t, bodyForbidden, got.body)
	got = c.do("POST", "/api_keys/generate", `{"name":"x","key_type":"ed25519"}`)
	assert.Equal(t, http.StatusCreated, got.status)
}

func TestServer_FCM(t *testing.T) {
	t.Parallel()
	bound := `{"name":"x","key_type":"ed25519","fcm_subtrader_id":"user_1_Ab9"}`

	stranger := newServer(t)
	c := newClient(t, stranger)
	for _, got := range []reply{
		c.do("POST", "/api_keys/generate", bound),
		c.do("POST", "/api_keys", jsonText(object{"name": "x", "public_key": stranger.Keys()[0].PublicKey, "fcm_subtrader_id": "u_1"})),
		c.do("GET", "/api_keys?fcm_subtrader_id=u_1", ""),
	} {
		assert.Equal(t, http.StatusForbidden, got.status)
		assert.Equal(t, bodyForbidden, got.body)
	}
	assert.Len(t, stranger.Keys(), 1)

	member := newServer(t, kalshitest.WithFCMMember())
	c = newClient(t, member)
	got := c.do("POST", "/api_keys/generate", bound)
	require.Equal(t, http.StatusCreated, got.status, got.body)
	var body map[string]string
	require.NoError(t, json.Unmarshal([]byte(got.body), &body))
	assert.Contains(t, body["warning"], "user_1_Ab9")
	assert.Equal(t, "user_1_Ab9", member.Keys()[1].FCMSubtraderID)
	assert.Equal(t, "ed25519", body["key_type"])

	got = c.do("POST", "/api_keys", jsonText(object{"name": "x", "public_key": member.Keys()[0].PublicKey, "fcm_subtrader_id": "u_1"}))
	require.Equal(t, http.StatusCreated, got.status, got.body)
	assert.Contains(t, got.body, `"warning":"`)
}

func TestServer_NewKey_rejected(t *testing.T) {
	t.Parallel()
	s := newServer(t, kalshitest.WithFCMMember())
	c := newClient(t, s)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)

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
		test{"public key too small", create, withKey(publicPEM(t, small.Public())), "", parameter("public_key")},
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
