package test

import (
	"log"
	"os"
	"os/exec"
	"testing"

	"github.com/seed251d1451/kalshi-go"
	"github.com/stretchr/testify/require"
)

// childVariable names the function that a child process runs, for what would take the test program
// with it. A child is this program once more.
const childVariable = "KALSHI_TEST_CHILD"

// children are those functions, whose arguments are the command line's.
var children = map[string]func(args []string){}

func TestMain(m *testing.M) {
	if child, ok := children[os.Getenv(childVariable)]; ok {
		log.SetFlags(0)
		child(os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func childCommand(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), program, args...)
	// The race detector waits a second at a process's end, unless told otherwise.
	cmd.Env = append(os.Environ(), childVariable+"="+name, "GORACE=atexit_sleep_ms=0")
	return cmd
}

// must ends a child that cannot go on.
func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// saveKey saves the exchange's first key in a key file.
func (x *exchange) saveKey(t testing.TB, path string) {
	t.Helper()
	require.NoError(t, kalshi.KeyFile(path).Save(t.Context(), x.credentials()))
}
