package mixedtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/internal/process"
)

// zkServerScript is Apache's script, as Debian installs it.
const zkServerScript = "/usr/share/zookeeper/bin/zkServer.sh"

// page is one of docs, whose steps are run as they are written.
type page struct {
	t     *testing.T
	steps map[string][]string // the commands that stand under a name
	bin   string              // the directory with node and zkServer.sh
	all   string
	env   []string // more of the environment of its commands
}

var stepPattern = regexp.MustCompile("(?s)<!-- step: ([a-z-]+) -->\\s*```sh\n(.*?)```")

func readPage(t *testing.T, name string) *page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, steps: make(map[string][]string), bin: filepath.Join(t.TempDir(), "bin")}
	for _, found := range stepPattern.FindAllStringSubmatch(string(text), -1) {
		p.steps[found[1]] = append(p.steps[found[1]], found[2])
	}
	if err := os.MkdirAll(p.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(nodeBinary, filepath.Join(p.bin, "node")); err != nil {
		t.Fatal(err)
	}
	return p
}

// withApache gives the page's commands Apache's zkServer.sh.
func (p *page) withApache() {
	t := p.t
	t.Helper()
	script, err := os.ReadFile(zkServerScript)
	if err != nil {
		t.Skipf("no zkServer.sh: %v; install it with: apt-get install zookeeper", err)
	}
	// Debian's environment has one directory of logs for the machine, here each member has
	// its own.
	environment := fmt.Sprintf("JAVA=java\nCLASSPATH=%q\nJMXDISABLE=true\n"+
		"SERVER_JVMFLAGS='-Xmx128m -Dznode.container.checkIntervalMs=1000 -Dorg.slf4j.simpleLogger.defaultLogLevel=info'\n", apache.ClassPath())
	for name, content := range map[string]string{"zkServer.sh": string(script), "zkEnv.sh": environment} {
		if err := os.WriteFile(filepath.Join(p.bin, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// run runs steps for a member in one shell; the name "check" is any of the checks, which
// are alike but for the last line of one.
func (p *page) run(m *member, names ...string) {
	p.t.Helper()
	if err := p.try(m, names...); err != nil {
		p.t.Fatal(err)
	}
}

// try is run for what may fail. The error has what was printed.
func (p *page) try(m *member, names ...string) error {
	t := p.t
	t.Helper()
	var script strings.Builder
	script.WriteString("set -e\n" + p.steps["functions"][0])
	for _, name := range names {
		step, which, _ := strings.Cut(name, "/")
		n, err := strconv.Atoi("0" + which)
		if err != nil || n >= len(p.steps[step]) {
			t.Fatalf("the page has no step %s", name)
		}
		script.WriteString(p.steps[step][n])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script.String())
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "PATH="+p.bin+":"+os.Getenv("PATH"), "ZOO_LOG_DIR="+m.dir,
		"CFG="+filepath.Join(m.dir, "zoo.cfg"), "SELF="+m.ClientAddr, "ALL="+p.all)
	cmd.Env = append(cmd.Env, p.env...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%v, steps %v: %w\n%s", m, names, err, output)
	}
	t.Logf("%v, steps %v:\n%s", m, names, output)
	return nil
}

// place lays out a member without starting it: that is done by the page's commands.
func (e *ensemble) place(m *member) {
	t := e.t
	t.Helper()
	m.Server = &apache.Server{
		Process:    process.Process{Dir: m.dir, LogFile: filepath.Join(m.dir, "all.log")},
		ClientAddr: fmt.Sprintf("127.0.0.1:%d", m.cfg.ClientPort), DataDir: filepath.Join(m.dir, "data"),
	}
	if err := os.MkdirAll(m.DataDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"zoo.cfg": apache.ZooCfg(m.DataDir, m.cfg), "data/myid": fmt.Sprint(m.id), "all.log": "",
	} {
		if err := os.WriteFile(filepath.Join(m.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		text, err := os.ReadFile(filepath.Join(m.DataDir, "zookeeper_server.pid"))
		if pid, convErr := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && convErr == nil {
			process.KillDaemon(pid)
		}
		keepLog(t, m)
	})
	m.up = true
}

// keepLog adds what a server has written so far to the member's log of all its servers: the
// next one begins the file anew.
func keepLog(t *testing.T, m *member) {
	t.Helper()
	outs, err := filepath.Glob(filepath.Join(m.dir, "zookeeper-*.out"))
	if err != nil {
		t.Fatal(err)
	}
	all, err := os.ReadFile(m.LogFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range outs {
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
	}
	if err := os.WriteFile(m.LogFile, all, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestMigration moves an ensemble under load from Java to this server and back, by the
// commands of docs/migration.md. No session and no acknowledged write may be lost.
func TestMigration(t *testing.T) {
	requireFull(t)
	p := readPage(t, "migration.md")
	p.withApache()
	e := newEnsemble(t, java, java, java)
	var addrs []string
	for _, m := range e.members {
		e.place(m)
		addrs = append(addrs, m.ClientAddr)
	}
	p.all = strings.Join(addrs, " ")
	for _, m := range e.members {
		p.run(m, "start-apache")
	}
	p.run(e.members[0], "check", "configuration", "roles")
	witness := super(t, addresses(e.members...))
	plant(t, witness, "/migrated")
	l := startLoad(t, addresses(e.members...), "/migration", 8)
	e.migrate(p, l, ours, "check", "stop-apache", "copy", "start-zoolab", "check/1")
	e.migrate(p, l, java, "check/2", "stop-zoolab", "start-apache", "check/3")
	acknowledged := l.end()
	tree := e.agree()
	if tree["/migrated/ephemeral"] == "" {
		t.Error("the ephemeral of a session that lives is gone")
	}
	for path, data := range acknowledged {
		if !strings.HasPrefix(tree[path], fmt.Sprintf("%q ", data)) {
			t.Errorf("%s was acknowledged with %q and is %.100s", path, data, tree[path])
		}
	}
	t.Logf("%d writes were acknowledged", len(acknowledged))
	bye(t, witness)
}

// migrate takes every member through the steps, the leader last. After each the load must
// go on.
func (e *ensemble) migrate(p *page, l *load, to kind, steps ...string) {
	t := e.t
	t.Helper()
	leader := e.leader()
	order := append(slices.DeleteFunc(slices.Clone(e.members), func(m *member) bool { return m == leader }), leader)
	for _, m := range order {
		keepLog(t, m)
		l.more(100)
		p.run(m, steps...)
		m.kind = to
		version := monitor(t, m, "zk_version")
		if isOurs := strings.Contains(version, "zoolab"); isOurs != (to == ours) {
			t.Fatalf("%v runs version %s", m, version)
		}
		l.more(100)
	}
	p.run(leader, "roles")
}
