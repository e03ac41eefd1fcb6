package kalshi

import (
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewFile_save_removesItsFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	file, err := createFile(path)
	require.NoError(t, err)
	require.NoError(t, file.Close()) // so that writing fails
	err = file.save("the key's own text")
	require.ErrorIs(t, err, fs.ErrClosed)
	assert.Contains(t, err.Error(), "kalshi: write the private key: ")
	assert.NotContains(t, err.Error(), "own text")
	assert.Empty(t, names(t, filepath.Dir(path)))
}

// Another program replaces the file before the write fails.
func TestNewFile_leavesOtherFilesAlone(t *testing.T) {
	t.Parallel()
	end := map[string]func(*testing.T, *newFile){
		"save":    func(t *testing.T, f *newFile) { assert.Error(t, f.save("text")) },
		"discard": func(t *testing.T, f *newFile) { assert.NoError(t, f.discard()) },
	}
	for name, end := range end {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "key.pem")
			file, err := createFile(path)
			require.NoError(t, err)
			require.NoError(t, file.Close())
			// Moved and not removed: a new file might get the old one's number.
			require.NoError(t, os.Rename(path, filepath.Join(dir, "moved")))
			require.NoError(t, os.WriteFile(path, []byte("another's"), 0o600))

			end(t, file)
			assert.Equal(t, []string{"key.pem", "moved"}, names(t, dir))
			got, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.Equal(t, "another's", string(got))
		})
	}
}

func TestNewFile_discard(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	file, err := createFile(path)
	require.NoError(t, err)
	assertMode0600(t, path)
	require.NoError(t, file.discard())
	assert.Empty(t, names(t, filepath.Dir(path)))
	assert.NoError(t, file.discard(), "a second time")
}

func TestLoadPrivateKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, kt := range goodKeyTexts(t) {
		path := filepath.Join(dir, string(rune('a'+i)))
		require.NoError(t, os.WriteFile(path, []byte(kt.text), 0o600))
		got, err := LoadPrivateKey(path)
		require.NoError(t, err, kt.name)
		assertSameKey(t, kt.key, got)
	}
}

func TestLoadPrivateKey_refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()

	t.Run("a missing file", func(t *testing.T) {
		_, err := LoadPrivateKey(filepath.Join(dir, "none.pem"))
		require.ErrorIs(t, err, fs.ErrNotExist)
		assert.Contains(t, err.Error(), "none.pem")
		assert.True(t, strings.HasPrefix(err.Error(), "kalshi: "), err)
	})
	t.Run("a file whose name begins like a key", func(t *testing.T) {
		for _, name := range []string{"MII", "MII.pem", strings.Repeat("MII/", 40) + "key.pem"} {
			_, err := LoadPrivateKey(filepath.FromSlash(name))
			assert.ErrorIs(t, err, fs.ErrNotExist, name)
		}
	})
	t.Run("a home directory that no shell expanded", func(t *testing.T) {
		_, err := LoadPrivateKey("~/key.pem")
		require.ErrorIs(t, err, fs.ErrNotExist)
		assert.ErrorContains(t, err, "only a shell expands ~: write $HOME/key.pem in a shell, or the full path")
		assert.ErrorContains(t, newPrivateKeyPEM("text").WriteFile("~/none/key.pem"), "$HOME/none/key.pem")
	})
	t.Run("a folder", func(t *testing.T) {
		_, err := LoadPrivateKey(dir)
		var pathErr *fs.PathError
		assert.ErrorAs(t, err, &pathErr)
	})
	t.Run("a file without a key", func(t *testing.T) {
		path := filepath.Join(dir, "empty.pem")
		require.NoError(t, os.WriteFile(path, nil, 0o600))
		_, err := LoadPrivateKey(path)
		assertInvalid(t, err, "empty.pem", "is empty")
	})
	t.Run("a key at the limit", func(t *testing.T) {
		path := filepath.Join(dir, "large.pem")
		text := goodKeyTexts(t)[2].text
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("\n", maxKeyFileSize-len(text))+text), 0o600))
		_, err := LoadPrivateKey(path)
		assert.NoError(t, err)
	})
	t.Run("a key before the limit, in a larger file", func(t *testing.T) {
		path := filepath.Join(dir, "huge.pem")
		text := goodKeyTexts(t)[2].text + strings.Repeat("\n", maxKeyFileSize)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := LoadPrivateKey(path)
		assertInvalid(t, err, "huge.pem", "over 1 MiB")
	})
	// A likely mistake: the key instead of the name of its file. The operating
	// system's error would quote it.
	t.Run("the text of a key", func(t *testing.T) {
		for _, kt := range goodKeyTexts(t) {
			for _, m := range mangles {
				text := m.mangle(kt.text)
				_, err := LoadPrivateKey(text)
				require.Error(t, err)
				assertNoEcho(t, text, err)
			}
		}
		ders := slices.Collect(maps.Values(pkcs8v2(t, newEd25519Key(t))))
		for _, kt := range goodKeyTexts(t) {
			ders = append(ders, pkcs8(t, kt.key))
		}
		for _, der := range ders {
			bare := base64.StdEncoding.EncodeToString(der)
			for _, text := range []string{
				bare,
				strings.TrimRight(bare, "="),
				bare[:len(bare)-7],
				bare[:40] + `\n` + bare[40:] + `\n`,
				bare + "\n-----END",
				base64.RawURLEncoding.EncodeToString(der),
				"BEGIN PRIVATE KEY\n" + bare,
			} {
				_, err := LoadPrivateKey(text)
				require.Error(t, err)
				assertNoEcho(t, text, err)
				_, err = NewSigner(text, newEd25519Key(t)) // the ID and the key swapped
				require.Error(t, err)
				assertNoEcho(t, text, err)
			}
		}
	})
}

