//go:build unix

package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun_untilSignal(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(fmt.Sprint(sig), func(t *testing.T) {
			if signal.Ignored(sig) {
				t.Skip("started by nohup, which the program honors")
			}
			t.Parallel()
			temp := t.TempDir()
			p := launch(t, []string{"TMPDIR=" + temp})
			url, file := p.banner(t)
			assert.Equal(t, temp, filepath.Dir(file))
			info, err := os.Stat(file)
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode())
			env := readEnvFile(t, file)
			assert.Equal(t, url, env["KALSHI_BASE_URL"])
			_, err = newClient(t, env).GetAPIKeys(t.Context())
			require.NoError(t, err)

			require.NoError(t, p.Process.Signal(sig))
			assert.Equal(t, 0, p.wait(t))
			assert.NoFileExists(t, file)
			assert.Equal(t, 8, strings.Count(p.read.String(), "\n"), "the banner is all that it prints")
			assert.Contains(t, p.stderr.String(), "kalshitest: GET /trade-api/v2/api_keys: 200 OK\n")
			assert.Equal(t, 1, strings.Count(p.stderr.String(), "\n"), &p.stderr)
		})
	}
}

// The lines of the banner and of the help page, carried out.
func TestEnvFile_isRead(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "it's a folder")
	require.NoError(t, os.Mkdir(dir, 0o700))
	cmd := exec.Command(program, "-env", "my env")
	cmd.Dir = dir // not that of the shell below
	p := launchCommand(t, cmd, nil)
	p.banner(t)
	_, shellLine, _ := strings.Cut(p.read.String(), "    ")
	shellLine, _, _ = strings.Cut(shellLine, "\n")
	want := readEnvFile(t, filepath.Join(dir, "my env"))
	info, err := os.Stat(filepath.Join(dir, "my env"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	tests := map[string]*exec.Cmd{
		"sh":   exec.Command("sh", "-c", shellLine+`; exec "$0"`, os.Args[0]),
		"node": exec.Command("node", "--env-file="+filepath.Join(dir, "my env"), "-e", `require("child_process").execFileSync(process.argv[1], {stdio: "inherit"})`, os.Args[0]),
	}
	for name, cmd := range tests {
		t.Run(name, func(t *testing.T) {
			if cmd.Err != nil {
				t.Skip(cmd.Err)
			}
			file := filepath.Join(t.TempDir(), "environment")
			cmd.Env = append(os.Environ(), childVariable+"=env "+file)
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			for name, value := range want {
				assert.Contains(t, string(text), `"`+name+"="+strings.ReplaceAll(value, "\n", `\n`)+`"`)
			}
		})
	}
}

func TestCommand_signals(t *testing.T) {
	t.Parallel()
	t.Run("a signal that ends the command is in the status", func(t *testing.T) {
		t.Parallel()
		args, env := asCommand("wait")
		p := launch(t, env, args...)
		require.Equal(t, "ready", p.line(t))
		require.NoError(t, p.Process.Signal(syscall.SIGTERM))
		assert.Equal(t, 128+15, p.wait(t))
	})
	t.Run("Ctrl-C waits for the command", func(t *testing.T) {
		t.Parallel()
		args, env := asCommand("catch")
		cmd := exec.Command(program, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a group of its own
		p := launchCommand(t, cmd, env)
		require.Equal(t, "ready", p.line(t))
		require.NoError(t, syscall.Kill(-p.Process.Pid, syscall.SIGINT), "as a terminal sends it to the group")
		assert.Equal(t, 40+2, p.wait(t))
	})
	t.Run("Ctrl-C is not passed on, and SIGTERM after it is", func(t *testing.T) {
		t.Parallel()
		args, env := asCommand("catch")
		p := launch(t, env, args...)
		require.Equal(t, "ready", p.line(t))
		require.NoError(t, p.Process.Signal(syscall.SIGINT), "to kalshitest alone")
		require.NoError(t, p.Process.Signal(syscall.SIGTERM))
		assert.Equal(t, 40+15, p.wait(t), "the first signal that the command got")
	})
}
