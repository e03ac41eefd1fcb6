// Pkcs11 lists the account's API keys, and signs with a key that never leaves an
// HSM: any token with a PKCS#11 library. It is a Go module of its own, since it
// needs cgo and a library for PKCS#11.
//
// Make an RSA key in the token, register its public half at Kalshi (in the web
// app or with CreateAPIKey), and:
//
//	export KALSHI_API_KEY_ID=...  # of the registered key
//	export KALSHI_BASE_URL=https://external-api.demo.kalshi.co/trade-api/v2
//	export PKCS11_PIN=...
//	go run . -module /usr/lib/softhsm/libsofthsm2.so -token my-token -label my-key
//
// Without KALSHI_BASE_URL it uses production. The test needs no account, but
// SoftHSM (apt-get install softhsm2), in which it makes a token:
//
//	go test .
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"

	"github.com/ThalesGroup/crypto11"

	kalshi "github.com/seed251d1451/kalshi-go"
)

const usage = `pkcs11 lists the account's API keys, and signs with a key in an HSM.

KALSHI_API_KEY_ID is the ID that the key's public half was registered under, and
PKCS11_PIN the token's user PIN. KALSHI_BASE_URL chooses the environment; the
default is production.`

func main() {
	log.SetFlags(0)
	module := flag.String("module", "/usr/lib/softhsm/libsofthsm2.so", "the `path` of the HSM's PKCS#11 library")
	token := flag.String("token", "", "the token's `label`")
	label := flag.String("label", "", "the key's `label`")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "%s\n\n", usage)
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, *module, *token, *label); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer, module, token, label string) error {
	hsm, err := openToken(module, token)
	if err != nil {
		return err
	}
	defer hsm.Close()
	signer, err := newSigner(hsm, label, os.Getenv("KALSHI_API_KEY_ID"))
	if err != nil {
		return err
	}
	baseURL := cmp.Or(os.Getenv("KALSHI_BASE_URL"), kalshi.ProductionBaseURL)
	client, err := kalshi.NewClient(signer, kalshi.WithBaseURL(baseURL))
	if err != nil {
		return err
	}
	keys, err := client.GetAPIKeys(ctx)
	if err != nil {
		return err
	}
	for _, key := range keys.APIKeys {
		fmt.Fprintf(out, "%s  %q  %v\n", key.ID, key.Name, key.Scopes)
	}
	return nil
}

// openToken logs in to a token. The PIN comes from the environment, since other
// users of the computer can see a program's flags.
func openToken(module, token string) (*crypto11.Context, error) {
	pin := os.Getenv("PKCS11_PIN")
	switch {
	case token == "":
		return nil, errors.New("-token is missing: the label that the token was initialised with")
	case pin == "":
		return nil, errors.New("PKCS11_PIN is not set: set it to the token's user PIN")
	}
	hsm, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: token, Pin: pin})
	if err != nil {
		return nil, fmt.Errorf("open token %q: %w", token, err)
	}
	return hsm, nil
}

// newSigner returns a signer whose key is in the token. crypto11's keys are
// crypto.Signers that support RSA-PSS and are safe for concurrent use; a
// kalshi.Signer needs no more.
func newSigner(hsm *crypto11.Context, label, keyID string) (*kalshi.Signer, error) {
	if label == "" {
		return nil, errors.New("-label is missing: the label of the key in the token")
	}
	key, err := hsm.FindKeyPair(nil, []byte(label))
	switch {
	case err != nil:
		return nil, fmt.Errorf("look for key %q: %w", label, err)
	case key == nil:
		return nil, fmt.Errorf("the token has no key pair %q", label)
	}
	return kalshi.NewSigner(keyID, key)
}
