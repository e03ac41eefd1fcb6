package kalshitest_test

// The ways to sign wrongly that the diagnosis has to find.

import (
	"crypto"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

var wrongs = []wrong{
	{name: "query", kind: "query", want: "the query is signed", edit: func(f *forgery, req *http.Request) { f.query = "?" + req.URL.RawQuery }},
	{name: "no prefix", kind: "path", want: "the signed path lacks /trade-api/v2", edit: func(f *forgery, _ *http.Request) {
		f.path = strings.Replace(f.path, "/trade-api/v2", "", 1)
	}},
	{name: "URL", kind: "path", want: "the host is signed", edit: func(f *forgery, req *http.Request) { f.path = "http://" + req.Host + f.path }},
	{name: "host", kind: "path", want: "the host is signed", edit: func(f *forgery, req *http.Request) { f.path = req.Host + f.path }},
	{name: "slash", kind: "path", want: "the signed path ends in a slash", edit: func(f *forgery, _ *http.Request) { f.path += "/" }},
	{name: "unescaped", kind: "path", rich: true, want: "the signed path is not escaped", edit: func(f *forgery, _ *http.Request) {
		f.path = must(url.PathUnescape(f.path))
	}},
	{name: "lower case", kind: "method", want: "the signed method is in lower case", edit: func(f *forgery, _ *http.Request) { f.method = strings.ToLower(f.method) }},
	{name: "another method", kind: "method", alone: true, want: "the method PUT is signed", edit: func(f *forgery, _ *http.Request) { f.method = "PUT" }},
	{name: "body", kind: "body", rich: true, want: "the body is signed", edit: func(f *forgery, _ *http.Request) { f.body = richBody }},

	{name: "seconds", kind: "time", want: "the signed time is in seconds", edit: func(f *forgery, _ *http.Request) { f.time = strconv.FormatInt(f.ms/1000, 10) }},
	{name: "float", kind: "time", want: "the signed time is a fraction of seconds", edit: func(f *forgery, _ *http.Request) {
		f.time = fmt.Sprintf("%.1f", float64(f.ms)/1000)
	}},
	{name: "microseconds", kind: "time", want: "the signed time is in microseconds", edit: func(f *forgery, _ *http.Request) { f.time += "000" }},
	{name: "fraction", kind: "time", want: "the signed time has a fraction", edit: func(f *forgery, _ *http.Request) { f.time += ".0" }},
	{name: "a later time", kind: "time", alone: true, want: "the signed time is not the header's, but 3 ms from it", edit: func(f *forgery, _ *http.Request) {
		f.time = strconv.FormatInt(f.ms+3, 10)
	}},
	{name: "an earlier time", kind: "time", alone: true, want: "the signed time is not the header's, but -7 ms from it", edit: func(f *forgery, _ *http.Request) {
		f.time = strconv.FormatInt(f.ms-7, 10)
	}},

	{name: "no time", kind: "order", want: "the time is not signed", alone: true, edit: text(func(_, m, p string) string { return m + p })},
	{name: "no method", kind: "order", want: "the method is not signed", alone: true, edit: text(func(t, _, p string) string { return t + p })},
	{name: "no path", kind: "order", want: "the path is not signed", alone: true, edit: text(func(t, m, _ string) string { return t + m })},
	{name: "method first", kind: "order", want: "the parts are in the order method, time, path", edit: text(func(t, m, p string) string { return m + t + p })},
	{name: "time last", kind: "order", want: "the parts are in the order method, path, time", edit: text(func(t, m, p string) string { return m + p + t })},
	{name: "path second", kind: "order", want: "the parts are in the order time, path, method", edit: text(func(t, m, p string) string { return t + p + m })},
	{name: "backwards", kind: "order", want: "the parts are in the order path, method, time", edit: text(func(t, m, p string) string { return p + m + t })},
	{name: "path first", kind: "order", want: "the parts are in the order path, time, method", edit: text(func(t, m, p string) string { return p + t + m })},
	{name: "newlines", kind: "order", want: "a newline is signed between the parts", edit: joined("\n")},
	{name: "blanks", kind: "order", want: "a blank is signed between the parts", edit: joined(" ")},
	{name: "colons", kind: "order", want: "a colon is signed between the parts", edit: joined(":")},
	{name: "bars", kind: "order", want: "a bar is signed between the parts", edit: joined("|")},

	{name: "SHA-256", kind: "hash", want: "a SHA-256 hash of the text is signed", edit: hashed(func(text []byte) []byte {
		sum := sha256.Sum256(text)
		return sum[:]
	})},
	{name: "SHA-512", kind: "hash", want: "a SHA-512 hash of the text is signed", edit: hashed(func(text []byte) []byte {
		sum := sha512.Sum512(text)
		return sum[:]
	})},
	{name: "SHA-256 in hexadecimal", kind: "hash", want: "a hexadecimal SHA-256 hash of the text is signed", edit: hashed(func(text []byte) []byte {
		return fmt.Appendf(nil, "%x", sha256.Sum256(text))
	})},
	{name: "SHA-256 twice", kind: "hash", want: "a twofold SHA-256 hash of the text is signed", edit: hashed(func(text []byte) []byte {
		once := sha256.Sum256(text)
		twice := sha256.Sum256(once[:])
		return twice[:]
	})},

	{name: "PKCS #1 v1.5", kind: "padding", only: "rsa", want: "the RSA padding is PKCS #1 v1.5", edit: signedBy(func(key crypto.Signer, text []byte) []byte {
		return pkcs1v15(key, text, crypto.SHA256)
	})},
	{name: "no salt", kind: "padding", only: "rsa", want: "the PSS salt has 0 bytes", edit: padded(crypto.SHA256, crypto.SHA256, 0)},
	{name: "salt of 20 bytes", kind: "padding", only: "rsa", want: "the PSS salt has 20 bytes: use 32", edit: padded(crypto.SHA256, crypto.SHA256, 20)},
	{name: "longest salt", kind: "padding", only: "rsa", want: "the PSS salt has 222 bytes, the most that fit", edit: padded(crypto.SHA256, crypto.SHA256, -1)},
	{name: "hashed with SHA-1", kind: "padding", only: "rsa", want: "the hash is SHA-1", edit: padded(crypto.SHA1, crypto.SHA1, 20)},
	{name: "hashed with SHA-384", kind: "padding", only: "rsa", want: "the hash is SHA-384", edit: padded(crypto.SHA384, crypto.SHA384, 48)},
	{name: "hashed with SHA-512", kind: "padding", only: "rsa", want: "the hash is SHA-512", edit: padded(crypto.SHA512, crypto.SHA512, 64)},
	{name: "MGF1 with SHA-1", kind: "padding", only: "rsa", want: "the mask generation function MGF1 uses SHA-1", edit: padded(crypto.SHA256, crypto.SHA1, 32)},

	{name: "base64url", kind: "encoding", want: "the signature is in base64url", edit: encoded(base64.URLEncoding.EncodeToString)},
	{name: "base64url, unpadded", kind: "encoding", want: "the signature is in base64url", edit: encoded(base64.RawURLEncoding.EncodeToString)},
	{name: "unpadded", kind: "encoding", want: "the signature's base64 lacks the = at its end", edit: encoded(base64.RawStdEncoding.EncodeToString)},
	{name: "hexadecimal", kind: "encoding", want: "the signature is hexadecimal", edit: encoded(hex.EncodeToString)},
	{name: "Python bytes", kind: "wrapping", want: "the signature is a Python bytes literal", edit: wrapped("b'", "'")},
	{name: "quotes", kind: "wrapping", want: "the signature is in quotes", edit: wrapped(`"`, `"`)},
	{name: "line-wrapped", kind: "wrapping", want: "the signature has line breaks or blanks in it", edit: func(f *forgery, _ *http.Request) {
		encode := f.encode
		f.encode = func(signature []byte) string {
			text := encode(signature)
			return text[:60] + " " + text[60:]
		}
	}},
}
