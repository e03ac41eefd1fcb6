// Package example is what the example programs share: where they find an
// exchange, their flags, and how they end.
package example

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const environment = `Credentials: KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY_PATH (or KALSHI_PRIVATE_KEY);
KALSHI_BASE_URL chooses the environment, production unless set. With none of them
set it runs against a stand-in exchange in this process.`

// A Session is an exchange to talk to.
type Session struct {
	Client  *kalshi.Client
	BaseURL string
	// StandIn is the exchange when it runs in this process, else nil.
	StandIn *kalshitest.Server
}

// Run parses the flags, connects, runs the program and ends the process.
// usage is what -h says first. Ctrl-C cancels the context.
func Run(usage string, program func(ctx context.Context, s *Session) error) {
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "%s\n\n%s\n\n", usage, environment)
		flag.PrintDefaults()
	}
	flag.Parse()
	err := run(program)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(program func(ctx context.Context, s *Session) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see -h", flag.Arg(0))
	}
	s, err := connect()
	if err != nil {
		return err
	}
	if s.StandIn != nil {
		defer s.StandIn.Close()
	}
	return program(ctx, s)
}

// connect uses the credentials in the environment, or a stand-in if there are
// none. It never falls back to the stand-in when only some are set.
func connect() (*Session, error) {
	for _, name := range []string{"KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY", "KALSHI_PRIVATE_KEY_PATH", "KALSHI_BASE_URL"} {
		if os.Getenv(name) != "" {
			return connectFromEnv()
		}
	}
	srv := kalshitest.NewServer()
	client, err := NewClient(srv, srv.KeyID, srv.PrivateKey)
	if err != nil {
		return nil, err
	}
	fmt.Printf("No credentials in the environment: this runs against a stand-in exchange at %s\n\n", srv.URL)
	return &Session{Client: client, BaseURL: srv.URL, StandIn: srv}, nil
}

func connectFromEnv() (*Session, error) {
	client, err := kalshi.NewClientFromEnv()
	if err != nil {
		return nil, err
	}
	baseURL := client.BaseURL()
	fmt.Printf("Using %s with key %s\n\n", baseURL, client.Signer().KeyID())
	return &Session{Client: client, BaseURL: baseURL}, nil
}

// NewClient returns a client of the stand-in for one of its keys.
func NewClient(srv *kalshitest.Server, keyID, privateKey string) (*kalshi.Client, error) {
	key, err := kalshi.ParsePrivateKey([]byte(privateKey))
	if err != nil {
		return nil, err
	}
	signer, err := kalshi.NewSigner(keyID, key)
	if err != nil {
		return nil, err
	}
	return kalshi.NewClient(signer, kalshi.WithBaseURL(srv.URL))
}

// KeyFlags are the flags of the programs that make a key.
type KeyFlags struct {
	Name       string
	Type       string
	Scopes     []kalshi.Scope
	Subaccount *int
	out        string
}

// NewKeyFlags registers the flags.
func NewKeyFlags() *KeyFlags {
	f := &KeyFlags{Scopes: []kalshi.Scope{kalshi.ScopeRead}}
	flag.StringVar(&f.Name, "name", "example", "the key's `name`")
	flag.StringVar(&f.Type, "type", string(kalshi.KeyTypeEd25519), "ed25519 or rsa")
	flag.Func("scopes", "comma-separated `list`, such as read,write::trade (default read)", func(list string) error {
		f.Scopes = []kalshi.Scope{}
		for scope := range strings.SplitSeq(list, ",") {
			if scope = strings.TrimSpace(scope); scope != "" {
				f.Scopes = append(f.Scopes, kalshi.Scope(scope))
			}
		}
		return nil
	})
	flag.Func("subaccount", "restrict the key to this sub-account `number`, 0 to 63", func(number string) error {
		n, err := strconv.Atoi(number)
		f.Subaccount = &n
		return err
	})
	flag.StringVar(&f.out, "out", "", "new `file` for the private key (on the stand-in: a temporary one)")
	return f
}

// Out returns the file for the private key.
func (f *KeyFlags) Out(s *Session) (string, error) {
	switch {
	case f.out != "":
		return f.out, nil
	case s.StandIn == nil:
		return "", errors.New("-out is missing: name a new file for the private key")
	}
	dir, err := os.MkdirTemp("", "kalshi-go-example-")
	return filepath.Join(dir, "private-key.pem"), err
}

// PrintKeys prints a table of keys.
func PrintKeys(keys []kalshi.APIKey) {
	fmt.Printf("%-38s%-22s%-32s%s\n", "ID", "NAME", "SCOPES", "SUB-ACCOUNT")
	for _, key := range keys {
		scopes := make([]string, len(key.Scopes))
		for i, scope := range key.Scopes {
			scopes[i] = string(scope)
		}
		subaccount := "all"
		if key.Subaccount != nil {
			subaccount = strconv.Itoa(*key.Subaccount)
		}
		fmt.Printf("%-38s%-22s%-32s%s\n", key.ID, key.Name, strings.Join(scopes, " "), subaccount)
	}
}
