package kalshi

// The endpoint methods.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

const (
	pathAPIKeys  = "/api_keys"
	pathGenerate = "/api_keys/generate"
)

// GetAPIKeys lists the account's keys: GET /api_keys.
//
// Documented errors: [*UnauthorizedError], [*ServerError]; see the package
// documentation for those that any call may return.
func (c *Client) GetAPIKeys(ctx context.Context, opts ...GetAPIKeysOption) (*GetAPIKeysResponse, error) {
	list, err := c.list(ctx, nil, opts...)
	if err != nil {
		return nil, err
	}
	return &list.GetAPIKeysResponse, nil
}

// list is GetAPIKeys, signed with another credential than the signer's if one
// is given.
func (c *Client) list(ctx context.Context, cred *credential, opts ...GetAPIKeysOption) (*keyList, error) {
	op := operation{name: "GetAPIKeys", method: http.MethodGet, path: pathAPIKeys, credential: cred}
	for _, opt := range opts {
		if opt == nil {
			return nil, invalid("option", "is nil: leave it out")
		}
		if err := opt(&op); err != nil {
			return nil, err
		}
	}
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	out, auth := new(keyList), authenticator{signer: c.signer, fixed: cred}
	if err := c.run(ctx, &op, out, &auth); err != nil {
		return nil, err
	}
	out.signedWith = auth.used
	return out, nil
}

// A GetAPIKeysOption narrows what [Client.GetAPIKeys] lists.
type GetAPIKeysOption func(*operation) error

// ForSubtrader lists only the keys that are bound to a subtrader of an FCM
// member. An empty ID is rejected, since it would list all keys.
func ForSubtrader(fcmSubtraderID string) GetAPIKeysOption {
	return func(op *operation) error {
		if fcmSubtraderID == "" {
			return invalid("subtrader ID", "is empty: leave the option out to list all keys")
		}
		op.query, op.subtrader = url.Values{"fcm_subtrader_id": {fcmSubtraderID}}.Encode(), true
		return nil
	}
}

// CreateAPIKey registers a public key whose private half stays with the
// caller: POST /api_keys. Documented for accounts of the Premier or Market
// Maker usage level; others get a [*ForbiddenError].
//
// If the key may exist but no usable response arrived, the error is an
// [*OutcomeUnknownError]. Check for this first: it can wrap any other error.
// Documented errors beside it: [*BadRequestError], [*UnauthorizedError],
// [*ForbiddenError], [*ConflictError].
func (c *Client) CreateAPIKey(ctx context.Context, req CreateAPIKeyRequest) (*CreateAPIKeyResponse, error) {
	if err := req.validate(); err != nil {
		return nil, err
	}
	out := new(CreateAPIKeyResponse)
	if err := c.createKey(ctx, operation{name: "CreateAPIKey", path: pathAPIKeys, keyName: req.Name, subtrader: req.FCMSubtraderID != ""}, req, out); err != nil {
		return nil, err
	}
	return out, nil
}

// GenerateAPIKey has the service make a key pair: POST /api_keys/generate.
// The response holds the private key. It is returned this once and can never be
// fetched again. To save it to disk before returning, use
// [Client.GenerateAPIKeyToFile].
//
// If the key may exist but no usable response arrived, the error is an
// [*OutcomeUnknownError]: the private key is lost, and the key should be
// deleted. Check for this first: it can wrap any other error. Documented errors
// beside it: [*BadRequestError], [*UnauthorizedError], [*ForbiddenError],
// [*ConflictError].
func (c *Client) GenerateAPIKey(ctx context.Context, req GenerateAPIKeyRequest) (*GenerateAPIKeyResponse, error) {
	if err := req.validate(); err != nil {
		return nil, err
	}
	out := new(GenerateAPIKeyResponse)
	if err := c.createKey(ctx, operation{name: "GenerateAPIKey", path: pathGenerate, keyName: req.Name, subtrader: req.FCMSubtraderID != ""}, req, out); err != nil {
		return nil, err
	}
	return out, nil
}

