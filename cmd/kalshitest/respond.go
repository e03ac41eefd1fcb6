package main

// Responses on other paths: of the flags -respond and -responses and of the
// control.

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// responseJSON is a response to requests with a method and a path.
type responseJSON struct {
	Method, Path string
	Status       int
	Body         json.RawMessage // a string is sent as text, anything else as JSON
	Header       http.Header
}

const responseExample = `{"Method":"GET","Path":"/portfolio/balance","Body":{"balance":5}}`

// parseResponses reads one response or a list of them.
func parseResponses(text string) (all []responseJSON, err error) {
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		err = decode(text, &all, "["+responseExample+"]")
		return all, err
	}
	var r responseJSON
	err = decode(text, &r, responseExample)
	return []responseJSON{r}, err
}

var respondForm = regexp.MustCompile(`^\s*(\S+)\s+(\S+)\s+(\d+)(?:\s+((?s:.*)))?$`)

// parseRespond reads the value of -respond: method, path, status and body.
func parseRespond(text string) (responseJSON, error) {
	parts := respondForm.FindStringSubmatch(text)
	if parts == nil {
		return responseJSON{}, errors.New(`write method, path, status and body, such as 'GET /portfolio/balance 200 {"balance":5}'`)
	}
	status, _ := strconv.Atoi(parts[3]) // one out of range is rejected with the response
	r := responseJSON{Method: parts[1], Path: parts[2], Status: status}
	if parts[4] != "" {
		r.Body, _ = json.Marshal(parts[4]) // a string
	}
	return r, nil
}

// readResponses reads the file of -responses.
func readResponses(name string) ([]responseJSON, error) {
	text, err := os.ReadFile(name) // #nosec G304 -- it is the user's own file
	if err != nil {
		return nil, err
	}
	return parseResponses(string(text))
}

// respond adds the response to the server. A POST fails while a location
// attestation has lapsed, as orders do.
func respond(server *kalshitest.Server, r responseJSON) error {
	switch {
	case r.Method == "":
		return errors.New("the Method is missing: write one such as GET")
	case !strings.HasPrefix(r.Path, "/"):
		return fmt.Errorf("the Path %q does not begin with a slash: write one such as /portfolio/balance", r.Path)
	case strings.ContainsAny(r.Path, "? \t"):
		return fmt.Errorf("the Path %q has a query or a blank: write the path alone", r.Path)
	case strings.HasSuffix(r.Path, "/"):
		return fmt.Errorf("the Path %q ends in a slash: leave it out", r.Path)
	}
	response := kalshitest.Response{Status: r.Status, Header: canonical(r.Header), Body: string(r.Body)}
	var text *string
	if json.Unmarshal(r.Body, &text) == nil { // a string or null
		response.Body = ""
		if text != nil {
			response.Body = *text
		}
	}
	path := r.Path
	if !strings.HasPrefix(path, "/trade-api/") {
		path = "/trade-api/v2" + path
	}
	return try(func() {
		server.Handle(r.Method+" "+path, response) // which checks it
		if r.Method == http.MethodPost {
			server.Handle(r.Method+" "+path, server.RequireAttestation(response))
		}
	})
}
