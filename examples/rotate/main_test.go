package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// newSession is an exchange as the environment names one, with its key in a
// file.
func newSession(t *testing.T) (*example.Session, *kalshitest.Server, string) {
	t.Helper()
	srv := kalshitest.NewServer()
	t.Cleanup(srv.Close)
	client, err := example.NewClient(srv, srv.KeyID, srv.PrivateKey)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(path, []byte(srv.PrivateKey), 0o600))
	t.Setenv("KALSHI_PRIVATE_KEY_PATH", path)
	return &example.Session{Client: client, BaseURL: srv.URL}, srv, path
}

// signsAs checks that the file holds a key that works.
func signsAs(t *testing.T, srv *kalshitest.Server, keyID, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	client, err := example.NewClient(srv, keyID, string(text))
	require.NoError(t, err)
	_, err = client.CurrentAPIKey(t.Context())
	assert.NoError(t, err)
}

func TestRotate(t *testing.T) {
	s, srv, path := newSession(t)
	require.NoError(t, rotate(t.Context(), s))

	id, err := readID(path)
	require.NoError(t, err)
	assert.NotEqual(t, srv.KeyID, id)
	signsAs(t, srv, id, path)
	require.Len(t, srv.Keys(), 1)
	assert.Equal(t, id, srv.Keys()[0].ID)

	// The file names its key now, and the next rotation starts from it.
	require.NoError(t, rotate(t.Context(), s))
	names, err := filepath.Glob(path + "*")
	require.NoError(t, err)
	assert.Equal(t, []string{path}, names, "nothing is left beside the file")
}

func TestRotate_TheFileIsOfAnotherKey(t *testing.T) {
	s, srv, path := newSession(t)
	require.NoError(t, os.WriteFile(path, []byte(idLine+"another\n"+srv.PrivateKey), 0o600))
	err := rotate(t.Context(), s)
	assert.ErrorContains(t, err, "set KALSHI_API_KEY_ID")
	assert.Len(t, srv.Requests(), 0)
}

// What went wrong is told together with what the account and the file hold,
// and what to do.
func TestRotate_Explains(t *testing.T) {
	tests := []struct {
		name       string
		fault      kalshitest.Fault
		unwritable bool
		want       []string
		keys       int
	}{
		{
			name:  "mint refused",
			fault: kalshitest.Fault{Method: http.MethodPost, Status: http.StatusForbidden},
			want:  []string{"stopped  at mint", "has the old key only", "is unchanged", "try again later"}, keys: 1,
		},
		{
			name:  "the answer of the mint is lost",
			fault: kalshitest.Fault{Method: http.MethodPost, Process: true, Drop: true},
			want:  []string{"stopped  at mint", "has keys of the new name", "is unchanged", "delete those that nobody uses"}, keys: 2,
		},
		{
			name:       "the file cannot be replaced",
			unwritable: true,
			want:       []string{"stopped  at save", "has both keys; the old one still signs", "delete the new one"}, keys: 2,
		},
		{
			name:  "the old key cannot be deleted",
			fault: kalshitest.Fault{Method: http.MethodDelete, Status: http.StatusForbidden},
			want:  []string{"stopped  at delete", "has both keys; the new one signs", "holds the new key", "delete the old one"}, keys: 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, srv, path := newSession(t)
			srv.Inject(tt.fault)
			if tt.unwritable { // a rename does not replace the folder that verify, the third GET, finds there
				srv.ClearFaults()
				srv.Inject(kalshitest.Fault{Method: http.MethodGet, Times: 2}, kalshitest.Fault{
					Method: http.MethodGet,
					Answer: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						assert.NoError(t, os.Remove(path))
						assert.NoError(t, os.Mkdir(path, 0o700))
						_, _ = io.WriteString(w, `{"api_keys":[]}`)
					}),
				})
			}
			err := rotate(t.Context(), s)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Len(t, srv.Keys(), tt.keys)
			var failed *kalshi.RotationError
			assert.ErrorAs(t, err, &failed)
		})
	}
}
