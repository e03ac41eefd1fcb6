package kalshi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func TestClient_GetAPIKeys_request(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		opts  []GetAPIKeysOption
		query string
	}{
		{"all keys", nil, ""},
		{"of a subtrader", []GetAPIKeysOption{ForSubtrader("user1_desk2")}, "?fcm_subtrader_id=user1_desk2"},
		{"characters that mean something in a URL", []GetAPIKeysOption{ForSubtrader("a b&c=d?e#f/g%h+i;j")}, "?fcm_subtrader_id=a+b%26c%3Dd%3Fe%23f%2Fg%25h%2Bi%3Bj"},
		{"characters beyond ASCII", []GetAPIKeysOption{ForSubtrader("ü\n")}, "?fcm_subtrader_id=%C3%BC%0A"},
		{"the last one counts", []GetAPIKeysOption{ForSubtrader("one"), ForSubtrader("two")}, "?fcm_subtrader_id=two"},
	}
	for _, tt := range tests {
		client, mock := newTestClient(t)
		log := respondWith(mock, respond(200, `{"api_keys":[]}`))
		_, err := client.GetAPIKeys(t.Context(), tt.opts...)
		require.NoError(t, err)
		assert.Equal(t, testBaseURL+"/api_keys"+tt.query, log.only(t).url, tt.name)
		log.only(t).assertSigned(t, publicKey(client)) // without the query
	}
}

// The body is the request as JSON, and the response comes back whole.
func TestClient_createKey(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	log := respondWith(mock, respond(201, `{"api_key_id":"new","key_type":"x448","private_key":"text","warning":"bound"}`))
	scopes, subaccount := []Scope{ScopeRead, "fly::moon"}, pointerTo(0)
	created, err := client.CreateAPIKey(t.Context(), CreateAPIKeyRequest{Name: "a\"\nü🔑", PublicKey: testPublicKey(), Scopes: scopes, Subaccount: subaccount})
	require.NoError(t, err)
	assert.Equal(t, &CreateAPIKeyResponse{ID: "new", Warning: "bound"}, created)
	generated, err := client.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{Name: "bot", KeyType: "x448", FCMSubtraderID: "user1_desk2"})
	require.NoError(t, err)
	assert.Equal(t, []string{"new", "x448", "text", "bound"}, []string{generated.ID, string(generated.KeyType), generated.PrivateKey.Reveal(), generated.Warning})
	assert.Equal(t, fmt.Sprintf(`{"name":"a\"\nü🔑","public_key":%q,"scopes":["read","fly::moon"],"subaccount":0}`, testPublicKey()), string(log.requests[0].body))
	assert.Equal(t, `{"name":"bot","key_type":"x448","fcm_subtrader_id":"user1_desk2"}`, string(log.requests[1].body))
}

// The body of a deletion's response is of no interest.
func TestClient_DeleteAPIKey_ignoresTheBody(t *testing.T) {
	t.Parallel()
	for _, body := range []string{"", "{}", "null", strings.Repeat(" ", 1<<20)} {
		client, mock := newTestClient(t)
		log := respondWith(mock, respond(200, body))
		assert.NoError(t, client.DeleteAPIKey(t.Context(), "id"), "%d bytes", len(body))
		log.assertAttempts(t, 1)
	}
}

// Bad input must not cost a request.
func TestClient_rejectsInput(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	_, err := client.GetAPIKeys(t.Context(), nil)
	assertInvalid(t, err, "kalshi: option is nil")
	_, err = client.GetAPIKeys(t.Context(), ForSubtrader(""))
	assertInvalid(t, err, "kalshi: subtrader ID is empty")
	_, err = client.CreateAPIKey(t.Context(), CreateAPIKeyRequest{Name: "bot"})
	assertInvalid(t, err, "kalshi: PublicKey is empty")
	_, err = client.GenerateAPIKey(t.Context(), GenerateAPIKeyRequest{})
	assertInvalid(t, err, "kalshi: Name is empty")
	key, err := MarshalPrivateKey(newEd25519Key(t))
	require.NoError(t, err)
	inOneLine := strings.ReplaceAll(key.Reveal(), "\n", `\n`)
	assertInvalid(t, client.DeleteAPIKey(t.Context(), inOneLine), "kalshi: API key ID is a private key")
	const dots, control = "is a dot segment", "has control characters"
	for id, want := range map[string]string{"": "is empty", ".": dots, "..": dots, "id\n": control, "i\u0085d": control, "\xff": control} {
		assertInvalid(t, client.DeleteAPIKey(t.Context(), id), "kalshi: API key ID "+want)
	}
	assert.Zero(t, mock.GetTotalCallCount())
}

