package cli_test

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"zoolab/internal/apache"
	"zoolab/node/cli"
)

// output is what a shell printed, and its exit code. Apache's prints events from a
// thread of its own, at any time: they are a stream of their own, without their order
// relative to answers.
type output struct {
	out, events, err string
	code             int
}

// TestSameAsApache gives one script to this shell and to Apache's, each on a new server
// of this repository and of Apache's. All four must print the same, but for the
// differences below, which COMPATIBILITY.md explains.
func TestSameAsApache(t *testing.T) {
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	if err := apache.Available(); err != nil {
		t.Skip(err)
	}
	script, err := os.ReadFile("testdata/same.script")
	if err != nil {
		t.Fatal(err)
	}
	node := apache.Config{Command: []string{nodeBinary(t), "serve"}}
	want := runShell(t, apache.Config{}, javaShell, string(script))
	if !strings.HasSuffix(want.err, "Node does not exist: /none\n") {
		t.Fatalf("Apache's shell did not come to the end of the script:\n%s\n%s", want.out, want.err)
	}
	for _, combination := range []struct {
		name   string
		server apache.Config
		shell  func(*testing.T, string, string) output
	}{
		{"this shell, Apache's server", apache.Config{}, thisShell},
		{"Apache's shell, this server", node, javaShell},
		{"this shell, this server", node, thisShell},
	} {
		t.Run(combination.name, func(t *testing.T) {
			got := runShell(t, combination.server, combination.shell, string(script))
			compare(t, "standard output", want.out, got.out)
			compare(t, "events", want.events, got.events)
			compare(t, "standard error", want.err, got.err)
			if got.code != want.code {
				t.Errorf("exit code %d, want %d", got.code, want.code)
			}
		})
	}
}

// runShell starts a server and a shell, and masks what the shell printed.
func runShell(t *testing.T, cfg apache.Config, shell func(t *testing.T, addr, script string) output, script string) output {
	t.Helper()
	server, err := start(t.TempDir(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Kill() }()
	printed := shell(t, server.ClientAddr, script)
	mask := func(text string) string { return masked(strings.ReplaceAll(text, server.ClientAddr, "SERVER")) }
	out, events := separate(mask(printed.out))
	return output{out, events, mask(printed.err), printed.code}
}

// sessionEvent is an event of the session. Apache's shell prints it from a thread of its
// own, maybe in the middle of a line.
var sessionEvent = regexp.MustCompile(`\nWATCHER::\n\nWatchedEvent .*type:None.*\n`)

// separate takes the events out of an output, and empty lines, some of which are theirs.
// Those of the session are left out: Apache's shell may end before it prints the last.
func separate(text string) (answers, events string) {
	for line := range strings.Lines(sessionEvent.ReplaceAllString(text, "")) {
		switch {
		case strings.HasPrefix(line, "WatchedEvent ") && strings.Contains(line, "type:None"):
		case strings.HasPrefix(line, "WatchedEvent "):
			events += line
		case line != "WATCHER::\n" && line != "\n":
			answers += line
		}
	}
	return answers, events
}

func javaShell(t *testing.T, addr, script string) output {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, complaints, code, err := apache.RunCLIStreams(ctx, addr, script)
	if err != nil {
		t.Fatalf("Apache's shell: %v\n%s", err, complaints)
	}
	return output{out: out, err: complaints, code: code}
}

func thisShell(t *testing.T, addr, script string) output {
	var out, complaints strings.Builder
	code := cli.Run([]string{"-greet", "-server", addr}, "3.8.0", cli.Streams{
		In: strings.NewReader(script), Out: &out, Err: &complaints})
	return output{out: out.String(), err: complaints.String(), code: code}
}

// masks take away what differs from run to run, and what differs on purpose.
var masks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`(?m)^([cmp]Zxid) = 0x[0-9a-f]+$`), "$1 = ZXID"}, // this server begins with epoch 1
	{regexp.MustCompile(`(?m)^([cm]time) = .*$`), "$1 = TIME"},
	{regexp.MustCompile(`(?m)^ephemeralOwner = 0x[0-9a-f]{2,}$`), "ephemeralOwner = SESSION"},
	{regexp.MustCompile(`(?m)^(\[main|EndOfStreamException|\tat ).*\n`), ""}, // Java's log
	{regexp.MustCompile(`(?m)^JLine support is disabled\n`), ""},

	{regexp.MustCompile(`(?m)^ZooKeeper -server host:port .*\n(\t.*\n)+`), ""},
	{regexp.MustCompile(`(?m)^Command not found: (Command not found )?([^;\n]*).*$`), "Command not found: $2"},
	{regexp.MustCompile(`org\.apache\.commons\.cli\.\w+: `), ""},
	{regexp.MustCompile(`(?m); usage: .*$`), ""},
	{regexp.MustCompile(`(?m)^Ignored: .*\n`), ""},
	{regexp.MustCompile(`(?m)^Missing required option: .*$`), "Missing required option"},
	{regexp.MustCompile(`(?m)^KeeperErrorCode = InvalidACL.*\n`), ""},
}

func masked(text string) string {
	for _, mask := range masks {
		text = mask.pattern.ReplaceAllString(text, mask.text)
	}
	return text
}

// compare reports how two texts differ, as diff does.
func compare(t *testing.T, what, want, got string) {
	t.Helper()
	if want == got {
		return
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"want": want, "got": got} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	diff, err := exec.Command("diff", "-U3", dir+"/want", dir+"/got").CombinedOutput()
	if len(diff) == 0 {
		t.Fatal(err)
	}
	t.Errorf("%s differs from Apache's shell at Apache's server:\n%s", what, diff)
}
