package kalshi_test

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The examples run against a stand-in for the exchange, one for most of them, so that they need no
// account. Its client is what NewClientFromEnv returns for a bot.
var (
	ctx      = context.Background()
	exchange = kalshitest.NewServer()
	signer   = newSigner(exchange.KeyID, exchange.PrivateKey)
	client   = newClient(signer)
	creds    = newCredentials(kalshitest.Key{ID: exchange.KeyID, PrivateKey: exchange.PrivateKey})
	botKey   = kalshi.GenerateAPIKeyRequest{Name: "my bot", KeyType: kalshi.KeyTypeEd25519}
)

func newSigner(keyID, privateKey string) *kalshi.Signer {
	return must(kalshi.NewSignerFromPEM(keyID, []byte(privateKey)))
}

func newClient(signer *kalshi.Signer, opts ...kalshi.Option) *kalshi.Client {
	return must(kalshi.NewClient(signer, append([]kalshi.Option{kalshi.WithBaseURL(exchange.URL)}, opts...)...))
}

func newCredentials(key kalshitest.Key) kalshi.Credentials {
	return must(kalshi.NewCredentials(key.ID, must(kalshi.ParsePrivateKey([]byte(key.PrivateKey)))))
}

// newExchange starts a stand-in of an example's own, and a client.
func newExchange(opts ...kalshi.Option) (*kalshitest.Server, *kalshi.Client) {
	exchange := kalshitest.NewServer(kalshitest.WithFCMMember())
	opts = append(opts, kalshi.WithBaseURL(exchange.URL))
	return exchange, newClient(newSigner(exchange.KeyID, exchange.PrivateKey), opts...)
}

// respond has the stand-in respond to signed requests of the exchange's other endpoints.
func respond(exchange *kalshitest.Server, pattern string, status int, body string) {
	exchange.Handle(pattern, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
}

// newFile returns the name of a file that does not exist yet.
func newFile() string { return filepath.Join(must(os.MkdirTemp("", "kalshi-go-")), "key.pem") }

// must ends an example that cannot go on.
func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func Example() {
	exchange := kalshitest.NewServer() // a stand-in; leave it out for the real one
	defer exchange.Close()

	signer, err := kalshi.NewSignerFromPEM(exchange.KeyID, []byte(exchange.PrivateKey))
	if err != nil {
		log.Fatal(err)
	}
	client, err := kalshi.NewClient(signer, kalshi.WithBaseURL(exchange.URL))
	if err != nil {
		log.Fatal(err)
	}
	keys, err := client.GetAPIKeys(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range keys.APIKeys {
		fmt.Println(key.Name, key.Scopes)
	}
	// Output: kalshitest [read write]
}

func ExampleNewClient() {
	client := must(kalshi.NewClient(signer,
		kalshi.WithBaseURL(exchange.URL), // kalshi.DemoBaseURL, or leave it out for production
		kalshi.WithMaxRetries(3),
		kalshi.WithUserAgent("my-bot/1.0"),
		kalshi.WithHTTPClient(&http.Client{Timeout: 5 * time.Second}),
	))
	fmt.Println(client.Signer().KeyType())
	// Output: ed25519
}

func ExampleNewClientFromEnv() {
	_ = os.Setenv("KALSHI_API_KEY_ID", exchange.KeyID) // a bot's environment has these
	_ = os.Setenv("KALSHI_PRIVATE_KEY", exchange.PrivateKey)
	_ = os.Setenv("KALSHI_BASE_URL", exchange.URL)

	client, err := kalshi.NewClientFromEnv()
	if err != nil {
		log.Fatal(err) // names the variable that is missing or wrong
	}
	fmt.Println(client.Signer().KeyID() == exchange.KeyID)
	// Output: true
}

// A bot that follows its key file, which another process may rotate.
func ExampleNewClientFromKeyFile() {
	path := newFile()
	must(client.GenerateAPIKeyToFile(ctx, botKey, path))
	bot := must(kalshi.NewClientFromKeyFile(path, kalshi.WithBaseURL(exchange.URL)))
	fmt.Println(must(bot.CurrentAPIKey(ctx)).Name)
	// Output: my bot
}

// What the client corrects shows in the program's log.
func ExampleWithLogger() {
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: onlyMessages}))
	exchange, client := newExchange(kalshi.WithLogger(logger))
	exchange.SetClockOffset(time.Hour)
	must(client.GetAPIKeys(ctx))
	fmt.Println(client.Signer().ClockOffset().Round(time.Minute))
	// Output:
	// level=WARN msg="kalshi: clock corrected"
	// level=INFO msg="kalshi: retry"
	// 1h0m0s
}

