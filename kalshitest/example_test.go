package kalshitest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// botClient is a bot's client, pointed at the stand-in. The server itself
// works with any client.
func botClient(exchange *kalshitest.Server) *kalshi.Client {
	return botClientFor(exchange, exchange.KeyID, exchange.PrivateKey)
}

func botClientFor(exchange *kalshitest.Server, keyID, privateKey string) *kalshi.Client {
	key, err := kalshi.ParsePrivateKey([]byte(privateKey))
	if err != nil {
		log.Fatal(err)
	}
	signer, err := kalshi.NewSigner(keyID, key)
	if err != nil {
		log.Fatal(err)
	}
	client, err := kalshi.NewClient(signer, kalshi.WithBaseURL(exchange.URL), kalshi.WithMaxRetries(0))
	if err != nil {
		log.Fatal(err)
	}
	return client
}

// A program under test needs only another base URL and another key.
func Example() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	client := botClient(exchange)

	// What does it do when it has to slow down?
	exchange.Inject(kalshitest.Fault{Status: http.StatusTooManyRequests, Body: kalshitest.TooManyRequestsBody})
	_, err := client.GetAPIKeys(context.Background())
	fmt.Println(err)
	_, err = client.GetAPIKeys(context.Background())
	fmt.Println(err)

	for _, r := range exchange.Requests() {
		fmt.Println(r.Method, r.Path, r.Status, r.Processed)
	}
	// Output:
	// kalshi: GET /trade-api/v2/api_keys: 429 Too Many Requests: too many requests
	// <nil>
	// GET /trade-api/v2/api_keys 429 false
	// GET /trade-api/v2/api_keys 200 true
}

func ExampleNewServer() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	keys, err := botClient(exchange).GetAPIKeys(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(keys.APIKeys), keys.APIKeys[0].Scopes)
	// Output: 1 [read write]
}

func ExampleWithRSA() {
	exchange := kalshitest.NewServer(kalshitest.WithRSA())
	defer exchange.Close()
	fmt.Println(botClient(exchange).Signer().KeyType())
	// Output: rsa
}

func ExampleWithBasicUsageLevel() {
	exchange := kalshitest.NewServer(kalshitest.WithBasicUsageLevel())
	defer exchange.Close()
	client := botClient(exchange)
	_, err := client.CreateAPIKey(context.Background(), kalshi.CreateAPIKeyRequest{
		Name:      "my bot",
		PublicKey: exchange.Keys()[0].PublicKey,
	})
	var forbidden *kalshi.ForbiddenError
	fmt.Println(errors.As(err, &forbidden))
	// Output: true
}

func ExampleWithFCMMember() {
	exchange := kalshitest.NewServer(kalshitest.WithFCMMember())
	defer exchange.Close()
	key, err := botClient(exchange).GenerateAPIKey(context.Background(), kalshi.GenerateAPIKeyRequest{
		Name:           "desk 7",
		FCMSubtraderID: "1234_desk7",
		KeyType:        kalshi.KeyTypeEd25519,
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key.Warning != "")
	// Output: true
}

// What does a bot do with a key that may only read?
func ExampleServer_AddKey() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	reader := exchange.AddKey(kalshitest.Key{Name: "reader", Scopes: []string{"read"}})

	client := botClientFor(exchange, reader.ID, reader.PrivateKey)
	_, err := client.GenerateAPIKey(context.Background(), kalshi.GenerateAPIKeyRequest{Name: "my bot"})
	fmt.Println(err)
	// Output: kalshi: POST /trade-api/v2/api_keys/generate: 403 insufficient_scope:_write_required: insufficient scope: write required
}

func ExampleServer_Keys() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	err := botClient(exchange).DeleteAPIKey(context.Background(), exchange.KeyID)
	fmt.Println(len(exchange.Keys()), err)
	// Output: 0 <nil>
}

func ExampleServer_Requests() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	if _, err := botClient(exchange).GetAPIKeys(context.Background()); err != nil {
		log.Fatal(err)
	}
	r := exchange.Requests()[0]
	fmt.Println(r.Method, r.Path, r.Status, r.KeyID == exchange.KeyID)
	// Output: GET /trade-api/v2/api_keys 200 true
}

// The endpoints that a bot calls, behind the exchange's authentication.
func ExampleServer_Handle() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.Handle("GET /trade-api/v2/portfolio/balance", kalshitest.Response{Body: `{"balance":100000}`})

	req, err := http.NewRequest(http.MethodGet, exchange.URL+"/portfolio/balance", nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := botClient(exchange).Signer().SignRequest(req); err != nil {
		log.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Printf("%s %s %v\n", resp.Status, body, err)
	// Output: 200 OK {"balance":100000} <nil>
}

// The exchange makes a key, and the response is lost.
func ExampleServer_Inject() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.Inject(kalshitest.Fault{Path: "/api_keys/generate", Process: true, Drop: true})

	_, err := botClient(exchange).GenerateAPIKey(context.Background(), kalshi.GenerateAPIKeyRequest{
		Name:    "my bot",
		KeyType: kalshi.KeyTypeEd25519,
	})
	var unknown *kalshi.OutcomeUnknownError
	fmt.Println(errors.As(err, &unknown), len(exchange.Keys()))
	// Output: true 2
}

