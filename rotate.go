package kalshi

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

// RotateAPIKeyRequest says how [Client.RotateAPIKey] makes and keeps the new key. It prints, logs and
// encodes without PrivateKey; by %p and %w, and in an unexported field of another struct, fmt shows a
// key in memory.
type RotateAPIKeyRequest struct {
	Store      Store         `json:"-"` // required: saves the new key where the next start of the program finds it, such as a [KeyFile]
	Signer     *Signer       `json:"-"` // whose key is rotated; nil is the client's own, otherwise the client's lists, makes and deletes
	Name       string        // the new key's name; empty is the current key's
	KeyType    KeyType       // the new key's algorithm; empty is the current key's
	PrivateKey crypto.Signer `json:"-"` // becomes the new key, as by [Client.CreateAPIKey]; nil has the service make the pair
	KeepOld    bool          // leaves the old key alive, for other processes that still use it
	Grace      time.Duration // to wait before the old key is deleted, for what was signed elsewhere and for a secret that lags behind
}

// RotateAPIKeyResponse is the result of [Client.RotateAPIKey].
type RotateAPIKeyResponse struct {
	OldKeyID   string // the key that signed before
	NewKeyID   string // the key that signs now
	Warning    string // what the service said when it made the new key; usually empty
	OldKeyGone bool   // the old key was deleted by somebody else, who may have rotated it too and made another new key
}

var errOwnSigner = invalid("Signer", "holds the client's own key: leave it nil for that, or use a client with an admin key")

func (r *RotateAPIKeyRequest) validate(own *Signer) error {
	switch save, isFunc := r.Store.(SaveFunc); {
	case r.Store == nil, isFunc && save == nil:
		return invalid("Store", "is nil: give one that saves the new key, such as KeyFile(path); it would be lost with the process")
	case r.Grace < 0:
		return invalid("Grace", "is negative: use 0 to delete the old key at once")
	case r.Signer != nil && r.Signer.credential().key == nil:
		return errNoKey
	case r.Signer != nil && r.Signer.KeyID() == own.KeyID():
		return errOwnSigner
	case r.PrivateKey == nil:
		return nil
	}
	keyType, err := checkSigner("PrivateKey", r.PrivateKey)
	if err == nil && r.KeyType != "" && r.KeyType != keyType {
		return invalid("KeyType", "is %q and PrivateKey is %q: leave KeyType out", r.KeyType, keyType)
	}
	if _, isFile := r.Store.(KeyFile); err == nil && isFile {
		_, err = MarshalPrivateKey(r.PrivateKey)
	}
	return err
}

// A Store saves the new key of a rotation: in a file ([KeyFile]) or a secret manager. Save must return
// once the key is safe: its context ends after 60 seconds, not when the caller's does. If it fails
// half-way, the old key must still be there. If a Store also has the method
// Check(context.Context) error, that reports before a key is made whether Save would work.
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

// A RotationError says at which stage [Client.RotateAPIKey] failed and what is left. Up to
// [StageSave] the signer keeps the old key; at [StageDelete] it has the new one, which is saved and
// works.
type RotationError struct {
	Stage      RotationStage // where the rotation failed
	OldKeyID   string        // the key that signed before
	NewKeyID   string        // the key that was made; empty unless it exists, as far as is known
	PrivateKey PrivateKeyPEM // its private half if nothing else may hold it: save it, or delete the key; empty for a key of the caller's own
	Candidates []string      // after a create of unknown outcome, new keys of its name: delete the one that nobody else made
	Err        error         // what happened
}

func (e *RotationError) Error() string {
	state, newID, cause := "no key was made", safeID(e.NewKeyID), e.Err
	_, isUnknown := errors.AsType[*OutcomeUnknownError](e.Err)
	switch {
	case e.Stage == StageDelete:
		state = "the new key " + newID + " signs and is saved; delete the old one"
	case len(e.Candidates) > 0:
		state = "delete if nobody holds it: " + redact.Text(strings.Join(e.Candidates, ", "), maxText)
	case newID != "" && isUnknown:
		state = "delete the new key " + newID
	case newID != "":
		state = "save the new key " + newID + " or delete it"
	case e.Stage == StageVerify:
		state = "the new key was deleted again"
	case isUnknown:
		state = "a new one of the same name may exist"
	}
	if e.Stage != StageInspect && e.Stage != StageDelete {
		state = "the old key still signs; " + state
	}
	if unknown, ok := e.Err.(*OutcomeUnknownError); ok { //nolint:errorlint // one that is wrapped has more to say
		cause = unknown.Err // its advice is given here, and better
	}
	return errorText(maxError, "rotate key %s: %s: %s: %s", safeID(e.OldKeyID), e.Stage, state, innerMessage(cause))
}

func (e *RotationError) Unwrap() error { return e.Err }

// Format prints the requested type and the signer for every verb.
func (r RotateAPIKeyRequest) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "kalshi.RotateAPIKeyRequest{KeyType: %q, Signer: %v}", r.KeyType, r.Signer)
}

// LogValue logs what Format prints.
func (r RotateAPIKeyRequest) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(r)) }
