package kalshi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// The fault table: what each call does when something goes wrong, over real
// sockets, with at most two retries.
//
// A cell is the number of attempts that reached the exchange, what the caller
// got (ok, or the type of the error, as kindOf names it) and by how much the
// number of keys changed, if it did. In every cell a mint makes one key at
// most, and a key that was made without the caller's knowing is Unknown.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("real sockets")
	}
	t.Parallel()
	const always = -1
	type fault = kalshitest.Fault
	html := "<html><h1>Bad gateway</h1></html>"
	tests := []struct {
		name                           string
		set                            func(*faultRun) // beside the fault
		fault                          *fault          // of the first attempt, or of all with Times: always
		list, create, generate, delete string
	}{
		{"none", nil, nil, "1 ok", "1 ok +1", "1 ok +1", "1 ok -1"},

		// The connection.
		{"refused once", refuseOnce, nil, "1 ok", "1 ok +1", "1 ok +1", "1 ok -1"},
		{"refused always", refuseAlways, nil, "0 Transport", "0 Transport", "0 Transport", "0 Transport"},
		{"dropped before processing", nil, &fault{Drop: true}, "2 ok", "1 Unknown", "1 Unknown", "2 ok -1"},
		{"dropped before processing, always", nil, &fault{Drop: true, Times: always}, "3 Transport", "1 Unknown", "1 Unknown", "3 Transport"},
		{"dropped after processing", nil, &fault{Drop: true, Process: true}, "2 ok", "1 Unknown +1", "1 Unknown +1", "2 ok -1"},
		{"dropped after processing, always", nil, &fault{Drop: true, Process: true, Times: always}, "3 Transport", "1 Unknown +1", "1 Unknown +1", "3 Transport -1"},
		{"reset before processing", nil, &fault{Reset: true}, "2 ok", "1 Unknown", "1 Unknown", "2 ok -1"},
		{"reset after processing", nil, &fault{Reset: true, Process: true}, "2 ok", "1 Unknown +1", "1 Unknown +1", "2 ok -1"},
		{"no HTTP, before processing", nil, &fault{Answer: noHTTP}, "2 ok", "1 Unknown", "1 Unknown", "2 ok -1"},
		{"no HTTP, after processing", nil, &fault{Answer: noHTTP, Process: true}, "2 ok", "1 Unknown +1", "1 Unknown +1", "2 ok -1"},
		{"no answer in time, before processing", impatient, &fault{Delay: time.Hour}, "2 ok", "1 Unknown", "1 Unknown", "2 ok -1"},
		{"no answer in time, after processing", impatient, &fault{Delay: time.Hour, Process: true}, "2 ok", "1 Unknown +1", "1 Unknown +1", "2 ok -1"},
		{"cancelled before it is sent", cancelled, nil, "0 Canceled", "0 Canceled", "0 Canceled", "0 Canceled"},
		{"cancelled before processing", cancelOnArrival, &fault{}, "1 Canceled", "1 Unknown", "1 Unknown", "1 Canceled"},
		{"cancelled after processing", cancelOnArrival, &fault{Process: true}, "1 Canceled", "1 Unknown +1", "1 Unknown +1", "1 Canceled -1"},

		// The exchange refuses: no key is made, so a mint's error is plain.
		{"400", nil, &fault{Status: 400, Body: `{"msg":"Parameter validation failed"}`}, "1 BadRequest", "1 BadRequest", "1 BadRequest", "1 BadRequest"},
		{"401 wrong signature", wrongKey, nil, "1 Unauthorized", "1 Unauthorized", "1 Unauthorized", "1 Unauthorized"},
		{"401 unknown key ID", wrongKeyID, nil, "1 Unauthorized", "1 Unauthorized", "1 Unauthorized", "1 Unauthorized"},
		{"401 signature dropped on the way", dropSignature, nil, "1 Unauthorized", "1 Unauthorized", "1 Unauthorized", "1 Unauthorized"},
		{"401 clock behind by 60 s", clockOff(time.Minute), nil, "2 ok", "2 ok +1", "2 ok +1", "2 ok -1"},
		{"401 clock ahead by 60 s", clockOff(-time.Minute), nil, "2 ok", "2 ok +1", "2 ok +1", "2 ok -1"},
		{"401 clock right", nil, &fault{Status: 401, Body: `{"error":{"code":"header_timestamp_expired"}}`}, "1 Unauthorized", "1 Unauthorized", "1 Unauthorized", "1 Unauthorized"},
		{"403 read-only key", readOnly, nil, "1 ok", "1 Forbidden", "1 Forbidden", "1 Forbidden"},
		{"404", nil, &fault{Status: 404, Body: `{"error":{"code":"not_found"}}`}, "1 NotFound", "1 NotFound", "1 NotFound", "1 NotFound"},
		{"409", nil, &fault{Status: 409}, "1 Conflict", "1 Conflict", "1 Conflict", "1 Conflict"},
		{"429", nil, &fault{Status: 429, Body: kalshitest.TooManyRequestsBody}, "2 ok", "2 ok +1", "2 ok +1", "2 ok -1"},
		{"429 always", nil, &fault{Status: 429, Times: always}, "3 RateLimit", "3 RateLimit", "3 RateLimit", "3 RateLimit"},
		{"429 for a minute", nil, &fault{Status: 429, Header: http.Header{"Retry-After": {"60"}}}, "1 RateLimit", "1 RateLimit", "1 RateLimit", "1 RateLimit"},
		{"307 to elsewhere", nil, &fault{Status: 307, Header: http.Header{"Location": {"/elsewhere"}}}, "1 API", "1 API", "1 API", "1 API"},

		// The exchange fails: nobody knows whether it had made a key.
		{"500 before processing", nil, &fault{Status: 500}, "2 ok", "1 Unknown", "1 Unknown", "2 ok -1"},
		{"500 after processing", nil, &fault{Status: 500, Process: true}, "2 ok", "1 Unknown +1", "1 Unknown +1", "2 ok -1"},
		{"500 after processing, always", nil, &fault{Status: 500, Process: true, Times: always}, "3 Server", "1 Unknown +1", "1 Unknown +1", "3 Server -1"},
		{"501 before processing", nil, &fault{Status: 501}, "1 Server", "1 Unknown", "1 Unknown", "1 Server"},
		{"501 after processing", nil, &fault{Status: 501, Process: true}, "1 Server", "1 Unknown +1", "1 Unknown +1", "1 Server -1"},
		{"502 before processing", nil, &fault{Status: 502, Body: html}, "2 ok", "1 Unknown", "1 Unknown", "2 ok -1"},
		{"502 after processing", nil, &fault{Status: 502, Body: html, Process: true}, "2 ok", "1 Unknown +1", "1 Unknown +1", "2 ok -1"},
		{"503 before processing", nil, &fault{Status: 503, Body: kalshitest.ServiceUnavailableBody}, "2 ok", "1 Unknown", "1 Unknown", "2 ok -1"},
		{"503 always", nil, &fault{Status: 503, Times: always}, "3 Server", "1 Unknown", "1 Unknown", "3 Server"},
		{"504 before processing", nil, &fault{Status: 504}, "2 ok", "1 Unknown", "1 Unknown", "2 ok -1"},
		{"504 after processing", nil, &fault{Status: 504, Process: true}, "2 ok", "1 Unknown +1", "1 Unknown +1", "2 ok -1"},
		{"520 after processing", nil, &fault{Status: 520, Process: true}, "2 ok", "1 Unknown +1", "1 Unknown +1", "2 ok -1"},
		{"503 cut off, after processing", nil, &fault{Status: 503, Body: html, Cut: true, Process: true}, "2 ok", "1 Unknown +1", "1 Unknown +1", "2 ok -1"},

		// A success whose answer is of no use. A delete needs none.
		{"answer cut off", nil, &fault{Cut: true}, "2 ok", "1 Unknown +1", "1 Unknown +1", "2 ok -1"},
		{"answer cut off, always", nil, &fault{Cut: true, Times: always}, "3 Invalid", "1 Unknown +1", "1 Unknown +1", "2 NotFound -1"},
		{"answer empty", nil, &fault{Status: 200, Process: true, Times: always}, "3 Invalid", "1 Unknown +1", "1 Unknown +1", "1 ok -1"},
		{"answer without its fields", nil, &fault{Status: 201, Body: `{"warning":"none"}`, Process: true, Times: always}, "3 Invalid", "1 Unknown +1", "1 Unknown +1", "1 ok -1"},
		{"answer of the wrong types", nil, &fault{Body: `{"api_keys":7,"api_key_id":7,"private_key":7}`, Process: true, Times: always}, "3 Invalid", "1 Unknown +1", "1 Unknown +1", "1 ok -1"},
		{"answer in HTML", nil, &fault{Body: html, Process: true, Times: always}, "3 Invalid", "1 Unknown +1", "1 Unknown +1", "1 ok -1"},
		{"answer that is no gzip", nil, &fault{Body: html, Header: http.Header{"Content-Encoding": {"gzip"}}, Process: true, Times: always}, "3 Invalid", "1 Unknown +1", "1 Unknown +1", "1 ok -1"},
		{"answer without end", nil, &fault{Answer: endless, Process: true, Times: always}, "3 Invalid", "1 Unknown +1", "1 Unknown +1", "1 ok -1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i, call := range apiCalls("faulty") {
				want := []string{tt.list, tt.create, tt.generate, tt.delete}[i]
				run := newFaultRun(t, tt.fault, tt.set)
				got, err := run.cell(t, call)
				assert.Equal(t, want, got, "%s: %v", call.name, err)
			}
		})
	}
}

