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
	"net/http"
	"net/http/httptest"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The yardstick: each call by hand, as a careful engineer writes it for one
// place, without retries, limits or typed errors. Both sides talk to the same
// loopback server with the same http.Client value.
type floor struct {
	hc      *http.Client
	baseURL string
	keyID   string
	key     crypto.Signer
}

func (f *floor) sign(text string) ([]byte, error) {
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

func (f *floor) call(ctx context.Context, method, path string, in, out any) error {
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
	timestamp := strconv.FormatInt(time.Now().UnixMilli(), 10)
	signature, err := f.sign(timestamp + method + req.URL.Path)
	if err != nil {
		return err
	}
	req.Header.Set("KALSHI-ACCESS-KEY", f.keyID)
	req.Header.Set("KALSHI-ACCESS-TIMESTAMP", timestamp)
	req.Header.Set("KALSHI-ACCESS-SIGNATURE", base64.StdEncoding.EncodeToString(signature))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "floor")
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

// A yardstickCase is one call, by the SDK and by hand.
type yardstickCase struct {
	name       string
	sdk, floor func(ctx context.Context) error
}

func yardstick(client *Client, f *floor, publicKey string) []yardstickCase {
	generate := GenerateAPIKeyRequest{Name: "bot", KeyType: KeyTypeEd25519, Scopes: []Scope{ScopeRead}}
	create := CreateAPIKeyRequest{Name: "bot", PublicKey: publicKey, Scopes: []Scope{ScopeRead}}
	return []yardstickCase{
		{"GetAPIKeys", func(ctx context.Context) error {
			_, err := client.GetAPIKeys(ctx)
			return err
		}, func(ctx context.Context) error {
			return f.call(ctx, http.MethodGet, "/api_keys", nil, new(GetAPIKeysResponse))
		}},
		{"GenerateAPIKey", func(ctx context.Context) error {
			_, err := client.GenerateAPIKey(ctx, generate)
			return err
		}, func(ctx context.Context) error {
			return f.call(ctx, http.MethodPost, "/api_keys/generate", generate, new(GenerateAPIKeyResponse))
		}},
		{"CreateAPIKey", func(ctx context.Context) error {
			_, err := client.CreateAPIKey(ctx, create)
			return err
		}, func(ctx context.Context) error {
			if err := checkPublicKeyPEM(create.PublicKey); err != nil {
				return err
			}
			return f.call(ctx, http.MethodPost, "/api_keys", create, new(CreateAPIKeyResponse))
		}},
		{"DeleteAPIKey", func(ctx context.Context) error {
			return client.DeleteAPIKey(ctx, testKeyID)
		}, func(ctx context.Context) error {
			return f.call(ctx, http.MethodDelete, "/api_keys/"+testKeyID, nil, nil)
		}},
	}
}

// cannedAnswer is what the exchange would say, without the work.
func cannedAnswer(keys int) http.HandlerFunc {
	var list strings.Builder
	list.WriteString(`{"api_keys":[`)
	for i := range keys {
		if i > 0 {
			list.WriteByte(',')
		}
		fmt.Fprintf(&list, `{"api_key_id":"11111111-2222-4333-8444-%012d","name":"bot %d","scopes":["read","write"]}`, i, i)
	}
	list.WriteString(`]}`)
	listing := []byte(list.String())
	generated := []byte(`{"api_key_id":"` + testKeyID + `","key_type":"ed25519","private_key":"` + strings.Repeat("k", 119) + `"}`)
	created := []byte(`{"api_key_id":"` + testKeyID + `"}`)
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		var body []byte
		switch {
		case r.Method == http.MethodGet:
			body = listing
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
			return
		case strings.HasSuffix(r.URL.Path, "/generate"):
			body = generated
			w.WriteHeader(http.StatusCreated)
		default:
			body = created
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = w.Write(body)
	}
}

// benchKeys are the keys to compare, Ed25519 first.
func benchKeys(tb testing.TB) []crypto.Signer {
	return []crypto.Signer{newEd25519Key(tb), testRSAKey()}
}

func newBenchPair(tb testing.TB, hc *http.Client, baseURL string, key crypto.Signer) (*Client, *floor) {
	tb.Helper()
	client, err := NewClient(newTestSigner(tb, key), WithBaseURL(baseURL), WithHTTPClient(hc))
	require.NoError(tb, err)
	return client, &floor{hc, baseURL, testKeyID, key}
}

func benchPublicKey(tb testing.TB) string {
	tb.Helper()
	text, err := MarshalPublicKey(newEd25519Key(tb).Public())
	require.NoError(tb, err)
	return text
}

// newBenchServer starts a server and an http.Client for it that keeps enough
// connections for 64 callers.
func newBenchServer(tb testing.TB, keys int) (baseURL string, hc *http.Client) {
	tb.Helper()
	server := httptest.NewServer(cannedAnswer(keys))
	transport := &http.Transport{MaxIdleConns: 100, MaxIdleConnsPerHost: 100}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Close()
	})
	return server.URL + "/trade-api/v2", &http.Client{Transport: transport}
}

// comparePairs runs both sides in turn, call by call, and reports the median
// of the pairs' ratios: drifts of the machine meet both sides alike.
func comparePairs(b *testing.B, sdk, floor func() error) {
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
		timed(floor)
	}
	for i := 0; b.Loop(); i++ {
		var s, f time.Duration
		if i%2 == 0 {
			s = timed(sdk)
			f = timed(floor)
		} else {
			f = timed(floor)
			s = timed(sdk)
		}
		ratios = append(ratios, float64(s)/float64(f))
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "x_floor")
}

