package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/internal/memnet"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// An exchange is two stand-ins in memory, and the set-up of a bot that uses the
// first.
type exchange struct {
	t                *testing.T
	listeners        map[string]listener // by address
	transport        *http.Transport
	vars             map[string]string
	production, demo *kalshitest.Server
	bot              kalshitest.Key
	file             string
}

// inBubble runs a test where waiting takes no time.
func inBubble(t *testing.T, test func(t *testing.T, e *exchange)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newExchange(t)) })
}

func newExchange(t *testing.T) *exchange {
	t.Helper()
	e := &exchange{t: t, listeners: map[string]listener{}, file: filepath.Join(t.TempDir(), "key.pem")}
	e.transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return e.listeners[address].DialContext(ctx, network, address)
	}}
	e.production, e.demo = e.newServer(), e.newServer()
	t.Cleanup(e.transport.CloseIdleConnections)
	e.production.SetRegionExpiration(time.Now().AddDate(0, 1, 0))
	e.vars = map[string]string{"KALSHI_PRIVATE_KEY_PATH": e.file, "KALSHI_BASE_URL": e.production.URL}
	e.use(kalshitest.Key{Name: "bot"})
	return e
}

func (e *exchange) newServer() *kalshitest.Server {
	s := kalshitest.NewServer(kalshitest.WithListener(e.listen()))
	e.t.Cleanup(s.Close)
	return s
}

// A listener is in memory, but has an address that a base URL may have without TLS.
type listener struct {
	*memnet.Listener
	addr *net.TCPAddr
}

func (l listener) Addr() net.Addr { return l.addr }

func (e *exchange) listen() listener {
	l := listener{memnet.Listen(), &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: len(e.listeners) + 1}}
	e.listeners[l.addr.String()] = l
	return l
}

// use makes a key of the exchange's the bot's.
func (e *exchange) use(key kalshitest.Key) {
	e.bot = e.production.AddKey(key)
	e.write("KALSHI_API_KEY_ID=" + e.bot.ID + "\n" + e.bot.PrivateKey)
}

func (e *exchange) write(text string) {
	require.NoError(e.t, os.WriteFile(e.file, []byte(text), 0o600))
}

// setenv sets these variables and no others.
func setenv(t *testing.T, variables map[string]string) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "KALSHI_") {
			t.Setenv(name, "")
		}
	}
	for name, value := range variables {
		t.Setenv(name, value)
	}
}

// RoundTrip implements [http.RoundTripper]. No other host is contacted.
func (e *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	if host := req.URL.Hostname(); host != "127.0.0.1" {
		assert.Fail(e.t, "a request to "+host)
		return nil, errors.New("not on this machine")
	}
	return e.transport.RoundTrip(req)
}

// diagnose returns the lines, of text and of JSON, in which there must be no
// secret.
func (e *exchange) diagnose() (text string, lines []line, status int) {
	t := e.t
	t.Helper()
	setenv(t, e.vars)
	environments := []environment{{"production", e.production.URL}, {"demo", e.demo.URL}}
	found := newDoctor(environments, e).examine(t.Context())
	var out, asJSON bytes.Buffer
	status = show(&out, found, false)
	assert.Equal(t, status, show(&asJSON, found, true))
	var decoded struct {
		OK    bool
		Lines []line
	}
	require.NoError(t, json.Unmarshal(asJSON.Bytes(), &decoded))
	assert.Equal(t, status == 0, decoded.OK)
	for l := range strings.Lines(out.String()) {
		assert.Regexp(t, `^[✓!✗] `, l)
		assert.Regexp(t, `^✓|→ `, l, "what to do is missing")
	}
	for name, secret := range forms(t, e.bot.PrivateKey) {
		for i := len(secret) / 2; i+12 <= len(secret); i++ { // the first half may be the same for all keys
			require.False(t, strings.Contains(out.String()+asJSON.String(), secret[i:i+12]), "a piece of the key's %s is printed", name)
		}
	}
	return out.String(), decoded.Lines, status
}

