package main

// Faults as JSON, of the flag -fault and of the control.

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// faultJSON has the fields of [kalshitest.Fault] that JSON can express: all but
// Answer.
type faultJSON struct {
	Method  string      `json:",omitempty"`
	Path    string      `json:",omitempty"`
	KeyID   string      `json:",omitempty"`
	Times   int         `json:",omitempty"`
	Delay   string      `json:",omitempty"`
	Process bool        `json:",omitempty"`
	Drop    bool        `json:",omitempty"`
	Reset   bool        `json:",omitempty"`
	Status  int         `json:",omitempty"`
	Body    string      `json:",omitempty"`
	Header  http.Header `json:",omitempty"`
	Cut     bool        `json:",omitempty"`
}

// inject adds the fault that text describes.
func inject(server *kalshitest.Server, text string) error {
	fault, err := parseFault(text)
	if err != nil {
		return err
	}
	return try(func() { server.Inject(fault) })
}

func parseFault(text string) (kalshitest.Fault, error) {
	var f faultJSON
	if err := decode(text, &f, `{"Path":"/api_keys","Status":503}`); err != nil {
		return kalshitest.Fault{}, err
	}
	fault := kalshitest.Fault{
		Method: f.Method, Path: f.Path, KeyID: f.KeyID, Times: f.Times,
		Process: f.Process, Drop: f.Drop, Reset: f.Reset,
		Status: f.Status, Body: f.Body, Header: canonical(f.Header), Cut: f.Cut,
	}
	if f.Delay != "" {
		var err error
		if fault.Delay, err = time.ParseDuration(f.Delay); err != nil {
			return kalshitest.Fault{}, fmt.Errorf("the Delay %q is no duration: write one such as \"300ms\" or \"1.5s\"", f.Delay)
		}
	}
	return fault, nil
}

// faultsJSON returns the faults that wait for requests.
func faultsJSON(server *kalshitest.Server) []faultJSON {
	all := []faultJSON{} // not null
	for _, f := range server.Faults() {
		j := faultJSON{
			Method: f.Method, Path: f.Path, KeyID: f.KeyID, Times: f.Times,
			Process: f.Process, Drop: f.Drop, Reset: f.Reset,
			Status: f.Status, Body: f.Body, Header: f.Header, Cut: f.Cut,
		}
		if f.Delay != 0 {
			j.Delay = f.Delay.String()
		}
		all = append(all, j)
	}
	return all
}

// waiting returns a line for each fault that waits for a number of requests.
func waiting(server *kalshitest.Server) (lines []string) {
	for _, f := range faultsJSON(server) {
		if f.Times > 0 {
			text, _ := json.Marshal(f) // it has no field that fails
			lines = append(lines, "a fault still waits for its requests: "+string(text))
		}
	}
	return lines
}
