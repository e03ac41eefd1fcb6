package kalshi_test

import (
	"bytes"
	"flag"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata/api.txt anew")

// The exported API changes only on purpose: a change shows in the diff of
// testdata/api.txt, which `go test -run API -update .` writes.
func TestAPI_IsTheGoldenOne(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	for _, dir := range []string{".", "kalshitest"} {
		printAPI(t, &got, dir)
	}
	const golden = "testdata/api.txt"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	want = bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n")) // as git may check it out
	assert.Equal(t, string(want), got.String())
}

// printAPI prints the exported declarations of a package without comments and
// bodies, sorted.
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

// Every exported identifier and struct field says what it is.
func TestAPI_IsDocumented(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{".", "kalshitest"} {
		files, fset := parseDir(t, dir, parser.ParseComments)
		check := func(node ast.Node, name *ast.Ident, comments ...*ast.CommentGroup) {
			if name.IsExported() && !slices.ContainsFunc(comments, func(c *ast.CommentGroup) bool { return c.Text() != "" }) {
				t.Errorf("%s: %s has no documentation", fset.Position(node.Pos()), name)
			}
		}
		for _, file := range files {
			for _, decl := range file.Decls {
				checkDecl(decl, check)
			}
		}
	}
}

func checkDecl(decl ast.Decl, check func(ast.Node, *ast.Ident, ...*ast.CommentGroup)) {
	if f, ok := decl.(*ast.FuncDecl); ok {
		if isExported(f) {
			check(f, f.Name, f.Doc)
		}
		return
	}
	group := decl.(*ast.GenDecl)
	for _, spec := range group.Specs {
		switch spec := spec.(type) {
		case *ast.ValueSpec:
			for _, name := range spec.Names {
				check(spec, name, spec.Doc, spec.Comment, group.Doc)
			}
		case *ast.TypeSpec:
			check(spec, spec.Name, spec.Doc, group.Doc)
			structure, ok := spec.Type.(*ast.StructType)
			if !ok || !spec.Name.IsExported() {
				continue
			}
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					check(field, name, field.Doc, field.Comment)
				}
			}
		}
	}
}

// Every function and method that a user calls has an Example. Those that only
// the standard library calls, through an interface, need none.
func TestAPI_HasExamples(t *testing.T) {
	t.Parallel()
	called := []string{"Error", "Unwrap", "Format", "String", "LogValue", "MarshalText", "MarshalBinary"}

	for _, dir := range []string{".", "kalshitest"} {
		source, err := parser.ParseFile(token.NewFileSet(), dir+"/example_test.go", nil, parser.ParseComments)
		require.NoError(t, err)
		examples := map[string]bool{}
		for _, example := range doc.Examples(source) {
			examples[example.Name] = true
			assert.NotEmpty(t, example.Output, "%s: Example%s has no output to check", dir, example.Name)
		}
		files, _ := parseDir(t, dir, 0)
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