// onlyMessages drops what differs from run to run.
func onlyMessages(_ []string, a slog.Attr) slog.Attr {
	if a.Key != slog.LevelKey && a.Key != slog.MessageKey {
		return slog.Attr{}
	}
	return a
}

// A bot that polls its balance, while the clocks differ and its key is rotated.
func ExampleClient_HTTPClient() {
	exchange, client := newExchange()
	respond(exchange, "GET /trade-api/v2/portfolio/balance", http.StatusOK, `{"balance":5000}`)
	exchange.SetClockOffset(time.Hour)

	hc := client.HTTPClient()
	getBalance := func() (balance struct{ Balance int }, err error) {
		resp, err := hc.Get(client.BaseURL() + "/portfolio/balance")
		if err != nil {
			return balance, err
		}
		defer resp.Body.Close()
		if err := kalshi.CheckResponse(resp); err != nil {
			return balance, err
		}
		return balance, json.NewDecoder(resp.Body).Decode(&balance)
	}
	fmt.Println(getBalance())
	must(client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Store: kalshi.KeyFile(newFile())}))
	fmt.Println(getBalance())
	// Output:
	// {5000} <nil>
	// {5000} <nil>
}

func ExampleCheckResponse() {
	exchange, client := newExchange()
	const refused = `{"error":{"code":"insufficient_balance","message":"insufficient balance"}}`
	respond(exchange, "POST /trade-api/v2/portfolio/orders", http.StatusForbidden, refused)
	const order = `{"ticker":"KXBTC","side":"yes","count":1,"client_order_id":"my-17"}`

	placeOrder := func() error {
		resp, err := client.HTTPClient().Post(client.BaseURL()+"/portfolio/orders", "application/json", strings.NewReader(order))
		switch {
		case errors.As(err, new(*kalshi.NotSentError)):
			return fmt.Errorf("it was not sent, and can be placed again: %w", err)
		case err != nil:
			return fmt.Errorf("it may have been placed: look for its client_order_id: %w", err)
		}
		defer resp.Body.Close()
		return kalshi.CheckResponse(resp) // *kalshi.ForbiddenError, *kalshi.RateLimitError, …
	}
	var forbidden *kalshi.ForbiddenError
	if err := placeOrder(); errors.As(err, &forbidden) {
		fmt.Println(forbidden.Code)
	}
	exchange.Close()
	fmt.Println(errors.As(placeOrder(), new(*kalshi.NotSentError)))
	// Output:
	// insufficient_balance
	// true
}

func ExampleClient_WebSocketURL() {
	client := must(kalshi.NewClient(signer, kalshi.WithBaseURL(kalshi.DemoBaseURL)))
	fmt.Println(client.WebSocketURL())
	// Output: wss://demo-api.kalshi.co/trade-api/ws/v2
}

func ExampleWithBaseURL() {
	_, err := kalshi.NewClient(signer, kalshi.WithBaseURL("http://exchange.example/trade-api/v2"))
	fmt.Println(err)
	// Output: kalshi: base URL is not https: use it, since private keys cross it; http is for loopback only
}

func ExampleWithHTTPClient() {
	// 64 goroutines at once want 64 connections that stay open.
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 100
	transport.MaxIdleConnsPerHost = 100

	client := newClient(signer, kalshi.WithHTTPClient(&http.Client{Transport: transport, Timeout: 10 * time.Second}))
	_, err := client.GetAPIKeys(ctx)
	fmt.Println(err)
	// Output: <nil>
}

func ExampleWithMaxRetries() {
	exchange.Inject(kalshitest.Fault{Status: 503, Body: kalshitest.ServiceUnavailableBody})
	client := newClient(signer, kalshi.WithMaxRetries(0))
	_, err := client.GetAPIKeys(ctx)
	fmt.Println(err)
	// Output: kalshi: GET /trade-api/v2/api_keys: 503 service_unavailable
}

func ExampleWithUserAgent() {
	exchange, client := newExchange(kalshi.WithUserAgent("my-bot/1.0"))
	must(client.GetAPIKeys(ctx))
	fmt.Println(exchange.Requests()[0].Header.Get("User-Agent"))
	// Output: my-bot/1.0
}

