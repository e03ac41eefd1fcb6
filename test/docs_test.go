package test

import (
	"bytes"
	"cmp"
	"flag"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/api.txt anew")

// packages are the folders of what users import.
var packages = []string{"..", "../kalshitest"}

// The exported API changes only on purpose: a change shows in the diff of
// testdata/api.txt, which `go test ./test -run API -update` writes.
func TestDocs_APIIsTheGoldenOne(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	for _, dir := range packages {
		printAPI(t, &got, dir)
	}
	const golden = "../testdata/api.txt"
	if *update {
		require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")) // as git may check it out
	assert.Equal(t, string(want), got.String())
}

// printAPI prints the exported declarations of a package without comments and bodies, sorted.
func printAPI(t *testing.T, w *bytes.Buffer, dir string) {
	t.Helper()
	files, fset := parse(t, dir+"/*.go", 0)
	var lines []string
	for _, file := range files {
		ast.FileExports(file)
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if !isExported(decl) {
					continue
				}
				decl.Body = nil
			case *ast.GenDecl:
				if decl.Tok == token.IMPORT {
					continue
				}
			}
			var text bytes.Buffer
			config := printer.Config{Mode: printer.UseSpaces | printer.TabIndent, Tabwidth: 8}
			require.NoError(t, config.Fprint(&text, fset, decl))
			lines = append(lines, text.String())
		}
	}
	slices.Sort(lines)
	w.WriteString("package " + files[0].Name.Name + "\n\n" + strings.Join(lines, "\n") + "\n\n")
}

// parse parses the files that match a pattern, and tests only if it says so.
func parse(t *testing.T, pattern string, mode parser.Mode) (files []*ast.File, fset *token.FileSet) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	require.NoError(t, err)
	fset = token.NewFileSet()
	for _, name := range names {
		if strings.HasSuffix(pattern, "_test.go") || !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(fset, name, nil, mode)
			require.NoError(t, err)
			files = append(files, file)
		}
	}
	return files, fset
}

// Every exported field of an exported struct has a comment, or is named in the one
// above it. For the other identifiers golangci-lint sees to that.
func TestDocs_fieldsAreDocumented(t *testing.T) {
	t.Parallel()
	for _, dir := range packages {
		files, _ := parse(t, dir+"/*.go", parser.ParseComments)
		for _, file := range files {
			for _, object := range file.Scope.Objects {
				spec, ok := object.Decl.(*ast.TypeSpec)
				if !ok || !spec.Name.IsExported() {
					continue
				}
				structure, ok := spec.Type.(*ast.StructType)
				if !ok {
					continue
				}
				above := ""
				for _, field := range structure.Fields.List {
					own := field.Doc.Text() + field.Comment.Text()
					above = cmp.Or(own, above)
					for _, name := range field.Names {
						assert.True(t, !name.IsExported() || own != "" || strings.Contains(above, name.Name), "%s.%s has no comment", spec.Name, name)
					}
				}
			}
		}
	}
}

// Every function and method that a user calls has an Example. Those that only
// the standard library calls, through an interface, need none.
func TestDocs_APIHasExamples(t *testing.T) {
	t.Parallel()
	called := []string{"Error", "Unwrap", "Timeout", "Format", "String", "LogValue", "MarshalText", "MarshalBinary"}

	for _, dir := range packages {
		sources, _ := parse(t, dir+"/*example_test.go", parser.ParseComments)
		examples := map[string]bool{}
		for _, example := range doc.Examples(sources...) {
			examples[example.Name] = true
			assert.NotEmpty(t, example.Output, "%s: Example%s has no output to check", dir, example.Name)
		}
		files, _ := parse(t, dir+"/*.go", 0)
		for _, file := range files {
			for _, decl := range file.Decls {
				f, ok := decl.(*ast.FuncDecl)
				if !ok || !isExported(f) || f.Recv != nil && slices.Contains(called, f.Name.Name) {
					continue
				}
				name := f.Name.Name
				if f.Recv != nil {
					name = receiver(f) + "_" + name
				}
				assert.True(t, examples[name], "%s: there is no Example%s", dir, name)
			}
		}
	}
}

// isExported tells whether a user can call f.
func isExported(f *ast.FuncDecl) bool {
	return f.Name.IsExported() && (f.Recv == nil || ast.IsExported(receiver(f)))
}

func receiver(f *ast.FuncDecl) string {
	if pointer, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
		return pointer.X.(*ast.Ident).Name
	}
	return f.Recv.List[0].Type.(*ast.Ident).Name
}

// Every snippet of README stands, line for line, in an Example, whose output is checked. The whole
// program is examples/goget, whose test builds and runs it.
func TestDocs_READMESnippetsRun(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		return strings.ReplaceAll(string(text), "\r\n", "\n")
	}
	examples, programs := unindent(read("../example_test.go")), 0
	for _, match := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(read("../README.md"), -1) {
		snippet := match[1]
		if strings.HasPrefix(snippet, "package main") {
			programs++
			assert.True(t, strings.HasSuffix(read("../examples/goget/main.go"), "\n"+snippet), "not examples/goget:\n%s", snippet)
			assert.LessOrEqual(t, strings.Count(snippet, "\n"), 25, "lines")
			continue
		}
		assert.True(t, strings.Contains(examples, unindent(snippet)), "not in an Example:\n%s", snippet)
	}
	assert.Equal(t, 1, programs)
}

// unindent takes the indentation off, since a snippet stands one deeper in a function.
func unindent(s string) string { return regexp.MustCompile(`(?m)^\t+`).ReplaceAllString(s, "") }
