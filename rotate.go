package kalshi

// RotateAPIKey: the one composite operation. rotation.go has its stages.

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

// RotateAPIKeyRequest says how [Client.RotateAPIKey] makes and keeps the new
// key. It prints without the private key, unless fmt cannot call its methods:
// with %p and the like, and in an unexported field of another struct.
type RotateAPIKeyRequest struct {
	// Store is required. It saves the new key and its ID where the next start
	// of the program finds them, and returns when they are safe there.
	// A [KeyFile] is one. A Store of your own must not overwrite the only copy of
	// the old key in a way that can fail half-way. Its context ends after 30
	// seconds, and not when the caller's does.
	Store Store
	// Signer is the signer whose key is rotated; nil is the client's own. With
	// a Signer, the client's key lists, makes and deletes, and the key that is
	// rotated needs no scope for that.
	Signer *Signer
	// Name is the new key's name; empty is the current key's.
	Name string
	// KeyType is the new key's algorithm; empty is the current key's.
	KeyType KeyType
	// PrivateKey, if set, becomes the new key: its public half is registered
	// as [Client.CreateAPIKey] does. If nil, the service makes the pair.
	PrivateKey crypto.Signer
	// KeepOld leaves the old key alive, for other processes that still use it.
	KeepOld bool
	// Grace is how long to wait before the old key is deleted, for requests
	// that were signed elsewhere and are still under way. A cancelled context
	// ends it and leaves the old key alive.
	Grace time.Duration
}

// RotateAPIKeyResponse is the result of [Client.RotateAPIKey].
type RotateAPIKeyResponse struct {
	// OldKeyID is the key that signed before.
	OldKeyID string
	// NewKeyID is the key that signs now.
	NewKeyID string
	// Warning is usually empty. It is what the service said when it made the
	// new key, or says that the old key was gone already: another process may
	// have rotated it too, and its new key exists beside this one.
	Warning string
}

// RotateAPIKey replaces the key of the client's [Signer], or of the request's,
// by a new one of the same scopes and sub-account:
//
//	inspect → mint → verify → Save → switch → delete the old one
//
// The new key must sign a call and be listed with the same rights before it is
// saved, and is saved before anything depends on it. The switch happens inside
// the Signer, and everything that holds the Signer follows. No call made
// through a client fails because of it (provided that a key which works once
// works everywhere; that is not documented). A crash at any point leaves a
// working key where Save keeps it: the old one until Save has finished, both
// after it.
//
// Bad input is a [*ValidationError] and everything else a [*RotationError],
// which says at which stage and what is left. A current key that is not
// listed, has no scopes or is bound to an FCM subtrader is refused before
// anything is made. Once the key is made, cancelling ctx no longer stops the
// rotation, except while it waits for Grace.
//
// A key that rotates itself needs read and write and no restriction to a
// sub-account (observed). Rotate any other key with an admin key, by the
// request's Signer.
//
// Let one process rotate a key, and the others follow ([NewSignerFromSource],
// [NewClientFromEnv]). One rotation at a time runs per Signer; another waits
// for it. Save must not rotate the same signer.
func (c *Client) RotateAPIKey(ctx context.Context, req RotateAPIKeyRequest) (*RotateAPIKeyResponse, error) {
	if err := c.ready(ctx); err != nil {
		return nil, err
	}
	if err := req.validate(c.signer); err != nil {
		return nil, err
	}
	r := rotation{client: c, req: req, signer: cmp.Or(req.Signer, c.signer)}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	defer func() { <-r.signer.rotating }()

	if err := r.inspect(ctx); err != nil {
		return nil, r.failed(StageInspect, r.explainScope(err))
	}
	if err := r.mint(ctx); err != nil {
		return nil, r.failed(StageCreate, r.explainScope(err))
	}
	if err := r.stage(ctx, r.verify); err != nil {
		if r.stage(ctx, r.rollback) == nil {
			r.key = nil // nothing is left to hand back
		}
		return nil, r.failed(StageVerify, err)
	}
	warning := r.key.Warning
	if err := r.stage(ctx, r.save); err != nil {
		return nil, r.failed(StageSave, err)
	}
	r.signer.cred.Store(r.new)
	r.key = nil // the caller has it
	gone, err := r.retire(ctx)
	if err != nil {
		return nil, r.failed(StageDelete, err)
	}
	if gone {
		warning = strings.TrimPrefix(warning+"; the old key was gone already: another process may have rotated it, and its new key exists too", "; ")
	}
	return &RotateAPIKeyResponse{OldKeyID: r.old.keyID, NewKeyID: r.new.keyID, Warning: warning}, nil
}

var errOwnSigner = invalid("Signer", "holds the client's own key: leave it nil for that, or use a client with an admin key")

