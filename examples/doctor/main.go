// Doctor says what is wrong with a set-up: the variables, the key and its file,
// the way to the exchange, the clock, and what the exchange knows of the key. It
// changes nothing and prints no secret.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const usage = `doctor checks a set-up and prints a line for each thing: ✓ it works, ! look at it,
✗ it is wrong. What to do is behind the arrow. The exit status is 1 if a line is ✗.

It reads the variables that kalshi.NewClientFromEnv reads: KALSHI_PRIVATE_KEY_PATH or
KALSHI_PRIVATE_KEY, KALSHI_API_KEY_ID and KALSHI_BASE_URL. If no variable that begins
with KALSHI_ is set, it runs against a stand-in for the exchange, in this process.`

func main() {
	asJSON := flag.Bool("json", false, "print one JSON object instead of lines")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "%s\n\n", usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	os.Exit(run(os.Stdout, *asJSON))
}

func run(out io.Writer, asJSON bool) (status int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	isSet := func(v string) bool { return strings.HasPrefix(v, "KALSHI_") && !strings.HasSuffix(v, "=") }
	var lines []line
	if !slices.ContainsFunc(os.Environ(), isSet) {
		closeStandIn, err := useStandIn()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer closeStandIn()
		lines = []line{{"ok", "variables", "none is set: this is a stand-in for the exchange, in this process", ""}}
	}
	return show(out, append(lines, newDoctor(documented, nil).examine(ctx)...), asJSON)
}

// useStandIn sets the variables to a key file for a stand-in.
func useStandIn() (closeStandIn func(), err error) {
	dir, err := os.MkdirTemp("", "kalshi-go-doctor-")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "key.pem")
	standIn := kalshitest.NewServer()
	standIn.SetRegionExpiration(time.Now().AddDate(0, 1, 0))
	_ = os.Setenv("KALSHI_PRIVATE_KEY_PATH", path)
	_ = os.Setenv("KALSHI_BASE_URL", standIn.URL)
	return func() {
		standIn.Close()
		_ = os.RemoveAll(dir)
	}, os.WriteFile(path, []byte("KALSHI_API_KEY_ID="+standIn.KeyID+"\n"+standIn.PrivateKey), 0o600)
}

// A line is what doctor says of one thing. Status is "ok", "look" or "wrong".
type line struct{ Status, Check, Text, Do string }

func (l line) String() string {
	symbol := map[string]string{"ok": "✓", "look": "!", "wrong": "✗"}[l.Status]
	return strings.TrimSuffix(fmt.Sprintf("%s %-9s  %s → %s", symbol, l.Check, l.Text, l.Do), " → ")
}

func ok(text string, args ...any) []line {
	return []line{{Status: "ok", Text: fmt.Sprintf(text, args...)}}
}

func look(do, text string, args ...any) []line {
	return []line{{Status: "look", Do: do, Text: fmt.Sprintf(text, args...)}}
}

func wrong(do, text string, args ...any) []line {
	return []line{{Status: "wrong", Do: do, Text: fmt.Sprintf(text, args...)}}
}

// show prints the lines and returns the exit status.
func show(out io.Writer, lines []line, asJSON bool) (status int) {
	if slices.ContainsFunc(lines, func(l line) bool { return l.Status == "wrong" }) {
		status = 1
	}
	if asJSON {
		text, _ := json.MarshalIndent(map[string]any{"OK": status == 0, "Lines": lines}, "", "  ")
		fmt.Fprintln(out, string(text))
		return status
	}
	for _, l := range lines {
		fmt.Fprintln(out, l)
	}
	return status
}
