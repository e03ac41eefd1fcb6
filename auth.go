package kalshi

import (
	"cmp"
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// The paths that a WebSocket handshake signs, with method GET: see [Signer.Headers]. The margin
// exchange's hosts are external-api-margin-ws.kalshi.com and external-api-margin-ws.demo.kalshi.co
// (documented).
const (
	WebSocketPath       = "/trade-api/ws/v2"
	MarginWebSocketPath = "/trade-api/ws/v2/margin"
)

// A Signer signs requests with an API key, by the service's clock as far as that is known. It is safe
// for concurrent use and meant to be shared: all that hold it follow at once when the key is switched.
// It prints as its key ID and type. The zero value signs nothing and returns an error.
type Signer struct {
	cred     atomic.Pointer[credential]
	clock    *clock
	source   *source       // nil if there is none
	rotating chan struct{} // holds one token while a rotation is running
	deleted  sync.Map      // the IDs of keys that a rotation deletes
}

// NewSigner returns a signer for the key ID and the private key that belongs to it: RSA of 2048 to
// 8192 bits or Ed25519, in memory ([ParsePrivateKey]), in a KMS or in an HSM. The key must be safe
// for concurrent use. An ID or a key that the service cannot accept is a [*ValidationError].
func NewSigner(keyID string, key crypto.Signer) (*Signer, error) {
	cred, err := newCredential(keyID, key)
	if err != nil {
		return nil, err
	}
	return newSigner(cred), nil
}

// newSigner returns a signer of a key that was checked, or of none so far.
func newSigner(cred *credential) *Signer {
	s := &Signer{clock: new(clock), rotating: make(chan struct{}, 1)}
	s.cred.Store(cred)
	return s
}

// NewSignerFromPEM is [ParsePrivateKey] and [NewSigner] in one step.
func NewSignerFromPEM(keyID string, pemData []byte) (*Signer, error) {
	key, err := ParsePrivateKey(pemData)
	if err != nil {
		return nil, err
	}
	return NewSigner(keyID, key)
}

// NewSignerFromSource returns a signer with the key that the source returns now. When the service
// refuses that key, clients query the source again, at most once a second, and continue with the new
// one: a bot follows another process's rotation with no failed call.
func NewSignerFromSource(ctx context.Context, load KeySource) (*Signer, error) {
	if load == nil {
		return nil, invalid("key source", "is nil: give one such as KeyFile(path).Load")
	}
	s := newSigner(nil)
	s.source = &source{load: load, held: s.cred.Load, take: s.take}
	if err := s.Reload(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Replace switches the signer to another key: for a secret manager that calls back when the key was
// rotated. Clients sign again what is then refused. The zero Credentials are a [*ValidationError].
func (s *Signer) Replace(c Credentials) error {
	if s.credential().key == nil {
		return errNoKey
	}
	cred, err := c.credential()
	if err == nil {
		s.cred.Store(cred)
	}
	return err
}

// Reload queries the signer's source now, and switches to the key that it returns: for a SIGHUP, say.
// A signer that has no source returns a [*ValidationError].
func (s *Signer) Reload(ctx context.Context) error {
	if s == nil || s.source == nil {
		return invalid("signer", "has no key source: make it with NewSignerFromSource, or call Replace")
	}
	if err := s.source.refresh(ctx, nil); err != nil {
		return reword("the key source failed: "+innerMessage(err), err)
	}
	return nil
}

// take takes over the result of a query that started while the signer held that key, unless it holds
// another one now. The cache of a secret manager may lag behind: a deleted key is not taken.
func (s *Signer) take(c Credentials, err error, held *credential) error {
	cred, noKey := c.credential()
	if err = cmp.Or(err, noKey); err != nil {
		return err
	}
	for now := s.cred.Load(); held.same(now); now = s.cred.Load() {
		if _, deleted := s.deleted.Load(cred.keyID); deleted {
			return fmt.Errorf("it gave the key %s, which was replaced: does its cache lag behind?", safeID(cred.keyID))
		}
		if s.cred.CompareAndSwap(now, cred) {
			break
		}
	}
	return nil
}

// KeyID returns the ID of the key that signs now.
func (s *Signer) KeyID() string { return s.credential().keyID }

// KeyType returns the type of the key that signs now.
func (s *Signer) KeyType() KeyType { return s.credential().keyType }

// Fingerprint returns the fingerprint of the key that signs now, as [Credentials.Fingerprint].
func (s *Signer) Fingerprint() string { return s.credential().fingerprint() }

// ClockOffset returns the service's clock minus the local one, as learned from a refused timestamp: 0
// if no correction is needed, and otherwise from 5 seconds to 24 hours, in either direction.
func (s *Signer) ClockOffset() time.Duration { return s.clock.offset() }

// SignRequest sets the three headers that sign req: its method (empty is GET) and its URL's path,
// which must not be opaque, without the query. The signature is valid for a few seconds (observed:
// 10): sign right before each send, with a client that follows no redirects, which would take the
// headers along to any host, and call [Signer.Recover] after a 401. [Client.HTTPClient] does all that.
func (s *Signer) SignRequest(req *http.Request) error {
	if req == nil || req.URL == nil || req.URL.Opaque != "" {
		return invalid("request", "has no URL with a path: make it with http.NewRequestWithContext")
	}
	if req.Header == nil {
		req.Header = make(http.Header, 3)
	}
	_, _, err := s.setHeaders(req.Header, req.Method, req.URL.RequestURI())
	return err
}

// Headers returns the three headers that sign a request, for a WebSocket dial ([WebSocketPath]) and
// HTTP clients that do not use [*http.Request]: see [Signer.SignRequest]. The path is as it is sent,
// escaped and from its first slash on: "/portfolio/balance" alone gets a 401. From "?" on it is dropped.
func (s *Signer) Headers(method, path string) (http.Header, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, invalid("path", "does not start with a slash: give all of it, such as /trade-api/v2/portfolio/balance")
	}
	h := make(http.Header, 3)
	if _, _, err := s.setHeaders(h, method, path); err != nil {
		return nil, err
	}
	return h, nil
}

// setHeaders signs a request that is sent now. It returns the key and the clock's offset that it used.
func (s *Signer) setHeaders(h http.Header, method, path string) (cred *credential, offset time.Duration, err error) {
	if cred = s.credential(); cred.key == nil {
		return cred, 0, errNoKey
	}
	offset = s.clock.offset()
	text := strconv.AppendInt(make([]byte, 0, 128), time.Now().Add(offset).UnixMilli(), 10)
	timestamp := string(text)
	path, _, _ = strings.Cut(path, "?")
	text = append(text, cmp.Or(method, http.MethodGet)...)
	text = append(text, path...)
	signature, err := cred.sign(text)
	if err == nil {
		h[headerKey], h[headerTimestamp], h[headerSignature] = []string{cred.keyID}, []string{timestamp}, []string{signature}
	}
	return cred, offset, err
}

// SignText returns the base64 signature over a text of your own making, such as the timestamp,
// method and path of a request. Most programs want [Client.HTTPClient] or [Signer.Headers].
func (s *Signer) SignText(text string) (string, error) { return s.credential().sign([]byte(text)) }

const fixTime = "20060102-15:04:05.000"

// SignFIXLogon returns the RawData (tag 96) of a FIX logon (documented), whose SenderCompID (tag 49) is
// the key ID. sendingTime is tag 52 byte for byte, UTC, YYYYMMDD-HH:MM:SS.mmm, within 30 seconds of
// the service's clock; msgSeqNum is tag 34, at least 1.
func (s *Signer) SignFIXLogon(sendingTime string, msgSeqNum int, targetCompID string) (string, error) {
	t, err := time.Parse(fixTime, sendingTime)
	switch {
	case err != nil || t.Format(fixTime) != sendingTime:
		return "", invalid("sendingTime", "is not a time of the form YYYYMMDD-HH:MM:SS.mmm: use time.Now().UTC().Format(%q)", fixTime)
	case msgSeqNum < 1:
		return "", invalid("msgSeqNum", "is %d: use 1 or more", msgSeqNum)
	case targetCompID == "" || strings.Contains(targetCompID, "\x01"):
		return "", invalid("targetCompID", "is empty or has a SOH character: use the value of tag 56")
	}
	cred := s.credential()
	return cred.sign([]byte(strings.Join([]string{sendingTime, "A", strconv.Itoa(msgSeqNum), cred.keyID, targetCompID}, "\x01")))
}

var errNoKey = invalid("signer", "is nil or has no key: make one with NewSigner")

// credential returns the key that signs now, or an empty one, which signs nothing.
func (s *Signer) credential() *credential {
	if s == nil || s.cred.Load() == nil {
		return new(credential)
	}
	return s.cred.Load()
}

func (s *Signer) String() string { return "kalshi.Signer" + s.credential().String() }

// LogValue logs the key ID and type.
func (s *Signer) LogValue() slog.Value { return s.credential().LogValue() }

// sign returns the base64 signature of the text.
func (c *credential) sign(text []byte) (string, error) {
	if c.key == nil {
		return "", errNoKey
	}
	signature, err := crypto.SignMessage(c.key, rand.Reader, text, c.opts)
	if err != nil { // of a key manager, whose text can hold anything
		return "", reword(fmt.Sprintf("the key %s could not sign: %s", safeID(c.keyID), innerMessage(err)), err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}
