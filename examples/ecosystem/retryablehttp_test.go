package ecosystem_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-retryablehttp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/internal/memnet"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// newRetryingClient returns an HTTP client for the other endpoints that retries
// after a 429, a 5xx and a lost connection. It is above the SDK's HTTPClient,
// which signs each attempt when it is sent, so the waits may be long.
func newRetryingClient(client *kalshi.Client) *http.Client {
	retrying := retryablehttp.NewClient()
	retrying.HTTPClient = client.HTTPClient()
	retrying.CheckRetry = retryOnlyGET
	retrying.ErrorHandler = retryablehttp.PassthroughErrorHandler // the last response, for CheckResponse
	retrying.Logger = nil                                         // it writes every URL to stderr
	hc := retrying.StandardClient()
	hc.CheckRedirect = neverRedirect // as HTTPClient does; this http.Client is another one
	return hc
}

// retryOnlyGET leaves POST and DELETE alone: an order that is sent again after
// its response was lost is placed twice.
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

func neverRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// The service accepts a signature for about 10 seconds. The attempts here are
// 30 seconds apart, and each is accepted. (Inside synctest the waits take no
// time, and the network is in memory.)
func TestRetryablehttp_SignsEachAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := memnet.Listen()
		exchange := kalshitest.NewServer(kalshitest.WithListener(listener))
		t.Cleanup(exchange.Close)
		exchange.Handle("GET /trade-api/v2/portfolio/balance", http.HandlerFunc(serveBalance))
		signer, err := kalshi.NewSignerFromPEM(exchange.KeyID, []byte(exchange.PrivateKey))
		require.NoError(t, err)
		client := newClient(t, signer, exchange.URL, &http.Client{Transport: listener.Transport()})
		hc := newRetryingClient(client)
		retryableOf(hc).RetryWaitMin = 30 * time.Second
		exchange.Inject(
			kalshitest.Fault{Status: http.StatusServiceUnavailable},
			kalshitest.Fault{Status: http.StatusTooManyRequests, Body: kalshitest.TooManyRequestsBody},
		)

		resp, err := hc.Get(client.BaseURL() + "/portfolio/balance")
		require.NoError(t, err)
		defer resp.Body.Close()
		require.NoError(t, kalshi.CheckResponse(resp))

		requests := exchange.Requests()
		require.Len(t, requests, 3)
		for i := 1; i < 3; i++ {
			assert.GreaterOrEqual(t, timestampOf(requests[i])-timestampOf(requests[i-1]), int64(30_000), "attempt %d", i+1)
		}
	})
}

func retryableOf(hc *http.Client) *retryablehttp.Client {
	return hc.Transport.(*retryablehttp.RoundTripper).Client
}

func timestampOf(req kalshitest.Request) int64 {
	ms, _ := strconv.ParseInt(req.Header.Get("KALSHI-ACCESS-TIMESTAMP"), 10, 64)
	return ms
}

// The key is rotated between two attempts, and the second one signs with the
// new key.
func TestRetryablehttp_FollowsRotation(t *testing.T) {
	t.Parallel()
	exchange, client, balanceURL := newPortfolio(t)
	hc := newRetryingClient(client)
	retryableOf(hc).RetryWaitMin = time.Millisecond
	exchange.Inject(kalshitest.Fault{Answer: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		made := exchange.AddKey(kalshitest.Key{Name: "rotated"})
		credentials, err := kalshi.ParseCredentials([]byte(keyFileText(made)))
		assert.NoError(t, err)
		assert.NoError(t, client.Signer().Replace(credentials))
		w.WriteHeader(http.StatusBadGateway)
	})})

	resp, err := hc.Get(balanceURL)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.NoError(t, kalshi.CheckResponse(resp))
	requests := exchange.Requests()
	require.Len(t, requests, 2)
	assert.Equal(t, []string{exchange.KeyID, client.Signer().KeyID()}, []string{requests[0].KeyID, requests[1].KeyID})
}

// When the retries are used up, CheckResponse returns the SDK's error types.
func TestRetryablehttp_GivesUpWithTypedError(t *testing.T) {
	t.Parallel()
	exchange, client, balanceURL := newPortfolio(t)
	hc := newRetryingClient(client)
	retryableOf(hc).RetryMax = 2
	retryableOf(hc).RetryWaitMin = time.Millisecond
	exchange.Inject(kalshitest.Fault{Status: http.StatusServiceUnavailable, Body: kalshitest.ServiceUnavailableBody, Times: -1})

	resp, err := hc.Get(balanceURL)
	require.NoError(t, err)
	defer resp.Body.Close()
	var serverErr *kalshi.ServerError
	require.ErrorAs(t, kalshi.CheckResponse(resp), &serverErr)
	assert.Equal(t, "service_unavailable", serverErr.Code)
	assert.Len(t, exchange.Requests(), 3)
}

// The response to an order is lost: the order was placed once, and the bot gets
// the error.
func TestRetryablehttp_LeavesPOSTAlone(t *testing.T) {
	t.Parallel()
	exchange, client, _ := newPortfolio(t)
	exchange.Handle("POST /trade-api/v2/portfolio/orders", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
	}))
	exchange.Inject(kalshitest.Fault{Method: http.MethodPost, Process: true, Drop: true})

	_, err := newRetryingClient(client).Post(client.BaseURL()+"/portfolio/orders", "application/json", strings.NewReader(`{}`))
	require.Error(t, err)
	assert.Equal(t, 1, processed(exchange, http.MethodPost), "orders")
}
