package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/internal/memnet"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// An exchange is a stand-in in memory, with a proxy in front of it.
type exchange struct {
	*kalshitest.Server
	transport *http.Transport
	proxy     func(*http.Request, http.RoundTripper) (*http.Response, error)
	secrets   []string // lines of the private keys that it has shown
}

// inBubble runs a test where waiting takes no time.
func inBubble(t *testing.T, test func(t *testing.T, x *exchange), opts ...kalshitest.Option) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		listener := memnet.Listen()
		x := &exchange{
			Server:    newStandIn(append(opts, kalshitest.WithListener(listener))...),
			transport: listener.Transport(),
		}
		x.secrets = keyLines(x.PrivateKey)
		t.Cleanup(x.Close)
		t.Cleanup(x.transport.CloseIdleConnections)
		test(t, x)
	})
}

// RoundTrip implements [http.RoundTripper]. A request takes a millisecond.
func (x *exchange) RoundTrip(req *http.Request) (*http.Response, error) {
	time.Sleep(time.Millisecond)
	proxy := x.proxy
	if proxy == nil {
		proxy = func(req *http.Request, next http.RoundTripper) (*http.Response, error) { return next.RoundTrip(req) }
	}
	resp, err := proxy(req, roundTripper{x.reuseRSAKey, x.transport})
	if err == nil && resp.StatusCode == http.StatusCreated {
		body := readBody(resp)
		var created struct {
			PrivateKey string `json:"private_key"`
		}
		if json.Unmarshal(body, &created) == nil {
			x.secrets = append(x.secrets, keyLines(created.PrivateKey)...)
		}
	}
	return resp, err
}

// reuseRSAKey has the stand-in generate an Ed25519 key in place of an RSA key, since making one takes
// time, and then puts the RSA key of all sessions in its place.
func (x *exchange) reuseRSAKey(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	var fields, made map[string]any
	if strings.HasSuffix(req.URL.Path, "/generate") {
		body, _ := req.GetBody()
		_ = json.NewDecoder(body).Decode(&fields)
	}
	if fields == nil || fields["key_type"] != nil && fields["key_type"] != "rsa" {
		return next.RoundTrip(req)
	}
	fields["key_type"] = "ed25519"
	text, _ := json.Marshal(fields)
	req = req.Clone(req.Context())
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	resp, err := next.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusCreated {
		return resp, err
	}
	if err := json.Unmarshal(readBody(resp), &made); err != nil {
		return nil, err
	}
	private, err := large()
	if err != nil {
		return nil, err
	}
	keys := x.Keys()
	key := keys[slices.IndexFunc(keys, func(k kalshitest.Key) bool { return k.ID == made["api_key_id"] })]
	if key.PublicKey, err = kalshi.MarshalPublicKey(private.Public()); err != nil {
		return nil, err
	}
	key.Type = "rsa"
	x.DeleteKey(key.ID)
	x.AddKey(key)
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}
	made["key_type"], made["private_key"] = key.Type, string(pem.EncodeToMemory(block))
	text, _ = json.Marshal(made)
	set(resp, resp.StatusCode, string(text))
	return resp, nil
}

// readBody returns the body of a response, and leaves it there.
func readBody(resp *http.Response) []byte {
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// keyLines are the beginnings of the lines of a PEM text that are secret.
func keyLines(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if len(line) > 32 && !strings.Contains(line, "-----") {
			lines = append(lines, line[:32])
		}
	}
	return lines
}

// session starts a session with the exchange's first key.
func (x *exchange) session(ctx context.Context, t *testing.T) *session {
	t.Helper()
	client, err := standInClient(x.Server, x)
	require.NoError(t, err)
	s, err := newSession(ctx, client, x)
	require.NoError(t, err)
	s.rsaKey = rsaKey
	return s
}

// small and large are RSA keys that all sessions register, since making one takes time.
var small, large = newRSAKey(1024), newRSAKey(2048)

func newRSAKey(bits int) func() (*rsa.PrivateKey, error) {
	return sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, bits) })
}

func rsaKey(bits int) (*rsa.PrivateKey, error) {
	if bits == 1024 {
		return small()
	}
	return large()
}

// conform makes all checks and returns the report and the exit status.
func (x *exchange) conform(ctx context.Context, t *testing.T) (report, int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := x.session(t.Context(), t).report(ctx, true, &stdout, &stderr)
	assert.Empty(t, stderr.String())
	x.assertSecret(t, stdout.String())
	var r report
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r))
	assert.Len(t, r.Rows, len(checks()))
	return r, status
}

// assertSecret asserts that no private key is in the output.
func (x *exchange) assertSecret(t *testing.T, output string) {
	t.Helper()
	for _, line := range x.secrets {
		if strings.Contains(output, line) {
			t.Error("a private key is in the output")
		}
	}
}

// facts returns the facts whose row has that result.
func (r report) facts(want result) (facts []string) {
	for _, row := range r.Rows {
		if row.Result == want {
			facts = append(facts, row.Fact)
		}
	}
	return facts
}

// assertOnlyFirstKey asserts that no key is left behind.
func (x *exchange) assertOnlyFirstKey(t *testing.T) {
	t.Helper()
	var names []string
	for _, key := range x.Keys() {
		if key.ID != x.KeyID {
			names = append(names, key.Name)
		}
	}
	assert.Empty(t, names, "keys left behind")
}
