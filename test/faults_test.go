package test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A rule is what must come of the calls that list, create and delete, with at
// most two retries: how many attempts reach the exchange, and the kind of the
// result. Whatever the rule, the invariants of [faultRun.check] hold too.
type rule struct{ list, create, delete string }

var (
	succeeds = rule{"1 ok", "1 ok", "1 ok"}
	// The exchange says, or the transport proves, that nothing was processed.
	retried = rule{"2 ok", "2 ok", "2 ok"}
	// Nobody knows whether it was processed: a create is not sent again.
	retriedUnlessCreate = rule{"2 ok", "1 Unknown", "2 ok"}
	// A success whose body is of no use. A delete needs none, but what is no
	// JSON does not come from the exchange.
	useless = rule{"3 Invalid", "1 Unknown", "1 ok"}
	foreign = failsAgain("Invalid")
)

// fails is for what no retry can cure.
func fails(kind string) rule { return rule{"1 " + kind, "1 " + kind, "1 " + kind} }

// mayHaveProcessed is the same where the outcome of a create is unknown.
func mayHaveProcessed(kind string) rule { return rule{"1 " + kind, "1 Unknown", "1 " + kind} }

// failsAgain is for what is retried in vain.
func failsAgain(kind string) rule { return rule{"3 " + kind, "1 Unknown", "3 " + kind} }

// What each call does when something goes wrong.
func TestFaults(t *testing.T) {
	t.Parallel()
	type fault = kalshitest.Fault
	const html = "<html><h1>Bad gateway</h1></html>"
	expired := `{"error":{"code":"header_timestamp_expired"}}`
	tests := []struct {
		name  string
		set   func(*faultRun) // beside the fault
		fault fault           // of the first attempt, or of all with Times: always
		rule  rule
		both  bool // runs a second time with Process: the exchange does process the request
	}{
		{"none", nil, fault{}, succeeds, false},

		// The connection.
		{"refused once", refused(1), fault{}, succeeds, false},
		{"refused always", refused(1 << 30), fault{}, rule{"0 Transport", "0 Transport", "0 Transport"}, false},
		{"dropped", nil, fault{Drop: true}, retriedUnlessCreate, true},
		{"dropped, always", nil, fault{Drop: true, Times: always}, failsAgain("Transport"), true},
		{"reset", nil, fault{Reset: true}, retriedUnlessCreate, true},
		{"no HTTP", nil, fault{Answer: hijack("SSH-2.0-OpenSSH_9.9\r\n")}, retriedUnlessCreate, true},
		{"no response in time", nil, fault{Delay: time.Hour}, retriedUnlessCreate, true},
		{"cancelled before it is sent", func(run *faultRun) { run.cancel() }, fault{}, rule{"0 Canceled", "0 Canceled", "0 Canceled"}, false},
		{"cancelled on arrival", cancelOnArrival, fault{}, mayHaveProcessed("Canceled"), true},

		// The exchange rejects the request.
		{"400", nil, fault{Status: 400, Body: `{"msg":"Parameter validation failed"}`}, fails("BadRequest"), false},
		{"401 wrong signature", signAs(spareKeyID), fault{}, fails("Unauthorized"), false},
		{"401 unknown key ID", signAs("unknown"), fault{}, fails("Unauthorized"), false},
		{"401 signature dropped on the way", dropSignature, fault{}, fails("Unauthorized"), false},
		{"401 clock behind by 60 s", clockOff(time.Minute), fault{}, retried, false},
		{"401 clock ahead by 60 s", clockOff(-time.Minute), fault{}, retried, false},
		{"401 clock right", nil, fault{Status: 401, Body: expired}, fails("Unauthorized"), false},
		{"403 read-only key", readOnly, fault{}, rule{"1 ok", "1 Forbidden", "1 Forbidden"}, false},
		{"404", nil, fault{Status: 404, Body: `{"error":{"code":"not_found"}}`}, fails("NotFound"), false},
		{"409", nil, fault{Status: 409}, fails("Conflict"), false},
		{"429", nil, fault{Status: 429, Body: kalshitest.TooManyRequestsBody}, retried, false},
		{"429 always", nil, fault{Status: 429, Times: always}, rule{"3 RateLimit", "3 RateLimit", "3 RateLimit"}, false},
		{"429 for a minute", nil, fault{Status: 429, Header: http.Header{"Retry-After": {"60"}}}, fails("RateLimit"), false},
		{"307 to elsewhere", nil, fault{Status: 307, Header: http.Header{"Location": {"/elsewhere"}}}, fails("API"), false},

		// The exchange fails.
		{"500", nil, fault{Status: 500}, retriedUnlessCreate, true},
		{"500 always", nil, fault{Status: 500, Times: always}, failsAgain("Server"), true},
		{"501", nil, fault{Status: 501}, mayHaveProcessed("Server"), true},
		{"502", nil, fault{Status: 502, Body: html}, retriedUnlessCreate, true},
		{"503", nil, fault{Status: 503, Body: kalshitest.ServiceUnavailableBody}, retriedUnlessCreate, true},
		{"503 cut off", nil, fault{Status: 503, Body: html, Cut: true}, retriedUnlessCreate, true},
		{"504", nil, fault{Status: 504}, retriedUnlessCreate, true},
		{"520", nil, fault{Status: 520}, retriedUnlessCreate, true},

		// A success whose body is of no use.
		{"body cut off", nil, fault{Cut: true}, retriedUnlessCreate, false},
		{"body cut off, always", nil, fault{Cut: true, Times: always}, rule{"3 Invalid", "1 Unknown", "2 NotFound"}, false}, // the 404 is cut off, too
		{"body empty", nil, fault{Status: 200, Process: true, Times: always}, useless, false},
		{"body without its fields", nil, fault{Status: 201, Body: `{"warning":"none"}`, Process: true, Times: always}, useless, false},
		{"body of the wrong types", nil, fault{Body: `{"api_keys":7,"api_key_id":7,"private_key":7}`, Process: true, Times: always}, useless, false},
		{"body in HTML", nil, fault{Body: html, Process: true, Times: always}, foreign, false},
		{"body that is no gzip", nil, fault{Body: html, Header: http.Header{"Content-Encoding": {"gzip"}}, Process: true, Times: always}, foreign, false},
		{"body without end", nil, fault{Answer: http.HandlerFunc(endless), Process: true, Times: always}, foreign, false},
	}
	for _, tt := range tests {
		for _, call := range calls("faulty") {
			want := map[string]string{http.MethodGet: tt.rule.list, http.MethodPost: tt.rule.create, http.MethodDelete: tt.rule.delete}[call.method]
			runs := []kalshitest.Fault{tt.fault}
			if tt.both {
				processed := tt.fault
				processed.Process = true
				runs = append(runs, processed)
			}
			for _, fault := range runs {
				name := tt.name
				if fault.Process {
					name += ", after processing"
				}
				t.Run(name+"/"+call.name, func(t *testing.T) {
					t.Parallel()
					if fault.Reset { // which takes a TCP socket
						newFaultRun(t, onLoopback(t), fault, tt.set).check(t, call, want)
						return
					}
					synctest.Test(t, func(t *testing.T) {
						newFaultRun(t, inMemory(t), fault, tt.set).check(t, call, want)
					})
				})
			}
		}
	}
}

