package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

// stages is a slog.Handler that shows a rotation as it goes on, in plain words.
type stages struct {
	out      io.Writer
	terminal bool
	stop     func() // ends the countdown
}

func newStages(f *os.File) *stages {
	info, err := f.Stat()
	return &stages{out: f, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, stop: func() {}}
}

// Handle prints a line at the end of each stage. The SDK documents the message and
// the attributes in WithLogger, and keeps them.
func (s *stages) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "kalshi: rotation" {
		return nil
	}
	s.stop()
	s.stop = func() {}
	attrs := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.String()
		return true
	})
	if r.Level >= slog.LevelError {
		fmt.Fprintf(s.out, "Failed     at %s\n", attrs["stage"])
		return nil
	}
	switch attrs["stage"] {
	case "inspect":
		fmt.Fprintf(s.out, "Inspected  the old key %s\n", attrs["old_key_id"])
	case "create":
		fmt.Fprintf(s.out, "Created    the new key %s\n", attrs["new_key_id"])
	case "verify":
		fmt.Fprintln(s.out, "Verified   that it signs, with the same rights")
	case "save":
		fmt.Fprintln(s.out, "Saved      the new key, which signs from now on")
		if *grace > 0 && !*keepOld {
			s.stop = s.countDown(*grace)
		}
	case "delete":
		fmt.Fprintln(s.out, "Deleted    the old key")
	}
	return nil
}

// countDown shows how long it is until the old key is deleted: each second on a
// terminal, on one line, and elsewhere each ten seconds on its own.
func (s *stages) countDown(left time.Duration) (stop func()) {
	step, format, last := 10*time.Second, "Waiting    %v until the old key is deleted\n", ""
	if s.terminal {
		step, format, last = time.Second, "\rWaiting    %v until the old key is deleted   ", "\n"
	}
	stopped := make(chan struct{})
	var printing sync.WaitGroup
	printing.Go(func() {
		defer func() { fmt.Fprint(s.out, last) }()
		for ; left > 0; left -= step {
			fmt.Fprintf(s.out, format, left.Round(time.Second))
			select {
			case <-time.After(step):
			case <-stopped:
				return
			}
		}
		<-stopped
	})
	return func() {
		close(stopped)
		printing.Wait()
	}
}

// Enabled leaves out what is for debugging.
func (s *stages) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// WithAttrs and WithGroup are not used by the SDK.
func (s *stages) WithAttrs([]slog.Attr) slog.Handler { return s }

// WithGroup returns s.
func (s *stages) WithGroup(string) slog.Handler { return s }
