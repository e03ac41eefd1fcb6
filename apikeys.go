package kalshi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
)

const (
	pathAPIKeys  = "/api_keys"
	stageTimeout = 60 * time.Second // of each stage after the new key was made; two attempts at least
)

// GetAPIKeys lists the account's keys: GET /api_keys. Documented errors, beside those of the package
// comment: a [*ForbiddenError] for a key that is restricted to a sub-account.
func (c *Client) GetAPIKeys(ctx context.Context, opts ...GetAPIKeysOption) (*GetAPIKeysResponse, error) {
	list, _, err := c.list(ctx, opts...)
	return list, err
}

// list is GetAPIKeys, and returns the key that it was signed with, too.
func (c *Client) list(ctx context.Context, opts ...GetAPIKeysOption) (*GetAPIKeysResponse, *credential, error) {
	op := operation{name: "GetAPIKeys", method: http.MethodGet, path: pathAPIKeys}
	for _, opt := range opts {
		if opt.subtrader == "" {
			return nil, nil, invalid("subtrader ID", "is empty: leave the option out to list all keys")
		}
		op.query = url.Values{"fcm_subtrader_id": {opt.subtrader}}.Encode()
	}
	list, call := new(GetAPIKeysResponse), c.newCall(op)
	call.decode = list.decode
	if err := call.run(ctx); err != nil {
		return nil, nil, err
	}
	return list, call.auth.used, nil
}

// A GetAPIKeysOption narrows what [Client.GetAPIKeys] lists: see [ForSubtrader].
type GetAPIKeysOption struct{ subtrader string }

// ForSubtrader lists only the keys bound to a subtrader of an FCM member. Its ID must not be empty.
func ForSubtrader(fcmSubtraderID string) GetAPIKeysOption { return GetAPIKeysOption{fcmSubtraderID} }

