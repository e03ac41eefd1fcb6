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

// newRetryingClient returns an HTTP client that retries GET and HEAD longer than
// the SDK does. HTTPClient retries them by itself, up to WithMaxRetries, so most
// bots need none of this; the client here should have WithMaxRetries(0), or the
// attempts multiply.
//
// It is above HTTPClient, which signs each attempt when it is sent, so the waits
// may be longer than a signature is valid (10 seconds, as observed).
func newRetryingClient(client *kalshi.Client) *http.Client {
	retrying := retryablehttp.NewClient()
	retrying.HTTPClient = client.HTTPClient()
	retrying.CheckRetry = retryReads
	retrying.ErrorHandler = retryablehttp.PassthroughErrorHandler // the last response, for CheckResponse
	retrying.Logger = nil                                         // it writes every URL to stderr
	hc := retrying.StandardClient()
	hc.CheckRedirect = neverRedirect // as HTTPClient does; this http.Client is another one
	return hc
}

// retryReads leaves POST and DELETE alone: an order that is sent again after its
// response was lost is placed twice.
func retryReads(ctx context.Context, resp *http.Response, err error) (bool, error) {
	var method string
	if resp != nil {
		method = resp.Request.Method
	} else if failed, ok := errors.AsType[*url.Error](err); ok {
		method = strings.ToUpper(failed.Op) // "Get", "Post"
	}
	if method != http.MethodGet && method != http.MethodHead {
		return false, nil
	}
	return retryablehttp.DefaultRetryPolicy(ctx, resp, err)
}

func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newRetryingPortfolio returns such a client, without waits, and the URL of a
// balance.
func newRetryingPortfolio(t *testing.T) (*kalshitest.Server, *http.Client, *kalshi.Signer, string) {
	t.Helper()
	exchange, client, balanceURL := newPortfolio(t, kalshi.WithMaxRetries(0))
	hc := newRetryingClient(client)
	retrying := hc.Transport.(*retryablehttp.RoundTripper).Client
	retrying.RetryMax, retrying.RetryWaitMin = 2, time.Millisecond
	return exchange, hc, client.Signer(), balanceURL
}

// Each attempt is signed anew: the key is rotated between the two, and the second
// one signs with the new key.
func TestRetryablehttp_SignsEachAttempt(t *testing.T) {
	t.Parallel()
	exchange, hc, signer, balanceURL := newRetryingPortfolio(t)
	exchange.Inject(kalshitest.Fault{Answer: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		credentials, err := kalshi.ParseCredentials([]byte(keyFileText(exchange.AddKey(kalshitest.Key{Name: "rotated"}))))
		assert.NoError(t, err)
		assert.NoError(t, signer.Replace(credentials))
		w.WriteHeader(http.StatusBadGateway)
	})})

	resp, err := hc.Get(balanceURL)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, kalshi.CheckResponse(resp))
	requests := exchange.Requests()
	require.Len(t, requests, 2)
	assert.Equal(t, []string{exchange.KeyID, signer.KeyID()}, []string{requests[0].KeyID, requests[1].KeyID})
}

// When the retries are used up, CheckResponse returns the SDK's error types.
func TestRetryablehttp_GivesUpWithTypedError(t *testing.T) {
	t.Parallel()
	exchange, hc, _, balanceURL := newRetryingPortfolio(t)
	exchange.Inject(kalshitest.Fault{Status: http.StatusServiceUnavailable, Body: kalshitest.ServiceUnavailableBody, Times: -1})

	resp, err := hc.Get(balanceURL)
	require.NoError(t, err)
	defer resp.Body.Close()
	var serverErr *kalshi.ServerError
	require.ErrorAs(t, kalshi.CheckResponse(resp), &serverErr)
	assert.Equal(t, "service_unavailable", serverErr.Code)
	assert.Len(t, exchange.Requests(), 3)
}

// The response to an order is lost or a gateway's: the order was placed once.
func TestRetryablehttp_LeavesPOSTAlone(t *testing.T) {
	t.Parallel()
	for _, fault := range []kalshitest.Fault{{Process: true, Drop: true}, {Process: true, Status: http.StatusBadGateway}} {
		exchange, hc, _, balanceURL := newRetryingPortfolio(t)
		orders := strings.Replace(balanceURL, "/balance", "/orders", 1)
		exchange.Handle("POST /trade-api/v2/portfolio/orders", http.HandlerFunc(serveBalance))
		exchange.Inject(fault)

		resp, err := hc.Post(orders, "application/json", strings.NewReader(`{}`))
		if err == nil {
			assert.Equal(t, http.StatusBadGateway, resp.StatusCode)
			require.NoError(t, resp.Body.Close())
		}
		assert.Equal(t, fault.Drop, err != nil)
		assert.Equal(t, 1, processed(exchange, http.MethodPost), "orders")
	}
}

// WARNING: never put it below the SDK, in WithHTTPClient. With its defaults it
// creates a second key, of which nobody knows, and follows redirects, which take
// the key ID and the signature to whatever host they name.
func TestRetryablehttp_NeverBelow(t *testing.T) {
	t.Parallel()
	below := retryablehttp.NewClient()
	below.RetryWaitMin, below.Logger = time.Millisecond, nil
	exchange, signer := newExchange(t)
	client := newClient(t, signer, exchange.URL, below.StandardClient())

	exchange.Inject(kalshitest.Fault{Method: http.MethodPost, Process: true, Drop: true})
	_, err := client.GenerateAPIKey(t.Context(), newKey)
	require.NoError(t, err)
	assert.Equal(t, 2, processed(exchange, http.MethodPost), "keys created")

	var leaked atomic.Bool
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked.Store(r.Header.Get("KALSHI-ACCESS-SIGNATURE") != "")
	}))
	t.Cleanup(elsewhere.Close)
	exchange.Inject(kalshitest.Fault{Status: http.StatusTemporaryRedirect, Header: http.Header{"Location": {elsewhere.URL}}})
	_, _ = client.GetAPIKeys(t.Context())
	assert.True(t, leaked.Load())
}