func (r *RotateAPIKeyRequest) validate(own *Signer) error {
	switch {
	case r.Store == nil:
		return invalid("Store", "is nil: give one that saves the new key, such as KeyFile(path); it would be lost with the process")
	case r.Grace < 0:
		return invalid("Grace", "is negative: use 0 to delete the old key at once")
	}
	if r.Signer != nil {
		other, err := r.Signer.credential()
		if err != nil {
			return err
		}
		if other.keyID == own.cred.Load().keyID {
			return errOwnSigner
		}
	}
	if r.PrivateKey == nil {
		return nil
	}
	keyType, err := checkSigner("PrivateKey", r.PrivateKey)
	if err == nil && r.KeyType != "" && r.KeyType != keyType {
		return invalid("KeyType", "is %q and PrivateKey is %q: leave KeyType out", r.KeyType, keyType)
	}
	return err
}

// A Store saves the new key of a rotation. [KeyFile] is one. If it also has a
// method Check(context.Context) error, that is called before a key is made.
type Store interface {
	Save(ctx context.Context, c Credentials) error
}

// A SaveFunc is a function as a [Store].
type SaveFunc func(ctx context.Context, c Credentials) error

// Save calls f.
func (f SaveFunc) Save(ctx context.Context, c Credentials) error { return f(ctx, c) }

// A RotationStage is a step of [Client.RotateAPIKey].
type RotationStage string

// The stages of a rotation, in their order.
const (
	StageInspect RotationStage = "inspect" // find the current key and what it may do
	StageCreate  RotationStage = "create"  // make the new key
	StageVerify  RotationStage = "verify"  // make a call signed by the new key
	StageSave    RotationStage = "save"    // have the caller store it
	StageDelete  RotationStage = "delete"  // delete the old key
)

// A RotationError says at which stage [Client.RotateAPIKey] failed and what is
// left. Up to [StageSave] the signer keeps the old key; at [StageDelete] it
// already has the new one, which is saved and works.
type RotationError struct {
	// Stage is where the rotation failed.
	Stage RotationStage
	// OldKeyID is the key that signed before.
	OldKeyID string
	// NewKeyID is the key that was made, where its ID is known for sure. It
	// exists, unless Stage is StageVerify and Key is nil: then it was deleted
	// again.
	NewKeyID string
	// Key is the key that was made, handed back whenever nothing else may hold
	// it: store it, or delete NewKeyID.
	Key *GenerateAPIKeyResponse
	// Candidates are the IDs of keys that may be the new one, when the outcome
	// of StageCreate is unknown: they have its name and did not exist before. None
	// is deleted; delete the one that nobody else made.
	Candidates []string
	// Err is what happened.
	Err error
}

// Error says what happened, what is left and what to do.
func (e *RotationError) Error() string {
	const most = 3
	var ids []string
	for _, id := range e.Candidates[:min(most, len(e.Candidates))] {
		ids = append(ids, redact.Text(id, maxID))
	}
	state, cause := "the old key still signs", e.Err
	if unknown := (*OutcomeUnknownError)(nil); len(ids) > 0 && errors.As(e.Err, &unknown) {
		cause = unknown.Err // its advice is given here, and better
	}
	switch {
	case len(e.Candidates) > most:
		state += fmt.Sprintf("; one of %d new keys may be the lost one, such as %s", len(e.Candidates), strings.Join(ids, ", "))
	case len(e.Candidates) > 0:
		state += "; delete if nobody holds it: " + strings.Join(ids, ", ")
	case e.Stage == StageDelete:
		state = "the new key " + redact.Text(e.NewKeyID, maxID) + " signs and is saved; delete the old one"
	case e.Key != nil && e.NewKeyID != "":
		state += "; store the new key " + redact.Text(e.NewKeyID, maxID) + " from Key, or delete it"
	case e.NewKeyID != "" && e.Stage == StageVerify:
		state += "; the new key " + redact.Text(e.NewKeyID, maxID) + " was deleted again"
	}
	return redact.Truncate(fmt.Sprintf("kalshi: rotate key %s: %s: %s: %s", redact.Text(e.OldKeyID, maxID), e.Stage, state, innerMessage(cause)), maxError)
}

// Unwrap returns Err.
func (e *RotationError) Unwrap() error { return e.Err }

// Format prints the new key's type and the signer for every verb, and no
// secrets.
func (r RotateAPIKeyRequest) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "kalshi.RotateAPIKeyRequest"+r.text())
}

// LogValue logs the new key's type and the signer, and no secrets.
func (r RotateAPIKeyRequest) LogValue() slog.Value { return slog.StringValue(r.text()) }

func (r RotateAPIKeyRequest) text() string {
	keyType := r.KeyType
	if r.PrivateKey != nil {
		keyType, _ = checkSigner("", r.PrivateKey)
	}
	if r.Signer != nil {
		return fmt.Sprintf("{KeyType: %q, Signer: %v}", keyType, r.Signer)
	}
	return fmt.Sprintf("{KeyType: %q}", keyType)
}
