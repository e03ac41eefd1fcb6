package kalshi

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"time"
)

// The documented base URLs. A key belongs to one environment, production or demo. Kalshi recommends
// the external hosts, which are dedicated to the API; the others stay supported.
const (
	ProductionBaseURL         = "https://api.elections.kalshi.com/trade-api/v2" // the default
	DemoBaseURL               = "https://demo-api.kalshi.co/trade-api/v2"
	ExternalProductionBaseURL = "https://external-api.kalshi.com/trade-api/v2"
	ExternalDemoBaseURL       = "https://external-api.demo.kalshi.co/trade-api/v2"
)

const version = "0.3.0"

// A Client calls the API. It is safe for concurrent use and meant to be shared. Printing one shows
// its base URL and key ID, never its key.
type Client struct {
	signer     *Signer
	baseURL    *url.URL // never changed
	base       string   // baseURL as text
	origins    []string // that HTTPClient sends to
	httpClient *http.Client
	maxRetries int
	header     http.Header                               // of every request; never changed
	jitter     func(ceiling time.Duration) time.Duration // in [0, ceiling)
	reporter   *reporter                                 // nil without WithLogger
}

// NewClient returns a client that signs with signer, for production unless [WithBaseURL] says
// otherwise. A nil signer and a bad option are a [*ValidationError].
func NewClient(signer *Signer, opts ...Option) (*Client, error) {
	if signer.credential().key == nil {
		return nil, errNoKey
	}
	c := &Client{
		signer:     signer,
		httpClient: &http.Client{Timeout: 30 * time.Second},
		maxRetries: 2,
		header: http.Header{
			"Accept":     {"application/json"},
			"User-Agent": {fmt.Sprintf("kalshi-go/%s (%s; %s/%s)", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)},
		},
		jitter: rand.N[time.Duration],
	}
	for _, opt := range opts {
		if err := opt(c); err != nil {
			return nil, err
		}
	}
	if c.baseURL == nil {
		return c, WithBaseURL(ProductionBaseURL)(c)
	}
	return c, nil
}

// signedBy returns a client that signs with cred, and never with another key.
func (c *Client) signedBy(cred *credential) *Client {
	fixed := *c
	fixed.signer = &Signer{clock: c.signer.clock}
	fixed.signer.cred.Store(cred)
	return &fixed
}

// BaseURL returns the URL that paths are added to, without a trailing slash.
func (c *Client) BaseURL() string { return c.base }

// Signer returns the signer that the client signs with.
func (c *Client) Signer() *Signer { return c.signer }

// WebSocketURL returns where the predictions WebSocket of the client's environment is dialled
// (documented): with [Client.HTTPClient], or with [Signer.Headers].
func (c *Client) WebSocketURL() string {
	host := c.baseURL.Host
	if name := lowerASCII(c.baseURL.Hostname()); socketHosts[name] != nil && strings.HasPrefix(name, "external-api.") {
		host = strings.Replace(name, ".", "-ws.", 1)
	}
	return "ws" + strings.TrimPrefix(c.baseURL.Scheme, "http") + "://" + host + WebSocketPath
}

// socketHosts are the documented WebSocket hosts of an API host's environment, beside that host.
var socketHosts = map[string][]string{
	"api.elections.kalshi.com":    {"external-api-ws.kalshi.com", "external-api-margin-ws.kalshi.com"},
	"external-api.kalshi.com":     {"api.elections.kalshi.com", "external-api-ws.kalshi.com", "external-api-margin-ws.kalshi.com"},
	"demo-api.kalshi.co":          {"external-api-ws.demo.kalshi.co", "external-api-margin-ws.demo.kalshi.co"},
	"external-api.demo.kalshi.co": {"demo-api.kalshi.co", "external-api-ws.demo.kalshi.co", "external-api-margin-ws.demo.kalshi.co"},
}

// wrongHosts are names that people write for the API's hosts (observed), with the right ones.
var wrongHosts = map[string]string{
	"api.kalshi.com":                ProductionBaseURL,
	"api.kalshi.co":                 ProductionBaseURL,
	"trading-api.kalshi.com":        ProductionBaseURL,
	"demo.kalshi.com":               DemoBaseURL,
	"demo-api.elections.kalshi.com": DemoBaseURL,
}

func (c *Client) String() string {
	return fmt.Sprintf("kalshi.Client{BaseURL: %q, Signer: %v}", c.base, c.signer)
}

// LogValue logs the base URL, key ID and type.
func (c *Client) LogValue() slog.Value {
	return slog.GroupValue(slog.String("base_url", c.base), slog.Any("signer", c.signer))
}

// An Option configures a [Client].
type Option func(*Client) error

// WithBaseURL sets the URL that paths are added to, such as [DemoBaseURL], without user, query and
// fragment. HTTPS is required, except on loopback, since private keys are sent over it.
func WithBaseURL(rawURL string) Option {
	return func(c *Client) error { return c.setBaseURL("base URL", rawURL) }
}