var botRequest = GenerateAPIKeyRequest{Name: "bot", KeyType: KeyTypeEd25519, Scopes: []Scope{ScopeRead}}

func TestClient_GenerateAPIKeyToFile(t *testing.T) {
	t.Parallel()
	for _, keyType := range []KeyType{KeyTypeEd25519, KeyTypeRSA} {
		t.Run(string(keyType), func(t *testing.T) {
			t.Parallel()
			client, exchange := newExchange(t)
			path := filepath.Join(t.TempDir(), "bot.pem")
			req := botRequest
			req.KeyType = keyType
			got, err := client.GenerateAPIKeyToFile(t.Context(), req, path)
			require.NoError(t, err)
			require.Len(t, exchange.Keys(), 3)
			assert.Equal(t, exchange.Keys()[2].ID, got.ID)
			assert.Equal(t, keyType, got.KeyType)

			text, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.True(t, "KALSHI_API_KEY_ID="+got.ID+"\n"+got.PrivateKey.Reveal() == string(text), "the file is a key file")
			if runtime.GOOS != "windows" {
				info, err := os.Lstat(path)
				require.NoError(t, err)
				assert.Equal(t, fs.FileMode(0o600), info.Mode())
			}
			key, err := LoadPrivateKey(path)
			require.NoError(t, err)
			client.signer, err = NewSigner(got.ID, key)
			require.NoError(t, err)
			requireWorks(t, client)
		})
	}
}

// No key is created when its private half cannot be kept, and nothing is
// overwritten, as by WriteFile.
func TestClient_GenerateAPIKeyToFile_fileFirst(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		path string
		want error
	}{
		{"existing file", "file", fs.ErrExist},
		{"existing folder", "folder", fs.ErrExist},
		{"symbolic link to a file", "link", fs.ErrExist},
		{"symbolic link to nothing", "dangling", fs.ErrExist},
		{"missing folder", filepath.Join("missing", "key"), fs.ErrNotExist},
		{"below a file", filepath.Join("file", "key"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("precious"), 0o600))
			require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
			symlink(t, "file", filepath.Join(dir, "link"))
			symlink(t, "target", filepath.Join(dir, "dangling"))
			before := tree(t, dir)
			client, mock := newTestClient(t)
			path := filepath.Join(dir, tt.path)
			got, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
			assert.Nil(t, got)
			for _, err := range []error{err, newPrivateKeyPEM("new text").WriteFile(path)} {
				require.ErrorContains(t, err, tt.path)
				assert.True(t, strings.HasPrefix(err.Error(), "kalshi: "), err)
				assert.ErrorAs(t, err, new(*fs.PathError))
				if tt.want != nil {
					assert.ErrorIs(t, err, tt.want)
				}
			}
			assert.Zero(t, mock.GetTotalCallCount())
			assert.Equal(t, before, tree(t, dir), "what was there stays as it was")
		})
	}
}

func TestClient_GenerateAPIKeyToFile_rejectsInput(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	client, mock := newTestClient(t)
	for _, tt := range []struct {
		path, want string
		ctx        context.Context
		req        GenerateAPIKeyRequest
	}{
		{"", "path is empty", t.Context(), botRequest},
		{path, "Name is empty", t.Context(), GenerateAPIKeyRequest{}},
		{path, "context is nil", nil, botRequest},
	} {
		_, err := client.GenerateAPIKeyToFile(tt.ctx, tt.req, tt.path)
		assertInvalid(t, err, "kalshi: "+tt.want)
		assert.NoFileExists(t, path)
	}
	assert.Zero(t, mock.GetTotalCallCount())
}

