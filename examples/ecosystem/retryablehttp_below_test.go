package ecosystem_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// newRetryingTransport returns an http.Client that retries below the SDK. Better
// put retryablehttp above (retryablehttp_test.go): the SDK's own calls retry by
// themselves. This one is for a bot whose other parts need such a client, and
// shows what it must not do.
func newRetryingTransport() *http.Client {
	retrying := retryablehttp.NewClient()
	retrying.CheckRetry = retryOnlyGET // a POST that is sent again can create a second key
	retrying.ErrorHandler = retryablehttp.PassthroughErrorHandler
	retrying.HTTPClient.CheckRedirect = neverRedirect

	// All attempts carry the signature of the first, which the service accepts
	// for about 10 s: keep the waits between them well below that.
	retrying.RetryMax = 2
	retrying.RetryWaitMin = 10 * time.Millisecond
	retrying.RetryWaitMax = time.Second

	retrying.Logger = nil
	hc := retrying.StandardClient()
	hc.Timeout = 30 * time.Second // for all attempts together; the default is none
	return hc
}

func TestRetryablehttpBelow_RetriesGET(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	client := newClient(t, signer, exchange.URL, newRetryingTransport(), kalshi.WithMaxRetries(0))
	exchange.Inject(
		kalshitest.Fault{Status: http.StatusServiceUnavailable},
		kalshitest.Fault{Cut: true, Status: http.StatusBadGateway, Body: "<html>"},
	)

	_, err := client.GetAPIKeys(t.Context())
	require.NoError(t, err)
	assert.Len(t, exchange.Requests(), 3)
}

// When the retries are used up, the SDK returns its own error types.
func TestRetryablehttpBelow_GivesUpWithTypedError(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	client := newClient(t, signer, exchange.URL, newRetryingTransport(), kalshi.WithMaxRetries(0))
	exchange.Inject(kalshitest.Fault{Status: http.StatusServiceUnavailable, Body: kalshitest.ServiceUnavailableBody, Times: -1})

	_, err := client.GetAPIKeys(t.Context())
	var serverErr *kalshi.ServerError
	require.ErrorAs(t, err, &serverErr)
	assert.Equal(t, "service_unavailable", serverErr.Code)
	assert.Len(t, exchange.Requests(), 3)
}

// The response to a create request is lost: one key was created, and the error
// says that it may exist.
func TestRetryablehttpBelow_LeavesPOSTAlone(t *testing.T) {
	t.Parallel()
	lost := []kalshitest.Fault{
		{Method: http.MethodPost, Process: true, Drop: true},
		{Method: http.MethodPost, Process: true, Status: http.StatusBadGateway},
	}
	for _, fault := range lost {
		exchange, signer := newExchange(t)
		client := newClient(t, signer, exchange.URL, newRetryingTransport(), kalshi.WithMaxRetries(0))
		exchange.Inject(fault)

		_, err := client.GenerateAPIKey(t.Context(), newKey)
		var unknown *kalshi.OutcomeUnknownError
		require.ErrorAs(t, err, &unknown)
		assert.Equal(t, "my bot", unknown.KeyName)
		assert.Equal(t, 1, processed(exchange, http.MethodPost), "keys created")
	}
}

// WARNING: with its defaults, retryablehttp below the SDK creates a second key.
// The call succeeds, and nobody knows of the first one.
func TestRetryablehttpBelow_DefaultsCreateTwice(t *testing.T) {
	t.Parallel()
	exchange, signer := newExchange(t)
	client := newClient(t, signer, exchange.URL, newDefaultRetryingTransport(), kalshi.WithMaxRetries(0))
	exchange.Inject(kalshitest.Fault{Method: http.MethodPost, Process: true, Drop: true})

	_, err := client.GenerateAPIKey(t.Context(), newKey)
	require.NoError(t, err)
	assert.Equal(t, 2, processed(exchange, http.MethodPost), "keys created")
	assert.Len(t, exchange.Keys(), 3, "the bot's own key, the lost one and the one that was returned")
}

// A delete that is sent again after its response was lost finds no key. The SDK
// knows what it sent, and takes the 404 as success. WARNING: what a transport
// below sends again the SDK does not see, and the key that was deleted becomes a
// NotFoundError.
func TestRetryablehttpBelow_DeletesTwice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		hc           *http.Client
		retries      int
		wantNotFound bool
	}{
		{"retried by the SDK", newRetryingTransport(), 2, false},
		{"retried by retryablehttp with its defaults", newDefaultRetryingTransport(), 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			exchange, signer := newExchange(t)
			client := newClient(t, signer, exchange.URL, tt.hc, kalshi.WithMaxRetries(tt.retries))
			old := exchange.AddKey(kalshitest.Key{Name: "old"})
			exchange.Inject(kalshitest.Fault{Method: http.MethodDelete, Process: true, Drop: true})

			err := client.DeleteAPIKey(t.Context(), old.ID)
			var notFound *kalshi.NotFoundError
			assert.Equal(t, tt.wantNotFound, errors.As(err, &notFound))
			assert.Equal(t, tt.wantNotFound, err != nil)
			assert.Len(t, exchange.Keys(), 1)
		})
	}
}

// WARNING: with its defaults, retryablehttp below the SDK follows redirects and
// sends the key ID and the signature to whatever host they name.
func TestRetryablehttpBelow_Redirects(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name       string
		hc         *http.Client
		wantLeaked bool
	}{
		{"with neverRedirect", newRetryingTransport(), false},
		{"with the defaults", newDefaultRetryingTransport(), true},
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

// newDefaultRetryingTransport returns retryablehttp with its defaults, except
// for the waits and the log.
func newDefaultRetryingTransport() *http.Client {
	retrying := retryablehttp.NewClient()
	retrying.RetryWaitMin = time.Millisecond
	retrying.Logger = nil
	return retrying.StandardClient()
}
