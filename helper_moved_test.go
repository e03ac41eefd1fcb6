package kalshi

import (
	"runtime/debug"
	"slices"
)

// raceEnabled tells that the race detector is on, so that memory cannot be
// measured.
var raceEnabled = func() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}()
