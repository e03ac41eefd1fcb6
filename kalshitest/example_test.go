package kalshitest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// bot is a client to be tested. It knows the exchange by a URL and a key.
type bot struct {
	url, keyID string
	key        crypto.Signer
}

// newBot reads an Ed25519 key from its PEM text.
func newBot(url, keyID, privateKey string) (*bot, error) {
	block, _ := pem.Decode([]byte(privateKey))
	if block == nil {
		return nil, fmt.Errorf("the private key of %s is not PEM", keyID)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the private key of %s cannot sign", keyID)
	}
	return &bot{url, keyID, signer}, nil
}

// keyNames asks the exchange for the names of the account's keys.
func (b *bot) keyNames() ([]string, error) {
	req, err := http.NewRequest(http.MethodGet, b.url+"/api_keys", nil)
	if err != nil {
		return nil, err
	}
	timestamp := strconv.FormatInt(time.Now().UnixMilli(), 10)
	signature, err := b.key.Sign(rand.Reader, []byte(timestamp+req.Method+req.URL.EscapedPath()), crypto.Hash(0))
	if err != nil {
		return nil, err
	}
	req.Header.Set("KALSHI-ACCESS-KEY", b.keyID)
	req.Header.Set("KALSHI-ACCESS-TIMESTAMP", timestamp)
	req.Header.Set("KALSHI-ACCESS-SIGNATURE", base64.StdEncoding.EncodeToString(signature))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the exchange answers %s", res.Status)
	}
	var list struct {
		APIKeys []struct{ Name string } `json:"api_keys"`
	}
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil {
		return nil, err
	}
	var names []string
	for _, k := range list.APIKeys {
		names = append(names, k.Name)
	}
	return names, nil
}

// A program under test needs only to be told another base URL and another key.
func Example() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.AddKey(kalshitest.Key{Name: "market maker", Scopes: []string{"read", "write::trade"}})

	b, err := newBot(exchange.URL, exchange.KeyID, exchange.PrivateKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(b.keyNames())

	// Its clock is right, but is the exchange's?
	exchange.SetClockOffset(time.Minute)
	fmt.Println(b.keyNames())
	exchange.SetClockOffset(0)

	// What does it do when it is told to slow down?
	exchange.Inject(kalshitest.Fault{Status: http.StatusTooManyRequests, Body: kalshitest.TooManyRequestsBody})
	fmt.Println(b.keyNames())

	for _, r := range exchange.Requests() {
		fmt.Println(r.Method, r.Path, r.Status, r.Processed)
	}
	// Output:
	// [kalshitest market maker] <nil>
	// [] the exchange answers 401 Unauthorized
	// [] the exchange answers 429 Too Many Requests
	// GET /trade-api/v2/api_keys 200 true
	// GET /trade-api/v2/api_keys 401 false
	// GET /trade-api/v2/api_keys 429 false
}
