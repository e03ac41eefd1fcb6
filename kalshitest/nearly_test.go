package kalshitest_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func TestRequest_Diagnosis_timestamp(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	ms := func(d time.Duration) string { return strconv.FormatInt(x.now.Add(d).UnixMilli(), 10) }
	tests := []struct{ timestamp, want string }{
		{"", "there is no KALSHI-ACCESS-TIMESTAMP header: send the time in it, in Unix milliseconds"},
		{ms(-45 * time.Second), "the timestamp is 45s behind the server's clock: set the client's clock"},
		{ms(time.Hour), "the timestamp is 1h0m0s ahead of the server's clock: set the client's clock"},
		{"1790000000", "the timestamp is in seconds: send milliseconds"},
		{"1790000060", "the timestamp is in seconds: send milliseconds; the timestamp is 59.8s ahead of the server's clock: set the client's clock"},
		{"1790000000200000", "the timestamp is in microseconds: send milliseconds"},
		{"1790000000200000000", "the timestamp is in nanoseconds: send milliseconds"},
		{"1790000000200.0", "the timestamp has a fraction: send whole milliseconds"},
		{"1790000000.2", "the timestamp has a fraction: send whole milliseconds; the timestamp is in seconds: send milliseconds"},
		{"2026-09-21T14:13:20Z", "the timestamp is a date: send Unix milliseconds"},
		{"Mon, 21 Sep 2026 14:13:20 GMT", "the timestamp is a date: send Unix milliseconds"},
		{"now", "the timestamp is not a number: send Unix milliseconds"},
		{"1.2.3", "the timestamp is not a number: send Unix milliseconds"},
		{"1", "the timestamp is more than a year from the server's clock: send Unix milliseconds"},
		{"9223372036854775807", "the timestamp is more than a year from the server's clock: send Unix milliseconds"},
	}
	for _, tt := range tests {
		req := x.request(t, false)
		authenticate(req, "rsa", tt.timestamp, "AAAA"+strings.Repeat("A", len(tt.timestamp)))
		_, diagnosis := x.send(t, req)
		assert.Equal(t, tt.want, diagnosis, tt.timestamp)
	}
}

func TestRequest_Diagnosis_keyID(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	const id = "0f1e2d3c-4b5a-4c7d-8e9f-a0b1c2d3e4f5"
	x.AddKey(kalshitest.Key{ID: id})
	tests := []struct{ id, want string }{
		{"0f1e2d3c-4b5a- 4c7d-8e9f-a0b1c2d3e4f5", "blanks"},
		{id + "%20", "blanks"},
		{id + `\n`, "blanks"},
		{"\u200b" + id, "blanks"},
		{`"` + id + `"`, "quotes"},
		{"'" + id, "quotes"},
		{"<" + id + ">", "brackets"},
		{`"<` + id + `>"`, "quotes and brackets"},
		{strings.ToUpper(id), "the case of its letters"},
		{`"` + strings.ToUpper(id) + `"`, "quotes and the case of its letters"},
		{"KALSHI_API_KEY_ID=" + id, "characters before or after it"},
		{id + "x", "characters before or after it"},
		{id[:30], "characters that are missing at one end"},
		{id[1:], "characters that are missing at one end"},
		{strings.ReplaceAll(id, "-", ""), "missing hyphens"},
		{strings.Replace(id, "4b5a", "4b6a", 1), "one character"},
		{strings.Replace(id, "4b5a", "4ba", 1), "one character"},
		{strings.Replace(id, "4b5a", "4b5ax", 1), "one character"},
		{strings.Replace(id, "4b5a", "b45a", 1), ""},
		{id[:7], ""},
		{"another", ""},
		{"rs", ""},
		{"(rsa)", "-"},
	}
	for _, tt := range tests {
		req := x.request(t, false)
		authenticate(req, tt.id, strconv.FormatInt(x.now.UnixMilli(), 10), "AAAA")
		status, diagnosis := x.send(t, req)
		assert.Equal(t, http.StatusUnauthorized, status)
		switch tt.want {
		case "":
			assert.Empty(t, diagnosis, tt.id)
		case "-":
			assert.Equal(t, `the key ID differs from the known ID "rsa" only in brackets`, diagnosis)
		default:
			assert.Equal(t, `the key ID differs from the known ID "`+id+`" only in `+tt.want, diagnosis, tt.id)
		}
	}
}

// The key that signed is not named a second time.
func TestRequest_Diagnosis_keyIDAndSigner(t *testing.T) {
	t.Parallel()
	x := newExchange(t)
	req := x.request(t, false)
	newForgery(req, x.now).apply(req, "<ed25519>", x.keys["ed25519"])
	_, diagnosis := x.send(t, req)
	assert.Equal(t, `the key ID differs from the known ID "ed25519" only in brackets`, diagnosis)
	assert.Equal(t, "ed25519", x.Requests()[0].SignedBy)

	req = x.request(t, false)
	newForgery(req, x.now).apply(req, "<ed25519>", x.keys["rsa"])
	_, diagnosis = x.send(t, req)
	assert.Equal(t, `the key ID differs from the known ID "ed25519" only in brackets; the key that signed is "rsa", not the one of the KALSHI-ACCESS-KEY header`, diagnosis)
}