// forms has a private key in the forms that people have it in, each without the
// END line.
func forms(t *testing.T, private string) map[string]string {
	t.Helper()
	block, _ := pem.Decode([]byte(private))
	require.NotNil(t, block)
	return map[string]string{
		"PEM":             strings.TrimSpace(strings.Split(private, "-----END")[0]),
		"base64 of PEM":   base64.StdEncoding.EncodeToString([]byte(private))[:120],
		"base64":          base64.StdEncoding.EncodeToString(block.Bytes),
		"hex":             hex.EncodeToString(block.Bytes),
		"percent-encoded": url.QueryEscape(strings.Split(private, "-----END")[0]),
	}
}

func TestDoctor_AllWell(t *testing.T) {
	inBubble(t, func(t *testing.T, e *exchange) {
		text, lines, status := e.diagnose()
		assert.Zero(t, status)
		for _, l := range lines {
			assert.Equal(t, "ok", l.Status, text)
		}
		credentials, err := kalshi.KeyFile(e.file).Load(t.Context())
		require.NoError(t, err)
		for _, want := range []string{"ed25519", credentials.Fingerprint(), "mode 0600", e.bot.ID, "production, " + e.production.URL, "response in", `"bot", scopes [read write]`, "attestation ends at"} {
			assert.Contains(t, text, want)
		}
		assert.Empty(t, e.demo.Requests(), "an ID goes to another environment only if it is unknown here")
		for _, req := range e.production.Requests() {
			assert.Equal(t, http.MethodGet, req.Method, "nothing is changed")
		}
	})
}

// The variables of the program itself, and none: it runs against a stand-in.
func TestRun(t *testing.T) {
	setenv(t, nil)
	t.Setenv("KALSHI_PRIVATE_KEY_PATH", "") // useStandIn sets them
	t.Setenv("KALSHI_BASE_URL", "")
	var out bytes.Buffer
	assert.Zero(t, run(&out, false), out.String())
	assert.Contains(t, out.String(), "this is a stand-in")
	assert.NotContains(t, out.String(), "✗")
	assert.NotContains(t, out.String(), "! ")
	assert.NoFileExists(t, os.Getenv("KALSHI_PRIVATE_KEY_PATH"))

	standIn := kalshitest.NewServer()
	t.Cleanup(standIn.Close)
	setenv(t, map[string]string{"KALSHI_PRIVATE_KEY_PATH": filepath.Join(t.TempDir(), "none.pem"), "KALSHI_BASE_URL": standIn.URL})
	out.Reset()
	assert.Equal(t, 1, run(&out, true))
	assert.Contains(t, out.String(), "none.pem")
}

