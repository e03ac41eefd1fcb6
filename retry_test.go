package kalshi

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Which statuses are worth another attempt, by the number of attempts when the
// answer never changes. A mint is tried again after a 429 alone, since no
// other status says that nothing was made.
func TestClient_retriesByStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		statuses         []int
		attempts, mints  int
		kind, mintedKind string
	}{
		{[]int{429}, 3, 3, "RateLimit", "RateLimit"},
		{[]int{500, 502, 503, 504, 520, 521, 522, 523, 524}, 3, 1, "Server", "Unknown"},
		{[]int{501, 505, 507, 511, 519, 525, 599}, 1, 1, "Server", "Unknown"},
		{[]int{400}, 1, 1, "BadRequest", "BadRequest"},
		{[]int{401}, 1, 1, "Unauthorized", "Unauthorized"},
		{[]int{403}, 1, 1, "Forbidden", "Forbidden"},
		{[]int{404}, 1, 1, "NotFound", "NotFound"},
		{[]int{409}, 1, 1, "Conflict", "Conflict"},
		{[]int{300, 304, 399, 402, 405, 408, 410, 418, 425, 428, 430, 499, 600, 999}, 1, 1, "API", "API"},
	}
	forEachCall(t, func(t *testing.T, call apiCall) {
		for _, tt := range tests {
			wantAttempts, wantKind := tt.attempts, tt.kind
			if call.mints() {
				wantAttempts, wantKind = tt.mints, tt.mintedKind
			}
			for _, status := range tt.statuses {
				c, mock := newTestClient(t)
				attempts := replyInTurn(mock, reply(status, "{}"))
				err := call.do(t.Context(), c)
				assert.EqualValues(t, wantAttempts, attempts.Load(), status)
				assert.Equal(t, wantKind, kindOf(err), status)
				var apiErr *APIError
				if assert.ErrorAs(t, err, &apiErr, status) {
					assert.Equal(t, status, apiErr.StatusCode)
				}
			}
		}
	})
}

// WithMaxRetries counts attempts exactly, for the kinds of failure that every
// call tries again and for those that only some do.
func TestWithMaxRetries_countsAttempts(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		for _, n := range []int{0, 1, 2, 7} {
			for name, step := range map[string]httpmock.Responder{"429": reply(429, ""), "503": reply(503, ""), "lost": lost} {
				c, mock := newTestClient(t, WithMaxRetries(n))
				attempts := replyInTurn(mock, step)
				require.Error(t, call.do(t.Context(), c))
				want := n + 1
				if call.mints() && name != "429" {
					want = 1
				}
				assert.EqualValues(t, want, attempts.Load(), "%s, %d retries", name, n)
			}
		}
	})
}

// The retry that succeeds is a success, whatever came before it.
func TestClient_retrySucceeds(t *testing.T) {
	t.Parallel()
	brokenBody := func(*http.Request) (*http.Response, error) {
		resp := httpmock.NewStringResponse(200, "")
		resp.ContentLength = -1
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"api_`), iotest.ErrReader(io.ErrUnexpectedEOF)))
		return resp, nil
	}
	tests := []struct {
		name   string
		first  httpmock.Responder
		get    int64 // attempts until success
		delete int64
		mint   string // what comes of a mint, in one attempt
	}{
		{"429", reply(429, ""), 2, 2, "ok"},
		{"503", reply(503, ""), 2, 2, "Unknown"},
		{"lost answer", lost, 2, 2, "Unknown"},
		{"answer that breaks off", brokenBody, 2, 1, "Unknown"},
		{"answer that is no JSON", reply(200, "<html>"), 2, 1, "Unknown"},
		{"answer without its fields", reply(200, "{}"), 2, 1, "Unknown"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			forEachCall(t, func(t *testing.T, call apiCall) {
				c, mock := newTestClient(t)
				attempts := replyInTurn(mock, tt.first, call.success())
				err := call.do(t.Context(), c)
				want := map[string]int64{http.MethodGet: tt.get, http.MethodDelete: tt.delete, http.MethodPost: 1}[call.method]
				if call.mints() {
					assert.Equal(t, tt.mint, kindOf(err))
				} else {
					assert.NoError(t, err)
				}
				if call.mints() && tt.mint == "ok" {
					want = 2
				}
				assert.Equal(t, want, attempts.Load())
			})
		})
	}
}

