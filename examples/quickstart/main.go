// Quickstart shows the life of an API key: list, generate, use the new key,
// create from a local key pair, a call that fails, and delete.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
)

func main() {
	example.Run("quickstart lists, generates, uses, creates and deletes API keys. It deletes what it made.", story)
}

func story(ctx context.Context, s *example.Session) error {
	client := s.Client

	fmt.Println("1. GetAPIKeys: the keys of the account")
	keys, err := client.GetAPIKeys(ctx)
	if err != nil {
		return err
	}
	example.PrintKeys(keys.APIKeys)

	fmt.Println("\n2. GenerateAPIKey: the exchange makes a pair and shows the private half once")
	generated, err := client.GenerateAPIKey(ctx, kalshi.GenerateAPIKeyRequest{
		Name:    "quickstart generated",
		KeyType: kalshi.KeyTypeEd25519,
		Scopes:  []kalshi.Scope{kalshi.ScopeRead},
	})
	if err != nil {
		return err
	}
	defer cleanUp(client, generated.ID)
	fmt.Println("   ID         ", generated.ID)
	fmt.Println("   key type   ", generated.KeyType)
	fmt.Println("   private key", generated.PrivateKey, "(it never prints itself)")

	fmt.Println("\n3. The new key signs: it may read, and nothing else")
	reader, err := clientOf(client, generated)
	if err != nil {
		return err
	}
	current, err := reader.CurrentAPIKey(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("   signed as   %q with scopes %v\n", current.Name, current.Scopes)

	fmt.Println("\n4. CreateAPIKey: a pair made here, so the private half never crosses the network")
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	publicPEM, err := kalshi.MarshalPublicKey(public)
	if err != nil {
		return err
	}
	created, err := client.CreateAPIKey(ctx, kalshi.CreateAPIKeyRequest{
		Name:      "quickstart created",
		PublicKey: publicPEM,
		Scopes:    []kalshi.Scope{kalshi.ScopeRead},
	})
	var forbidden *kalshi.ForbiddenError
	switch {
	case errors.As(err, &forbidden):
		fmt.Println("   not allowed:", forbidden) // below Premier or Market Maker
	case err != nil:
		return err
	default:
		defer cleanUp(client, created.ID)
		signer, err := kalshi.NewSigner(created.ID, private)
		if err != nil {
			return err
		}
		fmt.Println("   ID         ", created.ID)
		fmt.Println("   signer     ", signer)
	}

	fmt.Println("\n5. A call that fails: there is no such key")
	err = client.DeleteAPIKey(ctx, "00000000-0000-4000-8000-000000000000")
	var notFound *kalshi.NotFoundError
	if errors.As(err, &notFound) {
		fmt.Printf("   %T\n   %v\n", notFound, notFound)
	} else if err != nil {
		return err
	}

	fmt.Println("\n6. DeleteAPIKey: what was made is deleted again")
	return nil
}

// clientOf returns a client that signs with a generated key.
func clientOf(client *kalshi.Client, key *kalshi.GenerateAPIKeyResponse) (*kalshi.Client, error) {
	signer, err := key.Signer()
	if err != nil {
		return nil, err
	}
	return kalshi.NewClient(signer, kalshi.WithBaseURL(client.BaseURL()))
}

// cleanUp deletes a key that the story made, even if the story fails.
func cleanUp(client *kalshi.Client, id string) {
	if err := client.DeleteAPIKey(context.Background(), id); err != nil {
		fmt.Println("   still there:", id, err)
		return
	}
	fmt.Println("   deleted    ", id)
}
