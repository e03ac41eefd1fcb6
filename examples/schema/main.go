// Schema compares a published OpenAPI document with the schema that this project
// was written to, for the four calls that manage API keys.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"

	"go.yaml.in/yaml/v3"

	"github.com/seed251d1451/kalshi-go/test/schema"
)

const usage = `usage: go run . FILE

schema compares FILE, an OpenAPI document (YAML or JSON), with the schema that this
project was written to. It prints a line for each difference, and exits with status 1
if there is one. With "-" it reads standard input.

	curl -fsSL https://docs.kalshi.com/openapi.yaml | go run . -
`

func main() {
	flag.Usage = func() { fmt.Fprint(flag.CommandLine.Output(), usage) }
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	same, err := run(flag.Arg(0), os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !same {
		os.Exit(1)
	}
}

// run compares a file and prints the result.
func run(path string, stdin io.Reader, out io.Writer) (same bool, err error) {
	read := func() ([]byte, error) { return os.ReadFile(path) }
	if path == "-" {
		read = func() ([]byte, error) { return io.ReadAll(stdin) }
	}
	text, err := read()
	if err != nil {
		return false, err
	}
	doc, err := parse(text)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	differences := doc.compare()
	fmt.Fprintf(out, "The file is schema %v, and the client was written to %s.\n", doc.member(doc.root, "info")["version"], schema.Version)
	for _, difference := range differences {
		fmt.Fprintln(out, "-", difference)
	}
	if len(differences) == 0 {
		fmt.Fprintln(out, "In the four calls that manage API keys, nothing differs.")
	}
	return len(differences) == 0, nil
}

// parse reads YAML, which includes JSON.
func parse(text []byte) (*document, error) {
	var value any
	if err := yaml.Unmarshal(text, &value); err != nil {
		return nil, err
	}
	root, ok := textKeys(value).(map[string]any)
	if _, paths := root["paths"].(map[string]any); !ok || !paths {
		return nil, fmt.Errorf("this is no OpenAPI document: it has no paths")
	}
	return &document{root: root}, nil
}

// textKeys returns the value with text for the keys of all its maps: YAML reads
// an unquoted status as a number.
func textKeys(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, item := range value {
			value[key] = textKeys(item)
		}
		return value
	case map[any]any:
		named := make(map[string]any, len(value))
		for key, item := range value {
			named[fmt.Sprint(key)] = textKeys(item)
		}
		return named
	case []any:
		for i, item := range value {
			value[i] = textKeys(item)
		}
	}
	return value
}
