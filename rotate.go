package kalshi

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

const (
	stageTimeout = 30 * time.Second // of each stage after the mint
	verifyFor    = 10 * time.Second // while a new key becomes known everywhere
)

// RotateAPIKeyRequest says how [Client.RotateAPIKey] makes and keeps the new
// key. It prints without the private key, unless fmt cannot call its methods:
// with %p and the like, and in an unexported field of another struct.
type RotateAPIKeyRequest struct {
	// Save is required. It stores the new key where the next start of the
	// program finds it, its ID included, and returns only when that is safe.
	// It must not overwrite the only copy of the old key in a way that can
	// fail half-way: write a new file and rename it, or a new one each time.
	// [ParsePrivateKey] skips text before the PEM, so one file can hold the ID
	// and the key.
	// Its context ends after 30 s and not when the caller's does.
	Save func(ctx context.Context, key *GenerateAPIKeyResponse) error
	// Name is the new key's name; empty is the current key's.
	Name string
	// KeyType is the new key's algorithm; empty is the current key's.
	KeyType KeyType
	// PrivateKey, if set, becomes the new key: its public half is registered
	// as [Client.CreateAPIKey] does, and Save gets a response with no private
	// key. If nil, the service makes the pair.
	PrivateKey crypto.Signer
	// KeepOld leaves the old key alive, for other processes that still use it.
	KeepOld bool
	// Grace is how long to wait before the old key is deleted, for requests
	// that were signed elsewhere and are still under way. It may be as long as
	// it likes; a cancelled context ends it and leaves the old key alive.
	Grace time.Duration
}

// RotateAPIKeyResponse is the answer of [Client.RotateAPIKey].
type RotateAPIKeyResponse struct {
	// OldKeyID is the key that signed before.
	OldKeyID string
	// NewKeyID is the key that signs now.
	NewKeyID string
	// Warning is what the service said when it made the new key; mostly empty.
	Warning string
}

// RotateAPIKey replaces the key that the client's [Signer] signs with by a new
// one of the same scopes and sub-account:
//
//	inspect → mint → verify → Save → switch → delete the old one
//
// The new key is verified by a call before it is saved, saved before anything
// depends on it, and switched inside the Signer, which everything that holds
// it follows. No call made through a client fails because of it (provided that
// a key which works once works everywhere; that is not documented). A crash at
// any point leaves a working key where Save keeps it: the old one until Save
// has finished, both after it.
//
// Bad input is a [*ValidationError] and everything else a [*RotationError],
// which says at which stage and what is left. A current key that is not
// listed, has no scopes or is bound to an FCM subtrader is refused before
// anything is made. Once the key is made, cancelling ctx no longer stops the
// rotation, except while it waits for Grace.
//
// The key must be one that may make keys: it needs write, and no restriction
// to a sub-account (both observed). Replace other keys by hand.
//
// One rotation at a time runs per Signer; another waits for it. Save must not
// rotate the same signer.
func (c *Client) RotateAPIKey(ctx context.Context, req RotateAPIKeyRequest) (*RotateAPIKeyResponse, error) {
	if err := req.validate(); err != nil {
		return nil, err
	}
	r := rotation{client: c, req: req}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	defer func() { <-c.signer.rotating }()

	if err := r.inspect(ctx); err != nil {
		return nil, r.failed(StageInspect, err)
	}
	if err := r.mint(ctx); err != nil {
		return nil, r.failed(StageMint, err)
	}
	if err := r.stage(ctx, r.verify); err != nil {
		if r.delete(ctx, r.new) == nil {
			r.key = nil // nothing is left to hand back
		}
		return nil, r.failed(StageVerify, err)
	}
	warning := r.key.Warning
	if err := r.stage(ctx, r.save); err != nil {
		return nil, r.failed(StageSave, err)
	}
	c.signer.cred.Store(r.new)
	r.key = nil // the caller has it
	if err := r.retire(ctx); err != nil {
		return nil, r.failed(StageDelete, err)
	}
	return &RotateAPIKeyResponse{OldKeyID: r.old.keyID, NewKeyID: r.new.keyID, Warning: warning}, nil
}

