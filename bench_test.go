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
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A baseline makes the same calls by hand, as a careful engineer would for one
// program: no retries, limits or typed errors.
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
	sdk, baseline func() error
}

// benchCases pairs the calls of apiCalls, calls to other endpoints through
// HTTPClient, and signing alone, with the same by hand.
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
		cases = append(cases, benchCase{call.name,
			func() error { return call.do(ctx, client) },
			func() error { return byHand[call.name](call.method, call.path) }})
	}
	order := map[string]string{"ticker": "TEST-26OCT15", "side": "yes"}
	get := func(f *baseline) error {
		return f.call(ctx, http.MethodGet, "/portfolio/balance", nil, new(GetAPIKeysResponse))
	}
	post := func(f *baseline) error {
		return f.call(ctx, http.MethodPost, "/portfolio/orders", order, new(CreateAPIKeyResponse))
	}
	signed := httptest.NewRequest(http.MethodGet, "https://exchange.test/trade-api/v2/api_keys", nil)
	signByHand := func() error {
		_, err := f.sign("1795378769559GET/trade-api/v2/api_keys")
		return err
	}
	through := &baseline{hc: client.HTTPClient(), baseURL: f.baseURL}
	return append(cases,
		benchCase{"HTTPClient GET", func() error { return get(through) }, func() error { return get(f) }},
		benchCase{"HTTPClient POST", func() error { return post(through) }, func() error { return post(f) }},
		benchCase{"signing", func() error { return client.signer.SignRequest(signed) }, signByHand})
}

// canned responds as the service does, without its work, with a list of that
// many keys.
func canned(keys int) http.HandlerFunc {
	list := make([]APIKey, keys)
	for i := range list {
		id := fmt.Sprintf("11111111-2222-4333-8444-%012d", i)
		list[i] = APIKey{ID: id, Name: "bot " + strconv.Itoa(i), Scopes: []Scope{ScopeRead, ScopeWrite}}
	}
	listing, err := json.Marshal(GetAPIKeysResponse{APIKeys: list})
	if err != nil {
		panic(err)
	}
	created := fmt.Sprintf(`{"api_key_id":%q,"key_type":"ed25519","private_key":%q}`, otherKeyID, strings.Repeat("k", 119))
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.Method {
		case http.MethodGet:
			_, _ = w.Write(listing)
		case http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		default:
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, created)
		}
	}
}

func newBenchPair(tb testing.TB, hc *http.Client, baseURL string, key crypto.Signer) (*Client, *baseline) {
	tb.Helper()
	client, err := NewClient(newTestSigner(tb, key), WithBaseURL(baseURL), WithHTTPClient(hc))
	require.NoError(tb, err)
	return client, &baseline{hc, baseURL, testKeyID, key}
}

// newBenchServer starts a server and an http.Client for it that keeps enough
// connections for 64 callers.
func newBenchServer(tb testing.TB, keys int) (baseURL string, hc *http.Client) {
	tb.Helper()
	server := httptest.NewServer(canned(keys))
	transport := &http.Transport{MaxIdleConns: 100, MaxIdleConnsPerHost: 100}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return server.URL + "/trade-api/v2", &http.Client{Transport: transport}
}

