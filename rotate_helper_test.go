package kalshi

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/jarcoal/httpmock"
)

// A point is a request of a rotation, told by what it asks for.
type point string

const (
	atInspect   point = "inspect"   // the first listing
	atMint      point = "mint"      //
	atReconcile point = "reconcile" // the listing after a mint of unknown outcome
	atVerify    point = "verify"    // the listing that the new key signs
	atDiscard   point = "discard"   // deletes the new key
	atDelete    point = "delete"    // deletes the old key
)

// A memoryExchange is an account without a socket, so that it runs where time
// is synthetic. Its keys are named new-1, new-2, … in the order they are made.
type memoryExchange struct {
	cancel context.CancelFunc // ends the context of the rotation under test

	mu      sync.Mutex
	keys    []APIKey
	public  map[string]crypto.PublicKey
	private map[string]string // PEM, as it was sent
	faults  map[point]memoryFault
	calls   []memoryCall
	old     string
	minted  int
}

type memoryCall struct {
	at    point
	keyID string // that signed
	body  string
	time  time.Time
}

// A memoryFault answers a request in place of the exchange. It carries the
// request out by calling process; n counts the earlier ones at this point.
type memoryFault func(x *memoryExchange, r *http.Request, n int, process func() *http.Response) (*http.Response, error)

// newMemoryExchange answers a client, whose key is listed as current.
func newMemoryExchange(client *Client, mock *httpmock.MockTransport, current APIKey) *memoryExchange {
	current.ID = client.signer.KeyID()
	x := &memoryExchange{
		keys:    []APIKey{{ID: "other", Name: current.Name, Scopes: []Scope{ScopeRead}}, current},
		public:  map[string]crypto.PublicKey{current.ID: client.signer.cred.Load().key.Public()},
		private: map[string]string{},
		old:     current.ID,
	}
	mock.RegisterNoResponder(x.answer)
	return x
}

func (x *memoryExchange) answer(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	x.mu.Lock()
	call := memoryCall{x.pointOf(r), r.Header.Get(headerKey), string(body), time.Now()}
	n := len(x.callsAt(call.at))
	x.calls = append(x.calls, call)
	fault := x.faults[call.at]
	x.mu.Unlock()

	process := func() *http.Response {
		x.mu.Lock()
		defer x.mu.Unlock()
		return x.process(r, body)
	}
	if fault == nil {
		return process(), nil
	}
	return fault(x, r, n, process)
}

func (x *memoryExchange) pointOf(r *http.Request) point {
	switch {
	case r.Method == http.MethodPost:
		return atMint
	case r.Method == http.MethodDelete && strings.HasSuffix(r.URL.Path, "/"+x.old):
		return atDelete
	case r.Method == http.MethodDelete:
		return atDiscard
	case r.Header.Get(headerKey) != x.old:
		return atVerify
	case len(x.callsAt(atMint)) > 0:
		return atReconcile
	default:
		return atInspect
	}
}

// callsAt returns the requests so far; the caller holds mu or is alone.
func (x *memoryExchange) callsAt(at point) (calls []memoryCall) {
	for _, call := range x.calls {
		if call.at == at {
			calls = append(calls, call)
		}
	}
	return calls
}

func (x *memoryExchange) process(r *http.Request, body []byte) *http.Response {
	path := strings.TrimPrefix(r.URL.String(), testBaseURL)
	signer := r.Header.Get(headerKey)
	switch {
	case x.find(signer) < 0:
		return memoryAnswer(401, `{"error":{"code":"authentication_error","details":"NOT_FOUND"}}`)
	case !signedBy(x.public[signer], r):
		return memoryAnswer(401, `{"error":{"code":"authentication_error","details":"INCORRECT_API_KEY_SIGNATURE"}}`)
	case r.Method == http.MethodGet:
		return memoryAnswer(200, map[string]any{"api_keys": x.keys})
	case r.Method == http.MethodPost:
		return x.mint(path, body)
	}
	i := x.find(strings.TrimPrefix(path, "/api_keys/"))
	if i < 0 {
		return memoryAnswer(404, `{"error":{"code":"not_found","message":"not found"}}`)
	}
	x.keys = append(x.keys[:i:i], x.keys[i+1:]...)
	return memoryAnswer(204, "")
}

