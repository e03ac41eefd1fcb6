package kalshi

import (
	"context"
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

var botRequest = GenerateAPIKeyRequest{Name: "bot", KeyType: KeyTypeEd25519, Scopes: []Scope{ScopeRead}}

func TestClient_GenerateAPIKeyToFile(t *testing.T) {
	t.Parallel()
	for _, keyType := range []KeyType{KeyTypeEd25519, KeyTypeRSA} {
		t.Run(string(keyType), func(t *testing.T) {
			t.Parallel()
			srv := kalshitest.NewServer()
			t.Cleanup(srv.Close)
			client := newServerClient(t, srv)
			path := filepath.Join(t.TempDir(), "bot.pem")
			req := botRequest
			req.KeyType = keyType
			got, err := client.GenerateAPIKeyToFile(t.Context(), req, path)
			require.NoError(t, err)
			require.Len(t, srv.Keys(), 2)
			assert.Equal(t, srv.Keys()[1].ID, got.ID)
			assert.Equal(t, keyType, got.KeyType)

			text, err := os.ReadFile(path)
			require.NoError(t, err)
			assert.True(t, got.PrivateKey.Reveal() == string(text), "the file holds exactly the private key")
			if runtime.GOOS != "windows" {
				info, err := os.Lstat(path)
				require.NoError(t, err)
				assert.Equal(t, fs.FileMode(0o600), info.Mode())
			}

			key, err := LoadPrivateKey(path)
			require.NoError(t, err)
			signer, err := NewSigner(got.ID, key)
			require.NoError(t, err)
			requireWorks(t, newSharingClient(t, srv, signer))
		})
	}
}

// Nothing is made when its private half cannot be kept.
func TestClient_GenerateAPIKeyToFile_fileFirst(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		path func(t *testing.T, dir string) string
		want error
	}{
		{"existing file", func(t *testing.T, dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), []byte("precious"), 0o600))
			return "key"
		}, fs.ErrExist},
		{"existing folder", func(t *testing.T, dir string) string {
			require.NoError(t, os.Mkdir(filepath.Join(dir, "key"), 0o700))
			return "key"
		}, nil},
		{"symbolic link to a file", func(t *testing.T, dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "target"), []byte("precious"), 0o600))
			symlink(t, "target", filepath.Join(dir, "key"))
			return "key"
		}, fs.ErrExist},
		{"symbolic link to nothing", func(t *testing.T, dir string) string {
			symlink(t, "target", filepath.Join(dir, "key"))
			return "key"
		}, fs.ErrExist},
		{"missing folder", func(*testing.T, string) string { return filepath.Join("missing", "key") }, fs.ErrNotExist},
		{"below a file", func(t *testing.T, dir string) string {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("precious"), 0o600))
			return filepath.Join("file", "key")
		}, nil},
		{"folder without write right", func(t *testing.T, dir string) string {
			if runtime.GOOS == "windows" || os.Geteuid() == 0 {
				t.Skip("who may write everywhere cannot see this")
			}
			require.NoError(t, os.Mkdir(filepath.Join(dir, "locked"), 0o500))
			return filepath.Join("locked", "key")
		}, fs.ErrPermission},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, x := newRotatingClient(t, plainKey)
			dir := t.TempDir()
			path := filepath.Join(dir, tt.path(t, dir))
			before := tree(t, dir)
			got, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
			require.Error(t, err)
			if tt.want != nil {
				assert.ErrorIs(t, err, tt.want)
			}
			assert.Contains(t, err.Error(), path)
			assert.Nil(t, got)
			assert.Empty(t, x.calls, "requests")
			assert.Equal(t, before, tree(t, dir), "what was there stays as it was")
		})
	}
}

func TestClient_GenerateAPIKeyToFile_badInput(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	tests := []struct {
		name, path, field string
		ctx               context.Context
		req               GenerateAPIKeyRequest
	}{
		{"no path", "", "path", context.Background(), botRequest},
		{"no name", path, "Name", context.Background(), GenerateAPIKeyRequest{}},
		{"no context", path, "context", nil, botRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, x := newRotatingClient(t, plainKey)
			_, err := client.GenerateAPIKeyToFile(tt.ctx, tt.req, tt.path)
			var validation *ValidationError
			require.ErrorAs(t, err, &validation)
			assert.Equal(t, tt.field, validation.Field)
			assert.Empty(t, x.calls)
			assert.NoFileExists(t, path)
		})
	}
}

