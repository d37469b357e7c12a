package config

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/importer"
	goparser "go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"zoolab/zk/tlsconf"
)

// TestEveryKnownKeyHasAnEffect: what a known key sets is read by somebody: outside of this
// package, or here, where it decides about something else. Keys without an effect are in idle.
func TestEveryKnownKeyHasAnEffect(t *testing.T) {
	if testing.Short() {
		t.Skip("type checks the server")
	}
	read := fieldsRead(t)
	for _, s := range settings {
		if slices.Contains(checkedOnly, strings.TrimPrefix(strings.TrimPrefix(s.key, quorumTLSPrefix), clientTLSPrefix)) {
			continue
		}
		fields := fieldsSet(&s)
		if len(fields) == 0 {
			t.Errorf("%s: no value of those tried sets anything", s.key)
		}
		for _, field := range fields {
			if !read[field] {
				t.Errorf("%s sets %s, which nobody reads: give it its effect, or put it into idle", s.key, field)
			}
		}
	}
}

// checkedOnly are keys of which only one value is taken, and changes nothing.
var checkedOnly = []string{"electionAlg", "crl", "ocsp", "authProvider", "context.supplier.class"}

// TestIdleKeys: each key without an effect is said to be so at the start, and in the manual.
func TestIdleKeys(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range idle {
		for _, key := range keys {
			if settingsByName[key] != nil {
				t.Errorf("%s is idle and has a field", key)
			}
			_, warnings := mustParse(t, "dataDir=/data\nclientPort=1\nzookeeper."+key+"=1\n", nil)
			if len(warnings) != 1 || !strings.Contains(warnings[0].Problem, "has no effect here: ") {
				t.Errorf("%s: the warnings are %v", key, warnings)
			}
			if !bytes.Contains(manual, []byte("`"+key+"`")) {
				t.Errorf("docs/operations.md does not name %s among the settings without effect", key)
			}
		}
	}
}

// fieldsSet returns the fields of a draft that a setting changes, as "Type.Field".
func fieldsSet(s *setting) []string {
	for _, value := range []string{"true", "false", "yes", "no", "7", "0.5", "/path", "gz", "need", "none", "mntr", "TLSv1.3", "TLS_AES_128_GCM_SHA256", "JKS", "SHA-512", "super:x", "observer"} {
		before := draft{Config: *defaults(), observerSync: true}
		after := draft{Config: *defaults(), observerSync: true}
		if f := s.set(&after, s.key, value); f == nil {
			if fields := differences(reflect.ValueOf(before), reflect.ValueOf(after)); len(fields) > 0 {
				return fields
			}
		}
	}
	return nil
}

func differences(a, b reflect.Value) (fields []string) {
	for i := range a.NumField() {
		x, y := a.Field(i), b.Field(i)
		name := a.Type().Name() + "." + a.Type().Field(i).Name
		switch {
		case x.Kind() == reflect.Struct:
			fields = append(fields, differences(x, y)...)
		case x.Kind() == reflect.Map || x.Kind() == reflect.Slice:
			if x.Len() != y.Len() || x.Kind() == reflect.Slice && !sameElements(x, y) {
				fields = append(fields, name)
			}
		case x.Kind() != reflect.Pointer && !x.Equal(y):
			fields = append(fields, name)
		}
	}
	return fields
}

func sameElements(x, y reflect.Value) bool {
	for i := range x.Len() {
		if !x.Index(i).Equal(y.Index(i)) {
			return false
		}
	}
	return true
}

// fieldsRead returns the fields of this package's and of tlsconf's structs that the server
// reads, as "Type.Field". To take a field's address, as the settings do, and to assign to it
// is not to read it.
func fieldsRead(t *testing.T) map[string]bool {
	list := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles,Standard", "zoolab/node")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	type listed struct {
		ImportPath, Export, Dir string
		GoFiles                 []string
	}
	exports := make(map[string]string)
	var ours []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if strings.HasPrefix(p.ImportPath, "zoolab/") {
			ours = append(ours, p)
		}
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	read := make(map[string]bool)
	for _, p := range ours {
		var files []*ast.File
		for _, name := range p.GoFiles {
			file, err := goparser.ParseFile(fset, filepath.Join(p.Dir, name), nil, goparser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		info := types.Info{Selections: make(map[*ast.SelectorExpr]*types.Selection)}
		conf := types.Config{Importer: imports}
		if _, err := conf.Check(p.ImportPath, fset, files, &info); err != nil {
			t.Fatal(err)
		}
		noteReads(files, &info, read)
	}
	return read
}

func noteReads(files []*ast.File, info *types.Info, read map[string]bool) {
	written := make(map[ast.Expr]bool)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.UnaryExpr:
				written[n.X] = written[n.X] || n.Op == token.AND
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					written[left] = true
				}
			}
			return true
		})
	}
	packages := []string{reflect.TypeFor[Config]().PkgPath(), reflect.TypeFor[tlsconf.Settings]().PkgPath()}
	for selector, selection := range info.Selections {
		owner := selection.Recv()
		if pointer, ok := owner.(*types.Pointer); ok {
			owner = pointer.Elem()
		}
		if selection.Kind() != types.FieldVal || written[selector] || selection.Obj().Pkg() == nil || !slices.Contains(packages, selection.Obj().Pkg().Path()) {
			continue
		}
		// A promoted field, as draft.TickTimeMs, belongs to the struct that has it.
		for _, index := range selection.Index()[:len(selection.Index())-1] {
			owner = owner.Underlying().(*types.Struct).Field(index).Type()
		}
		if named, ok := owner.(*types.Named); ok {
			read[named.Obj().Name()+"."+selection.Obj().Name()] = true
		}
	}
}
