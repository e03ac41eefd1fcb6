package kalshi

import (
	"time"
	"unicode/utf8"
)

// A Scope is a right that an API key carries.
//
// The constants are the scopes documented in October 2026. New ones appear
// over time: an unknown scope in a listing is kept as it is, and any text may
// be sent, for the service to accept or refuse.
type Scope string

// The documented scopes. [ScopeRead] and [ScopeWrite] are parents, which
// include their children; a child may be granted alone. Write must be granted
// together with read.
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

// A KeyType is the algorithm of a key pair. The service learns it from the
// public key and a [Signer] from the private one; no setting has to match.
type KeyType string

// The documented key types. Ed25519, since September 2026 the recommended
// type, signs about 40 times faster than RSA.
const (
	KeyTypeRSA     KeyType = "rsa"     // RSA-PSS with SHA-256; 2048 bits when the service makes the pair
	KeyTypeEd25519 KeyType = "ed25519" // Ed25519 (RFC 8032)
)

// An APIKey is one key of the account, as [Client.GetAPIKeys] lists it. The
// service reports no key type, creation time, expiry or last use.
type APIKey struct {
	// ID names the key in requests; a UUID in practice.
	ID string `json:"api_key_id"`
	// Name is what the key's owner called it. Names need not be unique.
	Name string `json:"name"`
	// Scopes are the key's rights, unknown ones included.
	Scopes []Scope `json:"scopes"`
	// Subaccount is the one sub-account, 0–63, that the key may use. 0 is the
	// primary account; nil is no restriction.
	Subaccount *int `json:"subaccount,omitzero"`
	// FCMSubtraderID is the subtrader of an FCM member that the key is bound
	// to; empty for other keys.
	FCMSubtraderID string `json:"fcm_subtrader_id,omitzero"`
}

// GetAPIKeysResponse is the answer of [Client.GetAPIKeys].
type GetAPIKeysResponse struct {
	// APIKeys are all keys of the account; the list is not paged. It is never
	// nil in an answer.
	APIKeys []APIKey `json:"api_keys"`
	// RegionExpirationTS is when the account's location attestation ends, in
	// Unix seconds; nil when the account was never attested. See
	// [GetAPIKeysResponse.RegionExpiration].
	RegionExpirationTS *int64 `json:"api_key_region_expiration_ts,omitzero"`
}

// RegionExpiration returns when the account's location attestation ends, and
// false when the account was never attested. After that time the service
// answers orders in Sports, Elections and Entertainment with a 403 until the
// attestation is renewed in the app or on the website (documented).
func (r *GetAPIKeysResponse) RegionExpiration() (t time.Time, ok bool) {
	if r == nil || r.RegionExpirationTS == nil {
		return time.Time{}, false
	}
	return time.Unix(*r.RegionExpirationTS, 0), true
}

// CreateAPIKeyRequest registers a public key whose private half stays with
// the caller; see [Client.CreateAPIKey].
type CreateAPIKeyRequest struct {
	// Name is required.
	Name string `json:"name"`
	// PublicKey is required: one PEM block "PUBLIC KEY" with an RSA key of at
	// least 2048 bits or an Ed25519 key. [MarshalPublicKey] makes it.
	PublicKey string `json:"public_key"`
	// Scopes are the key's rights. Nil grants full access (documented). A list
	// that is empty but not nil is refused, since it reads as no rights.
	Scopes []Scope `json:"scopes,omitzero"`
	// Subaccount restricts the key to one sub-account, 0–63; nil does not.
	// It excludes FCMSubtraderID.
	Subaccount *int `json:"subaccount,omitzero"`
	// FCMSubtraderID binds the key to a subtrader, "{user_id}_{suffix}". Only
	// FCM members may use it (documented), and every REST endpoint refuses a
	// key that is bound so.
	FCMSubtraderID string `json:"fcm_subtrader_id,omitzero"`
}

// CreateAPIKeyResponse is the answer of [Client.CreateAPIKey].
type CreateAPIKeyResponse struct {
	// ID is the new key's ID.
	ID string `json:"api_key_id"`
	// Warning is what the service adds for FCM-bound keys; else empty. The key
	// exists all the same.
	Warning string `json:"warning,omitzero"`
}

// GenerateAPIKeyRequest asks the service for a key pair; see
// [Client.GenerateAPIKey].
type GenerateAPIKeyRequest struct {
	// Name is required.
	Name string `json:"name"`
	// KeyType is the algorithm; empty leaves it to the service, which makes an
	// RSA key then (documented).
	KeyType KeyType `json:"key_type,omitzero"`
	// Scopes are the key's rights. Nil grants full access (documented). A list
	// that is empty but not nil is refused, since it reads as no rights.
	Scopes []Scope `json:"scopes,omitzero"`
	// Subaccount restricts the key to one sub-account, 0–63; nil does not.
	// It excludes FCMSubtraderID.
	Subaccount *int `json:"subaccount,omitzero"`
	// FCMSubtraderID binds the key to a subtrader, "{user_id}_{suffix}". Only
	// FCM members may use it (documented), and every REST endpoint refuses a
	// key that is bound so.
	FCMSubtraderID string `json:"fcm_subtrader_id,omitzero"`
}

// GenerateAPIKeyResponse is the answer of [Client.GenerateAPIKey]. It prints
// with its private key redacted, and encoding it (JSON and the like) fails.
type GenerateAPIKeyResponse struct {
	// ID is the new key's ID.
	ID string `json:"api_key_id"`
	// KeyType is the new key's algorithm.
	KeyType KeyType `json:"key_type"`
	// PrivateKey is the private half: PKCS#1 for RSA, PKCS#8 for Ed25519
	// (documented). It is returned this once and can never be fetched again.
	PrivateKey PrivateKeyPEM `json:"private_key"`
	// Warning is what the service adds for FCM-bound keys; else empty. The key
	// exists all the same.
	Warning string `json:"warning,omitzero"`
}

// Signer returns a new [Signer] that signs with the generated key. It returns
// a [*ValidationError] when the private key is missing or cannot be parsed.
func (r *GenerateAPIKeyResponse) Signer() (*Signer, error) {
	key, err := r.PrivateKey.Parse()
	if err != nil {
		return nil, err
	}
	return NewSigner(r.ID, key)
}

// validateKeyFields checks what both kinds of new key have in common. What the
// service may change its mind about (which scopes there are, how they combine,
// how many sub-accounts) is left to the service.
func validateKeyFields(name string, scopes []Scope, subaccount *int, fcmSubtraderID string) error {
	switch {
	case name == "":
		return invalid("Name", "is empty: name the key after what will use it")
	case !utf8.ValidString(name):
		return invalid("Name", "is not valid UTF-8: use plain text")
	case scopes != nil && len(scopes) == 0:
		return invalid("Scopes", "is an empty list: name at least one scope, or leave it nil for full access")
	case subaccount != nil && *subaccount < 0:
		return invalid("Subaccount", "is negative: use 0 for the primary account, 1 to 63, or nil for all")
	case subaccount != nil && fcmSubtraderID != "":
		return invalid("Subaccount", "excludes FCMSubtraderID: set only one of them")
	}
	return nil
}

func (r *CreateAPIKeyRequest) validate() error {
	if err := validateKeyFields(r.Name, r.Scopes, r.Subaccount, r.FCMSubtraderID); err != nil {
		return err
	}
	return checkPublicKeyPEM(r.PublicKey)
}

func (r *GenerateAPIKeyRequest) validate() error {
	return validateKeyFields(r.Name, r.Scopes, r.Subaccount, r.FCMSubtraderID)
}
