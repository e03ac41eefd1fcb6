package kalshi

import (
	"runtime/debug"
	"slices"
	"testing"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// raceEnabled tells that the race detector is on, so that memory cannot be
// measured.
var raceEnabled = func() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}()

// newSharingClient returns a client that shares a signer.
func newSharingClient(t testing.TB, srv *kalshitest.Server, signer *Signer) *Client {
	t.Helper()
	client := newServerClient(t, srv)
	client.signer = signer
	return client
}
