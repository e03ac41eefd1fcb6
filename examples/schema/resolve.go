package main

import (
	"maps"
	"slices"
	"strings"
)

// member returns a member of an object that is an object itself, resolved, or nil.
func (d *document) member(object map[string]any, name string) map[string]any {
	return d.resolve(object[name])
}

func list(value any) []any {
	items, _ := value.([]any)
	return items
}

// resolve returns an object with its references followed, the parts of allOf
// merged, and each way to write that a value may be null written as OpenAPI 3.0
// does. It returns nil for what is no object.
func (d *document) resolve(value any) map[string]any {
	object, _ := value.(map[string]any)
	return d.resolveWithin(object, 20) // a reference may lead back to itself
}

func (d *document) resolveWithin(object map[string]any, depth int) map[string]any {
	if object == nil || depth == 0 {
		return nil
	}
	merged := map[string]any{}
	if ref, ok := object["$ref"].(string); ok {
		maps.Copy(merged, d.resolveWithin(d.at(ref), depth-1))
	}
	for _, key := range []string{"allOf", "anyOf", "oneOf"} {
		parts := list(object[key])
		some := slices.DeleteFunc(slices.Clone(parts), isNull)
		if key != "allOf" && len(some) != 1 {
			continue // a choice, which the facts know none of
		}
		for _, part := range some {
			part, _ := part.(map[string]any)
			merge(merged, d.resolveWithin(part, depth-1))
		}
		if len(some) < len(parts) {
			merged["nullable"] = true
		}
	}
	merge(merged, object)
	if types := list(merged["type"]); types != nil {
		some := slices.DeleteFunc(slices.Clone(types), func(name any) bool { return name == "null" })
		if len(some) < len(types) {
			merged["nullable"] = true
		}
		if len(some) == 1 {
			merged["type"] = some[0]
		}
	}
	return merged
}

// merge adds the members of a part to an object. Fields and what is required of
// them add up; of other members the later one counts.
func merge(object, part map[string]any) {
	for key, value := range part {
		switch value := value.(type) {
		case map[string]any:
			if before, ok := object[key].(map[string]any); ok && key == "properties" {
				sum := maps.Clone(before)
				maps.Copy(sum, value)
				object[key] = sum
				continue
			}
		case []any:
			if before, ok := object[key].([]any); ok && key == "required" {
				object[key] = slices.Concat(before, value)
				continue
			}
		}
		object[key] = part[key]
	}
}

func isNull(part any) bool {
	object, _ := part.(map[string]any)
	return object["type"] == "null"
}

// at returns the object that a reference such as #/components/schemas/ApiKey
// points to.
func (d *document) at(ref string) map[string]any {
	at := d.root
	for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		at, _ = at[name].(map[string]any)
	}
	return at
}
