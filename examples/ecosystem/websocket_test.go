package ecosystem_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// dial opens the exchange's WebSocket. Call it for each connection, and sign
// anew each time: a signature holds for some seconds only.
func dial(ctx context.Context, signer *kalshi.Signer, host string) (*websocket.Conn, error) {
	header, err := signer.Headers(http.MethodGet, kalshi.WebSocketPath)
	if err != nil {
		return nil, err
	}
	// ws and not wss, since the stand-in is on loopback.
	conn, _, err := websocket.Dial(ctx, "ws://"+host+kalshi.WebSocketPath, &websocket.DialOptions{HTTPHeader: header})
	return conn, err
}

// A socket that is open stays open through a rotation, and the next dial with
// the same signer uses the new key.
func TestWebSocket_SignerFollowsRotation(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	exchange.Handle("GET "+kalshi.WebSocketPath, http.HandlerFunc(echo))
	u, err := url.Parse(exchange.URL)
	require.NoError(t, err)

	before, err := dial(t.Context(), signer, u.Host)
	require.NoError(t, err)
	defer before.CloseNow()
	assert.Equal(t, "hello", roundTrip(t, before, "hello"))

	client := newClient(t, signer, exchange.URL, &http.Client{Transport: &http.Transport{}})
	rotated, err := client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{
		Save: func(context.Context, *kalshi.GenerateAPIKeyResponse) error { return nil }, // a bot stores the key here
	})
	require.NoError(t, err)

	after, err := dial(t.Context(), signer, u.Host)
	require.NoError(t, err)
	defer after.CloseNow()
	assert.Equal(t, "hello again", roundTrip(t, after, "hello again"))
	assert.Equal(t, "still here", roundTrip(t, before, "still here"))
	assert.Equal(t, []string{rotated.OldKeyID, rotated.NewKeyID}, dialledWith(exchange))
}

// A dial without the headers is refused as any other call would be.
func TestWebSocket_Unsigned(t *testing.T) {
	t.Parallel()
	exchange, _ := newExchange(t)
	exchange.Handle("GET "+kalshi.WebSocketPath, http.HandlerFunc(echo))
	u, err := url.Parse(exchange.URL)
	require.NoError(t, err)

	_, resp, err := websocket.Dial(t.Context(), "ws://"+u.Host+kalshi.WebSocketPath, nil)
	require.Error(t, err)
	assert.Equal(t, http.StatusUnauthorized, resp.StatusCode)
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

// echo is the exchange's side of the socket: it sends back what it gets.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}
