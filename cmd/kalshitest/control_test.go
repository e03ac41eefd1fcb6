package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// standIn is the program's server within the test, and a client of its control.
type standIn struct {
	*kalshitest.Server
	control string // its URL
}

func startStandIn(t *testing.T, cfg settings) *standIn {
	t.Helper()
	cfg.addr = "127.0.0.1:0"
	server, err := start(cfg)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	return &standIn{server, strings.TrimSuffix(server.URL, "/trade-api/v2") + "/kalshitest/"}
}

// call sends a request to the control and returns the status and the JSON of the
// response, without its line end.
func (s *standIn) call(t *testing.T, method, path, body string, edits ...func(*http.Request)) (status int, text string) {
	t.Helper()
	req, err := http.NewRequest(method, s.control+path, strings.NewReader(body))
	require.NoError(t, err)
	for _, edit := range edits {
		edit(req)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	assert.True(t, json.Valid(all), "%s", all)
	return resp.StatusCode, strings.TrimSuffix(string(all), "\n")
}

// ok is call for a request that succeeds.
func (s *standIn) ok(t *testing.T, method, path, body string) string {
	t.Helper()
	status, text := s.call(t, method, path, body)
	assert.Equal(t, http.StatusOK, status, text)
	return text
}

// client returns a client that signs with a key.
func (s *standIn) client(t *testing.T, keyID, privateKey string) *kalshi.Client {
	t.Helper()
	return newClient(t, map[string]string{"KALSHI_BASE_URL": s.URL, "KALSHI_API_KEY_ID": keyID, "KALSHI_PRIVATE_KEY": privateKey})
}

// send sends a signed request to the exchange and returns the status and the body.
func (s *standIn) send(t *testing.T, method, path string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, nil)
	require.NoError(t, err)
	resp, err := s.client(t, s.KeyID, s.PrivateKey).HTTPClient().Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func TestControl_faults(t *testing.T) {
	t.Parallel()
	s := startStandIn(t, settings{})
	const want = `[{"Path":"/api_keys","Times":2,"Delay":"1ms","Status":503,"Header":{"Retry-After":["1"]}}]`
	assert.Equal(t, "[]", s.ok(t, "GET", "faults", ""))
	assert.Equal(t, want, s.ok(t, "POST", "faults", `{"path":"/api_keys","status":503,"times":2,"delay":"1ms","header":{"retry-after":["1"]}}`))
	assert.Equal(t, want, s.ok(t, "GET", "faults", ""))
	status, _ := s.send(t, "POST", "/api_keys")
	assert.Equal(t, 503, status)
	assert.Equal(t, strings.Replace(want, `"Times":2`, `"Times":1`, 1), s.ok(t, "DELETE", "faults", ""))
	assert.Equal(t, "[]", s.ok(t, "GET", "faults", ""))
}

func TestControl_requests(t *testing.T) {
	t.Parallel()
	s := startStandIn(t, settings{})
	assert.Equal(t, "[]", s.ok(t, "GET", "requests", ""))
	s.send(t, "GET", "/api_keys?a=b")
	req, err := http.NewRequest("POST", s.URL+"/api_keys", strings.NewReader("{}"))
	require.NoError(t, err)
	require.NoError(t, s.client(t, s.KeyID, s.PrivateKey).Signer().SignRequest(req))
	signature := req.Header.Get("Kalshi-Access-Signature")
	req.Header.Set("Kalshi-Access-Signature", strings.TrimRight(signature, "="))
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	text := s.ok(t, "GET", "requests", "")
	assert.NotContains(t, text, signature[:20])
	var got []requestJSON
	require.NoError(t, json.Unmarshal([]byte(text), &got))
	require.Len(t, got, 2)
	got[0].Header, got[1].Header = nil, nil
	assert.Equal(t, requestJSON{Method: "GET", Path: "/trade-api/v2/api_keys", RawQuery: "a=b", KeyID: s.KeyID, Processed: true, Status: 200}, got[0])
	assert.Equal(t, requestJSON{Method: "POST", Path: "/trade-api/v2/api_keys", Body: "{}", KeyID: s.KeyID, Status: 401,
		Diagnosis: "the signature's base64 lacks the = at its end: use standard base64"}, got[1])
	assert.Equal(t, "{}", s.ok(t, "DELETE", "requests", ""))
	assert.Equal(t, "[]", s.ok(t, "GET", "requests", ""))
}

func TestControl_keys(t *testing.T) {
	t.Parallel()
	s := startStandIn(t, settings{})
	var made keyJSON
	require.NoError(t, json.Unmarshal([]byte(s.ok(t, "POST", "keys", `{"Name":"reader","Scopes":["read"],"Subaccount":null}`)), &made))
	_, err := s.client(t, made.ID, made.PrivateKey).GetAPIKeys(t.Context())
	require.NoError(t, err)
	text := s.ok(t, "GET", "keys", "")
	assert.NotContains(t, text, "PrivateKey")
	assert.Contains(t, text, `"ID":"`+made.ID+`","Name":"reader","Type":"ed25519","Scopes":["read"]`)
	assert.Equal(t, "{}", s.ok(t, "DELETE", "keys/"+made.ID, ""))
	status, text := s.call(t, "DELETE", "keys/"+made.ID, "")
	assert.Equal(t, http.StatusNotFound, status)
	assert.Equal(t, `{"error":"there is no key with this ID"}`, text)
}

func TestControl_clock(t *testing.T) {
	t.Parallel()
	s := startStandIn(t, settings{})
	assert.Equal(t, `{"offset":"1h"}`, s.ok(t, "PUT", "clock", `{"offset":"1h"}`))
	_, header := get(t, s.URL)
	date, err := http.ParseTime(header.Get("Date"))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(time.Hour), date, time.Minute)
}

