package kalshitest_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
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
