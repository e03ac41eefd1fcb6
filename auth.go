package kalshi

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// WebSocketPath is the path that a WebSocket handshake signs, with method GET:
//
//	header, err := signer.Headers(http.MethodGet, kalshi.WebSocketPath)
const WebSocketPath = "/trade-api/ws/v2"

// The three headers that sign a request, in the form that [http.Header] keeps.
const (
	headerKey       = "Kalshi-Access-Key"
	headerSignature = "Kalshi-Access-Signature"
	headerTimestamp = "Kalshi-Access-Timestamp"
)

// A Signer signs requests with one API key: its ID and its private half.
//
// It is safe for concurrent use and meant to be shared: between clients,
// WebSocket dials and generated API clients. [Client.RotateAPIKey] switches
// the key inside the Signer, so that all of them follow at once. It also
// keeps the offset to the server's clock that a [Client] learns from a refused
// timestamp. It prints as its key ID and type only. Make one with
// [NewSigner]; the zero value signs nothing and returns an error.
type Signer struct {
	cred     atomic.Pointer[credential]
	offset   atomic.Int64  // server's clock minus the local one, in nanoseconds
	rotating chan struct{} // holds one token while a rotation is under way
}

// A credential is a key with its ID. It never changes.
type credential struct {
	keyID   string
	keyType KeyType
	key     crypto.Signer
	opts    crypto.SignerOpts // for the key type
}

// NewSigner returns a signer for the key ID and the private key that belongs
// to it: RSA of at least 2048 bits or Ed25519, in memory ([ParsePrivateKey]),
// in a KMS or in an HSM. The key must be safe for concurrent use.
//
// It returns a [*ValidationError] for an ID that is empty or has blanks,
// control or non-ASCII characters, and for a key that the service would not
// take. Whether the two belong together only the service can tell.
func NewSigner(keyID string, key crypto.Signer) (*Signer, error) {
	cred, err := newCredential(keyID, key)
	if err != nil {
		return nil, err
	}
	s := &Signer{rotating: make(chan struct{}, 1)}
	s.cred.Store(cred)
	return s, nil
}