// GenerateAPIKeyToFile is [Client.GenerateAPIKey] with the key saved as a
// [KeyFile] in a new file at path, with mode 0600 where the system has modes.
// The file is created first, so that no key is made when that fails; it never
// overwrites and follows no symbolic link. Once the key is made, cancelling ctx
// does not stop the saving. If saving fails, the file is removed and the key is
// deleted again.
//
// If the new key may still exist after that, or its private key cannot be used,
// the error is a [*NotSavedError]: its Response is all that holds the private
// key. No response is returned beside an error. Other errors are those of
// GenerateAPIKey; an [*OutcomeUnknownError] has no private key to return.
func (c *Client) GenerateAPIKeyToFile(ctx context.Context, req GenerateAPIKeyRequest, path string) (*GenerateAPIKeyResponse, error) {
	if err := req.validate(); err != nil {
		return nil, err
	}
	if err := checkPath("path", path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600) // O_EXCL does not follow a symbolic link either
	if err != nil {
		return nil, pathError("create the key file", path, err)
	}
	_ = f.Close() // Windows neither replaces nor removes an open file
	key, err := c.GenerateAPIKey(ctx, req)
	if err != nil {
		return nil, withRemoval(err, path)
	}
	creds, err := key.Credentials()
	if err != nil { // masked on the way, perhaps: only the caller can tell
		return nil, &NotSavedError{key, withRemoval(err, path)}
	}
	if err := KeyFile(path).Save(ctx, creds); err != nil {
		err = withRemoval(err, path)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stageTimeout)
		defer cancel()
		if deleteErr := c.delete(ctx, operation{keyID: key.ID, rollback: true}); deleteErr != nil {
			return nil, &NotSavedError{key, &multiError{innerMessage(err) + " (" + innerMessage(deleteErr) + ")", []error{err, deleteErr}}}
		}
		return nil, &multiError{fmt.Sprintf("the new key %s was deleted again: %s", redact.Text(key.ID, maxID), innerMessage(err)), []error{err}}
	}
	return key, nil
}

// withRemoval removes an empty file because of an error, and returns that.
func withRemoval(err error, path string) error {
	if removeErr := os.Remove(path); removeErr != nil && !errors.Is(removeErr, fs.ErrNotExist) {
		return &multiError{innerMessage(err) + "; the empty file stays: " + innerMessage(removeErr), []error{err, removeErr}}
	}
	return err
}

// CurrentAPIKey returns the key that the client signs with, as the account's
// list shows it. With [APIKey.Missing] it is a bot's check at start-up that the
// key has the scopes it needs. It is an error if the key is not listed; the
// other errors are those of [Client.GetAPIKeys]. A key restricted to a
// sub-account may not list (observed).
func (c *Client) CurrentAPIKey(ctx context.Context) (*APIKey, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	for {
		keys, err := c.list(ctx, nil)
		if err != nil {
			return nil, err
		}
		id := keys.signedWith.keyID
		if key := keys.find(id); key != nil {
			return key, nil
		}
		if id == c.signer.KeyID() { // else it was rotated meanwhile
			return nil, fmt.Errorf("kalshi: CurrentAPIKey: the list does not hold %s, the key that signed: it may have been deleted just now", redact.Text(id, maxID))
		}
	}
}

func (r *GetAPIKeysResponse) find(id string) *APIKey {
	for i := range r.APIKeys {
		if r.APIKeys[i].ID == id {
			return &r.APIKeys[i]
		}
	}
	return nil
}

// createKey makes the call that op names. It validates nothing.
func (c *Client) createKey(ctx context.Context, op operation, req any, out decoder) error {
	body, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("kalshi: %s: encode the request: %w", op.name, err)
	}
	op.method, op.body, op.nonIdempotent = http.MethodPost, body, true
	return c.do(ctx, &op, out)
}

// DeleteAPIKey deletes a key: DELETE /api_keys/{id}. This cannot be undone.
//
// A [*NotFoundError] means that there was no such key before the call. If the
// response of one attempt was lost and the next one finds the key gone, that is
// a success. Documented errors beside it: [*BadRequestError],
// [*UnauthorizedError], [*ServerError].
func (c *Client) DeleteAPIKey(ctx context.Context, apiKeyID string) error {
	return c.delete(ctx, operation{keyID: apiKeyID})
}

func (c *Client) delete(ctx context.Context, op operation) (err error) {
	op.name, op.method = "DeleteAPIKey", http.MethodDelete
	if op.path, err = keyPath(op.keyID); err != nil {
		return err
	}
	return c.do(ctx, &op, noResult{})
}

// keyPath returns the escaped path of one key. It rejects IDs that are private
// keys or could reach another path.
func keyPath(apiKeyID string) (string, error) {
	switch {
	case apiKeyID == "":
		return "", invalid("API key ID", "is empty: GetAPIKeys lists the IDs")
	case apiKeyID == "." || apiKeyID == "..":
		return "", invalid("API key ID", "is a dot segment, which would reach another path: GetAPIKeys lists the IDs")
	case isKeyText(apiKeyID):
		return "", invalid("API key ID", "is a private key: give the ID that belongs to it")
	case !utf8.ValidString(apiKeyID) || strings.ContainsFunc(apiKeyID, unicode.IsControl):
		return "", invalid("API key ID", "has control characters: copy it again")
	}
	return pathAPIKeys + "/" + url.PathEscape(apiKeyID), nil
}
