package kalshi

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// The stages of a rotation.

const (
	stageTimeout = 30 * time.Second // of each stage after the new key was made
	verifyFor    = 10 * time.Second // while a new key becomes known everywhere
)

// A rotation is one run of RotateAPIKey.
type rotation struct {
	client     *Client // lists, makes and deletes
	signer     *Signer // whose key is rotated
	req        RotateAPIKeyRequest
	old, new   *credential
	before     *keyList // as inspect saw it
	current    *APIKey  // the old key in it
	key        *GenerateAPIKeyResponse
	newID      string // set even if no credential could be made of the key
	candidates []string
}

// admin reports whether another key is rotated than the client's own.
func (r *rotation) admin() bool { return r.signer != r.client.signer }

// by returns the credential that signs a call: self if the key rotates itself,
// or nil, for the client's own, if an admin key does.
func (r *rotation) by(self *credential) *credential {
	if r.admin() {
		return nil
	}
	return self
}

// begin waits until no other rotation of the signer is running.
func (r *rotation) begin(ctx context.Context) error {
	select {
	case r.signer.rotating <- struct{}{}:
		r.old = r.signer.cred.Load()
		return nil
	case <-ctx.Done():
		r.old = r.signer.cred.Load()
		return r.failed(StageInspect, fmt.Errorf("waiting for another rotation: %w", withContext(ctx, context.Cause(ctx))))
	}
}

// stage runs a stage that the caller's context no longer cancels. It turns a
// panic of Save or a transport into an error, so that the key is not lost. The
// value of the panic is not printed, since it may hold the key.
func (r *rotation) stage(ctx context.Context, run func(context.Context) error) (err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stageTimeout)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panicked with a %T", v)
		}
	}()
	return run(ctx)
}

func (r *rotation) failed(stage RotationStage, err error) error {
	return &RotationError{Stage: stage, OldKeyID: r.old.keyID, NewKeyID: r.newID, Key: r.key, Candidates: r.candidates, Err: err}
}

// explainScope adds to a 403 what to do about a key that may not rotate itself.
func (r *rotation) explainScope(err error) error {
	forbidden, ok := errors.AsType[*ForbiddenError](err)
	var reason string
	switch {
	case !ok || r.admin():
		return err
	case strings.HasPrefix(forbidden.Code, "insufficient_scope"):
		reason = "a key needs read and write to rotate itself: use one that has both, or have an admin key rotate it (RotateAPIKeyRequest.Signer): "
	case strings.Contains(forbidden.Message, "sub-account"):
		reason = "a key restricted to a sub-account cannot rotate itself: have an admin key rotate it (RotateAPIKeyRequest.Signer): "
	default:
		return err
	}
	return &multiError{reason + innerMessage(err), []error{err}}
}

// inspect finds the current key, and rejects what cannot be copied safely.
func (r *rotation) inspect(ctx context.Context) error {
	if r.req.PrivateKey != nil && samePublicKey(r.req.PrivateKey, r.old.key) {
		return invalid("PrivateKey", "is the key that signs now: make a new one")
	}
	var err error
	if r.before, err = r.client.list(ctx, nil); err != nil {
		return err
	}
	if !r.admin() {
		r.old = r.before.signedWith // a source may have replaced the key
	} else if r.before.find(r.old.keyID) == nil && r.signer.source != nil {
		if err := r.signer.Reload(ctx); err != nil {
			return err
		}
		r.old = r.signer.cred.Load()
	}
	r.current = r.before.find(r.old.keyID)
	switch {
	case r.admin() && r.old.keyID == r.before.signedWith.keyID:
		return errOwnSigner
	case r.current == nil:
		return errors.New("the account's list does not hold this key: was it deleted just now?")
	case slices.Contains(r.before.unreadable, r.current.ID):
		return errors.New("the list has a field of this key that cannot be read, so its rights are not known: make the new key by hand")
	case len(r.current.Scopes) == 0:
		return errors.New("the key is listed without scopes, and a copy of that would have full access: make the new key by hand")
	case r.current.FCMSubtraderID != "":
		return errors.New("the key is bound to an FCM subtrader: make the new key by hand")
	}
	return nil
}

