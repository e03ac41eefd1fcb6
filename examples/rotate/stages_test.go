package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// The stages come from a rotation as it goes on.
func TestRotate_ShowsStages(t *testing.T) {
	srv, _ := newExchange(t)
	var out strings.Builder
	logger := slog.New(&stages{out: &out, stop: func() {}})
	require.NoError(t, rotate(t.Context(), connect(t, kalshi.WithLogger(logger))))
	assert.Equal(t, "Inspected  the old key "+srv.KeyID+"\n"+
		"Created    the new key "+srv.Keys()[0].ID+"\n"+
		"Verified   that it signs, with the same rights\n"+
		"Saved      the new key, which signs from now on\n"+
		"Deleted    the old key\n", out.String())
}

// The wait before the delete is counted down.
func TestStages_Grace(t *testing.T) {
	tests := []struct {
		name     string
		terminal bool
		failed   bool // as by Ctrl-C
		after    time.Duration
		want     string
	}{
		{name: "in a log", after: 25 * time.Second, want: "Waiting    25s until the old key is deleted\n" +
			"Waiting    15s until the old key is deleted\nWaiting    5s until the old key is deleted\nDeleted    the old key\n"},
		{name: "on a terminal", terminal: true, failed: true, after: 1500 * time.Millisecond, want: "\rWaiting    25s until the old key is deleted   " +
			"\rWaiting    24s until the old key is deleted   \nFailed     at delete\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			set(t, grace, 25*time.Second)
			synctest.Test(t, func(t *testing.T) {
				var out strings.Builder
				logger := slog.New(&stages{out: &out, terminal: tt.terminal, stop: func() {}})
				logger.Info("kalshi: rotation", "stage", kalshi.StageSave, "old_key_id", "1", "new_key_id", "2")
				time.Sleep(tt.after)
				if tt.failed {
					logger.Error("kalshi: rotation", "stage", kalshi.StageDelete, "error", "context canceled")
				} else {
					logger.Info("kalshi: rotation", "stage", kalshi.StageDelete)
				}
				assert.Equal(t, "Saved      the new key, which signs from now on\n"+tt.want, out.String())
			})
		})
	}
}

// No countdown where nothing is deleted, and other events are not shown.
func TestStages_Quiet(t *testing.T) {
	set(t, grace, time.Hour)
	set(t, keepOld, true)
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		logger := slog.New(&stages{out: &out, stop: func() {}})
		logger.Warn("kalshi: another event", "stage", kalshi.StageDelete)
		logger.Info("kalshi: rotation", "stage", kalshi.StageSave)
		synctest.Wait()
		assert.Equal(t, "Saved      the new key, which signs from now on\n", out.String())
	})
}

// A file is no terminal.
func TestNewStages(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	assert.False(t, newStages(f).terminal)
}
