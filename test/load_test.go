package test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A ledger keeps what callers know of the keys that they made or deleted, by
// the keys' names, each of which is used once.
type ledger struct {
	mu    sync.Mutex
	keys  map[string]belief
	kinds map[string]int // of all results
}

// A belief is what a caller has to believe of a key after all it was told.
type belief int

const (
	gone belief = iota
	perhaps
	there
)

func (l *ledger) note(name string, b belief) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys[name] = b
}

// otherKinds are what troubles lead to, if the call makes no key.
var otherKinds = []string{"Transport", "Server", "Invalid", "API", "NotFound"}

// result takes in what a call returned, and checks that it is one of the kinds
// that troubles lead to.
func (l *ledger) result(t testing.TB, err error, kinds ...string) (kind string) {
	t.Helper()
	kind = kindOf(err)
	assert.Contains(t, append(kinds, "ok", "RateLimit"), kind, "%v", err)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.kinds[kind]++
	return kind
}

// created and deleted take in the result of a call that makes a key, or deletes one that exists.
func (l *ledger) created(t testing.TB, name string, err error) {
	t.Helper()
	l.note(name, map[string]belief{"ok": there, "Unknown": perhaps}[l.result(t, err, "Unknown", "NotFound", "NotSent")])
}

func (l *ledger) deleted(t testing.TB, name string, err error) {
	t.Helper()
	l.note(name, map[bool]belief{true: gone, false: perhaps}[l.result(t, err, otherKinds...) == "ok"])
}

// check compares the ledger with the keys that exist when all is over: no call
// made a second key, and no key exists or is gone without its caller's knowing.
func (l *ledger) check(t testing.TB, keys []kalshitest.Key) {
	t.Helper()
	exist := map[string]int{}
	for _, key := range keys {
		exist[key.Name]++
		_, known := l.keys[key.Name]
		assert.True(t, known, "nobody knows of the key %q", key.Name)
	}
	for name, believed := range l.keys {
		switch n := exist[name]; believed {
		case gone:
			assert.Zero(t, n, "keys named %q, which is gone", name)
		case perhaps:
			assert.LessOrEqual(t, n, 1, "keys named %q, which may exist", name)
		case there:
			assert.Equal(t, 1, n, "keys named %q, which exists", name)
		}
	}
	t.Log(l.kinds)
	assert.NotZero(t, l.kinds["Unknown"], "the faults took effect")
	assert.Greater(t, l.kinds["ok"], l.kinds["Unknown"], "and not on all")
}

// troubles are faults of each kind, most of which a retry may resolve.
var troubles = []fault{
	{Drop: true}, {Drop: true, Process: true}, {Reset: true, Process: true}, {Cut: true, Method: http.MethodPost},
	{Status: 429}, {Status: 503}, {Status: 502, Process: true}, {Body: "{}", Process: true},
	{Delay: 2 * time.Millisecond, Process: true},
	{Body: "<html>"}, {Body: "<html>", Process: true}, {Status: 408, Process: true}, {Status: 303},
	{Status: 404, Body: `{"message":"no Route matched"}`}, // a gateway's
}

// Bots that make, delete and rotate keys without a pause while one request in
// three meets a random fault, over HTTP/1 and HTTP/2. Afterwards each key is
// accounted for, what each bot has stored works, and no goroutine is left.
func TestLoad_chaos(t *testing.T) { // not in parallel: it counts goroutines
	goroutines := runtime.NumGoroutine()
	t.Run("at the same time", func(t *testing.T) {
		for name, http2 := range map[string]bool{"HTTP/1": false, "HTTP/2": true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				chaos(t, http2)
			})
		}
	})
	ended := func() bool { return runtime.NumGoroutine() <= goroutines+1 } // Eventually has one of its own
	assert.Eventually(t, ended, 5*time.Second, time.Millisecond, "goroutines")
}

