package conformance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"zoolab/internal/apache"
	testservers "zoolab/internal/servers"

	// The server under test is built while the tests run. This import makes go test see
	// that it changed, instead of giving a result from its cache.
	_ "zoolab/node/member"
)

var recording = flag.Bool("record", false, "write the answers of Apache's server into the scripts")
var marking = flag.String("mark", "", "write this server's answers that differ into the scripts, behind this mark")

// common are the settings of every server.
var common = map[string]string{
	"extendedTypesEnabled":                     "true",
	"DigestAuthenticationProvider.superDigest": SuperDigest,
	"maxSessionTimeout":                        "40000",
	"minSessionTimeout":                        "4000",
	// Nothing is to go by itself, and take a zxid, in scripts that do not wait for that.
	"znode.container.checkIntervalMs": "3600000",
}

var nodeBinary string

func TestMain(m *testing.M) {
	flag.Parse()
	testservers.MainWithNode(m, &nodeBinary)
}

// servers starts a server for each configuration that is asked for, once in a test.
type servers struct {
	t      *testing.T
	apache bool

	mu      sync.Mutex
	running map[string]*apache.Server
}

func newServers(t *testing.T, ofApache bool) *servers {
	if err := apache.Available(); ofApache && err != nil {
		t.Skip(err)
	}
	return &servers{t: t, apache: ofApache, running: make(map[string]*apache.Server)}
}

func (s *servers) addr(config map[string]string) string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprint(config)
	if s.running[name] != nil {
		return s.running[name].ClientAddr
	}
	ports, err := apache.FreePorts(1)
	if err != nil {
		s.t.Fatal(err)
	}
	cfg := apache.Config{ClientPort: ports[0], HeapMB: 128, Extra: make(map[string]string)}
	if !s.apache {
		cfg.Command = []string{nodeBinary, "serve"}
	}
	for _, lines := range []map[string]string{common, config} {
		for key, value := range lines {
			cfg.Extra[key] = value
			if strings.HasPrefix(key, "znode.") {
				// Apache knows these as properties of the Java machine only.
				cfg.JavaFlags = append(cfg.JavaFlags, "-D"+key+"="+value)
			}
		}
	}
	server, err := apache.Start(s.t.TempDir(), cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = server.Kill() })
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := server.WaitReady(ctx); err != nil {
		s.t.Fatal(err)
	}
	s.running[name] = server
	return server.ClientAddr
}

