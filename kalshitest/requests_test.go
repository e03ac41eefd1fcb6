package kalshitest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func TestServer_Requests(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	s.Inject(kalshitest.Fault{Method: "DELETE", Status: 500})

	c.do("GET", "/api_keys?fcm_subtrader_id=&x=%20y", "")
	c.do("POST", "/api_keys/generate", `{"name":"x","key_type":"ed25519"}`)
	c.do("DELETE", "/api_keys/a%2Fb", "")
	c.do("GET", "/api_keys", "", func(r *http.Request) { r.Header.Set("KALSHI-ACCESS-KEY", "stranger") })
	c.do("GET", "/nothing/", "")

	const base = "/trade-api/v2"
	want := []kalshitest.Request{
		{Method: "GET", Path: base + "/api_keys", RawQuery: "fcm_subtrader_id=&x=%20y", KeyID: s.KeyID, Processed: true, Status: 200},
		{Method: "POST", Path: base + "/api_keys/generate", Body: []byte(`{"name":"x","key_type":"ed25519"}`), KeyID: s.KeyID, Processed: true, Status: 201},
		{Method: "DELETE", Path: base + "/api_keys/a%2Fb", KeyID: s.KeyID, Status: 500},
		{Method: "GET", Path: base + "/api_keys", KeyID: "stranger", Status: 401},
		{Method: "GET", Path: base + "/nothing/", KeyID: s.KeyID, Status: 301},
	}
	got := s.Requests()
	require.Len(t, got, len(want))
	assert.Equal(t, "application/json", got[1].Header.Get("Content-Type"))
	for i := range got {
		assert.Equal(t, got[i].KeyID, got[i].Header.Get("KALSHI-ACCESS-KEY"))
		assert.NotEmpty(t, got[i].Header.Get("KALSHI-ACCESS-SIGNATURE"))
		want[i].Header = got[i].Header
	}
	assert.Equal(t, want, got)
}

func TestServer_Requests_ShareNothing(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	newClient(t, s).do("POST", "/api_keys", "{}")

	first := s.Requests()
	first[0].Method = "changed"
	first[0].Header.Set("Content-Type", "changed")
	first[0].Body[0] = 'x'

	second := s.Requests()[0]
	assert.Equal(t, "POST", second.Method)
	assert.Equal(t, "application/json", second.Header.Get("Content-Type"))
	assert.Equal(t, "{}", string(second.Body))
}
