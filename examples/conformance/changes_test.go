package main

import (
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A change is a proxy that changes what the service does.
type change func(*http.Request, http.RoundTripper) (*http.Response, error)

// answers changes the response where it wants to.
func answers(edit func(*http.Request, *http.Response)) change {
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
			edit(req, resp)
		}
		return resp, err
	}
}

// replaces replaces text in the bodies.
func replaces(old, replacement string) change {
	return answers(func(_ *http.Request, resp *http.Response) {
		setBody(resp, strings.ReplaceAll(string(readBody(resp)), old, replacement))
	})
}

func setBody(resp *http.Response, body string) {
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
}

func set(resp *http.Response, status int, body string) {
	resp.StatusCode = status
	setBody(resp, body)
}

const (
	wrongSignatureBody = `{"error":{"code":"authentication_error","message":"authentication_error","details":"INCORRECT_API_KEY_SIGNATURE"}}`
	unknownKeyBody     = `{"error":{"code":"authentication_error","message":"authentication_error","details":"NOT_FOUND"}}`
	expiredBody        = `{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`
	emptyList          = `{"api_keys":[]}`
)

// off is how far a request's timestamp is from the clock.
func off(req *http.Request) time.Duration {
	ms, _ := strconv.ParseInt(req.Header.Get(headerTimestamp), 10, 64)
	return time.Since(time.UnixMilli(ms)).Abs()
}

// changes are proxies that change a fact, and the rows that differ then. Those of
// a group go into one run, since it makes RSA keys, which takes time.
var changes = []struct {
	group  int
	name   string
	change func() change
	want   []string
}{
	{0, "nothing", func() change { return replaces("", "") }, nil},
	{
		1, "any signature is accepted", func() change {
			return answers(func(_ *http.Request, resp *http.Response) {
				if strings.Contains(string(readBody(resp)), "INCORRECT_API_KEY_SIGNATURE") {
					set(resp, 200, emptyList)
				}
			})
		},
		[]string{
			"RSA-PSS with another length of the salt", "RSA by PKCS #1 v1.5", "a query that is signed", "a path that is signed unescaped",
			"a path that is signed without /trade-api/v2", "a method that is signed in lower case", "a body that is signed",
			"a wrong signature", "a wrong signature opens the WebSocket",
		},
	},
	{2, "a wrong signature has other words", func() change { return replaces("INCORRECT_API_KEY_SIGNATURE", "BAD_SIGNATURE") }, []string{"a wrong signature"}},
	{2, "an unknown key has other words", func() change { return replaces(`"NOT_FOUND"`, `"UNKNOWN"`) }, []string{"an unknown key ID", "a deleted key"}},
	{
		3, "timestamps may be 40 s off", func() change {
			return answers(func(req *http.Request, resp *http.Response) {
				if off(req) < 40*time.Second && strings.Contains(string(readBody(resp)), "header_timestamp_expired") {
					set(resp, 200, emptyList)
				}
			})
		},
		[]string{"a timestamp that is 30 s slow", "a timestamp that is 30 s fast"},
	},
	{
		1, "timestamps may be 7 s off", func() change {
			return answers(func(req *http.Request, resp *http.Response) {
				if off(req) > 7*time.Second && resp.StatusCode == http.StatusOK {
					set(resp, 401, expiredBody)
				}
			})
		},
		[]string{"a timestamp that is 9 s slow", "a timestamp that is 9 s fast"},
	},
	{
		1, "no date", func() change { return answers(func(_ *http.Request, resp *http.Response) { resp.Header.Del("Date") }) },
		[]string{"the Date of the response to an expired timestamp"},
	},
	{2, "no signature is accepted twice", noReplay, []string{"a signature that is sent twice"}},
	{4, "a new key works after 2 s", slowKeys, []string{"when a new key works"}},
	{4, "a deleted key works for 2 s", livingDead, []string{"when a deleted key stops working"}},
	{
		4, "a key may not delete itself", func() change {
			return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
				if req.Method == http.MethodDelete && path.Base(req.URL.Path) == req.Header.Get(headerKey) {
					req.URL.Path = "/trade-api/v2/none"
				}
				return next.RoundTrip(req)
			}
		},
		[]string{"a key that deletes itself"},
	},
	{4, "names are unique", uniqueNames, []string{"the name of another key"}},
	{
		0, "a child is not granted alone", func() change {
			return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
				if req.Method == http.MethodPost && strings.HasSuffix(nameIn(req), " child") {
					return &http.Response{StatusCode: 400, Header: http.Header{}, Body: http.NoBody}, nil
				}
				return next.RoundTrip(req)
			}
		},
		[]string{"the scopes of a key with a child alone"},
	},
	{
		3, "no redirect", func() change {
			return answers(func(_ *http.Request, resp *http.Response) {
				if resp.StatusCode == http.StatusMovedPermanently {
					set(resp, 404, "")
				}
			})
		},
		[]string{"a slash at the end of a path", "a slash at the end of a path, without a signature"},
	},
	{
		2, "the generated key has no type", func() change { return replaces(`"key_type":"ed25519",`, "") },
		[]string{"POST /api_keys/generate of an Ed25519 key", "the name of another key", "a field that is not documented"},
	},
	{
		0, "a missing scope is a 401", func() change {
			return answers(func(req *http.Request, resp *http.Response) {
				if req.Method != http.MethodGet && resp.StatusCode == http.StatusForbidden && strings.Contains(string(readBody(resp)), "scope") {
					resp.StatusCode = http.StatusUnauthorized
				}
			})
		},
		[]string{"a missing scope with a bad parameter", "a key with read generates a key", "a key with read registers a key", "a key with read deletes a key"},
	},
	{2, "sub-account 0 is not listed", func() change { return replaces(`,"subaccount":0`, "") }, []string{"a key of sub-account 0 in the list"}},
	{
		0, "the list has a new field", func() change { return replaces(`{"api_keys":`, `{"cursor":"","api_keys":`) },
		[]string{
			"a signature that is sent twice", "GET /api_keys", "GET /api_keys: are its fields and types as documented?", "a key with read lists the keys",
		},
	},
	{
		1, "a scope has a number", func() change { return replaces(`"scopes":["read"]`, `"scopes":[1]`) },
		[]string{"GET /api_keys: are its fields and types as documented?", "its scopes in the list"},
	},
	{
		3, "a delete has a body", func() change {
			return answers(func(_ *http.Request, resp *http.Response) {
				if resp.StatusCode == http.StatusNoContent {
					set(resp, 200, "{}")
				}
			})
		},
		[]string{"DELETE /api_keys/{id}", "a key that deletes itself"},
	},
	{
		0, "errors are flat", func() change {
			return answers(func(_ *http.Request, resp *http.Response) {
				if body := string(readBody(resp)); resp.StatusCode == http.StatusNotFound {
					setBody(resp, strings.TrimSuffix(strings.TrimPrefix(body, `{"error":`), "}"))
				}
			})
		},
		[]string{
			"DELETE /api_keys/{id} of a deleted key", "a key that does not exist", "a path that does not exist",
			"a path that does not exist, without a signature",
		},
	},
}

