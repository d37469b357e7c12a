package clienttest

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// javaShell is where Debian's package zookeeper puts Apache's shell.
const javaShell = "/usr/share/zookeeper/bin/zkCli.sh"

var javaMasks = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`(?m)^([cmp]Zxid|[cm]time) = .*$`), "$1 = MASKED"},
	{regexp.MustCompile(`(?m)^ephemeralOwner = 0x[0-9a-f]{2,}$`), "ephemeralOwner = SESSION"},
	// Events are printed by a thread of their own, at any time.
	{regexp.MustCompile(`(?m)^(WATCHER::|WatchedEvent .*|)\n`), ""},
	{regexp.MustCompile(`(?m)^Connecting to .*\n`), ""},
}

// TestJavaShell gives the lines of a script to the zkCli.sh of Debian's package.
// TestSameAsApache of node/cli has many more, at a server that stands alone.
func TestJavaShell(t *testing.T) {
	need(t, javaShell, "zookeeper default-jre-headless")
	onEveryServer(t, "zkcli.golden", func(t *testing.T, servers string) string {
		script, err := os.Open("testdata/zkcli.script")
		if err != nil {
			t.Fatal(err)
		}
		defer script.Close()
		cmd := exec.Command(javaShell, "-server", servers)
		var out, complaints strings.Builder
		cmd.Stdin, cmd.Stdout, cmd.Stderr = script, &out, &complaints
		if err := cmd.Run(); err != nil {
			t.Errorf("zkCli.sh ended with %v", err)
		}
		text := out.String()
		for _, mask := range javaMasks {
			text = mask.pattern.ReplaceAllString(text, mask.text)
		}
		var said strings.Builder
		for line := range strings.Lines(complaints.String()) {
			if !strings.HasPrefix(line, "log4j:") && !strings.HasPrefix(line, "SLF4J:") {
				said.WriteString(line)
			}
		}
		return text + "-- standard error --\n" + said.String()
	})
}
