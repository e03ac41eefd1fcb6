package main

import (
	"bytes"
	"context"
	"crypto"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ThalesGroup/crypto11"
	"github.com/miekg/pkcs11"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

const (
	tokenLabel = "kalshi"
	keyLabel   = "trading"
)

// One token, one exchange: a key in the token lists the account's keys, signs
// from many goroutines, and is rotated to another key in the token.
func TestToken(t *testing.T) {
	module := softHSM(t)
	newToken(t, module)
	hsm, err := openToken(module, tokenLabel)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hsm.Close() })
	exchange := kalshitest.NewServer()
	t.Cleanup(exchange.Close)
	key := newKey(t, hsm, keyLabel)
	added := exchange.AddKey(kalshitest.Key{Name: "hsm", PublicKey: publicPEM(t, key)})

	signer, err := newSigner(hsm, keyLabel, added.ID)
	if err != nil {
		t.Fatal(err)
	}
	client, err := kalshi.NewClient(signer, kalshi.WithBaseURL(exchange.URL), kalshi.WithMaxRetries(0))
	if err != nil {
		t.Fatal(err)
	}

	t.Run("program", func(t *testing.T) {
		t.Setenv("KALSHI_API_KEY_ID", added.ID)
		t.Setenv("KALSHI_BASE_URL", exchange.URL)
		var out bytes.Buffer
		if err := run(t.Context(), &out, module, tokenLabel, keyLabel); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), added.ID) {
			t.Errorf("the key %s is missing in:\n%s", added.ID, &out)
		}
	})

	t.Run("parallel calls", func(t *testing.T) {
		var calls sync.WaitGroup
		for range 8 {
			calls.Go(func() {
				if _, err := client.GetAPIKeys(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
	})

	t.Run("unknown label", func(t *testing.T) {
		if _, err := newSigner(hsm, "unknown", added.ID); err == nil {
			t.Error("want an error for a key that the token does not hold")
		}
	})

	t.Run("rotation", func(t *testing.T) {
		next := newKey(t, hsm, keyLabel+"-2")
		var saved kalshi.Credentials
		got, err := client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{
			PrivateKey: next,
			Store: kalshi.SaveFunc(func(_ context.Context, c kalshi.Credentials) error {
				saved = c // a bot saves its ID and the label of the key in the token
				return nil
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got.OldKeyID != added.ID || saved.KeyID() != got.NewKeyID || saved.PrivateKey() != next {
			t.Errorf("rotated %+v, saved %v", got, saved)
		}
		current, err := client.CurrentAPIKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if current.ID != got.NewKeyID || current.Name != "hsm" {
			t.Errorf("the current key is %+v, want %s", current, got.NewKeyID)
		}
		last := exchange.Keys()[len(exchange.Keys())-1]
		if last.PublicKey != publicPEM(t, next) {
			t.Error("what is registered is not the public half of the key in the token")
		}
	})
}

// softHSM finds the library.
func softHSM(t *testing.T) string {
	t.Helper()
	patterns := []string{
		"/usr/lib/softhsm/libsofthsm2.so",   // Debian, Ubuntu
		"/usr/lib/*/softhsm/libsofthsm2.so", // the same, by architecture
		"/usr/lib*/pkcs11/libsofthsm2.so",   // Fedora
		"/usr/local/lib/softhsm/libsofthsm2.so",
		"/opt/homebrew/lib/softhsm/libsofthsm2.so", // macOS
	}
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	t.Skip("SoftHSM is not installed")
	return ""
}

// newToken makes a token in a folder of the test's own, and puts its PIN into
// the environment.
func newToken(t *testing.T, module string) {
	t.Helper()
	const adminPIN, pin = "12345678", "1234"
	dir := t.TempDir()
	config := filepath.Join(dir, "softhsm2.conf")
	text := "directories.tokendir = " + dir + "\nobjectstore.backend = file\nlog.level = ERROR\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SOFTHSM2_CONF", config)
	t.Setenv("PKCS11_PIN", pin)

	p := pkcs11.New(module)
	if p == nil {
		t.Fatalf("cannot load %s", module)
	}
	defer p.Destroy()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.Initialize())
	defer func() { _ = p.Finalize() }()
	slots, err := p.GetSlotList(true)
	must(err)
	must(p.InitToken(slots[0], adminPIN, tokenLabel))
	session, err := p.OpenSession(slots[0], pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
	must(err)
	must(p.Login(session, pkcs11.CKU_SO, adminPIN))
	must(p.InitPIN(session, pin))
}

func newKey(t *testing.T, hsm *crypto11.Context, label string) crypto.Signer {
	t.Helper()
	key, err := hsm.GenerateRSAKeyPairWithLabel([]byte(label), []byte(label), 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicPEM(t *testing.T, key crypto.Signer) string {
	t.Helper()
	text, err := kalshi.MarshalPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return text
}
