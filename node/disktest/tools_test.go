package disktest

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"zoolab/internal/apache"
)

// java runs one of Apache's tools and returns its standard output.
func java(t *testing.T, class string, args ...string) string {
	t.Helper()
	out, err := javaOrError(t, class, args...)
	if err != nil {
		t.Fatalf("%s %q: %v", class, args, err)
	}
	return out
}

// javaOrError is java for what one of Apache's tools may refuse.
func javaOrError(t *testing.T, class string, args ...string) (string, error) {
	classPath := apache.ClassPath()
	for _, jar := range []string{"commons-cli", "snappy-java", "jackson-core"} {
		classPath += ":/usr/share/java/" + jar + ".jar"
	}
	argv := append([]string{"-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-Dfile.encoding=UTF-8", "-cp", classPath,
		"org.apache.zookeeper.server." + class}, args...)
	out, err := exec.CommandContext(t.Context(), "java", argv...).Output()
	return string(out), err
}

// firstWhole is the first snapshot that Apache's tool reads: a server that was killed may have
// been writing any of them.
func firstWhole(t *testing.T, snapshots []string) string {
	t.Helper()
	for _, snapshot := range snapshots {
		if _, err := javaOrError(t, "SnapshotFormatter", snapshot); err == nil {
			return snapshot
		}
	}
	t.Fatalf("none of %d snapshots is whole: %q", len(snapshots), snapshots)
	return ""
}

// tool runs one of ours.
func tool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), nodeBinary, args...).Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return string(out)
}

var (
	innerNewline = regexp.MustCompile(`\}\n([,\]])`)
	multiBody    = regexp.MustCompile(`(?m) multi .*$`)
	seconds      = regexp.MustCompile(` in [0-9.]+ seconds`)
	timestamp    = regexp.MustCompile(`"timestamp":\d+`)
	inode        = regexp.MustCompile(`"ino":\d+`)
)

// compareTools runs Apache's tools and ours on the same files. What is known to differ is
// made alike: see the comments of the tools.
func compareTools(t *testing.T, p *place) {
	t.Helper()
	same := func(what, theirs, ours string) {
		t.Helper()
		if theirs == ours {
			return
		}
		a, b := strings.Split(theirs, "\n"), strings.Split(ours, "\n")
		i := 0
		for i < min(len(a), len(b)) && a[i] == b[i] {
			i++
		}
		t.Errorf("%s: line %d of %d and %d differs:\nApache %.300q\nours   %.300q", what, i+1, len(a), len(b),
			append(a, "")[min(i, len(a))], append(b, "")[min(i, len(b))])
	}
	logs := p.files("log.*")
	for _, log := range []string{p.files("log.1")[0], logs[len(logs)-1]} {
		theirs := innerNewline.ReplaceAllString(java(t, "persistence.TxnLogToolkit", log), "}$1")
		ours := tool(t, "txnlog", log)
		same("txnlog "+filepath.Base(log), oneForm(theirs), oneForm(ours))
	}
	plain := slices.DeleteFunc(p.files("snapshot.*"), func(name string) bool { return strings.Count(filepath.Base(name), ".") > 1 })
	snapshots := []string{firstWhole(t, plain[1:]), firstWhole(t, p.files("snapshot.*.gz")), firstWhole(t, p.files("snapshot.*.snappy"))}
	for _, snapshot := range snapshots {
		for _, flags := range [][]string{nil, {"-d"}} {
			args := append(flags, snapshot)
			same("snapshot dump "+filepath.Base(snapshot), sortedBlocks(java(t, "SnapshotFormatter", args...)),
				sortedBlocks(tool(t, append([]string{"snapshot", "dump"}, args...)...)))
		}
	}
	form := func(s string) string {
		return sortedLines(inode.ReplaceAllString(timestamp.ReplaceAllString(strings.NewReplacer("{", "\n{", "]", "", "[", "", ",", "").Replace(s), "T"), "I"))
	}
	same("snapshot dump -json", form(java(t, "SnapshotFormatter", "-json", snapshots[2])), form(tool(t, "snapshot", "dump", "-json", snapshots[2])))
	for _, flags := range [][]string{{"-b", "10", "-n", "2"}, {"-b", "0", "-n", "0", "-d"}} {
		args := append([]string{"-l", snapshots[0], "-r", snapshots[2]}, flags...)
		same("snapshot compare", seconds.ReplaceAllString(java(t, "SnapshotComparer", args...), ""),
			seconds.ReplaceAllString(tool(t, append([]string{"snapshot", "compare"}, args...)...), ""))
	}
}

// oneForm leaves out the bodies of multis and what is not text.
func oneForm(log string) string {
	lines := strings.Split(multiBody.ReplaceAllString(log, " multi"), "\n")
	return strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, "/binary") }), "\n")
}

// sortedBlocks orders the znodes of a dump by their paths, and sessions.
func sortedBlocks(dump string) string {
	blocks := strings.Split(dump, "----\n")
	for i := range blocks {
		if strings.HasPrefix(blocks[i], "Session Details") {
			blocks[i] = sortedLines(blocks[i])
		}
	}
	slices.Sort(blocks)
	return strings.Join(blocks, "----\n")
}

func sortedLines(text string) string {
	lines := strings.Split(text, "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
