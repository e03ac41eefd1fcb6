package ecosystem_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"net/http"
	"testing"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// Nothing is served at this base URL.
const mockedURL = "https://exchange.test/trade-api/v2"

func mockedList() httpmock.Responder {
	return httpmock.NewStringResponder(http.StatusOK, `{"api_keys":[{"api_key_id":"1","name":"mocked","scopes":["read"]}]}`)
}

func newMockedSigner(t *testing.T) *kalshi.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	signer, err := kalshi.NewSigner("any-key-id", key)
	require.NoError(t, err)
	return signer
}

// A mock for one client alone leaves everything else as it is, so that tests
// can run in parallel.
func TestHTTPMock_Transport(t *testing.T) {
	t.Parallel()
	mock := httpmock.NewMockTransport()
	mock.RegisterResponder(http.MethodGet, mockedURL+"/api_keys", mockedList())
	client := newClient(t, newMockedSigner(t), mockedURL, &http.Client{Transport: mock})

	keys, err := client.GetAPIKeys(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "mocked", keys.APIKeys[0].Name)
}

// Activate replaces http.DefaultTransport. A client without an http.Client of
// its own looks it up at each call, so that it does not matter which is first.
// Not parallel: other tests may use the default transport.
func TestHTTPMock_Activate(t *testing.T) {
	newDefaultClient := func(t *testing.T) *kalshi.Client {
		client, err := kalshi.NewClient(newMockedSigner(t), kalshi.WithBaseURL(mockedURL))
		require.NoError(t, err)
		return client
	}
	t.Run("before NewClient", func(t *testing.T) {
		httpmock.Activate(t)
		httpmock.RegisterResponder(http.MethodGet, mockedURL+"/api_keys", mockedList())
		client := newDefaultClient(t)

		_, err := client.GetAPIKeys(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, httpmock.GetTotalCallCount())
	})
	t.Run("after NewClient", func(t *testing.T) {
		client := newDefaultClient(t)
		httpmock.Activate(t)
		httpmock.RegisterResponder(http.MethodGet, mockedURL+"/api_keys", mockedList())

		_, err := client.GetAPIKeys(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, httpmock.GetTotalCallCount())
	})
}

// An http.Client of the bot's own can be mocked too, at any time.
func TestHTTPMock_ActivateNonDefault(t *testing.T) {
	hc := &http.Client{}
	client := newClient(t, newMockedSigner(t), mockedURL, hc)
	httpmock.ActivateNonDefault(hc)
	t.Cleanup(httpmock.DeactivateAndReset)
	httpmock.RegisterResponder(http.MethodGet, mockedURL+"/api_keys", mockedList())

	_, err := client.GetAPIKeys(t.Context())
	require.NoError(t, err)
	assert.Equal(t, 1, httpmock.GetTotalCallCount())
}
