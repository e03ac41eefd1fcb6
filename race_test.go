//go:build race

package kalshi

// raceEnabled tells that the race detector is on, and memory cannot be measured.
const raceEnabled = true
