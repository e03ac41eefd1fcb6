package kalshi

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

// A reporter logs what one client does: see [WithLogger]. A nil one logs nothing.
type reporter struct {
	log  *slog.Logger
	seen atomic.Pointer[change] // the last one of the signer that was logged
	busy atomic.Bool            // a call is logging one
}

// An attemptEvent is what the events of one attempt have in common.
type attemptEvent struct {
	method, path string
	number       int // from 1
}

func (e attemptEvent) attrs(more ...slog.Attr) []slog.Attr {
	attrs := []slog.Attr{slog.String("method", e.method), slog.String("path", redact.Text(e.path, maxPath)), slog.Int("attempt", e.number)}
	return append(attrs, more...)
}

func (r *reporter) attempt(ctx context.Context, e attemptEvent, h http.Header, began time.Time, resp *http.Response, err error) {
	if r == nil || !r.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := e.attrs(slog.Duration("duration", time.Since(began)), logID("key_id", headerValue(h, headerKey)))
	if resp != nil {
		attrs = append(attrs, slog.Int("status", resp.StatusCode))
	} else if err != nil {
		attrs = append(attrs, slog.String("error", innerMessage(err)))
	}
	r.log.LogAttrs(ctx, slog.LevelDebug, "kalshi: attempt", attrs...)
}

func (r *reporter) retry(ctx context.Context, e attemptEvent, wait time.Duration, err error) {
	if r != nil {
		r.log.LogAttrs(ctx, slog.LevelInfo, "kalshi: retry", e.attrs(slog.Duration("wait", wait), slog.String("error", innerMessage(err)))...)
	}
}

// headerValue returns the value of a field whose name may be in any case.
func headerValue(h http.Header, name string) string {
	for field, values := range h {
		if strings.EqualFold(field, name) && len(values) > 0 && values[0] != "" {
			return values[0]
		}
	}
	return ""
}

// logID returns an ID as errors show it.
func logID(name, id string) slog.Attr { return slog.String(name, safeID(id)) }

func (r *reporter) rotation(ctx context.Context, stage, oldKeyID, newKeyID string, err error) {
	if r == nil {
		return
	}
	r.signer(ctx)
	level, attrs := slog.LevelInfo, []slog.Attr{slog.String("stage", stage), logID("old_key_id", oldKeyID)}
	if newKeyID != "" {
		attrs = append(attrs, logID("new_key_id", newKeyID))
	}
	if err != nil {
		level, attrs = slog.LevelError, append(attrs, slog.String("error", innerMessage(err)))
	}
	r.log.LogAttrs(ctx, level, "kalshi: rotation", attrs...)
}

func (r *reporter) environment(ignored, keyID string) {
	if r != nil {
		r.log.LogAttrs(context.Background(), slog.LevelWarn, "kalshi: environment", slog.String("ignored", ignored), logID("key_id", keyID))
	}
}

// signer logs the changes of the signer that this client has not logged yet, in their order. A
// handler that blocks holds up no other call: that one's changes are logged when it returns.
func (r *reporter) signer(ctx context.Context) {
	for r != nil && r.seen.Load().next.Load() != nil && r.busy.CompareAndSwap(false, true) {
		r.logNext(ctx)
	}
}

func (r *reporter) logNext(ctx context.Context) {
	defer r.busy.Store(false) // even if the handler panics
	if next := r.seen.Load().next.Load(); next != nil {
		r.seen.Store(next)
		r.log.LogAttrs(ctx, next.level, next.message, next.attrs...)
	}
}

// A change is something that happened to a signer. It links to the next one, so that each client
// follows at its own pace, and what all have logged is garbage.
type change struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
	next    atomic.Pointer[change]
}

// changes are those of one signer, in their order: whoever changes its key or clock holds mu.
type changes struct {
	mu       sync.Mutex
	last     *change
	reported map[string]time.Time // when a source's failure, by its kind, was added
}

func newChanges() *changes {
	return &changes{last: new(change), reported: make(map[string]time.Time)}
}

func (c *changes) add(level slog.Level, message string, attrs ...slog.Attr) {
	next := &change{level: level, message: message, attrs: attrs}
	c.last.next.Store(next)
	c.last = next
}

// sourceFailed adds that a source did not help: the first time of a kind at once, the same again at
// most once a minute, since a dead key can be refused all night.
func (c *changes) sourceFailed(keyID, text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kind, _, _ := strings.Cut(text, ":")
	if at, ok := c.reported[kind]; ok && time.Since(at) < time.Minute {
		return
	}
	c.reported[kind] = time.Now()
	c.add(slog.LevelWarn, "kalshi: key source", logID("key_id", keyID), slog.String("error", text))
}

// LogValue logs the ID and type.
func (r GenerateAPIKeyResponse) LogValue() slog.Value {
	return slog.GroupValue(logID("api_key_id", r.ID), slog.String("key_type", string(r.KeyType)))
}
