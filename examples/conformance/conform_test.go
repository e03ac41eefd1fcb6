package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// An account that may not register keys is no other service.
func TestConform_basicUsageLevel(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		r, status := x.conform(t.Context(), t)
		assert.Empty(t, r.facts(differs))
		assert.Zero(t, status)
		assert.Equal(t, []string{
			"a registered Ed25519 key signs the same", "a registered RSA key signs the same", "POST /api_keys of an Ed25519 key",
			"POST /api_keys of an RSA key", "POST /api_keys: are its fields and types as documented?", "a public key that is none",
			"an RSA key of 1024 bits",
		}, r.facts(notTried)[:7])
		assert.Len(t, r.facts(notTried), 7+len(untried))
		x.assertOnlyFirstKey(t)
	}, kalshitest.WithBasicUsageLevel())
}

// A key that may only read tries what it can.
func TestConform_readOnlyKey(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		read := x.AddKey(kalshitest.Key{Scopes: []string{"read"}})
		x.KeyID, x.PrivateKey = read.ID, read.PrivateKey
		r, status := x.conform(t.Context(), t)
		assert.Empty(t, r.facts(differs))
		assert.Zero(t, status)
		assert.Greater(t, len(r.facts(same)), 20)
		assert.Len(t, x.Keys(), 2)
		for _, request := range x.Requests() {
			assert.Equal(t, http.MethodGet, request.Method)
		}
	})
}

// What the service sends does not get into the table as it is.
func TestConform_hostileText(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		hostile := "\x1b[31m\r\n" + strings.Repeat("x", 1000)
		x.proxy = answers(func(_ *http.Request, resp *http.Response) {
			body := string(readBody(resp))
			if setBody(resp, strings.ReplaceAll(body, `["read"]`, `["\u001b[31m\r\n`+strings.Repeat("x", 1000)+`"]`)); resp.StatusCode >= 300 {
				setBody(resp, hostile)
			}
		})
		var out bytes.Buffer
		assert.Equal(t, 1, x.session(t.Context(), t).report(t.Context(), false, &out, io.Discard))
		assert.Contains(t, out.String(), "?[31m??xxx")
		for line := range strings.Lines(out.String()) {
			assert.Less(t, len(line), 400)
			assert.NotContains(t, line, "\x1b")
			assert.NotContains(t, line, "\r")
		}
		x.assertOnlyFirstKey(t)
	})
}

// Text with a private key, in a place where none should be, is not shown.
func TestConform_keyInText(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		x.proxy = answers(func(_ *http.Request, resp *http.Response) {
			switch body := string(readBody(resp)); {
			case resp.StatusCode == http.StatusCreated && strings.Contains(body, "RSA PRIVATE KEY"):
				set(resp, 400, fmt.Sprintf(`{"error":{"code":"x","message":%q}}`, x.PrivateKey))
			case resp.StatusCode == http.StatusMovedPermanently:
				resp.Header.Set("Location", x.PrivateKey)
			default:
				setBody(resp, strings.ReplaceAll(body, `["read"]`, fmt.Sprintf("[%q]", x.PrivateKey)))
			}
		})
		r, status := x.conform(t.Context(), t)
		assert.Equal(t, 1, status)
		assert.Contains(t, r.facts(differs), "POST /api_keys/generate of an RSA key")
		assert.Contains(t, r.facts(differs), "its scopes in the list")
		x.assertOnlyFirstKey(t)
	})
}

// Clocks that differ change no fact.
func TestConform_clock(t *testing.T) {
	for _, offset := range []time.Duration{-20 * time.Second, time.Hour} {
		t.Run(offset.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, x *exchange) {
				x.SetClockOffset(offset)
				r, status := x.conform(t.Context(), t)
				assert.Empty(t, r.facts(differs))
				assert.Zero(t, status)
			})
		})
	}
}

// A request that met a limit is sent again.
func TestConform_rateLimit(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		count := 0
		x.proxy = func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if count++; count%5 == 0 {
				return &http.Response{StatusCode: 429, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(kalshitest.TooManyRequestsBody))}, nil
			}
			return next.RoundTrip(req)
		}
		r, status := x.conform(t.Context(), t)
		assert.Empty(t, r.facts(differs))
		assert.Zero(t, status)
		x.assertOnlyFirstKey(t)
	})
}

