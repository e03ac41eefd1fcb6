// Sign uses the signer without the client's calls: for a request to another
// endpoint of the exchange, and for a WebSocket handshake.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
)

func main() {
	path := flag.String("path", "/portfolio/balance", "a `path` below the base URL to get")
	example.Run("sign signs a request to another endpoint, and a WebSocket handshake.", func(ctx context.Context, s *example.Session) error {
		if s.StandIn != nil {
			s.StandIn.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(balance))
			s.StandIn.Handle("GET "+kalshi.WebSocketPath, http.HandlerFunc(upgrade))
		}
		hc := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		if err := getSigned(ctx, hc, s, "/"+strings.TrimPrefix(*path, "/")); err != nil {
			return err
		}
		return handshake(ctx, hc, s)
	})
}

// getSigned sends any request: SignRequest sets the headers right before.
func getSigned(ctx context.Context, hc *http.Client, s *example.Session, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.BaseURL+path, nil)
	if err != nil {
		return err
	}
	if err := s.Client.Signer().SignRequest(req); err != nil {
		return err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 200))
	fmt.Printf("GET %s\n  signed at  %s\n  answer     %s  %s\n\n", req.URL.Path, req.Header.Get("KALSHI-ACCESS-TIMESTAMP"), resp.Status, body)
	return err
}

// handshake opens a WebSocket. A WebSocket library takes the same headers as
// an option of its dial.
func handshake(ctx context.Context, hc *http.Client, s *example.Session) error {
	header, err := s.Client.Signer().Headers(http.MethodGet, kalshi.WebSocketPath)
	if err != nil {
		return err
	}
	header.Set("Connection", "Upgrade")
	header.Set("Upgrade", "websocket")
	header.Set("Sec-WebSocket-Version", "13")
	header.Set("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")

	u, err := url.Parse(s.BaseURL)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.Scheme+"://"+u.Host+kalshi.WebSocketPath, nil)
	if err != nil {
		return err
	}
	req.Header = header
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	fmt.Printf("GET %s\n  signed at  %s\n  answer     %s\n", req.URL.Path, header.Get("KALSHI-ACCESS-TIMESTAMP"), strings.TrimSpace(resp.Status))
	return nil
}

// balance and upgrade are the stand-in's side; the exchange's has more to say.
func balance(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"balance":100000}`)
}

func upgrade(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Connection", "Upgrade")
	w.Header().Set("Upgrade", "websocket")
	w.WriteHeader(http.StatusSwitchingProtocols)
}
