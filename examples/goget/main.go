// Goget is the smallest bot: it lists its keys, on a stand-in for the exchange.
// The test builds it as a bot of somebody else's, with go get.
package main

import (
	"context"
	"fmt"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func main() {
	exchange := kalshitest.NewServer()
	key := must(kalshi.ParsePrivateKey([]byte(exchange.PrivateKey)))
	signer := must(kalshi.NewSigner(exchange.KeyID, key))
	client := must(kalshi.NewClient(signer, kalshi.WithBaseURL(exchange.URL)))
	keys := must(client.GetAPIKeys(context.Background()))
	fmt.Println(keys.APIKeys[0].Name, keys.APIKeys[0].Scopes)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
