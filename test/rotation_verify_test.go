package test

import (
	"net/http"
	"testing"
	"time"

	"github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// An error that is not about the signature proves that the new key signs, and the admin's list
// shows its rights. For a key that rotates itself it proves nothing, since its copy may list too.
func TestRotation_provenByError(t *testing.T) {
	t.Parallel()
	const lostSignature = `{"error":{"code":"signature_is_missing_from_headers","message":"signature is missing from headers"}}`
	for _, tt := range []struct {
		name, body string
		status     int
		proves     bool
	}{
		{"insufficient scope", forbiddenBody, 403, true},
		{"restricted to a sub-account", "this API key is restricted to a single sub-account and cannot access this endpoint", 403, true},
		{"forbidden without a word", "", 403, false},
		{"a gateway's words", "API has been moved", 401, false},
		{"a gateway's page", "<html>Request blocked</html>", 403, false},
		{"a gateway's code", "error code: 1020", 403, false},
		{"a 401 of another kind", `{"error":{"code":"subaccount_restricted"}}`, 401, true},
		{"unknown key", unknownKeyBody, 401, false},
		{"wrong signature", wrongSignatureBody, 401, false},
		{"expired timestamp", expiredBody, 401, false},
		{"signature lost on the way", lostSignature, 401, false},
		{"not found", notFoundBody, 404, false},
	} {
		fails := rotationTest{trouble: handled(kalshi.StageVerify, responds(tt.status, tt.body)),
			ending: takenBack, text: ": verify: the old key still signs; ", took: verifyTook}
		byAdmin := fails
		if tt.proves {
			byAdmin = rotationTest{trouble: fails.trouble, ending: rotated}
		}
		runInBubble(t, "by an admin/"+tt.name, func(t *testing.T) { byAdmin.run(t, newAdminRun(t, kalshitest.Key{Scopes: []string{"read"}})) })
		runInBubble(t, "by itself/"+tt.name, func(t *testing.T) { fails.run(t, newRotationRun(t)) })
	}
}

func responds(status int, body string) handler {
	return func(_ *rotationRun, req *http.Request, _ roundTripper) (*http.Response, error) {
		return respond(req, status, body)
	}
}

// The list must show the new key with the old one's rights before Save is
// called. A new key may appear late; wrong rights are final.
func TestRotation_rights(t *testing.T) {
	another := func(key map[string]any) { key["api_key_id"] = "another" }
	otherScope := func(key map[string]any) { key["scopes"] = []string{"write::tomorrow"} }
	runRotations(t, []rotationTest{
		{name: "other scopes", trouble: listsNewKey(always, otherScope), ending: takenBack, text: "other rights"},
		{name: "shown at the third try", trouble: listsNewKey(2, another), ending: rotated, took: 300 * time.Millisecond},
		{name: "never shown", trouble: listsNewKey(always, another), ending: takenBack, text: "the list does not show the new key", took: verifyTook},
	}, runsOf(map[string]kalshitest.Key{
		"a reader": {Scopes: []string{"read"}}, "a key that may not list": {Scopes: []string{"write::trade"}},
	}))
}

// listsNewKey has so many lists show the new key in another way.
func listsNewKey(lists int, edit func(key map[string]any)) trouble {
	return func(run *rotationRun) {
		left := lists
		run.send = func(req *http.Request) (*http.Response, error) {
			keys, _ := run.keys()
			resp, err := run.transport.RoundTrip(req)
			if req.Method != http.MethodGet || keys != "old new" || err != nil || left == 0 {
				return resp, err
			}
			return editJSON(resp, func(list map[string]any) {
				left--
				edit(list["api_keys"].([]any)[3].(map[string]any))
			})
		}
	}
}

// A place where the new key is not known yet, when that is to delete the old one, is
// tried again for as long as in verify. If it stays so, the old key deletes itself.
// While nobody's key is known, nothing proves that the old one is gone.
func TestRotation_newKeyUnknownAtDelete(t *testing.T) {
	unknown := func(times int, ofOld bool) trouble {
		return func(run *rotationRun) {
			left := times
			run.at(kalshi.StageDelete, func(_ *rotationRun, req *http.Request, send roundTripper) (*http.Response, error) {
				if left == 0 || !ofOld && req.Header.Get("KALSHI-ACCESS-KEY") == oldKeyID {
					return send(req)
				}
				left--
				return respond(req, 401, unknownKeyBody)
			})
		}
	}
	runRotations(t, []rotationTest{
		{name: "for a while", trouble: unknown(2, false), ending: rotated, took: 300 * time.Millisecond},
		{name: "for ever", trouble: unknown(always, false), ending: rotated, took: verifyTook},
		{name: "as is the old one", trouble: unknown(always, true), ending: notDeleted, took: verifyTook},
	}, runsOf(nil))
}
