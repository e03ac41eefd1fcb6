package kalshitest

// The four API Keys endpoints.

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"slices"
)

// endpoints returns the API Keys endpoints by their patterns.
func (s *Server) endpoints() []handler {
	return []handler{
		{"GET " + basePath + "/api_keys", authorize("read", s.listKeys)},
		{"POST " + basePath + "/api_keys", authorize("write", s.createKey)},
		{"POST " + basePath + "/api_keys/generate", authorize("write", s.generateKey)},
		{"DELETE " + basePath + "/api_keys/{id}", authorize("write", s.deleteKey)},
	}
}

// authorize calls the endpoint if the caller's key is not restricted to a
// sub-account and has the scope. A child of the scope is not enough.
func authorize(scope string, endpoint func(*http.Request) *response) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := r.Context().Value(callerKey{}).(Key)
		switch {
		case caller.Subaccount != nil:
			subaccountForbidden().ServeHTTP(w, r)
		case !slices.Contains(caller.Scopes, scope):
			insufficientScope(scope).ServeHTTP(w, r)
		default:
			endpoint(r).ServeHTTP(w, r)
		}
	})
}

// A listedKey is a key in the response to GET /api_keys.
type listedKey struct {
	ID             string   `json:"api_key_id"`
	Name           string   `json:"name"`
	Scopes         []string `json:"scopes"`
	Subaccount     *int     `json:"subaccount,omitempty"`
	FCMSubtraderID string   `json:"fcm_subtrader_id,omitempty"`
}

// A listResponse is the body of the response to GET /api_keys.
type listResponse struct {
	APIKeys          []listedKey `json:"api_keys"`
	RegionExpiration *int64      `json:"api_key_region_expiration_ts,omitempty"` // Unix s
}

// listKeys is GET /api_keys.
func (s *Server) listKeys(r *http.Request) *response {
	subtrader := r.URL.Query().Get("fcm_subtrader_id")
	if subtrader != "" && !s.config.fcmMember {
		return forbidden()
	}
	list := listResponse{APIKeys: []listedKey{}}
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
	return jsonResponse(http.StatusOK, list)
}

// A newKeyRequest has the parameters that create and generate share.
type newKeyRequest struct {
	Name           string   `json:"name"`
	Scopes         []string `json:"scopes"` // nil when omitted: full access
	Subaccount     *int     `json:"subaccount"`
	FCMSubtraderID *string  `json:"fcm_subtrader_id"`
}

// A newKeyResponse is the body of the response to both. Create leaves the key type
// and the private key out.
type newKeyResponse struct {
	ID         string `json:"api_key_id"`
	Type       string `json:"key_type,omitempty"`
	PrivateKey string `json:"private_key,omitempty"`
	Warning    string `json:"warning,omitempty"`
}

// createKey is POST /api_keys.
func (s *Server) createKey(r *http.Request) *response {
	if s.config.basicLevel {
		return forbidden()
	}
	var body struct {
		newKeyRequest
		PublicKey string `json:"public_key"`
	}
	if failure := decode(r, &body); failure != nil {
		return failure
	}
	key, failure := s.validate(body.newKeyRequest)
	if failure != nil {
		return failure
	}
	key.PublicKey = body.PublicKey
	if _, _, err := parsePublicKey(key.PublicKey); err != nil {
		return invalidParameter("public_key")
	}
	key = must(s.storeKey(key))
	return jsonResponse(http.StatusCreated, newKeyResponse{ID: key.ID, Warning: warning(key)})
}

// generateKey is POST /api_keys/generate.
func (s *Server) generateKey(r *http.Request) *response {
	var body struct {
		newKeyRequest
		KeyType string `json:"key_type"`
	}
	if failure := decode(r, &body); failure != nil {
		return failure
	}
	key, failure := s.validate(body.newKeyRequest)
	if failure != nil {
		return failure
	}
	switch body.KeyType {
	case keyTypeRSA, keyTypeEd25519:
		key.Type = body.KeyType
	case "":
		key.Type = keyTypeRSA
	default:
		return invalidParameter("key_type")
	}
	key = must(s.storeKey(key))
	return jsonResponse(http.StatusCreated, newKeyResponse{key.ID, key.Type, key.PrivateKey, warning(key)})
}

// deleteKey is DELETE /api_keys/{id}. A key may delete itself, since nothing
// documented forbids it.
func (s *Server) deleteKey(r *http.Request) *response {
	if !s.DeleteKey(r.PathValue("id")) {
		return notFound()
	}
	return &response{status: http.StatusNoContent}
}

// decode reads a JSON body and ignores unknown fields. Its errors are those of
// encoding/json, as the exchange's are.
func decode(r *http.Request, into any) (failure *response) {
	if mediaType, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); mediaType != "application/json" {
		return invalidContentType()
	}
	body := must(io.ReadAll(r.Body)) // it is in memory
	if err := json.Unmarshal(body, into); err != nil {
		return badJSON(err)
	}
	return nil
}

// validate returns the key that a request asks for, or the response to an invalid
// request and to one that the account may not make.
func (s *Server) validate(r newKeyRequest) (key Key, failure *response) {
	key = Key{Name: r.Name, Scopes: r.Scopes, Subaccount: r.Subaccount}
	if key.Scopes == nil {
		key.Scopes = []string{"read", "write"}
	}
	if r.FCMSubtraderID != nil {
		key.FCMSubtraderID = *r.FCMSubtraderID
	}
	switch bad := badRestriction(key.Subaccount, key.FCMSubtraderID); {
	case key.Name == "":
		return Key{}, invalidParameter("name")
	case !grantable(key.Scopes):
		return Key{}, invalidParameter("scopes")
	case bad != "":
		return Key{}, invalidParameter(bad)
	case r.FCMSubtraderID != nil && key.FCMSubtraderID == "":
		return Key{}, invalidParameter("fcm_subtrader_id")
	case key.FCMSubtraderID != "" && !s.config.fcmMember:
		return Key{}, forbidden()
	}
	return key, nil
}

// warning returns the warning that comes with a new key bound to a subtrader.
func warning(k Key) string {
	if k.FCMSubtraderID == "" {
		return ""
	}
	return "this API key is bound to FCM subtrader " + k.FCMSubtraderID + " and cannot access REST endpoints"
}
