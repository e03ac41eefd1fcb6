package ecosystem_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// A bucket is one of the two in the response to GET /account/limits, in tokens a
// second and in tokens.
type bucket struct {
	RefillRate     float64 `json:"refill_rate"`
	BucketCapacity int     `json:"bucket_capacity"`
}

func (b bucket) limiter() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(b.RefillRate), b.BucketCapacity)
}

// A limited transport waits until the exchange has tokens for a request. The
// limits are the account's, so several processes have to share them out.
type limited struct {
	base        http.RoundTripper
	read, write *rate.Limiter
}

// cost is that of most endpoints; GET /account/endpoint_costs lists the others.
const cost = 10

// RoundTrip takes from the write bucket for changes to orders, and else from the
// read bucket, as the exchange does.
func (l *limited) RoundTrip(req *http.Request) (*http.Response, error) {
	limiter := l.read
	if req.Method != http.MethodGet && strings.Contains(req.URL.Path, "/orders") {
		limiter = l.write
	}
	if err := limiter.WaitN(req.Context(), cost); err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	return l.base.RoundTrip(req)
}

// newLimitedClient asks for the account's limits and returns an HTTP client that
// keeps to them. It waits above HTTPClient, so that a request is signed when it is
// sent and not when it starts to wait. What HTTPClient sends again by itself is not
// counted: WithMaxRetries(0) turns that off.
func newLimitedClient(ctx context.Context, client *kalshi.Client) (*http.Client, error) {
	hc := client.HTTPClient()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, client.BaseURL()+"/account/limits", nil)
	if err != nil {
		return nil, err
	}
	resp, err := hc.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := kalshi.CheckResponse(resp); err != nil {
		return nil, err
	}
	var limits struct{ Read, Write bucket }
	if err := json.NewDecoder(resp.Body).Decode(&limits); err != nil {
		return nil, err
	}
	hc.Transport = &limited{hc.Transport, limits.Read.limiter(), limits.Write.limiter()}
	return hc, nil
}

// Each bucket here has tokens for two requests. A third would wait for minutes,
// which its context does not allow: it is not sent.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	exchange, client, balanceURL := newPortfolio(t)
	exchange.Handle("GET /trade-api/v2/account/limits", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"usage_tier":"basic","read":{"refill_rate":0.01,"bucket_capacity":25},"write":{"refill_rate":0.01,"bucket_capacity":25}}`)
	}))
	exchange.Handle("DELETE /trade-api/v2/portfolio/orders/{id}", http.HandlerFunc(serveBalance))
	hc, err := newLimitedClient(t.Context(), client)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()

	for method, url := range map[string]string{
		http.MethodGet:    balanceURL,
		http.MethodDelete: client.BaseURL() + "/portfolio/orders/1",
	} {
		for n := range 3 {
			req, err := http.NewRequestWithContext(ctx, method, url, nil)
			require.NoError(t, err)
			resp, err := hc.Do(req)
			if n == 2 {
				require.ErrorContains(t, err, "rate: Wait(n=10)")
				continue
			}
			require.NoError(t, err)
			require.NoError(t, kalshi.CheckResponse(resp))
			require.NoError(t, resp.Body.Close())
		}
	}
	assert.Len(t, exchange.Requests(), 1+2+2)
}
