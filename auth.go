package kalshi

// The Signer: what is signed and how, and which key signs now.

import (
	"context"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed251d1451/kalshi-go/internal/redact"
)

// WebSocketPath is the path that a WebSocket handshake signs, with method GET:
//
//	header, err := signer.Headers(http.MethodGet, kalshi.WebSocketPath)
const WebSocketPath = "/trade-api/ws/v2"

// MarginWebSocketPath is the path of the margin exchange's WebSocket.
const MarginWebSocketPath = "/trade-api/ws/v2/margin"

// The three headers that sign a request, in the form that [http.Header] keeps.
const (
	headerKey       = "Kalshi-Access-Key"
	headerSignature = "Kalshi-Access-Signature"
	headerTimestamp = "Kalshi-Access-Timestamp"
)

// A Signer signs requests with an API key: its ID and its private half.
//
// It is safe for concurrent use and meant to be shared: between clients,
// WebSocket dials and generated API clients. [Client.RotateAPIKey],
// [Signer.Replace] and [Signer.Reload] switch the key inside the Signer, so
// that all of them follow at once. It also keeps the offset of the service's
// clock, learned from a refused timestamp. It prints as its key ID and type
// only. The zero value signs nothing and returns an error.
type Signer struct {
	cred     atomic.Pointer[credential]
	offset   atomic.Int64  // service's clock minus the local one, in nanoseconds
	rotating chan struct{} // holds one token while a rotation is running

	source KeySource // nil if there is none
	mu     sync.Mutex
	query  *sourceQuery // the latest
}

// NewSigner returns a signer for the key ID and the private key that belongs
// to it: RSA of 2048 to 8192 bits or Ed25519, in memory ([ParsePrivateKey]),
// in a KMS or in an HSM. The key must be safe for concurrent use.
//
// It returns a [*ValidationError] for an ID that is empty or has blanks,
// control or non-ASCII characters, and for a key that the service would not
// accept. Only the service can tell whether the two belong together.
func NewSigner(keyID string, key crypto.Signer) (*Signer, error) {
	cred, err := newCredential(keyID, key)
	if err != nil {
		return nil, err
	}
	s := &Signer{rotating: make(chan struct{}, 1)}
	s.cred.Store(cred)
	return s, nil
}

// NewSignerFromPEM is [ParsePrivateKey] and [NewSigner] in one step.
func NewSignerFromPEM(keyID string, pemData []byte) (*Signer, error) {
	key, err := ParsePrivateKey(pemData)
	if err != nil {
		return nil, err
	}
	return NewSigner(keyID, key)
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

// Fingerprint returns the fingerprint of the key that signs now, as
// [Credentials.Fingerprint].
func (s *Signer) Fingerprint() string {
	if cred, err := s.credential(); err == nil {
		return cred.fingerprint()
	}
	return ""
}

// ClockOffset returns the service's clock minus the local one, as corrected.
func (s *Signer) ClockOffset() time.Duration { return s.clockOffset() }

// Recover learns what a 401 teaches, and reports whether to sign and send again.
func (s *Signer) Recover(ctx context.Context, resp *http.Response) bool { return false }

// SignRequest sets the three headers that sign req as it is now: its method
// (empty is GET) and its URL's path, without the query. The signature is valid
// for a few seconds (observed: 10), so call it right before each send, and send
// with a client that follows no redirects, which would take the headers along
// to any host. Wrapped in a func(context.Context, *http.Request) error, it is
// the request editor of a generated client.
//
// [Client.HTTPClient] does all of that, and recovers from a rotated key and a
// wrong clock. If you sign by hand, recover yourself: a 401 with the code
// header_timestamp_expired does not teach the signer the service's clock, which
// it learns only from calls of a [Client] and of its HTTPClient. Make one of
// those, such as [Client.GetAPIKeys], and sign again. Once learned, the
// offset is in the signature. When the local clock is set right later, the
// first refused timestamp drops the offset, in the same way.
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
	return cred.setHeaders(req.Header, s.now(), req.Method, signedPath(req.URL))
}

// Headers returns the three headers that sign a request. The path begins with
// "/trade-api/", as it is sent: "/portfolio/balance" alone is signed without
// complaint and gets a 401. It is escaped where it must be; a "?" and what
// follows it is dropped. A path without its first slash is a
// [*ValidationError]. An empty method is GET.
//
// Headers is for a WebSocket dial ([WebSocketPath]) and HTTP clients that do not
// use [*http.Request]. The signature is valid for a few seconds (observed: 10).
// The clock is as with [Signer.SignRequest].
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

// SignText returns the base64 signature over the text as it is, for whatever
// else is signed with the same algorithms.
func (s *Signer) SignText(text string) (string, error) {
	cred, err := s.credential()
	if err != nil {
		return "", err
	}
	return cred.sign([]byte(text))
}

const fixTime = "20060102-15:04:05.000"

// SignFIXLogon returns the RawData (tag 96) of a FIX logon: the base64
// signature over SendingTime, "A", MsgSeqNum, SenderCompID and TargetCompID,
// separated by SOH (documented). The SenderCompID (tag 49) is the key ID.
//
// sendingTime is tag 52 byte for byte, UTC: YYYYMMDD-HH:MM:SS.mmm. It must be
// within 30 seconds of the service's clock (documented). msgSeqNum is tag 34,
// at least 1. Bad input is a [*ValidationError]. RSA keys are documented for
// FIX; Ed25519 was observed.
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
	cred, err := s.credential()
	if err != nil {
		return "", err
	}
	return cred.sign([]byte(strings.Join([]string{sendingTime, "A", strconv.Itoa(msgSeqNum), cred.keyID, targetCompID}, "\x01")))
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

// setClockOffset sets the offset to the skew that a refused timestamp has shown,
// or to 0 if the skew is within skewTolerance.
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

// signedPath returns the path and query of a URL as net/http sends them;
// setHeaders cuts off the query.
func signedPath(u *url.URL) string {
	path := u.RequestURI()
	if strings.HasPrefix(u.Opaque, "//") { // then it begins with the scheme and the host
		_, path, _ = strings.Cut(u.Opaque[len("//"):], "/")
		path = "/" + path
	}
	return path
}

// setHeaders signs a request that is sent at that time by the server's clock.
// What follows a "?" in the path is not signed.
func (c *credential) setHeaders(h http.Header, now time.Time, method, path string) error {
	if method == "" {
		method = http.MethodGet
	}
	path, _, _ = strings.Cut(path, "?")
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
	if err != nil { // of a key manager, whose text can hold anything
		return "", newRedactedError(fmt.Sprintf("kalshi: the key %s could not sign: %s", redact.Text(c.keyID, maxID), innerMessage(err)), err)
	}
	if len(signature) == 0 {
		return "", fmt.Errorf("kalshi: the key %s returned an empty signature: look at the KMS or HSM that holds it", redact.Text(c.keyID, maxID))
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}
