package kalshi

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A reporter logs what one client does: see [WithLogger]. A nil one logs nothing.
type reporter struct {
	log    *slog.Logger
	signer *Signer
	mu     sync.Mutex           // held while what follows is compared with the signer, and logged
	cred   *credential          // of the signer, as logged last
	offset time.Duration        // of its clock
	source map[string]time.Time // when a failure of its source was logged, by its kind
}

// An attemptEvent is what the events of one attempt have in common.
type attemptEvent struct {
	method, path string
	number       int // from 1
}

func (e attemptEvent) attrs(more ...slog.Attr) []slog.Attr {
	attrs := []slog.Attr{slog.String("method", e.method), slog.String("path", safePath(e.path)), slog.Int("attempt", e.number)}
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
	level, attrs := slog.LevelInfo, []slog.Attr{slog.String("stage", stage), logID("old_key_id", oldKeyID)}
	if newKeyID != "" {
		attrs = append(attrs, logID("new_key_id", newKeyID))
	}
	if err != nil {
		level, attrs = slog.LevelError, append(attrs, slog.String("error", innerMessage(err)))
	}
	r.log.LogAttrs(ctx, level, "kalshi: rotation", attrs...)
}

// changes logs how the signer's clock and key differ from what was logged last. A call does not wait
// for another one that logs: what it missed is logged at a later attempt.
func (r *reporter) changes(ctx context.Context) {
	if r == nil || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	old, previous, offset := r.cred, r.offset, r.signer.ClockOffset()
	r.cred = r.signer.credential()
	if (offset - previous).Abs() > skewTolerance {
		r.offset = offset
		r.log.LogAttrs(ctx, slog.LevelWarn, "kalshi: clock corrected",
			slog.Duration("offset", offset), slog.Duration("previous", previous), logID("key_id", old.keyID))
	}
	if !old.same(r.cred) {
		r.log.LogAttrs(ctx, slog.LevelInfo, "kalshi: key changed",
			logID("old_key_id", old.keyID), logID("new_key_id", r.cred.keyID), slog.String("fingerprint", r.cred.fingerprint()))
	}
}

// sourceFailed logs that the source did not help: each kind of failure at most once a minute, since a
// dead key can be refused all night.
func (r *reporter) sourceFailed(ctx context.Context, keyID, text string) {
	if r == nil || ctx.Err() != nil || !r.mu.TryLock() {
		return
	}
	defer r.mu.Unlock()
	kind, _, _ := strings.Cut(text, ":")
	if at, ok := r.source[kind]; !ok || time.Since(at) >= time.Minute {
		r.source[kind] = time.Now()
		r.log.LogAttrs(ctx, slog.LevelWarn, "kalshi: key source", logID("key_id", keyID), slog.String("error", text))
	}
}

// LogValue logs the ID and type.
func (r GenerateAPIKeyResponse) LogValue() slog.Value {
	return slog.GroupValue(logID("api_key_id", r.ID), slog.String("key_type", string(r.KeyType)))
}
