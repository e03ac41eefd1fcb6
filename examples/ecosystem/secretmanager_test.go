package ecosystem_test

import (
	"context"
	"crypto"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// A secretStore is the one method of AWS Secrets Manager's client that a key
// source needs. Google's and Azure's clients have the like.
type secretStore interface {
	GetSecretValue(context.Context, *secretsmanager.GetSecretValueInput, ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error)
}

var _ secretStore = (*secretsmanager.Client)(nil)

// fromSecret returns a key source that reads the secret of that name. The
// secret is the text of a key file: the line KALSHI_API_KEY_ID=<id>, then the
// PEM. So one new version of the secret switches both.
func fromSecret(store secretStore, name string) kalshi.KeySource {
	return func(ctx context.Context) (string, crypto.Signer, error) {
		secret, err := store.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &name})
		if err != nil {
			return "", nil, err
		}
		line, pem, _ := strings.Cut(aws.ToString(secret.SecretString), "\n")
		id, ok := strings.CutPrefix(line, "KALSHI_API_KEY_ID=")
		if !ok {
			return "", nil, errors.New("the secret does not begin with KALSHI_API_KEY_ID=")
		}
		key, err := kalshi.ParsePrivateKey([]byte(pem))
		return id, key, err
	}
}

// The secret manager's own rotation replaces the key and the secret. The bot
// goes on, without a failed call: its old key is refused, and the SDK asks for
// the secret again.
func TestSecretManager_FollowsRotation(t *testing.T) {
	t.Parallel()
	exchange, oldSigner := newExchange(t)
	store := &fakeStore{}
	store.put(exchange.KeyID, exchange.PrivateKey)
	signer, err := kalshi.NewSignerFromSource(t.Context(), fromSecret(store, "prod/kalshi"))
	require.NoError(t, err)
	client := newClient(t, signer, exchange.URL, &http.Client{Transport: &http.Transport{}})
	_, err = client.CurrentAPIKey(t.Context())
	require.NoError(t, err)

	made := rotateElsewhere(t, exchange, oldSigner)
	store.put(made.ID, made.PrivateKey)

	current, err := client.CurrentAPIKey(t.Context())
	require.NoError(t, err)
	assert.Equal(t, made.ID, current.ID)
	assert.Equal(t, 2, store.reads, "once at the start, once after the refusal")
}

// A bot that learns of the rotation from a callback or a signal need not wait
// for the first refusal.
func TestSecretManager_Reload(t *testing.T) {
	t.Parallel()
	exchange, oldSigner := newExchange(t)
	store := &fakeStore{}
	store.put(exchange.KeyID, exchange.PrivateKey)
	signer, err := kalshi.NewSignerFromSource(t.Context(), fromSecret(store, "prod/kalshi"))
	require.NoError(t, err)
	made := rotateElsewhere(t, exchange, oldSigner)
	store.put(made.ID, made.PrivateKey)

	require.NoError(t, signer.Reload(t.Context()))
	assert.Equal(t, made.ID, signer.KeyID())
}

// An admin key rotates the bot's key, and Save stores it in the secret manager.
func TestSecretManager_Save(t *testing.T) {
	t.Parallel()
	exchange, admin := newExchange(t)
	store := &fakeStore{}
	bot := exchange.AddKey(kalshitest.Key{Name: "bot", Scopes: []string{"read", "write::trade"}})
	store.put(bot.ID, bot.PrivateKey)
	signer, err := kalshi.NewSignerFromSource(t.Context(), fromSecret(store, "prod/kalshi"))
	require.NoError(t, err)
	client := newClient(t, admin, exchange.URL, &http.Client{Transport: &http.Transport{}})

	rotated, err := client.RotateAPIKey(t.Context(), kalshi.RotateAPIKeyRequest{
		Signer: signer,
		Save: func(_ context.Context, key *kalshi.GenerateAPIKeyResponse) error {
			store.put(key.ID, key.PrivateKey.Reveal()) // PutSecretValue
			return nil
		},
	})
	require.NoError(t, err)
	id, _, err := fromSecret(store, "prod/kalshi")(t.Context())
	require.NoError(t, err)
	assert.Equal(t, rotated.NewKeyID, id)
}

// A fakeStore has GetSecretValue as the real client has it, and one secret.
type fakeStore struct {
	mu    sync.Mutex
	text  string
	reads int
}

func (s *fakeStore) put(keyID, pem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = "KALSHI_API_KEY_ID=" + keyID + "\n" + pem
}

func (s *fakeStore) GetSecretValue(_ context.Context, in *secretsmanager.GetSecretValueInput, _ ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if aws.ToString(in.SecretId) != "prod/kalshi" {
		return nil, errors.New("ResourceNotFoundException")
	}
	s.reads++
	return &secretsmanager.GetSecretValueOutput{SecretString: aws.String(s.text)}, nil
}