func load(t *testing.T) []*Script {
	t.Helper()
	scripts, err := Load("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	return scripts
}

// TestScripts plays the scripts against this server.
func TestScripts(t *testing.T) {
	servers := newServers(t, false)
	for _, script := range load(t) {
		t.Run(script.Name, func(t *testing.T) {
			if len(script.Config) > 0 {
				t.Parallel() // on a server of its own, and some of them wait a lot
			}
			addr := servers.addr(script.Config)
			for _, section := range script.Sections {
				t.Run(section.Name, func(t *testing.T) { playOurs(t, addr, section) })
			}
			if *marking != "" {
				write(t, script)
			}
		})
	}
}

// playOurs plays a section once more if it differs and sleeps, because on a busy machine a
// sleep may last until a session has expired.
func playOurs(t *testing.T, addr string, section *Section) {
	plays := 1
	if slices.ContainsFunc(section.Steps, func(s *Step) bool { return strings.Contains(s.Line, " sleep ") }) {
		plays = tries
	}
	var diff string
	for range plays {
		answers, err := Play(addr, section)
		if err != nil {
			t.Fatal(err)
		}
		if *marking != "" {
			mark(section, answers)
			return
		}
		if diff = difference(section, answers, false); diff == "" {
			return
		}
	}
	t.Error(diff)
}

// TestApache plays the scripts against Apache's server: what is recorded must be true.
func TestApache(t *testing.T) {
	servers := newServers(t, true)
	for _, script := range load(t) {
		t.Run(script.Name, func(t *testing.T) {
			if len(script.Config) > 0 {
				t.Parallel() // on a server of its own, and some of them wait a lot
			}
			addr := servers.addr(script.Config)
			for _, section := range script.Sections {
				t.Run(section.Name, func(t *testing.T) { playApache(t, addr, section) })
			}
			if *recording && !t.Failed() {
				write(t, script)
			}
		})
	}
}

// tries is how often a section is played of which the machine's other work may change the answers.
const tries = 3

// playApache plays a section once more if it differs, because on a busy machine Apache's
// server closes a connection, now and then, after it has answered what came later on others.
func playApache(t *testing.T, addr string, section *Section) {
	var diff string
	for range tries {
		answers, err := Play(addr, section)
		if err != nil {
			t.Fatal(err)
		}
		if *recording {
			note(section, answers)
			return
		}
		if diff = difference(section, answers, true); diff == "" {
			return
		}
	}
	t.Error(diff)
}

func write(t *testing.T, script *Script) {
	if err := os.WriteFile(script.Path, []byte(script.Format()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// mark notes where this server differs.
func mark(section *Section, answers [][]string) {
	for i, step := range section.Steps {
		if !slices.Equal(step.Want(false), answers[i]) {
			step.Mark, step.Ours = *marking, answers[i]
		}
	}
}

func note(section *Section, answers [][]string) {
	for i, step := range section.Steps {
		step.Apache = answers[i]
	}
}

// shown is how many steps that differ are shown; later ones mostly follow from the first.
const shown = 3

// difference describes the steps whose answers are not those of the script, "" if all are.
func difference(section *Section, answers [][]string, ofApache bool) string {
	var text strings.Builder
	count := 0
	for i, step := range section.Steps {
		var got []string
		if i < len(answers) {
			got = answers[i]
		}
		want := step.Want(ofApache)
		if slices.Equal(want, got) {
			continue
		}
		if count++; count <= shown {
			fmt.Fprintf(&text, "%s\n  want:\n    %s\n  got:\n    %s\n", step.Line, strings.Join(want, "\n    "), strings.Join(got, "\n    "))
		}
	}
	if count > shown {
		fmt.Fprintf(&text, "and %d more steps\n", count-shown)
	}
	return text.String()
}

// TestFormat reads every script and writes it again.
func TestFormat(t *testing.T) {
	for _, script := range load(t) {
		text, err := os.ReadFile(script.Path)
		if err != nil {
			t.Fatal(err)
		}
		if script.Format() != string(text) {
			t.Errorf("%s changes when it is read and written; go test -run Apache -record does that", script.Path)
		}
	}
}

// TestMarks holds the table of differences and the scripts together.
func TestMarks(t *testing.T) {
	used := make(map[string]bool)
	for _, script := range load(t) {
		for _, section := range script.Sections {
			for _, step := range section.Steps {
				if step.Mark == "" {
					continue
				}
				used[step.Mark] = true
				if Differences[step.Mark] == "" {
					t.Errorf("%s, %s: %s: no reason is given for ~%s", script.Path, section.Name, step.Line, step.Mark)
				}
				if slices.Equal(step.Apache, step.Ours) {
					t.Errorf("%s, %s: %s is marked as different, and is not", script.Path, section.Name, step.Line)
				}
			}
		}
	}
	for mark := range Differences {
		if !used[mark] {
			t.Errorf("no script uses the difference %q", mark)
		}
	}
}

// TestCount keeps the suite from losing cases unseen.
func TestCount(t *testing.T) {
	requests, sections := 0, 0
	for _, script := range load(t) {
		for _, section := range script.Sections {
			sections++
			for _, step := range section.Steps {
				if len(step.Apache) > 0 {
					requests++
				}
			}
		}
	}
	t.Logf("%d requests with their answers in %d sections", requests, sections)
	if requests < 400 {
		t.Errorf("only %d requests are compared", requests)
	}
}
