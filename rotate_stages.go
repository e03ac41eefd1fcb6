package kalshi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
)

// RotateAPIKey replaces the key of the client's [Signer], or of the request's, by a new one of the
// same scopes and sub-account:
//
//	inspect → create → verify → save → switch → delete the old one
//
// The new key must sign a call and be listed with the same rights before it is saved. All that hold
// the Signer follow the switch, and no call made through a client fails because of it. This assumes
// that a key which works once works everywhere, which is not documented. A crash at any point leaves
// a working key in the Store: the old one until Save has finished, both after it.
//
// Bad input is a [*ValidationError] and everything else a [*RotationError]. A key that has no scopes or
// is bound to an FCM subtrader is refused. Once the new key is made, each stage has 60 seconds, and
// cancelling ctx only ends the wait for Grace, which leaves the old key alive.
//
// A key that rotates itself needs read and write and no restriction to a sub-account; any other is
// rotated by an admin key's client, with the request's Signer. Let one process rotate a key, and the
// others follow ([NewSignerFromSource]). Rotations of a Signer wait for each other: Save must not start one.
func (c *Client) RotateAPIKey(ctx context.Context, req RotateAPIKeyRequest) (*RotateAPIKeyResponse, error) {
	if err := req.validate(c.signer); err != nil {
		return nil, err
	}
	r := rotation{client: c, req: req, signer: cmp.Or(req.Signer, c.signer)}
	if err := r.begin(ctx); err != nil {
		return nil, r.ended(ctx, StageInspect, err)
	}
	defer func() { <-r.signer.rotating }()

	for _, step := range []struct {
		stage RotationStage
		run   func(context.Context) error
	}{{StageInspect, r.inspect}, {StageCreate, r.create}, {StageVerify, r.verify}, {StageSave, r.save}, {StageDelete, r.deleteOld}} {
		if step.stage == StageDelete && req.KeepOld {
			break
		}
		if err := r.ended(ctx, step.stage, step.run(ctx)); err != nil {
			return nil, err
		}
	}
	return &RotateAPIKeyResponse{OldKeyID: r.old.keyID, NewKeyID: r.newID, Warning: r.warning, OldKeyGone: r.gone}, nil
}

// A rotation is one run of RotateAPIKey.
type rotation struct {
	client     *Client // lists, makes and deletes
	signer     *Signer // whose key is rotated
	req        RotateAPIKeyRequest
	old, new   *credential
	before     *GetAPIKeysResponse // as inspect saw it
	current    *APIKey             // the old key in it
	newID      string              // set even if no credential could be made of the key
	privateKey PrivateKeyPEM       // that only this rotation holds
	warning    string
	candidates []string
	gone       bool // the old key was, when it was to be deleted
}

// admin reports whether another key is rotated than the client's own.
func (r *rotation) admin() bool { return r.signer != r.client.signer }

// by returns the client that makes a call: the admin's, or one that signs with the key itself.
func (r *rotation) by(self *credential) *Client {
	if r.admin() {
		return r.client
	}
	return r.client.signedBy(self)
}

// begin waits until no other rotation of the signer runs.
func (r *rotation) begin(ctx context.Context) (err error) {
	select {
	case r.signer.rotating <- struct{}{}:
	case <-ctx.Done():
		err = fmt.Errorf("waiting for another rotation: %w", ended(ctx))
	}
	r.old = r.signer.credential()
	return err
}

// stage runs what no caller cancels. A panic becomes an error without its value, which may be a key.
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

// ended reports the end of a stage, and returns the error of the rotation if it failed.
func (r *rotation) ended(ctx context.Context, stage RotationStage, err error) error {
	if err != nil {
		err = &RotationError{Stage: stage, OldKeyID: r.old.keyID, NewKeyID: r.newID, PrivateKey: r.privateKey, Candidates: r.candidates, Err: err}
	}
	r.client.reporter.rotation(ctx, string(stage), r.old.keyID, r.newID, err)
	return err
}

