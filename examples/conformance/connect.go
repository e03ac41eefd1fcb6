package main

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// connect returns a client of the environment that the variables describe: demo,
// unless they name another. Without any of them it is the stand-in.
func connect(production bool) (client *kalshi.Client, closeStandIn func(), err error) {
	set := func(name string) bool { return strings.TrimSpace(os.Getenv(name)) != "" }
	variables := []string{"KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY", "KALSHI_PRIVATE_KEY_PATH", "KALSHI_BASE_URL"}
	if !slices.ContainsFunc(variables, set) {
		standIn := newStandIn()
		client, err = standInClient(standIn, http.DefaultTransport)
		return client, standIn.Close, err
	}
	var opts []kalshi.Option
	if !set("KALSHI_BASE_URL") {
		opts = append(opts, kalshi.WithBaseURL(kalshi.DemoBaseURL))
	}
	client, err = kalshi.NewClientFromEnv(opts...)
	if err == nil && !production && !isHarmless(client.BaseURL()) {
		return nil, nil, fmt.Errorf("%s is not the demo environment: leave KALSHI_BASE_URL out, or add -production", client.BaseURL())
	}
	return client, func() {}, err
}

// isHarmless reports whether a base URL is that of the demo environment or on this
// machine.
func isHarmless(baseURL string) bool {
	u, err := url.Parse(baseURL)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	for _, demo := range []string{kalshi.DemoBaseURL, kalshi.ExternalDemoBaseURL} {
		if strings.HasPrefix(demo, "https://"+host+"/") {
			return true
		}
	}
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// newStandIn starts a stand-in that has a WebSocket's handshake, too.
func newStandIn(opts ...kalshitest.Option) *kalshitest.Server {
	standIn := kalshitest.NewServer(opts...)
	standIn.Handle("GET "+kalshi.WebSocketPath, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}))
	standIn.Handle("GET "+kalshi.WebSocketPath+"/", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
	}))
	return standIn
}

// standInClient returns a client that signs with the stand-in's first key.
func standInClient(standIn *kalshitest.Server, transport http.RoundTripper) (*kalshi.Client, error) {
	signer, err := kalshi.NewSignerFromPEM(standIn.KeyID, []byte(standIn.PrivateKey))
	if err != nil {
		return nil, err
	}
	return kalshi.NewClient(signer, kalshi.WithBaseURL(standIn.URL), kalshi.WithHTTPClient(&http.Client{Transport: transport}))
}
