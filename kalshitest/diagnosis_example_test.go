package kalshitest_test

import (
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// Why does the exchange reject this signature?
func ExampleRequest() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	signer := botClient(exchange).Signer()
	headers, err := signer.Headers(http.MethodGet, "/api_keys") // without /trade-api/v2
	if err != nil {
		log.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodGet, exchange.URL+"/api_keys", nil)
	if err != nil {
		log.Fatal(err)
	}
	req.Header = headers
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()

	fmt.Println(resp.StatusCode)
	fmt.Println(exchange.Requests()[0].Diagnosis)
	// Output:
	// 401
	// the signed path lacks /trade-api/v2: sign the whole path
}

func ExampleServer_RequireAttestation() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.Handle("POST /trade-api/v2/portfolio/orders", exchange.RequireAttestation(
		kalshitest.Response{Status: http.StatusCreated, Body: `{"order":{}}`}))
	exchange.SetRegionExpiration(time.Now().Add(-time.Hour))

	resp, err := botClient(exchange).HTTPClient().Post(exchange.URL+"/portfolio/orders", "application/json", nil)
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
	fmt.Println(resp.StatusCode)
	// Output: 403
}
