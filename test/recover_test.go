package test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// dial makes a request that is signed by hand, as a WebSocket library's dial is.
func (x *exchange) dial(t testing.TB, signer *kalshi.Signer) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.URL+"/portfolio/balance", nil)
	require.NoError(t, err)
	req.Header, err = signer.Headers(http.MethodGet, req.URL.Path)
	require.NoError(t, err)
	resp, err := x.transport.RoundTrip(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// Whoever signs by hand learns from a 401 what the client's own calls learn.
func TestSigner_Recover(t *testing.T) {
	t.Parallel()
	type fault = kalshitest.Fault
	for name, tt := range map[string]struct {
		before func(t *testing.T, x *exchange)
		after  func(t *testing.T, signer *kalshi.Signer, next kalshi.Credentials)
		want   bool
	}{
		"clock": {before: func(_ *testing.T, x *exchange) { x.SetClockOffset(time.Hour) }, want: true},
		"the source has another key": {before: func(t *testing.T, x *exchange) {
			require.NoError(t, x.client(t).DeleteAPIKey(t.Context(), x.KeyID))
		}, want: true},
		"replaced meanwhile": {before: func(_ *testing.T, x *exchange) {
			x.Inject(fault{Status: 401, Body: `{"error":{"code":"any"}}`})
		}, after: func(t *testing.T, signer *kalshi.Signer, next kalshi.Credentials) {
			require.NoError(t, signer.Replace(next))
		}, want: true},
		"success":      {},
		"a 403":        {before: func(_ *testing.T, x *exchange) { x.Inject(fault{Status: 403, Body: expiredBody}) }},
		"another 401":  {before: func(_ *testing.T, x *exchange) { x.Inject(fault{Status: 401, Body: forbiddenBody}) }},
		"clocks agree": {before: func(_ *testing.T, x *exchange) { x.Inject(fault{Status: 401, Body: expiredBody}) }},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				x := inMemory(t)
				x.handleBot()
				next, n := parsed(t, x.AddKey(kalshitest.Key{ID: "next"})), 0
				signer, err := kalshi.NewSignerFromSource(t.Context(), func(context.Context) (kalshi.Credentials, error) {
					if n++; n == 1 {
						return x.credentials(t), nil
					}
					return next, nil
				})
				require.NoError(t, err)
				if tt.before != nil {
					tt.before(t, x)
				}
				resp := x.dial(t, signer)
				if tt.after != nil {
					tt.after(t, signer, next)
				}
				assert.Equal(t, tt.want, signer.Recover(t.Context(), resp))
				if resp.StatusCode == http.StatusUnauthorized {
					body, err := io.ReadAll(resp.Body)
					require.NoError(t, err)
					assert.Contains(t, string(body), `{"error":`, "the body is readable")
				}
				if tt.want {
					assert.Equal(t, 200, x.dial(t, signer).StatusCode)
				}
			})
		})
	}
	signer := newSigner(t, "id", pemText(newKey()))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://a.test", nil)
	require.NoError(t, err)
	unsigned, err := respond(req, 401, unknownKeyBody)
	require.NoError(t, err)
	for name, resp := range map[string]*http.Response{"nil": nil, "without its request": {StatusCode: 401}, "unsigned": unsigned} {
		assert.False(t, signer.Recover(t.Context(), resp), name)
	}
	assert.False(t, (*kalshi.Signer)(nil).Recover(t.Context(), unsigned))
}