// A faultRun is one cell of the fault table: a client, its exchange and what
// goes wrong between them.
type faultRun struct {
	client    *Client
	srv       *kalshitest.Server
	transport *http.Transport
	ctx       context.Context
	cancel    context.CancelFunc
	fault     *kalshitest.Fault
}

func newFaultRun(t *testing.T, fault *kalshitest.Fault, set func(*faultRun)) *faultRun {
	t.Helper()
	run := &faultRun{srv: startExchange(t)}
	run.ctx, run.cancel = context.WithCancel(t.Context())
	t.Cleanup(run.cancel)
	// Connections of their own, so that net/http does not send again by itself.
	run.transport = &http.Transport{DisableKeepAlives: true}
	run.client = newServerClient(t, run.srv, WithHTTPClient(&http.Client{Transport: run.transport}))
	if fault != nil {
		own := *fault
		run.fault = &own
	}
	if set != nil {
		set(run)
	}
	if run.fault != nil {
		run.srv.Inject(*run.fault)
	}
	return run
}

// cell makes the call and returns what it amounts to in the table.
func (run *faultRun) cell(t *testing.T, call apiCall) (cell string, err error) {
	t.Helper()
	before := len(run.srv.Keys())
	err = call.do(run.ctx, run.client)
	requests, change := run.srv.Requests(), len(run.srv.Keys())-before

	processed := 0
	for _, req := range requests {
		assert.Equal(t, call.method, req.Method)
		if req.Processed {
			processed++
		}
	}
	if call.mints() {
		assert.LessOrEqual(t, processed, 1, "a second key")
		assert.Equal(t, processed, change)
		assert.True(t, change == 0 || err == nil || isA[*OutcomeUnknownError](err), "a lost key")
	}
	if err != nil {
		assert.True(t, strings.HasPrefix(err.Error(), "kalshi: "), err.Error())
	}
	cell = fmt.Sprintf("%d %s", len(requests), kindOf(err))
	if change != 0 {
		cell += fmt.Sprintf(" %+d", change)
	}
	return cell, err
}