func ExampleServer_ClearFaults() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.Inject(kalshitest.Fault{Times: -1, Status: http.StatusBadGateway})
	exchange.ClearFaults()
	_, err := botClient(exchange).GetAPIKeys(context.Background())
	fmt.Println(err)
	// Output: <nil>
}

// A fault that no request has met shows that a test passes for the wrong reason.
func ExampleServer_PendingFaults() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.Inject(kalshitest.Fault{Method: http.MethodDelete, Status: http.StatusBadGateway, Times: 2})
	_, _ = botClient(exchange).GetAPIKeys(context.Background())
	fmt.Println(exchange.PendingFaults())
	// Output: 2
}

// A bot in another language runs as a child process.
func ExampleServer_Env() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	bot := exec.Command("python3", "bot.py")
	bot.Env = append(os.Environ(), exchange.Env()...)

	for _, variable := range bot.Env[len(os.Environ()):] {
		name, _, _ := strings.Cut(variable, "=")
		fmt.Println(name)
	}
	// Output:
	// KALSHI_BASE_URL
	// KALSHI_API_KEY_ID
	// KALSHI_PRIVATE_KEY
}

func ExampleWithRequestHook() {
	exchange := kalshitest.NewServer(kalshitest.WithRequestHook(func(r kalshitest.Request) {
		fmt.Println(r.Method, r.Path, r.Status)
	}))
	_, err := botClient(exchange).GetAPIKeys(context.Background())
	exchange.Close() // waits for the hook
	fmt.Println(err)
	// Output:
	// GET /trade-api/v2/api_keys 200
	// <nil>
}

// The client corrects for a clock that is off.
func ExampleServer_SetClockOffset() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.SetClockOffset(time.Minute)
	_, err := botClient(exchange).GetAPIKeys(context.Background())
	fmt.Println(err)
	for _, r := range exchange.Requests() {
		fmt.Println(r.Status)
	}
	// Output:
	// <nil>
	// 401
	// 200
}

func ExampleServer_SetRegionExpiration() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.SetRegionExpiration(time.Now().Add(-time.Hour))
	keys, err := botClient(exchange).GetAPIKeys(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	t, ok := keys.RegionExpiration()
	fmt.Println(ok, t.Before(time.Now()))
	// Output: true true
}

func ExampleServer_Close() {
	exchange := kalshitest.NewServer()
	exchange.Close()
	fmt.Println(len(exchange.Keys())) // what it held can still be read
	// Output: 1
}

// A server on a fixed port serves other processes, too.
func ExampleWithListener() {
	listener, err := net.Listen("tcp", "127.0.0.1:0") // or a port of your choice
	if err != nil {
		log.Fatal(err)
	}
	exchange := kalshitest.NewServer(kalshitest.WithListener(listener))
	defer exchange.Close()

	_, err = botClient(exchange).GetAPIKeys(context.Background())
	fmt.Println(exchange.URL == "http://"+listener.Addr().String()+"/trade-api/v2", err)
	// Output: true <nil>
}

// What the bot gets depends on the test alone.
func ExampleResponse_ServeHTTP() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.Handle("GET /trade-api/v2/portfolio/balance", kalshitest.Response{Body: `{"balance":5}`})
	fmt.Println(get(exchange, "/portfolio/balance"))

	exchange.ClearHandlers()
	fmt.Println(get(exchange, "/portfolio/balance"))
	// Output:
	// 200
	// 404
}

// get sends a signed request, as the bot does.
func get(exchange *kalshitest.Server, path string) int {
	resp, err := botClient(exchange).HTTPClient().Get(exchange.URL + path)
	if err != nil {
		log.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Between two cases of a test-suite, the stand-in is as it was at first.
func ExampleServer_ClearHandlers() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.Handle("GET /trade-api/v2/portfolio/balance", kalshitest.Response{})
	get(exchange, "/portfolio/balance")

	exchange.ClearHandlers()
	exchange.ClearRequests()
	exchange.ClearFaults()
	fmt.Println(get(exchange, "/portfolio/balance"))
	// Output: 404
}

func ExampleServer_ClearRequests() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	get(exchange, "/api_keys")
	exchange.ClearRequests()
	fmt.Println(len(exchange.Requests()))
	// Output: 0
}

func ExampleServer_Faults() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.Inject(kalshitest.Fault{Path: "/trade-api/v2/orders", Status: 503, Times: 2})
	for _, fault := range exchange.Faults() {
		fmt.Println(fault.Path, "waits for", fault.Times, "requests")
	}
	// Output: /trade-api/v2/orders waits for 2 requests
}

func ExampleServer_DeleteKey() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	fmt.Println(exchange.DeleteKey(exchange.KeyID)) // as somebody might on the website
	fmt.Println(get(exchange, "/api_keys"))
	// Output:
	// true
	// 401
}

// Another process, in any language, may control the stand-in by HTTP.
func ExampleServer_HandleControl() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.HandleControl(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, r.URL.Path)
	}))
	resp, err := http.Get(strings.TrimSuffix(exchange.URL, "/trade-api/v2") + "/kalshitest/keys")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(string(body), err)
	// Output: /kalshitest/keys <nil>
}
