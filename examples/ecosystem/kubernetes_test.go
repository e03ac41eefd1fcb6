package ecosystem_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// A secret that is mounted as a folder changes by one rename of a symbolic
// link. A bot with KALSHI_PRIVATE_KEY_PATH=/etc/kalshi/key.pem follows it: when
// the old key is refused, the SDK reads the file again.
//
// The kubelet updates the folder about a minute after the secret has changed,
// so give RotateAPIKeyRequest a Grace of some minutes. It does not update a file
// that is mounted with subPath.
func TestKubernetes_FollowsMountedSecret(t *testing.T) {
	exchange, oldSigner := newExchange(t)
	volume := t.TempDir()
	mount(t, volume, "..2026_11_01", exchange.KeyID, exchange.PrivateKey)
	require.NoError(t, os.Symlink(filepath.Join("..data", "key.pem"), filepath.Join(volume, "key.pem")))

	for _, name := range []string{"KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY", "KALSHI_BASE_URL"} {
		t.Setenv(name, "")
	}
	t.Setenv("KALSHI_PRIVATE_KEY_PATH", filepath.Join(volume, "key.pem"))
	client, err := kalshi.NewClientFromEnv(kalshi.WithBaseURL(exchange.URL),
		kalshi.WithHTTPClient(&http.Client{Transport: &http.Transport{}}))
	require.NoError(t, err)
	_, err = client.CurrentAPIKey(t.Context())
	require.NoError(t, err)

	made := rotateElsewhere(t, exchange, oldSigner)
	mount(t, volume, "..2026_11_02", made.ID, made.PrivateKey)
	current, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, made.ID, current.ID)
}

// mount does what the kubelet does: it writes the secret to a new folder and
// renames a link to it into place.
func mount(t *testing.T, volume, version, keyID, pem string) {
	t.Helper()
	require.NoError(t, os.Mkdir(filepath.Join(volume, version), 0o700))
	text := "KALSHI_API_KEY_ID=" + keyID + "\n" + pem
	require.NoError(t, os.WriteFile(filepath.Join(volume, version, "key.pem"), []byte(text), 0o600))
	link := filepath.Join(volume, "..data_tmp")
	require.NoError(t, os.Symlink(version, link))
	require.NoError(t, os.Rename(link, filepath.Join(volume, "..data")))
}
