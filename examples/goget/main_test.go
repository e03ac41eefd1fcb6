package main_test

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// sdk is the module as it would be published.
var sdk = module.Version{Path: "github.com/seed251d1451/kalshi-go", Version: "v0.2.0"}

// The module proxy here has the SDK and nothing else, so what the SDK's own tests
// import is not needed for go get. The program builds and runs, and consists of
// the standard library and the SDK. go.sum gains two lines. (See the package's
// comment for what go mod tidy adds.)
func TestGoGet(t *testing.T) {
	t.Parallel()
	dir, goCmd := newBot(t, publish(t, "../.."))

	goCmd("mod", "init", "bot.test")
	goCmd("get", sdk.Path)
	goCmd("build", "-o", "bot.exe", ".")

	want := sdk.Path + " " + sdk.Version
	compiled := goCmd("list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.}}{{end}}{{end}}", ".")
	assert.Equal(t, []string{want}, slices.Compact(strings.FieldsFunc(compiled, isNewline)))
	assert.Equal(t, []string{want}, linked(goCmd("version", "-m", "bot.exe")))
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "bot.exe")).Output()
	require.NoError(t, err)
	assert.Equal(t, "kalshitest [read write]\n", string(out))

	goCmd("mod", "verify")
	sums, err := os.ReadFile(filepath.Join(dir, "go.sum"))
	require.NoError(t, err)
	assert.Equal(t, 2, strings.Count(string(sums), want), string(sums))
	assert.Equal(t, 2, strings.Count(string(sums), "\n"), string(sums))
}

// No package in the download imports another module, the example programs
// included. What does is in modules of its own, which are not in the download.
func TestGoGet_WholeModule(t *testing.T) {
	t.Parallel()
	_, goCmd := newBot(t, publish(t, "../.."))
	goCmd("mod", "init", "bot.test")
	goCmd("get", sdk.Path)

	root := strings.TrimSpace(goCmd("list", "-m", "-f", "{{.Dir}}", sdk.Path))
	packages := goCmd("-C", root, "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./...")
	assert.Contains(t, packages, sdk.Path+"/examples/rotate\n")
	for line := range strings.Lines(packages) {
		assert.True(t, strings.HasPrefix(line, sdk.Path), line)
	}
	for _, own := range []string{"ecosystem", "goget", "pkcs11"} {
		assert.NoDirExists(t, filepath.Join(root, "examples", own))
	}
}

// publish makes a module proxy of a directory and returns its URL.
func publish(t *testing.T, dir string) string {
	t.Helper()
	root := t.TempDir()
	versions := filepath.Join(root, filepath.FromSlash(sdk.Path), "@v")
	require.NoError(t, os.MkdirAll(versions, 0o750))
	write := func(name string, content []byte) {
		require.NoError(t, os.WriteFile(filepath.Join(versions, name), content, 0o600))
	}

	info, err := json.Marshal(map[string]any{"Version": sdk.Version, "Time": time.Now().UTC()})
	require.NoError(t, err)
	goMod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	require.NoError(t, err)
	write("list", []byte(sdk.Version+"\n"))
	write(sdk.Version+".info", info)
	write(sdk.Version+".mod", goMod)

	archive, err := os.Create(filepath.Join(versions, sdk.Version+".zip"))
	require.NoError(t, err)
	defer archive.Close()
	require.NoError(t, zip.CreateFromDir(archive, sdk, dir)) // modules below it are left out

	path := filepath.ToSlash(root)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // C:/…
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// newBot makes a folder with main.go in it and returns it with a function that
// runs the go command there, with this module proxy alone and an empty module
// cache.
func newBot(t *testing.T, proxy string) (dir string, goCmd func(args ...string) string) {
	t.Helper()
	dir = t.TempDir()
	program, err := os.ReadFile("main.go")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.go"), program, 0o600))
	env := append(os.Environ(),
		"GOPROXY="+proxy+",off", "GOPRIVATE=", "GONOPROXY=", "GOSUMDB=off",
		"GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw", "GOWORK=off", "GOTOOLCHAIN=local",
	)
	return dir, func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir, cmd.Env = dir, env
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		require.NoError(t, err, "go %s\n%s", strings.Join(args, " "), &stderr)
		return string(out)
	}
}

func isNewline(r rune) bool { return r == '\n' || r == '\r' }

// linked returns the modules that "go version -m" finds in a program beside
// its own.
func linked(text string) (modules []string) {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "dep" {
			modules = append(modules, fields[1]+" "+fields[2])
		}
	}
	return modules
}
