// Goget is README's quick start: the smallest bot, on a stand-in for the exchange.
// Its test builds it as somebody else's module would, with go get.
//
// What the SDK adds to a bot's module:
//
//   - go get adds one line to go.mod and two to go.sum, all of the SDK itself.
//     It downloads nothing else.
//   - go mod tidy adds six more lines to go.sum: the checksums of testify,
//     httpmock and a YAML parser, which the SDK's tests import. It downloads
//     them, too. None of them gets into go.mod or is compiled.
package main

import (
	"context"
	"fmt"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func main() {
	exchange := kalshitest.NewServer() // a stand-in for the exchange: no account needed
	signer := must(kalshi.NewSignerFromPEM(exchange.KeyID, []byte(exchange.PrivateKey)))
	client := must(kalshi.NewClient(signer, kalshi.WithBaseURL(exchange.URL)))
	key := must(client.CurrentAPIKey(context.Background()))
	fmt.Println(key.Name, key.Scopes)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