func ExampleClient_GetAPIKeys() {
	key := must(client.GetAPIKeys(ctx)).APIKeys[0]
	fmt.Println(key.Name, key.Scopes, key.Subaccount == nil)
	// Output: kalshitest [read write] true
}

func ExampleForSubtrader() {
	exchange, client := newExchange()
	exchange.AddKey(kalshitest.Key{Name: "desk 7", FCMSubtraderID: "1234_desk7"})
	keys := must(client.GetAPIKeys(ctx, kalshi.ForSubtrader("1234_desk7")))
	fmt.Println(len(keys.APIKeys), "key:", keys.APIKeys[0].Name)
	// Output: 1 key: desk 7
}

func ExampleGetAPIKeysResponse_RegionExpiration() {
	exchange, client := newExchange()
	exchange.SetRegionExpiration(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC))
	keys := must(client.GetAPIKeys(ctx))
	if t, ok := keys.RegionExpiration(); ok {
		fmt.Println("renew the location attestation before", t.UTC())
	}
	// Output: renew the location attestation before 2030-01-02 03:04:05 +0000 UTC
}

func ExampleClient_CreateAPIKey() {
	public, private, _ := ed25519.GenerateKey(rand.Reader) // it never fails
	created := must(client.CreateAPIKey(ctx, kalshi.CreateAPIKeyRequest{
		Name:      "my bot",
		PublicKey: must(kalshi.MarshalPublicKey(public)),
		Scopes:    []kalshi.Scope{kalshi.ScopeRead, kalshi.ScopeWriteTrade},
	}))
	signer := must(kalshi.NewSigner(created.ID, private))
	current := must(newClient(signer).CurrentAPIKey(ctx)) // the first call that it signs
	fmt.Println(current.Name, current.Scopes)
	// Output: my bot [read write::trade]
}

func ExampleClient_GenerateAPIKey() {
	key := must(client.GenerateAPIKey(ctx, kalshi.GenerateAPIKeyRequest{
		Name:    "my bot",
		KeyType: kalshi.KeyTypeEd25519,
		Scopes:  []kalshi.Scope{kalshi.ScopeRead},
	}))
	_, err := json.Marshal(key)
	fmt.Printf("%s %+v, encoded: %t", key.KeyType, key.PrivateKey, err == nil)
	// Output: ed25519 [REDACTED], encoded: false
}

func ExampleClient_GenerateAPIKeyToFile() {
	path := newFile()

	key, err := client.GenerateAPIKeyToFile(ctx, kalshi.GenerateAPIKeyRequest{
		Name:    "my bot",
		KeyType: kalshi.KeyTypeEd25519,
		Scopes:  []kalshi.Scope{kalshi.ScopeRead, kalshi.ScopeWriteTrade}, // nil would grant full access
	}, path)
	if err != nil {
		log.Fatal(err)
	}
	saved, err := kalshi.KeyFile(path).Load(ctx)
	fmt.Println(saved.KeyID() == key.ID, err)
	// Output: true <nil>
}

func ExampleClient_DeleteAPIKey() {
	err := client.DeleteAPIKey(ctx, "no-such-key")
	var notFound *kalshi.NotFoundError
	if errors.As(err, &notFound) {
		fmt.Println("it was gone before:", err)
	}
	// Output: it was gone before: kalshi: DELETE /trade-api/v2/api_keys/no-such-key: 404 not_found: not found
}

// A bot's check at start-up: may it do what it is here for?
func ExampleAPIKey_Missing() {
	reader := exchange.AddKey(kalshitest.Key{Scopes: []string{"read"}})
	key := must(newClient(newSigner(reader.ID, reader.PrivateKey)).CurrentAPIKey(ctx))
	fmt.Println("missing:", key.Missing(kalshi.ScopeReadPortfolioBalance, kalshi.ScopeWriteTrade))
	// Output: missing: [write::trade]
}

func ExampleClient_RotateAPIKey() {
	exchange, client := newExchange()
	path := newFile()

	rotated, err := client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{
		Store: kalshi.KeyFile(path),
	})
	var failed *kalshi.RotationError
	if errors.As(err, &failed) {
		log.Fatalf("at %s: %v", failed.Stage, err) // says what is left and what to do
	}
	fmt.Println(client.Signer().KeyID() == rotated.NewKeyID, len(exchange.Keys()))
	// Output: true 1
}