// CreateAPIKey registers a public key whose private half stays with the caller: POST /api_keys. It is
// documented for the Premier and Market Maker usage levels; others get a [*ForbiddenError]. If the key
// may exist but no usable response arrived, the error is an [*OutcomeUnknownError]: check for it first.
func (c *Client) CreateAPIKey(ctx context.Context, req CreateAPIKeyRequest) (*CreateAPIKeyResponse, error) {
	out := new(CreateAPIKeyResponse)
	err := c.createKey(ctx, operation{name: "CreateAPIKey", path: pathAPIKeys, keyName: req.Name}, &req, out.decode, &out.ID)
	if e, ok := errors.AsType[*ForbiddenError](err); ok && req.FCMSubtraderID == "" && e.Code == "forbidden" {
		const hint = " (registering a public key is documented for the Premier and Market Maker usage levels: GenerateAPIKey works for others)"
		err = reword(innerMessage(err)+hint, err)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// GenerateAPIKey has the service make a key pair: POST /api_keys/generate. The private key is returned
// only once: to save it to disk before returning, use [Client.GenerateAPIKeyToFile]. After an
// [*OutcomeUnknownError], for which to check first, it is lost: delete the key.
func (c *Client) GenerateAPIKey(ctx context.Context, req GenerateAPIKeyRequest) (*GenerateAPIKeyResponse, error) {
	out := new(GenerateAPIKeyResponse)
	op := operation{name: "GenerateAPIKey", path: pathAPIKeys + "/generate", keyName: req.Name}
	if err := c.createKey(ctx, op, &req, out.decode, &out.ID); err != nil {
		return nil, err
	}
	return out, nil
}

// Credentials returns the generated key with its ID, or a [*ValidationError] if it cannot be parsed.
func (r *GenerateAPIKeyResponse) Credentials() (Credentials, error) {
	key, err := r.PrivateKey.Parse()
	if err != nil {
		return Credentials{}, err
	}
	return NewCredentials(r.ID, key)
}

// Signer returns a new [Signer] that signs with the generated key. Errors are those of Credentials.
func (r *GenerateAPIKeyResponse) Signer() (*Signer, error) {
	return NewSignerFromPEM(r.ID, []byte(r.PrivateKey.Reveal()))
}

// GenerateAPIKeyToFile is [Client.GenerateAPIKey] with the key saved as a [KeyFile] (mode 0600) in a
// new file at path. The file is created first, so that no key is made if that fails; an existing one,
// or a symbolic link, is never overwritten. Once the key is made, cancelling ctx does not stop the
// saving. If saving fails, the file is removed and the key deleted again; if the key may still exist
// after that, or cannot be used, the error is a [*NotSavedError].
func (c *Client) GenerateAPIKeyToFile(ctx context.Context, req GenerateAPIKeyRequest, path string) (_ *GenerateAPIKeyResponse, err error) {
	if err := cmp.Or(req.validate(), checkPath("path", path)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, pathError("create the key file", path, err)
	}
	_ = f.Close() // Windows neither replaces nor removes an open file
	defer func() {
		if err != nil {
			_ = os.Remove(path)
		}
	}()
	key, err := c.GenerateAPIKey(ctx, req)
	if err != nil {
		return nil, err
	}
	creds, err := key.Credentials()
	if err != nil { // masked on the way, perhaps: only the caller can tell
		return nil, &NotSavedError{key, err}
	}
	if err = KeyFile(path).Save(ctx, creds); err == nil {
		return key, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stageTimeout)
	defer cancel()
	if deleteErr := c.deleteKey(ctx, key.ID, true); deleteErr != nil {
		return nil, &NotSavedError{key, reword(innerMessage(err)+" ("+innerMessage(deleteErr)+")", err, deleteErr)}
	}
	return nil, reword(fmt.Sprintf("the new key %s was deleted again: %s", safeID(key.ID), innerMessage(err)), err)
}

// CurrentAPIKey returns the client's own key as the account lists it: with [APIKey.Missing], a bot's
// check at start-up. A key that is not listed is an error; others are those of [Client.GetAPIKeys].
func (c *Client) CurrentAPIKey(ctx context.Context) (*APIKey, error) {
	list, signedWith, err := c.list(ctx)
	if err != nil {
		return nil, err
	}
	key := list.find(signedWith.keyID)
	if key == nil {
		return nil, fmt.Errorf("kalshi: CurrentAPIKey: the list lacks %s, the key that signed: was it deleted just now?", safeID(signedWith.keyID))
	}
	return key, nil
}

// createKey makes the call that op names. The ID that decode finds is at id.
func (c *Client) createKey(ctx context.Context, op operation, req interface{ validate() error }, decode func([]byte) error, id *string) error {
	if err := req.validate(); err != nil {
		return err
	}
	op.method, op.creates = http.MethodPost, true
	op.body, _ = json.Marshal(req) // no field can fail
	call := c.newCall(op)
	call.decode = func(body []byte) error {
		err := decode(body)
		if err == nil && *id == call.auth.used.keyID {
			err = errors.New("it gives the new key the ID of the one that signed")
		}
		return err
	}
	return call.run(ctx)
}

// DeleteAPIKey deletes a key: DELETE /api_keys/{id}. This cannot be undone. A [*NotFoundError] means
// that there was no such key before the call. If the response to one attempt was lost or was a 5xx,
// and the next one finds no such key, that is a success: nobody can tell whether there was one.
func (c *Client) DeleteAPIKey(ctx context.Context, apiKeyID string) error {
	return c.deleteKey(ctx, apiKeyID, false)
}

// deleteKey is DeleteAPIKey. A 404 for a new key proves nothing: it may not be visible everywhere yet.
func (c *Client) deleteKey(ctx context.Context, apiKeyID string, isNew bool) error {
	if err := checkDeletable(apiKeyID); err != nil {
		return err
	}
	call := c.newCall(operation{name: "DeleteAPIKey", method: http.MethodDelete, path: pathAPIKeys + "/" + url.PathEscape(apiKeyID)})
	call.decode = decodeNothing
	call.settled = func(err error) bool {
		// A key that deleted itself gets the 401 of an unknown key.
		own, ok := errors.AsType[*UnauthorizedError](err)
		return !isNew && call.state.unknown && (isGone(err) || ok && own.Details == detailsUnknownKey && apiKeyID == call.auth.used.keyID)
	}
	return call.run(ctx)
}

// isGone reports whether the service says that a key does not exist; a gateway's 404 does not.
func isGone(err error) bool {
	notFound, ok := errors.AsType[*NotFoundError](err)
	return ok && notFound.Code == codeNotFound
}

// checkDeletable rejects IDs that are private keys or could reach another path.
func checkDeletable(apiKeyID string) error {
	const field = "API key ID"
	switch {
	case apiKeyID == "", apiKeyID == ".", apiKeyID == "..":
		return invalid(field, "is empty or a dot segment, which would reach another path: GetAPIKeys lists the IDs")
	case isKeyText(apiKeyID):
		return invalid(field, "is a private key: give the ID that belongs to it")
	case strings.ContainsFunc(apiKeyID, unicode.IsControl):
		return invalid(field, "has control characters: copy it again")
	}
	return nil
}

// validate leaves to the service what may change: which scopes and how many sub-accounts there are.
func (r *GenerateAPIKeyRequest) validate() error {
	switch {
	case r.Name == "":
		return invalid("Name", "is empty: name the key after its user, such as \"bot\"")
	case r.Scopes != nil && len(r.Scopes) == 0:
		return invalid("Scopes", "is an empty list: name at least one scope, or use nil for full access")
	case r.Subaccount != nil && *r.Subaccount < 0:
		return invalid("Subaccount", "is negative: use 0 to 63 (0 is the primary account), or nil for no restriction")
	case r.Subaccount != nil && r.FCMSubtraderID != "":
		return invalid("Subaccount", "excludes FCMSubtraderID: set only one of them")
	}
	return nil
}

func (r *CreateAPIKeyRequest) validate() error {
	shared := GenerateAPIKeyRequest{Name: r.Name, Scopes: r.Scopes, Subaccount: r.Subaccount, FCMSubtraderID: r.FCMSubtraderID}
	return cmp.Or(shared.validate(), checkPublicKeyPEM(r.PublicKey))
}
