// Kalshitest is a stand-in for the Kalshi exchange as a program: package
// kalshitest for bots in any language. Run it with -h to read how to use it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// Exit statuses, besides that of the command.
const (
	statusNotStarted    = 2   // a flag, an address, a fault or a file is not usable
	statusFaultsWait    = 3   // the command succeeded, but a fault has not happened
	statusNotExecutable = 126 // as shells have it
	statusNotFound      = 127
	statusSignal        = 128 // plus the number of the signal that ended the command
)

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
	env := append(server.Env(), "KALSHITEST_URL="+strings.TrimSuffix(server.URL, "/trade-api/v2")+"/kalshitest")

	var envFile string
	if cfg.envFile != "" || command == nil {
		if envFile, err = writeEnvFile(cfg.envFile, env); err != nil {
			return statusNotStarted, err
		}
		defer os.Remove(envFile)
	}

	if command == nil {
		fmt.Printf(banner, server.URL, shellQuote(envFile))
		<-signals
	} else {
		fmt.Fprintf(os.Stderr, "kalshitest: the stand-in exchange is at %s for %s\n", server.URL, cfg.command[0])
		command.Env = commandEnv(os.Environ(), env)
		status, err = runCommand(command, signals)
	}
	for _, line := range waiting(server) {
		fmt.Fprintln(os.Stderr, "kalshitest:", line)
		if command != nil && status == 0 {
			status = statusFaultsWait
		}
	}
	return status, err
}

// banner says what to do next. Its arguments are the URL and the file.
const banner = `A stand-in for the Kalshi exchange is at %s
To point a bot at it, run this in the bot's terminal, which sets KALSHI_BASE_URL,
KALSHI_API_KEY_ID, KALSHI_PRIVATE_KEY and KALSHITEST_URL:
    set -a; . %s; set +a
Or let kalshitest set them and run the bot:
    kalshitest -- python3 bot.py
Requests are logged here. Ctrl-C stops the stand-in and removes the file.
To read about responses, faults and control by HTTP: kalshitest -h
`

// start starts the server with its clock, responses and faults, and its control.
func start(cfg settings) (*kalshitest.Server, error) {
	listener, err := listen(cfg.addr)
	if err != nil {
		return nil, err
	}
	server := kalshitest.NewServer(options(cfg, listener)...)
	server.SetClockOffset(cfg.clockOffset)
	for _, r := range cfg.responses {
		if err := respond(server, r); err != nil {
			server.Close()
			return nil, fmt.Errorf("response to %s %s: %w", r.Method, r.Path, err)
		}
	}
	for _, text := range cfg.faults {
		if err := inject(server, text); err != nil {
			server.Close()
			return nil, fmt.Errorf("-fault %s: %w", text, err)
		}
	}
	controls := &control{server, server.Keys()[0], cfg.clockOffset, cfg.responses}
	server.HandleControl(controls.handler())
	return server, nil
}

// options returns the options of the server.
func options(cfg settings, listener net.Listener) []kalshitest.Option {
	logger := log.New(os.Stderr, "kalshitest: ", log.Ltime|log.Lmsgprefix)
	hook := func(r kalshitest.Request) { logger.Print(logLine(r)) }
	all := []kalshitest.Option{kalshitest.WithListener(listener), kalshitest.WithRequestHook(hook)}
	if cfg.rsa {
		all = append(all, kalshitest.WithRSA())
	}
	if cfg.basic {
		all = append(all, kalshitest.WithBasicUsageLevel())
	}
	if cfg.fcm {
		all = append(all, kalshitest.WithFCMMember())
	}
	return all
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
	if r.Diagnosis != "" {
		response += " (" + r.Diagnosis + ")"
	}
	return fmt.Sprintf("%s %s: %s", r.Method, r.Path, response)
}