func (c *Client) setBaseURL(field, rawURL string) error {
	u, err := url.Parse(rawURL)
	if rawURL == "" || err != nil {
		return invalid(field, "is empty or no URL: give one such as %s", DemoBaseURL)
	}
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), strings.TrimRight(u.RawPath, "/")
	host := lowerASCII(u.Hostname())
	right, wrong := wrongHosts[host]
	switch {
	case u.User != nil:
		return invalid(field, "holds a user or password: leave them out, the API key is all there is")
	case u.Scheme != "https" && u.Scheme != "http", host == "":
		return invalid(field, "lacks https:// and a host: give one such as %s", DemoBaseURL)
	case u.Scheme == "http" && !isLoopback(host):
		return invalid(field, "is not https: use it, since private keys cross it; http is for loopback only")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(rawURL, "#"):
		return invalid(field, "has a query or fragment: leave off what follows the path")
	case wrong:
		return invalid(field, "has the host %s, which is no host of the API: use %s", host, right)
	case u.Path == "" && (strings.HasSuffix(host, ".kalshi.com") || strings.HasSuffix(host, ".kalshi.co")):
		return invalid(field, "has no path: add /trade-api/v2")
	}
	c.baseURL, c.base, c.origins = u, u.String(), []string{origin(u.Scheme, u.Host)}
	for _, socket := range socketHosts[host] {
		c.origins = append(c.origins, origin("wss", socket))
	}
	return nil
}

// origin returns a scheme and a host with its port in one form. A WebSocket is dialled by HTTP.
// Case is ignored in ASCII only, since what is dialled is what is compared.
func origin(scheme, host string) string {
	host = lowerASCII(host)
	switch scheme = lowerASCII(scheme); scheme {
	case "ws", "http":
		scheme, host = "http", strings.TrimSuffix(host, ":80")
	case "wss", "https":
		scheme, host = "https", strings.TrimSuffix(host, ":443")
	}
	return scheme + "://" + strings.TrimSuffix(host, ":")
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// option returns an Option that sets what is not bad.
func option(bad bool, field, reason string, set func(*Client)) Option {
	return func(c *Client) error {
		if bad {
			return invalid(field, "%s", reason)
		}
		set(c)
		return nil
	}
}

// WithHTTPClient sets the HTTP client to send with, as it is at the time of each call, except that
// redirects are never followed. Its Timeout holds for each attempt: 30 seconds by default. Its
// transport must follow no redirects either, and repeat no POST, which could make a second key.
func WithHTTPClient(hc *http.Client) Option {
	return option(hc == nil, "HTTP client", "is nil: leave the option out for the default one", func(c *Client) { c.httpClient = hc })
}

// WithMaxRetries sets how many more attempts a call may make, where a retry can help and cannot make
// a second key. The default is 2; 0 turns retries off.
func WithMaxRetries(n int) Option {
	return option(n < 0, "max retries", "is negative: 0 turns retries off", func(c *Client) { c.maxRetries = n })
}

// WithLogger has the client log what it does beyond sending, so that an operator sees what was
// repaired and can fix the cause. Messages and attributes are stable, durations are [slog.Duration],
// no text shows a key, and the context is the call's.
//
//	Debug  kalshi: attempt          method, path (no query), attempt (from 1), duration, key_id, status or error
//	Info   kalshi: retry            method, path, attempt (the one that failed), wait (0 if it is only signed again), error
//	Warn   kalshi: clock corrected  offset, previous (of the service's clock), key_id
//	Info   kalshi: key changed      old_key_id, new_key_id, fingerprint
//	Warn   kalshi: key source       key_id, error ("failed: …" or "gave the same key"); one of a kind at most once a minute
//	Info   kalshi: rotation         stage (that ended), old_key_id, new_key_id; level Error with error if it failed
//	Warn   kalshi: environment      ignored (a KALSHI_API_KEY_ID that differs from the key file's), key_id
//
// A change of the clock or the key is logged once for each client, at its next attempt. A handler that
// blocks holds up the call that logs.
func WithLogger(logger *slog.Logger) Option {
	return option(logger == nil, "logger", "is nil: leave the option out to log nothing", func(c *Client) {
		c.reporter = &reporter{log: logger, signer: c.signer, cred: c.signer.credential(), offset: c.signer.ClockOffset(), source: map[string]time.Time{}}
	})
}

// WithUserAgent sets the User-Agent header, in place of kalshi-go's own.
func WithUserAgent(ua string) Option {
	bad := ua == "" || strings.ContainsFunc(ua, func(r rune) bool { return r < ' ' || r > '~' })
	return option(bad, "user agent", "is empty or has control or non-ASCII characters: use one such as my-bot/1.0",
		func(c *Client) { c.header.Set("User-Agent", ua) })
}