func refuseAlways(run *faultRun) {
	run.transport.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("connection refused")
	}
}

func refuseOnce(run *faultRun) { run.transport.DialContext = failFirst(1) }

// impatient gives an attempt long enough to get an answer if there is one.
func impatient(run *faultRun) { run.client.httpClient.Timeout = 500 * time.Millisecond }

func cancelled(run *faultRun) { run.cancel() }

// cancelOnArrival has the caller give up once the request is with the exchange.
func cancelOnArrival(run *faultRun) {
	run.fault.Answer = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		run.cancel()
		<-r.Context().Done()
	})
}

func clockOff(d time.Duration) func(*faultRun) {
	return func(run *faultRun) { run.srv.SetClockOffset(d) }
}

// signWith changes the credential without anything being replaced under way.
func (run *faultRun) signWith(keyID, privateKey string) {
	key, err := ParsePrivateKey([]byte(privateKey))
	if err == nil {
		run.client.signer, err = NewSigner(keyID, key)
	}
	if err != nil {
		panic(err)
	}
}

func wrongKey(run *faultRun) { run.signWith(otherKeyID, run.srv.PrivateKey) }

func wrongKeyID(run *faultRun) { run.signWith("unknown", run.srv.PrivateKey) }

func readOnly(run *faultRun) {
	key := run.srv.AddKey(kalshitest.Key{Scopes: []string{"read"}})
	run.signWith(key.ID, key.PrivateKey)
}

func dropSignature(run *faultRun) {
	run.client.httpClient.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		req = req.Clone(req.Context())
		req.Header.Del(headerSignature)
		return run.transport.RoundTrip(req)
	})
}

var (
	noHTTP = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = conn.Write([]byte("SSH-2.0-OpenSSH_9.9\r\n"))
			_ = conn.Close()
		}
	})
	endless = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		chunk := []byte(strings.Repeat(`{"api_keys":[`, 2000))
		for {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
)
