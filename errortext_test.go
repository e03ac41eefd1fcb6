package kalshi

import (
	"context"
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each error that a user can meet, to be read aloud: it says what happened,
// where, and what to do next. What the service says of a refusal stands as it
// was said; a hint is added where that alone is a riddle.
func TestErrors_teach(t *testing.T) {
	t.Parallel()
	const (
		list   = "/trade-api/v2/api_keys"
		mint   = "/trade-api/v2/api_keys/generate"
		one    = "/trade-api/v2/api_keys/" + testKeyID
		newID  = "99999999-2222-4333-8444-555555555555"
		oldKey = "kalshi: rotate key " + testKeyID
	)
	api := func(method, path string, status int, body string) error {
		return statusError(method, path, &http.Response{StatusCode: status, Header: http.Header{}}, []byte(body), time.Now())
	}
	skewed := func(seconds int) error {
		at := time.Now().Truncate(time.Second)
		header := http.Header{"Date": {at.Add(time.Duration(seconds) * time.Second).UTC().Format(http.TimeFormat)}}
		return statusError(http.MethodGet, list, &http.Response{StatusCode: 401, Header: header},
			[]byte(`{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`), at)
	}
	parse := func(text string) error {
		_, err := ParsePrivateKey([]byte(text))
		return err
	}
	option := func(o Option) error {
		_, err := NewClient(newTestSigner(t, newEd25519Key(t)), o)
		return err
	}
	signer := func(id string, key ed25519.PrivateKey) error {
		_, err := NewSigner(id, key)
		return err
	}
	request := func(r GenerateAPIKeyRequest) error { return r.validate() }
	negative, zero := -1, 0
	refused := &callError{http.MethodGet, list, &url.Error{Op: "Get", URL: "https://exchange.test" + list, Err: errors.New("dial tcp 127.0.0.1:1: connect: connection refused")}}
	lost := &OutcomeUnknownError{"GenerateAPIKey", "my bot", "", &callError{http.MethodPost, mint, errors.New("EOF")}}

	dir := t.TempDir()
	taken := filepath.Join(dir, "k.pem")
	require.NoError(t, os.WriteFile(taken, nil, 0o600))

	tests := []struct {
		err  error
		want string // DIR is the test's own folder
	}{
		// The service refuses.
		{api("POST", mint, 400, `{"msg":"Parameter validation failed for name"}`), "kalshi: POST " + mint + ": 400 Bad Request: Parameter validation failed for name"},
		{api("GET", list, 401, `{"error":{"code":"authentication_error","message":"authentication_error","details":"INCORRECT_API_KEY_SIGNATURE"}}`), "kalshi: GET " + list + ": 401 authentication_error: INCORRECT_API_KEY_SIGNATURE (wrong signature: does the private key belong to this key ID?)"},
		{api("GET", list, 401, `{"error":{"code":"authentication_error","message":"authentication_error","details":"NOT_FOUND"}}`), "kalshi: GET " + list + ": 401 authentication_error: NOT_FOUND (unknown key ID: keys are per environment, demo or production)"},
		{skewed(37), "kalshi: GET " + list + ": 401 header_timestamp_expired: header timestamp expired (the local clock is 37 seconds behind)"},
		{skewed(-37), "kalshi: GET " + list + ": 401 header_timestamp_expired: header timestamp expired (the local clock is 37 seconds ahead)"},
		{skewed(0), "kalshi: GET " + list + ": 401 header_timestamp_expired: header timestamp expired (the clocks agree: the request took too long to arrive)"},
		{api("GET", list, 401, "API has been moved to another host"), "kalshi: GET " + list + ": 401 Unauthorized: API has been moved to another host (check the key ID, the private key and the base URL)"},
		{api("POST", mint, 403, `{"error":{"code":"insufficient_scope:_write_required","message":"insufficient scope: write required"}}`), "kalshi: POST " + mint + ": 403 insufficient_scope:_write_required: insufficient scope: write required"},
		{api("DELETE", one, 404, `{"error":{"code":"not_found","message":"not found"}}`), "kalshi: DELETE " + one + ": 404 not_found: not found"},
		{api("GET", list, 429, `{"error":"too many requests"}`), "kalshi: GET " + list + ": 429 Too Many Requests: too many requests"},
		{api("GET", list, 502, "<html>"), "kalshi: GET " + list + ": 502 Bad Gateway"},
		{api("GET", list, 301, ""), "kalshi: GET " + list + ": 301 Moved Permanently (redirects are not followed: check the base URL)"},

		// There is no answer, or none that makes sense.
		{refused, "kalshi: GET " + list + ": dial tcp 127.0.0.1:1: connect: connection refused"},
		{&callError{http.MethodGet, list, context.DeadlineExceeded}, "kalshi: GET " + list + ": context deadline exceeded"},
		{&InvalidResponseError{200, http.MethodGet, list, errMissing("api_keys")}, "kalshi: GET " + list + ": the 200 answer cannot be understood: it lacks api_keys"},
		{lost, `kalshi: GenerateAPIKey: a key named "my bot" may exist now: list the keys, delete it if its private half is lost: POST ` + mint + ": EOF"},

		// A rotation stops.
		{&RotationError{Stage: StageInspect, OldKeyID: testKeyID, Err: refused}, oldKey + ": inspect: the old key still signs: GET " + list + ": dial tcp 127.0.0.1:1: connect: connection refused"},
		{&RotationError{Stage: StageMint, OldKeyID: testKeyID, Candidates: []string{newID}, Err: lost}, oldKey + ": mint: the old key still signs; delete if nobody holds it: " + newID + ": POST " + mint + ": EOF"},
		{&RotationError{Stage: StageVerify, OldKeyID: testKeyID, NewKeyID: newID, Err: errors.New("no")}, oldKey + ": verify: the old key still signs; the new key " + newID + " was deleted again: no"},
		{&RotationError{Stage: StageSave, OldKeyID: testKeyID, NewKeyID: newID, Key: new(GenerateAPIKeyResponse), Err: errors.New("disk full")}, oldKey + ": save: the old key still signs; store the new key " + newID + " from Key, or delete it: disk full"},
		{&RotationError{Stage: StageDelete, OldKeyID: testKeyID, NewKeyID: newID, Err: errors.New("no")}, oldKey + ": delete: the new key " + newID + " signs and is saved; delete the old one: no"},

		// Input is refused.
		{parse(""), "kalshi: private key is empty: give the PEM text, from the BEGIN line to the END line"},
		{parse("key.pem"), "kalshi: private key has no BEGIN PRIVATE KEY line: give the PEM text itself, not a file's name"},
		{parse("-----BEGIN"), "kalshi: private key is cut off or damaged: copy the whole PEM again, from the BEGIN line to the END line"},
		{parse("ssh-ed25519 AAAA"), "kalshi: private key is a public key: give the private half"},
		{signer("", newEd25519Key(t)), "kalshi: key ID is empty: copy it from where the key was made"},
		{signer("a b", newEd25519Key(t)), "kalshi: key ID has blanks, control or non-ASCII characters: copy it again"},
		{signer("id", nil), "kalshi: private key is an Ed25519 key of 0 bytes and not 64: parse or generate it again"},
		{option(nil), "kalshi: option is nil: leave it out"},
		{option(WithBaseURL("")), "kalshi: base URL is empty: give one such as https://demo-api.kalshi.co/trade-api/v2"},
		{option(WithBaseURL("exchange.test")), "kalshi: base URL lacks https:// and a host: give one such as https://demo-api.kalshi.co/trade-api/v2"},
		{option(WithBaseURL("http://exchange.test")), "kalshi: base URL is not https: use it, since private keys cross it; http is for loopback only"},
		{option(WithBaseURL("https://demo-api.kalshi.co")), "kalshi: base URL has no path: add /trade-api/v2"},
		{option(WithHTTPClient(nil)), "kalshi: HTTP client is nil: leave the option out for the default one"},
		{option(WithMaxRetries(-1)), "kalshi: max retries is negative: 0 turns retries off"},
		{option(WithUserAgent("")), "kalshi: user agent is empty or has control or non-ASCII characters: use one such as my-bot/1.0"},
		{request(GenerateAPIKeyRequest{}), "kalshi: Name is empty: name the key after what will use it"},
		{request(GenerateAPIKeyRequest{Name: "x", Scopes: []Scope{}}), "kalshi: Scopes is an empty list: name at least one scope, or leave it nil for full access"},
		{request(GenerateAPIKeyRequest{Name: "x", Subaccount: &negative}), "kalshi: Subaccount is negative: use 0 for the primary account, 1 to 63, or nil for all"},
		{request(GenerateAPIKeyRequest{Name: "x", Subaccount: &zero, FCMSubtraderID: "1_a"}), "kalshi: Subaccount excludes FCMSubtraderID: set only one of them"},
		{checkPublicKeyPEM("-----BEGIN " + privateKeyMark), "kalshi: PublicKey is a private key, which must never be sent: make it with MarshalPublicKey from its public half"},
		{(&RotateAPIKeyRequest{}).validate(), "kalshi: Save is nil: give one that stores the new key, which would be lost with the process"},

		// A key and its file.
		{PrivateKeyPEM{}.WriteFile(taken), "kalshi: private key is missing: the service has not sent one, or it was not kept"},
		{newPrivateKeyPEM("k").WriteFile(""), "kalshi: path is empty: name the file that the private key goes to"},
		{newPrivateKeyPEM("k").WriteFile(taken), "kalshi: create the private key's file: open DIR: file exists: name a new one, none is overwritten"},
		{errRedacted, "kalshi: a private key is not encoded unasked: call Reveal and store its text with care"},
	}
	for _, tt := range tests {
		got := strings.ReplaceAll(tt.err.Error(), taken, "DIR")
		got = strings.Replace(got, "The file exists.", "file exists", 1) // as Windows says it
		assert.Equal(t, tt.want, got)

		assert.LessOrEqual(t, utf8.RuneCountInString(got), 300, got)
		assert.True(t, strings.HasPrefix(got, "kalshi: "), got)
		assert.Equal(t, 1, strings.Count(got, "kalshi: "), got)
		seen := map[string]bool{}
		for part := range strings.SplitSeq(got, ": ") {
			assert.False(t, seen[part], "%q is said twice in %q", part, got)
			seen[part] = true
		}
	}
}
