package kalshi

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSanitize(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"line ends", "a\r\nb\nc", "a b c"},
		{"NUL", "a\x00b", "a b"},
		{"escape sequence", "a\x1b[31mb", "a [31mb"},
		{"C1 control character", "a\u009bb", "a b"},
		{"DEL", "a\x7fb", "a b"},
		{"bidirectional override", "a\u202eb\u2066c\u200fd", "a b c d"},
		{"zero width", "a\u200bb\ufeffc", "a b c"},
		{"line separator", "a\u2028b", "a b"},
		{"odd blanks", " a\u00a0\u3000\t b ", "a b"},
		{"private use", "a\ue000b", "a b"},
		{"letters beyond ASCII", "schlüssel 鍵 🔑", "schlüssel 鍵 🔑"},
		{"invalid UTF-8", "a\xff\xfeb", "a\ufffd\ufffdb"},
		{"as long as may be", strings.Repeat("ü", 160), strings.Repeat("ü", 160)},
		{"too long", strings.Repeat("ü", 161), strings.Repeat("ü", 159) + "…"},
		{"much too long", strings.Repeat("🔑", 100_000), strings.Repeat("🔑", 159) + "…"},
		{"private key", "-----BEGIN " + privateKeyMark + "-----", withheld},
		{"private key that shows once it is clean", "PRIVATE\u00a0\nKEY", withheld},
	}
	for _, tt := range tests {
		got := sanitize(tt.text, maxText)
		assert.Equal(t, tt.want, got, tt.name)
		assertClean(t, got)
	}
}

// What net/http quotes of a response may be a private key.
func TestRedactHTTPError(t *testing.T) {
	t.Parallel()
	assert.NoError(t, redactHTTPError(nil))
	assert.Equal(t, errConnectionLost, redactHTTPError(errConnectionLost))
	for text, want := range map[string]string{
		`malformed HTTP response "s3cret"`:          "malformed HTTP response",
		`bad Content-Length "s3cret" in "s3cret"`:   "bad Content-Length",
		`malformed MIME header line: s3cret half`:   "malformed MIME header",
		`GOAWAY, ErrCode=NO_ERROR, debug=s3cret`:    "GOAWAY, ErrCode=NO_ERROR, debug=",
		"got " + strings.Repeat("s3cret", 7) + " !": "got … !",
	} {
		cause := errors.New("net/http: " + text)
		got := redactHTTPError(cause)
		assert.EqualError(t, got, "net/http: "+want+" (the rest is withheld: it may quote the response)")
		assert.ErrorIs(t, got, cause)
		assert.NoError(t, errors.Unwrap(got), "nobody prints it by unwrapping")
	}
}
