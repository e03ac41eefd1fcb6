package main

import (
	"context"
	"crypto"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A request is one to the API, signed as documented unless a field says
// otherwise. It does not use the client's methods, which would hide the wire.
type request struct {
	method string // GET unless given
	path   string // below the base URL, escaped
	query  string
	socket bool // to the WebSocket: path is below its URL

	fields map[string]any // of a JSON body; a name is added, and nil leaves it out
	body   string         // or the body itself
	header http.Header    // in place of the request's own; without values: left out

	by   string                                               // the kind of key that signs, as in kinds; "" is the account's own
	key  *newKey                                              // or that key itself
	late time.Duration                                        // how far the timestamp is behind the service's clock
	text func(timestamp, method, path string) string          // what is signed
	sign func(key crypto.Signer, text string) (string, error) // how: not for the account's own key
}

// The headers that sign a request.
const (
	headerKey       = "Kalshi-Access-Key"
	headerTimestamp = "Kalshi-Access-Timestamp"
	headerSignature = "Kalshi-Access-Signature"
)

func documentedText(timestamp, method, path string) string { return timestamp + method + path }

// deletion is the request that deletes a key.
func deletion(id string) request {
	return request{method: http.MethodDelete, path: "/api_keys/" + url.PathEscape(id)}
}

// send sends a request and reads the response.
func (s *session) send(ctx context.Context, r request) (reply, error) {
	return patiently(ctx, func() (reply, error) {
		req, err := s.build(ctx, r)
		if err != nil {
			return reply{}, err
		}
		return s.do(ctx, req)
	})
}

// patiently calls send again after a 429, which was not processed.
func patiently(ctx context.Context, send func() (reply, error)) (reply, error) {
	for attempt := 1; ; attempt++ {
		got, err := send()
		if err != nil || got.status != http.StatusTooManyRequests || attempt == 5 {
			return got, err
		}
		wait(ctx, time.Second)
	}
}

// build makes a request and signs it.
func (s *session) build(ctx context.Context, r request) (*http.Request, error) {
	method, base := r.method, s.client.BaseURL()
	if method == "" {
		method = http.MethodGet
	}
	if r.socket {
		base = "http" + strings.TrimPrefix(s.client.WebSocketURL(), "ws") // wss becomes https
	}
	u, err := url.Parse(base + r.path)
	if err != nil {
		return nil, err
	}
	u.RawQuery = r.query
	body := r.body
	if r.fields != nil {
		body = s.jsonBody(r.fields)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.socket {
		maps.Copy(req.Header, http.Header{
			"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
			"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
		})
	}
	if err := s.sign(ctx, req, r); err != nil {
		return nil, err
	}
	for name, values := range r.header {
		req.Header[name] = values // net/http sends nothing for a header without values
	}
	return req, nil
}

// jsonBody returns the body of a request that makes a key. It has a name, so that
// the key can be found.
func (s *session) jsonBody(fields map[string]any) string {
	all := map[string]any{"name": s.name("check")}
	maps.Copy(all, fields)
	maps.DeleteFunc(all, func(_ string, value any) bool { return value == nil })
	text, _ := json.Marshal(all) // of texts, numbers and lists
	return string(text)
}

func (s *session) sign(ctx context.Context, req *http.Request, r request) error {
	if r.by != "" {
		var err error
		if r.key, err = s.key(ctx, r.by); err != nil {
			return err
		}
	}
	signer, private := s.client.Signer(), crypto.Signer(nil)
	if r.key != nil {
		signer, private = r.key.signer, r.key.private
	}
	text := documentedText
	if r.text != nil {
		text = r.text
	}
	timestamp := strconv.FormatInt(s.now().Add(-r.late).UnixMilli(), 10)
	signed := text(timestamp, req.Method, req.URL.EscapedPath())
	sign := func(_ crypto.Signer, text string) (string, error) { return signer.SignText(text) }
	if r.sign != nil {
		sign = r.sign
	}
	signature, err := sign(private, signed)
	req.Header[headerKey] = []string{signer.KeyID()}
	req.Header[headerTimestamp] = []string{timestamp}
	req.Header[headerSignature] = []string{signature}
	return err
}

// do sends a request as it is. One that makes or deletes a key is not given up when
// the context ends: the response names the key that has to be deleted.
func (s *session) do(ctx context.Context, req *http.Request) (reply, error) {
	if err := ctx.Err(); err != nil {
		return reply{}, err
	}
	if req.Method != http.MethodGet {
		req = req.WithContext(context.WithoutCancel(ctx)) // the client has a timeout
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	got := reply{status: resp.StatusCode, header: resp.Header, received: time.Now()}
	if got.status == http.StatusSwitchingProtocols {
		return got, nil // the body is the connection
	}
	got.body, err = io.ReadAll(io.LimitReader(resp.Body, 2<<20))
	s.note(req, got)
	return got, err
}

// wait waits for d, or until the context ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
