package main

// The command line.

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"
)

// settings is what the command line says.
type settings struct {
	addr            string
	envFile         string
	clockOffset     time.Duration
	faults          []string // JSON
	responses       []responseJSON
	rsa, basic, fcm bool
	command         []string // nil: there is none
}

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
	flags.Func("respond", "", func(text string) error {
		r, err := parseRespond(text)
		cfg.responses = append(cfg.responses, r)
		return err
	})
	flags.Func("responses", "", func(name string) error {
		all, err := readResponses(name)
		cfg.responses = append(cfg.responses, all...)
		return err
	})
	flags.BoolVar(&cfg.rsa, "rsa", false, "")
	flags.BoolVar(&cfg.basic, "basic", false, "")
	flags.BoolVar(&cfg.fcm, "fcm", false, "")
	return flags
}