// BenchmarkCall compares each call with the same one by hand. The sub-benchmark
// noise is the floor against itself.
//
//	go test -run '^$' -bench Call -benchmem -benchtime 20000x .
func BenchmarkCall(b *testing.B) {
	ctx := context.Background()
	for _, key := range benchKeys(b) {
		baseURL, hc := newBenchServer(b, 10)
		client, f := newBenchPair(b, hc, baseURL, key)
		for _, c := range yardstick(client, f, benchPublicKey(b)) {
			sdk := func() error { return c.sdk(ctx) }
			floor := func() error { return c.floor(ctx) }
			name := fmt.Sprintf("%s/%s", client.Signer().KeyType(), c.name)
			b.Run(name+"/pair", func(b *testing.B) { comparePairs(b, sdk, floor) })
			b.Run(name+"/noise", func(b *testing.B) { comparePairs(b, floor, floor) })
			b.Run(name+"/sdk", func(b *testing.B) { benchOne(b, sdk) })
			b.Run(name+"/floor", func(b *testing.B) { benchOne(b, floor) })
		}
	}
}

func benchOne(b *testing.B, f func() error) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if err := f(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSign compares signing alone with the bare signature.
//
//	go test -run '^$' -bench Sign -benchmem -benchtime 20000x .
func BenchmarkSign(b *testing.B) {
	for _, key := range benchKeys(b) {
		signer := newTestSigner(b, key)
		f := &floor{key: key}
		sdk, floor := signCase(signer), func() error {
			_, err := f.sign(signedText)
			return err
		}
		name := string(signer.KeyType())
		b.Run(name+"/pair", func(b *testing.B) { comparePairs(b, sdk, floor) })
		b.Run(name+"/noise", func(b *testing.B) { comparePairs(b, floor, floor) })
		b.Run(name+"/sdk", func(b *testing.B) { benchOne(b, sdk) })
		b.Run(name+"/floor", func(b *testing.B) { benchOne(b, floor) })
	}
}

const signedText = "1795378769559GET/trade-api/v2/api_keys"

func signCase(signer *Signer) func() error {
	req := httptest.NewRequest(http.MethodGet, "https://exchange.test/trade-api/v2/api_keys", nil)
	return func() error { return signer.SignRequest(req) }
}

// BenchmarkList shows the cost per key as a list grows.
func BenchmarkList(b *testing.B) {
	for _, keys := range []int{10, 1_000, 50_000} {
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

// BenchmarkGoroutines shows what many callers of one client get done.
func BenchmarkGoroutines(b *testing.B) {
	for _, key := range benchKeys(b) {
		for _, callers := range []int{1, 2, 8, 64} {
			b.Run(fmt.Sprintf("%T/%d", key, callers), func(b *testing.B) {
				baseURL, hc := newBenchServer(b, 10)
				client, _ := newBenchPair(b, hc, baseURL, key)
				var wg sync.WaitGroup
				b.ResetTimer()
				for caller := range callers {
					wg.Go(func() {
						for i := caller; i < b.N; i += callers {
							if _, err := client.GetAPIKeys(context.Background()); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
			})
		}
	}
}

// BenchmarkNewClient compares a client that is kept with one made per call,
// both with one http.Client.
func BenchmarkNewClient(b *testing.B) {
	baseURL, hc := newBenchServer(b, 10)
	signer := newTestSigner(b, newEd25519Key(b))
	kept, err := NewClient(signer, WithBaseURL(baseURL), WithHTTPClient(hc))
	require.NoError(b, err)
	b.Run("kept", func(b *testing.B) {
		benchOne(b, func() error {
			_, err := kept.GetAPIKeys(context.Background())
			return err
		})
	})
	b.Run("per call", func(b *testing.B) {
		benchOne(b, func() error {
			client, err := NewClient(signer, WithBaseURL(baseURL), WithHTTPClient(hc))
			if err == nil {
				_, err = client.GetAPIKeys(context.Background())
			}
			return err
		})
	})
}

// memoryTransport answers in memory with what cannedAnswer says.
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

// A guard that cannot flake: allocations, not times.
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
	for _, key := range benchKeys(t) {
		hc := &http.Client{Transport: memoryTransport{cannedAnswer(10)}}
		client, f := newBenchPair(t, hc, testBaseURL, key)
		keyType := client.Signer().KeyType()
		for _, c := range yardstick(client, f, benchPublicKey(t)) {
			sdk := count(func() error { return c.sdk(context.Background()) })
			floor := count(func() error { return c.floor(context.Background()) })
			t.Logf("%-8s %-15s %3.0f, by hand %3.0f", keyType, c.name, sdk, floor)
			if sdk > floor {
				t.Errorf("%s %s: %.0f allocations, by hand %.0f", keyType, c.name, sdk, floor)
			}
		}
		sdk := count(signCase(newTestSigner(t, key)))
		floor := count(func() error { _, err := f.sign(signedText); return err })
		t.Logf("%-8s %-15s %3.0f, by hand %3.0f", keyType, "signing", sdk, floor)
		if sdk > floor+6 {
			t.Errorf("%s signing: %.0f allocations, raw %.0f", keyType, sdk, floor)
		}
	}
}

// An idle client is little more than what it was given.
func TestIdleClientMemory(t *testing.T) {
	signer := newTestSigner(t, newEd25519Key(t))
	clients := make([]*Client, 10_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range clients {
		client, err := NewClient(signer)
		require.NoError(t, err)
		clients[i] = client
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / int64(len(clients))
	t.Logf("%d bytes a client", each)
	if each > 8<<10 {
		t.Errorf("an idle client keeps %d bytes", each)
	}
	runtime.KeepAlive(clients)
}
