package test

import (
	"bytes"
	"cmp"
	"flag"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
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

// A change of the exported API shows in testdata/api.txt, which `go test ./test -run API -update` writes.
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
	files, fset := parseDir(t, dir, 0)
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

func parseDir(t *testing.T, dir string, mode parser.Mode) ([]*ast.File, *token.FileSet) {
	t.Helper()
	names, err := fs.Glob(os.DirFS(dir), "*.go")
	require.NoError(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, name := range names {
		if !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(fset, dir+"/"+name, nil, mode)
			require.NoError(t, err)
			files = append(files, file)
		}
	}
	return files, fset
}

// Every exported field has a comment, or is named in the one above it. golangci-lint checks the rest.
func TestDocs_fieldsAreDocumented(t *testing.T) {
	t.Parallel()
	for _, dir := range packages {
		files, _ := parseDir(t, dir, parser.ParseComments)
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

// readmeSnippets returns the Go code that README shows.
func readmeSnippets(t *testing.T) []string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
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
func TestDocs_READMESnippetsStandInExamples(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../example_test.go")
	require.NoError(t, err)
	examples := unindent(string(source))
	for _, snippet := range readmeSnippets(t) {
		if !isProgram(snippet) {
			assert.True(t, strings.Contains(examples, unindent(snippet)), "not in an Example:\n%s", snippet)
		}
	}
}

func isProgram(snippet string) bool { return strings.HasPrefix(snippet, "package main") }

// unindent takes the indentation off, since a snippet stands one deeper in a function.
func unindent(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

// The one whole program is examples/goget, whose test builds and runs it in a module of its own.
func TestDocs_READMEProgramIsAnExample(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../examples/goget/main.go")
	require.NoError(t, err)
	snippets := readmeSnippets(t)
	i := slices.IndexFunc(snippets, isProgram)
	require.GreaterOrEqual(t, i, 0, "README has a program")
	assert.True(t, strings.HasSuffix(strings.ReplaceAll(string(source), "\r\n", "\n"), snippets[i]), "examples/goget differs")
	assert.LessOrEqual(t, strings.Count(snippets[i], "\n"), 25, "lines")
}
