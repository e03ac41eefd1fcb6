package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/seed251d1451/kalshi-go/test/schema"
)

// A document is an OpenAPI document, as YAML decodes it, and what differs in it.
type document struct {
	root        map[string]any
	differences []string
}

func (d *document) differ(where, format string, args ...any) {
	d.differences = append(d.differences, where+": "+fmt.Sprintf(format, args...))
}

// compare returns how the document differs from the facts, in four calls.
func (d *document) compare() []string {
	paths, known := d.member(d.root, "paths"), map[string]bool{}
	for _, call := range schema.Calls {
		where := call.Method + " " + call.Path
		known[where] = true
		item := d.member(paths, call.Path)
		if operation := d.member(item, strings.ToLower(call.Method)); operation == nil {
			d.differ(where, "the call is gone")
		} else {
			d.call(where, call, item, operation)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if !strings.HasPrefix(path, "/api_keys") {
			continue
		}
		for _, method := range []string{"get", "put", "post", "delete", "options", "head", "patch", "trace"} {
			where := strings.ToUpper(method) + " " + path
			if d.member(d.member(paths, path), method) != nil && !known[where] {
				d.differ(where, "the call is new")
			}
		}
	}
	return d.differences
}

func (d *document) call(where string, call schema.Call, item, operation map[string]any) {
	query, inPath := map[string]any{}, map[string]any{}
	required := map[string]bool{}
	for _, from := range []map[string]any{item, operation} {
		for _, p := range list(from["parameters"]) {
			p := d.resolve(p)
			name := fmt.Sprint(p["name"])
			switch p["in"] {
			case "query":
				query[name] = p["schema"]
			case "path":
				inPath[name] = p["schema"]
			default: // a header: those that sign are no concern of the call
				continue
			}
			required[name] = p["required"] == true
		}
	}
	d.fields(where+" query", call.Query, query, required)
	d.fields(where+" path", call.PathFields, inPath, required)

	body := d.member(operation, "requestBody")
	d.body(where+" request", call.Request, body)
	responses := d.member(operation, "responses")
	success := strconv.Itoa(call.Success)
	d.body(where+" "+success, call.Response, d.member(responses, success))

	statuses := []string{success}
	for _, status := range call.Errors {
		statuses = append(statuses, strconv.Itoa(status))
	}
	d.values(where, "status", statuses, slices.Sorted(maps.Keys(responses)))
}

// body compares the JSON of a request or response; object "" is for none.
func (d *document) body(where, object string, body map[string]any) {
	content := d.member(body, "content")
	json := d.member(d.member(content, "application/json"), "schema")
	switch {
	case object == "" && len(content) > 0:
		d.differ(where, "it has a body now")
	case object != "" && json == nil:
		d.differ(where, "it has no JSON body any more")
	case object != "":
		d.field(where, schema.Field{Kind: object}, json)
	}
}

// field compares the schema of a field, or of a whole body.
func (d *document) field(where string, want schema.Field, got map[string]any) {
	if nullable := got["nullable"] == true; nullable != want.Nullable {
		d.differ(where, "%s", map[bool]string{true: "it may be null now", false: "it cannot be null any more"}[nullable])
	}
	_, isObject := schema.Objects[want.Kind]
	values, isEnum := schema.Enums[want.Kind]
	wantType := want.Kind
	switch {
	case want.List:
		wantType = "array"
	case isObject:
		wantType = "object"
	case isEnum:
		wantType = "string"
	}
	gotType := cmp.Or(got["type"], any("of no type"))
	if gotType == "of no type" && got["properties"] != nil {
		gotType = "object"
	}
	switch {
	case gotType != wantType:
		d.differ(where, "the type was %s and is %v", wantType, gotType)
	case want.List:
		want.List, want.Nullable = false, false
		d.field(where+"[]", want, d.resolve(got["items"]))
	case isObject:
		required := map[string]bool{}
		for _, name := range list(got["required"]) {
			required[fmt.Sprint(name)] = true
		}
		properties, _ := got["properties"].(map[string]any)
		d.fields(where, schema.Objects[want.Kind], properties, required)
	default:
		d.scalar(where, want, values, got)
	}
}

// scalar compares the values that a text or a number may have.
func (d *document) scalar(where string, want schema.Field, values []string, got map[string]any) {
	var gotValues []string
	for _, value := range list(got["enum"]) {
		gotValues = append(gotValues, fmt.Sprint(value))
	}
	d.values(where, "value", values, gotValues)
	for _, bound := range []struct{ name, want string }{{"minimum", want.Min}, {"maximum", want.Max}} {
		found := ""
		if value := got[bound.name]; value != nil {
			found = fmt.Sprint(value)
		}
		if found != bound.want {
			d.differ(where, "the %s was %s and is %s", bound.name, cmp.Or(bound.want, "not given"), cmp.Or(found, "not given"))
		}
	}
}

// fields compares the fields of an object, or a call's parameters.
func (d *document) fields(where string, want []schema.Field, got map[string]any, required map[string]bool) {
	known := map[string]bool{}
	for _, field := range want {
		known[field.Name] = true
		value, there := got[field.Name]
		if !there {
			d.differ(where, "the field %s is gone", field.Name)
			continue
		}
		if required[field.Name] != field.Required {
			d.differ(where+"."+field.Name, "%s", map[bool]string{true: "it is required now", false: "it is not required any more"}[!field.Required])
		}
		d.field(where+"."+field.Name, field, d.resolve(value))
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if !known[name] {
			d.differ(where, "the field %s is new%s", name, map[bool]string{true: ", and required"}[required[name]])
		}
	}
}

// values compares two sets of texts.
func (d *document) values(where, what string, want, got []string) {
	for _, value := range want {
		if !slices.Contains(got, value) {
			d.differ(where, "the %s %s is gone", what, value)
		}
	}
	for _, value := range got {
		if !slices.Contains(want, value) {
			d.differ(where, "the %s %s is new", what, value)
		}
	}
}