func (r *RotateAPIKeyRequest) validate() error {
	switch {
	case r.Save == nil:
		return invalid("Save", "is nil: give one that stores the new key, which would be lost with the process")
	case r.Grace < 0:
		return invalid("Grace", "is negative: use 0 to delete the old key at once")
	case r.PrivateKey == nil:
		return nil
	}
	keyType, err := checkSigner("PrivateKey", r.PrivateKey)
	if err == nil && r.KeyType != "" && r.KeyType != keyType {
		return invalid("KeyType", "is %q and PrivateKey is %q: leave KeyType out", r.KeyType, keyType)
	}
	return err
}

// A rotation is one run of RotateAPIKey.
type rotation struct {
	client     *Client
	req        RotateAPIKeyRequest
	old, new   *credential
	before     *GetAPIKeysResponse // the list that inspect saw
	current    *APIKey             // the old key in it
	key        *GenerateAPIKeyResponse
	newID      string // also where there is no credential, since the key is of no use
	candidates []string
}

// begin waits until no other rotation of the signer is under way.
func (r *rotation) begin(ctx context.Context) error {
	if err := r.client.ready(ctx); err != nil {
		return err
	}
	r.old = r.client.signer.cred.Load()
	select {
	case r.client.signer.rotating <- struct{}{}:
		r.old = r.client.signer.cred.Load()
		return nil
	case <-ctx.Done():
		return r.failed(StageInspect, fmt.Errorf("waiting for another rotation: %w", withContext(ctx, context.Cause(ctx))))
	}
}

// stage runs one of the stages that the caller's context no longer stops.
func (r *rotation) stage(ctx context.Context, run func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stageTimeout)
	defer cancel()
	return run(ctx)
}

func (r *rotation) failed(stage RotationStage, err error) error {
	return &RotationError{Stage: stage, OldKeyID: r.old.keyID, NewKeyID: r.newID, Key: r.key, Candidates: r.candidates, Err: err}
}

// inspect finds the current key, and refuses what cannot be copied safely.
func (r *rotation) inspect(ctx context.Context) (err error) {
	if r.req.PrivateKey != nil && samePublicKey(r.req.PrivateKey, r.old.key) {
		return invalid("PrivateKey", "is the key that signs now: make a new one")
	}
	if r.before, err = r.client.list(ctx, r.old); err != nil {
		return err
	}
	r.current = r.before.find(r.old.keyID)
	switch {
	case r.current == nil:
		return errors.New("the account's list does not hold this key: was it deleted just now?")
	case len(r.current.Scopes) == 0:
		return errors.New("the key is listed without scopes, and a copy of that would have full access: make the new key by hand")
	case r.current.FCMSubtraderID != "":
		return errors.New("the key is bound to an FCM subtrader: make the new key by hand")
	}
	return nil
}

// mint makes the new key and its credential.
func (r *rotation) mint(ctx context.Context) (err error) {
	name, key := cmp.Or(r.req.Name, r.current.Name), r.req.PrivateKey
	if key != nil {
		r.key, err = r.create(ctx, name, key)
	} else {
		r.key, err = r.client.GenerateAPIKey(ctx, GenerateAPIKeyRequest{
			Name: name, KeyType: cmp.Or(r.req.KeyType, r.old.keyType), Scopes: r.current.Scopes, Subaccount: r.current.Subaccount,
		})
	}
	if err != nil {
		return r.reconcile(ctx, err)
	}
	if r.before.find(r.key.ID) != nil { // perhaps the old one: to delete either would lock the account out
		return fmt.Errorf("the service answered with the ID of a key that was there before, %s: look at the list", sanitize(r.key.ID, maxID))
	}
	r.newID = r.key.ID
	if key == nil {
		if key, err = r.key.PrivateKey.Parse(); err != nil {
			return err
		}
	}
	if r.new, err = newCredential(r.key.ID, key); err != nil {
		return err
	}
	r.key.KeyType = r.new.keyType
	return nil
}

