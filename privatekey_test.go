package kalshi

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Neither a reused buffer nor a value that is decoded into again changes what was decoded before.
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