// Without a key there is no file either.
func TestClient_GenerateAPIKeyToFile_noKey(t *testing.T) {
	t.Parallel()
	tests := []struct {
		fault kalshitest.Fault
		kind  string
		keys  int
	}{
		{kalshitest.Fault{Status: 403}, "Forbidden", 2},
		{kalshitest.Fault{Drop: true, Process: true}, "Unknown", 3},
		{kalshitest.Fault{Status: 201, Body: `{"api_key_id":"new"}`, Process: true}, "Unknown", 3},
	}
	for _, tt := range tests {
		client, exchange := newExchange(t)
		exchange.Inject(tt.fault)
		path := filepath.Join(t.TempDir(), "key")
		got, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
		assert.Nil(t, got)
		assert.Equal(t, tt.kind, kindOf(err))
		assert.NotContains(t, err.Error(), "stays", "the file does not")
		assert.Len(t, exchange.Keys(), tt.keys)
		assert.NoFileExists(t, path)
	}
}

// A private key that was masked on the way is lost. The key exists, so the
// response comes back, and nothing is saved or deleted.
func TestClient_GenerateAPIKeyToFile_maskedKey(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	log := respondWith(mock, respond(201, `{"api_key_id":"new","private_key":"***"}`))
	path := filepath.Join(t.TempDir(), "key")
	got, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
	assert.Equal(t, "Validation", kindOf(err))
	assert.ErrorContains(t, err, "the new key new exists")
	require.NotNil(t, got)
	assert.Equal(t, []string{"new", "***"}, []string{got.ID, got.PrivateKey.Reveal()})
	assert.NoFileExists(t, path)
	log.assertAttempts(t, 1)
}

// A file cannot name an ID with a line end: it would be read as another ID.
func TestClient_GenerateAPIKeyToFile_noID(t *testing.T) {
	t.Parallel()
	key, err := MarshalPrivateKey(newEd25519Key(t))
	require.NoError(t, err)
	body, err := json.Marshal(map[string]string{"api_key_id": "new\nline", "private_key": key.Reveal()})
	require.NoError(t, err)
	client, mock := newTestClient(t)
	log := respondWith(mock, respond(201, string(body)))
	path := filepath.Join(t.TempDir(), "key")
	got, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
	assert.Equal(t, "Validation", kindOf(err))
	require.NotNil(t, got)
	assert.Equal(t, "new\nline", got.ID)
	assert.NoFileExists(t, path)
	log.assertAttempts(t, 1)
}

// A response to a create that has the ID of the key that signs does not name a
// new key: who deletes what it names would lock the account out.
func TestClient_createKey_ownID(t *testing.T) {
	t.Parallel()
	for _, status := range []int{201, 500} {
		for _, body := range []string{
			`{"api_key_id":"` + testKeyID + `","private_key":"text"}`,
			`{"api_key_id":"` + testKeyID + `"}`,
			`{"api_key_id":"` + testKeyID + `","private_key":"te`, // cut off
		} {
			client, mock := newTestClient(t)
			log := respondWith(mock, respond(status, body))
			check := func(err error) {
				t.Helper()
				var unknown *OutcomeUnknownError
				require.ErrorAs(t, err, &unknown)
				assert.Empty(t, unknown.KeyID)
				assert.NotContains(t, err.Error(), ", ID ")
			}
			created, err := client.CreateAPIKey(t.Context(), CreateAPIKeyRequest{Name: "bot", PublicKey: testPublicKey()})
			assert.Nil(t, created)
			check(err)
			generated, err := client.GenerateAPIKey(t.Context(), botRequest)
			assert.Nil(t, generated)
			check(err)
			path := filepath.Join(t.TempDir(), "key")
			generated, err = client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
			assert.Nil(t, generated)
			check(err)
			assert.NoFileExists(t, path)
			log.assertAttempts(t, 3, "nothing is deleted")
		}
	}
}

