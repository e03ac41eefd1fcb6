package main

// JSON from users: strictly read, with errors that say what to write.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"strings"
)

// jsonTypes names what JSON has for the types of fields.
var jsonTypes = map[reflect.Kind]string{
	reflect.String: "a string", reflect.Int: "a whole number", reflect.Bool: "true or false",
	reflect.Map: `an object such as {"Retry-After":["1"]}`, reflect.Slice: "an array of strings",
}

// decode reads one JSON value. The example is what to write instead of text that is
// none.
func decode(text string, into any, example string) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	if wrongType, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && wrongType.Field != "" {
		return fmt.Errorf("%s must be %s, not a JSON %s", wrongType.Field, jsonTypes[wrongType.Type.Kind()], wrongType.Value)
	}
	if err != nil && strings.Contains(err.Error(), "unknown field") {
		return fmt.Errorf("%w: the fields are %s", err, strings.Join(fieldNames(into), ", "))
	}
	if err != nil {
		return fmt.Errorf("%w: write one JSON object such as %s", err, example)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more follows after the JSON: write one at a time")
	}
	return nil
}

// fieldNames returns the names of the fields of the struct that into points to, or
// to a slice of.
func fieldNames(into any) (names []string) {
	t := reflect.TypeOf(into).Elem()
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" {
			name = field.Name
		}
		names = append(names, name)
	}
	return names
}

// canonical returns the header with its names in Go's spelling.
func canonical(header http.Header) http.Header {
	if header == nil {
		return nil
	}
	all := http.Header{}
	for name, values := range header {
		for _, value := range values {
			all.Add(name, value)
		}
	}
	return all
}

// try calls a method of [kalshitest.Server] and returns as an error what it panics
// with on a mistake.
func try(call func()) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = errors.New(panicPrefix.ReplaceAllString(fmt.Sprint(reason), ""))
		}
	}()
	call()
	return nil
}

// panicPrefix is what a user need not read in such a panic.
var panicPrefix = regexp.MustCompile(`^kalshitest: \w+: (fault 0: )?| \(registered at [^)]*\)`)