// create registers the caller's own key.
func (r *rotation) create(ctx context.Context, name string, key crypto.Signer) (*GenerateAPIKeyResponse, error) {
	public, err := MarshalPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	made, err := r.client.CreateAPIKey(ctx, CreateAPIKeyRequest{
		Name: name, PublicKey: public, Scopes: r.current.Scopes, Subaccount: r.current.Subaccount,
	})
	if err != nil {
		return nil, err
	}
	return &GenerateAPIKeyResponse{ID: made.ID, Warning: made.Warning}, nil
}

// reconcile looks, after a mint of unknown outcome, for what it may have made.
// It deletes nothing: a key of the same name may be somebody else's.
func (r *rotation) reconcile(ctx context.Context, err error) error {
	var unknown *OutcomeUnknownError
	if !errors.As(err, &unknown) {
		return err
	}
	r.newID = unknown.KeyID
	return r.stage(ctx, func(ctx context.Context) error {
		now, listErr := r.client.list(ctx, r.old)
		if listErr != nil {
			return &multiError{"the keys could not be listed afterwards: " + innerMessage(listErr) + "; " + innerMessage(err), []error{err, listErr}}
		}
		for _, key := range now.APIKeys {
			if key.Name == unknown.KeyName && r.before.find(key.ID) == nil {
				r.candidates = append(r.candidates, key.ID)
			}
		}
		return err
	})
}

// verify makes a call with the new key, and again while it is not known
// everywhere yet; how long that takes is not documented.
func (r *rotation) verify(ctx context.Context) error {
	until := time.Now().Add(verifyFor)
	for wait := minBackoff; ; wait = min(2*wait, time.Second) {
		_, err := r.client.list(ctx, r.new)
		if err == nil || time.Until(until) < wait || sleep(ctx, wait) != nil {
			return err
		}
	}
}

// save has the caller store the key, and survives a panic there: the key must
// not be lost with it. The panic's value is not shown, since it may hold the
// key.
func (r *rotation) save(ctx context.Context) (err error) {
	returned := false
	defer func() {
		if v := recover(); !returned {
			err = fmt.Errorf("the Save function panicked with a %T", v)
		}
	}()
	handed := *r.key
	err = r.req.Save(ctx, &handed)
	returned = true
	return err
}

// retire deletes the old key when its grace is over; the new one signs that.
// That it is gone already is as good.
func (r *rotation) retire(ctx context.Context) error {
	if r.req.KeepOld {
		return nil
	}
	if r.req.Grace > 0 {
		if err := sleep(ctx, r.req.Grace); err != nil {
			return fmt.Errorf("the grace was cut short: %w", err)
		}
	}
	err := r.delete(ctx, r.old)
	if notFound := (*NotFoundError)(nil); errors.As(err, &notFound) && notFound.structured {
		return nil
	}
	return err
}

// delete removes one of the two keys. A 404 is for the caller to judge: a new
// key may be not known everywhere yet.
func (r *rotation) delete(ctx context.Context, cred *credential) error {
	return r.stage(ctx, func(ctx context.Context) error { return r.client.delete(ctx, cred.keyID, cred == r.new) })
}

// Format prints the new key's type for every verb, and no secrets.
func (r RotateAPIKeyRequest) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "kalshi.RotateAPIKeyRequest"+r.text())
}

// LogValue logs the new key's type, and no secrets.
func (r RotateAPIKeyRequest) LogValue() slog.Value { return slog.StringValue(r.text()) }

func (r RotateAPIKeyRequest) text() string {
	keyType := r.KeyType
	if r.PrivateKey != nil {
		keyType, _ = checkSigner("", r.PrivateKey)
	}
	return fmt.Sprintf("{KeyType: %q}", keyType)
}
