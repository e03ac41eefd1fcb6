package main

import "net/http"

// What the service says when it refuses a request, and which reason comes first.

const (
	noSuchKey    = "00000000-0000-4000-8000-000000000000"
	nothingThere = "404 nested: code not_found"
	needsWrite   = "403 nested: code insufficient_scope:_write_required"
	needsRead    = "403 nested: code insufficient_scope:_read_required"
	noneGiven    = "401 nested: code token_authentication_failure"
)

var (
	byUnknownKey = http.Header{headerKey: {noSuchKey}}
	unsigned     = http.Header{headerKey: nil, headerTimestamp: nil, headerSignature: nil}
)

var errorBodies = []check{
	{"a wrong signature", observed, wrongSignature, sends(request{path: "/api_keys", by: "ed25519", sign: byAnother})},
	{"an unknown key ID", observed, unknownKey, sends(request{path: "/api_keys", header: byUnknownKey})},
	{"no signature header", observed, "401 nested: code signature_is_missing_from_headers", sends(request{
		path: "/api_keys", header: http.Header{headerSignature: nil},
	})},
	{"no header of the three", observed, noneGiven, sends(request{path: "/api_keys", header: unsigned})},
	{"no timestamp header", decided, expired, sends(request{path: "/api_keys", header: http.Header{headerTimestamp: nil}})},
	{"a timestamp that is no number", decided, expired, sends(request{path: "/api_keys", header: http.Header{headerTimestamp: {"now"}}})},
	{"JSON of a wrong type", observed, "400 flat: code bad_request, details json: cannot unmarshal number…", generatesBody(`{"name":1}`)},
	{"a body that is no JSON", decided, "400 flat: code bad_request, details …", generatesBody(`{`)},
	{"another content type", observed, "400 flat: code invalid_content_type", sends(request{
		method: http.MethodPost, path: "/api_keys/generate", body: noName, header: http.Header{"Content-Type": {"text/plain"}},
	})},
	{"a bad parameter", observed, badParameter, generatesBody(noName)},
	{"a key that does not exist", observed, nothingThere, sends(deletion(noSuchKey))},
	{"a path that does not exist", observed, nothingThere, sends(request{path: "/conformance"})},
	{"a path that does not exist, without a signature", decided, nothingThere, sends(request{path: "/conformance", header: unsigned})},
	{"a slash at the end of a path", documented, "301", sends(request{path: "/api_keys/"})},
	{"a slash at the end of a path, without a signature", decided, "301", sends(request{path: "/api_keys/", header: unsigned})},
	{"an expired timestamp with an unknown key ID", decided, expired, sends(request{path: "/api_keys", late: aDay, header: byUnknownKey})},
	{"an expired timestamp with a wrong signature", decided, expired, sends(request{path: "/api_keys", late: aDay, by: "ed25519", sign: byAnother})},
	{"a missing scope with a bad parameter", decided, needsWrite, sends(request{
		method: http.MethodPost, path: "/api_keys/generate", by: "ed25519", body: noName,
	})},
}

// generatesBody describes the response to a request for a key with that body.
func generatesBody(body string) run {
	return sends(request{method: http.MethodPost, path: "/api_keys/generate", body: body})
}
