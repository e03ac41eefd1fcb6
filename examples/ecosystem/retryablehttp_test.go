package ecosystem_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// newRetryingClient returns an http.Client that retries underneath the SDK.
// The SDK retries by itself and needs none of this; it is for an http.Client
// that the rest of a bot uses too.
func newRetryingClient() *http.Client {
	retrying := retryablehttp.NewClient()
	retrying.CheckRetry = retryOnlyGET
	retrying.ErrorHandler = retryablehttp.PassthroughErrorHandler // the last answer, for the SDK to make an error of
	retrying.HTTPClient.CheckRedirect = neverRedirect

	// All attempts carry the signature of the first, which holds for about
	// 10 s: keep the waits between them well below that. (To sign anew in
	// PrepareRetry would spoil rotations: they verify the new key with requests
	// that it signs before the signer has it.)
	retrying.RetryMax = 2
	retrying.RetryWaitMin = 10 * time.Millisecond
	retrying.RetryWaitMax = time.Second

	retrying.Logger = nil // it writes every URL to stderr
	hc := retrying.StandardClient()
	hc.Timeout = 30 * time.Second // for all attempts together; it comes without
	return hc
}

// retryOnlyGET leaves POST alone, since repeating one can make a second key,
// and DELETE, since a transport that does not pass on traces would turn its
// success into a 404.
func retryOnlyGET(ctx context.Context, resp *http.Response, err error) (bool, error) {
	var method string
	var urlErr *url.Error
	switch {
	case resp != nil && resp.Request != nil:
		method = resp.Request.Method
	case errors.As(err, &urlErr):
		method = strings.ToUpper(urlErr.Op) // "Get", "Post"
	}
	if method != http.MethodGet {
		return false, nil
	}
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}

// neverRedirect is what the SDK sees to for its own http.Client. The one
// inside retryablehttp is another, and would follow.
func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func TestRetryablehttp_RetriesGET(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	client := newClient(t, signer, exchange.URL, newRetryingClient(), kalshi.WithMaxRetries(0))
	exchange.Inject(
		kalshitest.Fault{Status: http.StatusServiceUnavailable},
		kalshitest.Fault{Cut: true, Status: http.StatusBadGateway, Body: "<html>"},
	)

	_, err := client.GetAPIKeys(t.Context())
	require.NoError(t, err)
	assert.Len(t, exchange.Requests(), 3)
}

// With the retries used up, the SDK's own error types still tell what happened.
func TestRetryablehttp_GivesUpWithTypedError(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	client := newClient(t, signer, exchange.URL, newRetryingClient(), kalshi.WithMaxRetries(0))
	exchange.Inject(kalshitest.Fault{Status: http.StatusServiceUnavailable, Body: kalshitest.ServiceUnavailableBody, Times: -1})

	_, err := client.GetAPIKeys(t.Context())
	var serverErr *kalshi.ServerError
	require.ErrorAs(t, err, &serverErr)
	assert.Equal(t, "service_unavailable", serverErr.Code)
	assert.Len(t, exchange.Requests(), 3)
}

// The answer to a mint is lost: one key was made, and the bot is told so.
func TestRetryablehttp_LeavesPOSTAlone(t *testing.T) {
	t.Parallel()
	lost := []kalshitest.Fault{
		{Method: http.MethodPost, Process: true, Drop: true},
		{Method: http.MethodPost, Process: true, Status: http.StatusBadGateway},
	}
	for _, fault := range lost {
		exchange, signer := newExchange(t)
		client := newClient(t, signer, exchange.URL, newRetryingClient(), kalshi.WithMaxRetries(0))
		exchange.Inject(fault)

		_, err := client.GenerateAPIKey(t.Context(), newKey)
		var unknown *kalshi.OutcomeUnknownError
		require.ErrorAs(t, err, &unknown)
		assert.Equal(t, "my bot", unknown.KeyName)
		assert.Equal(t, 1, processed(exchange, http.MethodPost), "mints")
	}
}

// WARNING: this is retryablehttp as it comes. It makes a second key, the call
// succeeds, and nobody knows of the first one.
func TestRetryablehttp_AsItComesMintsTwice(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	client := newClient(t, signer, exchange.URL, newDefaultRetryingClient(), kalshi.WithMaxRetries(0))
	exchange.Inject(kalshitest.Fault{Method: http.MethodPost, Process: true, Drop: true})

	_, err := client.GenerateAPIKey(t.Context(), newKey)
	require.NoError(t, err)
	assert.Equal(t, 2, processed(exchange, http.MethodPost), "mints")
	assert.Len(t, exchange.Keys(), 3, "the bot's own key, the lost one and the one it was told of")
}

// A repeated delete finds the key gone. Whoever repeats it, the SDK sees that
// it was sent twice, and takes the 404 for the success that it is.
func TestRetryablehttp_DeletesTwice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		hc      *http.Client
		retries int
	}{
		{"retried by retryablehttp", newDefaultRetryingClient(), 0},
		{"retried by the SDK", newRetryingClient(), 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			exchange, signer := newExchange(t)
			client := newClient(t, signer, exchange.URL, tt.hc, kalshi.WithMaxRetries(tt.retries))
			old := exchange.AddKey(kalshitest.Key{Name: "old"})
			exchange.Inject(kalshitest.Fault{Method: http.MethodDelete, Process: true, Drop: true})

			require.NoError(t, client.DeleteAPIKey(t.Context(), old.ID))
			assert.Len(t, exchange.Keys(), 1)
		})
	}
}

// WARNING: and it follows redirects, with the key ID and the signature, to
// whatever host they name.
func TestRetryablehttp_Redirects(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		hc         *http.Client
		wantLeaked bool
	}{
		{"with neverRedirect", newRetryingClient(), false},
		{"as it comes", newDefaultRetryingClient(), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var leaked atomic.Bool
			elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				leaked.Store(r.Header.Get("KALSHI-ACCESS-SIGNATURE") != "")
			}))
			t.Cleanup(elsewhere.Close)
			exchange, signer := newExchange(t)
			client := newClient(t, signer, exchange.URL, tt.hc, kalshi.WithMaxRetries(0))
			exchange.Inject(kalshitest.Fault{
				Status: http.StatusTemporaryRedirect,
				Header: http.Header{"Location": {elsewhere.URL}},
			})

			_, err := client.GetAPIKeys(t.Context())
			require.Error(t, err)
			assert.Equal(t, tt.wantLeaked, leaked.Load())
			var apiErr *kalshi.APIError
			if !tt.wantLeaked && assert.ErrorAs(t, err, &apiErr) {
				assert.Equal(t, http.StatusTemporaryRedirect, apiErr.StatusCode)
			}
		})
	}
}

// newDefaultRetryingClient is retryablehttp as it comes, but for its long
// waits and its log.
func newDefaultRetryingClient() *http.Client {
	retrying := retryablehttp.NewClient()
	retrying.RetryWaitMin = time.Millisecond
	retrying.Logger = nil
	return retrying.StandardClient()
}
