package kalshi

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Key text in the place of an ID does not reach the log.
func TestLogID(t *testing.T) {
	t.Parallel()
	text := encodeBase64(encodePEM("PRIVATE KEY", pkcs8(t, newEd25519Key(t))))
	for _, logged := range []slog.Value{logID("key_id", text).Value, GenerateAPIKeyResponse{ID: text}.LogValue()} {
		assert.NotContains(t, logged.String(), text[:20])
	}
}

// panicking is a handler that panics the first time.
type panicking struct {
	slog.Handler
	panicked bool
}

func (p *panicking) Handle(ctx context.Context, r slog.Record) error {
	if !p.panicked {
		p.panicked = true
		panic("full disk")
	}
	return p.Handler.Handle(ctx, r)
}

// A handler that panics once does not silence what comes after.
func TestReporter_handlerPanics(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(&panicking{Handler: slog.NewTextHandler(&out, nil)})
	client, _ := newTestClient(t, WithLogger(logger))
	require.NoError(t, client.signer.Replace(credentials(t, "second", newEd25519Key(t))))
	assert.Panics(t, func() { client.reporter.changes(t.Context()) })
	require.NoError(t, client.signer.Replace(credentials(t, "third", newEd25519Key(t))))
	client.reporter.changes(t.Context())
	assert.Contains(t, out.String(), "new_key_id=third")
}