// An admin key rotates the key of a bot that may do no more than trade.
func ExampleRotateAPIKeyRequest() {
	admin, file := client, kalshi.KeyFile(newFile())
	req := kalshi.GenerateAPIKeyRequest{Name: "trader", Scopes: []kalshi.Scope{kalshi.ScopeRead, kalshi.ScopeWriteTrade}}
	must(admin.GenerateAPIKeyToFile(ctx, req, string(file)))

	bot := must(kalshi.NewSignerFromSource(ctx, file.Load))
	rotated := must(admin.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Signer: bot, Store: file}))
	fmt.Println(must(file.Load(ctx)).KeyID() == rotated.NewKeyID)
	// Output: true
}

// What does a bot do when a response is lost?
func ExampleOutcomeUnknownError() {
	exchange := kalshitest.NewServer()
	defer exchange.Close()
	exchange.Inject(kalshitest.Fault{Method: http.MethodPost, Process: true, Drop: true}) // the response is lost

	bot := newClient(newSigner(exchange.KeyID, exchange.PrivateKey), kalshi.WithBaseURL(exchange.URL))
	name := "my bot " + time.Now().UTC().Format(time.RFC3339Nano) // names need not be unique; this one is
	_, err := bot.GenerateAPIKey(ctx, kalshi.GenerateAPIKeyRequest{Name: name, Scopes: []kalshi.Scope{kalshi.ScopeRead}})
	var unknown *kalshi.OutcomeUnknownError
	if errors.As(err, &unknown) {
		for _, key := range must(bot.GetAPIKeys(ctx)).APIKeys {
			if key.Name == unknown.KeyName {
				fmt.Println("made, its private half lost: delete it") // bot.DeleteAPIKey(ctx, key.ID)
			}
		}
	}
	// Output: made, its private half lost: delete it
}

func ExampleNewSigner() {
	key := must(kalshi.ParsePrivateKey([]byte(exchange.PrivateKey))) // or a key in a KMS or an HSM
	signer, err := kalshi.NewSigner("your-key-id", key)
	fmt.Println(signer, err)
	// Output: kalshi.Signer{KeyID: "your-key-id", KeyType: "ed25519"} <nil>
}

// What a start-up log may show of the key.
func ExampleSigner() {
	fmt.Println(signer.KeyID() == exchange.KeyID, signer.KeyType(), signer.Fingerprint()[:7], signer.ClockOffset())
	// Output: true ed25519 SHA256: 0s
}

// A WebSocket library that takes a header, and returns the response to a dial that failed.
func ExampleSigner_Recover() {
	exchange, client := newExchange()
	respond(exchange, "GET "+kalshi.WebSocketPath, http.StatusSwitchingProtocols, "")
	exchange.SetClockOffset(time.Hour) // a dial that is signed by the local clock fails
	signer := client.Signer()
	dial := func(header http.Header) *http.Response {
		req := must(http.NewRequest(http.MethodGet, strings.Replace(client.WebSocketURL(), "ws:", "http:", 1), nil))
		req.Header = header
		return must(http.DefaultClient.Do(req))
	}

	resp := dial(must(signer.Headers(http.MethodGet, kalshi.WebSocketPath)))
	if signer.Recover(ctx, resp) {
		resp = dial(must(signer.Headers(http.MethodGet, kalshi.WebSocketPath)))
	}
	fmt.Println(resp.StatusCode)
	// Output: 101
}

func ExampleSigner_SignText() {
	signature := must(signer.SignText("any text"))
	fmt.Println(len(signature), "characters of base64")
	// Output: 88 characters of base64
}

func ExampleSigner_SignFIXLogon() {
	sendingTime := time.Now().UTC().Format("20060102-15:04:05.000") // tag 52, too
	rawData := must(signer.SignFIXLogon(sendingTime, 1, "KalshiRT"))
	fmt.Println(len(rawData), "characters of base64") // tag 96
	// Output: 88 characters of base64
}

