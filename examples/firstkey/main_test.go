package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A session is a firstkey with pipes for its input and output.
type session struct {
	path  string
	input *io.PipeWriter
	shown *io.PipeReader
	text  strings.Builder // read from shown so far
	ended chan error
}

func start(ctx context.Context, t *testing.T) *session {
	t.Helper()
	in, input := io.Pipe()
	shown, out := io.Pipe()
	r := &session{path: filepath.Join(t.TempDir(), "key.pem"), input: input, shown: shown, ended: make(chan error, 1)}
	t.Cleanup(func() { _, _ = input.Close(), in.Close() })
	go func() {
		r.ended <- firstKey(ctx, in, out, r.path)
		_ = out.Close()
	}()
	return r
}

// until reads what the program prints, up to this text.
func (r *session) until(t *testing.T, text string) {
	t.Helper()
	for buf, before := make([]byte, 1<<10), r.text.Len(); !strings.Contains(r.text.String()[before:], text); {
		n, err := r.shown.Read(buf)
		require.NoError(t, err, "%q does not come after\n%s", text, &r.text)
		r.text.Write(buf[:n])
	}
}

const prompt = "The ID that the page shows: "

func TestFirstKey(t *testing.T) {
	t.Parallel()
	r := start(t.Context(), t)
	r.until(t, prompt)

	// The private half is in the file before anybody is asked for the ID.
	info, err := os.Stat(r.path)
	require.NoError(t, err)
	if runtime.GOOS != "windows" {
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	key, err := kalshi.LoadPrivateKey(r.path)
	require.NoError(t, err)
	public, err := kalshi.MarshalPublicKey(key.Public())
	require.NoError(t, err)
	require.Contains(t, r.text.String(), "\n\n"+public+"\n", "the public half, to paste")
	private, err := os.ReadFile(r.path)
	require.NoError(t, err)

	exchange := kalshitest.NewServer()
	t.Cleanup(exchange.Close)
	added := exchange.AddKey(kalshitest.Key{PublicKey: public})
	for _, bad := range []string{"", "first key", "<" + added.ID + ">", added.ID[:35], string(private[:60])} {
		_, err = io.WriteString(r.input, bad+"\n")
		require.NoError(t, err)
		r.until(t, prompt)
	}
	_, err = io.WriteString(r.input, " "+added.ID+"\r\n")
	require.NoError(t, err)
	r.until(t, "go run ./examples/doctor")
	require.NoError(t, <-r.ended)
	assert.Contains(t, r.text.String(), "export KALSHI_PRIVATE_KEY_PATH='"+r.path+"'")
	for line := range strings.Lines(string(private)) {
		assert.NotContains(t, r.text.String(), strings.TrimSpace(line), "the private half is never printed")
	}

	client, err := kalshi.NewClientFromKeyFile(r.path, kalshi.WithBaseURL(exchange.URL))
	require.NoError(t, err)
	current, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, added.ID, current.ID)
}

// Whatever ends it before the ID is there, the private half is kept, and the error
// says which line to add.
func TestFirstKey_Interrupted(t *testing.T) {
	t.Parallel()
	for name, interrupt := range map[string]func(*session, context.CancelFunc){
		"end of input": func(r *session, _ context.CancelFunc) { _ = r.input.Close() },
		"Ctrl-C":       func(_ *session, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := start(ctx, t)
			r.until(t, prompt)
			interrupt(r, cancel)
			err := <-r.ended
			require.ErrorContains(t, err, "the first line of "+r.path)
			require.ErrorContains(t, err, "\nKALSHI_API_KEY_ID=<id>")

			const id = "01234567-89ab-cdef-0123-456789abcdef"
			text, err := os.ReadFile(r.path)
			require.NoError(t, err)
			credentials, err := kalshi.ParseCredentials([]byte("KALSHI_API_KEY_ID=" + id + "\n" + string(text)))
			require.NoError(t, err)
			assert.Equal(t, id, credentials.KeyID())
		})
	}
}

// A file that exists stays as it is, and nothing is there to paste.
func TestFirstKey_FileExists(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(path, []byte("mine"), 0o600))
	var out strings.Builder
	require.ErrorIs(t, firstKey(t.Context(), strings.NewReader(""), &out, path), os.ErrExist)
	assert.Empty(t, out.String())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(text))
}

func TestDemonstrate(t *testing.T) {
	t.Parallel()
	require.NoError(t, demonstrate(t.Context()))
}
