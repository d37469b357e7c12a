package main

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zoolab/nemesis"
)

// TestPatchesApply keeps the planted bugs alive: a patch that no longer applies, or whose
// outcome does not compile, proves nothing any more, and whoever changed the code beneath
// it should hear of it at once.
func TestPatchesApply(t *testing.T) {
	t.Chdir("../..")
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("docs/planted-bugs.md")
	if err != nil {
		t.Fatal(err)
	}
	importer := exported(t)
	listed := make(map[string]bool)
	for _, m := range all {
		if listed[m.Name] {
			t.Errorf("%s stands twice in mutants.yaml", m.Name)
		}
		listed[m.Name] = true
		if !bytes.Contains(page, []byte("| `"+m.Name+"` |")) {
			t.Errorf("docs/planted-bugs.md does not tell of %s", m.Name)
		}
		if m.Doc == "" || m.Bug == "" || m.Sim == nil && m.Lab == nil && m.Containers == nil {
			t.Errorf("%s: doc, bug and a run that must catch it must be there: %+v", m.Name, m)
		}
		work := t.TempDir()
		if _, err := plant(m, work); err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		if err := compiles(importer, work); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	patches, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil || len(patches) == 0 {
		t.Fatalf("no patches: %v", err)
	}
	for _, path := range patches {
		if name := strings.TrimSuffix(filepath.Base(path), ".patch"); !listed[name] {
			t.Errorf("%s is not in mutants.yaml", path)
		}
	}
}

// exported imports packages as the compiler left them in its cache.
func exported(t *testing.T) types.Importer {
	list := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", "./node/...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	files := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		files[path] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
}

// compiles checks the types of each package of which work has files in place of its own.
func compiles(from types.Importer, work string) error {
	changed, err := filepath.Glob(filepath.Join(work, "node", "*", "*.go"))
	if err != nil || len(changed) == 0 {
		return errors.New("the patch changes nothing in node")
	}
	dirs := make(map[string]bool)
	for _, path := range changed {
		rel, err := filepath.Rel(work, filepath.Dir(path))
		if err != nil {
			return err
		}
		dirs[rel] = true
	}
	for dir := range dirs {
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range pkg.GoFiles {
			path := filepath.Join(work, dir, name)
			if _, err := os.Stat(path); err != nil {
				path = filepath.Join(dir, name)
			}
			file, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			files = append(files, file)
		}
		if _, err := (&types.Config{Importer: from}).Check("zoolab/"+dir, fset, files, nil); err != nil {
			return err
		}
	}
	return nil
}

// TestSchedules reads the schedules that the lab's flags name.
func TestSchedules(t *testing.T) {
	t.Chdir("../..")
	all, err := load()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.Containers == nil {
			continue
		}
		path := flagOf(m.Containers.Flags, "-schedule", "")
		if path == "" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%s: %v", m.Name, err)
			continue
		}
		if s, err := nemesis.ParseSchedule(text); err != nil || len(s.Steps) == 0 {
			t.Errorf("%s: %d steps, %v", m.Name, len(s.Steps), err)
		}
	}
}

// TestTable demands that a bug which was missed, and a healthy server that was blamed, make
// the whole a failure that says why.
func TestTable(t *testing.T) {
	caught := row{Bug: "a", Needs: "luck", Place: "sim", OK: true, Checker: "Agreement"}
	healthy := row{Bug: withoutBug, Place: "sim", OK: true}
	for _, tc := range []struct {
		rows []row
		code int
		want string
	}{
		{[]row{caught, healthy}, 0, "1 bugs, 1 of which"},
		{[]row{caught, {Bug: "b", Place: "sim", Cause: "NOT CAUGHT"}}, 1, "b, sim: NOT CAUGHT"},
		{[]row{caught, {Bug: withoutBug, Place: "sim", Cause: "seed 3 fails"}}, 1, "seed 3 fails"},
	} {
		var out bytes.Buffer
		if code := tell(&out, tc.rows); code != tc.code || !strings.Contains(out.String(), tc.want) {
			t.Errorf("%v: code %d, want %d with %q:\n%s", tc.rows, code, tc.code, tc.want, out.String())
		}
	}
}

// TestVerdictOfStoppedRun lets a run be stopped that has its verdict: it counts.
func TestVerdictOfStoppedRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopped := &trial{ctx: ctx}
	if _, _, err := stopped.command("sh", "-c", "kill -9 $$"); err == nil {
		t.Error("a run that was killed counts")
	}
	ready := filepath.Join(t.TempDir(), "ready")
	go func() {
		defer cancel()
		for ctx.Err() == nil {
			if _, err := os.Stat(ready); err == nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	const lab = `trap 'echo Verdict; exit 1' TERM; touch "$0"; while :; do sleep 0.01; done`
	if code, out, err := stopped.command("sh", "-c", lab, ready); code != 1 || err != nil || out != "Verdict\n" {
		t.Errorf("code %d, output %q, error %v", code, out, err)
	}
}