// Each broken set-up has its line, with what to do.
func TestDoctor_Broken(t *testing.T) {
	tests := []struct {
		name   string
		breaks func(*exchange)
		want   string // a line, up to what to do
		do     string // what to do
		status int
	}{
		{"names that others use", func(e *exchange) {
			e.vars["KALSHI_API_KEY"], e.vars["KALSHI_PRIVATE_KEY_FILE"] = e.bot.ID, e.file
			delete(e.vars, "KALSHI_PRIVATE_KEY_PATH")
		}, "✗ variables  KALSHI_PRIVATE_KEY_FILE is set", "name it KALSHI_PRIVATE_KEY_PATH", 1},
		{"an environment's name", func(e *exchange) { e.vars["KALSHI_DEMO"] = "true" },
			"! variables  KALSHI_DEMO is set", "KALSHI_BASE_URL", 0},
		{"quotes", func(e *exchange) {
			e.vars["KALSHI_API_KEY_ID"], e.vars["KALSHI_PRIVATE_KEY"] = e.bot.ID, `"`+e.bot.PrivateKey+`"`
			delete(e.vars, "KALSHI_PRIVATE_KEY_PATH")
		}, "! variables  KALSHI_PRIVATE_KEY is in quotes", "Docker", 0},
		{"the base64 of a PEM", func(e *exchange) {
			e.vars["KALSHI_API_KEY_ID"], e.vars["KALSHI_PRIVATE_KEY"] = e.bot.ID, base64.StdEncoding.EncodeToString([]byte(e.bot.PrivateKey))
			delete(e.vars, "KALSHI_PRIVATE_KEY_PATH")
		}, "✓ key        KALSHI_PRIVATE_KEY holds the base64 of a PEM", "", 0},
		{"line ends of two characters", func(e *exchange) {
			e.vars["KALSHI_API_KEY_ID"], e.vars["KALSHI_PRIVATE_KEY"] = e.bot.ID, strings.ReplaceAll(e.bot.PrivateKey, "\n", `\n`)
			delete(e.vars, "KALSHI_PRIVATE_KEY_PATH")
		}, `! key        it has \n as two characters`, "in a file", 0},
		{"one line", func(e *exchange) {
			e.vars["KALSHI_API_KEY_ID"], e.vars["KALSHI_PRIVATE_KEY"] = e.bot.ID, strings.ReplaceAll(e.bot.PrivateKey, "\n", " ")
			delete(e.vars, "KALSHI_PRIVATE_KEY_PATH")
		}, "! key        it has all of it on one line", "in a file", 0},
		{"the line ends of Windows", func(e *exchange) {
			e.write(strings.ReplaceAll("KALSHI_API_KEY_ID="+e.bot.ID+"\n"+e.bot.PrivateKey, "\n", "\r\n"))
		}, "! key        it has the line ends of Windows", "in a file", 0},
		{"a PEM that is cut off", func(e *exchange) {
			e.write("KALSHI_API_KEY_ID=" + e.bot.ID + "\n" + e.bot.PrivateKey[:60])
		}, "✗ key        KALSHI_PRIVATE_KEY_PATH", "copy the whole PEM text", 1},
		{"a public key", func(e *exchange) { e.write(e.bot.PublicKey) },
			"✗ key        KALSHI_PRIVATE_KEY_PATH", "use the private key", 1},
		{"a PEM in the place of its path", func(e *exchange) { e.vars["KALSHI_PRIVATE_KEY_PATH"] = e.bot.PrivateKey },
			"✗ key        KALSHI_PRIVATE_KEY_PATH is the text of a key", "use the name of its file", 1},
		{"a path in the place of the PEM", func(e *exchange) {
			e.vars["KALSHI_API_KEY_ID"], e.vars["KALSHI_PRIVATE_KEY"] = e.bot.ID, e.file
			delete(e.vars, "KALSHI_PRIVATE_KEY_PATH")
		}, "✗ key        KALSHI_PRIVATE_KEY is the name of a file", "use the text in it", 1},
		{"a path and a PEM", func(e *exchange) { e.vars["KALSHI_PRIVATE_KEY"] = e.bot.PrivateKey },
			"✗ key        KALSHI_PRIVATE_KEY and KALSHI_PRIVATE_KEY_PATH are both set", "unset one", 1},
		{"no file", func(e *exchange) { e.vars["KALSHI_PRIVATE_KEY_PATH"] = e.file + ".bak" },
			"✗ key        KALSHI_PRIVATE_KEY_PATH: open ", "whole path", 1},
		{"no ID", func(e *exchange) { e.write(e.bot.PrivateKey) },
			"✗ key        KALSHI_API_KEY_ID is not set", "add the line KALSHI_API_KEY_ID=<id>", 1},
		{"an ID in brackets", func(e *exchange) {
			e.write(e.bot.PrivateKey)
			e.vars["KALSHI_API_KEY_ID"] = "<" + e.bot.ID + ">"
		}, "✗ key        KALSHI_API_KEY_ID has ", "give the ID alone", 1},
		{"an ID that is cut off", func(e *exchange) {
			e.write(e.bot.PrivateKey)
			e.vars["KALSHI_API_KEY_ID"] = e.bot.ID[:35]
		}, "! key ID     it has 35 characters", "all of it", 1},
		{"two IDs", func(e *exchange) { e.vars["KALSHI_API_KEY_ID"] = e.production.KeyID },
			"! key ID", "unset KALSHI_API_KEY_ID", 0},
		{"a file that all may read", func(e *exchange) { require.NoError(e.t, os.Chmod(e.file, 0o644)) },
			"! file", "chmod 600 ", 0},
		{"a URL that is none", func(e *exchange) { e.vars["KALSHI_BASE_URL"] = "demo" },
			"✗ base URL   lacks https://", kalshi.DemoBaseURL, 1},
		{"the path of another version", func(e *exchange) {
			e.vars["KALSHI_BASE_URL"] = strings.Replace(e.production.URL, "/v2", "/v1", 1)
		}, "✗ base URL   the host is production's, but the path is not /trade-api/v2", "/trade-api/v2", 1},
		{"a dead host", func(e *exchange) {
			e.vars["KALSHI_BASE_URL"] = "https://trading-api.kalshi.com/trade-api/v2"
		},
			"✗ base URL   ", "https://", 1},
		{"nothing listens", func(e *exchange) { e.production.Close() },
			"✗ service    not reached: ", "firewalls", 1},
		{"a certificate of nobody's", func(e *exchange) {
			front := httptest.NewUnstartedServer(http.NotFoundHandler())
			_ = front.Listener.Close()
			front.Listener = e.listen()
			front.Config.ErrorLog = log.New(io.Discard, "", 0)
			front.StartTLS()
			e.t.Cleanup(front.Close)
			e.vars["KALSHI_BASE_URL"] = front.URL + "/trade-api/v2"
		}, "✗ service    not reached: tls: failed to verify", "date of this machine", 1},
		{"a page in the way", func(e *exchange) {
			e.production.Inject(kalshitest.Fault{Status: http.StatusForbidden, Body: "<html>"})
		}, "✗ service    this is not the API: 403", "proxies", 1},
		{"an API that has moved", func(e *exchange) {
			e.production.Inject(kalshitest.Fault{Status: http.StatusUnauthorized, Body: "API has been moved to elsewhere"})
		}, `✗ service    this is not the API: 401 "API has been moved to elsewhere"`, "KALSHI_BASE_URL", 1},
		{"a service that is down", func(e *exchange) {
			e.production.Inject(kalshitest.Fault{Status: http.StatusServiceUnavailable, Body: kalshitest.ServiceUnavailableBody})
		}, "✗ service    it is busy or down: 503", "later", 1},
		{"a clock an hour behind", func(e *exchange) { e.production.SetClockOffset(time.Hour) },
			"! clock      behind the service's by ", "timedatectl", 0},
		{"a clock three days ahead", func(e *exchange) { e.production.SetClockOffset(-72 * time.Hour) },
			"✗ clock      ahead of the service's by 7", "timedatectl", 1},
		{"a demo key in production", func(e *exchange) {
			demo := e.demo.AddKey(kalshitest.Key{})
			e.write("KALSHI_API_KEY_ID=" + demo.ID + "\n" + demo.PrivateKey)
		}, "✗ account    the ID is not known in production, but in demo", "KALSHI_BASE_URL=http", 1},
		{"a production key in demo", func(e *exchange) { e.vars["KALSHI_BASE_URL"] = e.demo.URL },
			"✗ account    the ID is not known in demo, but in production", "KALSHI_BASE_URL=http", 1},
		{"a demo key of a sub-account in production", func(e *exchange) {
			demo := e.demo.AddKey(kalshitest.Key{Subaccount: new(3)})
			e.write("KALSHI_API_KEY_ID=" + demo.ID + "\n" + demo.PrivateKey)
		}, "✗ account    the ID is not known in production, but in demo", "KALSHI_BASE_URL=http", 1},
		{"a deleted key", func(e *exchange) {
			other := e.newServer()
			e.write("KALSHI_API_KEY_ID=" + other.KeyID + "\n" + other.PrivateKey)
		}, "✗ account    the ID is known neither in production nor in demo", "deleted", 1},
		{"another key's ID", func(e *exchange) {
			e.write("KALSHI_API_KEY_ID=" + e.production.KeyID + "\n" + e.bot.PrivateKey)
		}, "✗ account    the private key is not the one of this ID", "fingerprint", 1},
		{"a key that may only read", func(e *exchange) {
			e.use(kalshitest.Key{Name: "eyes", Scopes: []string{"read"}})
		},
			`✓ account    the key is known, and signs: "eyes", scopes [read], may not trade`, "", 0},
		{"a sub-account's key", func(e *exchange) { e.use(kalshitest.Key{Subaccount: new(0)}) },
			"✓ account    the key is known, and signs, for one sub-account", "", 0},
		{"a sub-account's key that gets a 401", func(e *exchange) {
			e.production.Inject(kalshitest.Fault{KeyID: e.bot.ID, Status: http.StatusUnauthorized, Body: `{"error":{"code":"unauthorized","message":"not for you"}}`})
		}, "! account    401, but not for the ID", "a call that the bot makes", 0},
		{"a key that may not list", func(e *exchange) { e.use(kalshitest.Key{Scopes: []string{"write::trade"}}) },
			"! account    the key is known, and signs, but may not list keys: insufficient scope", "scopes", 0},
		{"headers that are dropped", func(e *exchange) {
			e.production.Inject(kalshitest.Fault{KeyID: e.bot.ID, Status: http.StatusUnauthorized, Body: `{"error":{"code":"token_authentication_failure","message":"token authentication failure"}}`})
		}, "✗ account    the signature did not arrive", "proxy", 1},
		{"no attestation", func(e *exchange) { e.production.SetRegionExpiration(time.Time{}) },
			"! account    the location was never attested", "verify your location", 0},
		{"an attestation that ends soon", func(e *exchange) { e.production.SetRegionExpiration(time.Now().Add(time.Hour)) },
			"! account    the location attestation ends at ", "verify your location", 0},
		{"another name beside the right one", func(e *exchange) { e.vars["KALSHI_API_KEY"] = e.bot.ID },
			"! variables  KALSHI_API_KEY is set", "unset it", 0},
		{"an attestation that lapsed", func(e *exchange) { e.production.SetRegionExpiration(time.Now().Add(-time.Hour)) },
			"! account    the location attestation has ended at ", "verify your location", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, e *exchange) {
				tt.breaks(e)
				text, _, status := e.diagnose()
				assert.Equal(t, tt.status, status, text)
				_, after, found := strings.Cut("\n"+text, "\n"+tt.want)
				require.True(t, found, "no line %q in\n%s", tt.want, text)
				after, _, _ = strings.Cut(after, "\n")
				_, do, _ := strings.Cut(after, "→ ")
				assert.Contains(t, do, tt.do, text)
			})
		})
	}
}

