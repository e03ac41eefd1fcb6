package kalshi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// requireKeyFile fails unless the file at path loads as those credentials.
func requireKeyFile(t testing.TB, path string, want Credentials) {
	t.Helper()
	got, err := KeyFile(path).Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want.KeyID(), got.KeyID())
	assertSameKey(t, want.PrivateKey(), got.PrivateKey())
}

// The file's size is limited, wherever in it the key is.
func TestLoadPrivateKey_limit(t *testing.T) {
	t.Parallel()
	const mebibyte = 1 << 20
	text := goodKeyTexts(t)[2].text
	path := writeFile(t, "large.pem", strings.Repeat("\n", mebibyte-len(text))+text)
	_, err := LoadPrivateKey(path)
	require.NoError(t, err, "at the limit")
	_, err = KeyFile(path).Load(t.Context())
	assertInvalid(t, err, "kalshi: key file "+path+" does not name the key's ID: add the line KALSHI_API_KEY_ID=<id> above")
	path = writeFile(t, "large.pem", text+strings.Repeat("\n", mebibyte))
	_, err = LoadPrivateKey(path)
	assertInvalid(t, err, "kalshi: private key file "+path+" is over 1 MiB")
	_, err = KeyFile(path).Load(t.Context())
	assertInvalid(t, err, "kalshi: key file "+path+" is over 1 MiB")
}

// The key instead of the name of its file: the operating system's error would quote it.
func TestLoadPrivateKey_keyText(t *testing.T) {
	t.Parallel()
	for _, kt := range goodKeyTexts(t) {
		bare := base64.StdEncoding.EncodeToString(pkcs8(t, kt.key))
		texts := []string{bare, bare[:len(bare)-7], bare[:40] + `\n` + bare[40:], bare + "\n-----END"}
		for _, m := range mangles {
			texts = append(texts, m.mangle(kt.text))
		}
		for _, text := range texts {
			_, err := LoadPrivateKey(text)
			assertInvalid(t, err, "is the text of a key")
			assertNoEcho(t, text, err)
		}
	}
	for _, name := range []string{"MII", "MII.pem", strings.Repeat("MII/", 40) + "key.pem"} { // names that begin like a key
		_, err := LoadPrivateKey(filepath.FromSlash(name))
		assert.ErrorIs(t, err, fs.ErrNotExist, name)
	}
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bot.key")
	for i, kt := range goodKeyTexts(t) { // the first makes the file, the others replace it
		c := credentials(t, fmt.Sprintf("id-%d", i), kt.key)
		require.NoError(t, KeyFile(path).Check(t.Context()))
		require.NoError(t, KeyFile(path).Save(t.Context(), c), kt.name)
		requireKeyFile(t, path, c)
		assertMode0600(t, path)
		assert.Equal(t, []string{"bot.key"}, names(t, filepath.Dir(path)))
		got, err := LoadPrivateKey(path)
		require.NoError(t, err, kt.name)
		assertSameKey(t, kt.key, got)
	}
}

// A bare name is a file in this folder. An ended context does not stop the saving.
func TestKeyFile_Save_bareName(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, "none")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := credentials(t, testKeyID, newEd25519Key(t))
	require.NoError(t, KeyFile("bot.key").Check(ctx))
	require.NoError(t, KeyFile("bot.key").Save(ctx, c))
	requireKeyFile(t, "bot.key", c)
}

// Nothing is touched for credentials that have no text.
func TestKeyFile_Save_refuses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bot.key")
	good := credentials(t, "id", newEd25519Key(t))
	require.NoError(t, KeyFile(path).Save(t.Context(), good))
	for _, bad := range []Credentials{{}, credentials(t, "id", &remoteKey{key: newEd25519Key(t)})} {
		assertInvalid(t, KeyFile(path).Save(t.Context(), bad))
		requireKeyFile(t, path, good)
		assert.Equal(t, []string{"bot.key"}, names(t, filepath.Dir(path)))
	}
}

// Load, Save, Check and GenerateAPIKeyToFile say what is wrong with a path.
func TestKeyFile_badPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	good := credentials(t, "id", newEd25519Key(t))
	require.NoError(t, KeyFile(file).Save(t.Context(), good))
	client, mock := newTestClient(t)
	text := goodKeyTexts(t)[2].text
	for path, want := range map[string]string{
		"":                                "is empty",
		text:                              "is the text of a key",
		dir:                               "", // the system's own error
		filepath.Join(dir, "none", "key"): ": correct the path, or make its folder first",
		filepath.Join(file, "key"):        "",
		"~/none/key":                      ": only a shell expands ~: write the full path",
	} {
		f := KeyFile(path)
		_, err := f.Load(t.Context())
		errs := []error{err, f.Save(t.Context(), good), f.Check(t.Context())}
		if path != dir { // which exists
			_, err = client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
			errs = append(errs, err)
		}
		for _, err := range errs {
			require.ErrorContains(t, err, "kalshi: ")
			assert.ErrorContains(t, err, want)
			assert.True(t, isA[*ValidationError](err) || isA[*fs.PathError](err), "%T", err)
			assertNoEcho(t, text, err)
		}
	}
	assert.Zero(t, mock.GetTotalCallCount(), "no key is made that cannot be saved")
	assert.Equal(t, []string{"file"}, names(t, dir))
}

