package ecosystem_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/examples/ecosystem/portfolio"
)

// A generated client reaches the rest of the exchange; the signer is its
// request editor. It signs last, and anew for each request.
func TestOpenAPI_SignerAsRequestEditor(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	exchange.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"balance":100000}`)
	}))

	client, err := portfolio.NewClientWithResponses(exchange.URL, portfolio.WithRequestEditorFn(
		func(_ context.Context, req *http.Request) error { return signer.SignRequest(req) }))
	require.NoError(t, err)

	subaccount := 3 // goes into the query, which is not signed
	for range 2 {
		got, err := client.GetBalanceWithResponse(t.Context(), &portfolio.GetBalanceParams{Subaccount: &subaccount})
		require.NoError(t, err)
		require.NotNil(t, got.JSON200, "%s: %s", got.Status(), got.Body)
		assert.Equal(t, int64(100000), got.JSON200.Balance)
	}
	assert.Equal(t, "subaccount=3", exchange.Requests()[0].RawQuery)
}

// Without the editor the exchange refuses.
func TestOpenAPI_Unsigned(t *testing.T) {
	t.Parallel()
	exchange, _ := newExchange(t)
	exchange.Handle("GET /trade-api/v2/portfolio/balance", http.NotFoundHandler())
	client, err := portfolio.NewClientWithResponses(exchange.URL)
	require.NoError(t, err)

	got, err := client.GetBalanceWithResponse(t.Context(), nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUnauthorized, got.StatusCode())
}
