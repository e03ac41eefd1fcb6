package main

import (
	"context"
	"net/http"
	"time"
)

// What a key may do, when a key works, and what cannot be tried.

const subaccountOnly = "403 text: this API key is restricted to a single sub-account…"

var rights = []check{
	{"a key with read lists the keys", observed, "200 api_keys", sends(request{path: "/api_keys", by: "ed25519"})},
	{"a key with read generates a key", observed, needsWrite, sends(request{
		method: http.MethodPost, path: "/api_keys/generate", by: "ed25519", body: noName,
	})},
	{"a key with read registers a key", decided, needsWrite, sends(request{method: http.MethodPost, path: "/api_keys", by: "ed25519", body: noName})},
	{"a key with read deletes a key", decided, needsWrite, sends(request{method: http.MethodDelete, path: "/api_keys/" + noSuchKey, by: "ed25519"})},
	{"a key with read::portfolio_balance lists the keys", decided, needsRead, sends(request{path: "/api_keys", by: "child"})},
	{"a sub-account's key lists the keys", documented, subaccountOnly, sends(request{path: "/api_keys", by: "sub-account"})},
	{"a sub-account's key generates a key", documented, subaccountOnly, sends(request{
		method: http.MethodPost, path: "/api_keys/generate", by: "sub-account", body: noName,
	})},
	{"a key with read opens the WebSocket", documented, "101", sends(request{socket: true, by: "ed25519"})},
	{"a sub-account's key opens the WebSocket", documented, "101", sends(request{socket: true, by: "sub-account"})},
	{"a wrong signature opens the WebSocket", documented, "401 …", sends(request{socket: true, by: "ed25519", sign: byAnother})},
	{"a slash at the end of the WebSocket's path", observed, "401 …", sends(request{socket: true, path: "/", by: "ed25519"})},
}

var lifetime = []check{
	{"when a new key works", decided, "at once", func(ctx context.Context, s *session) (string, error) {
		key := s.make(ctx, "short-lived")
		if key.works == "" {
			return "", key.err
		}
		return key.works, nil
	}},
	{"when a deleted key stops working", decided, "at once", stops},
	{"a deleted key", observed, unknownKey, sends(request{path: "/api_keys", by: "short-lived"})},
	{"a key that deletes itself", decided, "204", deletes("full", "full")},
}

// stops deletes a key and waits until it no longer works.
func stops(ctx context.Context, s *session) (string, error) {
	key, err := s.key(ctx, "short-lived")
	if err != nil {
		return "", err
	}
	deleted, err := s.send(ctx, deletion(key.id))
	if err != nil || deleted.status/100 != 2 {
		return "not deleted: " + deleted.String(), err
	}
	return s.until(ctx, deleted, func() (bool, error) {
		got, err := s.send(ctx, request{path: "/api_keys", key: key})
		return got.status == http.StatusUnauthorized, err
	})
}

const (
	pollInterval = 250 * time.Millisecond
	pollLimit    = 15 * time.Second
)

// until waits until something is so, and says how long after a response that was.
func (s *session) until(ctx context.Context, after reply, isSo func() (bool, error)) (string, error) {
	for first := true; ; first = false {
		so, err := isSo()
		since := time.Since(after.received).Round(time.Millisecond)
		switch {
		case err != nil:
			return "", err
		case so && first:
			return "at once (within " + since.String() + ")", nil
		case so:
			return "after " + since.String(), nil
		case since > pollLimit:
			return "not within " + since.String(), nil
		}
		wait(ctx, pollInterval)
	}
}

// untried are the facts that a run cannot try.
var untried = []check{
	because("too many requests", documented, "429 error: too many requests", "it takes a flood of requests, at the cost of the account"),
	because("an exchange that is down", observed, "503 nested: …", "it takes an outage"),
	because("a subtrader that is not visible yet", documented, "409 …", "it takes an FCM member's account"),
	because("a subtrader's key lists the keys", documented, "403 …", "it takes an FCM member's account"),
	because("an order when the attestation of the location has lapsed", observed, "403 nested: …", "it takes an order"),
	because("a path that was retired", observed, "410 …", "no retired path is known but those of orders, which no run touches"),
	because("a key in the other environment", documented, unknownKey, "a run sends to one environment only"),
	because("a signed FIX logon", documented, "accepted", "it takes a FIX connection, with the right to trade"),
	because("how many keys an account may hold", decided, "no limit", "it takes many keys"),
}

// because makes the check of a fact that is not tried.
func because(fact string, m mark, want, reason string) check {
	return check{fact, m, want, func(context.Context, *session) (string, error) { return "", untriedError(reason) }}
}