func TestControl_responses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "responses.json")
	require.NoError(t, os.WriteFile(file, []byte(`[{"Method":"GET","Path":"/b","Body":"text"},
		{"Method":"GET","Path":"/trade-api/ws/v2","Status":404,"Body":[1, 2]}]`), 0o600))
	cfg, err := parse([]string{"-respond", `GET /portfolio/balance 200 {"balance":5}`, "-respond", "DELETE /orders/{id} 204", "-responses", file})
	require.NoError(t, err)
	s := startStandIn(t, cfg)
	check := func(method, path string, wantStatus int, wantBody string) {
		t.Helper()
		status, body := s.send(t, method, path)
		assert.Equal(t, wantStatus, status)
		assert.Equal(t, wantBody, body)
	}
	check("GET", "/portfolio/balance", 200, `{"balance":5}`)
	check("DELETE", "/orders/7", 204, "")
	check("GET", "/b", 200, "text")
	check("GET", "/../ws/v2", 404, `{"error":{"code":"not_found","message":"not found"}}`)
	unsigned, _ := get(t, s.URL+"/portfolio/balance")
	assert.Equal(t, http.StatusUnauthorized, unsigned)

	s.ok(t, "POST", "responses", `{"Method":"GET","Path":"/portfolio/balance","Status":500,"Body":{"error": true},"Header":{"a":["b"]}}`)
	check("GET", "/portfolio/balance", 500, `{"error": true}`)
	s.ok(t, "POST", "responses", `[{"Method":"GET","Path":"/c"},{"Method":"GET","Path":"/d","Body":null}]`)
	check("GET", "/c", 200, "")
	check("GET", "/d", 200, "")
	assert.Equal(t, "{}", s.ok(t, "DELETE", "responses", ""))
	check("GET", "/b", 404, `{"error":{"code":"not_found","message":"not found"}}`)
}

func TestControl_regionExpiration(t *testing.T) {
	t.Parallel()
	s := startStandIn(t, settings{responses: []responseJSON{{Method: "POST", Path: "/portfolio/orders", Status: 201}, {Method: "GET", Path: "/a"}}})
	status, _ := s.send(t, "POST", "/portfolio/orders")
	assert.Equal(t, 201, status)
	assert.Equal(t, `{"time":"2020-11-25T12:00:00Z"}`, s.ok(t, "PUT", "region-expiration", `{"time":"2020-11-25T12:00:00Z"}`))
	status, body := s.send(t, "POST", "/portfolio/orders")
	assert.Equal(t, 403, status)
	assert.Equal(t, kalshitest.AttestationLapsedBody, body)
	status, _ = s.send(t, "GET", "/a")
	assert.Equal(t, 200, status)
	assert.Equal(t, `{"time":null}`, s.ok(t, "PUT", "region-expiration", `{"time":null}`))
	status, _ = s.send(t, "POST", "/portfolio/orders")
	assert.Equal(t, 201, status)
}

// After a reset everything is as at the start, whatever a test has done, and the
// first key is there again, even if a bot has rotated it away.
func TestControl_reset(t *testing.T) {
	t.Parallel()
	s := startStandIn(t, settings{clockOffset: time.Second, faults: []string{`{"Method":"PUT","Drop":true}`},
		responses: []responseJSON{{Method: "GET", Path: "/a", Status: 204}}})
	first := s.Keys()
	client := s.client(t, s.KeyID, s.PrivateKey)
	_, err := client.GenerateAPIKey(t.Context(), kalshi.GenerateAPIKeyRequest{Name: "new", KeyType: kalshi.KeyTypeEd25519})
	require.NoError(t, err)
	require.NoError(t, client.DeleteAPIKey(t.Context(), s.KeyID))
	s.ok(t, "POST", "faults", `{"Method":"GET","Status":503}`)
	s.ok(t, "POST", "responses", `[{"Method":"GET","Path":"/a"},{"Method":"GET","Path":"/b"}]`)
	s.ok(t, "PUT", "clock", `{"offset":"1h"}`)
	s.ok(t, "PUT", "region-expiration", `{"time":"2020-11-25T12:00:00Z"}`)

	assert.Equal(t, `{"Faults":[{"Method":"PUT","Times":1,"Drop":true},{"Method":"GET","Times":1,"Status":503}]}`, s.ok(t, "POST", "reset", ""))
	assert.Equal(t, first, s.Keys())
	assert.Empty(t, s.Faults())
	assert.Empty(t, s.Requests())
	keys, err := client.GetAPIKeys(t.Context())
	require.NoError(t, err)
	assert.Nil(t, keys.RegionExpirationTS)
	status, _ := s.send(t, "GET", "/a")
	assert.Equal(t, 204, status)
	status, _ = s.send(t, "GET", "/b")
	assert.Equal(t, 404, status)
	_, header := get(t, s.URL)
	date, err := http.ParseTime(header.Get("Date"))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), date, time.Minute)
}