// New keys that never work differ in one row each. What is to be tried with them is
// not tried.
func TestConform_newKeysDoNotWork(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		x.proxy = answers(func(req *http.Request, resp *http.Response) {
			if id := req.Header.Get(headerKey); id != x.KeyID && id != noSuchKey && id != "" {
				set(resp, 401, unknownKeyBody)
			}
		})
		r, status := x.conform(t.Context(), t)
		assert.Equal(t, 1, status)
		assert.Equal(t, []string{
			"a generated Ed25519 key signs the text itself", "a generated RSA key signs by PSS, with SHA-256 and a salt of 32 bytes",
			"a registered Ed25519 key signs the same", "a registered RSA key signs the same", "DELETE /api_keys/{id}",
			"a key of sub-account 0 in the list", "the scopes of a key that is made without", "the scopes of a key with a child alone",
			"when a new key works", "when a deleted key stops working",
		}, r.facts(differs))
		assert.Contains(t, r.facts(notTried), "a key with read lists the keys")
		x.assertOnlyFirstKey(t)
	})
}

// A service that is gone is no service that is the same.
func TestConform_noResponse(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		x.proxy = func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			if req.Method == http.MethodPost {
				return nil, errors.New("the network is down")
			}
			return next.RoundTrip(req)
		}
		r, status := x.conform(t.Context(), t)
		assert.Equal(t, 1, status)
		assert.Contains(t, r.facts(differs), "no name")
		x.assertOnlyFirstKey(t)
	})
}

// The keys of checks that should make none are deleted at once: an account may hold
// a few only.
func TestConform_deletedAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		made := 0
		x.proxy = func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
			for _, key := range x.Keys() {
				if strings.HasSuffix(key.Name, " check") && req.Method != http.MethodDelete {
					made++
				}
			}
			return next.RoundTrip(req)
		}
		_, status := x.conform(t.Context(), t)
		assert.Zero(t, status)
		assert.Zero(t, made)
	})
}

func TestReport_hostileID(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	report{BaseURL: "https://x", Left: map[string]string{"$(date)'; date\n": "name"}}.printSummary(&out)
	assert.Contains(t, out.String(), `-id '$(date)'\''; date?'`+"\n")
}

// A service that does not list the key that signs is not gone on with.
func TestNewSession_keyIsNotListed(t *testing.T) {
	inBubble(t, func(t *testing.T, x *exchange) {
		x.proxy = replaces(x.KeyID, "another")
		client, err := standInClient(x.Server, x)
		require.NoError(t, err)
		_, err = newSession(t.Context(), client, x)
		assert.ErrorContains(t, err, "does not list the key "+x.KeyID)
	})
}

func TestReport_status(t *testing.T) {
	t.Parallel()
	key := map[string]string{"id": "name"}
	for want, reports := range map[int][]report{
		0: {{}, {Rows: []row{{Result: same}, {Result: notTried}}}, {Earlier: key}},
		1: {{Rows: []row{{Result: same}, {Result: differs}}}, {Left: key}, {Unknown: "the list failed"}},
	} {
		for _, r := range reports {
			assert.Equal(t, want, r.status(), "%+v", r)
		}
	}
}

func TestChecks(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range checks() {
		assert.False(t, seen[c.fact], "%s is there twice", c.fact)
		seen[c.fact] = true
		assert.Contains(t, []mark{documented, observed, decided}, c.mark)
		assert.NotEmpty(t, c.want)
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	tests := []struct {
		want, found string
		holds       bool
	}{
		{"204", "204", true},
		{"204", "204 (slow)", true},
		{"204", "204 slow", false},
		{"204", "2040", false},
		{"204", "20", false},
		{"204", "", false},
		{"403 …", "403 forbidden", true},
		{"403 …", "401 403 ", false},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.holds, holds(tt.want, tt.found), "%s %s", tt.want, tt.found)
	}
}
