// Delete deletes an API key.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func main() {
	id := flag.String("id", "", "the key's `ID` (on the stand-in: of a new key)")
	example.Run("delete deletes an API key for good.", func(ctx context.Context, s *example.Session) error {
		switch {
		case *id == "" && s.StandIn == nil:
			return errors.New("-id is missing: examples/list prints the IDs")
		case *id == "":
			*id = s.StandIn.AddKey(kalshitest.Key{Name: "old bot"}).ID
		}
		err := s.Client.DeleteAPIKey(ctx, *id)
		var notFound *kalshi.NotFoundError
		if errors.As(err, &notFound) {
			return fmt.Errorf("%w\nThere is no such key; examples/list prints the keys", err)
		}
		if err != nil {
			return err
		}
		fmt.Println("Deleted", *id)
		return nil
	})
}