func newCredential(keyID string, key crypto.Signer) (*credential, error) {
	if err := checkKeyID("key ID", keyID); err != nil {
		return nil, err
	}
	keyType, err := checkSigner("private key", key)
	if err != nil {
		return nil, err
	}
	var opts crypto.SignerOpts = crypto.Hash(0) // Ed25519 signs the text itself
	if keyType == KeyTypeRSA {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	return &credential{keyID, keyType, key, opts}, nil
}

// checkKeyID refuses what cannot be an ID, or not stand in a header.
func checkKeyID(field, keyID string) error {
	if keyID == "" {
		return invalid(field, "is empty: copy it from where the key was made")
	}
	if isKeyText(keyID) {
		return invalid(field, "is a private key: give the ID that belongs to it")
	}
	if strings.ContainsFunc(keyID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return invalid(field, "has blanks, control or non-ASCII characters: copy it again")
	}
	return nil
}

// KeyID returns the ID of the key that signs now.
func (s *Signer) KeyID() string {
	if cred, err := s.credential(); err == nil {
		return cred.keyID
	}
	return ""
}

// KeyType returns the type of the key that signs now.
func (s *Signer) KeyType() KeyType {
	if cred, err := s.credential(); err == nil {
		return cred.keyType
	}
	return ""
}

// SignRequest sets the three headers that sign req as it is at that time: its
// method (empty is GET) and its URL's path, without the query. The signature
// holds for a few seconds (observed: 10), so call it right before each send,
// and send with a client that follows no redirects, which would take the
// headers along to any host. In a func(context.Context, *http.Request) error
// it is the request editor of a generated client.
//
// It signs by the exchange's clock as far as that is known: only a call of a
// [Client] learns that the local one is off. Make one at start-up, and after a
// 401 header_timestamp_expired.
func (s *Signer) SignRequest(req *http.Request) error {
	if req == nil || req.URL == nil {
		return invalid("request", "has no URL: make it with http.NewRequestWithContext")
	}
	cred, err := s.credential()
	if err != nil {
		return err
	}
	if req.Header == nil {
		req.Header = make(http.Header, 3)
	}
	return cred.setHeaders(req.Header, s.now(), req.Method, req.URL.RequestURI())
}

// Headers returns the three headers that sign a request with this method
// (empty is GET) and path, for a WebSocket dial ([WebSocketPath]) or an HTTP
// client that does not use [*http.Request]. The path is the one that is sent:
// from the root, such as "/trade-api/v2/portfolio/balance", escaped where it
// must be; what follows a "?" is dropped. The signature holds for a few
// seconds (observed: 10). A path that is none is a [*ValidationError].
func (s *Signer) Headers(method, path string) (http.Header, error) {
	if !strings.HasPrefix(path, "/") {
		return nil, invalid("path", "does not start with a slash: give all of it, such as /trade-api/v2/portfolio/balance")
	}
	cred, err := s.credential()
	if err != nil {
		return nil, err
	}
	h := make(http.Header, 3)
	if err := cred.setHeaders(h, s.now(), method, path); err != nil {
		return nil, err
	}
	return h, nil
}

// SignText returns the base64 signature over the text as it is: for a FIX
// logon and whatever else Kalshi has signed with the same algorithms.
func (s *Signer) SignText(text string) (string, error) {
	cred, err := s.credential()
	if err != nil {
		return "", err
	}
	return cred.sign([]byte(text))
}

func (s *Signer) credential() (*credential, error) {
	if s == nil {
		return nil, invalid("signer", "is nil: make one with NewSigner")
	}
	cred := s.cred.Load()
	if cred == nil {
		return nil, invalid("signer", "has no key: make one with NewSigner")
	}
	return cred, nil
}

// now is the server's time, as far as it is known.
func (s *Signer) now() time.Time { return time.Now().Add(s.clockOffset()) }

func (s *Signer) clockOffset() time.Duration { return time.Duration(s.offset.Load()) }

// setClockOffset takes over what a refused timestamp has shown; a small skew
// is no reason for it, and drops an offset that is no longer needed.
func (s *Signer) setClockOffset(skew time.Duration) {
	if skew.Abs() <= skewTolerance {
		skew = 0
	}
	s.offset.Store(int64(skew))
}

// Format prints the key ID and type for every verb, and no secrets.
func (s *Signer) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "kalshi.Signer{KeyID: %q, KeyType: %q}", s.KeyID(), s.KeyType())
}

// LogValue logs the key ID and type, and no secrets.
func (s *Signer) LogValue() slog.Value {
	return slog.GroupValue(slog.String("key_id", s.KeyID()), slog.String("key_type", string(s.KeyType())))
}

// setHeaders signs a request that is sent at that time by the server's clock.
func (c *credential) setHeaders(h http.Header, now time.Time, method, uri string) error {
	if method == "" {
		method = http.MethodGet
	}
	path, _, _ := strings.Cut(uri, "?")
	text := strconv.AppendInt(make([]byte, 0, 128), now.UnixMilli(), 10)
	timestamp := string(text)
	text = append(text, method...)
	text = append(text, path...)
	signature, err := c.sign(text)
	if err != nil {
		return err
	}
	values := []string{c.keyID, timestamp, signature} // one allocation: this runs on every call
	h[headerKey], h[headerTimestamp], h[headerSignature] = values[0:1:1], values[1:2:2], values[2:3:3]
	return nil
}

// sign returns the base64 signature of the text.
func (c *credential) sign(text []byte) (string, error) {
	signature, err := crypto.SignMessage(c.key, rand.Reader, text, c.opts)
	if err != nil {
		return "", fmt.Errorf("kalshi: the key %s could not sign: %w", sanitize(c.keyID, maxID), err)
	}
	if len(signature) == 0 {
		return "", fmt.Errorf("kalshi: the key %s returned an empty signature: look at the KMS or HSM that holds it", sanitize(c.keyID, maxID))
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}
