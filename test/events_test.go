package test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The messages, their levels and the names of their attributes, in order, on which
// metrics hang. Those in brackets may be missing.
var eventNames = map[string]string{
	"kalshi: attempt":         "DEBUG method path attempt duration key_id [status] [error]",
	"kalshi: retry":           "INFO method path attempt wait error",
	"kalshi: clock corrected": "WARN offset previous key_id",
	"kalshi: key changed":     "INFO old_key_id new_key_id fingerprint",
	"kalshi: key source":      "WARN key_id error",
	"kalshi: rotation":        "INFO|ERROR stage old_key_id [new_key_id] [error]",
	"kalshi: environment":     "WARN ignored key_id",
}

type contextKey struct{}

// A recorder is a handler that keeps what it is told, and checks its form.
type recorder struct {
	t     testing.TB
	level slog.Level
	block chan struct{} // holds up a call, if it is not nil
	mu    sync.Mutex
	lines []string // without "kalshi: ", fingerprints, durations and errors
	texts []string // whole
}

func (r *recorder) option() kalshi.Option                            { return kalshi.WithLogger(slog.New(r)) }
func (r *recorder) Enabled(_ context.Context, level slog.Level) bool { return level >= r.level }
func (r *recorder) WithAttrs([]slog.Attr) slog.Handler               { return r }
func (r *recorder) WithGroup(string) slog.Handler                    { return r }

func (r *recorder) Handle(ctx context.Context, record slog.Record) error {
	if record.Message != "kalshi: environment" { // which has no call
		assert.Equal(r.t, "the call's", ctx.Value(contextKey{}), "context of %s", record.Message)
	}
	line, names := strings.TrimPrefix(record.Message, "kalshi: "), record.Level.String()
	record.Attrs(func(a slog.Attr) bool {
		names += " " + a.Key
		switch a.Key {
		case "wait", "duration", "offset", "previous":
			assert.Equal(r.t, slog.KindDuration, a.Value.Kind(), a.Key)
		}
		switch a.Key {
		case "method", "path", "duration", "fingerprint":
		case "error":
			line += " error"
		case "wait":
			line += fmt.Sprint(" ", a.Value.Duration().Truncate(time.Second)) // which has jitter
		default:
			line += " " + a.Value.String()
		}
		return true
	})
	assert.Regexp(r.t, "^"+eventPattern.Replace(eventNames[record.Message])+"$", names, record.Message)
	var text strings.Builder
	_ = slog.NewTextHandler(&text, nil).Handle(ctx, record)
	r.mu.Lock()
	r.lines, r.texts = append(r.lines, line), append(r.texts, text.String())
	block := r.block
	r.mu.Unlock()
	if block != nil {
		<-block
	}
	return nil
}

var eventPattern = strings.NewReplacer(" [", "( ", "]", ")?", "INFO|ERROR", "(INFO|ERROR)")

// assertLines asserts what was logged since the last time: messages and values, with names for IDs.
func (r *recorder) assertLines(t testing.TB, names *strings.Replacer, want string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	assert.Equal(t, want, names.Replace(strings.Join(r.lines, ", ")))
	r.lines = nil
}

func callContext(t testing.TB) context.Context {
	return context.WithValue(t.Context(), contextKey{}, "the call's")
}

// An eventRun is a client that logs, and whose signer has a source.
type eventRun struct {
	*exchange
	*recorder
	client *kalshi.Client
	signer *kalshi.Signer
	source func() (kalshi.Credentials, error)
}

func newEventRun(t testing.TB, level slog.Level) *eventRun {
	t.Helper()
	run := &eventRun{exchange: inMemory(t), recorder: &recorder{t: t, level: level}}
	run.handleBot()
	run.source = func() (kalshi.Credentials, error) { return run.credentials(), nil }
	run.signer = newSourceSigner(func(context.Context) (kalshi.Credentials, error) { return run.source() })
	run.client = run.clientOf(run.signer, run.option())
	return run
}

func (run *eventRun) names() *strings.Replacer {
	pairs := []string{run.KeyID, "OLD", spareKeyID, "SPARE"}
	for _, key := range run.Keys() {
		if key.ID != run.KeyID && key.ID != spareKeyID {
			pairs = append(pairs, key.ID, "NEW")
		}
	}
	return strings.NewReplacer(pairs...)
}

