// Create makes a key pair on this machine and registers its public half. The
// private half never crosses the network.
package main

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"os"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
)

func main() {
	flags := example.NewKeyFlags()
	example.Run("create makes a key pair on this machine and registers its public half as an API key.", func(ctx context.Context, s *example.Session) error {
		key, err := newKey(kalshi.KeyType(flags.Type))
		if err != nil {
			return err
		}
		out, err := flags.Out(s)
		if err != nil {
			return err
		}
		// The private key is saved before it is registered, so that no working key
		// is lost.
		private, err := kalshi.MarshalPrivateKey(key)
		if err != nil {
			return err
		}
		if err := example.WriteNewFile(out, private.Reveal()); err != nil {
			return err
		}

		public, err := kalshi.MarshalPublicKey(key.Public())
		if err != nil {
			return err
		}
		created, err := s.Client.CreateAPIKey(ctx, kalshi.CreateAPIKeyRequest{
			Name:       flags.Name,
			PublicKey:  public,
			Scopes:     flags.Scopes,
			Subaccount: flags.Subaccount,
		})
		var unknown *kalshi.OutcomeUnknownError
		if errors.As(err, &unknown) {
			return fmt.Errorf("%w\nThe private key is in %s: if examples/list shows a new key %q, it is that key's", err, out, unknown.KeyName)
		}
		if err != nil {
			return errors.Join(err, os.Remove(out)) // it belongs to no key
		}
		// With the key's ID in it, the file is all that a bot needs.
		credentials, err := kalshi.NewCredentials(created.ID, key)
		if err == nil {
			err = kalshi.KeyFile(out).Save(ctx, credentials)
		}
		if err != nil {
			return fmt.Errorf("%w\nThe private key of %s is in %s", err, created.ID, out)
		}
		fmt.Printf("Key       %s (%s)\nKey file  %s\n", created.ID, flags.Type, out)
		if created.Warning != "" {
			fmt.Println("Warning  ", created.Warning)
		}
		return nil
	})
}

func newKey(keyType kalshi.KeyType) (crypto.Signer, error) {
	switch keyType {
	case kalshi.KeyTypeEd25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	case kalshi.KeyTypeRSA:
		return rsa.GenerateKey(rand.Reader, 2048)
	default:
		return nil, fmt.Errorf("-type %q: use ed25519 or rsa", keyType)
	}
}
