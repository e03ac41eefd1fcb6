package kalshitest_test

import (
	"errors"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const generateBody = `{"name":"new","key_type":"ed25519"}`

// Every combination that Fault documents, on a request for a new key.
func TestFault(t *testing.T) {
	t.Parallel()
	odd := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Odd", "yes")
		w.WriteHeader(http.StatusTeapot)
		_, _ = w.Write(body)
	})
	short := 20 * time.Millisecond
	tests := []struct {
		name      string
		fault     kalshitest.Fault
		status    int    // as recorded; 0: none sent
		body      string // as read; empty: not looked at
		err       error  // of the request or of the body
		processed bool
	}{
		{"zero", kalshitest.Fault{}, 201, "", nil, true},
		{"process alone", kalshitest.Fault{Process: true}, 201, "", nil, true},
		{"delay", kalshitest.Fault{Delay: short}, 201, "", nil, true},
		{"delayed response", kalshitest.Fault{Delay: short, Process: true}, 201, "", nil, true},
		{"drop", kalshitest.Fault{Drop: true}, 0, "", io.EOF, false},
		{"drop after processing", kalshitest.Fault{Drop: true, Process: true}, 0, "", io.EOF, true},
		{"delayed drop", kalshitest.Fault{Drop: true, Delay: short}, 0, "", io.EOF, false},
		{"reset", kalshitest.Fault{Reset: true}, 0, "", syscall.ECONNRESET, false},
		{"reset and drop after processing", kalshitest.Fault{Reset: true, Drop: true, Process: true}, 0, "", syscall.ECONNRESET, true},
		{"status", kalshitest.Fault{Status: 502}, 502, "", nil, false},
		{"429", kalshitest.Fault{Status: 429, Body: kalshitest.TooManyRequestsBody}, 429, `{"error":"too many requests"}`, nil, false},
		{"503", kalshitest.Fault{Status: 503, Body: kalshitest.ServiceUnavailableBody, Delay: short}, 503,
			`{"error":{"code":"service_unavailable","message":"service_unavailable","service":"exchange"}}`, nil, false},
		{"status after processing", kalshitest.Fault{Status: 502, Body: "<html>", Process: true}, 502, "<html>", nil, true},
		{"204", kalshitest.Fault{Status: 204}, 204, "", nil, false},
		{"attestation", kalshitest.Fault{Status: 403, Body: kalshitest.AttestationLapsedBody}, 403, kalshitest.AttestationLapsedBody, nil, false},
		{"body alone", kalshitest.Fault{Body: "no JSON"}, 200, "no JSON", nil, false},
		{"header alone", kalshitest.Fault{Header: http.Header{}}, 200, "", nil, false},
		{"answer", kalshitest.Fault{Answer: odd}, 418, generateBody, nil, false},
		{"answer after processing", kalshitest.Fault{Answer: odd, Process: true}, 418, generateBody, nil, true},
		{"cut", kalshitest.Fault{Cut: true}, 201, "", io.ErrUnexpectedEOF, true},
		{"cut and process", kalshitest.Fault{Cut: true, Process: true, Delay: short}, 201, "", io.ErrUnexpectedEOF, true},
		{"cut status", kalshitest.Fault{Cut: true, Status: 500, Body: "12345678"}, 500, "1234", io.ErrUnexpectedEOF, false},
		{"cut answer after processing", kalshitest.Fault{Cut: true, Answer: odd, Process: true}, 418, generateBody[:len(generateBody)/2], io.ErrUnexpectedEOF, true},
		{"cut without a body", kalshitest.Fault{Cut: true, Status: 500}, 0, "", io.EOF, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			c := newClient(t, s)
			s.Inject(tt.fault)
			start := time.Now()
			got := c.do(http.MethodPost, "/api_keys/generate", generateBody)

			assert.GreaterOrEqual(t, time.Since(start), tt.fault.Delay)
			switch {
			case tt.err == nil:
				require.NoError(t, got.err)
			case runtime.GOOS == "windows": // where a reset has another name
				require.Error(t, got.err)
			default:
				require.ErrorIs(t, got.err, tt.err)
			}
			if tt.status != 0 {
				assert.Equal(t, tt.status, got.status)
			}
			if tt.body != "" {
				assert.Equal(t, tt.body, got.body)
			}
			if errors.Is(tt.err, io.ErrUnexpectedEOF) {
				length, err := strconv.Atoi(got.header.Get("Content-Length"))
				require.NoError(t, err)
				assert.Len(t, got.body, length/2)
			}
			keys := 1
			if tt.processed {
				keys = 2
			}
			assert.Len(t, s.Keys(), keys, "made only if it was processed")
			requests := s.Requests()
			require.Len(t, requests, 1)
			assert.Equal(t, tt.processed, requests[0].Processed)
			assert.Equal(t, tt.status, requests[0].Status)

			again := c.do(http.MethodGet, "/api_keys", "")
			assert.Equal(t, http.StatusOK, again.status, "once, and then no more")
		})
	}
}

func TestFault_Process_Delete(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	victim := s.AddKey(kalshitest.Key{}).ID
	s.Inject(
		kalshitest.Fault{Method: "DELETE", Cut: true}, // 204 has no body to cut
		kalshitest.Fault{Method: "DELETE", Status: 503, Process: true},
	)
	got := c.do("DELETE", "/api_keys/"+victim, "")
	require.ErrorIs(t, got.err, io.EOF)
	assert.Len(t, s.Keys(), 1)

	got = c.do("DELETE", "/api_keys/"+victim, "")
	assert.Equal(t, 503, got.status)
	requests := s.Requests()
	assert.True(t, requests[0].Processed)
	assert.False(t, requests[1].Processed, "there was nothing left to delete")
}

// A request that the exchange rejects is not processed, whatever the fault.
func TestFault_Process_rejected(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Inject(kalshitest.Fault{Process: true, Status: 200, Body: "{}"})
	got := newClient(t, s).do("POST", "/api_keys/generate", generateBody, func(r *http.Request) {
		r.Header.Set("KALSHI-ACCESS-SIGNATURE", "wrong")
	})
	assert.Equal(t, 200, got.status)
	assert.False(t, s.Requests()[0].Processed)
	assert.Len(t, s.Keys(), 1)
}

func TestFault_Header(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	c := newClient(t, s)
	s.SetClockOffset(time.Hour)
	header := http.Header{"Retry-After": {"7"}}
	s.Inject(
		kalshitest.Fault{Status: 429, Body: "{}", Header: header},
		kalshitest.Fault{Status: 503, Body: "{}", Header: http.Header{"Content-Type": {"text/html"}, "Date": {"never"}}},
		kalshitest.Fault{Status: 503, Body: "plain", Header: http.Header{"Date": nil}},
	)
	header.Set("Retry-After", "changed later")

	got := c.do("GET", "/api_keys", "")
	assert.Equal(t, "7", got.header.Get("Retry-After"))
	assert.Equal(t, "application/json", got.header.Get("Content-Type"))
	date, err := http.ParseTime(got.header.Get("Date"))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(time.Hour), date, time.Minute)

	got = c.do("GET", "/api_keys", "")
	assert.Equal(t, "text/html", got.header.Get("Content-Type"))
	assert.Equal(t, "never", got.header.Get("Date"))

	got = c.do("GET", "/api_keys", "")
	assert.Equal(t, "text/plain; charset=utf-8", got.header.Get("Content-Type"))
	assert.NotContains(t, got.header, "Date")
}
