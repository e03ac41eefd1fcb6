// Firstkey makes the key file of an account that has no API key yet. The private
// half is made on this machine and never leaves it: Kalshi's page gets the public
// half.
package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const usage = `firstkey makes an Ed25519 key pair on this machine, prints the public half to paste
into Kalshi's page for API keys, asks for the ID that the page shows, and saves both
in a key file. The private half is never printed or sent. No variables are needed.

Without -out it shows itself, on a stand-in for the exchange.`

func main() {
	out := flag.String("out", "", "new `file` for the key")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "%s\n\n", usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(path string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	switch {
	case flag.NArg() > 0:
		return fmt.Errorf("unexpected argument %q: see -h", flag.Arg(0))
	case path == "":
		return demonstrate(ctx)
	}
	return firstKey(ctx, os.Stdin, os.Stdout, path)
}

func firstKey(ctx context.Context, in io.Reader, out io.Writer, path string) error {
	err := makeKey(ctx, path, func(public string) (string, error) {
		fmt.Fprintf(out, "The private key is in %s. Add this public key on Kalshi's page for API keys:\n\n%s\n", path, public)
		return ask(ctx, in, out)
	})
	if err != nil {
		return err
	}
	absolute, err := filepath.Abs(path)
	fmt.Fprintf(out, "The file has the ID, too. Try it:\n\nexport KALSHI_PRIVATE_KEY_PATH='%s'\ngo run ./examples/doctor\n", absolute)
	return err
}

// makeKey makes the key file. It writes the private half before the public one is
// registered, so that no registered key can be lost.
func makeKey(ctx context.Context, path string, register func(public string) (id string, err error)) error {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	publicText, err := kalshi.MarshalPublicKey(public)
	if err != nil {
		return err
	}
	private, err := kalshi.MarshalPrivateKey(key)
	if err != nil {
		return err
	}
	if err := example.WriteNewFile(path, private.Reveal()); err != nil {
		return err
	}
	id, err := register(publicText)
	if err == nil {
		err = save(ctx, kalshi.KeyFile(path), id, key)
	}
	if err != nil {
		return fmt.Errorf("%w\nIf you have added the key, make this the first line of %s, with the ID that the page shows:\nKALSHI_API_KEY_ID=<id>", err, path)
	}
	return nil
}

func save(ctx context.Context, file kalshi.KeyFile, id string, key ed25519.PrivateKey) error {
	credentials, err := kalshi.NewCredentials(id, key)
	if err != nil {
		return err
	}
	return file.Save(ctx, credentials)
}

// Kalshi's IDs are UUIDs, as far as anybody has seen.
var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// ask reads lines until one is an ID.
func ask(ctx context.Context, in io.Reader, out io.Writer) (id string, err error) {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(in); scanner.Scan() && ctx.Err() == nil; {
			lines <- strings.TrimSpace(scanner.Text())
		}
	}()
	for {
		fmt.Fprint(out, "The ID that the page shows: ")
		select {
		case line, more := <-lines:
			switch {
			case !more:
				return "", errors.New("\nthe input has ended")
			case uuid.MatchString(line):
				return line, nil
			}
			fmt.Fprintln(out, "That is not an ID. One looks like 01234567-89ab-cdef-0123-456789abcdef.")
		case <-ctx.Done():
			return "", errors.New("\ninterrupted")
		}
	}
}

// demonstrate registers the key at a stand-in, and uses it.
func demonstrate(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "kalshi-go-firstkey-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "key.pem")
	standIn := kalshitest.NewServer()
	defer standIn.Close()
	err = makeKey(ctx, path, func(public string) (string, error) {
		fmt.Printf("The private key is in %s. The stand-in gets its public half:\n\n%s\n", path, public)
		return standIn.AddKey(kalshitest.Key{Name: "first key", PublicKey: public}).ID, nil
	})
	if err != nil {
		return err
	}
	client, err := kalshi.NewClientFromKeyFile(path, kalshi.WithBaseURL(standIn.URL))
	if err != nil {
		return err
	}
	current, err := client.CurrentAPIKey(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("The key has the ID %s there, and signs. The folder %s is removed again.\n", current.ID, dir)
	return nil
}