// An OutcomeUnknownError names what to look for in the list of keys.
func TestClient_outcomeUnknownSaysWhat(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		if !call.mints() {
			return
		}
		for body, wantID := range map[string]string{
			`{"api_key_id":"made","private_key":`: "made",
			`{"warning":"w"}`:                     "",
			`{"api_key_id":7}`:                    "",
			`{"private_key":"`:                    "",
			`["api_key_id","made"]`:               "",
		} {
			c, mock := newTestClient(t)
			replyInTurn(mock, reply(201, body+`,`)) // in any case no JSON
			err := call.do(t.Context(), c)
			var unknown *OutcomeUnknownError
			require.ErrorAs(t, err, &unknown, body)
			assert.Equal(t, call.name, unknown.Operation)
			assert.Equal(t, "bot", unknown.KeyName)
			assert.Equal(t, wantID, unknown.KeyID, body)
			assert.True(t, isA[*InvalidResponseError](err))
		}
	})
}

// Each attempt sends all of the request, signed anew: an old timestamp would
// be refused after a long wait.
func TestClient_retrySignsAndSendsAnew(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		synctest.Test(t, func(t *testing.T) {
			key := newEd25519Key(t)
			c, mock := newTestClient(t)
			c.signer = newTestSigner(t, key)
			type sent struct {
				timestamp, signature, body string
				at                         time.Time
				path                       string
			}
			var all []sent
			record := func(next httpmock.Responder) httpmock.Responder {
				return func(req *http.Request) (*http.Response, error) {
					var body bytes.Buffer
					if req.Body != nil {
						_, _ = body.ReadFrom(req.Body)
						_ = req.Body.Close()
					}
					all = append(all, sent{req.Header.Get(headerTimestamp), req.Header.Get(headerSignature), body.String(), time.Now(), req.URL.EscapedPath()})
					return next(req)
				}
			}
			tooMany := record(reply(429, "", "Retry-After", "20"))
			replyInTurn(mock, tooMany, tooMany, record(call.success()))
			require.NoError(t, call.do(t.Context(), c))

			require.Len(t, all, 3)
			for i, got := range all {
				assert.Equal(t, strconv.FormatInt(got.at.UnixMilli(), 10), got.timestamp)
				signature, err := base64.StdEncoding.DecodeString(got.signature)
				require.NoError(t, err)
				assert.True(t, ed25519.Verify(key.Public().(ed25519.PublicKey), []byte(got.timestamp+call.method+got.path), signature))
				assert.Equal(t, all[0].body, got.body)
				assert.Equal(t, time.Duration(i)*20*time.Second, got.at.Sub(all[0].at))
			}
			assert.Equal(t, call.mints(), all[0].body != "")
		})
	})
}

