package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// dial makes a WebSocket's handshake. The signing client is all it needs: a bot
// hands it to a WebSocket library (see examples/ecosystem), which also speaks
// the protocol that follows.
func dial(ctx context.Context, hc *http.Client, url string) error {
	url = "http" + strings.TrimPrefix(url, "ws") // wss is dialled by https
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	req.Header.Set("Sec-WebSocket-Version", "13")
	req.Header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return errors.Join(errors.New("no WebSocket was opened: "+resp.Status), kalshi.CheckResponse(resp))
	}
	fmt.Println("WebSocket ", resp.Status)
	return nil
}