// An ID and a signature go to no other host than the set-up's own, unless that
// is a documented one.
func TestDoctor_AsksNoStranger(t *testing.T) {
	inBubble(t, func(t *testing.T, e *exchange) {
		other := e.newServer()
		e.vars["KALSHI_BASE_URL"] = other.URL
		text, _, status := e.diagnose()
		assert.Equal(t, 1, status)
		assert.Contains(t, text, "✗ account    the ID is not known here → ")
		assert.Empty(t, e.production.Requests())
		assert.Empty(t, e.demo.Requests())
	})
}

// Whatever variable a key is put in, in whatever form, it is not printed.
func TestDoctor_NoSecret(t *testing.T) {
	for _, name := range []string{
		"KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY", "KALSHI_PRIVATE_KEY_PATH", "KALSHI_BASE_URL",
		"KALSHI_API_KEY", "KALSHI_PRIVATE_KEY_B64", "KALSHI_DEMO",
	} {
		for _, form := range []string{"PEM", "base64 of PEM", "base64", "hex", "percent-encoded"} {
			t.Run(name+" "+form, func(t *testing.T) {
				inBubble(t, func(t *testing.T, e *exchange) {
					if name == "KALSHI_API_KEY_ID" {
						e.write(e.bot.PrivateKey) // without an ID of its own
					}
					e.vars[name] = forms(t, e.bot.PrivateKey)[form]
					e.diagnose()
				})
			})
		}
	}
}
