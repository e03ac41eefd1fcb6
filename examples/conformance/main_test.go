package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

// setEnv sets the variables, and no other KALSHI_ variable.
func setEnv(t *testing.T, variables ...string) {
	t.Helper()
	for _, name := range []string{"KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY", "KALSHI_PRIVATE_KEY_PATH", "KALSHI_BASE_URL"} {
		t.Setenv(name, "")
	}
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		t.Setenv(name, value)
	}
}

func TestRunCommand_standIn(t *testing.T) {
	setEnv(t)
	var stdout, stderr bytes.Buffer
	assert.Zero(t, runCommand(t.Context(), nil, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	lines := strings.Split(stdout.String(), "\n")
	require.Greater(t, len(lines), 3+len(checks()))
	assert.True(t, strings.HasPrefix(lines[0], "http://127.0.0.1:"), lines[0])
	for i, c := range checks() {
		assert.Contains(t, lines[3+i], c.fact)
		assert.Contains(t, lines[3+i], string(c.mark))
		assert.Contains(t, lines[3+i], c.want)
	}
	assert.Contains(t, stdout.String(), " 0 differ, ")
	assert.Contains(t, stdout.String(), "No key of this run is left.\n")
}

func TestRunCommand_environment(t *testing.T) {
	standIn := newStandIn(kalshitest.WithRSA())
	t.Cleanup(standIn.Close)
	setEnv(t, standIn.Env()...)
	left := standIn.AddKey(kalshitest.Key{Name: "kalshi-go conformance 01234567 rsa"})
	var stdout, stderr bytes.Buffer
	assert.Zero(t, runCommand(t.Context(), []string{"-json"}, &stdout, &stderr))
	assert.Empty(t, stderr.String())
	assert.NotContains(t, stdout.String(), "PRIVATE KEY-----")
	var r report
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &r))
	assert.Equal(t, standIn.URL, r.BaseURL)
	assert.Len(t, r.Rows, len(checks()))
	assert.Equal(t, map[string]string{left.ID: left.Name}, r.Earlier)
	assert.Empty(t, r.Left)
	assert.Len(t, standIn.Keys(), 2)

	stdout.Reset()
	assert.Zero(t, runCommand(t.Context(), []string{"-cleanup"}, &stdout, &stderr))
	assert.Contains(t, stdout.String(), left.ID)
	assert.Len(t, standIn.Keys(), 1)
}

func TestRunCommand_doesNotStart(t *testing.T) {
	standIn := kalshitest.NewServer()
	standIn.Close()
	tests := []struct {
		name      string
		args, env []string
		want      string
	}{
		{"an unknown flag", []string{"-x"}, nil, "-x"},
		{"an argument", []string{"x"}, nil, `unexpected argument "x"`},
		{"half of a key", nil, []string{"KALSHI_API_KEY_ID=" + standIn.KeyID}, "KALSHI_PRIVATE_KEY"},
		{"a base URL alone", nil, []string{"KALSHI_BASE_URL=" + kalshi.DemoBaseURL}, "KALSHI_API_KEY_ID"},
		{"no service", nil, standIn.Env(), "refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			setEnv(t, tt.env...)
			var stdout, stderr bytes.Buffer
			assert.Equal(t, 2, runCommand(t.Context(), tt.args, &stdout, &stderr))
			assert.Empty(t, stdout.String())
			assert.Contains(t, stderr.String(), tt.want)
		})
	}
}

func TestRunCommand_help(t *testing.T) {
	setEnv(t)
	var stdout, stderr bytes.Buffer
	assert.Zero(t, runCommand(t.Context(), []string{"-h"}, &stdout, &stderr))
	for _, flag := range []string{"-production", "-cleanup", "-json"} {
		assert.Contains(t, stderr.String(), "  "+flag)
	}
}

// With a key in the environment the default is demo, and production needs a flag.
func TestConnect(t *testing.T) {
	standIn := kalshitest.NewServer()
	t.Cleanup(standIn.Close)
	tests := []struct {
		baseURL    string
		production bool
		want       string // "" if it is refused
	}{
		{"", false, kalshi.DemoBaseURL},
		{" ", false, kalshi.DemoBaseURL},
		{"", true, kalshi.DemoBaseURL},
		{kalshi.DemoBaseURL, false, kalshi.DemoBaseURL},
		{"https://DEMO-api.kalshi.co/trade-api/v2", false, "https://DEMO-api.kalshi.co/trade-api/v2"},
		{kalshi.ExternalDemoBaseURL, false, kalshi.ExternalDemoBaseURL},
		{"http://127.0.0.1:1/trade-api/v2", false, "http://127.0.0.1:1/trade-api/v2"},
		{"http://localhost:1/trade-api/v2", false, "http://localhost:1/trade-api/v2"},
		{"http://[::1]:1/trade-api/v2", false, "http://[::1]:1/trade-api/v2"},
		{kalshi.ProductionBaseURL, false, ""},
		{kalshi.ExternalProductionBaseURL, false, ""},
		{"https://private.example/trade-api/v2", false, ""},
		{"https://demo-api.kalshi.co.example/trade-api/v2", false, ""},
		{kalshi.ProductionBaseURL, true, kalshi.ProductionBaseURL},
	}
	for _, tt := range tests {
		setEnv(t, append(standIn.Env(), "KALSHI_BASE_URL="+tt.baseURL)...)
		client, _, err := connect(tt.production)
		if tt.want == "" {
			assert.ErrorContains(t, err, "-production", tt.baseURL)
			continue
		}
		if assert.NoError(t, err, tt.baseURL) {
			assert.Equal(t, tt.want, client.BaseURL())
		}
	}
}