// A proxy that changes facts makes exactly these rows differ.
func TestConform_changedFacts(t *testing.T) {
	t.Parallel()
	for group := range 5 {
		t.Run(fmt.Sprint("group ", group), func(t *testing.T) {
			inBubble(t, func(t *testing.T, x *exchange) {
				var names, want []string
				var proxies []change
				for _, c := range changes {
					if c.group == group {
						names, want, proxies = append(names, c.name), append(want, c.want...), append(proxies, c.change())
					}
				}
				x.proxy = allOf(proxies)
				r, status := x.conform(t.Context(), t)
				assert.ElementsMatch(t, want, r.facts(differs), "%q", names)
				assert.Equal(t, len(want) > 0, status == 1, "exit status %d", status)
				x.assertOnlyFirstKey(t)
			})
		})
	}
}

// allOf makes several changes.
func allOf(changes []change) change {
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		for _, c := range changes {
			next = roundTripper{c, next}
		}
		return next.RoundTrip(req)
	}
}

type roundTripper struct {
	change change
	next   http.RoundTripper
}

func (r roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.change(req, r.next)
}

func noReplay() change {
	seen := map[string]bool{}
	return answers(func(req *http.Request, resp *http.Response) {
		signature := req.Header.Get(headerSignature)
		if signature != "" && seen[signature] && resp.StatusCode == http.StatusOK {
			set(resp, 401, wrongSignatureBody)
		}
		seen[signature] = true
	})
}

func slowKeys() change {
	since := map[string]time.Time{}
	return answers(func(req *http.Request, resp *http.Response) {
		if resp.StatusCode == http.StatusCreated {
			since[reply{body: readBody(resp)}.value("api_key_id")] = time.Now()
		}
		if made, ok := since[req.Header.Get(headerKey)]; ok && time.Since(made) < 2*time.Second {
			set(resp, 401, unknownKeyBody)
		}
	})
}

func livingDead() change {
	deleted := map[string]time.Time{}
	return answers(func(req *http.Request, resp *http.Response) {
		if when, ok := deleted[req.Header.Get(headerKey)]; ok && time.Since(when) < 2*time.Second {
			set(resp, 200, emptyList)
		}
		if resp.StatusCode == http.StatusNoContent {
			deleted[path.Base(req.URL.Path)] = time.Now()
		}
	})
}

func uniqueNames() change {
	var names []string
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if req.Method == http.MethodPost {
			name := nameIn(req)
			if slices.Contains(names, name) && !strings.HasSuffix(name, " check") && name != "" {
				return &http.Response{StatusCode: 409, Header: http.Header{}, Body: http.NoBody}, nil
			}
			names = append(names, name)
		}
		return next.RoundTrip(req)
	}
}
