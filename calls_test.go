package kalshi

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jarcoal/httpmock"
)

const otherKeyID = "22222222-3333-4444-8555-666666666666"

// An apiCall is one of the four calls, with an answer that it takes for
// success. The delete removes otherKeyID.
type apiCall struct {
	name, method, path string
	status             int
	body               string
	do                 func(context.Context, *Client) error
}

func (call apiCall) mints() bool { return call.method == http.MethodPost }

func (call apiCall) success() httpmock.Responder { return reply(call.status, call.body) }

// apiCalls are the four calls; those that make a key call it keyName.
func apiCalls(keyName string) []apiCall {
	return []apiCall{
		{"GetAPIKeys", http.MethodGet, "/api_keys", 200, `{"api_keys":[]}`, func(ctx context.Context, c *Client) error {
			_, err := c.GetAPIKeys(ctx)
			return err
		}},
		{"CreateAPIKey", http.MethodPost, "/api_keys", 201, `{"api_key_id":"new"}`, func(ctx context.Context, c *Client) error {
			_, err := c.CreateAPIKey(ctx, CreateAPIKeyRequest{Name: keyName, PublicKey: testPublicKey()})
			return err
		}},
		{"GenerateAPIKey", http.MethodPost, "/api_keys/generate", 201, `{"api_key_id":"new","private_key":"-"}`, func(ctx context.Context, c *Client) error {
			_, err := c.GenerateAPIKey(ctx, GenerateAPIKeyRequest{Name: keyName, KeyType: KeyTypeEd25519})
			return err
		}},
		{"DeleteAPIKey", http.MethodDelete, "/api_keys/" + otherKeyID, 204, "", func(ctx context.Context, c *Client) error {
			return c.DeleteAPIKey(ctx, otherKeyID)
		}},
	}
}

var testPublicKey = sync.OnceValue(func() string {
	pub, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	text, err := MarshalPublicKey(pub)
	if err != nil {
		panic(err)
	}
	return text
})

// forEachCall runs a parallel subtest for each of the four calls.
func forEachCall(t *testing.T, test func(t *testing.T, call apiCall)) {
	for _, call := range apiCalls("bot") {
		t.Run(call.name, func(t *testing.T) {
			t.Parallel()
			test(t, call)
		})
	}
}

// reply answers with a status, a body and header fields in pairs.
func reply(status int, body string, header ...string) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		resp := httpmock.NewStringResponse(status, body)
		resp.Request = req
		for i := 0; i+1 < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

// lost is an attempt whose answer never comes.
func lost(*http.Request) (*http.Response, error) { return nil, errors.New("connection lost") }

// replyInTurn answers the attempts one after the other, all further ones with
// the last step, and returns how many there were.
func replyInTurn(mock *httpmock.MockTransport, steps ...httpmock.Responder) (attempts *atomic.Int64) {
	attempts = new(atomic.Int64)
	mock.RegisterNoResponder(func(req *http.Request) (*http.Response, error) {
		n := int(attempts.Add(1))
		return steps[min(n, len(steps))-1](req)
	})
	return attempts
}

func isA[E error](err error) bool {
	var e E
	return errors.As(err, &e)
}

// kindOf names the type of what a call returned, in the order in which a
// caller should ask.
func kindOf(err error) string {
	switch {
	case err == nil:
		return "ok"
	case isA[*OutcomeUnknownError](err):
		return "Unknown"
	case errors.Is(err, context.Canceled):
		return "Canceled"
	case isA[*InvalidResponseError](err):
		return "Invalid"
	case isA[*BadRequestError](err):
		return "BadRequest"
	case isA[*UnauthorizedError](err):
		return "Unauthorized"
	case isA[*ForbiddenError](err):
		return "Forbidden"
	case isA[*NotFoundError](err):
		return "NotFound"
	case isA[*ConflictError](err):
		return "Conflict"
	case isA[*RateLimitError](err):
		return "RateLimit"
	case isA[*ServerError](err):
		return "Server"
	case isA[*APIError](err):
		return "API"
	case isA[*url.Error](err):
		return "Transport"
	default:
		return fmt.Sprintf("untyped %T", err)
	}
}
