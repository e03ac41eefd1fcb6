package kalshi

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A baseline makes the same calls by hand, for one program: no retries, limits or typed errors.
type baseline struct {
	hc      *http.Client
	baseURL string
	keyID   string
	key     crypto.Signer // nil if hc signs
}

func (f *baseline) sign(text string) ([]byte, error) {
	switch key := f.key.(type) {
	case *rsa.PrivateKey:
		digest := sha256.Sum256([]byte(text))
		return rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case ed25519.PrivateKey:
		return ed25519.Sign(key, []byte(text)), nil
	default:
		return nil, fmt.Errorf("a %T", key)
	}
}

func (f *baseline) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, f.baseURL+path, body)
	if err != nil {
		return err
	}
	if f.key != nil {
		timestamp := strconv.FormatInt(time.Now().UnixMilli(), 10)
		signature, err := f.sign(timestamp + method + req.URL.Path)
		if err != nil {
			return err
		}
		req.Header.Set("KALSHI-ACCESS-KEY", f.keyID)
		req.Header.Set("KALSHI-ACCESS-TIMESTAMP", timestamp)
		req.Header.Set("KALSHI-ACCESS-SIGNATURE", base64.StdEncoding.EncodeToString(signature))
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "baseline")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := f.hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	if out == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// A benchCase is one call, by the SDK and by hand.
type benchCase struct {
	name          string
	more          float64 // allocations that the SDK may need beyond those by hand
	sdk, baseline func() error
}

// benchCases pairs the four calls, HTTPClient's, and signing alone with the same by hand.
func benchCases(client *Client, f *baseline) (cases []benchCase) {
	ctx := context.Background()
	byHand := map[string]func(method, path string) error{
		"GetAPIKeys": func(method, path string) error {
			return f.call(ctx, method, path, nil, new(GetAPIKeysResponse))
		},
		"CreateAPIKey": func(method, path string) error {
			create := CreateAPIKeyRequest{Name: "bot", PublicKey: testPublicKey()}
			if err := checkPublicKeyPEM(create.PublicKey); err != nil {
				return err
			}
			return f.call(ctx, method, path, create, new(CreateAPIKeyResponse))
		},
		"GenerateAPIKey": func(method, path string) error {
			generate := GenerateAPIKeyRequest{Name: "bot", KeyType: KeyTypeEd25519}
			return f.call(ctx, method, path, generate, new(GenerateAPIKeyResponse))
		},
		"DeleteAPIKey": func(method, path string) error { // by hand, too, the path is made of the ID
			id := strings.TrimPrefix(path, pathAPIKeys+"/")
			return f.call(ctx, method, pathAPIKeys+"/"+url.PathEscape(id), nil, nil)
		},
	}
	for _, call := range apiCalls() {
		cases = append(cases, benchCase{call.name, 0,
			func() error { return call.do(ctx, client) },
			func() error { return byHand[call.name](call.method, call.path) }})
	}
	get := func(f *baseline) func() error {
		return func() error { return f.call(ctx, http.MethodGet, "/portfolio/balance", nil, new(GetAPIKeysResponse)) }
	}
	post := func(f *baseline) func() error {
		order := map[string]string{"ticker": "TEST-26OCT15", "side": "yes"}
		return func() error {
			return f.call(ctx, http.MethodPost, "/portfolio/orders", order, new(CreateAPIKeyResponse))
		}
	}
	for _, timeout := range []time.Duration{0, time.Minute} {
		const more = 6 // for a request of its own, which leaves the caller's alone
		through := &baseline{hc: client.HTTPClient(), baseURL: f.baseURL}
		f := &baseline{&http.Client{Transport: f.hc.Transport}, f.baseURL, f.keyID, f.key}
		through.hc.Timeout, f.hc.Timeout = timeout, timeout
		cases = append(cases,
			benchCase{"HTTPClient GET, Timeout " + timeout.String(), more, get(through), get(f)},
			benchCase{"HTTPClient POST, Timeout " + timeout.String(), more, post(through), post(f)})
	}
	signed := httptest.NewRequest(http.MethodGet, "https://exchange.test/trade-api/v2/api_keys", nil)
	return append(cases, benchCase{"signing", 7, // for the headers
		func() error { return client.signer.SignRequest(signed) },
		func() error { _, err := f.sign("1795378769559GET/trade-api/v2/api_keys"); return err }})
}

