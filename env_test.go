package kalshi

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An environ is the environment of a test.
type environ map[string]string

// set sets the variables, and no others that the client reads or mentions.
func (e environ) set(t *testing.T) {
	t.Helper()
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "KALSHI_") {
			t.Setenv(name, "") // to restore it
		}
	}
	for name, value := range e {
		t.Setenv(name, value)
	}
}

// writeFile writes a file of that name into a new folder.
func writeFile(t testing.TB, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestNewClientFromEnv(t *testing.T) { // not parallel: it sets the environment
	key := newEd25519Key(t)
	text := encodePEM("PRIVATE KEY", pkcs8(t, key))
	both := envKeyID + "=" + testKeyID + "\n" + text
	file, keyFile := writeFile(t, "KALSHI PRIVATE KEY.pem", text), writeFile(t, "bot.key", both)
	tests := []struct {
		name          string
		env           environ
		opts          []Option
		base, ignored string
	}{
		{"PEM text", environ{envKeyID: testKeyID, envPrivateKey: strings.ReplaceAll(text, "\n", `\n`)}, nil, ProductionBaseURL, ""},
		{"base64", environ{envKeyID: testKeyID, envPrivateKey: encodeBase64(text)}, nil, ProductionBaseURL, ""},
		{"file", environ{envKeyID: testKeyID, envPrivateKeyPath: file}, nil, ProductionBaseURL, ""},
		{"text with the ID", environ{envPrivateKey: both}, nil, ProductionBaseURL, ""},
		{"text with the ID in base64", environ{envPrivateKey: encodeBase64(both)}, nil, ProductionBaseURL, ""},
		{"text with another ID", environ{envPrivateKey: both, envKeyID: "a\nb"}, nil, ProductionBaseURL, `"a b"`},
		{"file with the ID", environ{envPrivateKeyPath: keyFile}, nil, ProductionBaseURL, ""},
		{"file with the same ID", environ{envPrivateKeyPath: keyFile, envKeyID: testKeyID}, nil, ProductionBaseURL, ""},
		{"file with another ID", environ{envPrivateKeyPath: keyFile, envKeyID: otherKeyID}, nil, ProductionBaseURL, otherKeyID},
		{"a key for the ID", environ{envPrivateKeyPath: keyFile, envKeyID: encodeBase64(text)}, nil, ProductionBaseURL, `"(withheld: it seems`},
		{"blanks", environ{envKeyID: " " + testKeyID + "\n", envPrivateKeyPath: " " + file + "\r\n", envBaseURL: "\t" + testBaseURL + " "}, nil, testBaseURL, ""},
		{"quotes", environ{envKeyID: `"` + testKeyID + `"`, envPrivateKeyPath: "'" + file + "'", envBaseURL: `"` + testBaseURL + `"`}, nil, testBaseURL, ""},
		{"all others blank", environ{envKeyID: testKeyID, envPrivateKey: text, envPrivateKeyPath: " ", envBaseURL: `""`}, nil, ProductionBaseURL, ""},
		{"option wins", environ{envKeyID: testKeyID, envPrivateKey: text, envBaseURL: "bad"}, []Option{WithBaseURL(DemoBaseURL)}, DemoBaseURL, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.env.set(t)
			var log strings.Builder
			opts := append(make([]Option, 0, 3), WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
			client, err := NewClientFromEnv(append(opts, tt.opts...)...)
			require.NoError(t, err)
			assert.Nil(t, opts[:3][2], "the caller's slice, which another goroutine may use, is left alone")
			assert.Equal(t, testKeyID, client.Signer().KeyID())
			assert.Equal(t, tt.base, client.BaseURL())
			assert.Equal(t, key.Public(), publicKey(client))
			assert.Equal(t, tt.ignored != "", log.Len() > 0)
			assert.Contains(t, log.String(), tt.ignored)
			err = client.Signer().Reload(t.Context())
			assert.Equal(t, tt.env[envPrivateKeyPath] == keyFile, err == nil, "only a file that names the ID is read again: %v", err)
		})
	}
}

func TestNewClientFromEnv_rejects(t *testing.T) { // not parallel: it sets the environment
	text := encodePEM("PRIVATE KEY", pkcs8(t, newEd25519Key(t)))
	plain, damaged := writeFile(t, "plain", text), writeFile(t, "damaged", text[:60])
	named := writeFile(t, "named", envKeyID+"=a b\n"+text)
	encoded := encodeBase64(text)
	tests := []struct {
		name string
		env  environ
		want string
	}{
		{"nothing set", environ{}, envPrivateKey + " is not set: set it to the private key's text, or KALSHI_PRIVATE_KEY_PATH to its file, and KALSHI_API_KEY_ID unless"},
		{"blank key ID", environ{envKeyID: ` "" `, envPrivateKey: text}, envKeyID + " is not set: "},
		{"a placeholder", environ{envKeyID: "<id>", envPrivateKey: text}, envKeyID + " has one of the characters"},
		{"the key in its place", environ{envKeyID: encoded, envPrivateKeyPath: plain}, envKeyID + " is a private key"},
		{"none in the file either", environ{envPrivateKeyPath: plain}, envKeyID + " is not set: set it, or add the line KALSHI_API_KEY_ID=<id> above"},
		{"none, and a variable for the key", environ{envPrivateKeyPath: plain, "KALSHI_PRIVATE_KEY_B64": encoded}, envKeyID + " is not set: set it, or add"},
		{"blank inside it in the file", environ{envPrivateKeyPath: named}, envPrivateKeyPath + " " + named + ": " + envKeyID + " has blanks"},
		{"no key", environ{envKeyID: testKeyID}, envPrivateKey + " is not set: "},
		{"key twice", environ{envKeyID: testKeyID, envPrivateKey: text, envPrivateKeyPath: plain}, envPrivateKey + " and " + envPrivateKeyPath + " are both set"},
		{"damaged text", environ{envKeyID: testKeyID, envPrivateKey: text[:60]}, envPrivateKey + " is cut off"},
		{"damaged file", environ{envKeyID: testKeyID, envPrivateKeyPath: damaged}, envPrivateKeyPath + " " + damaged + " is cut off"},
		{"a path for the key", environ{envKeyID: testKeyID, envPrivateKey: plain + ".pem"}, envPrivateKey + " is the name of a file"},
		{"the key for a path", environ{envKeyID: testKeyID, envPrivateKeyPath: encoded}, envPrivateKeyPath + " is the text of a key"},
		{"bad base URL", environ{envKeyID: testKeyID, envPrivateKey: text, envBaseURL: "http://exchange.test"}, envBaseURL + " is not https"},
		{"KALSHI_API_KEY", environ{"KALSHI_API_KEY": testKeyID, envPrivateKey: text}, envKeyID + " is not set, but KALSHI_API_KEY is: rename it to " + envKeyID},
		{"KALSHI_KEY_ID", environ{"KALSHI_KEY_ID": testKeyID, envPrivateKeyPath: plain}, envKeyID + " is not set, but KALSHI_KEY_ID is: rename"},
		{"KALSHI_ACCESS_KEY", environ{"KALSHI_ACCESS_KEY": testKeyID}, envKeyID + " is not set, but KALSHI_ACCESS_KEY is: rename"},
		{"KALSHI_PRIVATE_KEY_B64", environ{envKeyID: testKeyID, "KALSHI_PRIVATE_KEY_B64": encoded}, envPrivateKey + " is not set, but KALSHI_PRIVATE_KEY_B64 is: rename it to " + envPrivateKey},
		{"KALSHI_PRIVATE_KEY_BASE64", environ{"KALSHI_PRIVATE_KEY_BASE64": encoded}, envPrivateKey + " is not set, but KALSHI_PRIVATE_KEY_BASE64 is: rename"},
		{"KALSHI_PRIVATE_KEY_PEM", environ{envKeyID: testKeyID, "KALSHI_PRIVATE_KEY_PEM": text}, envPrivateKey + " is not set, but KALSHI_PRIVATE_KEY_PEM is: rename"},
		{"KALSHI_PRIVATE_KEY_FILE", environ{"KALSHI_PRIVATE_KEY_FILE": plain}, envPrivateKeyPath + " is not set, but KALSHI_PRIVATE_KEY_FILE is: rename it to " + envPrivateKeyPath},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.env.set(t)
			client, err := NewClientFromEnv()
			assert.Nil(t, client)
			assertInvalid(t, err, "kalshi: "+tt.want)
			assertNoEcho(t, text+encoded, err)
		})
	}
	environ{envKeyID: testKeyID, envPrivateKeyPath: plain + ".missing"}.set(t)
	_, err := NewClientFromEnv()
	assert.ErrorIs(t, err, fs.ErrNotExist)
	assert.ErrorContains(t, err, envPrivateKeyPath)
}

func TestNewClientFromKeyFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bot.key")
	_, err := NewClientFromKeyFile(path)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, KeyFile(path).Save(t.Context(), credentials(t, "first", newEd25519Key(t))))
	client, err := NewClientFromKeyFile(path, WithBaseURL(testBaseURL))
	require.NoError(t, err)
	assert.Equal(t, testBaseURL, client.BaseURL())
	assert.Equal(t, "first", client.Signer().KeyID())
	require.NoError(t, KeyFile(path).Save(t.Context(), credentials(t, "second", newEd25519Key(t))))
	require.NoError(t, client.Signer().Reload(t.Context()))
	assert.Equal(t, "second", client.Signer().KeyID())
}
