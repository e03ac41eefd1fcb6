package test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A rule is what must come of the calls that list, create and delete, with at
// most two retries: how many attempts reach the exchange, and the kind of the
// result. Whatever the rule, the invariants of [checkFault] hold too.
type rule struct{ list, create, delete string }

func (r rule) of(call call) string {
	return map[string]string{http.MethodGet: r.list, http.MethodPost: r.create, http.MethodDelete: r.delete}[call.method]
}

var (
	succeeds = rule{"1 ok", "1 ok", "1 ok"}
	rejected = rule{"1 BadRequest", "1 BadRequest", "1 BadRequest"}
	// The exchange says that nothing was processed.
	retried = rule{"2 ok", "2 ok", "2 ok"}
	// A redirect is not followed, since net/http would carry the signature to any host.
	redirected    = rule{"1 API", "1 API", "1 API"}
	redirectedFor = rule{"1 API", "1 Unknown", "1 API"} // the result of what was processed, perhaps
	// Nobody knows whether it was processed: a create is not sent again.
	retriedUnlessCreate = rule{"2 ok", "1 Unknown", "2 ok"}
	retriedInVain       = rule{"3 Server", "1 Unknown", "3 Server"}
	notRetried          = rule{"1 Server", "1 Unknown", "1 Server"}
	// A success whose body is of no use. A delete needs none, but what is no
	// JSON does not come from the exchange.
	useless = rule{"3 Invalid", "1 Unknown", "1 ok"}
	foreign = rule{"3 Invalid", "1 Unknown", "3 Invalid"}
)

// What each call does when something goes wrong.
func TestFaults(t *testing.T) {
	t.Parallel()
	const padded = "\ufeff" + `{"api_keys":[],"api_key_id":"x","private_key":"-"}` + "\x00\x00"
	const html = "<html><h1>Bad gateway</h1></html>"
	moved := http.Header{"Location": {"https://elsewhere.test/"}}
	tests := []struct {
		name  string
		fault fault // of the first attempt, or of all with Times: always
		rule  rule
		both  bool // runs a second time with Process: the exchange does process the request
	}{
		{"none", fault{}, succeeds, false},
		{"dropped", fault{Drop: true}, retriedUnlessCreate, true},
		{"reset", fault{Reset: true}, retriedUnlessCreate, true},
		{"no HTTP", fault{Answer: hijack("SSH-2.0-OpenSSH_9.9\r\n")}, retriedUnlessCreate, true},
		{"no response in time", fault{Delay: time.Hour}, retriedUnlessCreate, true},

		{"301", fault{Status: 301, Header: moved}, redirected, false},
		{"303", fault{Status: 303, Header: moved}, redirectedFor, true},
		{"307", fault{Status: 307, Header: moved}, redirected, false},
		{"400", fault{Status: 400, Body: `{"msg":"Parameter validation failed"}`}, rejected, false},
		{"429", fault{Status: 429, Body: kalshitest.TooManyRequestsBody}, retried, false},
		{"500", fault{Status: 500}, retriedUnlessCreate, true},
		{"500 always", fault{Status: 500, Times: always}, retriedInVain, true},
		{"501", fault{Status: 501}, notRetried, true},
		{"503 cut off", fault{Status: 503, Body: html, Cut: true}, retriedUnlessCreate, true},

		{"body cut off", fault{Cut: true}, retriedUnlessCreate, false},
		{"body between a byte order mark and NULs", fault{Status: 201, Body: padded, Process: true}, succeeds, false},
		{"body empty", fault{Status: 200, Process: true, Times: always}, useless, false},
		{"body without its fields", fault{Body: `{"warning":"none"}`, Process: true, Times: always}, useless, false},
		{"body with an error in it", fault{Body: notFoundBody, Process: true, Times: always}, foreign, false},
		{"body in HTML", fault{Body: html, Process: true, Times: always}, foreign, false},
	}
	for _, tt := range tests {
		for _, call := range calls("faulty") {
			runs := []fault{tt.fault}
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
						checkFault(t, onLoopback(t), fault, call, tt.rule)
						return
					}
					bubble(t, func(t *testing.T) { checkFault(t, inMemory(t), fault, call, tt.rule) })
				})
			}
		}
	}
}

// checkFault makes the call that meets a fault and compares the result. Beyond
// that it checks what holds for every fault: a create is processed at most once;
// a key exists exactly if the call reports so, or else the outcome is unknown.
func checkFault(t *testing.T, x *exchange, fault fault, call call, rule rule) {
	t.Helper()
	x.transport.DisableKeepAlives = true // so that net/http does not send a GET again by itself
	x.Inject(fault)
	before := len(x.Keys())
	err := call.do(t.Context(), x.client())
	requests, change := x.Requests(), len(x.Keys())-before

	kind := kindOf(err)
	assert.Equal(t, rule.of(call), fmt.Sprintf("%d %s", len(requests), kind), "%v", err)
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