func (x *memoryExchange) mint(path string, body []byte) *http.Response {
	var asked struct {
		APIKey
		KeyType   KeyType `json:"key_type"`
		PublicKey string  `json:"public_key"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return memoryAnswer(400, `{"msg":"no JSON"}`)
	}
	x.minted++
	asked.ID = fmt.Sprintf("new-%d", x.minted)
	made := map[string]any{"api_key_id": asked.ID}
	if path == pathAPIKeys {
		block, _ := pem.Decode([]byte(asked.PublicKey))
		x.public[asked.ID], _ = x509.ParsePKIXPublicKey(block.Bytes)
	} else {
		key := crypto.Signer(testRSAKey())
		if asked.KeyType == KeyTypeEd25519 {
			_, key, _ = ed25519.GenerateKey(rand.Reader)
		}
		text, _ := MarshalPrivateKey(key)
		x.public[asked.ID], x.private[asked.ID] = key.Public(), text.Reveal()
		made["key_type"], made["private_key"] = asked.KeyType, text.Reveal()
	}
	x.keys = append(x.keys, asked.APIKey)
	return memoryAnswer(201, made)
}

func (x *memoryExchange) find(id string) int {
	for i, key := range x.keys {
		if key.ID == id {
			return i
		}
	}
	return -1
}

// ids are those of the keys that exist now.
func (x *memoryExchange) ids() (ids []string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, key := range x.keys {
		ids = append(ids, key.ID)
	}
	return ids
}

func memoryAnswer(status int, body any) *http.Response {
	if text, ok := body.(string); ok {
		return httpmock.NewStringResponse(status, text)
	}
	return httpmock.NewJsonResponseOrPanic(status, body)
}

// signedBy verifies a request's signature.
func signedBy(pub crypto.PublicKey, r *http.Request) bool {
	text := r.Header.Get(headerTimestamp) + r.Method + r.URL.EscapedPath()
	signature, err := base64.StdEncoding.DecodeString(r.Header.Get(headerSignature))
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		return err == nil && ed25519.Verify(pub, []byte(text), signature)
	case *rsa.PublicKey:
		digest := sha256.Sum256([]byte(text))
		return err == nil && rsa.VerifyPSS(pub, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: 32}) == nil
	default:
		return false
	}
}

// What goes wrong at a point.

// refuse answers without carrying the request out.
func refuse(status int, body string) memoryFault {
	return func(*memoryExchange, *http.Request, int, func() *http.Response) (*http.Response, error) {
		return memoryAnswer(status, body), nil
	}
}

// lose loses the request before it is carried out.
func lose(*memoryExchange, *http.Request, int, func() *http.Response) (*http.Response, error) {
	return nil, errConnectionLost
}

// loseAnswer carries the request out and loses the answer.
func loseAnswer(_ *memoryExchange, _ *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
	process()
	return nil, errConnectionLost
}

// replaceAnswer carries the request out and answers otherwise.
func replaceAnswer(status int, body string) memoryFault {
	return func(_ *memoryExchange, _ *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
		process()
		return memoryAnswer(status, body), nil
	}
}

// once has the fault happen to the first request only.
func once(fault memoryFault) memoryFault {
	return func(x *memoryExchange, r *http.Request, n int, process func() *http.Response) (*http.Response, error) {
		if n == 0 {
			return fault(x, r, n, process)
		}
		return process(), nil
	}
}

// hang answers nothing until the request's own context ends.
func hang(_ *memoryExchange, r *http.Request, _ int, _ func() *http.Response) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// cancelBefore cancels the rotation's context while a request is under way,
// which is carried out where that no longer stops it.
func cancelBefore(x *memoryExchange, r *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
	x.cancel()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return process(), nil
}

// cancelAfter cancels it between carrying the request out and the answer,
// which is lost then.
func cancelAfter(x *memoryExchange, r *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
	process()
	x.cancel()
	return nil, r.Context().Err()
}

// cancelOnceRead cancels it when the answer has been read to its end.
func cancelOnceRead(x *memoryExchange, _ *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
	resp := process()
	resp.Body = io.NopCloser(io.MultiReader(resp.Body, readerFunc(func([]byte) (int, error) {
		x.cancel()
		return 0, io.EOF
	})))
	return resp, nil
}

// addField carries the request out and adds a field to the answer.
func addField(name, value string) memoryFault {
	return func(_ *memoryExchange, _ *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
		resp := process()
		fields := map[string]any{name: value}
		if err := json.NewDecoder(resp.Body).Decode(&fields); err != nil {
			return nil, err
		}
		return memoryAnswer(resp.StatusCode, fields), nil
	}
}

// alsoMade has others make keys before the request.
func alsoMade(keys ...APIKey) memoryFault {
	return func(x *memoryExchange, _ *http.Request, _ int, process func() *http.Response) (*http.Response, error) {
		x.mu.Lock()
		x.keys = append(x.keys, keys...)
		x.mu.Unlock()
		return process(), nil
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// A savedKeys is a Save that keeps what it gets.
type savedKeys struct{ ids []string }

func (s *savedKeys) save(_ context.Context, key *GenerateAPIKeyResponse) error {
	s.ids = append(s.ids, key.ID)
	return nil
}
