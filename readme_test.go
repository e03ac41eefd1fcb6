package kalshi_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readmeSnippets returns the Go code that README shows.
func readmeSnippets(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var snippets []string
	for _, match := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1) {
		snippets = append(snippets, string(match[1]))
	}
	require.NotEmpty(t, snippets)
	return snippets
}

// Every snippet stands, line for line, in an Example, which is compiled and
// whose output is checked.
func TestREADME_SnippetsStandInExamples(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	examples := unindent(string(source))
	for _, snippet := range readmeSnippets(t) {
		if !isProgram(snippet) {
			assert.Contains(t, examples, unindent(snippet))
		}
	}
}

func isProgram(snippet string) bool { return strings.HasPrefix(snippet, "package main") }

// unindent takes the indentation off, since a snippet stands one deeper in a
// function.
func unindent(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

// The one whole program runs as it is written.
func TestREADME_QuickStartRuns(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("compiles a program")
	}
	snippets := readmeSnippets(t)
	program := snippets[slices.IndexFunc(snippets, isProgram)]
	assert.LessOrEqual(t, strings.Count(program, "\n"), 25, "lines")

	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(program), 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "run", file).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Equal(t, "kalshitest [read write]\n", string(out))
}

// The commands are the ones that the project's own checks run.
func TestREADME_NamesTheTwoCommands(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	assert.Contains(t, string(readme), "go run ./examples/quickstart\ngo test ./...\n")
}
