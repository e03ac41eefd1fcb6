// Conformance holds what this project knows of the service against the service: a
// line for each fact.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `conformance holds what this project knows of the service against the service, and
prints a line for each fact: whether it is the same, whether it is documented, observed
or decided by the stand-in, the fact, what is expected, and what was found.

It runs against the stand-in for the exchange, in this process, unless a KALSHI_
variable is set. Then it runs against the demo environment, with the key in
KALSHI_PRIVATE_KEY_PATH (or in KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY), which has to
have the scopes read and write. KALSHI_BASE_URL chooses another environment.

It sends no order and moves no money. It makes keys whose names begin with
"kalshi-go conformance", which may read at most, and one whose scopes are left out. It
deletes them, after Ctrl-C too, and names those that it cannot delete. When it is
killed, the next run names the keys that are left, and -cleanup deletes them.

The exit status is 1 if a fact differs or a key is left, and 2 if the run cannot start.

`

func main() {
	signal.Ignore(syscall.SIGPIPE) // which would end the process before it deletes its keys
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	context.AfterFunc(ctx, func() {
		fmt.Fprintln(os.Stderr, "Interrupted: this run's keys are being deleted. Interrupt again to end at once.")
		stop()
	})
	os.Exit(runCommand(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

type options struct{ production, cleanUp, json bool }

func runCommand(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags, opts := flag.NewFlagSet("conformance", flag.ContinueOnError), options{}
	flags.SetOutput(stderr)
	flags.BoolVar(&opts.production, "production", false, "allow a KALSHI_BASE_URL that is not the demo environment's")
	flags.BoolVar(&opts.cleanUp, "cleanup", false, "delete the keys that earlier runs left, and make no checks; let no other run go on meanwhile")
	flags.BoolVar(&opts.json, "json", false, "print JSON")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "unexpected argument %q: see -h\n", flags.Arg(0))
		return 2
	}
	client, closeStandIn, err := connect(opts.production)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	defer closeStandIn()
	s, err := newSession(ctx, client, http.DefaultTransport)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	if opts.cleanUp {
		return s.cleanUpEarlier(ctx, stdout, stderr)
	}
	return s.report(ctx, opts.json, stdout, stderr)
}

// report makes all checks and prints them. It returns the exit status.
func (s *session) report(ctx context.Context, asJSON bool, stdout, stderr io.Writer) int {
	start := time.Now()
	r := report{BaseURL: s.client.BaseURL(), Run: s.run, Rows: []row{}, Earlier: map[string]string{}}
	for _, key := range s.earlier {
		r.Earlier[key.ID] = key.Name
	}
	emit := func(row row) { r.Rows = append(r.Rows, row) }
	if !asJSON {
		fmt.Fprintf(stdout, "%s, key %s\n\n", r.BaseURL, s.own.ID)
		t := newTable(stdout, checks())
		emit = func(row row) {
			r.Rows = append(r.Rows, row)
			t.print(row)
		}
	}
	var err error
	if r.Left, err = s.conform(ctx, emit); err != nil {
		r.Unknown = err.Error()
	}
	r.Took = round(time.Since(start))
	if !asJSON {
		r.printSummary(stdout)
	} else if err := r.printJSON(stdout); err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if ctx.Err() != nil {
		return 1
	}
	return r.status()
}

// cleanUpEarlier deletes the keys that earlier runs left.
func (s *session) cleanUpEarlier(ctx context.Context, stdout, stderr io.Writer) (status int) {
	for _, key := range s.earlier {
		if err := deleteKey(ctx, s.client, key.ID); err != nil {
			fmt.Fprintf(stderr, "%q %q is left: %v\n", key.ID, key.Name, err)
			status = 1
			continue
		}
		fmt.Fprintf(stdout, "%q %q is deleted\n", key.ID, key.Name)
	}
	if len(s.earlier) == 0 {
		fmt.Fprintln(stdout, "No earlier run left a key.")
	}
	return status
}
