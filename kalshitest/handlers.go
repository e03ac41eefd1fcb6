package kalshitest

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
)

// maxSubaccount is the highest number of a sub-account; the lowest is 0.
const maxSubaccount = 63

// scopes are all that a key can be granted.
var scopes = []string{
	"read", "read::block_trade_accept", "read::portfolio_balance",
	"write", "write::trade", "write::transfer", "write::fcm_risk", "write::block_trade_accept",
}

// subtraderID is the documented form {user_id}_{suffix}.
var subtraderID = regexp.MustCompile(`^\S+_[A-Za-z0-9]{1,16}$`)

// routeKeys serves the API Keys endpoints.
func (s *Server) routeKeys() {
	s.mux.Handle("GET "+basePath+"/api_keys", manage("read", s.listKeys))
	s.mux.Handle("POST "+basePath+"/api_keys", manage("write", s.createKey))
	s.mux.Handle("POST "+basePath+"/api_keys/generate", manage("write", s.generateKey))
	s.mux.Handle("DELETE "+basePath+"/api_keys/{id}", manage("write", s.deleteKey))
}

// manage lets a caller through to an endpoint of key management: one that is
// not restricted to a sub-account and has the scope itself, no child of it.
func manage(scope string, endpoint func(*http.Request) *answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := r.Context().Value(callerKey{}).(Key)
		switch {
		case caller.Subaccount != nil:
			subaccountRefused().ServeHTTP(w, r)
		case !slices.Contains(caller.Scopes, scope):
			insufficientScope(scope).ServeHTTP(w, r)
		default:
			endpoint(r).ServeHTTP(w, r)
		}
	})
}

// listedKey is a key in a listing.
type listedKey struct {
	ID             string   `json:"api_key_id"`
	Name           string   `json:"name"`
	Scopes         []string `json:"scopes"`
	Subaccount     *int     `json:"subaccount,omitempty"`
	FCMSubtraderID string   `json:"fcm_subtrader_id,omitempty"`
}

// listing is the answer to GET /api_keys.
type listing struct {
	APIKeys          []listedKey `json:"api_keys"`
	RegionExpiration *int64      `json:"api_key_region_expiration_ts,omitempty"` // Unix s
}

// listKeys is GET /api_keys.
func (s *Server) listKeys(r *http.Request) *answer {
	subtrader := r.URL.Query().Get("fcm_subtrader_id")
	if subtrader != "" && !s.config.fcmMember {
		return forbidden()
	}
	list := listing{APIKeys: []listedKey{}}
	for _, k := range s.Keys() {
		if subtrader == "" || k.FCMSubtraderID == subtrader {
			list.APIKeys = append(list.APIKeys, listedKey{k.ID, k.Name, k.Scopes, k.Subaccount, k.FCMSubtraderID})
		}
	}
	s.mu.Lock()
	expiration := s.regionExpiration
	s.mu.Unlock()
	if !expiration.IsZero() {
		unix := expiration.Unix()
		list.RegionExpiration = &unix
	}
	return jsonAnswer(http.StatusOK, list)
}

// mintRequest is what the two requests that mint a key have in common.
type mintRequest struct {
	Name           string   `json:"name"`
	Scopes         []string `json:"scopes"` // nil when omitted: full access
	Subaccount     *int     `json:"subaccount"`
	FCMSubtraderID *string  `json:"fcm_subtrader_id"`
}

// minted is the answer to both; registering leaves key type and private key
// out.
type minted struct {
	ID         string `json:"api_key_id"`
	Type       string `json:"key_type,omitempty"`
	PrivateKey string `json:"private_key,omitempty"`
	Warning    string `json:"warning,omitempty"`
}

