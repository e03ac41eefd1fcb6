package ecosystem_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/websocket"
	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// dial opens the exchange's WebSocket with coder/websocket, which dials with an
// HTTP client: HTTPClient signs each dial.
func dial(ctx context.Context, client *kalshi.Client) (*websocket.Conn, error) {
	conn, _, err := websocket.Dial(ctx, client.WebSocketURL(), &websocket.DialOptions{HTTPClient: client.HTTPClient()})
	return conn, err
}

// Another process rotates the key, and the exchange closes the socket. The bot
// dials again, as it does after any closed socket, and that is all: the old key
// is refused, HTTPClient gets the new one from the key source and signs anew.
func TestWebSocket_ReconnectsAfterRotation(t *testing.T) {
	t.Parallel()
	exchange, oldSigner := newExchange(t)
	exchange.Handle("GET "+kalshi.WebSocketPath, http.HandlerFunc(echo))
	current := kalshitest.Key{ID: exchange.KeyID, PrivateKey: exchange.PrivateKey}
	signer, err := kalshi.NewSignerFromSource(t.Context(), func(context.Context) (kalshi.Credentials, error) {
		return kalshi.ParseCredentials([]byte(keyFileText(current)))
	})
	require.NoError(t, err)
	client := newClient(t, signer, exchange.URL, &http.Client{Transport: &http.Transport{}})

	conn, err := dial(t.Context(), client)
	require.NoError(t, err)
	assert.Equal(t, "hello", roundTrip(t, conn, "hello"))

	current = rotateElsewhere(t, exchange, oldSigner)
	require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte("close")))
	_, _, err = conn.Read(t.Context())
	require.Error(t, err, "the exchange has closed the socket")

	conn, err = dial(t.Context(), client)
	require.NoError(t, err)
	defer conn.CloseNow()
	assert.Equal(t, "hello again", roundTrip(t, conn, "hello again"))
	assert.Equal(t, []string{exchange.KeyID, exchange.KeyID, current.ID}, dialledWith(exchange))
}

// dialGorilla opens the socket with gorilla/websocket, which makes its own HTTP
// request: each dial needs new headers, since the exchange accepts a signature for
// about 10 seconds. Recover learns what a 401 teaches, as HTTPClient does.
func dialGorilla(ctx context.Context, client *kalshi.Client) (*gorilla.Conn, error) {
	signer := client.Signer()
	for attempt := 1; ; attempt++ {
		header, err := signer.Headers(http.MethodGet, kalshi.WebSocketPath)
		if err != nil {
			return nil, err
		}
		conn, resp, err := gorilla.DefaultDialer.DialContext(ctx, client.WebSocketURL(), header)
		if err == nil || attempt == 3 || !signer.Recover(ctx, resp) {
			return conn, err
		}
	}
}

func TestWebSocket_Gorilla(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	exchange.Handle("GET "+kalshi.WebSocketPath, http.HandlerFunc(echo))
	client := newClient(t, signer, exchange.URL, &http.Client{Transport: &http.Transport{}})

	for _, offset := range []time.Duration{0, time.Hour} {
		exchange.SetClockOffset(offset)
		conn, err := dialGorilla(t.Context(), client)
		require.NoError(t, err, "the clocks are %v apart", offset)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.WriteMessage(gorilla.TextMessage, []byte("hello")))
		_, got, err := conn.ReadMessage()
		require.NoError(t, err)
		assert.Equal(t, "hello", string(got))
	}
}

// An open socket stays open through a rotation, and the next dial uses the new
// key.
func TestWebSocket_StaysOpenThroughRotation(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	exchange.Handle("GET "+kalshi.WebSocketPath, http.HandlerFunc(echo))
	client := newClient(t, signer, exchange.URL, &http.Client{Transport: &http.Transport{}})

	before, err := dial(t.Context(), client)
	require.NoError(t, err)
	defer before.CloseNow()
	rotated, err := client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{
		Store: kalshi.KeyFile(filepath.Join(t.TempDir(), "key.pem")),
	})
	require.NoError(t, err)

	after, err := dial(t.Context(), client)
	require.NoError(t, err)
	defer after.CloseNow()
	assert.Equal(t, "hello", roundTrip(t, after, "hello"))
	assert.Equal(t, "still here", roundTrip(t, before, "still here"))
	assert.Equal(t, []string{rotated.OldKeyID, rotated.NewKeyID}, dialledWith(exchange))
}

// dialledWith returns the IDs of the keys that signed the dials, in order.
func dialledWith(exchange *kalshitest.Server) (keyIDs []string) {
	for _, req := range exchange.Requests() {
		if req.Path == kalshi.WebSocketPath {
			keyIDs = append(keyIDs, req.KeyID)
		}
	}
	return keyIDs
}

func roundTrip(t *testing.T, conn *websocket.Conn, text string) string {
	t.Helper()
	require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(text)))
	_, got, err := conn.Read(t.Context())
	require.NoError(t, err)
	return string(got)
}

// echo is the exchange's side of the socket: it sends back what it receives,
// until it receives "close".
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || string(message) == "close" || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}
