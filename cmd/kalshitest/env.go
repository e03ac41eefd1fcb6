package main

// What a bot needs to know: the variables of package kalshitest in a file and in
// a command's environment.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// writeEnvFile writes the variables to a new file that only the user can read,
// a temporary one if path is empty, and returns its absolute path.
func writeEnvFile(path string, env []string) (string, error) {
	var file *os.File
	var err error
	if path == "" {
		file, err = os.CreateTemp("", "kalshitest-*.env")
	} else {
		file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	}
	switch {
	case errors.Is(err, fs.ErrExist):
		return "", fmt.Errorf("-env %s: the file exists: delete it or choose another name", path)
	case err != nil:
		return "", fmt.Errorf("-env: %w", err)
	}
	_, err = file.WriteString(envText(env))
	if err = errors.Join(err, file.Close()); err != nil {
		_ = os.Remove(file.Name())
		return "", fmt.Errorf("-env: %w", err)
	}
	if absolute, err := filepath.Abs(file.Name()); err == nil {
		return absolute, nil // for a terminal in another folder
	}
	return file.Name(), nil
}

// envText returns variables as a shell and dotenv readers take them: values of
// several lines in single quotes. No value has a single quote.
func envText(env []string) string {
	var text strings.Builder
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		if strings.Contains(value, "\n") {
			value = "'" + value + "'"
		}
		fmt.Fprintf(&text, "%s=%s\n", name, value)
	}
	return text.String()
}

// commandEnv returns the caller's environment with the variables of env, and
// without other places for the same things.
func commandEnv(caller, env []string) []string {
	replaced := []string{"KALSHI_PRIVATE_KEY_PATH"}
	for _, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		replaced = append(replaced, name)
	}
	kept := slices.DeleteFunc(slices.Clone(caller), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(replaced, name)
	})
	return append(kept, env...)
}

var shellSafe = regexp.MustCompile(`^[A-Za-z0-9_./@%+=:,-]+$`)

// shellQuote quotes a path for a POSIX shell where that is necessary.
func shellQuote(path string) string {
	if shellSafe.MatchString(path) {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
