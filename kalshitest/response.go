package kalshitest

// Responses that a test gives.

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// Response is a response of the test's own: an [http.Handler] for [Server.Handle]
// that always responds alike.
//
//	exchange.Handle("GET /trade-api/v2/portfolio/balance", kalshitest.Response{Body: `{"balance":5}`})
type Response struct {
	// Status is the HTTP status, 200 to 999. 0 means 200.
	Status int

	// Header holds the header fields. The server adds its Date, and the
	// Content-Type application/json if Body is JSON, unless they are given here.
	Header http.Header

	// Body is sent as it is. A 204 and a 304 have none.
	Body string
}

// ServeHTTP implements [http.Handler].
func (r Response) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	full := response{r.Status, r.Header.Clone(), []byte(r.Body)}
	if full.status == 0 {
		full.status = http.StatusOK
	}
	if full.header == nil {
		full.header = http.Header{}
	}
	if _, given := full.header["Content-Type"]; !given && json.Valid(full.body) {
		full.header.Set("Content-Type", "application/json")
	}
	full.ServeHTTP(w, req)
}

// token is the form of a header field's name (RFC 9110, section 5.1).
var token = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// check returns why the response cannot be sent.
func (r Response) check() error {
	if r.Status != 0 && (r.Status < 200 || r.Status > 999) {
		return fmt.Errorf("status %d cannot be sent: write one from 200 to 999", r.Status)
	}
	if (r.Status == http.StatusNoContent || r.Status == http.StatusNotModified) && r.Body != "" {
		return fmt.Errorf("status %d has no body: leave out Body", r.Status)
	}
	for name, values := range r.Header {
		if !token.MatchString(name) {
			return fmt.Errorf("header name %q cannot be sent: write one such as \"Retry-After\"", name)
		}
		if strings.ContainsAny(strings.Join(values, ""), "\r\n\x00") {
			return errors.New("the header " + name + " has a value with a line break, which cannot be sent")
		}
	}
	return nil
}