// whose adds to an error that it is about the admin's key, or how to rotate a key that may not do so.
func (r *rotation) whose(err error) error {
	forbidden, isForbidden := errors.AsType[*ForbiddenError](err)
	hint := ""
	switch {
	case r.admin():
		hint = "with the admin key " + safeID(r.client.signer.KeyID())
	case isForbidden && strings.HasPrefix(forbidden.Code, "insufficient_scope"):
		hint = "a key needs read and write to rotate itself: use one that has both, or have an admin key rotate it (RotateAPIKeyRequest.Signer)"
	case isForbidden && strings.Contains(forbidden.Message, "sub-account"):
		hint = "a key restricted to a sub-account cannot rotate itself: have an admin key rotate it (RotateAPIKeyRequest.Signer)"
	}
	if err == nil || hint == "" {
		return err
	}
	return reword(hint+": "+innerMessage(err), err)
}

// inspect finds the current key, and rejects what cannot be copied safely.
func (r *rotation) inspect(ctx context.Context) error {
	if r.req.PrivateKey != nil && samePublicKey(r.req.PrivateKey, r.old.key) {
		return invalid("PrivateKey", "is the key that signs now: make a new one")
	}
	list, signedWith, err := r.client.list(ctx)
	if err != nil {
		return r.whose(err)
	}
	r.before = list
	if !r.admin() {
		r.old = signedWith // a source may have replaced the key
	} else if list.find(r.old.keyID) == nil && r.signer.source != nil {
		if err := r.signer.Reload(ctx); err != nil {
			return err
		}
		r.old = r.signer.credential()
	}
	r.current = list.find(r.old.keyID)
	switch {
	case r.admin() && r.old.keyID == signedWith.keyID:
		return errOwnSigner
	case r.current == nil:
		return errors.New("the account's list does not hold this key: was it deleted just now?")
	case len(r.current.Scopes) == 0:
		return errors.New("the key is listed without scopes, and a copy of that would have full access: make the new key by hand")
	case r.current.FCMSubtraderID != "":
		return errors.New("the key is bound to an FCM subtrader: make the new key by hand")
	}
	if store, ok := r.req.Store.(interface{ Check(context.Context) error }); ok {
		if err := store.Check(ctx); err != nil {
			return reword("the new key could not be saved: "+innerMessage(err), err)
		}
	}
	return nil
}

