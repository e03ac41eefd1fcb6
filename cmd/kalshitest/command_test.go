package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// A caller's environment must not leak into the command's client.
func TestCommand_environment(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "environment")
	args, env := asCommand("env " + file)
	env = append(env, "KALSHI_BASE_URL=https://caller", "KALSHI_API_KEY_ID=caller", "KALSHI_PRIVATE_KEY=caller",
		"KALSHI_PRIVATE_KEY_PATH=/caller", "KALSHI_MARKET=kept", "OTHER=kept, too")
	status, stdout, stderr := execute(t, "", env, args...)
	require.Equal(t, 0, status, stderr)
	assert.Empty(t, stdout)

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var list []string
	require.NoError(t, json.Unmarshal(text, &list))
	got := map[string]string{}
	for _, variable := range list {
		name, value, _ := strings.Cut(variable, "=")
		assert.NotContains(t, got, name, "each variable is there once")
		got[name] = value
	}
	assert.Contains(t, stderr, got["KALSHI_BASE_URL"], "the banner names the URL")
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+/trade-api/v2$`, got["KALSHI_BASE_URL"])
	assert.Len(t, got["KALSHI_API_KEY_ID"], 36)
	assert.Equal(t, strings.Replace(got["KALSHI_BASE_URL"], "/trade-api/v2", "/kalshitest", 1), got["KALSHITEST_URL"])
	_, err = kalshi.ParsePrivateKey([]byte(got["KALSHI_PRIVATE_KEY"]))
	require.NoError(t, err)
	assert.NotContains(t, got, "KALSHI_PRIVATE_KEY_PATH")
	assert.Equal(t, "kept", got["KALSHI_MARKET"])
	assert.Equal(t, "kept, too", got["OTHER"])
}

func TestCommand(t *testing.T) {
	t.Parallel()
	t.Run("its input and output are the caller's", func(t *testing.T) {
		t.Parallel()
		args, env := asCommand("cat")
		status, stdout, stderr := execute(t, "from the caller", env, args...)
		assert.Equal(t, 0, status)
		assert.Equal(t, "from the caller", stdout)
		assert.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	})
	t.Run("a client finds the stand-in", func(t *testing.T) {
		t.Parallel()
		args, env := asCommand("list", "-rsa")
		_, stdout, stderr := execute(t, "", env, args...)
		assert.Equal(t, "error: <nil>\n", stdout)
		assert.Regexp(t, `(?m)^\d\d:\d\d:\d\d kalshitest: GET /trade-api/v2/api_keys: 200 OK$`, stderr)
	})
	t.Run("a client meets a fault", func(t *testing.T) {
		t.Parallel()
		args, env := asCommand("list",
			"-fault", `{"method":"GET","path":"/api_keys","process":true,"status":429,"body":"{}","delay":"1ms","header":{"retry-after":["7"]}}`,
			"-fault", `{"Method":"DELETE","Drop":true,"Times":2}`)
		status, stdout, stderr := execute(t, "", env, args...)
		assert.Equal(t, 3, status, "the command succeeded, but a fault has not happened")
		assert.Contains(t, stdout, "429 Too Many Requests")
		assert.Contains(t, stderr, "GET /trade-api/v2/api_keys: 429 Too Many Requests, but it was processed\n")
		assert.Contains(t, stderr, `kalshitest: a fault still waits for its requests: {"Method":"DELETE","Times":2,"Drop":true}`+"\n")
	})
	t.Run("its exit status is the program's, whatever fault waits", func(t *testing.T) {
		t.Parallel()
		args, env := asCommand("exit 9", "-fault", `{"Drop":true}`)
		status, _, stderr := execute(t, "", env, args...)
		assert.Equal(t, 9, status)
		assert.Contains(t, stderr, "a fault still waits")
	})
	t.Run("a fault for all requests does not wait", func(t *testing.T) {
		t.Parallel()
		args, env := asCommand("exit 0", "-fault", `{"Drop":true,"Times":-1}`)
		status, _, stderr := execute(t, "", env, args...)
		assert.Equal(t, 0, status)
		assert.NotContains(t, stderr, "a fault still waits")
	})
	t.Run("a command that is not found", func(t *testing.T) {
		t.Parallel()
		for _, name := range []string{"no-such-command-anywhere", "./no-such-command"} {
			status, err := runBriefly("--", name)
			assert.Equal(t, 127, status)
			assert.ErrorContains(t, err, name)
		}
	})
	t.Run("a file that is no program", func(t *testing.T) {
		t.Parallel()
		if runtime.GOOS == "windows" {
			t.Skip("Windows goes by the file's name")
		}
		status, err := runBriefly("--", "./main.go")
		assert.Equal(t, 126, status)
		assert.Error(t, err)
	})
	t.Run("with a file for others", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "env")
		args, env := asCommand("wait", "-env", file)
		p := launch(t, env, args...)
		require.Equal(t, "ready", p.line(t))
		_, err := newClient(t, readEnvFile(t, file)).GetAPIKeys(t.Context())
		require.NoError(t, err)
		require.NoError(t, p.stdin.Close())
		assert.Equal(t, 7, p.wait(t))
		assert.NoFileExists(t, file)
	})
}
