// List prints the account's API keys.
package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/examples/internal/example"
)

func main() {
	subtrader := flag.String("subtrader", "", "list only the keys bound to this subtrader `ID` (for FCM members; not on the stand-in)")
	example.Run("list prints the account's API keys.", func(ctx context.Context, s *example.Session) error {
		var opts []kalshi.GetAPIKeysOption
		if *subtrader != "" {
			opts = append(opts, kalshi.ForSubtrader(*subtrader))
		}
		keys, err := s.Client.GetAPIKeys(ctx, opts...)
		if err != nil {
			return err
		}
		example.PrintKeys(keys.APIKeys)
		if t, ok := keys.RegionExpiration(); ok {
			fmt.Printf("\nThe location attestation ends at %s.\n", t.Format(time.RFC3339))
		}
		return nil
	})
}