func TestControl_mistakes(t *testing.T) {
	t.Parallel()
	s := startStandIn(t, settings{})
	tests := []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "", "", 404, "there is no such path: those below /kalshitest/ are clock, faults, keys, keys/{id}, region-expiration, requests, reset, responses"},
		{"GET", "fault", "", 404, "there is no such path"},
		{"PUT", "faults", "", 405, "the methods of this path are DELETE, GET, POST"},
		{"GET", "reset", "", 405, "the methods of this path are POST"},
		{"POST", "faults", "503", 400, "write one JSON object such as {\"Path\":\"/api_keys\",\"Status\":503}"},
		{"POST", "faults", "", 400, "EOF: write one JSON object"},
		{"POST", "faults", `{"Method":"DELTE"}`, 400, `method "DELTE" matches no request`},
		{"POST", "faults", `{"Body":"` + strings.Repeat("x", 1<<20) + `"}`, 400, "http: request body too large"},
		{"POST", "keys", `{"ID":"` + s.KeyID + `"}`, 400, "is taken"},
		{"POST", "keys", `{"Scope":[]}`, 400, "the fields are ID, Name, Type, Scopes, Subaccount, FCMSubtraderID, PublicKey, PrivateKey"},
		{"POST", "responses", `[{"Method":"GET","Path":"balance"}]`, 400, `the Path "balance" does not begin with a slash`},
		{"POST", "responses", `{"Path":"/a"}`, 400, "the Method is missing"},
		{"POST", "responses", `{"Method":"GET","Path":"/a?b"}`, 400, "has a query"},
		{"POST", "responses", `{"Method":"GET","Path":"/a/"}`, 400, "ends in a slash"},
		{"POST", "responses", `{"Method":"GET","Path":"/{"}`, 400, "bad wildcard"},
		{"POST", "responses", `{"Method":"GET","Path":"/{a}/generate/b"}`, 200, ""},
		{"POST", "responses", `{"Method":"GET","Path":"/api_keys/{a}/b"}`, 400, `"GET /trade-api/v2/api_keys/{a}/b" conflicts with pattern "GET /trade-api/v2/{a}/generate/b":`},
		{"POST", "responses", `{"Method":"GET","Path":"/a","Status":204,"Body":{}}`, 400, "status 204 has no body"},
		{"PUT", "clock", `{"offset":30}`, 400, "offset must be a string, not a JSON number"},
		{"PUT", "clock", `{"offset":"30"}`, 400, `the offset "30" is no duration`},
		{"PUT", "region-expiration", `{"time":"soon"}`, 400, "write one JSON object such as"},
	}
	for _, tt := range tests {
		status, text := s.call(t, tt.method, tt.path, tt.body)
		assert.Equal(t, tt.status, status, "%s %s %.60s: %s", tt.method, tt.path, tt.body, text)
		if tt.want != "" {
			var got struct{ Error string }
			require.NoError(t, json.Unmarshal([]byte(text), &got))
			assert.Contains(t, got.Error, tt.want)
		}
	}
}

// A web page must not reach the control: not under its own name for the address, and
// not from its own origin.
func TestControl_webPage(t *testing.T) {
	t.Parallel()
	s := startStandIn(t, settings{})
	tests := []struct {
		host, origin string
		want         int
	}{
		{"", "", 200},
		{"localhost:8080", "", 200},
		{"LOCALHOST", "", 200},
		{"127.0.0.2", "", 200},
		{"[::1]:8080", "", 200},
		{"[::1]", "", 200},
		{"page.example", "", 403},
		{"localhost.page.example:80", "", 403},
		{"192.0.2.1:80", "", 403},
		{"", "https://page.example", 403},
		{"", "null", 403},
		{"", "http://localhost:8080", 403},
	}
	for _, tt := range tests {
		status, _ := s.call(t, "POST", "reset", "", func(r *http.Request) {
			if tt.host != "" {
				r.Host = tt.host
			}
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
		})
		assert.Equal(t, tt.want, status, tt)
	}
}