// Without a key there is no file either.
func TestClient_GenerateAPIKeyToFile_mintFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault memoryFault
		as    any
		keys  int
	}{
		{"refused", refuse(403, forbiddenBody), new(*ForbiddenError), 2},
		{"answer lost", loseAnswer, new(*OutcomeUnknownError), 3},
		{"request lost", lose, new(*OutcomeUnknownError), 2},
		{"server error", refuse(500, ""), new(*OutcomeUnknownError), 2},
		{"no private key in the answer", replaceAnswer(201, `{"api_key_id":"new-1"}`), new(*OutcomeUnknownError), 3},
		{"cancelled", cancelAfter, new(*OutcomeUnknownError), 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, x := newRotatingClient(t, plainKey)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			x.cancel, x.faults = cancel, map[point]memoryFault{atMint: tt.fault}
			path := filepath.Join(t.TempDir(), "key")
			got, err := client.GenerateAPIKeyToFile(ctx, botRequest, path)
			require.ErrorAs(t, err, tt.as)
			assert.NotContains(t, err.Error(), "stays", "the file does not")
			assert.Nil(t, got)
			assert.Len(t, x.ids(), tt.keys)
			_, err = os.Lstat(path)
			assert.ErrorIs(t, err, fs.ErrNotExist)
		})
	}
}

// A file that somebody put in the place of ours is not ours to remove.
func TestClient_GenerateAPIKeyToFile_fileReplaced(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file keeps its name there")
	}
	client, x := newRotatingClient(t, plainKey)
	path := filepath.Join(t.TempDir(), "key")
	var replaced error
	x.faults = map[point]memoryFault{atMint: func(*memoryExchange, *http.Request, int, func() *http.Response) (*http.Response, error) {
		if replaced = os.WriteFile(path+".other", []byte("precious"), 0o600); replaced == nil {
			replaced = os.Rename(path+".other", path)
		}
		return memoryAnswer(403, forbiddenBody), nil
	}}
	_, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
	require.ErrorAs(t, err, new(*ForbiddenError))
	require.NoError(t, replaced)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "precious", string(text))
}

// A file that is gone when the key comes holds nothing, so the key is deleted
// again.
func TestClient_GenerateAPIKeyToFile_fileRemoved(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("an open file keeps its name there")
	}
	client, x := newRotatingClient(t, plainKey)
	path := filepath.Join(t.TempDir(), "key")
	var removed error
	x.faults = map[point]memoryFault{atMint: func(_ *memoryExchange, _ *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
		removed = os.Remove(path)
		return process(), nil
	}}
	before := x.ids()
	key, err := client.GenerateAPIKeyToFile(t.Context(), botRequest, path)
	require.NoError(t, removed)
	assert.Nil(t, key)
	assert.ErrorContains(t, err, "removed or replaced")
	assert.Equal(t, before, x.ids())
}

// Once the key is made, it is kept.
func TestClient_GenerateAPIKeyToFile_cancelledAfterMint(t *testing.T) {
	t.Parallel()
	client, x := newRotatingClient(t, plainKey)
	ctx, cancel := context.WithCancel(t.Context())
	x.cancel, x.faults = cancel, map[point]memoryFault{atMint: cancelOnceRead}
	path := filepath.Join(t.TempDir(), "key")
	got, err := client.GenerateAPIKeyToFile(ctx, botRequest, path)
	require.Error(t, ctx.Err())
	require.NoError(t, err)
	assert.Equal(t, "new-1", got.ID)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.True(t, x.private["new-1"] == string(text), "the file holds the private key")
}

func TestClient_CurrentAPIKey(t *testing.T) {
	t.Parallel()
	want := APIKey{Name: "bot", Scopes: []Scope{ScopeRead, ScopeWriteTrade, "read::tomorrow"}, Subaccount: new(int)}
	client, x := newRotatingClient(t, want)
	want.ID = testKeyID
	got, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, &want, got)
	assert.Len(t, x.calls, 1)
}

func TestClient_CurrentAPIKey_fails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		fault memoryFault
		as    any
		text  []string
	}{
		{"not listed", refuse(200, `{"api_keys":[{"api_key_id":"other","name":"bot","scopes":["read"]}]}`), nil, []string{"list", testKeyID}},
		{"empty list", refuse(200, `{"api_keys":[]}`), nil, []string{"list", testKeyID}},
		{"list refused", refuse(403, forbiddenBody), new(*ForbiddenError), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, x := newRotatingClient(t, plainKey)
			x.faults = map[point]memoryFault{atInspect: tt.fault}
			got, err := client.CurrentAPIKey(t.Context())
			require.Error(t, err)
			assert.Nil(t, got)
			if tt.as != nil {
				assert.ErrorAs(t, err, tt.as)
			}
			for _, text := range tt.text {
				assert.Contains(t, err.Error(), text)
			}
			assert.Len(t, x.calls, 1)
		})
	}
}

// The list that the new key signs does not hold the old one any more.
func TestClient_CurrentAPIKey_rotatedInBetween(t *testing.T) {
	t.Parallel()
	client, x := newRotatingClient(t, plainKey)
	var rotated error
	x.faults = map[point]memoryFault{atInspect: once(func(_ *memoryExchange, _ *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
		_, rotated = client.RotateAPIKey(context.Background(), RotateAPIKeyRequest{Save: noSave})
		return process(), nil
	})}
	got, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	require.NoError(t, rotated)
	assert.Equal(t, &APIKey{ID: "new-1", Name: plainKey.Name, Scopes: plainKey.Scopes}, got)
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