// Any endpoint of the exchange, with an HTTP client of your own.
func ExampleSigner_SignRequest() {
	respond(exchange, "GET /trade-api/v2/exchange/status", http.StatusOK, `{"trading_active":true}`)
	req := must(http.NewRequestWithContext(ctx, http.MethodGet, exchange.URL+"/exchange/status", nil))
	if err := signer.SignRequest(req); err != nil {
		log.Fatal(err)
	}
	hc := &http.Client{
		Timeout: 10 * time.Second,
		// A redirect would take the key ID and the signature to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp := must(hc.Do(req))
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}

// For a secret manager that calls back when a key was replaced.
func ExampleSigner_Replace() {
	signer := newSigner(exchange.KeyID, exchange.PrivateKey)
	fresh := newCredentials(exchange.AddKey(kalshitest.Key{Name: "fresh"}))
	err := signer.Replace(fresh)
	fmt.Println(must(newClient(signer).CurrentAPIKey(ctx)).Name, err)
	// Output: fresh <nil>
}

// On a SIGHUP, say, read the key file again.
func ExampleSigner_Reload() {
	file := kalshi.KeyFile(newFile())
	must(client.GenerateAPIKeyToFile(ctx, botKey, string(file)))
	signer := must(kalshi.NewSignerFromSource(ctx, file.Load))

	saveErr := file.Save(ctx, creds)
	fmt.Println(saveErr, signer.Reload(ctx), signer.KeyID() == creds.KeyID())
	// Output: <nil> <nil> true
}

// A secret manager as the source.
func ExampleNewSignerFromSource() {
	secret := exchange.AddKey(kalshitest.Key{Name: "in the vault"}) // what the secret manager holds
	signer := must(kalshi.NewSignerFromSource(ctx, func(context.Context) (kalshi.Credentials, error) {
		return newCredentials(secret), nil // queried again when the service refuses the key
	}))
	fmt.Println(must(newClient(signer).CurrentAPIKey(ctx)).Name)
	// Output: in the vault
}

func ExampleParsePrivateKey() {
	mangled := `"` + exchange.PrivateKey + `"` // what an environment variable may hold
	key := must(kalshi.ParsePrivateKey([]byte(mangled)))
	fmt.Printf("%T\n", key)

	_, err := kalshi.ParsePrivateKey([]byte("key.pem"))
	fmt.Println(err)
	// Output:
	// ed25519.PrivateKey
	// kalshi: private key is the name of a file: use the text in it
}

func ExampleLoadPrivateKey() {
	_, err := kalshi.LoadPrivateKey("no-such-file.pem")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output: true
}

func ExampleMarshalPrivateKey() {
	_, private, _ := ed25519.GenerateKey(rand.Reader) // it never fails
	text := must(kalshi.MarshalPrivateKey(private))
	fmt.Println(text)
	// Output: [REDACTED]
}

// A secret manager that holds text is a source and a Store.
func ExampleSaveFunc_Save() {
	exchange, client := newExchange()
	secrets := vault{} // what the secret manager holds, by its name

	load := func(ctx context.Context) (kalshi.Credentials, error) {
		text, err := secrets.Get(ctx, "kalshi")
		c, parseErr := kalshi.ParseCredentials(text)
		return c, cmp.Or(err, parseErr)
	}
	store := kalshi.SaveFunc(func(ctx context.Context, c kalshi.Credentials) error {
		text, err := c.Text()
		if err != nil {
			return err
		}
		return secrets.Put(ctx, "kalshi", []byte(text.Reveal()))
	})

	rotated := must(client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Store: store}))
	bot := newClient(must(kalshi.NewSignerFromSource(ctx, load)), kalshi.WithBaseURL(exchange.URL))
	fmt.Println(must(bot.CurrentAPIKey(ctx)).ID == rotated.NewKeyID)
	// Output: true
}

// A vault stands for a secret manager.
type vault map[string][]byte

func (v vault) Get(_ context.Context, name string) ([]byte, error) { return v[name], nil }
func (v vault) Put(_ context.Context, name string, secret []byte) error {
	v[name] = secret
	return nil
}

func ExampleKeyFile_Check() {
	err := kalshi.KeyFile("no-such-folder/bot.key").Check(ctx)
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output: true
}

// A key of one's own becomes the new key: the service never sees its private half.
func ExampleKeyFile_Save() {
	_, private, _ := ed25519.GenerateKey(rand.Reader) // it never fails
	_, client := newExchange()
	file := kalshi.KeyFile(newFile())
	rotated := must(client.RotateAPIKey(ctx, kalshi.RotateAPIKeyRequest{Store: file, PrivateKey: private}))
	saved := must(file.Load(ctx))
	fmt.Println(saved.KeyID() == rotated.NewKeyID, private.Equal(saved.PrivateKey()))
	// Output: true true
}

func ExampleGenerateAPIKeyResponse() {
	key := must(client.GenerateAPIKey(ctx, botKey))
	c := must(key.Credentials())      // for KeyFile.Save, Signer.Replace and the like
	secret := key.PrivateKey.Reveal() // for a secret manager; never for a log
	fmt.Println(c.KeyType(), secret[:10])
	// Output: ed25519 -----BEGIN
}