func chaos(t *testing.T, http2 bool) {
	bots, rounds := 50, 8
	if testing.Short() || http2 { // where each reset costs a handshake
		bots = 20
	}
	transport, opts := &http.Transport{MaxConnsPerHost: 32, MaxIdleConnsPerHost: 32}, []kalshitest.Option(nil)
	if http2 { // where a connection that breaks is a stream that is reset
		opts = append(opts, kalshitest.WithListener(listenHTTP2(transport)))
	}
	x := start(t, transport, opts...)
	if http2 {
		x.URL = "https" + strings.TrimPrefix(x.URL, "http")
	}
	told := &ledger{keys: map[string]belief{}, kinds: map[string]int{}}
	for _, key := range x.Keys() {
		told.note(key.Name, there)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range bots * rounds * 20 { // more than there will be requests
		fault := fault{}
		if random.IntN(3) == 0 {
			fault = troubles[random.IntN(len(troubles))]
		}
		x.Inject(fault)
	}
	all := make([]*bot, bots)
	var wg sync.WaitGroup
	for i := range all {
		key := x.AddKey(kalshitest.Key{Name: fmt.Sprintf("bot %d", i)})
		told.note(key.Name, there)
		all[i] = &bot{key.Name, x.clientOf(newSigner(key.ID, key.PrivateKey)), told, key}
		wg.Go(func() {
			for round := range rounds {
				all[i].step(t, round)
			}
		})
	}
	wg.Wait()
	x.ClearFaults()
	for _, b := range all {
		assert.Equal(t, b.stored.ID, b.client.Signer().KeyID(), "what signs is what is stored")
		assert.NoError(t, list(t.Context(), x.clientOf(newSigner(b.stored.ID, b.stored.PrivateKey))), "what is stored works")
	}
	told.check(t, x.Keys())
}

// A bot keeps the key that it signs with in a store, as a program would on its disk.
type bot struct {
	name   string
	client *kalshi.Client
	told   *ledger
	stored kalshitest.Key // what the next start of the program reads
}

func (b *bot) step(t testing.TB, round int) {
	ctx, name := context.Background(), fmt.Sprintf("%s, round %d", b.name, round)
	list, create, generate := calls(name)[0], calls(name)[1], kalshi.GenerateAPIKeyRequest{Name: name, KeyType: kalshi.KeyTypeEd25519}
	switch round % 4 {
	case 0:
		b.told.result(t, list.do(ctx, b.client), otherKinds...)
	case 1:
		b.told.created(t, name, create.do(ctx, b.client))
	case 2:
		key, err := b.client.GenerateAPIKey(ctx, generate)
		b.told.created(t, name, err)
		if err == nil {
			b.told.deleted(t, name, b.client.DeleteAPIKey(ctx, key.ID))
		}
	case 3:
		b.rotate(ctx, t, name)
	}
}

// rotate notes what a rotation says, which has to fit what it did to the store.
func (b *bot) rotate(ctx context.Context, t testing.TB, name string) {
	old, saved := b.stored, false
	save := kalshi.SaveFunc(func(_ context.Context, c kalshi.Credentials) error {
		b.stored, saved = kalshitest.Key{ID: c.KeyID(), Name: name, PrivateKey: pemText(c.PrivateKey())}, true
		return nil
	})
	_, err := b.client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Name: name, Store: save})
	var rotation *kalshi.RotationError
	if err != nil && !assert.ErrorAs(t, err, &rotation) {
		return
	}
	switch {
	case err == nil:
		b.told.note(name, there)
		b.told.note(old.Name, gone)
	case rotation.Stage == kalshi.StageCreate:
		b.told.created(t, name, err)
	case rotation.Stage == kalshi.StageVerify && rotation.NewKeyID == "": // deleted again
		b.told.note(name, gone)
	case rotation.Stage == kalshi.StageVerify:
		b.told.note(name, perhaps)
	case rotation.Stage == kalshi.StageDelete:
		b.told.note(name, there)
		b.told.note(old.Name, perhaps)
	default:
		assert.Equal(t, kalshi.StageInspect, rotation.Stage, "%v", err)
	}
	assert.Equal(t, err == nil || rotation.Stage == kalshi.StageDelete, saved, "%v", err)
}
