package main

import (
	"flag"
	"go/parser"
	"go/token"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
	"github.com/seed251d1451/kalshi-go/kalshitest"
)

func TestHelp(t *testing.T) {
	t.Parallel()
	status, stdout, stderr := execute(t, "", nil, "--help")
	assert.Equal(t, 0, status)
	assert.Equal(t, help, stdout)
	assert.Empty(t, stderr)
	_, err := parse([]string{"-h"})
	require.ErrorIs(t, err, flag.ErrHelp)
	newFlagSet(&settings{}).VisitAll(func(f *flag.Flag) {
		assert.Contains(t, help, "\n  -"+f.Name+" ", "each flag is explained")
	})
	for line := range strings.Lines(help) {
		assert.LessOrEqual(t, len(line), 88, line)
	}
}

func TestCommandLine_mistakes(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-bogus"}, "-bogus (kalshitest -h explains the flags)"},
		{"clock offset without a unit", []string{"-clock-offset", "3"}, `invalid value "3" for flag -clock-offset: write a duration with its unit, such as 30s`},
		{"command without --", []string{"-rsa", "true"}, `unexpected argument "true": write -- before a command`},
		{"-- without a command", []string{"--"}, "there is no command after --"},
		{"all addresses", []string{"-addr", ":0"}, `-addr ":0" is no loopback address: write one such as 127.0.0.1:8080`},
		{"address of the network", []string{"-addr", "0.0.0.0:0"}, "is no loopback address"},
		{"IPv6 address of the network", []string{"-addr", "[::]:0"}, "is no loopback address"},
		{"another host", []string{"-addr", "example.com:80"}, "is no loopback address"},
		{"no port", []string{"-addr", "127.0.0.1"}, "is no loopback address"},
		{"port out of range", []string{"-addr", "127.0.0.1:70000"}, "-addr: listen tcp: address 70000: invalid port"},
		{"port in use", []string{"-addr", taken.Addr().String()}, "-addr: listen tcp " + taken.Addr().String()},
		{"folder of the file missing", []string{"-env", filepath.Join(t.TempDir(), "missing", "x")}, "-env: open "},
		{"fault that is no JSON", []string{"-fault", "503"}, `write one JSON object such as {"Path":"/api_keys","Status":503}`},
		{"fault cut off", []string{"-fault", `{"Drop":true`}, `-fault {"Drop":true: unexpected EOF: write one JSON object`},
		{"two faults in one", []string{"-fault", `{"Drop":true}{}`}, "more follows after the JSON: write one at a time"},
		{"unknown field", []string{"-fault", `{"Droop":true}`}, `unknown field "Droop": the fields are Method, Path, KeyID,`},
		{"Answer", []string{"-fault", `{"Answer":null}`}, `unknown field "Answer"`},
		{"field of another type", []string{"-fault", `{"Status":"503"}`}, "Status must be a whole number, not a JSON string"},
		{"delay as a number", []string{"-fault", `{"Delay":300}`}, "Delay must be a string, not a JSON number"},
		{"delay without a unit", []string{"-fault", `{"Delay":"300"}`}, `the Delay "300" is no duration: write one such as "300ms"`},
		{"fault that matches no request", []string{"-fault", `{"Drop":true}`, "-fault", `{"Method":"post"}`},
			`-fault {"Method":"post"}: method "post" matches no request: write GET, HEAD,`},
		{"fault with a method that is none", []string{"-fault", `{"Method":"DELTE"}`}, `method "DELTE" matches no request`},
		{"fault with a negative delay", []string{"-fault", `{"Delay":"-1s"}`}, "the delay -1s is negative"},
		{"boolean flag that is none", []string{"-rsa=maybe"}, `invalid boolean value "maybe" for -rsa`},
		{"response without a status", []string{"-respond", "GET /a"}, `write method, path, status and body, such as 'GET /portfolio/balance 200`},
		{"response with a method that is none", []string{"-respond", "DELTE /a 200"}, `response to DELTE /a: pattern "DELTE /trade-api/v2/a" matches no request: write one of GET,`},
		{"response with a bad status", []string{"-respond", "GET /a 20"}, "response to GET /a: status 20 cannot be sent"},
		{"response with a body for 204", []string{"-respond", "GET /a 204 x"}, "response to GET /a: status 204 has no body"},
		{"responses in a missing file", []string{"-responses", "missing.json"}, `-responses: open missing.json`},
		{"fault that contradicts itself", []string{"-fault", `{"Drop":true,"Status":503}`}, `-fault {"Drop":true,"Status":503}: a dropped connection`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status, err := runBriefly(tt.args...)
			assert.Equal(t, 2, status)
			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
	status, stdout, stderr := execute(t, "", nil, "-bogus")
	assert.Equal(t, 2, status)
	assert.Equal(t, "kalshitest: flag provided but not defined: -bogus (kalshitest -h explains the flags)\n", stderr)
	assert.Empty(t, stdout)
}

// runBriefly runs the program within the test, as if a signal came at once.
func runBriefly(args ...string) (status int, err error) {
	signals := make(chan os.Signal)
	close(signals)
	return run(args, signals)
}

func TestAddr(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{"localhost:0": "http://", "127.0.0.2:0": "http://127.0.0.2:", "[::1]:0": "http://[::1]:"} {
		t.Run(addr, func(t *testing.T) {
			t.Parallel()
			if l, err := net.Listen("tcp", addr); err != nil {
				t.Skip("this machine does not have the address:", err)
			} else {
				_ = l.Close()
			}
			cfg, err := parse([]string{"-addr", addr})
			require.NoError(t, err)
			server, err := start(cfg)
			require.NoError(t, err)
			t.Cleanup(server.Close)
			assert.True(t, strings.HasPrefix(server.URL, want), server.URL)
			status, _ := get(t, server.URL+"/api_keys")
			assert.Equal(t, http.StatusUnauthorized, status)
		})
	}
}

func TestEnvFile_exists(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, link := filepath.Join(dir, "env"), filepath.Join(dir, "link")
	require.NoError(t, os.WriteFile(file, []byte("the user's"), 0o600))
	names := []string{file}
	if err := os.Symlink(filepath.Join(dir, "nowhere"), link); err == nil {
		names = append(names, link)
	}
	for _, name := range names {
		status, err := runBriefly("-env", name)
		assert.Equal(t, 2, status)
		require.EqualError(t, err, "-env "+name+": the file exists: delete it or choose another name")
	}
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "the user's", string(text))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, len(names), "nothing is removed, and nothing is written through the link")
}

