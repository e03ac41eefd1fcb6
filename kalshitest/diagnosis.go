package kalshitest

// Why a signature is wrong. The exchange never says; the server has the public
// key, so it can try what people do wrong and see which signature it gives.

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// headerDiagnosis is the header of a response that says why its request is
// rejected.
const headerDiagnosis = "Kalshitest-Diagnosis"

// A diagnosis may take so much time and so much work, in about microseconds. The
// time is looked at only after some work, enough for each mistake alone and for the
// usual pairs, so that what is found then does not depend on the machine.
const (
	maxDiagnosis     = 20 * time.Millisecond
	maxDiagnosisWork = 18_000
	freeWork         = 10_000 // of it, whatever the time
	maxOtherTimeWork = 1_000  // of it, for another time than the header's
	maxOtherKeyWork  = 5_000  // of it, for the other keys
)

// maxOtherKeys is how many other keys are tried.
const maxOtherKeys = 20

// A diagnosis is what is wrong with a rejected request.
type diagnosis struct {
	says     []string // each a mistake and what to do instead
	signedBy string   // the ID of the other key that signed; empty if none is known
}

// A rejected is a request that is rejected, and what a diagnosis needs.
type rejected struct {
	request *Request
	host    string
	earlier *Request    // the first request with the same signature; nil if there is none
	claimed *storedKey  // nil if the key ID is unknown
	others  []storedKey // the newest maxOtherKeys of the other keys
	clock   func() time.Time
}

// rejected collects what a diagnosis needs.
func (s *Server) rejected(in *incoming) *rejected {
	r := &rejected{request: in.record, host: in.http.Host, clock: s.config.now}
	s.mu.Lock()
	defer s.mu.Unlock()
	if earlier := s.signatures[in.record.Header.Get(headerSignature)]; earlier != in.record {
		r.earlier = earlier
	}
	for _, key := range slices.Backward(s.keys) {
		if key.ID == in.record.KeyID {
			r.claimed = &key
		} else if len(r.others) < maxOtherKeys {
			r.others = append(r.others, key)
		}
	}
	return r
}

// sameText reports whether two requests are signed alike.
func sameText(a, b *Request) bool {
	return a.Method == b.Method && a.Path == b.Path && a.Header.Get(headerTimestamp) == b.Header.Get(headerTimestamp)
}

// replayed reports whether the signature was made for an earlier request. One that
// is sent again as it is does not count.
func (r *rejected) replayed() bool { return r.earlier != nil && !sameText(r.earlier, r.request) }

const saysReplayed = "the same signature came with an earlier request: sign each request anew"

var bearerToken = regexp.MustCompile(`^(?i:Bearer )|^eyJ[\w-]+\.[\w-]+\.[\w-]*$`)

// credentials diagnoses a request without a key ID or a signature.
func (r *rejected) credentials() diagnosis {
	var d diagnosis
	if r.request.Header.Get("Authorization") != "" {
		d.says = append(d.says, "an Authorization header is not for API keys: send the three KALSHI-ACCESS headers")
	}
	if r.request.KeyID == "" && r.request.Header.Get(headerSignature) != "" {
		d.says = append(d.says, "there is no KALSHI-ACCESS-KEY header: send the key's ID in it")
	}
	return d
}

// signature diagnoses a signature that is not valid.
func (r *rejected) signature() diagnosis {
	text := r.request.Header.Get(headerSignature)
	if bearerToken.MatchString(text) {
		return diagnosis{says: []string{"the signature is a bearer token: sign each request with the private key"}}
	}
	signature, encoding := decodeSignature(text)
	if signature == nil {
		return diagnosis{says: []string{"the signature is not base64"}}
	}
	search := newSearch(r, signature)
	says, signedBy := search.run()
	if says == nil {
		says = r.certain(signature, search.claimed)
	}
	return diagnosis{append(encoding, says...), signedBy}
}

// certain returns what is certain about a signature that no mistake explains.
func (r *rejected) certain(signature []byte, schemes []scheme) (says []string) {
	keyType, size := "Ed25519", ed25519.SignatureSize
	if key, ok := r.claimed.public.(*rsa.PublicKey); ok {
		keyType, size = "RSA", key.Size()
	}
	length := strconv.Itoa(len(signature)) + " bytes"
	switch {
	case len(signature) == 32 && r.claimed != nil:
		says = append(says, "the signature has 32 bytes, as an HMAC with SHA-256 has: sign with the private key, by "+keyType)
	case len(signature) != size:
		says = append(says, "the signature has "+length+", and one of this "+keyType+" key has "+strconv.Itoa(size))
	}
	for _, s := range schemes {
		if s.certain {
			says = append(slices.Clone(s.says), "the signature is this key's, but of another text")
			break
		}
	}
	if r.replayed() {
		says = append(says, saysReplayed)
	}
	return says
}

// schemes returns the schemes that the signature may have been made with by the
// key.
func schemes(public crypto.PublicKey, signature []byte) []scheme {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return rsaSchemes(public, signature)
	case ed25519.PublicKey:
		// The second half is a number not far above 2^252 (RFC 8032, section 5.1.7).
		if len(signature) == ed25519.SignatureSize && signature[ed25519.SignatureSize-1] <= 0x10 {
			return []scheme{{cost: 50, fits: func(message []byte) bool { return ed25519.Verify(public, message, signature) }}}
		}
	}
	return nil
}

// addTo puts the diagnosis into the record of the request and into the response.
func (d diagnosis) addTo(s *Server, r *Request, failure *response) {
	text := strings.Join(d.says, "; ")
	s.update(func() { r.Diagnosis, r.SignedBy = text, d.signedBy })
	if text != "" {
		failure.header.Set(headerDiagnosis, text)
	}
}