// Each event in the situation that causes it, once, and none where nothing happened.
func TestEvents(t *testing.T) {
	t.Parallel()
	rotateWith := func(run *eventRun, req kalshi.RotateAPIKeyRequest) error {
		req.Store = noSave
		_, err := run.client.RotateAPIKey(callContext(run.t), req)
		return err
	}
	refused := fault{Status: 401, Body: unknownKeyBody}
	const keyChanged = "key changed OLD NEW"
	const saved = "rotation inspect OLD, rotation create OLD NEW, rotation verify OLD NEW, rotation save OLD NEW, " + keyChanged
	for name, tt := range map[string]struct {
		cause func(t *testing.T, run *eventRun) // before a call that succeeds
		want  string
	}{
		"nothing": {func(*testing.T, *eventRun) {}, ""},
		"a retry": {func(_ *testing.T, run *eventRun) {
			run.Inject(fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}})
		}, "retry 1 7s error"},
		"a clock": {func(_ *testing.T, run *eventRun) { run.SetClockOffset(time.Minute) }, "clock corrected 1m0s 0s OLD, retry 1 0s error"},
		"a clock that differs slightly from what was learned": {func(t *testing.T, run *eventRun) {
			run.SetClockOffset(time.Minute)
			run.call(t)
			run.lines = nil
			run.SetClockOffset(time.Minute + 4*time.Second)
			run.Inject(fault{Delay: 15 * time.Second})
		}, "retry 1 0s error"},
		"another key": {func(t *testing.T, run *eventRun) {
			require.NoError(t, run.signer.Replace(parsed(run.AddKey(kalshitest.Key{}))))
		}, keyChanged},
		"the same key again": {func(t *testing.T, run *eventRun) { require.NoError(t, run.signer.Replace(run.credentials())) }, ""},
		"the source's other key": {func(_ *testing.T, run *eventRun) {
			next := parsed(run.AddKey(kalshitest.Key{}))
			run.source = func() (kalshi.Credentials, error) { return next, nil }
			run.Inject(refused)
		}, keyChanged + ", retry 1 0s error"},
		"a source that does not help": {func(t *testing.T, run *eventRun) {
			refuse := func(wait time.Duration) {
				time.Sleep(wait)
				run.Inject(refused)
				require.Error(t, send(callContext(t), run.client, http.MethodGet, run.URL+"/portfolio/balance", ""))
			}
			refuse(time.Second)
			refuse(time.Second)
			run.source = func() (kalshi.Credentials, error) { return kalshi.Credentials{}, errSource }
			refuse(time.Second)
			refuse(time.Second)
			refuse(time.Minute)
		}, "key source OLD error, key source OLD error, key source OLD error"},
		"a rotation": {func(t *testing.T, run *eventRun) {
			require.NoError(t, rotateWith(run, kalshi.RotateAPIKeyRequest{}))
		}, saved + ", rotation delete OLD NEW"},
		"a rotation that keeps the old key": {func(t *testing.T, run *eventRun) {
			require.NoError(t, rotateWith(run, kalshi.RotateAPIKeyRequest{KeepOld: true}))
		}, saved},
		"a rotation that fails": {func(t *testing.T, run *eventRun) {
			run.Inject(fault{Method: http.MethodDelete, Status: 403})
			require.Error(t, rotateWith(run, kalshi.RotateAPIKeyRequest{}))
		}, saved + ", rotation delete OLD NEW error"},
		"a rotation by an admin": {func(t *testing.T, run *eventRun) {
			admin := parsed(run.AddKey(kalshitest.Key{ID: "admin"}))
			signer := must1(kalshi.NewSigner("admin", admin.PrivateKey()))
			_, err := run.clientOf(signer).RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Store: noSave, Signer: run.signer})
			require.NoError(t, err)
		}, keyChanged},
	} {
		runInBubble(t, name, func(t *testing.T) {
			run := newEventRun(t, slog.LevelInfo)
			tt.cause(t, run)
			run.call(t)
			run.assertLines(t, run.names(), tt.want)
			run.call(t)
			run.assertLines(t, run.names(), "")
		})
	}
}

func (run *eventRun) call(t testing.TB) {
	t.Helper()
	require.NoError(t, list(callContext(t), run.client))
}

