package kalshitest

// Authentication: who signed a request. It shares no code with package kalshi, so
// that no mistake can be in both.

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"strconv"
	"time"
)

// The three headers that authenticate a request.
const (
	headerKey       = "Kalshi-Access-Key"
	headerTimestamp = "Kalshi-Access-Timestamp"
	headerSignature = "Kalshi-Access-Signature"
)

// clockTolerance is how far a timestamp may be from the server's clock, in either
// direction, inclusive. No tolerance is documented. Observed: 10 s off was accepted
// in either direction, 30 s slow and 60 s fast were rejected.
const clockTolerance = 10 * time.Second

// authenticate returns the key that signed a request, or the response if the
// request is not authentic. It then records why.
func (s *Server) authenticate(in *incoming) (caller Key, failure *response) {
	r, now := in.record, s.now()
	timestamp, signature := r.Header.Get(headerTimestamp), r.Header.Get(headerSignature)
	key, known := s.findKey(r.KeyID)
	var why diagnosis
	switch {
	case r.KeyID == "":
		failure, why = noCredentials(), s.rejected(in).credentials()
	case signature == "":
		failure, why = noSignature(), s.rejected(in).credentials()
	case !inWindow(timestamp, now):
		failure, why = timestampExpired(), s.rejected(in).timestamp(now)
	case !known:
		failure, why = authenticationError("NOT_FOUND"), s.rejected(in).keyID()
	case !verify(key.public, timestamp+r.Method+r.Path, signature):
		failure, why = authenticationError("INCORRECT_API_KEY_SIGNATURE"), s.rejected(in).signature()
	default:
		return key.Key, nil
	}
	why.addTo(s, r, failure)
	return Key{}, failure
}

// inWindow reports whether timestamp, in decimal Unix milliseconds, is near enough
// to now. A timestamp in seconds is decades off.
func inWindow(timestamp string, now time.Time) bool {
	ms, err := strconv.ParseUint(timestamp, 10, 63) // ParseInt would accept a sign
	if err != nil {
		return false
	}
	off := now.UnixMilli() - int64(ms)
	return -clockTolerance.Milliseconds() <= off && off <= clockTolerance.Milliseconds()
}

// verify reports whether signature, in standard base64, is the key's signature of
// text. The type of the registered key decides the algorithm.
func verify(public crypto.PublicKey, text, signature string) bool {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return false
	}
	switch public := public.(type) {
	case *rsa.PublicKey:
		digest := sha256.Sum256([]byte(text))
		opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash} // 32 bytes, no other
		return rsa.VerifyPSS(public, crypto.SHA256, digest[:], raw, opts) == nil
	case ed25519.PublicKey:
		return ed25519.Verify(public, []byte(text), raw)
	}
	return false
}