// A faultRun is a call that meets a fault: a client to be, its exchange and
// what goes wrong between them.
type faultRun struct {
	*exchange
	keyID, privateKey string // that the client signs with
	httpClient        *http.Client
	ctx               context.Context
	cancel            context.CancelFunc
	fault             kalshitest.Fault
}

func newFaultRun(t *testing.T, x *exchange, fault kalshitest.Fault, set func(*faultRun)) *faultRun {
	t.Helper()
	x.transport.DisableKeepAlives = true // so that net/http does not send a GET again by itself
	run := &faultRun{exchange: x, keyID: x.KeyID, privateKey: x.PrivateKey, fault: fault}
	run.httpClient = &http.Client{Transport: x.transport, Timeout: 30 * time.Second}
	run.ctx, run.cancel = context.WithCancel(t.Context())
	t.Cleanup(run.cancel)
	if set != nil {
		set(run)
	}
	x.Inject(run.fault)
	return run
}

// check makes the call and compares the result. Beyond that it checks what
// holds for every fault: a create is processed at most once; a key exists
// exactly if the call reports so, or else the outcome is unknown.
func (run *faultRun) check(t *testing.T, call call, want string) {
	t.Helper()
	client := run.clientOf(t, newSigner(t, run.keyID, run.privateKey), kalshi.WithHTTPClient(run.httpClient))
	before := len(run.Keys())
	err := call.do(run.ctx, client)
	requests, change := run.Requests(), len(run.Keys())-before

	kind := kindOf(err)
	assert.Equal(t, want, fmt.Sprintf("%d %s", len(requests), kind), "%v", err)
	switch {
	case call.creates() && kind == "ok":
		assert.Equal(t, 1, change, "keys made")
	case call.creates() && kind == "Unknown":
		assert.Contains(t, []int{0, 1}, change, "keys made")
	case call.method == http.MethodDelete && kind == "ok":
		assert.Equal(t, -1, change, "the key is gone")
	case call.method != http.MethodDelete:
		assert.Zero(t, change, "keys made")
	}
	for _, req := range requests {
		assert.Equal(t, call.method, req.Method)
	}
	if err != nil {
		assertErrorText(t, err)
	}
}

// refused has the first dials fail.
func refused(n int64) func(*faultRun) {
	return func(run *faultRun) {
		var dials atomic.Int64
		dial := run.transport.DialContext
		run.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials.Add(1) <= n {
				return nil, errors.New("connection refused")
			}
			return dial(ctx, network, addr)
		}
	}
}

// cancelOnArrival has the caller give up once the request is with the exchange.
func cancelOnArrival(run *faultRun) {
	run.fault.Answer = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		run.cancel()
		<-r.Context().Done()
	})
}

func clockOff(d time.Duration) func(*faultRun) {
	return func(run *faultRun) { run.SetClockOffset(d) }
}

// signAs names another key than the one that signs.
func signAs(keyID string) func(*faultRun) {
	return func(run *faultRun) { run.keyID = keyID }
}

func readOnly(run *faultRun) {
	key := run.AddKey(kalshitest.Key{Scopes: []string{"read"}})
	run.keyID, run.privateKey = key.ID, key.PrivateKey
}

func dropSignature(run *faultRun) {
	run.httpClient.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		req = req.Clone(req.Context())
		req.Header.Del("KALSHI-ACCESS-SIGNATURE")
		return run.transport.RoundTrip(req)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// endless writes until the client goes away.
func endless(w http.ResponseWriter, _ *http.Request) {
	chunk := []byte(strings.Repeat(`{"api_keys":[`, 2000))
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}
