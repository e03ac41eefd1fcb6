package kalshitest

// What people do wrong when they sign, as data: what is signed in place of the
// right text. How RSA signatures are padded wrongly is in rsa.go, and how
// signatures are encoded wrongly in encoding.go.

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
)

// A message is what a client may have signed. Its text is the parts in the order
// with the separator between them, and then the body.
type message struct {
	time, method, path, query, body string
	order, separator                string // the order's letters are t, m and p
	hash                            string // of hashes; empty if the text itself is signed
}

// bytes returns what the signing function was given.
func (m *message) bytes() []byte {
	var text []byte
	for i, part := range m.order {
		if i > 0 {
			text = append(text, m.separator...)
		}
		switch part {
		case 't':
			text = append(text, m.time...)
		case 'm':
			text = append(text, m.method...)
		case 'p':
			text = append(append(text, m.path...), m.query...)
		}
	}
	text = append(text, m.body...)
	if hash, ok := hashes[m.hash]; ok {
		return hash(text)
	}
	return text
}

// hashes are those that a text may have gone through before it was signed.
var hashes = map[string]func(text []byte) []byte{
	"SHA-256": func(text []byte) []byte { sum := sha256.Sum256(text); return sum[:] },
	"SHA-512": func(text []byte) []byte { sum := sha512.Sum512(text); return sum[:] },
	"hexadecimal SHA-256": func(text []byte) []byte {
		sum := sha256.Sum256(text)
		return []byte(hex.EncodeToString(sum[:]))
	},
	"twofold SHA-256": func(text []byte) []byte {
		sum := sha256.Sum256(text)
		sum = sha256.Sum256(sum[:])
		return sum[:]
	},
}

// A mistake is one thing that is wrong with a signed message.
type mistake struct {
	kind   string                           // two of one kind exclude each other
	says   string                           // what is wrong, and what to do instead
	change func(m *message, from *rejected) // makes the mistake; it changes nothing where it cannot be made
}

// mistakes are in the order in which people meet them, which is the order in which
// they are tried.
var mistakes = []mistake{
	{"request", "the signature is that of an earlier request: sign each request anew", func(m *message, from *rejected) {
		if r := from.earlier; r != nil {
			m.time, m.method, m.path = r.Header.Get(headerTimestamp), r.Method, r.Path
		}
	}},
	{"query", "the query is signed: leave it out of the signed text", func(m *message, from *rejected) {
		if from.request.RawQuery != "" {
			m.query = "?" + from.request.RawQuery
		}
	}},
	{"path", "the signed path lacks " + basePath + ": sign the whole path", func(m *message, _ *rejected) {
		m.path = strings.TrimPrefix(m.path, basePath)
	}},
	{"time", "the signed time is in seconds: sign the milliseconds of the header", func(m *message, _ *rejected) {
		m.time = seconds(m.time, false)
	}},
	{"path", "the signed path ends in a slash: leave it out", func(m *message, _ *rejected) {
		if !strings.HasSuffix(m.path, "/") {
			m.path += "/"
		}
	}},
	{"path", "the signed path lacks the slash at its end: sign the path as it is sent", func(m *message, _ *rejected) {
		m.path = strings.TrimSuffix(m.path, "/")
	}},
	{"path", "the host is signed: sign the path alone", func(m *message, from *rejected) { m.path = "http://" + from.host + m.path }},
	{"path", "the host is signed: sign the path alone", func(m *message, from *rejected) { m.path = from.host + m.path }},
	{"path", "the signed path is not escaped: sign it as it is sent", func(m *message, _ *rejected) {
		if path, err := url.PathUnescape(m.path); err == nil {
			m.path = path
		}
	}},
	{"method", "the signed method is in lower case: sign it in capitals", func(m *message, _ *rejected) { m.method = strings.ToLower(m.method) }},
	{"body", "the body is signed: leave it out of the signed text", func(m *message, from *rejected) { m.body = string(from.request.Body) }},
	{"time", "the signed time is a fraction of seconds: sign the milliseconds of the header", func(m *message, _ *rejected) {
		m.time = seconds(m.time, true)
	}},
	{"time", "the signed time is in microseconds: sign the milliseconds of the header", func(m *message, _ *rejected) { m.time += "000" }},
	{"time", "the signed time has a fraction: sign the header's text", func(m *message, _ *rejected) { m.time += ".0" }},
	hashed("SHA-256"), hashed("SHA-512"), hashed("hexadecimal SHA-256"), hashed("twofold SHA-256"),
	ordered("the time is not signed", "mp"), ordered("the method is not signed", "tp"), ordered("the path is not signed", "tm"),
	ordered("the parts are in the order time, path, method", "tpm"), ordered("the parts are in the order method, path, time", "mpt"),
	ordered("the parts are in the order method, time, path", "mtp"), ordered("the parts are in the order path, method, time", "pmt"),
	ordered("the parts are in the order path, time, method", "ptm"),
	separated("a newline", "\n"), separated("a blank", " "), separated("a colon", ":"), separated("a bar", "|"),
	otherMethod("GET"), otherMethod("POST"), otherMethod("DELETE"), otherMethod("PUT"),
}

func otherMethod(method string) mistake {
	return mistake{"method", "the method " + method + " is signed: sign the request's own", func(m *message, _ *rejected) { m.method = method }}
}

func hashed(hash string) mistake {
	return mistake{"hash", "a " + hash + " hash of the text is signed: give the text itself to the signing function",
		func(m *message, _ *rejected) { m.hash = hash }}
}

func ordered(says, order string) mistake {
	return mistake{"order", says + ": sign time, method and path", func(m *message, _ *rejected) { m.order = order }}
}

func separated(name, separator string) mistake {
	return mistake{"separator", name + " is signed between the parts: sign them without separators",
		func(m *message, _ *rejected) { m.separator = separator }}
}

// seconds returns a time in milliseconds as seconds: whole ones, or with the
// fraction as Python and JavaScript print it.
func seconds(milliseconds string, fraction bool) string {
	ms, err := strconv.ParseInt(milliseconds, 10, 64)
	switch {
	case err != nil:
		return milliseconds
	case !fraction:
		return strconv.FormatInt(ms/1000, 10)
	case ms%1000 == 0:
		return strconv.FormatInt(ms/1000, 10) + ".0"
	}
	return strconv.FormatFloat(float64(ms)/1000, 'f', -1, 64)
}
