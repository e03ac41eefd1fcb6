// Kalshitest is a stand-in for the Kalshi exchange as a program: package
// kalshitest for bots in any language. Run it with -h to read how to use it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// Exit statuses, besides that of the command.
const (
	statusNotStarted    = 2   // a flag, an address, a fault or a file is not usable
	statusNotExecutable = 126 // as shells have it
	statusNotFound      = 127
	statusSignal        = 128 // plus the number of the signal that ended the command
)

// settings is what the command line says.
type settings struct {
	addr        string
	envFile     string
	clockOffset time.Duration
	faults      []string // JSON
	options     []kalshitest.Option
	command     []string // nil: there is none
}

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup ignores it
		signal.Notify(signals, syscall.SIGHUP)
	}
	status, err := run(os.Args[1:], signals)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kalshitest:", err)
	}
	os.Exit(status)
}

// run is the program: it returns the exit status, and what to print if it
// could not start.
func run(args []string, signals <-chan os.Signal) (status int, err error) {
	cfg, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(help)
		return 0, nil
	case err != nil:
		return statusNotStarted, fmt.Errorf("%w (kalshitest -h explains the flags)", err)
	}
	var command *exec.Cmd
	if cfg.command != nil {
		command = exec.Command(cfg.command[0], cfg.command[1:]...) // #nosec G204 -- it is the user's own command
		if command.Err != nil {
			return startStatus(command.Err), command.Err
		}
	}

	server, err := start(cfg)
	if err != nil {
		return statusNotStarted, err
	}
	defer server.Close()

	var envFile string
	if cfg.envFile != "" || command == nil {
		if envFile, err = writeEnvFile(cfg.envFile, server.Env()); err != nil {
			return statusNotStarted, err
		}
		defer os.Remove(envFile)
	}

	if command == nil {
		fmt.Printf(banner, server.URL, shellQuote(envFile))
		<-signals
	} else {
		fmt.Fprintf(os.Stderr, "kalshitest: the stand-in exchange is at %s for %s\n", server.URL, cfg.command[0])
		command.Env = commandEnv(os.Environ(), server.Env())
		status, err = runCommand(command, signals)
	}
	if n := server.PendingFaults(); n > 0 {
		fmt.Fprintf(os.Stderr, "kalshitest: the faults still wait for requests that did not come: %d\n", n)
	}
	return status, err
}

// banner says what to do next. Its arguments are the URL and the file.
const banner = `A stand-in for the Kalshi exchange is at %s
To point a bot at it, run this in the bot's terminal, which sets KALSHI_BASE_URL,
KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY:
    set -a; . %s; set +a
Or let kalshitest set them and run the bot:
    kalshitest -- python3 bot.py
Requests are logged here. Ctrl-C stops the stand-in and removes the file.
To read about faults, clocks and other flags: kalshitest -h
`

// parse reads the command line.
func parse(args []string) (settings, error) {
	cfg := settings{}
	flags := newFlagSet(&cfg)
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	separated := len(args) > flags.NArg() && args[len(args)-flags.NArg()-1] == "--"
	switch rest := flags.Args(); {
	case len(rest) > 0 && !separated:
		return settings{}, fmt.Errorf("unexpected argument %q: write -- before a command, as in kalshitest -- python3 bot.py", rest[0])
	case len(rest) > 0:
		cfg.command = rest
	case separated:
		return settings{}, errors.New("there is no command after --")
	}
	return cfg, nil
}

// newFlagSet returns the flags, which fill in cfg.
func newFlagSet(cfg *settings) *flag.FlagSet {
	flags := flag.NewFlagSet("kalshitest", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run prints the error, and help is written by hand
	flags.StringVar(&cfg.addr, "addr", "127.0.0.1:0", "")
	flags.StringVar(&cfg.envFile, "env", "", "")
	flags.Func("clock-offset", "", func(text string) (err error) {
		if cfg.clockOffset, err = time.ParseDuration(text); err != nil {
			return errors.New("write a duration with its unit, such as 30s or -1m30s")
		}
		return nil
	})
	flags.Func("fault", "", func(text string) error {
		cfg.faults = append(cfg.faults, text)
		return nil
	})
	for name, option := range map[string]func() kalshitest.Option{
		"rsa":   kalshitest.WithRSA,
		"basic": kalshitest.WithBasicUsageLevel,
		"fcm":   kalshitest.WithFCMMember,
	} {
		flags.BoolFunc(name, "", func(string) error {
			cfg.options = append(cfg.options, option())
			return nil
		})
	}
	return flags
}

// start starts the server with its clock and faults.
func start(cfg settings) (*kalshitest.Server, error) {
	listener, err := listen(cfg.addr)
	if err != nil {
		return nil, err
	}
	logger := log.New(os.Stderr, "kalshitest: ", log.Ltime|log.Lmsgprefix)
	hook := func(r kalshitest.Request) { logger.Print(logLine(r)) }
	server := kalshitest.NewServer(append(cfg.options,
		kalshitest.WithListener(listener), kalshitest.WithRequestHook(hook))...)
	server.SetClockOffset(cfg.clockOffset)
	for _, text := range cfg.faults {
		if err := inject(server, text); err != nil {
			server.Close()
			return nil, fmt.Errorf("-fault %s: %w", text, err)
		}
	}
	return server, nil
}

// listen listens on a loopback address. The exchange that it stands in for has
// private keys to give away, so nobody else on the network may reach it.
func listen(addr string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return nil, fmt.Errorf("-addr %q is no loopback address: write one such as 127.0.0.1:8080 or localhost:0 (port 0 takes a free one)", addr)
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-addr: %w", err)
	}
	return listener, nil
}

// logLine describes a request and its response. It shows no query, no header and
// no body.
func logLine(r kalshitest.Request) string {
	response := "no response"
	if r.Status != 0 {
		response = strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status)))
	}
	success := r.Status/100 == 2 || r.Status == http.StatusSwitchingProtocols
	switch { // only a fault does either
	case r.Processed && !success:
		response += ", but it was processed"
	case !r.Processed && success:
		response += ", but it was not processed"
	}
	return fmt.Sprintf("%s %s: %s", r.Method, r.Path, response)
}
