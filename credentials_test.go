package kalshi

import (
	"crypto"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// credentialsTexts are texts with an ID and a key, in the forms that people have them in.
func credentialsTexts(t testing.TB, keyID string, key crypto.Signer) map[string]string {
	t.Helper()
	pemText := encodePEM("PRIVATE KEY", pkcs8(t, key))
	escaped := strings.ReplaceAll(pemText, "\n", `\n`)
	object := fmt.Sprintf(`{"KALSHI_API_KEY_ID": %q, "KALSHI_PRIVATE_KEY": %q}`, keyID, pemText)
	line := "KALSHI_API_KEY_ID=" + keyID
	encoded := encodeBase64(pemText)
	texts := map[string]string{
		"an env file":                        line + "\nKALSHI_PRIVATE_KEY=\"" + escaped + "\"\n",
		"an env file with base64":            line + "\nKALSHI_PRIVATE_KEY=" + encoded + "\n",
		"an env file, the key first":         "export KALSHI_PRIVATE_KEY='" + encoded + "'\nexport " + line,
		"an env file in one line":            line + " KALSHI_PRIVATE_KEY=" + encoded,
		"an env file in one line, exported":  "export " + line + " export KALSHI_PRIVATE_KEY=" + encoded,
		"the line and wrapped base64":        line + "\r\n" + wrap(64, "\r\n", encoded),
		"wrapped base64 and the line":        wrap(64, "\n", strings.TrimRight(encoded, "=")) + line,
		"the line below the key":             pemText + line + "\n",
		"export and tabs":                    "\texport\tKALSHI_API_KEY_ID\t=\t" + keyID + "\t\n" + pemText,
		"quotes":                             `KALSHI_API_KEY_ID="` + keyID + `" # the bot's` + "\n" + pemText,
		"single quotes":                      `KALSHI_API_KEY_ID='` + keyID + "'\n" + pemText,
		"an old line in a comment":           "# KALSHI_API_KEY_ID=old\n" + line + "\n" + pemText,
		"JSON":                               object,
		"JSON with more in it":               `{"name": "bot", ` + object[1:],
		"JSON in lines":                      strings.NewReplacer(`{`, "{\n  ", `, `, ",\n  ", `}`, "\n}").Replace(object),
		"JSON, the key first":                fmt.Sprintf(`{"KALSHI_PRIVATE_KEY":%q,"KALSHI_API_KEY_ID":%q}`, pemText, keyID),
		"JSON with base64":                   fmt.Sprintf(`{"KALSHI_API_KEY_ID":%q,"KALSHI_PRIVATE_KEY":%q}`, keyID, encoded),
		"JSON in a JSON string":              fmt.Sprintf("%q", object),
		"JSON in UTF-16":                     encodeUTF16(binary.LittleEndian, "\ufeff"+object),
		"JSON in base64":                     encodeBase64(object),
		"JSON with base64 in base64, in all": encodeBase64(fmt.Sprintf(`{"KALSHI_API_KEY_ID":%q,"KALSHI_PRIVATE_KEY":%q}`, keyID, encoded)),
	}
	for _, m := range mangles {
		texts["a key file, "+m.name] = m.mangle(line + "\n" + pemText)
	}
	delete(texts, "a key file, a value in JSON")
	delete(texts, "a key file, base64 in JSON")
	return texts
}

func TestParseCredentials(t *testing.T) {
	t.Parallel()
	for keyType, key := range testKeys(t) {
		for name, text := range credentialsTexts(t, testKeyID, key) {
			t.Run(string(keyType)+"/"+name, func(t *testing.T) {
				got, err := ParseCredentials([]byte(text))
				require.NoError(t, err)
				assert.Equal(t, testKeyID, got.KeyID())
				assert.Equal(t, keyType, got.KeyType())
				assertSameKey(t, key, got.PrivateKey())
			})
		}
	}
}

func TestParseCredentials_refuses(t *testing.T) {
	t.Parallel()
	pemText := encodePEM("PRIVATE KEY", pkcs8(t, newEd25519Key(t)))
	const line = envKeyID + "="
	tests := []struct{ name, text, want string }{
		{"no line with the ID", pemText, "does not name the key's ID: add the line KALSHI_API_KEY_ID=<id> above"},
		{"the line in a comment only", "# " + line + "id\n" + pemText, "does not name the key's ID"},
		{"another name", "MY_" + line + "id\n" + pemText, "does not name the key's ID"},
		{"no ID on the line", line + " \n" + pemText, ": KALSHI_API_KEY_ID is empty"},
		{"an empty ID in JSON", fmt.Sprintf(`{"KALSHI_API_KEY_ID":"","KALSHI_PRIVATE_KEY":%q}`, pemText), ": KALSHI_API_KEY_ID is empty"},
		{"a blank in the ID", line + "a b\n" + pemText, ": KALSHI_API_KEY_ID has blanks"},
		{"a key for the ID", line + encodeBase64(pemText) + "\n" + pemText, ": KALSHI_API_KEY_ID is a private key"},
		{"no key", line + "id\n", "has no BEGIN PRIVATE KEY line"},
		{"JSON without the key", `{"KALSHI_API_KEY_ID":"id"}`, "has no BEGIN PRIVATE KEY line"},
		{"empty", "", "is empty"},
	}
	for _, tt := range tests {
		c, err := ParseCredentials([]byte(tt.text))
		assertInvalid(t, err, "kalshi: credentials text", tt.want)
		assertNoEcho(t, pemText+encodeBase64(pemText), err)
		assert.Equal(t, Credentials{}, c, tt.name)
	}
}

func TestNewCredentials_keyID(t *testing.T) {
	t.Parallel()
	key := newEd25519Key(t)
	der := string(pkcs8(t, key))
	pemText := encodePEM("PRIVATE KEY", []byte(der))
	for want, ids := range map[string][]string{
		"":                        {testKeyID, strings.Repeat("x", 128), "id/with.many~odd=but+harmless%chars", "01ARZ3NDEKTSV4RRFFQ69G5FAV"},
		"is empty":                {""},
		"has over 128 characters": {strings.Repeat("x", 129)},
		"has blanks, control or non-ASCII characters: copy it again": {"a b", " a", "a\n", "a\x7f", "ä", "a\xff"},
		"has one of the characters":                                  {"<id>", "a>", "a,b", "a;b", `"a"`, "'a'", `a\b`},
		"is a private key: give the ID": {
			pemText, encodeBase64(pemText), encodeBase64(der), fmt.Sprintf("%x", der), fmt.Sprintf("%x", pemText),
			strings.ReplaceAll(pemText, "\n", `\n`), strings.NewReplacer(" ", "%20", "\n", "%0A").Replace(pemText),
			envKeyID + "=" + encodeBase64(der), encodeBase64(der)[:40], encodeBase64(pemText)[30:],
		},
	} {
		for _, id := range ids {
			c, err := NewCredentials(id, key)
			if want == "" {
				require.NoError(t, err)
				assert.Equal(t, id, c.KeyID())
				continue
			}
			assertInvalid(t, err, "kalshi: key ID "+want)
			assertNoEcho(t, id, err)
		}
	}
}

// What a key manager holds has no text; all else is the same.
func TestCredentials(t *testing.T) {
	t.Parallel()
	for keyType, key := range testKeys(t) {
		for _, c := range []Credentials{credentials(t, testKeyID, key), credentials(t, testKeyID, &remoteKey{key: key})} {
			assert.Equal(t, keyType, c.KeyType())
			assert.Equal(t, key.Public(), c.PrivateKey().Public())
			if isOpenSSL() {
				der := openssl(t, encodePEM("PRIVATE KEY", pkcs8(t, key)), "pkey", "-pubout", "-outform", "DER")
				digest := openssl(t, der, "dgst", "-sha256", "-binary")
				assert.Equal(t, "SHA256:"+base64.RawStdEncoding.EncodeToString([]byte(digest)), c.Fingerprint())
			}
		}
		text, err := credentials(t, testKeyID, key).Text()
		require.NoError(t, err)
		assert.Equal(t, envKeyID+"="+testKeyID+"\n"+encodePEM("PRIVATE KEY", pkcs8(t, key)), text.Reveal())
		_, err = credentials(t, testKeyID, &remoteKey{key: key}).Text()
		assertInvalid(t, err, "kalshi: private key of type *kalshi.remoteKey cannot be encoded")
	}
	var zero Credentials
	_, err := zero.Text()
	assertInvalid(t, err, "kalshi: credentials are empty")
	assert.Empty(t, zero.KeyID()+string(zero.KeyType())+zero.Fingerprint())
	assert.Nil(t, zero.PrivateKey())
	assert.Equal(t, `kalshi.Credentials{KeyID: "", KeyType: ""}`, fmt.Sprint(zero))
}

// What is accepted loads again from its text, and what is refused is not quoted.
func FuzzParseCredentials(f *testing.F) {
	for _, text := range credentialsTexts(f, "id", newEd25519Key(f)) {
		f.Add([]byte(text))
	}
	for _, r := range rejects(f) {
		f.Add([]byte(envKeyID + "=id\n" + r.text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseCredentials(data)
		if err != nil {
			assert.Equal(t, Credentials{}, c)
			assertInvalid(t, err)
			assertNoEcho(t, string(data), errors.New(strings.ReplaceAll(err.Error(), envKeyID, "")))
			return
		}
		text, err := c.Text()
		require.NoError(t, err)
		again, err := ParseCredentials([]byte(text.Reveal()))
		require.NoError(t, err)
		assert.Equal(t, c.KeyID(), again.KeyID())
		assertSameKey(t, c.PrivateKey(), again.PrivateKey())
	})
}
