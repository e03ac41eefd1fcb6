package kalshi

import (
	"context"
	"crypto"
	"os"
	"slices"
	"strings"
)

// The environment variables beside those of a key's parts.
const (
	envPrivateKeyPath = "KALSHI_PRIVATE_KEY_PATH"
	envBaseURL        = "KALSHI_BASE_URL"
)

// NewClientFromEnv returns a client configured by the environment:
//
//   - KALSHI_PRIVATE_KEY_PATH is a [KeyFile], which the client follows when it is replaced, as by a
//     rotation in another process, or a plain PEM file.
//   - KALSHI_PRIVATE_KEY is the text of either instead (see [ParseCredentials]).
//   - KALSHI_API_KEY_ID is the key's ID if the text does not name it.
//   - KALSHI_BASE_URL is optional; [WithBaseURL] wins over it.
//
// Blanks and quotes around the values are dropped. Errors name the variable.
func NewClientFromEnv(opts ...Option) (*Client, error) {
	signer, err := signerFromEnv()
	if err != nil {
		return nil, err
	}
	return NewClient(signer, append(slices.Clip(opts), func(c *Client) error {
		if keyID := env(envKeyID); keyID != "" && keyID != signer.KeyID() && c.reporter != nil {
			c.reporter.log.Warn("kalshi: environment", logID("ignored", keyID), logID("key_id", signer.KeyID()))
		}
		if rawURL := env(envBaseURL); rawURL != "" && c.baseURL == nil { // no option has set it
			return c.setBaseURL(envBaseURL, rawURL)
		}
		return nil
	})...)
}

// NewClientFromKeyFile returns a client that signs with the key in a [KeyFile] and follows the file.
func NewClientFromKeyFile(path string, opts ...Option) (*Client, error) {
	signer, err := NewSignerFromSource(context.Background(), KeyFile(path).Load)
	if err != nil {
		return nil, err
	}
	return NewClient(signer, opts...)
}

func signerFromEnv() (*Signer, error) {
	keyID, text, path := env(envKeyID), env(envPrivateKey), env(envPrivateKeyPath)
	var named string // the ID beside the key
	var key crypto.Signer
	var err error
	switch {
	case text != "" && path != "":
		err = invalid(envPrivateKey, "and %s are both set: unset one", envPrivateKeyPath)
	case text != "":
		named, key, err = parseKeyText(envPrivateKey, []byte(text))
	case path != "":
		named, key, err = loadKeyFile(envPrivateKeyPath, path)
	default:
		const hint = "set it to the private key's text, or " + envPrivateKeyPath + " to its file, and " + envKeyID + " unless the ID is in there"
		err = notSet(hint, envPrivateKey, envPrivateKeyPath, envKeyID)
	}
	switch {
	case err != nil:
		return nil, err
	case named != "" && path != "":
		return NewSignerFromSource(context.Background(), KeyFile(path).Load)
	case named != "":
		return NewSigner(named, key)
	case keyID == "":
		return nil, notSet("set it, or add the line "+envKeyID+"=<id> above the PEM text", envKeyID)
	}
	if err := checkKeyID(envKeyID, keyID); err != nil {
		return nil, err
	}
	return NewSigner(keyID, key)
}

// env returns a variable without the blanks and quotes around it, which Docker's env files keep.
func env(name string) string { return strings.Trim(os.Getenv(name), " \t\r\n\"'") }

// notSet returns an error for the first variable, or for one that is set under another name.
func notSet(hint string, names ...string) error {
	for _, other := range [][2]string{
		{"KALSHI_API_KEY", envKeyID}, {"KALSHI_KEY_ID", envKeyID}, {"KALSHI_ACCESS_KEY", envKeyID},
		{envPrivateKey + "_B64", envPrivateKey}, {envPrivateKey + "_BASE64", envPrivateKey}, {envPrivateKey + "_PEM", envPrivateKey},
		{envPrivateKey + "_FILE", envPrivateKeyPath},
	} {
		if slices.Contains(names, other[1]) && env(other[1]) == "" && env(other[0]) != "" {
			return invalid(other[1], "is not set, but %s is: rename it to %s", other[0], other[1])
		}
	}
	return invalid(names[0], "is not set: %s", hint)
}