// A delete that finds the key gone has succeeded if an earlier attempt may
// have removed it, and only then.
func TestClient_DeleteAPIKey_goneAfterRetry(t *testing.T) {
	t.Parallel()
	const (
		authError = `{"error":{"code":"authentication_error","message":"authentication_error","details":"%s"}}`
		expired   = `{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`
	)
	var (
		nested     = reply(404, `{"error":{"code":"not_found","message":"not found"}}`)
		flat       = reply(404, `{"code":"not_found","message":"not found"}`)
		msg        = reply(404, `{"msg":"no such key"}`)
		text       = reply(404, `{"error":"no such key"}`)
		html       = reply(404, `<html>not found</html>`)
		plain      = reply(404, `404 page not found`)
		empty      = reply(404, ``)
		emptyJSON  = reply(404, `{}`)
		failed     = reply(503, ``)
		tooMany    = reply(429, ``)
		unknownKey = reply(401, fmt.Sprintf(authError, "NOT_FOUND"))
		badSign    = reply(401, fmt.Sprintf(authError, "INCORRECT_API_KEY_SIGNATURE"))
		lateClock  = func(req *http.Request) (*http.Response, error) {
			return reply(401, expired, "Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))(req)
		}
	)
	type steps []httpmock.Responder
	tests := []struct {
		name  string
		id    string
		steps steps
		want  string
	}{
		{"at once", otherKeyID, steps{nested}, "NotFound"},
		{"after a 5xx, nested", otherKeyID, steps{failed, nested}, "ok"},
		{"after a 5xx, flat", otherKeyID, steps{failed, flat}, "ok"},
		{"after a 5xx, msg", otherKeyID, steps{failed, msg}, "ok"},
		{"after a 5xx, text in JSON", otherKeyID, steps{failed, text}, "ok"},
		{"after a lost answer", otherKeyID, steps{lost, nested}, "ok"},
		{"after a 5xx, HTML of a gateway", otherKeyID, steps{failed, html}, "NotFound"},
		{"after a 5xx, plain text", otherKeyID, steps{failed, plain}, "NotFound"},
		{"after a 5xx, no body", otherKeyID, steps{failed, empty}, "NotFound"},
		{"after a 5xx, no words", otherKeyID, steps{failed, emptyJSON}, "NotFound"},
		{"after a 429", otherKeyID, steps{tooMany, nested}, "NotFound"},
		{"after a refused timestamp", otherKeyID, steps{lateClock, nested}, "NotFound"},
		{"after a 429 and a 5xx", otherKeyID, steps{tooMany, failed, nested}, "ok"},
		{"after a 5xx and a 429", otherKeyID, steps{failed, tooMany, nested}, "ok"},
		{"own key unknown at once", testKeyID, steps{unknownKey}, "Unauthorized"},
		{"own key unknown after a lost answer", testKeyID, steps{lost, unknownKey}, "ok"},
		{"own key unknown after a 5xx", testKeyID, steps{failed, unknownKey}, "ok"},
		{"own key unknown after a 429", testKeyID, steps{tooMany, unknownKey}, "Unauthorized"},
		{"own key, wrong signature after a 5xx", testKeyID, steps{failed, badSign}, "Unauthorized"},
		{"another's key, own unknown after a 5xx", otherKeyID, steps{failed, unknownKey}, "Unauthorized"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, mock := newTestClient(t)
			attempts := replyInTurn(mock, tt.steps...)
			assert.Equal(t, tt.want, kindOf(c.DeleteAPIKey(t.Context(), tt.id)))
			assert.EqualValues(t, len(tt.steps), attempts.Load())
		})
	}
}

// The leniency is for deletes alone: a list or a mint that is not found after
// a retry is an error.
func TestClient_notFoundAfterRetryIsAnError(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		first, want := reply(503, ""), "NotFound"
		switch call.method {
		case http.MethodPost:
			first = reply(429, "")
		case http.MethodDelete:
			want = "ok"
		}
		c, mock := newTestClient(t)
		replyInTurn(mock, first, reply(404, `{"error":{"code":"not_found"}}`))
		assert.Equal(t, want, kindOf(call.do(t.Context(), c)))
	})
}

// A call that a rotation overtakes is refused with the old key, which is gone,
// and goes through with the new one. It was not processed, so mints too, and
// it is not one of the retries that WithMaxRetries counts.
func TestClient_credentialReplacedUnderWay(t *testing.T) {
	t.Parallel()
	forEachCall(t, func(t *testing.T, call apiCall) {
		c, mock := newTestClient(t, WithMaxRetries(0))
		next := newTestSigner(t, newEd25519Key(t)).cred.Load()
		next.keyID = otherKeyID
		var signedBy []string
		step := func(req *http.Request) (*http.Response, error) {
			signedBy = append(signedBy, req.Header.Get(headerKey))
			if len(signedBy) == 1 {
				c.signer.cred.Store(next)
				return reply(401, `{"error":{"details":"NOT_FOUND"}}`)(req)
			}
			return call.success()(req)
		}
		replyInTurn(mock, step)
		require.NoError(t, call.do(t.Context(), c))
		assert.Equal(t, []string{testKeyID, otherKeyID}, signedBy)
	})
}

// What the current credential is refused for is final, also after it was
// replaced; and a call with a credential of its own does not change over.
func TestClient_credentialReplacedToNoAvail(t *testing.T) {
	t.Parallel()
	c, mock := newTestClient(t)
	attempts := replyInTurn(mock, func(req *http.Request) (*http.Response, error) {
		if req.Header.Get(headerKey) == testKeyID {
			other, err := newCredential(otherKeyID, newEd25519Key(t))
			assert.NoError(t, err)
			c.signer.cred.Store(other)
		}
		return reply(401, "{}")(req)
	})
	own := c.signer.cred.Load()
	_, err := c.GetAPIKeys(t.Context())
	assert.Equal(t, "Unauthorized", kindOf(err))
	assert.EqualValues(t, 2, attempts.Load())

	_, err = c.list(t.Context(), own)
	assert.Equal(t, "Unauthorized", kindOf(err))
	assert.EqualValues(t, 3, attempts.Load())
}