// At debug level each attempt is logged, of the calls as of HTTPClient, and of
// requests that came signed.
func TestEvents_attempts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newEventRun(t, slog.LevelDebug)
		run.transport.DisableKeepAlives = true // so that net/http does not send a GET again by itself
		get := func(sign func(*http.Request) error) error {
			req, err := http.NewRequestWithContext(callContext(t), http.MethodGet, run.URL+"/api_keys?secret=1", nil)
			require.NoError(t, err)
			require.NoError(t, sign(req))
			return checked(run.client.HTTPClient().Do(req))
		}
		for _, call := range []func() error{
			func() error { return list(callContext(t), run.client) },
			func() error { return get(func(*http.Request) error { return nil }) },
		} {
			run.Inject(fault{Drop: true}, fault{Status: 503})
			require.NoError(t, call())
			run.assertLines(t, run.names(), "attempt 1 OLD error, retry 1 0s error, attempt 2 OLD 503, retry 2 0s error, attempt 3 OLD 200")
		}
		require.NoError(t, get(run.signer.SignRequest))
		run.assertLines(t, run.names(), "attempt 1 OLD 200")
		for _, text := range run.texts {
			assert.Contains(t, text, " method=GET path=/trade-api/v2/api_keys attempt=")
			assert.NotContains(t, text, "secret")
		}
	})
}

// Many callers through one rotation: its key is logged once, by each client that uses the signer.
func TestEvents_oncePerClient(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newEventRun(t, slog.LevelInfo)
		second := &recorder{t: t}
		clients := []*kalshi.Client{run.client, run.clientOf(run.signer, second.option())}
		run.SetClockOffset(time.Hour)
		run.Inject(fault{Delay: time.Second, Times: 64}) // they are overtaken
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() { assert.NoError(t, list(callContext(t), clients[i%2])) })
		}
		synctest.Wait()
		_, err := rotate(t.Context(), run.clientOf(run.signer))
		require.NoError(t, err)
		wg.Wait()
		for _, r := range []*recorder{run.recorder, second} {
			r.lines = slices.DeleteFunc(r.lines, func(line string) bool { return strings.HasPrefix(line, "retry") })
			r.assertLines(t, run.names(), "clock corrected 1h0m0s 0s OLD, key changed OLD NEW")
		}
	})
}

// A handler that blocks holds up the call that logs, and no other.
func TestEvents_blockingHandler(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		run := newEventRun(t, slog.LevelInfo)
		run.block = make(chan struct{})
		require.NoError(t, run.signer.Replace(parsed(run.AddKey(kalshitest.Key{}))))
		var blocked sync.WaitGroup
		blocked.Go(func() { run.call(t) })
		synctest.Wait()
		run.call(t)
		require.NoError(t, send(callContext(t), run.client, http.MethodGet, run.URL+"/portfolio/balance", ""))
		close(run.block)
		blocked.Wait()
		run.assertLines(t, run.names(), "key changed OLD NEW")
	})
}

// Whatever the service, a source or a store says, no event shows a key.
func TestEvents_showNoKey(t *testing.T) {
	t.Parallel()
	for _, s := range secrets() {
		runInBubble(t, s.name, func(t *testing.T) {
			run := newEventRun(t, slog.LevelDebug)
			run.source = func() (kalshi.Credentials, error) { return kalshi.Credentials{}, fmt.Errorf("it said %s", s.text) }
			quoted := fmt.Sprintf("%q", s.text)
			run.Inject(
				fault{Status: 503, Body: s.text},
				fault{Status: 429, Body: `{"error":{"code":"x","message":` + quoted + "}}"},
				fault{Status: 401, Body: unknownKeyBody},
			)
			require.Error(t, list(callContext(t), run.client))
			save := kalshi.SaveFunc(func(context.Context, kalshi.Credentials) error { return fmt.Errorf("it said %s", s.text) })
			_, err := run.client.RotateAPIKey(callContext(t), kalshi.RotateAPIKeyRequest{Store: save, PrivateKey: s.key})
			require.Error(t, err)
			texts := strings.Join(run.texts, "")
			for message := range eventNames {
				switch message {
				case "kalshi: clock corrected", "kalshi: key changed", "kalshi: environment": // without text from outside
				default:
					assert.Contains(t, texts, message)
				}
			}
			s.assertHides(t, texts, "an event")
		})
	}
}