// canned responds as the service does, without its work.
func canned(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	switch r.Method {
	case http.MethodGet:
		_, _ = w.Write(cannedList())
	case http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"api_key_id":%q,"key_type":"ed25519","private_key":%q}`, otherKeyID, strings.Repeat("k", 119))
	}
}

// cannedList is a list of ten keys.
var cannedList = sync.OnceValue(func() []byte {
	key := APIKey{ID: testKeyID, Name: "bot", Scopes: []Scope{ScopeRead, ScopeWrite}}
	return must(json.Marshal(GetAPIKeysResponse{APIKeys: slices.Repeat([]APIKey{key}, 10)}))
})

func newBenchPair(tb testing.TB, hc *http.Client, baseURL string, key crypto.Signer) (*Client, *baseline) {
	tb.Helper()
	client, err := NewClient(newTestSigner(tb, key), WithBaseURL(baseURL), WithHTTPClient(hc))
	require.NoError(tb, err)
	return client, &baseline{hc, baseURL, testKeyID, key}
}

// comparePairs runs both sides in turn, and reports the median of the pairs' ratios.
func comparePairs(b *testing.B, sdk, baseline func() error) {
	timed := func(f func() error) float64 {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		return float64(time.Since(start))
	}
	for range 50 { // warm up
		timed(sdk)
		timed(baseline)
	}
	var ratios []float64
	sides := []func() error{sdk, baseline}
	for i := 0; b.Loop(); i++ {
		var took [2]float64
		for _, side := range []int{i % 2, 1 - i%2} {
			took[side] = timed(sides[side])
		}
		ratios = append(ratios, took[0]/took[1])
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x_baseline")
}

// BenchmarkCall compares each call with the same one by hand (pair), and that with itself (noise).
// TestAllocations compares what they allocate.
//
//	go test -run '^$' -bench Call -benchtime 20000x .
func BenchmarkCall(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(canned))
	b.Cleanup(server.Close)
	hc := &http.Client{Transport: new(http.Transport)}
	b.Cleanup(hc.CloseIdleConnections)
	for keyType, key := range testKeys(b) {
		for _, c := range benchCases(newBenchPair(b, hc, server.URL+"/trade-api/v2", key)) {
			name := fmt.Sprintf("%s/%s/", keyType, c.name)
			b.Run(name+"pair", func(b *testing.B) { comparePairs(b, c.sdk, c.baseline) })
			b.Run(name+"noise", func(b *testing.B) { comparePairs(b, c.baseline, c.baseline) })
		}
	}
}

// inMemory has canned respond without a connection.
func inMemory(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		req = req.WithContext(req.Context())
		req.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	canned(w, req)
	return w.Result(), nil
}

// TestAllocations compares allocations, which do not vary as times do.
func TestAllocations(t *testing.T) {
	info, _ := debug.ReadBuildInfo()
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector allocates too")
	}
	count := func(f func() error) float64 {
		return testing.AllocsPerRun(25, func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		})
	}
	hc := &http.Client{Transport: roundTripper(inMemory)}
	for keyType, key := range testKeys(t) {
		client, f := newBenchPair(t, hc, testBaseURL, key)
		quiet, err := NewClient(client.signer, WithBaseURL(testBaseURL), WithHTTPClient(hc), WithLogger(slog.New(slog.DiscardHandler)))
		require.NoError(t, err)
		withLogger := benchCases(quiet, f)
		for i, c := range benchCases(client, f) {
			name := fmt.Sprintf("%s %s", keyType, c.name)
			sdk, baseline, varies := count(c.sdk), count(c.baseline), 0.0
			if strings.HasSuffix(c.name, time.Minute.String()) {
				varies = 1 // with a timer
			}
			t.Logf("%s: %.0f, by hand %.0f", name, sdk, baseline)
			assert.LessOrEqual(t, sdk, baseline+c.more+varies, "%s: allocations, and those by hand", name)
			assert.InDelta(t, sdk, count(withLogger[i].sdk), varies, "%s: with a logger whose level is off", name)
		}
		newClient := func() error { _, err := NewClient(client.signer); return err }
		assert.LessOrEqual(t, count(newClient), 17.0, "a client is little more than what it was given")
	}
}
