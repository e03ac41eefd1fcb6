package ecosystem_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A secret that is mounted as a folder changes by one rename of a symbolic
// link. A client of the file in it follows: when the old key is refused, the SDK
// reads the file again. NewClientFromEnv does the same, with
// KALSHI_PRIVATE_KEY_PATH=/etc/kalshi/key.pem in the pod.
//
// The kubelet updates the folder about a minute after the secret has changed,
// so give RotateAPIKeyRequest a Grace of some minutes. It does not update a file
// that is mounted with subPath.
func TestKubernetes_FollowsMountedSecret(t *testing.T) {
	t.Parallel()
	exchange, oldSigner := newExchange(t)
	volume := t.TempDir() // for /etc/kalshi
	mount(t, volume, "..2026_11_01", kalshitest.Key{ID: exchange.KeyID, PrivateKey: exchange.PrivateKey})
	require.NoError(t, os.Symlink(filepath.Join("..data", "key.pem"), filepath.Join(volume, "key.pem")))

	client, err := kalshi.NewClientFromKeyFile(filepath.Join(volume, "key.pem"), kalshi.WithBaseURL(exchange.URL))
	require.NoError(t, err)
	_, err = client.CurrentAPIKey(t.Context())
	require.NoError(t, err)

	made := rotateElsewhere(t, exchange, oldSigner)
	mount(t, volume, "..2026_11_02", made)
	current, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, made.ID, current.ID)
}

// mount does what the kubelet does: it writes the secret to a new folder and
// renames a link to it into place.
func mount(t *testing.T, volume, version string, key kalshitest.Key) {
	t.Helper()
	require.NoError(t, os.Mkdir(filepath.Join(volume, version), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(volume, version, "key.pem"), []byte(keyFileText(key)), 0o600))
	link := filepath.Join(volume, "..data_tmp")
	require.NoError(t, os.Symlink(version, link))
	require.NoError(t, os.Rename(link, filepath.Join(volume, "..data")))
}
