package kalshi

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Neither a decoder that reuses its buffer nor a value that is decoded into
// again changes what was decoded before.
func TestPrivateKeyPEM_UnmarshalText(t *testing.T) {
	t.Parallel()
	var key PrivateKeyPEM
	text := []byte("a future format")
	require.NoError(t, key.UnmarshalText(text))
	clear(text)
	assert.Equal(t, "a future format", key.Reveal())

	copied := key
	require.NoError(t, key.UnmarshalText(nil))
	assert.Empty(t, key.Reveal())
	assert.Equal(t, "a future format", copied.Reveal())
}

func TestPrivateKeyPEM_WriteFile(t *testing.T) { // not parallel: it changes the working directory
	dir := t.TempDir()
	t.Chdir(dir)
	for path, text := range map[string]string{
		filepath.Join(dir, "a.pem"): goodKeyTexts(t)[0].text,
		filepath.Join(dir, "b.pem"): "line\r\nends\x00 stay",
		"bare.pem":                  "not a key", // its folder is synced too
	} {
		require.NoError(t, newPrivateKeyPEM(text).WriteFile(path))
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.True(t, text == string(got), "the text of %s", path)
		assertMode0600(t, path)
	}
	assert.Equal(t, []string{"a.pem", "b.pem", "bare.pem"}, names(t, dir))
}

func TestPrivateKeyPEM_WriteFile_refuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := newPrivateKeyPEM("text")
	assert.Error(t, key.WriteFile(filepath.Join(dir, "a\x00b")))
	assertInvalid(t, key.WriteFile(""), "path", "is empty")

	for _, none := range []PrivateKeyPEM{{}, newPrivateKeyPEM("")} {
		assertInvalid(t, none.WriteFile(filepath.Join(dir, "key.pem")), "private key", "is missing")
	}
	assert.Empty(t, names(t, dir), "no file is made for no key")
}
