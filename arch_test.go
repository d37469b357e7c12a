package zoolab

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pure lists the packages that must be deterministic functions of their inputs: no
// clock, no randomness of their own, no I/O, no goroutine. The simulator is exact
// because they are.
var pure = []string{
	"zk/jute", "zk/sasl", "node/fifo", "node/quorum", "node/tree", "node/prep", "node/zab", "node/replica", "node/auth", "workloads",
}

// impureImports may not be used by a pure package.
var impureImports = []string{"net", "os", "log", "log/slog", "os/exec", "syscall", "net/http"}

// forbidden says which packages a package (by the start of its path) may not import
// (by the start of theirs).
var forbidden = []struct{ from, to, why string }{
	{"workloads", "zoolab/node", "checkers must not know the server they judge"},
	{"workloads", "zoolab/lab", "workloads are data for the lab, not its part"},
	{"nemesis", "zoolab/node", "faults must work against any image"},
	{"nemesis", "zoolab/lab", "faults are data for the lab, not its part"},
	{"lab", "zoolab/node", "the lab is a black-box tester of any image"},
	{"zk", "zoolab/node", "the client must not know the server"},
	{"zk", "zoolab/lab", "the client is used by the lab, not the reverse"},
	{"node", "zoolab/lab", "nothing in the server exists for the lab"},
	{"node/zab", "zoolab/node/tree", "broadcast does not know what it carries"},
	{"node/zab", "zoolab/node/prep", "broadcast does not know what it carries"},
	{"node/storage", "zoolab/node/tree", "storage sees the tree through its own interfaces"},
	{"node/storage", "zoolab/node/replica", "storage carries out effects, it does not decide"},
	{"node/peer", "zoolab/node/replica", "the peer transport serves the broadcast protocol only"},
	{"node/peer", "zoolab/node/storage", "transports do not touch the disk"},
	{"node/server", "zoolab/node/storage", "transports do not touch the disk"},
	{"node/server", "zoolab/node/peer", "the two transports are independent"},
	{"node/server", "zoolab/node/admin", "the words are answered through a hook"},
	{"node/metrics", "zoolab/node", "everybody may count, so the counters know nobody"},
	{"node/audit", "zoolab/node", "it writes what it is told"},
}

// exempt may break the rules above, because that is what they are for.
var exempt = map[string]string{
	"node/sim":        "the simulator runs replicas under the lab's faults and checkers",
	"lab/cluster/sim": "the driver that simulates members needs their code; the rest of the lab stays a black-box tester",
}

// only says where alone a module (by the start of its path) may be imported.
var only = []struct{ module, in, why string }{
	{"go.etcd.io/etcd", "bench", "the client of a rival, and gRPC with it, makes neither the server nor the lab bigger"},
	{"google.golang.org/grpc", "bench", "nothing but the rival's client speaks it"},
}

func TestImportRules(t *testing.T) {
	for dir, files := range packages(t) {
		if exempt[dir] != "" {
			continue
		}
		for path, file := range files {
			for _, spec := range file.Imports {
				imported := strings.Trim(spec.Path.Value, `"`)
				for _, rule := range only {
					if within(imported, rule.module) && dir != rule.in {
						t.Errorf("%s imports %s, which only %s may: %s", path, imported, rule.in, rule.why)
					}
				}
				for _, rule := range forbidden {
					if within(dir, rule.from) && within(imported, rule.to) {
						t.Errorf("%s imports %s: %s", path, imported, rule.why)
					}
				}
			}
		}
	}
}

func TestPurePackages(t *testing.T) {
	all := packages(t)
	for _, dir := range pure {
		if len(all[dir]) == 0 {
			t.Errorf("there is no package %s", dir)
		}
		for path, file := range all[dir] {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			checkPure(t, path, file)
		}
	}
}

func checkPure(t *testing.T, path string, file *ast.File) {
	for _, spec := range file.Imports {
		if name := strings.Trim(spec.Path.Value, `"`); slices.Contains(impureImports, name) {
			t.Errorf("%s imports %s, which a pure package may not", path, name)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s starts a goroutine, which a pure package may not", path)
		case *ast.SelectorExpr:
			id, ok := n.X.(*ast.Ident)
			if !ok {
				break
			}
			name := id.Name + "." + n.Sel.Name
			switch {
			case name == "time.Now" || name == "time.Since" || name == "time.After" || name == "time.Sleep":
				t.Errorf("%s uses %s: time is an argument of a pure package", path, name)
			case id.Name == "rand" && id.Obj == nil && !slices.Contains([]string{"Rand", "New", "NewPCG", "NewChaCha8", "Source", "NewSource"}, n.Sel.Name):
				t.Errorf("%s uses %s: a pure package is given its source of randomness", path, name)
			}
		}
		return true
	})
}

// packages parses every Go file below the module, by directory.
func packages(t *testing.T) map[string]map[string]*ast.File {
	all := make(map[string]map[string]*ast.File)
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "testdata" || d.Name() == "store") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, 0)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		if all[dir] == nil {
			all[dir] = make(map[string]*ast.File)
		}
		all[dir][path] = file
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func within(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }
