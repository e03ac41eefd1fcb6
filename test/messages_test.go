package test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

var uuid = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)

// Each error that a user can meet, to be read aloud: it says what happened,
// where, and what to do next. What the service says of a refusal stands as it
// was said; a hint is added where that alone is a riddle. What an Example shows
// is not repeated here.
func TestMessages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		const (
			list     = "/trade-api/v2/api_keys"
			generate = "/trade-api/v2/api_keys/generate"
			rotating = "kalshi: rotate key OLD"
		)
		type fault = kalshitest.Fault
		check := func(err error, oldKeyID, want string) {
			t.Helper()
			if !assert.Error(t, err, want) {
				return
			}
			got := err.Error()
			assert.LessOrEqual(t, utf8.RuneCountInString(got), 300, got)
			assert.True(t, strings.HasPrefix(got, "kalshi: "), got)
			assert.Equal(t, 1, strings.Count(got, "kalshi: "), got)
			seen := map[string]bool{}
			for part := range strings.SplitSeq(got, ": ") {
				assert.False(t, seen[part], "%q is said twice in %q", part, got)
				seen[part] = true
			}
			got = uuid.ReplaceAllStringFunc(got, func(id string) string {
				if id == oldKeyID {
					return "OLD"
				}
				return "NEW"
			})
			assert.Equal(t, want, got)
		}

		// The service refuses, fails, or is not to be reached.
		const expired = `{"error":{"code":"header_timestamp_expired","message":"header timestamp expired"}}`
		date := time.Now().Add(37 * time.Second).UTC().Format(http.TimeFormat)
		const badKey = `{"error":{"code":"authentication_error","message":"authentication_error","details":"INCORRECT_API_KEY_SIGNATURE"}}`
		listing, creating, generating := calls("my bot")[0], calls("my bot")[1], calls("my bot")[2]
		for _, tt := range []struct {
			call  call
			fault fault
			want  string
		}{
			{generating, fault{Status: 400, Body: `{"msg":"Parameter validation failed for name"}`}, "kalshi: POST " + generate + ": 400 Bad Request: Parameter validation failed for name"},
			{listing, fault{Status: 401, Body: badKey}, "kalshi: GET " + list + ": 401 authentication_error: INCORRECT_API_KEY_SIGNATURE (wrong signature: does the private key belong to this key ID?)"},
			{listing, fault{Status: 401, Body: expired, Times: always, Header: http.Header{"Date": {date}}}, "kalshi: GET " + list + ": 401 header_timestamp_expired: header timestamp expired (the local clock is 37 seconds behind)"},
			{listing, fault{Status: 401, Body: "API has been moved to another host"}, "kalshi: GET " + list + ": 401 Unauthorized: API has been moved to another host (check the key ID, the private key and the base URL)"},
			{generating, fault{Status: 403, Body: `{"error":{"code":"insufficient_scope:_write_required","message":"insufficient scope: write required"}}`}, "kalshi: POST " + generate + ": 403 insufficient_scope:_write_required: insufficient scope: write required"},
			{listing, fault{Status: 429, Body: kalshitest.TooManyRequestsBody}, "kalshi: GET " + list + ": 429 Too Many Requests: too many requests"},
			{listing, fault{Status: 502, Body: "<html>"}, "kalshi: GET " + list + ": 502 Bad Gateway"},
			{listing, fault{Status: 301}, "kalshi: GET " + list + ": 301 Moved Permanently (redirects are not followed: check the base URL)"},
			{listing, fault{Body: "{}"}, "kalshi: GET " + list + ": the 200 response cannot be understood: it lacks api_keys"},
			{listing, fault{Delay: time.Hour}, "kalshi: GET " + list + ": context deadline exceeded"},
			{generating, fault{Drop: true}, `kalshi: GenerateAPIKey: a key named "my bot" may exist now: list the keys, delete it if its private half is lost: POST ` + generate + ": the connection was closed before a response arrived: EOF"},
			{creating, fault{Status: 500, Body: `{"api_key_id":"new"}`}, `kalshi: CreateAPIKey: a key named "my bot", ID new may exist now: list the keys, delete it if its private half is lost: POST ` + list + ": 500 Internal Server Error"},
		} {
			x := inMemory(t)
			x.Inject(tt.fault)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			check(tt.call.do(ctx, x.client(t, kalshi.WithMaxRetries(0))), x.KeyID, tt.want)
			cancel()
		}
		x := inMemory(t)
		x.transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("connection refused") }
		_, err := x.client(t, kalshi.WithMaxRetries(0)).GetAPIKeys(t.Context())
		check(err, "", "kalshi: GET "+list+": connection refused")

		// A rotation stops.
		fullDisk := func(context.Context, *kalshi.GenerateAPIKeyResponse) error { return errors.New("disk full") }
		for _, tt := range []struct {
			save   func(context.Context, *kalshi.GenerateAPIKeyResponse) error
			faults []fault
			want   string
		}{
			{noSave, []fault{{Drop: true}}, ": inspect: the old key still signs: GET " + list + ": the connection was closed before a response arrived: EOF"},
			{noSave, []fault{{Method: http.MethodPost, Drop: true, Process: true}}, ": mint: the old key still signs; delete if nobody holds it: NEW: POST " + generate + ": the connection was closed before a response arrived: EOF"},
			{noSave, []fault{{}, {}, {Method: http.MethodGet, Status: 403, Times: always}}, ": verify: the old key still signs; the new key NEW was deleted again: GET " + list + ": 403 Forbidden"},
			{fullDisk, nil, ": save: the old key still signs; store the new key NEW from Key, or delete it: disk full"},
			{noSave, []fault{{Method: http.MethodDelete, Status: 403}}, ": delete: the new key NEW signs and is saved; delete the old one: DELETE " + list + "/OLD: 403 Forbidden"},
		} {
			x := inMemory(t)
			x.Inject(tt.faults...)
			_, err := x.client(t, kalshi.WithMaxRetries(0)).RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Save: tt.save, KeyType: kalshi.KeyTypeEd25519})
			check(err, x.KeyID, rotating+tt.want)
		}

		// Input is refused.
		client := inMemory(t).client(t)
		parse := func(text string) error {
			_, err := kalshi.ParsePrivateKey([]byte(text))
			return err
		}
		option := func(o kalshi.Option) error {
			_, err := kalshi.NewClient(client.Signer(), o)
			return err
		}
		signer := func(id string) error {
			_, err := kalshi.NewSigner(id, newKey())
			return err
		}
		request := func(r kalshi.GenerateAPIKeyRequest) error {
			_, err := client.GenerateAPIKey(t.Context(), r)
			return err
		}
		_, noKey := kalshi.NewSigner("id", newKey()[:0])
		_, privateKey := client.CreateAPIKey(t.Context(), kalshi.CreateAPIKeyRequest{Name: "x", PublicKey: pemText(newKey())})
		_, noSaver := client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{})
		_, encoded := pemOf("k").MarshalText()
		negative, zero := -1, 0
		for _, tt := range []struct {
			err  error
			want string
		}{
			{parse(""), "kalshi: private key is empty: use the PEM text, from the BEGIN line to the END line"},
			{parse("-----BEGIN"), "kalshi: private key is cut off or damaged: copy the whole PEM again, from the BEGIN line to the END line"},
			{parse("ssh-ed25519 AAAA"), "kalshi: private key is a public key: use the private key"},
			{signer(""), "kalshi: key ID is empty: copy it from where the key was made"},
			{signer("a b"), "kalshi: key ID has blanks, control or non-ASCII characters: copy it again"},
			{noKey, "kalshi: private key is an Ed25519 key of 0 bytes and not 64: parse or generate it again"},
			{option(nil), "kalshi: option is nil: leave it out"},
			{option(kalshi.WithBaseURL("")), "kalshi: base URL is empty: give one such as https://demo-api.kalshi.co/trade-api/v2"},
			{option(kalshi.WithBaseURL("exchange.test")), "kalshi: base URL lacks https:// and a host: give one such as https://demo-api.kalshi.co/trade-api/v2"},
			{option(kalshi.WithBaseURL("https://demo-api.kalshi.co")), "kalshi: base URL has no path: add /trade-api/v2"},
			{option(kalshi.WithHTTPClient(nil)), "kalshi: HTTP client is nil: leave the option out for the default one"},
			{option(kalshi.WithMaxRetries(-1)), "kalshi: max retries is negative: 0 turns retries off"},
			{option(kalshi.WithUserAgent("")), "kalshi: user agent is empty or has control or non-ASCII characters: use one such as my-bot/1.0"},
			{request(kalshi.GenerateAPIKeyRequest{}), "kalshi: Name is empty: name the key after its user, such as \"bot\""},
			{request(kalshi.GenerateAPIKeyRequest{Name: "x", Scopes: []kalshi.Scope{}}), "kalshi: Scopes is an empty list: name at least one scope, or use nil for full access"},
			{request(kalshi.GenerateAPIKeyRequest{Name: "x", Subaccount: &negative}), "kalshi: Subaccount is negative: use 0 to 63 (0 is the primary account), or nil for no restriction"},
			{request(kalshi.GenerateAPIKeyRequest{Name: "x", Subaccount: &zero, FCMSubtraderID: "1_a"}), "kalshi: Subaccount excludes FCMSubtraderID: set only one of them"},
			{privateKey, "kalshi: PublicKey is a private key, which must never be sent: make it with MarshalPublicKey from its public half"},
			{noSaver, "kalshi: Save is nil: give one that stores the new key, such as KeyFile(path).Save; it would be lost with the process"},
			{kalshi.PrivateKeyPEM{}.WriteFile("x"), "kalshi: private key is missing: only the response that created the key has it"},
			{pemOf("k").WriteFile(""), "kalshi: path is empty: name the file for the private key"},
			{encoded, "kalshi: refusing to encode a private key: call Reveal and store the text safely"},
		} {
			check(tt.err, "", tt.want)
		}
	})
}

func TestMessages_fileExists(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.pem")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	err := pemOf("k").WriteFile(path)
	require.ErrorIs(t, err, os.ErrExist)
	assert.Regexp(t, `^kalshi: create the private key's file: open \S+: .+: name a new file; existing ones are never overwritten$`, err.Error())
}
