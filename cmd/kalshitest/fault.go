package main

// The -fault flag: a kalshitest.Fault as JSON.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// faultJSON has the fields of [kalshitest.Fault] that JSON can express: all but
// Answer.
type faultJSON struct {
	Method, Path, KeyID  string
	Times                int
	Delay                string
	Process, Drop, Reset bool
	Status               int
	Body                 string
	Header               http.Header
	Cut                  bool
}

// jsonTypes names what JSON has for the types of those fields.
var jsonTypes = map[reflect.Kind]string{
	reflect.String: "a string", reflect.Int: "a whole number", reflect.Bool: "true or false",
	reflect.Map: `an object such as {"Retry-After":["1"]}`, reflect.Slice: "an array of strings",
}

const faultFields = "Method, Path, KeyID, Times, Delay, Process, Drop, Reset, Status, Body, Header and Cut"

// inject adds the fault that text describes. It returns as an error what
// [kalshitest.Server.Inject] panics with.
func inject(server *kalshitest.Server, text string) (err error) {
	fault, err := parseFault(text)
	if err != nil {
		return err
	}
	defer func() {
		if reason := recover(); reason != nil {
			err = errors.New(strings.TrimPrefix(fmt.Sprint(reason), "kalshitest: Inject: fault 0: "))
		}
	}()
	server.Inject(fault)
	return nil
}

func parseFault(text string) (kalshitest.Fault, error) {
	var f faultJSON
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&f)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field != "":
		return kalshitest.Fault{}, fmt.Errorf("%s must be %s, not a JSON %s", wrongType.Field, jsonTypes[wrongType.Type.Kind()], wrongType.Value)
	case err != nil && strings.Contains(err.Error(), "unknown field"):
		return kalshitest.Fault{}, fmt.Errorf("%w: the fields are %s", err, faultFields)
	case err != nil:
		return kalshitest.Fault{}, fmt.Errorf(`%w: write one JSON object such as {"Path":"/api_keys","Status":503}`, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return kalshitest.Fault{}, errors.New("more follows after the JSON object: write one -fault for each fault")
	}
	fault := kalshitest.Fault{
		Method: f.Method, Path: f.Path, KeyID: f.KeyID, Times: f.Times,
		Process: f.Process, Drop: f.Drop, Reset: f.Reset,
		Status: f.Status, Body: f.Body, Cut: f.Cut,
	}
	if f.Delay != "" {
		if fault.Delay, err = time.ParseDuration(f.Delay); err != nil {
			return kalshitest.Fault{}, fmt.Errorf("the Delay %q is no duration: write one such as \"300ms\" or \"1.5s\"", f.Delay)
		}
	}
	for name, values := range f.Header {
		if fault.Header == nil {
			fault.Header = http.Header{}
		}
		for _, value := range values {
			fault.Header.Add(name, value) // with the name in Go's spelling
		}
	}
	return fault, nil
}
