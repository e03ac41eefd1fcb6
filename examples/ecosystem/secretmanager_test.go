package ecosystem_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A secret keeps an API key in AWS Secrets Manager. The others are as short. Its
// text is that of a key file, so that a new version switches ID and key at once.
type secret struct {
	manager *secretsmanager.Client
	name    string
}

// Load is a kalshi.KeySource.
func (s secret) Load(ctx context.Context) (kalshi.Credentials, error) {
	out, err := s.manager.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.name})
	if err != nil {
		return kalshi.Credentials{}, err
	}
	return kalshi.ParseCredentials([]byte(aws.ToString(out.SecretString)))
}

// Save makes it a kalshi.Store.
func (s secret) Save(ctx context.Context, c kalshi.Credentials) error {
	text, err := c.Text()
	if err == nil {
		_, err = s.manager.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &s.name, SecretString: aws.String(text.Reveal())})
	}
	return err
}

// The secret manager's own rotation replaces the key and the secret. The bot
// goes on, without a failed call: its old key is refused, and the SDK asks for
// the secret again.
func TestSecretManager_FollowsRotation(t *testing.T) {
	t.Parallel()
	exchange, oldSigner := newExchange(t)
	vault := &fakeAWS{text: keyFileText(kalshitest.Key{ID: exchange.KeyID, PrivateKey: exchange.PrivateKey})}
	signer, err := kalshi.NewSignerFromSource(t.Context(), vault.start(t).Load)
	require.NoError(t, err)
	client := newClient(t, signer, exchange.URL, &http.Client{Transport: &http.Transport{}})
	_, err = client.CurrentAPIKey(t.Context())
	require.NoError(t, err)

	made := rotateElsewhere(t, exchange, oldSigner)
	vault.set(keyFileText(made))

	current, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, made.ID, current.ID)
	assert.Equal(t, 2, vault.reads, "once at the start, once after the 401")
}

// A bot that learns of the rotation from a callback or a signal need not wait
// for the first 401.
func TestSecretManager_Reload(t *testing.T) {
	t.Parallel()
	exchange, oldSigner := newExchange(t)
	vault := &fakeAWS{text: keyFileText(kalshitest.Key{ID: exchange.KeyID, PrivateKey: exchange.PrivateKey})}
	signer, err := kalshi.NewSignerFromSource(t.Context(), vault.start(t).Load)
	require.NoError(t, err)
	made := rotateElsewhere(t, exchange, oldSigner)
	vault.set(keyFileText(made))

	require.NoError(t, signer.Reload(t.Context()))
	assert.Equal(t, made.ID, signer.KeyID())
}

// An admin key rotates the bot's key in the secret manager.
func TestSecretManager_Rotate(t *testing.T) {
	t.Parallel()
	exchange, admin := newExchange(t)
	bot := exchange.AddKey(kalshitest.Key{Name: "bot", Scopes: []string{"read", "write::trade"}})
	kept := (&fakeAWS{text: keyFileText(bot)}).start(t)
	signer, err := kalshi.NewSignerFromSource(t.Context(), kept.Load)
	require.NoError(t, err)
	client := newClient(t, admin, exchange.URL, &http.Client{Transport: &http.Transport{}})

	rotated, err := client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{Signer: signer, Store: kept})
	require.NoError(t, err)
	saved, err := kept.Load(t.Context())
	require.NoError(t, err)
	assert.Equal(t, rotated.NewKeyID, saved.KeyID())
	assert.Equal(t, signer.Fingerprint(), saved.Fingerprint())
}

// A fakeAWS serves one secret, as AWS does.
type fakeAWS struct {
	mu    sync.Mutex
	text  string
	reads int
}

// start returns the secret, read by AWS's own client.
func (f *fakeAWS) start(t *testing.T) secret {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return secret{name: "prod/kalshi", manager: secretsmanager.New(secretsmanager.Options{
		Region:       "us-east-1",
		BaseEndpoint: &server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})}
}

func (f *fakeAWS) set(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.text = text
}

func (f *fakeAWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var in struct{ SecretId, SecretString string }
	body, _ := io.ReadAll(r.Body)
	if json.Unmarshal(body, &in) != nil || in.SecretId != "prod/kalshi" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if r.Header.Get("X-Amz-Target") == "secretsmanager.PutSecretValue" {
		f.text = in.SecretString
	} else {
		f.reads++
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": f.text})
}
