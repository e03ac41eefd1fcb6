// Portfolio prints the account's balance and positions, and opens its
// WebSocket. One HTTP client signs all of it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
)

func main() {
	example.Run("portfolio prints the balance and the positions, and opens the WebSocket.", portfolio)
}

func portfolio(ctx context.Context, s *example.Session) error {
	if s.StandIn != nil {
		serve(s.StandIn)
	}
	hc, baseURL := s.Client.HTTPClient(), s.Client.BaseURL()
	var balance struct{ Balance int64 } // in cents
	if err := get(ctx, hc, baseURL+"/portfolio/balance", &balance); err != nil {
		return err
	}
	fmt.Printf("Balance    %.2f dollars\n", float64(balance.Balance)/100)

	var positions struct {
		Markets []struct {
			Ticker   string
			Position string `json:"position_fp"`
		} `json:"market_positions"`
	}
	if err := get(ctx, hc, baseURL+"/portfolio/positions", &positions); err != nil {
		return err
	}
	for _, p := range positions.Markets {
		fmt.Printf("Position   %8s  %s\n", p.Position, p.Ticker)
	}
	return dial(ctx, hc, s.Client.WebSocketURL())
}

func get(ctx context.Context, hc *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := kalshi.CheckResponse(resp); err != nil {
		return err // a *kalshi.UnauthorizedError, *kalshi.RateLimitError, …
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
