package clienttest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Where Debian's package zookeeper-bin puts the C client's programs.
const (
	cShell = "/usr/lib/zookeeper/bin/cli_mt"
	cLoad  = "/usr/lib/zookeeper/bin/load_gen"
)

// TestCShell gives the lines of a script to the C client's shell.
func TestCShell(t *testing.T) {
	need(t, cShell, "zookeeper-bin")
	script, err := os.ReadFile("testdata/cli_mt.script")
	if err != nil {
		t.Fatal(err)
	}
	onEveryServer(t, "cli_mt.golden", func(t *testing.T, servers string) string {
		return runCShell(t, servers, strings.Split(strings.TrimSpace(string(script)), "\n"))
	})
}

// runCShell returns what the shell says to each line. It works asynchronously and never
// says that it is ready: a sync behind each line, on a path of its own, is answered when
// the line has been.
func runCShell(t *testing.T, servers string, lines []string) string {
	cmd := exec.Command(cShell, "-h", servers)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe() // the answers
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }).Stop()
	answers := bufio.NewScanner(stderr)
	var story strings.Builder
	until := func(end string) {
		for answers.Scan() {
			line := strings.TrimRight(answers.Text(), " \t")
			if strings.Contains(line, end) {
				return
			}
			if line = maskC(line); line != "" {
				fmt.Fprintln(&story, line)
			}
		}
		t.Fatalf("the C shell ended without %q:\n%s", end, story.String())
	}
	until("state = CONNECTED_STATE")
	for i, line := range lines {
		fmt.Fprintf(&story, "> %s\n", line)
		if _, err := fmt.Fprintf(stdin, "%s\nsync /fence%d\n", line, i); err != nil {
			t.Fatal(err)
		}
		until(fmt.Sprintf("name = /fence%d", i))
	}
	if _, err := io.WriteString(stdin, "quit\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, stderr)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the C shell ended with %v", err)
	}
	return sortChildren(story.String())
}

// sortChildren brings lists of children, one a line behind a tab, into one order:
// servers give them in none.
func sortChildren(story string) string {
	lines := strings.Split(story, "\n")
	child := func(line string) bool { return strings.HasPrefix(line, "\t") && !strings.Contains(line, "=") }
	for i := 0; i < len(lines); i++ {
		end := i
		for end < len(lines) && child(lines[end]) {
			end++
		}
		slices.Sort(lines[i:end])
		i = max(i, end-1)
	}
	return strings.Join(lines, "\n")
}

// lateC is what the C client says when its machine lets it wait.
var lateC = regexp.MustCompile(`^.*ZOO_WARN@.*Exceeded deadline by .*`)

var cMasks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`^time = .*`), ""},
	{regexp.MustCompile(`^Got a new session id: .*`), ""},
	{regexp.MustCompile(`^.*ZOO_INFO@.*`), ""},
	{lateC, ""},
	{regexp.MustCompile(`^\[/fence\d+\]: rc = 0`), ""},
	{regexp.MustCompile(`(ctime|mtime) ?= ?.*\d\d:\d\d:\d\d \d{4}`), "$1=TIME"},
	{regexp.MustCompile(`(czxid|mzxid|pzxid)=[0-9a-f]+`), "$1=ZXID"},
	{regexp.MustCompile(`(ephemeralOwner ?= ?)[0-9a-f]{6,}`), "${1}SESSION"},
}

// maskC takes away what differs from run to run.
func maskC(line string) string {
	for _, mask := range cMasks {
		line = mask.pattern.ReplaceAllString(line, mask.text)
	}
	return line
}

// TestCLoad lets the C client's load generator create, write, read and delete children
// over and over, and then clean up.
func TestCLoad(t *testing.T) {
	need(t, cLoad, "zookeeper-bin")
	const children, cycles = "200", 3
	for name, start := range map[string]func() (string, error){"alone": shared.alone, "ensemble": shared.ensemble} {
		t.Run(name, func(t *testing.T) {
			servers, err := start()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(cLoad, servers, "/load", children)
			log, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }).Stop()
			deleting := 0 // how often it came to the end of a cycle
			lines := bufio.NewScanner(log)
			for deleting <= cycles && lines.Scan() {
				if strings.Contains(lines.Text(), "Starting the delete cycle") {
					deleting++
				}
				if line := lines.Text(); strings.Contains(line, "ERROR") || strings.Contains(line, "WARN") && !lateC.MatchString(line) {
					t.Error(lines.Text())
				}
			}
			_ = cmd.Process.Kill() // it never ends by itself
			_ = cmd.Wait()
			if deleting <= cycles {
				t.Fatalf("the load generator ended in cycle %d", deleting)
			}
			out, err := exec.Command(cLoad, servers, "/load", "clean").CombinedOutput()
			if err != nil || !strings.Contains(string(out), "Successfully deleted a subtree") {
				t.Errorf("clean: %v\n%s", err, out)
			}
		})
	}
}