// mint creates the new key and its credential.
func (r *rotation) mint(ctx context.Context) (err error) {
	key := r.req.PrivateKey
	if key != nil {
		r.key, err = r.create(ctx, key)
	} else {
		r.key, err = r.generate(ctx)
	}
	if err != nil {
		return r.reconcile(ctx, err)
	}
	r.newID = r.key.ID
	if strings.ContainsAny(r.key.ID, `/\`) || strings.Contains(r.key.ID, "..") {
		return errors.New("the new key's ID has a slash or dots, as if it were a path: is there a proxy in between?")
	}
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

// generate has the service make the new key.
func (r *rotation) generate(ctx context.Context) (*GenerateAPIKeyResponse, error) {
	req := GenerateAPIKeyRequest{
		Name: r.name(), KeyType: cmp.Or(r.req.KeyType, r.old.keyType), Scopes: r.current.Scopes, Subaccount: r.current.Subaccount,
	}
	if err := req.validate(); err != nil {
		return nil, err
	}
	made := new(GenerateAPIKeyResponse)
	return made, r.client.createKey(ctx, r.createOperation("GenerateAPIKey", pathGenerate), req, made)
}

// create registers the caller's own key.
func (r *rotation) create(ctx context.Context, key crypto.Signer) (*GenerateAPIKeyResponse, error) {
	public, err := MarshalPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	req := CreateAPIKeyRequest{Name: r.name(), PublicKey: public, Scopes: r.current.Scopes, Subaccount: r.current.Subaccount}
	if err := req.validate(); err != nil {
		return nil, err
	}
	var made CreateAPIKeyResponse
	err = r.client.createKey(ctx, r.createOperation("CreateAPIKey", pathAPIKeys), req, &made)
	return &GenerateAPIKeyResponse{ID: made.ID, Warning: made.Warning}, err
}

func (r *rotation) name() string { return cmp.Or(r.req.Name, r.current.Name) }

// createOperation is the call that creates the new key. It is signed by the key
// that was inspected, and rejects the ID of any key that was listed then.
func (r *rotation) createOperation(name, path string) operation {
	existed := func(id string) bool { return id == r.old.keyID || r.before.find(id) != nil }
	return operation{name: name, path: path, keyName: r.name(), existed: existed, credential: r.by(r.old)}
}

// reconcile looks for the key that a create of unknown outcome may have made.
// It deletes nothing: a key of the same name may be somebody else's.
func (r *rotation) reconcile(ctx context.Context, err error) error {
	r.key = nil
	unknown, ok := errors.AsType[*OutcomeUnknownError](err)
	if !ok {
		return err
	}
	r.newID = unknown.KeyID
	return r.stage(ctx, func(ctx context.Context) error {
		now, listErr := r.client.list(ctx, r.by(r.old))
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

var errNotListed = errors.New("the list does not show the new key")

// verify makes a call with the new key and compares its rights with the old
// one's. It tries again while the key is not known everywhere yet; how long
// that takes is not documented.
func (r *rotation) verify(ctx context.Context) error {
	until := time.Now().Add(verifyFor)
	for wait := minBackoff; ; wait = min(2*wait, time.Second) {
		list, err := r.listAsNew(ctx)
		if err == nil {
			key := list.find(r.newID)
			switch {
			case key == nil:
				err = errNotListed
			case slices.Contains(list.unreadable, key.ID) || !sameRights(key, r.current):
				return errors.New("the new key is listed with other rights than the old one")
			default:
				return nil
			}
		}
		if time.Until(until) < wait || sleep(ctx, wait) != nil {
			return err
		}
	}
}

// listAsNew lists the keys, signed by the new one. A key that an admin rotates
// may be one that may not list: the refusal proves that it signs, and the
// admin's list shows its rights.
func (r *rotation) listAsNew(ctx context.Context) (*keyList, error) {
	list, err := r.client.list(ctx, r.new)
	if err != nil && r.admin() && provesKey(err) {
		return r.client.list(ctx, nil)
	}
	return list, err
}

// provesKey reports whether a refusal shows that the key's signature was
// accepted: it is about rights, and not about the key's ID, signature or clock,
// nor about headers that were lost on the way.
func provesKey(err error) bool {
	if forbidden, ok := errors.AsType[*ForbiddenError](err); ok {
		page := len(forbidden.Body) > 0 && forbidden.Code == "" && forbidden.Message == ""
		return !page // which a gateway sends, whoever signed
	}
	refusal, ok := errors.AsType[*UnauthorizedError](err)
	return ok && !refusal.aboutKey() && !refusal.lacksHeaders() && refusal.Code != codeTimestampExpired
}

func sameRights(a, b *APIKey) bool {
	sorted := func(scopes []Scope) []Scope { return slices.Compact(slices.Sorted(slices.Values(scopes))) }
	return slices.Equal(sorted(a.Scopes), sorted(b.Scopes)) && a.FCMSubtraderID == b.FCMSubtraderID &&
		(a.Subaccount == nil) == (b.Subaccount == nil) && (a.Subaccount == nil || *a.Subaccount == *b.Subaccount)
}

// rollback deletes the new key again.
func (r *rotation) rollback(ctx context.Context) error {
	return r.client.delete(ctx, operation{keyID: r.newID, rollback: true, credential: r.by(r.old)})
}

// save has the caller store the key.
func (r *rotation) save(ctx context.Context) error {
	return r.req.Store.Save(ctx, r.new.public())
}

// retire deletes the old key when its grace is over, and reports whether it
// was gone already, which is as good.
func (r *rotation) retire(ctx context.Context) (gone bool, err error) {
	if r.req.KeepOld {
		return false, nil
	}
	if r.req.Grace > 0 {
		if err := sleep(ctx, r.req.Grace); err != nil {
			return false, fmt.Errorf("the grace was cut short: %w", err)
		}
	}
	err = r.stage(ctx, func(ctx context.Context) error {
		return r.client.delete(ctx, operation{keyID: r.old.keyID, credential: r.by(r.new)})
	})
	if isGone(err) {
		return true, nil
	}
	return false, err
}
