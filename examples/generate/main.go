// Generate has the exchange make a key pair, and saves the private half, which
// is shown only once, with the key's ID in a new key file.
package main

import (
	"context"
	"errors"
	"fmt"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
)

func main() {
	flags := example.NewKeyFlags()
	example.Run("generate has the exchange make an API key and saves it in a new key file.", func(ctx context.Context, s *example.Session) error {
		out, err := flags.Out(s)
		if err != nil {
			return err
		}
		key, err := s.Client.GenerateAPIKeyToFile(ctx, kalshi.GenerateAPIKeyRequest{
			Name:       flags.Name,
			KeyType:    kalshi.KeyType(flags.Type),
			Scopes:     flags.Scopes,
			Subaccount: flags.Subaccount,
		}, out)
		var unknown *kalshi.OutcomeUnknownError
		var notSaved *kalshi.NotSavedError
		switch {
		case errors.As(err, &unknown):
			return fmt.Errorf("%w\nRun examples/list, and delete a key %q that was not there before", err, unknown.KeyName)
		case errors.As(err, &notSaved): // the file could not be written, nor the key deleted again
			return fmt.Errorf("%w\nDelete it: examples/delete -id %s", err, notSaved.Response.ID)
		case err != nil:
			return err
		}
		fmt.Printf("Key       %s (%s)\nKey file  %s\n", key.ID, key.KeyType, out)
		if key.Warning != "" {
			fmt.Println("Warning  ", key.Warning)
		}
		return nil
	})
}
