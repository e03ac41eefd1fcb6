package kalshitest

// How an RSA signature is padded, read from the signature with the public key.

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1" // #nosec G505 -- only to tell that a client uses it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"
	"math/big"
)

// A scheme is how a signature was made of a message, as far as the signature tells.
type scheme struct {
	says    []string // what is wrong with it
	cost    int      // of one call of fits, in about microseconds
	certain bool     // the key made the signature, even if no message fits
	fits    func(message []byte) bool
}

// rsaHashes are the hash functions that clients use, the right one first.
var rsaHashes = []struct {
	name string
	new  func() hash.Hash
}{
	{"SHA-256", sha256.New},
	{"SHA-1", sha1.New},
	{"SHA-384", sha512.New384},
	{"SHA-512", sha512.New},
}

// minPadding is how many bytes of padding cannot be there by chance.
const minPadding = 8

// rsaSchemes returns the schemes that the signature may have been made with.
func rsaSchemes(public *rsa.PublicKey, signature []byte) []scheme {
	s := new(big.Int).SetBytes(signature)
	if len(signature) != public.Size() || s.Cmp(public.N) >= 0 {
		return nil
	}
	encoded := s.Exp(s, big.NewInt(int64(public.E)), public.N).FillBytes(make([]byte, public.Size()))
	if digestInfo, ok := readPKCS1(encoded); ok {
		return []scheme{pkcs1Scheme(digestInfo)}
	}
	// PSS encodes into one bit less than the modulus has.
	bits := public.N.BitLen() - 1
	length := (bits + 7) / 8
	if len(encoded) > length && encoded[0] != 0 {
		return nil
	}
	encoded = encoded[len(encoded)-length:]
	var found []scheme
	for _, h := range rsaHashes {
		for _, mgf := range rsaHashes {
			if salt, hashed, ok := readPSS(encoded, bits, h.new(), mgf.new()); ok {
				found = append(found, pssScheme(h.name, mgf.name, h.new, salt, hashed, len(encoded)))
			}
		}
	}
	return found
}

// readPKCS1 returns what PKCS #1 v1.5 pads: the name of a hash and the hash.
func readPKCS1(encoded []byte) (digestInfo []byte, ok bool) {
	padding, digestInfo, ok := bytes.Cut(encoded[2:], []byte{0})
	ok = ok && encoded[0] == 0 && encoded[1] == 1 && len(padding) >= minPadding &&
		len(bytes.Trim(padding, "\xff")) == 0
	return digestInfo, ok
}

// pkcs1Scheme returns the scheme of a PKCS #1 v1.5 signature. The length of what is
// padded tells the hash, with its name (19 bytes; 15 for SHA-1) or without.
func pkcs1Scheme(digestInfo []byte) scheme {
	says := []string{"the RSA padding is PKCS #1 v1.5: use PSS"}
	for _, h := range rsaHashes {
		if name := len(digestInfo) - h.new().Size(); name != 0 && name != 15 && name != 19 {
			continue
		}
		if h.name != "SHA-256" {
			says = append(says, "the hash is "+h.name+": use SHA-256")
		}
		return scheme{says, 1, true, func(message []byte) bool {
			return bytes.HasSuffix(digestInfo, sum(h.new(), message))
		}}
	}
	says = append(says, "the text is not hashed: use SHA-256")
	return scheme{says, 1, true, func(message []byte) bool { return bytes.Equal(digestInfo, message) }}
}

// readPSS returns the salt and the final hash of a PSS encoding, if it is one with
// these hash functions (RFC 8017, section 9.1.2).
func readPSS(encoded []byte, bits int, h, mgf hash.Hash) (salt, hashed []byte, ok bool) {
	end := len(encoded) - 1
	if encoded[end] != 0xbc || end < h.Size() {
		return nil, nil, false
	}
	masked, hashed := encoded[:end-h.Size()], encoded[end-h.Size():end]
	block := bytes.Clone(masked)
	for i, mask := range mgf1(mgf, hashed, len(masked)) {
		block[i] ^= mask
	}
	block[0] &= 0xff >> (8*len(encoded) - bits)
	padding := bytes.IndexByte(block, 1)
	if padding < 0 || len(bytes.Trim(block[:padding], "\x00")) > 0 {
		return nil, nil, false
	}
	return block[padding+1:], hashed, true
}

// pssScheme returns the scheme of a PSS encoding.
func pssScheme(hashName, mgfName string, newHash func() hash.Hash, salt, hashed []byte, length int) scheme {
	size := len(hashed)
	var says []string
	if hashName != "SHA-256" {
		says = append(says, "the hash is "+hashName+": use SHA-256")
	}
	if mgfName != hashName {
		says = append(says, "the mask generation function MGF1 uses "+mgfName+": use SHA-256")
	}
	longest := length - size - 2
	switch {
	case len(salt) == 32 || len(salt) == size:
	case len(salt) == longest:
		says = append(says, fmt.Sprintf("the PSS salt has %d bytes, the most that fit: use 32", len(salt)))
	default:
		says = append(says, fmt.Sprintf("the PSS salt has %d bytes: use 32", len(salt)))
	}
	return scheme{says, 1, longest-len(salt) >= minPadding, func(message []byte) bool {
		return bytes.Equal(hashed, sum(newHash(), make([]byte, 8), sum(newHash(), message), salt))
	}}
}

// sum returns the hash of the parts.
func sum(h hash.Hash, parts ...[]byte) []byte {
	for _, part := range parts {
		h.Write(part)
	}
	return h.Sum(nil)
}

// mgf1 is the mask generation function of PSS (RFC 8017, appendix B.2.1).
func mgf1(h hash.Hash, seed []byte, length int) []byte {
	var mask []byte
	for i := uint32(0); len(mask) < length; i++ {
		h.Reset()
		h.Write(seed)
		_ = binary.Write(h, binary.BigEndian, i) // a hash takes everything
		mask = h.Sum(mask)
	}
	return mask[:length]
}
