package kalshi

import (
	"context"
	"crypto"
	"os"
	"slices"
	"strings"
)

// The client that the environment describes.

// The environment variables that [NewClientFromEnv] reads.
const (
	envKeyID          = "KALSHI_API_KEY_ID"
	envPrivateKey     = "KALSHI_PRIVATE_KEY"
	envPrivateKeyPath = "KALSHI_PRIVATE_KEY_PATH"
	envBaseURL        = "KALSHI_BASE_URL"
)

// NewClientFromEnv returns a client configured by the environment:
//
//   - KALSHI_PRIVATE_KEY_PATH is a [KeyFile]. It names its key's ID and is the
//     signer's source: when the file is replaced, as by a rotation in another
//     process, the client follows.
//   - KALSHI_PRIVATE_KEY_PATH may also be a plain PEM file, and
//     KALSHI_PRIVATE_KEY the PEM text itself ([ParsePrivateKey] says what is
//     accepted). Then KALSHI_API_KEY_ID is the key's ID.
//   - KALSHI_BASE_URL is optional; [WithBaseURL] wins over it.
//
// Blanks around the values are dropped. Errors name the variable.
func NewClientFromEnv(opts ...Option) (*Client, error) {
	signer, err := signerFromEnv()
	if err != nil {
		return nil, err
	}
	if rawURL := env(envBaseURL); rawURL != "" {
		opts = append(slices.Clip(opts), func(c *Client) error {
			if c.baseURL != nil {
				return nil // an option has set it
			}
			return c.setBaseURL(envBaseURL, rawURL)
		})
	}
	return NewClient(signer, opts...)
}

// NewClientFromKeyFile returns a client that signs with the key in a [KeyFile],
// and follows the file.
func NewClientFromKeyFile(path string, opts ...Option) (*Client, error) {
	signer, err := NewSignerFromSource(context.Background(), KeyFile(path).Load)
	if err != nil {
		return nil, err
	}
	return NewClient(signer, opts...)
}

func signerFromEnv() (*Signer, error) {
	keyID, pemText, path := env(envKeyID), env(envPrivateKey), env(envPrivateKeyPath)
	switch {
	case keyID == "" && path == "":
		return nil, invalid(envKeyID, "is not set: set it to the API key's ID, or %s to a key file that names it", envPrivateKeyPath)
	case pemText == "" && path == "":
		return nil, invalid(envPrivateKey, "is not set: set it to the private key's PEM text, or %s to its file", envPrivateKeyPath)
	case pemText != "" && path != "":
		return nil, invalid(envPrivateKey, "and %s are both set: unset one", envPrivateKeyPath)
	}
	var from *source
	var key crypto.Signer
	var err error
	if path == "" {
		key, err = parsePrivateKey(envPrivateKey, []byte(pemText))
	} else {
		var named string
		if named, key, err = loadKeyFile(envPrivateKeyPath, path); named != "" {
			keyID, from = named, &source{load: KeyFile(path).Load}
		}
	}
	if err != nil {
		return nil, err
	}
	if keyID == "" {
		return nil, invalid(envKeyID, "is not set, and the key file does not name it: set it, or add the line KALSHI_API_KEY_ID=<id> above the PEM text")
	}
	if err := checkKeyID(envKeyID, keyID); err != nil {
		return nil, err
	}
	signer, err := NewSigner(keyID, key)
	if err == nil {
		signer.source = from
	}
	return signer, err
}

func env(name string) string { return strings.TrimSpace(os.Getenv(name)) }
