package kalshi

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// A Scope is a right that an API key carries. The service adds scopes over time: any text may be one.
type Scope string

// The scopes documented in October 2026. [ScopeRead] and [ScopeWrite] are parents: they include
// their children. A child may be granted alone; ScopeWrite requires ScopeRead.
const (
	ScopeRead                  Scope = "read"                      // parent of the read:: scopes
	ScopeWrite                 Scope = "write"                     // parent of the write:: scopes
	ScopeReadBlockTradeAccept  Scope = "read::block_trade_accept"  // child of ScopeRead
	ScopeReadPortfolioBalance  Scope = "read::portfolio_balance"   // child of ScopeRead
	ScopeWriteTrade            Scope = "write::trade"              // child of ScopeWrite
	ScopeWriteTransfer         Scope = "write::transfer"           // child of ScopeWrite
	ScopeWriteFCMRisk          Scope = "write::fcm_risk"           // child of ScopeWrite
	ScopeWriteBlockTradeAccept Scope = "write::block_trade_accept" // child of ScopeWrite
)

// A KeyType is the algorithm of a key pair.
type KeyType string

// The documented key types. Kalshi recommends Ed25519, which signs about 40 times faster than RSA.
const (
	KeyTypeRSA     KeyType = "rsa"     // RSA-PSS with SHA-256; the service generates 2048 bits
	KeyTypeEd25519 KeyType = "ed25519" // Ed25519 (RFC 8032)
)

// An APIKey is an API key as listed by [Client.GetAPIKeys]. The service reports no key type,
// creation time, expiry or last use.
type APIKey struct {
	ID             string  `json:"api_key_id"`                // a UUID in practice
	Name           string  `json:"name"`                      // as given at creation; names need not be unique
	Scopes         []Scope `json:"scopes"`                    // the key's rights as granted; see [APIKey.Missing]
	Subaccount     *int    `json:"subaccount,omitzero"`       // that it is restricted to: 0 is the primary account, nil no restriction
	FCMSubtraderID string  `json:"fcm_subtrader_id,omitzero"` // the subtrader of an FCM member that it is bound to, or empty
}

// Missing returns the scopes of want that the key does not have, in their order, or nil. A parent,
// the part before "::", includes its children: a key with [ScopeWrite] has [ScopeWriteTrade]. A nil
// key has no scopes.
func (k *APIKey) Missing(want ...Scope) []Scope {
	var missing []Scope
	for _, scope := range want {
		parent, _, _ := strings.Cut(string(scope), "::")
		if k == nil || !slices.Contains(k.Scopes, scope) && !slices.Contains(k.Scopes, Scope(parent)) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// sameRights reports whether both keys have the same scopes, sub-account and subtrader.
func sameRights(a, b *APIKey) bool {
	rights := func(k *APIKey) []any {
		return []any{slices.Compact(slices.Sorted(slices.Values(k.Scopes))), k.Subaccount, k.FCMSubtraderID}
	}
	return reflect.DeepEqual(rights(a), rights(b))
}

// GetAPIKeysResponse is the response of [Client.GetAPIKeys].
type GetAPIKeysResponse struct {
	APIKeys            []APIKey `json:"api_keys"`                              // all keys of the account, not nil
	RegionExpirationTS *int64   `json:"api_key_region_expiration_ts,omitzero"` // in Unix seconds; see [GetAPIKeysResponse.RegionExpiration]
}

// RegionExpiration returns when the account's location attestation ends, or false if there is none.
// From then on the service rejects orders in Sports, Elections and Entertainment with a 403, until it
// is renewed in the app or on the website (documented).
func (r *GetAPIKeysResponse) RegionExpiration() (t time.Time, ok bool) {
	if r == nil || r.RegionExpirationTS == nil {
		return time.Time{}, false
	}
	return time.Unix(*r.RegionExpirationTS, 0), true
}

func (r *GetAPIKeysResponse) find(id string) *APIKey {
	if i := slices.IndexFunc(r.APIKeys, func(key APIKey) bool { return key.ID == id }); i >= 0 {
		return &r.APIKeys[i]
	}
	return nil
}

// CreateAPIKeyRequest is the request of [Client.CreateAPIKey]. Nil Scopes grant full access
// (documented); an empty non-nil list is rejected, because the service would read it as nil.
// FCMSubtraderID is for FCM members only, excludes Subaccount, and makes a key that every REST endpoint
// rejects (documented).
type CreateAPIKeyRequest struct {
	Name           string  `json:"name"`                      // required
	PublicKey      string  `json:"public_key"`                // required: RSA or Ed25519, as [MarshalPublicKey] returns it
	Scopes         []Scope `json:"scopes,omitzero"`           // the key's rights, or nil
	Subaccount     *int    `json:"subaccount,omitzero"`       // 0–63, to restrict the key to one sub-account, or nil
	FCMSubtraderID string  `json:"fcm_subtrader_id,omitzero"` // "{user_id}_{suffix}", to bind the key to a subtrader, or empty
}

// CreateAPIKeyResponse is the response of [Client.CreateAPIKey].
type CreateAPIKeyResponse struct {
	ID      string `json:"api_key_id"`       // the new key's
	Warning string `json:"warning,omitzero"` // comes with FCM-bound keys; the key is valid even so
}

// GenerateAPIKeyRequest is the request of [Client.GenerateAPIKey].
type GenerateAPIKeyRequest struct {
	Name           string  `json:"name"`                      // required
	KeyType        KeyType `json:"key_type,omitzero"`         // if empty, the service generates an RSA key (documented)
	Scopes         []Scope `json:"scopes,omitzero"`           // as in [CreateAPIKeyRequest]: nil grants full access
	Subaccount     *int    `json:"subaccount,omitzero"`       // as in [CreateAPIKeyRequest]
	FCMSubtraderID string  `json:"fcm_subtrader_id,omitzero"` // as in [CreateAPIKeyRequest]
}

// GenerateAPIKeyResponse is the response of [Client.GenerateAPIKey]. It prints with its private key
// redacted; encoding it, as JSON for example, fails.
type GenerateAPIKeyResponse struct {
	ID         string        `json:"api_key_id"`       // the new key's
	KeyType    KeyType       `json:"key_type"`         // the new key's algorithm
	PrivateKey PrivateKeyPEM `json:"private_key"`      // returned only once; PKCS#1 for RSA and PKCS#8 for Ed25519 (documented)
	Warning    string        `json:"warning,omitzero"` // comes with FCM-bound keys; the key is valid even so
}
