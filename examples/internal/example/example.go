// Package example is what the example programs share: how they connect, their
// flags, and how they end.
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

const environment = `Credentials: KALSHI_PRIVATE_KEY_PATH names a key file, which holds a key and its ID.
If it is a PEM file without the ID, or if KALSHI_PRIVATE_KEY holds the PEM text,
KALSHI_API_KEY_ID is the ID. KALSHI_BASE_URL chooses the environment; the default
is production. If none of them is set, the program runs against a stand-in for the
exchange, in this process, and needs no account.`

// A Session is a connection to an exchange. [Run] closes it.
type Session struct {
	Client *kalshi.Client
	// StandIn is the exchange if it runs in this process, else nil.
	StandIn *kalshitest.Server

	dir string // temporary
}

// Run parses the flags, connects, runs the program and ends the process: with
// status 1 if the program fails. usage is what -h prints first. Ctrl-C cancels
// the context. The options are for the client.
func Run(usage string, program func(ctx context.Context, s *Session) error, opts ...kalshi.Option) {
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "%s\n\n%s\n\n", usage, environment)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(program, opts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(program func(ctx context.Context, s *Session) error, opts []kalshi.Option) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see -h", flag.Arg(0))
	}
	s, err := Connect(opts...)
	if err != nil {
		return err
	}
	defer s.Close()
	return program(ctx, s)
}

// Connect uses the credentials in the environment, or a stand-in if there are
// none. It never uses the stand-in if some of the variables are set.
func Connect(opts ...kalshi.Option) (*Session, error) {
	for _, name := range []string{"KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY", "KALSHI_PRIVATE_KEY_PATH", "KALSHI_BASE_URL"} {
		if os.Getenv(name) != "" {
			client, err := kalshi.NewClientFromEnv(opts...)
			if err != nil {
				return nil, err
			}
			fmt.Printf("Using %s with key %s\n\n", client.BaseURL(), client.Signer().KeyID())
			return &Session{Client: client}, nil
		}
	}
	standIn := kalshitest.NewServer()
	signer, err := kalshi.NewSignerFromPEM(standIn.KeyID, []byte(standIn.PrivateKey))
	if err != nil {
		return nil, err
	}
	client, err := kalshi.NewClient(signer, append([]kalshi.Option{kalshi.WithBaseURL(standIn.URL)}, opts...)...)
	if err != nil {
		return nil, err
	}
	fmt.Printf("No credentials in the environment: this runs against a stand-in for the exchange, %s\n\n", standIn.URL)
	return &Session{Client: client, StandIn: standIn}, nil
}

// Close stops the stand-in and removes what it left on disk.
func (s *Session) Close() {
	if s.StandIn != nil {
		s.StandIn.Close()
	}
	if s.dir == "" {
		return
	}
	if err := os.RemoveAll(s.dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	fmt.Printf("\nRemoved the temporary folder %s with the key in it.\n", s.dir)
}

// KeyFile returns the file that holds the client's key. On the stand-in it is a
// temporary one.
func (s *Session) KeyFile() (kalshi.KeyFile, error) {
	if s.StandIn == nil {
		path := strings.TrimSpace(os.Getenv("KALSHI_PRIVATE_KEY_PATH"))
		if path == "" {
			return "", errors.New("KALSHI_PRIVATE_KEY_PATH is not set: the key has to be in a file")
		}
		return kalshi.KeyFile(path), nil
	}
	path, err := s.tempFile("key.pem")
	if err != nil {
		return "", err
	}
	text := "KALSHI_API_KEY_ID=" + s.StandIn.KeyID + "\n" + s.StandIn.PrivateKey
	return kalshi.KeyFile(path), os.WriteFile(path, []byte(text), 0o600)
}

// tempFile names a file in a folder that Close removes.
func (s *Session) tempFile(name string) (path string, err error) {
	if s.dir == "" {
		s.dir, err = os.MkdirTemp("", "kalshi-go-example-")
	}
	return filepath.Join(s.dir, name), err
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
	flag.StringVar(&f.out, "out", "", "new `file` for the key (on the stand-in: a temporary one)")
	return f
}

// Out returns the new file for the key.
func (f *KeyFlags) Out(s *Session) (string, error) {
	switch {
	case f.out != "":
		return f.out, nil
	case s.StandIn == nil:
		return "", errors.New("-out is missing: name a new file for the key")
	}
	return s.tempFile("key.pem")
}

// WriteNewFile writes a file that only its owner may read. It never overwrites
// one.
func WriteNewFile(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
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