// requireKeyFile fails unless the file at path loads as that key.
func requireKeyFile(t testing.TB, path string, want *GenerateAPIKeyResponse) {
	t.Helper()
	keyID, key, err := KeyFile(path).Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, want.ID, keyID)
	wantKey, err := want.PrivateKey.Parse()
	require.NoError(t, err)
	assertSameKey(t, wantKey, key)
}

func TestKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bot.key")
	for i, kt := range goodKeyTexts(t) { // the first makes the file, the others replace it
		key := &GenerateAPIKeyResponse{ID: fmt.Sprintf("id-%d", i), PrivateKey: newPrivateKeyPEM(kt.text)}
		require.NoError(t, KeyFile(path).Save(t.Context(), key), kt.name)
		requireKeyFile(t, path, key)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, fmt.Sprintf("KALSHI_API_KEY_ID=id-%d\n%s", i, kt.text) == string(text), kt.name)
		assertMode0600(t, path)
		assert.Equal(t, []string{"bot.key"}, names(t, filepath.Dir(path)))
		_, err = LoadPrivateKey(path)
		assert.NoError(t, err, kt.name)
	}
}

// A rename needs the new file in the same folder, which a bare name does not
// show. An ended context does not stop the saving.
func TestKeyFile_Save_bareName(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"TMPDIR", "TMP", "TEMP"} {
		t.Setenv(name, "none")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	key := generatedKey(t)
	require.NoError(t, KeyFile("bot.key").Save(ctx, key))
	requireKeyFile(t, "bot.key", key)
}

func TestKeyFile_Load(t *testing.T) {
	t.Parallel()
	kt := goodKeyTexts(t)[2]
	tests := []struct{ name, text string }{
		{"blanks", "  KALSHI_API_KEY_ID =\tid \n" + kt.text},
		{"CRLF", "KALSHI_API_KEY_ID=id\r\n" + strings.ReplaceAll(kt.text, "\n", "\r\n")},
		{"double quotes", `KALSHI_API_KEY_ID="id"` + "\n" + kt.text},
		{"single quotes", "KALSHI_API_KEY_ID='id'\n" + kt.text},
		{"a shell's export", "export KALSHI_API_KEY_ID=id\n" + kt.text},
		{"byte-order mark", "\ufeffKALSHI_API_KEY_ID=id\n" + kt.text},
		{"lines above", "# our bot\n\nKALSHI_API_KEY_ID=id\n\n" + kt.text},
		{"below the key", kt.text + "KALSHI_API_KEY_ID=id"},
		{"other variables", "KALSHI_API_KEY_ID_2=other\nNOT_KALSHI_API_KEY_ID=other\nKALSHI_API_KEY_ID=id\n" + kt.text},
	}
	for _, tt := range tests {
		path := filepath.Join(t.TempDir(), "bot.key")
		require.NoError(t, os.WriteFile(path, []byte(tt.text), 0o600))
		keyID, key, err := KeyFile(path).Load(t.Context())
		require.NoError(t, err, tt.name)
		assert.Equal(t, "id", keyID, tt.name)
		assertSameKey(t, kt.key, key)
	}
}

