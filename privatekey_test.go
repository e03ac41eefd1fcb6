package kalshi

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrivateKeyPEM(t *testing.T) {
	t.Parallel()
	want := goodKeyTexts(t)[2]

	t.Run("zero value", func(t *testing.T) {
		var key PrivateKeyPEM
		assert.Empty(t, key.Reveal())
		_, err := key.Parse()
		assertInvalid(t, err, "is empty")
	})
	t.Run("text", func(t *testing.T) {
		var key PrivateKeyPEM
		text := []byte(want.text)
		require.NoError(t, key.UnmarshalText(text))
		clear(text) // the decoder reuses it
		assert.Equal(t, want.text, key.Reveal())
		got, err := key.Parse()
		require.NoError(t, err)
		assertSameKey(t, want.key, got)
	})
	t.Run("a copy keeps its text", func(t *testing.T) {
		key := newPrivateKeyPEM(want.text)
		copied := key
		require.NoError(t, key.UnmarshalText(nil))
		assert.Empty(t, key.Reveal())
		assert.Equal(t, want.text, copied.Reveal())
	})
	t.Run("JSON", func(t *testing.T) {
		body, err := json.Marshal(map[string]string{"api_key_id": "a", "key_type": "ed25519", "private_key": want.text, "warning": "w"})
		require.NoError(t, err)
		var got GenerateAPIKeyResponse
		require.NoError(t, json.Unmarshal(body, &got))
		assert.Equal(t, want.text, got.PrivateKey.Reveal())
		assert.Equal(t, GenerateAPIKeyResponse{ID: "a", KeyType: KeyTypeEd25519, PrivateKey: got.PrivateKey, Warning: "w"}, got)
	})
	t.Run("JSON null and empty", func(t *testing.T) {
		for _, text := range []string{`{}`, `{"private_key":null}`, `{"private_key":""}`} {
			var got GenerateAPIKeyResponse
			require.NoError(t, json.Unmarshal([]byte(text), &got))
			assert.Equal(t, PrivateKeyPEM{}, got.PrivateKey, text)
		}
	})
	t.Run("text that is not a key is kept", func(t *testing.T) {
		var key PrivateKeyPEM
		require.NoError(t, json.Unmarshal([]byte(`"a future format"`), &key))
		assert.Equal(t, "a future format", key.Reveal())
	})
}

func TestPrivateKeyPEM_WriteFile(t *testing.T) {
	t.Parallel()
	texts := []string{"not a key", "line\r\nends\x00 stay"}
	for _, kt := range goodKeyTexts(t) {
		texts = append(texts, kt.text)
	}
	for _, text := range texts {
		path := filepath.Join(t.TempDir(), "key.pem")
		require.NoError(t, newPrivateKeyPEM(text).WriteFile(path))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, text, string(got))
		assertMode0600(t, path)
		assert.Equal(t, []string{"key.pem"}, names(t, filepath.Dir(path)))
	}
}

// The folder of a bare name is synced too.
func TestPrivateKeyPEM_WriteFile_bareName(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, newPrivateKeyPEM("text").WriteFile("key.pem"))
	assertMode0600(t, "key.pem")
}

func TestPrivateKeyPEM_WriteFile_refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := newPrivateKeyPEM("text")
	assert.Error(t, key.WriteFile(filepath.Join(dir, "a\x00b")))
	assertInvalid(t, key.WriteFile(""), "path", "is empty")

	// No file is created for a missing key.
	for _, none := range []PrivateKeyPEM{{}, newPrivateKeyPEM("")} {
		assertInvalid(t, none.WriteFile(filepath.Join(dir, "key.pem")), "private key", "is missing")
	}
	assert.Empty(t, names(t, dir))
}
