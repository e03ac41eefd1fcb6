package kalshitest_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const headerDiagnosis, headerSignature = "Kalshitest-Diagnosis", "Kalshi-Access-Signature"

// richBody is the body of a request that has everything that can be signed wrongly.
const richBody = `{"a":1}`

// exchange is a server whose clock stands still, so that no diagnosis runs out of
// time, and a key of each type.
type exchange struct {
	*kalshitest.Server
	now  time.Time
	keys map[string]crypto.Signer // by the key's ID, which is its type
	http *http.Client
}

func newExchange(t *testing.T) *exchange {
	t.Helper()
	now := time.UnixMilli(1_790_000_000_200)
	x := &exchange{now: now, Server: newServer(t, kalshitest.WithClock(func() time.Time { return now }))}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	x.keys = map[string]crypto.Signer{"ed25519": ed, "rsa": rsaKey()}
	for id, key := range x.keys {
		x.AddKey(kalshitest.Key{ID: id, PublicKey: publicPEM(t, key.Public())})
	}
	x.DeleteKey(x.KeyID)
	x.http = newClient(t, x.Server).http
	return x
}

// request returns an unsigned request.
func (x *exchange) request(t *testing.T, rich bool) *http.Request {
	t.Helper()
	method, path, body := "GET", "/api_keys?fcm_subtrader_id=", ""
	if rich {
		method, path, body = "DELETE", "/api_keys/a%20b?c=d", richBody
	}
	req, err := http.NewRequest(method, x.URL+path, strings.NewReader(body))
	require.NoError(t, err)
	return req
}

// send sends the request and returns the status and the diagnosis, which the
// response and the record have to agree about.
func (x *exchange) send(t *testing.T, req *http.Request) (status int, diagnosis string) {
	t.Helper()
	x.ClearRequests()
	res, err := x.http.Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	diagnosis = res.Header.Get(headerDiagnosis)
	assert.Equal(t, x.Requests()[0].Diagnosis, diagnosis)
	if signature := req.Header.Get(headerSignature); signature != "" {
		assert.NotContains(t, diagnosis, signature)
	}
	return res.StatusCode, diagnosis
}

// diagnose signs in all of these wrong ways at once and returns what is said.
func (x *exchange) diagnose(t *testing.T, keyType string, wrongs ...wrong) (said []string) {
	t.Helper()
	rich := slices.ContainsFunc(wrongs, func(w wrong) bool { return w.rich })
	url := slices.ContainsFunc(wrongs, func(w wrong) bool { return strings.HasPrefix(w.name, "base64url") })
	for second := range 10 {
		req := x.request(t, rich)
		f := newForgery(req, x.now.Add(-time.Duration(second)*time.Second))
		for _, w := range wrongs {
			w.edit(f, req)
		}
		f.apply(req, keyType, x.keys[keyType])
		if url && !strings.ContainsAny(req.Header.Get(headerSignature), "-_") {
			continue // its base64 is the same
		}
		status, diagnosis := x.send(t, req)
		assert.Equal(t, http.StatusUnauthorized, status)
		return strings.Split(diagnosis, "; ")
	}
	t.Fatal("no signature's base64url differs from its base64")
	return nil
}

// Each way to sign wrongly is found, and nothing else is said.
func TestRequest_Diagnosis(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	for keyType := range x.keys {
		for _, w := range wrongs {
			if w.only != "" && w.only != keyType {
				continue
			}
			t.Run(keyType+" "+w.name, func(t *testing.T) {
				said := x.diagnose(t, keyType, w)
				require.Len(t, said, 1, "%q", said)
				assert.True(t, strings.HasPrefix(said[0], w.want), said[0])
			})
		}
	}
}

// notOfText are the kinds that are found before the search for what is signed. They come last.
var notOfText = map[string]bool{"padding": true, "encoding": true, "wrapping": true}

// Two mistakes are found together.
func TestRequest_Diagnosis_pairs(t *testing.T) {
	t.Parallel()
	for _, keyType := range []string{"ed25519", "rsa"} {
		t.Run(keyType, func(t *testing.T) {
			t.Parallel()
			x := newExchange(t)
			for i, a := range wrongs {
				for j, b := range wrongs[i+1:] {
					if keyType == "ed25519" && j%13 != 0 || notOfText[b.kind] && j%3 != 0 {
						continue // each takes some milliseconds
					}
					if a.kind == b.kind || a.alone || b.alone || a.only != "" && a.only != keyType || b.only != "" && b.only != keyType {
						continue
					}
					said := x.diagnose(t, keyType, a, b)
					if !assert.Len(t, said, 2, "%s and %s: %q", a.name, b.name, said) {
						continue
					}
					for _, w := range []wrong{a, b} {
						assert.True(t, strings.HasPrefix(said[0], w.want) || strings.HasPrefix(said[1], w.want), "%s and %s: %q", a.name, b.name, said)
					}
				}
			}
		})
	}
}
