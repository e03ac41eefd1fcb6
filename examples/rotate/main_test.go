package main

import (
	"errors"
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

// newExchange starts an exchange whose key is in a PEM file, with its ID in the
// environment.
func newExchange(t *testing.T) (*kalshitest.Server, string) {
	t.Helper()
	srv := kalshitest.NewServer()
	t.Cleanup(srv.Close)
	path := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(path, []byte(srv.PrivateKey), 0o600))
	t.Setenv("KALSHI_API_KEY_ID", srv.KeyID)
	t.Setenv("KALSHI_PRIVATE_KEY", "")
	t.Setenv("KALSHI_PRIVATE_KEY_PATH", path)
	t.Setenv("KALSHI_BASE_URL", srv.URL)
	return srv, path
}

// connect is the start of any example program.
func connect(t *testing.T, opts ...kalshi.Option) *example.Session {
	t.Helper()
	s, err := example.Connect(opts...)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

// The environment stays as it is, and the next program works, be it the list
// or another rotation.
func TestRotate(t *testing.T) {
	srv, path := newExchange(t)
	for range 2 {
		before := srv.Keys()[0].ID
		require.NoError(t, rotate(t.Context(), connect(t)))
		require.Len(t, srv.Keys(), 1)
		assert.NotEqual(t, before, srv.Keys()[0].ID)

		current, err := connect(t).Client.CurrentAPIKey(t.Context())
		require.NoError(t, err)
		assert.Equal(t, srv.Keys()[0].ID, current.ID)
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	require.NoError(t, err)
	assert.Equal(t, []string{path}, names, "nothing is left beside the file")
}

func TestRotate_StandIn(t *testing.T) {
	for _, name := range []string{"KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY", "KALSHI_PRIVATE_KEY_PATH", "KALSHI_BASE_URL"} {
		t.Setenv(name, "")
	}
	s := connect(t)
	require.NoError(t, rotate(t.Context(), s))
	assert.NotEqual(t, s.StandIn.KeyID, s.StandIn.Keys()[0].ID)
}

// -of rotates a key that may do neither, by the key in the environment.
func TestRotate_Of(t *testing.T) {
	srv, _ := newExchange(t)
	bot := srv.AddKey(kalshitest.Key{Name: "bot", Scopes: []string{"read", "write::trade"}})
	path := filepath.Join(t.TempDir(), "bot.pem")
	require.NoError(t, os.WriteFile(path, []byte("KALSHI_API_KEY_ID="+bot.ID+"\n"+bot.PrivateKey), 0o600))
	set(t, &of, new(kalshi.KeyFile(path)))
	require.NoError(t, rotate(t.Context(), connect(t)))

	credentials, err := kalshi.KeyFile(path).Load(t.Context())
	require.NoError(t, err)
	require.Len(t, srv.Keys(), 2)
	assert.Equal(t, srv.KeyID, srv.Keys()[0].ID)
	assert.Equal(t, credentials.KeyID(), srv.Keys()[1].ID)
	assert.Equal(t, bot.Scopes, srv.Keys()[1].Scopes)
}

func TestRotate_KeepOld(t *testing.T) {
	srv, _ := newExchange(t)
	set(t, keepOld, true)
	require.NoError(t, rotate(t.Context(), connect(t)))
	assert.Len(t, srv.Keys(), 2)
}

// An unset variable of a script does not rotate the environment's key.
func TestRotate_OfNothing(t *testing.T) {
	srv, _ := newExchange(t)
	set(t, &of, new(kalshi.KeyFile("")))
	assert.ErrorContains(t, rotate(t.Context(), connect(t)), "key file is empty")
	assert.Empty(t, srv.Requests())
}

// The error says what the account and the file hold, and what to do.
func TestRotate_Explains(t *testing.T) {
	tests := []struct {
		name       string
		fault      kalshitest.Fault
		unwritable bool // at the time of the save
		stage      kalshi.RotationStage
		want       []string
		keys       int
	}{
		{
			name:  "the new key is refused",
			fault: kalshitest.Fault{Method: http.MethodPost, Status: http.StatusForbidden},
			stage: kalshi.StageCreate,
			want:  []string{"is unchanged", "has the old key only", "try again"}, keys: 1,
		},
		{
			name:  "the response with the new key is lost",
			fault: kalshitest.Fault{Method: http.MethodPost, Process: true, Drop: true},
			stage: kalshi.StageCreate,
			want:  []string{"is unchanged", "may be the lost one", "delete those that nobody uses"}, keys: 2,
		},
		{
			name:       "the file cannot be replaced",
			unwritable: true,
			stage:      kalshi.StageSave,
			want:       []string{"is unchanged", "has both keys", "delete the new one"}, keys: 2,
		},
		{
			name:  "the old key cannot be deleted",
			fault: kalshitest.Fault{Method: http.MethodDelete, Status: http.StatusForbidden},
			stage: kalshi.StageDelete,
			want:  []string{"has the new key", "has both keys", "delete the old one"}, keys: 2,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			srv, path := newExchange(t)
			s := connect(t)
			if tt.unwritable { // no rename replaces a folder
				tt.fault = kalshitest.Fault{Method: http.MethodPost, Answer: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					assert.NoError(t, errors.Join(os.Remove(path), os.Mkdir(path, 0o700)))
					w.WriteHeader(http.StatusTooManyRequests) // and the client tries again
				})}
			}
			srv.Inject(tt.fault)
			err := rotate(t.Context(), s)
			for _, want := range tt.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Len(t, srv.Keys(), tt.keys)
			var failed *kalshi.RotationError
			require.ErrorAs(t, err, &failed)
			assert.Equal(t, tt.stage, failed.Stage)
		})
	}
}

// set sets a flag for the duration of the test.
func set[T any](t *testing.T, flag *T, value T) {
	t.Helper()
	before := *flag
	*flag = value
	t.Cleanup(func() { *flag = before })
}