// What exists, a link or a folder too, is never overwritten.
func TestClient_GenerateAPIKeyToFile_exists(t *testing.T) {
	t.Parallel()
	client, mock := newTestClient(t)
	path := writeFile(t, "file", "precious")
	dir := filepath.Dir(path)
	_ = os.Symlink("file", filepath.Join(dir, "link")) // not every user of Windows may make links
	_ = os.Symlink("none", filepath.Join(dir, "dangling"))
	before := names(t, dir)
	for _, name := range append(before, ".") {
		got, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, filepath.Join(dir, name))
		assert.Nil(t, got)
		require.ErrorIs(t, err, fs.ErrExist)
		assert.ErrorContains(t, err, ": name a new file; existing ones are never overwritten")
	}
	assert.Equal(t, before, names(t, dir))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(text))
	assert.Zero(t, mock.GetTotalCallCount())
}

// A key that a key file cannot keep: its private half was masked on the way, or its ID has a line
// end. The key exists, so the response comes back in the error, and nothing is saved or deleted.
func TestClient_GenerateAPIKeyToFile_unusable(t *testing.T) {
	t.Parallel()
	good := generatedKey(t).PrivateKey.Reveal()
	for id, text := range map[string]string{"new": "***", "new\nline": good} {
		client, mock := newTestClient(t)
		log := respondWith(mock, respond(201, fmt.Sprintf(`{"api_key_id":%q,"private_key":%q}`, id, text)))
		path := filepath.Join(t.TempDir(), "key")
		got, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
		assert.Nil(t, got)
		assert.True(t, text == assertNotSaved(t, err, id).PrivateKey.Reveal(), "the private key's text, which is not printed here")
		assert.True(t, isA[*ValidationError](err))
		assert.NoFileExists(t, path)
		log.assertAttempts(t, 1)
	}
}

// assertNotSaved asserts that the error holds the key that was made.
func assertNotSaved(t *testing.T, err error, id string) *GenerateAPIKeyResponse {
	t.Helper()
	notSaved, ok := errors.AsType[*NotSavedError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, id, notSaved.Response.ID)
	assertNoEcho(t, notSaved.Response.PrivateKey.Reveal(), fmt.Errorf("%w %s", err, fmt.Sprintf("%+v", notSaved)))
	assert.NotContains(t, err.Error(), "\n")
	return notSaved.Response
}

// The folder disappears while the key is made: it is deleted again, or handed back if that fails.
func TestClient_GenerateAPIKeyToFile_cannotSave(t *testing.T) {
	for _, faults := range [][]kalshitest.Fault{
		nil,
		{{Method: http.MethodDelete, Status: 403, Body: forbiddenBody}},
		{{Method: http.MethodDelete, Status: 503}, {Method: http.MethodDelete, Status: 404, Body: notFoundBody}}, // not known everywhere yet
	} {
		synctest.Test(t, func(t *testing.T) {
			client, exchange := newExchange(t)
			exchange.Inject(faults...)
			path := filepath.Join(t.TempDir(), "folder", "key")
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
			ctx, cancel := context.WithCancel(t.Context())
			intercept(client, func(req *http.Request, send roundTripper) (*http.Response, error) {
				if req.Method == http.MethodPost {
					defer cancel() // the context stops neither the saving nor the deleting
					assert.NoError(t, os.RemoveAll(filepath.Dir(path)))
				}
				return send(req)
			})
			before := exchange.Keys()
			key, err := client.GenerateAPIKeyToFile(ctx, botRequest, path)
			assert.Nil(t, key)
			assert.ErrorIs(t, err, fs.ErrNotExist)
			if faults == nil {
				assert.ErrorContains(t, err, "was deleted again: save the key file: ")
				assert.Equal(t, before, exchange.Keys())
				return
			}
			require.Len(t, exchange.Keys(), len(before)+1)
			client.signer, err = assertNotSaved(t, err, exchange.Keys()[len(before)].ID).Signer()
			require.NoError(t, err)
			requireWorks(t, client)
		})
	}
}