func TestKeyFile_Load_refuses(t *testing.T) {
	t.Parallel()
	pemText := goodKeyTexts(t)[2].text
	const line = envKeyID + "="
	tests := []struct {
		name, text string
		words      []string
	}{
		{"no line with the ID", pemText, []string{"add the line KALSHI_API_KEY_ID=<id> above"}},
		{"no ID on the line", line + " \n" + pemText, []string{envKeyID, "is empty"}},
		{"a blank in the ID", line + "a b\n" + pemText, []string{envKeyID, "blanks"}},
		{"a key on the line", line + strings.ReplaceAll(pemText, "\n", `\n`) + "\n", []string{envKeyID, "is a private key"}},
		{"no key", line + "id\n", []string{"no BEGIN PRIVATE KEY line"}},
		{"two keys", line + "id\n" + pemText + pemText, []string{"more than one private key"}},
		{"empty", "", []string{"is empty"}},
		{"too large", line + "id\n" + pemText + strings.Repeat("\n", maxKeyFileSize), []string{"over 1 MiB"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "bot.key")
			require.NoError(t, os.WriteFile(path, []byte(tt.text), 0o600))
			keyID, key, err := KeyFile(path).Load(t.Context())
			assertInvalid(t, err, append(tt.words, "kalshi: key file ", "bot.key")...)
			assert.Empty(t, keyID)
			assert.Nil(t, key)
			assertNoEcho(t, pemText, err)
		})
	}
	_, _, err := KeyFile(filepath.Join(t.TempDir(), "none")).Load(t.Context())
	assert.ErrorIs(t, err, fs.ErrNotExist)
	_, _, err = KeyFile("").Load(t.Context())
	assertInvalid(t, err, "key file", "is empty")
}

// For the environment a key file may lack the ID, and errors name the variable.
func TestLoadKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	kt := goodKeyTexts(t)[2]
	require.NoError(t, os.WriteFile(path, []byte(kt.text), 0o600))
	keyID, key, err := loadKeyFile(envPrivateKeyPath, path)
	require.NoError(t, err)
	assert.Empty(t, keyID)
	assertSameKey(t, kt.key, key)

	_, _, err = loadKeyFile(envPrivateKeyPath, kt.text)
	assertInvalid(t, err, envPrivateKeyPath, "is the text of a key")
	assertNoEcho(t, kt.text, err)
	_, _, err = loadKeyFile(envPrivateKeyPath, path+".none")
	assert.ErrorContains(t, err, "kalshi: "+envPrivateKeyPath+": open ")
}

func TestKeyFile_Save_refuses(t *testing.T) {
	t.Parallel()
	good := generatedKey(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "bot.key")
	require.NoError(t, KeyFile(path).Save(t.Context(), good))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))
	before := names(t, dir)

	for name, tt := range map[string]struct {
		key  *GenerateAPIKeyResponse
		word string
	}{
		"nil":            {nil, "response is nil"},
		"no private key": {&GenerateAPIKeyResponse{ID: "id"}, "has no private key"},
		"a masked key":   {&GenerateAPIKeyResponse{ID: "id", PrivateKey: newPrivateKeyPEM("***")}, "no BEGIN PRIVATE KEY line"},
		"no ID":          {&GenerateAPIKeyResponse{PrivateKey: good.PrivateKey}, "key ID is empty"},
		"quotes":         {&GenerateAPIKeyResponse{ID: `"id"`, PrivateKey: good.PrivateKey}, "begins or ends with a quote"},
		"a line end":     {&GenerateAPIKeyResponse{ID: "a\nb", PrivateKey: good.PrivateKey}, "key ID has"},
	} {
		assertInvalid(t, KeyFile(path).Save(t.Context(), tt.key), tt.word)
		requireKeyFile(t, path, good)
		assert.Equal(t, before, names(t, dir), name)
	}

	assertInvalid(t, KeyFile("").Save(t.Context(), good), "key file", "is empty")
	err := KeyFile(good.PrivateKey.Reveal()).Save(t.Context(), good)
	assertInvalid(t, err, "is the text of a key")
	assertNoEcho(t, good.PrivateKey.Reveal(), err)
	assert.ErrorContains(t, KeyFile(filepath.Join(dir, "folder")).Save(t.Context(), good), "not a regular file")
	assert.ErrorIs(t, KeyFile(filepath.Join(dir, "none", "key")).Save(t.Context(), good), fs.ErrNotExist)
	assert.ErrorContains(t, KeyFile("~/none/key").Save(t.Context(), good), "$HOME/none/key")
	assert.Error(t, KeyFile(filepath.Join(path, "key")).Save(t.Context(), good), "below a file")
	assert.Equal(t, before, names(t, dir))
}
