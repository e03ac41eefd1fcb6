package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"time"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// A session is one run against one account.
type session struct {
	client *kalshi.Client
	http   *http.Client
	own    kalshi.APIKey                           // the account's key that the client signs with
	run    string                                  // in the name of each key of this run
	offset time.Duration                           // the service's clock minus the local one
	rsaKey func(bits int) (*rsa.PrivateKey, error) // makes one

	before  map[string]bool    // the IDs that were there before this run: it deletes none of them
	earlier []kalshi.APIKey    // those of them that an earlier run left
	made    map[string]string  // the names by ID of the keys that this run made and has not deleted
	keys    map[string]*newKey // by kind
}

// newSession looks at the account's keys. It makes none.
func newSession(ctx context.Context, client *kalshi.Client, transport http.RoundTripper) (*session, error) {
	random := make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	s := &session{
		client: client,
		http: &http.Client{
			Transport: transport, Timeout: 30 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		rsaKey: func(bits int) (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, bits) },
		run:    hex.EncodeToString(random), before: map[string]bool{}, made: map[string]string{}, keys: map[string]*newKey{},
	}
	listed, err := client.GetAPIKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("the checks need a key that may list the account's keys: %w", err)
	}
	for _, key := range listed.APIKeys {
		s.before[key.ID] = true
		switch {
		case key.ID == client.Signer().KeyID():
			s.own = key
		case runOf(key.Name) != "":
			s.earlier = append(s.earlier, key)
		}
	}
	if s.own.ID == "" {
		return nil, fmt.Errorf("the service does not list the key %s, which signs", client.Signer().KeyID())
	}
	first, err := s.send(ctx, request{path: "/api_keys"})
	if err != nil {
		return nil, err
	}
	// A date has whole seconds: a difference of a second may be none.
	if ahead, ok := first.ahead(); ok && ahead.Abs() > time.Second {
		s.offset = ahead
	}
	return s, nil
}

var runName = regexp.MustCompile(`^kalshi-go conformance ([0-9a-f]{8}) `)

// name returns the name of a key of this run.
func (s *session) name(what string) string { return "kalshi-go conformance " + s.run + " " + what }

// runOf returns the run that made the key of this name, or "" if none did.
func runOf(name string) string {
	if match := runName.FindStringSubmatch(name); match != nil {
		return match[1]
	}
	return ""
}

// now is the time by the service's clock.
func (s *session) now() time.Time { return time.Now().Add(s.offset) }

// ahead returns how far the service's clock is ahead of the local one, to half a
// second.
func (r reply) ahead() (d time.Duration, ok bool) {
	date, err := http.ParseTime(r.header.Get("Date"))
	return date.Add(time.Second / 2).Sub(r.received), err == nil
}

// mayWrite returns an error if the account's own key cannot make and delete keys.
func (s *session) mayWrite() error {
	if s.own.Missing(kalshi.ScopeRead, kalshi.ScopeWrite) != nil {
		return untriedError("the key in the environment lacks the scope read or write")
	}
	return nil
}

// note notes which key a request made or deleted.
func (s *session) note(req *http.Request, got reply) {
	switch {
	case got.status/100 != 2:
	case req.Method == http.MethodPost:
		if id := got.value("api_key_id"); id != "" && !s.before[id] {
			s.made[id] = nameIn(req)
		}
	case req.Method == http.MethodDelete:
		delete(s.made, path.Base(req.URL.Path))
	}
}

// nameIn returns the name in the body of a request for a key.
func nameIn(req *http.Request) string {
	var fields struct{ Name string }
	if body, err := req.GetBody(); err == nil {
		_ = json.NewDecoder(body).Decode(&fields) // the name is for the reader
	}
	return fields.Name
}

// cleanUp deletes the keys that this run made: those whose ID it knows, and those
// that bear its name, since the response that named a key may have been lost. It
// does not end with the context, but after a minute at most. It returns the names
// by ID of the keys that are left, and the error if no list shows what is left.
func (s *session) cleanUp(ctx context.Context) (left map[string]string, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for range 3 {
		var listed *kalshi.GetAPIKeysResponse
		if listed, err = s.client.GetAPIKeys(ctx); err == nil {
			for _, key := range listed.APIKeys {
				if runOf(key.Name) == s.run && !s.before[key.ID] {
					s.made[key.ID] = key.Name
				}
			}
		}
		if err == nil && len(s.made) == 0 {
			break
		}
		for id := range s.made {
			if deleteKey(ctx, s.client, id) == nil {
				delete(s.made, id)
			}
		}
		if len(s.made) > 0 || err != nil {
			wait(ctx, time.Second)
		}
	}
	return s.made, err
}

// deleteKey deletes a key, which may be gone already.
func deleteKey(ctx context.Context, client *kalshi.Client, id string) error {
	err := client.DeleteAPIKey(ctx, id)
	if _, gone := errors.AsType[*kalshi.NotFoundError](err); gone {
		return nil
	}
	return err
}