// A file that somebody put in the place of ours is not ours to remove, and the
// key that it was for is deleted.
func TestClient_GenerateAPIKeyToFile_fileReplaced(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file keeps its name there")
	}
	for _, succeeds := range []bool{false, true} {
		client, exchange := newExchange(t)
		path := filepath.Join(t.TempDir(), "key")
		var replaced error
		intercept(client, func(req *http.Request, send roundTripper) (*http.Response, error) {
			if req.Method == http.MethodPost {
				replaced = errors.Join(os.WriteFile(path+".other", []byte("precious"), 0o600), os.Rename(path+".other", path))
				if !succeeds {
					return respond(403, "")(req)
				}
			}
			return send(req)
		})
		before := exchange.Keys()
		key, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
		require.NoError(t, replaced)
		assert.Nil(t, key)
		if succeeds {
			assert.ErrorContains(t, err, "was deleted again")
		} else {
			assert.ErrorAs(t, err, new(*ForbiddenError))
		}
		assert.Equal(t, before, exchange.Keys())
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, "precious", string(text))
	}
}

// Once the key is created, it is kept.
func TestClient_GenerateAPIKeyToFile_cancelledOnceCreated(t *testing.T) {
	t.Parallel()
	client, _ := newExchange(t)
	ctx, cancel := context.WithCancel(t.Context())
	intercept(client, func(req *http.Request, send roundTripper) (*http.Response, error) { return onceRead(cancel)(send(req)) })
	path := filepath.Join(t.TempDir(), "key")
	got, err := client.GenerateAPIKeyToFile(ctx, botRequest, path)
	require.Error(t, ctx.Err())
	require.NoError(t, err)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(string(text), got.PrivateKey.Reveal()), "the file holds the private key")
}

func TestClient_CurrentAPIKey(t *testing.T) {
	t.Parallel()
	const other = `{"api_key_id":"other","name":"bot","scopes":["read"]}`
	client, mock := newTestClient(t)
	log := respondWith(mock, respond(200, `{"api_keys":[`+other+`,{"api_key_id":"`+testKeyID+`","name":"bot","scopes":["read","read::tomorrow"],"subaccount":0}]}`),
		respond(200, `{"api_keys":[`+other+`]}`), respond(403, ""))
	got, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, &APIKey{ID: testKeyID, Name: "bot", Scopes: []Scope{ScopeRead, "read::tomorrow"}, Subaccount: pointerTo(0)}, got)

	_, err = client.CurrentAPIKey(t.Context())
	assert.EqualError(t, err, "kalshi: CurrentAPIKey: the list does not hold "+testKeyID+", the key that signed: it may have been deleted just now")
	_, err = client.CurrentAPIKey(t.Context())
	assert.Equal(t, "Forbidden", kindOf(err))
	log.assertAttempts(t, 3)
	_, err = new(Client).CurrentAPIKey(t.Context())
	assertInvalid(t, err, "kalshi: client")
}

// The list that the new key signs does not hold the old one any more.
func TestClient_CurrentAPIKey_rotatedMeanwhile(t *testing.T) {
	t.Parallel()
	client, exchange := newExchange(t)
	rotated := false
	intercept(client, func(req *http.Request, send roundTripper) (*http.Response, error) {
		if !rotated {
			rotated = true
			_, err := client.RotateAPIKey(context.Background(), RotateAPIKeyRequest{Save: noSave})
			assert.NoError(t, err)
		}
		return send(req)
	})
	got, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, exchange.Keys()[1].ID, got.ID)
}

// tree is what a folder holds: names, kinds and the texts of files.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var all strings.Builder
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		all.WriteString(path + " " + entry.Type().String())
		if err == nil && entry.Type().IsRegular() {
			var text []byte
			text, err = os.ReadFile(path)
			all.WriteString(" " + string(text))
		}
		all.WriteString("\n")
		return err
	}))
	return all.String()
}

// The key that signed the list is the current one, also when another, which
// still exists, was refused first.
func TestClient_CurrentAPIKey_replacedUnderWay(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	respondWith(mock, func(req *http.Request) (*http.Response, error) {
		assert.NoError(t, client.signer.Replace(otherKeyID, newEd25519Key(t)))
		return respond(401, "")(req)
	}, respond(200, `{"api_keys":[{"api_key_id":"`+testKeyID+`","name":"old"},{"api_key_id":"`+otherKeyID+`","name":"new"}]}`))
	got, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "new", got.Name)
}