// comparePairs runs both sides in turn, call by call, and reports the median
// of the pairs' ratios: drifts of the machine meet both sides alike.
func comparePairs(b *testing.B, sdk, baseline func() error) {
	b.Helper()
	ratios := make([]float64, 0, 1<<16)
	timed := func(f func() error) time.Duration {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	for range 50 { // warm up
		timed(sdk)
		timed(baseline)
	}
	sides := []func() error{sdk, baseline}
	for i := 0; b.Loop(); i++ {
		var took [2]time.Duration
		for _, side := range []int{i % 2, 1 - i%2} {
			took[side] = timed(sides[side])
		}
		ratios = append(ratios, float64(took[0])/float64(took[1]))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x_baseline")
}

// compare runs a pair in turn, the baseline against itself (noise), and each side
// alone.
func compare(b *testing.B, name string, sdk, baseline func() error) {
	b.Run(name+"/pair", func(b *testing.B) { comparePairs(b, sdk, baseline) })
	b.Run(name+"/noise", func(b *testing.B) { comparePairs(b, baseline, baseline) })
	b.Run(name+"/sdk", func(b *testing.B) { benchOne(b, sdk) })
	b.Run(name+"/baseline", func(b *testing.B) { benchOne(b, baseline) })
}

func benchOne(b *testing.B, f func() error) {
	b.ReportAllocs()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCall compares each call with the same one by hand.
//
//	go test -run '^$' -bench Call -benchmem -benchtime 20000x .
func BenchmarkCall(b *testing.B) {
	for _, key := range testKeys(b) {
		baseURL, hc := newBenchServer(b, 10)
		client, f := newBenchPair(b, hc, baseURL, key)
		for _, c := range benchCases(client, f) {
			compare(b, fmt.Sprintf("%s/%s", client.Signer().KeyType(), c.name), c.sdk, c.baseline)
		}
	}
}

// BenchmarkList shows the cost per key as a list grows.
func BenchmarkList(b *testing.B) {
	for _, keys := range []int{10, 1_000, 10_000} {
		b.Run(strconv.Itoa(keys), func(b *testing.B) {
			baseURL, hc := newBenchServer(b, keys)
			client, _ := newBenchPair(b, hc, baseURL, newEd25519Key(b))
			b.ReportAllocs()
			for b.Loop() {
				list, err := client.GetAPIKeys(context.Background())
				if err != nil || len(list.APIKeys) != keys {
					b.Fatal(len(list.APIKeys), err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(keys), "ns/key")
		})
	}
}

// memoryTransport has a handler respond in memory.
type memoryTransport struct{ handler http.HandlerFunc }

func (t memoryTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body == nil {
		req = req.WithContext(req.Context())
		req.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	t.handler(w, req)
	return w.Result(), nil
}

// TestAllocations compares allocations, which do not vary as times do.
func TestAllocations(t *testing.T) {
	info, _ := debug.ReadBuildInfo()
	if slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector allocates too")
	}
	const runs = 50
	count := func(f func() error) float64 {
		return testing.AllocsPerRun(runs, func() {
			if err := f(); err != nil {
				t.Error(err)
			}
		})
	}
	for _, key := range testKeys(t) {
		hc := &http.Client{Transport: memoryTransport{canned(10)}}
		client, f := newBenchPair(t, hc, testBaseURL, key)
		keyType := client.Signer().KeyType()
		quiet, err := NewClient(client.signer, WithBaseURL(testBaseURL), WithHTTPClient(hc), WithLogger(slog.New(slog.DiscardHandler)))
		require.NoError(t, err)
		withLogger := benchCases(quiet, f)
		for i, c := range benchCases(client, f) {
			sdk, baseline := count(c.sdk), count(c.baseline)
			assert.InDelta(t, sdk, count(withLogger[i].sdk), 0, "%s %s: with a logger whose level is off", keyType, c.name)
			t.Logf("%-8s %-15s %3.0f, by hand %3.0f", keyType, c.name, sdk, baseline)
			switch {
			case c.name == "signing":
				baseline += 7 // for the headers
			case strings.HasPrefix(c.name, "HTTPClient"):
				baseline += 6 // for a request of its own, which leaves the caller's alone
			}
			assert.LessOrEqual(t, sdk, baseline, "%s %s: allocations, and those by hand", keyType, c.name)
		}
	}
}

// A client is little more than what it was given.
func TestNewClient_memory(t *testing.T) { // not parallel: it counts all that is allocated
	const clients = 100
	signer := newTestSigner(t, newEd25519Key(t))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range clients {
		_, err := NewClient(signer)
		require.NoError(t, err)
	}
	runtime.ReadMemStats(&after)
	assert.Less(t, (after.TotalAlloc-before.TotalAlloc)/clients, uint64(8<<10))
}