func TestOptions(t *testing.T) {
	t.Parallel()
	p := launch(t, nil, "-rsa=true", "-basic", "-fcm=false", "-fcm", "-clock-offset", "-1h", "-env", filepath.Join(t.TempDir(), "env"))
	url, file := p.banner(t)

	_, header := get(t, url+"/api_keys")
	date, err := http.ParseTime(header.Get("Date"))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now().Add(-time.Hour), date, time.Minute)

	client := newClient(t, readEnvFile(t, file))
	assert.Equal(t, kalshi.KeyTypeRSA, client.Signer().KeyType())
	public, err := kalshi.MarshalPublicKey(must(kalshi.ParsePrivateKey([]byte(readEnvFile(t, file)["KALSHI_PRIVATE_KEY"]))).Public())
	require.NoError(t, err)
	_, err = client.CreateAPIKey(t.Context(), kalshi.CreateAPIKeyRequest{Name: "x", PublicKey: public})
	var forbidden *kalshi.ForbiddenError
	require.ErrorAs(t, err, &forbidden)
	key, err := client.GenerateAPIKey(t.Context(), kalshi.GenerateAPIKeyRequest{Name: "x", KeyType: kalshi.KeyTypeEd25519, FCMSubtraderID: "u_1"})
	require.NoError(t, err)
	assert.NotEmpty(t, key.Warning)
}

func TestOptions_false(t *testing.T) {
	t.Parallel()
	cfg, err := parse([]string{"-rsa", "-basic", "-rsa=false", "-basic=0", "-fcm=F"})
	require.NoError(t, err)
	assert.Equal(t, settings{addr: "127.0.0.1:0"}, cfg)
	assert.Len(t, options(cfg, nil), 2, "the listener and the hook")
	s := startStandIn(t, cfg)
	assert.Equal(t, "ed25519", s.Keys()[0].Type)
}

// The JSON has every field, so that no new one is forgotten.
func TestJSON_fields(t *testing.T) {
	t.Parallel()
	without := func(names []string, name string) []string {
		return slices.DeleteFunc(names, func(n string) bool { return n == name })
	}
	want := without(fieldNames(&kalshitest.Fault{}), "Answer")
	assert.Equal(t, want, fieldNames(&faultJSON{}))
	for _, name := range want {
		assert.Contains(t, help, name)
	}
	assert.Equal(t, fieldNames(&kalshitest.Request{}), fieldNames(&requestJSON{}))
	assert.Equal(t, fieldNames(&kalshitest.Key{}), fieldNames(&keyJSON{}))
	assert.ElementsMatch(t, append(fieldNames(&kalshitest.Response{}), "Method", "Path"), fieldNames(&responseJSON{}))
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	got, err := parseFault(`{"Method":"POST","Path":"/api_keys","KeyID":"k","Times":-1,"Delay":"1.5s","Process":true,
		"Drop":true,"Reset":true,"Status":503,"Body":"b","Header":{"content-type":["a","b"]},"Cut":true}`)
	require.NoError(t, err)
	assert.Equal(t, kalshitest.Fault{
		Method: "POST", Path: "/api_keys", KeyID: "k", Times: -1, Delay: 1500 * time.Millisecond, Process: true,
		Drop: true, Reset: true, Status: 503, Body: "b", Header: http.Header{"Content-Type": {"a", "b"}}, Cut: true,
	}, got)
}

func TestLogLine(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status    int
		processed bool
		want      string
	}{
		{200, true, "GET /p: 200 OK"},
		{101, true, "GET /p: 101 Switching Protocols"},
		{404, false, "GET /p: 404 Not Found"},
		{0, false, "GET /p: no response"},
		{0, true, "GET /p: no response, but it was processed"},
		{503, true, "GET /p: 503 Service Unavailable, but it was processed"},
		{200, false, "GET /p: 200 OK, but it was not processed"},
		{799, false, "GET /p: 799"},
	}
	for _, tt := range tests {
		r := kalshitest.Request{Method: "GET", Path: "/p", RawQuery: "secret", Status: tt.status, Processed: tt.processed}
		assert.Equal(t, tt.want, logLine(r))
	}
	r := kalshitest.Request{Method: "GET", Path: "/p", Status: 401, Diagnosis: "why"}
	assert.Equal(t, "GET /p: 401 Unauthorized (why)", logLine(r))
}

// The program stays as light as the package: it imports the standard library and
// kalshitest.
func TestImports(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			standard := !strings.Contains(path, ".")
			assert.True(t, standard || path == "github.com/seed251d1451/kalshi-go/kalshitest", "%s imports %s", name, path)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