// create has the service make the new key, or take the caller's own.
func (r *rotation) create(ctx context.Context) (err error) {
	client, name, key := r.by(r.old), cmp.Or(r.req.Name, r.current.Name), r.req.PrivateKey
	if key == nil {
		made, err := client.GenerateAPIKey(ctx, GenerateAPIKeyRequest{
			Name: name, KeyType: cmp.Or(r.req.KeyType, r.old.keyType), Scopes: r.current.Scopes, Subaccount: r.current.Subaccount,
		})
		if err != nil {
			return r.lookUp(ctx, err)
		}
		r.newID, r.privateKey, r.warning = made.ID, made.PrivateKey, made.Warning
	} else {
		public, _ := MarshalPublicKey(key.Public()) // it was checked
		made, err := client.CreateAPIKey(ctx, CreateAPIKeyRequest{
			Name: name, PublicKey: public, Scopes: r.current.Scopes, Subaccount: r.current.Subaccount,
		})
		if err != nil {
			return r.lookUp(ctx, err)
		}
		r.newID, r.warning = made.ID, made.Warning
	}
	switch {
	case r.before.find(r.newID) != nil:
		r.newID, r.privateKey = "", PrivateKeyPEM{}
		return r.lookUp(ctx, &OutcomeUnknownError{Operation: "RotateAPIKey", KeyName: name, Err: errors.New("the new key was given the ID of an older one")})
	case strings.ContainsAny(r.newID, `/\`) || strings.Contains(r.newID, ".."):
		return errors.New("the new key's ID has a slash or dots, as if it were a path: is there a proxy in between?")
	case key == nil:
		if key, err = r.privateKey.Parse(); err != nil {
			return err
		}
	}
	r.new, err = newCredential(r.newID, key)
	return err
}

// lookUp looks for the key that a create may have made. It deletes none: it may be somebody else's.
func (r *rotation) lookUp(ctx context.Context, err error) error {
	unknown, ok := errors.AsType[*OutcomeUnknownError](err)
	if !ok {
		return r.whose(err)
	}
	if r.before.find(unknown.KeyID) == nil {
		r.newID = unknown.KeyID
	}
	return r.stage(ctx, func(ctx context.Context) error {
		now, _, listErr := r.by(r.old).list(ctx)
		if listErr != nil {
			return reword("the keys could not be listed afterwards: "+innerMessage(listErr)+"; "+innerMessage(unknown.Err), err, listErr)
		}
		for _, key := range now.APIKeys {
			if key.Name == unknown.KeyName && r.before.find(key.ID) == nil {
				r.candidates = append(r.candidates, key.ID)
			}
		}
		if len(r.candidates) == 0 {
			return reword("none is listed: "+innerMessage(unknown.Err), err)
		}
		return err
	})
}

// verify tries the new key, and deletes it again if that fails.
func (r *rotation) verify(ctx context.Context) error {
	err := r.stage(ctx, r.try)
	deleteNew := func(ctx context.Context) error { return r.by(r.old).deleteKey(ctx, r.newID, true) }
	if err != nil && r.stage(ctx, deleteNew) == nil {
		r.newID, r.privateKey = "", PrivateKeyPEM{} // nothing is left to hand back
	}
	return err
}

// try lists with the new key and compares its rights with the old one's. One that an admin rotates may
// be forbidden to list: then the 403 proves that it signs, and the admin's list shows its rights.
func (r *rotation) try(ctx context.Context) error {
	return patiently(ctx, func() (again bool, err error) {
		list, _, err := r.client.signedBy(r.new).list(ctx)
		if r.admin() && provesKey(err) {
			list, _, err = r.client.list(ctx)
			err = r.whose(err)
		} else if err != nil {
			err = reword("signed by the new key: "+innerMessage(err), err)
		}
		if err != nil {
			return true, err
		}
		key := list.find(r.newID)
		switch {
		case key == nil:
			return true, errors.New("the list does not show the new key")
		case !sameRights(key, r.current):
			return false, errors.New("the new key is listed with other rights than the old one")
		}
		return false, nil
	})
}

// save has the store save the key, and then switches the signer to it.
func (r *rotation) save(ctx context.Context) error {
	err := r.stage(ctx, func(ctx context.Context) error { return r.req.Store.Save(ctx, r.new.public()) })
	if err != nil {
		return err
	}
	r.privateKey = PrivateKeyPEM{}
	if !r.req.KeepOld {
		r.signer.deleted.Store(r.old.keyID, nil)
	}
	r.signer.cred.Store(r.new)
	return nil
}

// deleteOld deletes the old key when its grace is over. A 401 may come from a place where the new key
// is not known yet; if it stays, the old key deletes itself.
func (r *rotation) deleteOld(ctx context.Context) error {
	if err := sleep(ctx, r.req.Grace); err != nil && r.req.Grace > 0 {
		return fmt.Errorf("the grace was cut short: %w", err)
	}
	err := r.stage(ctx, func(ctx context.Context) error {
		var refused bool
		err := patiently(ctx, func() (again bool, err error) {
			err = r.by(r.new).DeleteAPIKey(ctx, r.old.keyID)
			_, refused = errors.AsType[*UnauthorizedError](err)
			return refused, err
		})
		if refused {
			err = r.by(r.old).DeleteAPIKey(ctx, r.old.keyID)
		}
		return err
	})
	if r.gone = isGone(err); r.gone {
		return nil
	}
	return r.whose(err)
}