// createKey is POST /api_keys.
func (s *Server) createKey(r *http.Request) *answer {
	if s.config.basicLevel {
		return forbidden()
	}
	var body struct {
		mintRequest
		PublicKey string `json:"public_key"`
	}
	if refusal := decode(r, &body); refusal != nil {
		return refusal
	}
	key, refusal := s.requested(body.mintRequest)
	if refusal != nil {
		return refusal
	}
	key.PublicKey = body.PublicKey
	if _, _, err := parsePublicKey(key.PublicKey); err != nil {
		return invalidParameter("public_key")
	}
	key = must(s.mint(key))
	return jsonAnswer(http.StatusCreated, minted{ID: key.ID, Warning: warning(key)})
}

// generateKey is POST /api_keys/generate.
func (s *Server) generateKey(r *http.Request) *answer {
	var body struct {
		mintRequest
		KeyType string `json:"key_type"`
	}
	if refusal := decode(r, &body); refusal != nil {
		return refusal
	}
	key, refusal := s.requested(body.mintRequest)
	if refusal != nil {
		return refusal
	}
	switch body.KeyType {
	case keyTypeRSA, keyTypeEd25519:
		key.Type = body.KeyType
	case "":
		key.Type = keyTypeRSA
	default:
		return invalidParameter("key_type")
	}
	key = must(s.mint(key))
	return jsonAnswer(http.StatusCreated, minted{key.ID, key.Type, key.PrivateKey, warning(key)})
}

// deleteKey is DELETE /api_keys/{id}. A key may delete itself: nothing is
// documented against it.
func (s *Server) deleteKey(r *http.Request) *answer {
	if !s.remove(r.PathValue("id")) {
		return notFound()
	}
	return &answer{status: http.StatusNoContent}
}

// decode reads a JSON body as encoding/json does, whose words the exchange's
// own errors have, and ignores fields that it does not know.
func decode(r *http.Request, into any) (refusal *answer) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return invalidContentType()
	}
	body := must(io.ReadAll(r.Body)) // it is in memory
	if err := json.Unmarshal(body, into); err != nil {
		return badJSON(err)
	}
	return nil
}

// requested is the key that a request asks for, as far as the request is valid
// and the account may ask for it.
func (s *Server) requested(m mintRequest) (key Key, refusal *answer) {
	key = Key{Name: m.Name, Scopes: m.Scopes, Subaccount: m.Subaccount}
	if key.Scopes == nil {
		key.Scopes = []string{"read", "write"}
	}
	if m.FCMSubtraderID != nil {
		key.FCMSubtraderID = *m.FCMSubtraderID
	}
	switch bad := badRestriction(key.Subaccount, key.FCMSubtraderID); {
	case key.Name == "":
		return Key{}, invalidParameter("name")
	case !grantable(key.Scopes):
		return Key{}, invalidParameter("scopes")
	case bad != "":
		return Key{}, invalidParameter(bad)
	case m.FCMSubtraderID != nil && key.FCMSubtraderID == "":
		return Key{}, invalidParameter("fcm_subtrader_id")
	case key.FCMSubtraderID != "" && !s.config.fcmMember:
		return Key{}, forbidden()
	}
	return key, nil
}

// grantable reports whether a key may be asked for with these scopes: known
// ones, at least one, and "write" only beside "read".
func grantable(requested []string) bool {
	for _, scope := range requested {
		if !slices.Contains(scopes, scope) {
			return false
		}
	}
	return len(requested) > 0 && (!slices.Contains(requested, "write") || slices.Contains(requested, "read"))
}

// badRestriction names the field that is out of range or excluded by the
// other, if one is.
func badRestriction(subaccount *int, subtrader string) string {
	switch {
	case subaccount != nil && (*subaccount < 0 || *subaccount > maxSubaccount):
		return "subaccount"
	case subtrader != "" && (subaccount != nil || !subtraderID.MatchString(subtrader)):
		return "fcm_subtrader_id"
	}
	return ""
}

// warning is what a mint answers beside a key that is bound to a subtrader.
func warning(k Key) string {
	if k.FCMSubtraderID == "" {
		return ""
	}
	return "this API key is bound to FCM subtrader " + k.FCMSubtraderID + " and cannot access REST endpoints"
}
