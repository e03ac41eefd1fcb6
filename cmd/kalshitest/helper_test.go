package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	kalshi "github.com/seed251d1451/kalshi-go"
)

// program is this test binary, which programVariable makes the program.
var program = os.Args[0]

const programVariable = "STAND_IN_TEST_PROGRAM"

// childVariable makes this test binary a command for the program to run: see
// child. It does not begin with KALSHI_.
const childVariable = "STAND_IN_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(programVariable) != "" {
		_ = os.Unsetenv(programVariable) // the program's command is not the program
		main()
	}
	if task := os.Getenv(childVariable); task != "" {
		child(task)
	}
	os.Exit(m.Run())
}

// child does what a command that the program runs would do, and exits.
func child(task string) {
	task, arg, _ := strings.Cut(task, " ")
	switch task {
	case "exit":
		status, _ := strconv.Atoi(arg)
		os.Exit(status)
	case "cat":
		_, _ = io.Copy(os.Stdout, os.Stdin)
	case "env": // to a file, since it has a private key
		text, _ := json.Marshal(os.Environ())
		_ = os.WriteFile(arg, text, 0o600)
	case "list":
		client, err := kalshi.NewClientFromEnv(kalshi.WithMaxRetries(0))
		if err == nil {
			_, err = client.GetAPIKeys(context.Background())
		}
		fmt.Println("error:", err)
	case "wait": // for the end of its input or for a signal that ends it
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(7)
	case "catch": // a signal, and end with 40 and its number
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		fmt.Println("ready")
		sig, _ := (<-signals).(syscall.Signal)
		os.Exit(40 + int(sig))
	}
	os.Exit(0)
}

// asCommand returns the arguments and the environment that make the program run
// this test binary.
func asCommand(task string, flags ...string) (args, env []string) {
	return append(flags, "--", os.Args[0]), []string{childVariable + "=" + task}
}

// process is a running program.
type process struct {
	*exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr syncBuffer
	read   bytes.Buffer // what was read of stdout
}

// launch starts the program. At the end of the test, or after a minute, it is
// killed if it still runs, and neither of its outputs may have a private key.
func launch(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return launchCommand(t, exec.Command(program, args...), env)
}

func launchCommand(t *testing.T, cmd *exec.Cmd, env []string) *process {
	t.Helper()
	p := &process{Cmd: cmd}
	p.Env = append(append(os.Environ(), programVariable+"=1"), env...)
	p.Stderr = &p.stderr
	var err error
	p.stdin, err = p.StdinPipe()
	require.NoError(t, err)
	stdout, err := p.StdoutPipe()
	require.NoError(t, err)
	p.stdout = bufio.NewReader(io.TeeReader(stdout, &p.read))
	require.NoError(t, p.Start())
	hang := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		hang.Stop()
		_ = p.Process.Kill()
		_ = p.Wait()
		assertNoKey(t, p.read.String()+p.stderr.String())
	})
	return p
}

// line returns the next line of stdout, without its end.
func (p *process) line(t *testing.T) string {
	t.Helper()
	line, err := p.stdout.ReadString('\n')
	require.NoError(t, err, "%s", &p.stderr)
	return strings.TrimSpace(line)
}

// banner reads the banner and returns the URL and the file that it names.
func (p *process) banner(t *testing.T) (url, envFile string) {
	t.Helper()
	for range 8 {
		p.line(t)
	}
	text := p.read.String()
	found := regexp.MustCompile(`(http://\S+/trade-api/v2)\n(?s:.*)set -a; \. ('?)(.*)'?; set \+a`).FindStringSubmatch(text)
	require.NotNil(t, found, text)
	return found[1], strings.TrimSuffix(found[3], "'")
}

// wait waits for the program's end and returns its status.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	_, err := io.Copy(io.Discard, p.stdout)
	require.NoError(t, err)
	_ = p.Wait()
	return p.ProcessState.ExitCode()
}

// execute runs the program to its end.
func execute(t *testing.T, stdin string, env []string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	p := launch(t, env, args...)
	_, err := io.WriteString(p.stdin, stdin)
	require.NoError(t, err)
	require.NoError(t, p.stdin.Close())
	status = p.wait(t)
	return status, p.read.String(), p.stderr.String()
}

func assertNoKey(t *testing.T, text string) {
	t.Helper()
	assert.NotContains(t, text, "PRIVATE KEY-----")
	assert.NotRegexp(t, `MC4CAQAwBQYDK2Vw`, text, "an Ed25519 key in PKCS#8 begins like this")
}

// readEnvFile returns the variables that the program wrote.
func readEnvFile(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	form := regexp.MustCompile(`^KALSHI_BASE_URL=(\S+)\nKALSHI_API_KEY_ID=(\S+)\nKALSHI_PRIVATE_KEY='([^']+\n)'\nKALSHITEST_URL=(\S+)\n$`)
	values := form.FindStringSubmatch(string(text))
	require.NotNil(t, values, "it has another form")
	return map[string]string{
		"KALSHI_BASE_URL": values[1], "KALSHI_API_KEY_ID": values[2], "KALSHI_PRIVATE_KEY": values[3],
		"KALSHITEST_URL": values[4],
	}
}

// newClient returns a client for the variables that the program wrote.
func newClient(t *testing.T, env map[string]string) *kalshi.Client {
	t.Helper()
	key, err := kalshi.ParsePrivateKey([]byte(env["KALSHI_PRIVATE_KEY"]))
	require.NoError(t, err)
	signer, err := kalshi.NewSigner(env["KALSHI_API_KEY_ID"], key)
	require.NoError(t, err)
	client, err := kalshi.NewClient(signer, kalshi.WithBaseURL(env["KALSHI_BASE_URL"]), kalshi.WithMaxRetries(0))
	require.NoError(t, err)
	return client
}

// get requests a URL without credentials.
func get(t *testing.T, url string) (status int, header http.Header) {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode, resp.Header
}

// syncBuffer is a bytes.Buffer that one goroutine writes and another reads.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
