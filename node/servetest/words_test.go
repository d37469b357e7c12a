package servetest

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"zoolab/internal/apache"
)

// startThree starts an ensemble of three; without a command it is Apache's.
func startThree(t *testing.T, command ...string) []*apache.Server {
	t.Helper()
	if len(command) == 0 {
		if err := apache.Available(); err != nil {
			t.Skip(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cfg := apache.Config{HeapMB: 128, Command: command}
	servers, err := apache.StartEnsemble(ctx, t.TempDir(), cfg, cfg, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apache.StopAll(servers) })
	return servers
}

// byMode finds a server with a mode.
func byMode(t *testing.T, servers []*apache.Server, mode string) *apache.Server {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		for _, s := range servers {
			if got, err := apache.Mode(s.ClientAddr); err == nil && got == mode {
				return s
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no server is %s", mode)
		}
	}
}

// awaitAgreement asks again while two servers differ: each notices in its own time that a
// client came or went.
func awaitAgreement(t *testing.T, differ func() (difference string)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		difference := differ()
		if difference == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Error(difference)
			return
		}
	}
}

func ask(t *testing.T, s *apache.Server, word string) string {
	t.Helper()
	answer, err := apache.Command(s.ClientAddr, word)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// watchSomething opens a session that has an ephemeral and watches, and stays. It sets a
// quota, too.
func watchSomething(t *testing.T, s *apache.Server) {
	t.Helper()
	c := clientOf(t, s)
	if _, err := c.Create("/mine", []byte("x"), zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/mine"} {
		if _, _, _, err := c.GetW(path); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, _, err := c.ChildrenW("/"); err != nil {
		t.Fatal(err)
	}
	for _, znode := range [][2]string{
		{"/full", "12345"}, {"/zookeeper/quota/full", ""},
		{"/zookeeper/quota/full/zookeeper_stats", "count=1,bytes=5"}, {"/zookeeper/quota/full/zookeeper_limits", "count=7,bytes=-1"},
	} {
		if _, err := c.Create(znode[0], []byte(znode[1]), 0, zk.WorldACL(zk.PermAll)); err != nil {
			t.Fatal(err)
		}
	}
}

// TestWords compares the four-letter words with Apache's: of a lone server, a leader, a
// follower and a member without a quorum.
func TestWords(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several servers; run without -short")
	}
	t.Run("standalone", func(t *testing.T) {
		java, ours := startServer(t, nil), startNode(t, nil)
		for _, s := range []*apache.Server{java, ours} {
			watchSomething(t, s)
		}
		compareWords(t, java, ours)
	})
	t.Run("whitelist", func(t *testing.T) {
		extra := map[string]string{"4lw.commands.whitelist": "srvr"}
		java, ours := startServer(t, extra), startNode(t, extra)
		for _, word := range append(slices.Clone(allWords), "nope") {
			if word == "srvr" {
				compareWord(t, word, java, ours)
				continue
			}
			if want, got := ask(t, java, word), ask(t, ours, word); got != want {
				t.Errorf("%s: %q, Apache says %q", word, got, want)
			}
		}
	})
	t.Run("ensemble", func(t *testing.T) {
		java, ours := startThree(t), startThree(t, nodeBinary, "serve")
		for _, mode := range []string{"leader", "follower"} {
			t.Run(mode, func(t *testing.T) { compareWords(t, byMode(t, java, mode), byMode(t, ours, mode)) })
		}
		loneJava, loneOurs := java[0], ours[0]
		if err := apache.StopAll(append(slices.Clone(java[1:]), ours[1:]...)); err != nil {
			t.Fatal(err)
		}
		for _, s := range []*apache.Server{loneJava, loneOurs} {
			for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
				if _, err := apache.Mode(s.ClientAddr); err != nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("a member without a quorum still serves")
				}
			}
		}
		for _, word := range allWords {
			if word == "envi" {
				continue // compareWords does
			}
			awaitAgreement(t, func() string {
				if want, got := ask(t, loneJava, word), ask(t, loneOurs, word); got != want {
					return fmt.Sprintf("%s without a quorum: %q, Apache says %q", word, got, want)
				}
				return ""
			})
		}
	})
}

// allWords are the 18 words.
var allWords = []string{"conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr", "ruok", "srst",
	"srvr", "stat", "stmk", "wchc", "wchp", "wchs"}

var (
	numbers  = regexp.MustCompile(`-?\b(0x[0-9a-f]+|\d+)\b`)
	versions = regexp.MustCompile(`\b3\.8\.0-\S+, built on \d{4}-\d\d-\d\d \d\d:\d\d UTC`)
	dataDirs = regexp.MustCompile(`(?m)^(data(?:Log)?Dir)=/.*/data/version-2$`)
	dates    = regexp.MustCompile(`\b[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d \S+ \d{4}\b`)
	// sets are Apache's expiry queues: how sessions and connections are grouped depends on
	// when they came, and empty groups are an accident.
	sets       = regexp.MustCompile(`(?m)^(N expire at DATE:\n|Sets \(N\)/\(N\):\n)`)
	operations = regexp.MustCompile(`lop=\w+`)
	heads      = regexp.MustCompile(`\bSets \(N\)/`)
	environ    = regexp.MustCompile(`(?m)^([a-z.]+)=.*$`)
)

// javaOnly are the lines of envi that tell of Java, and goOnly what stands there instead.
var (
	javaOnly = regexp.MustCompile(`(?m)^java\.(version|vendor|home|class\.path|library\.path|compiler)\n`)
	goOnly   = regexp.MustCompile(`(?m)^go\.(version|maxprocs)\n`)
)

// shape is an answer without its values.
func shape(word, answer string) string {
	answer = versions.ReplaceAllString(answer, "VERSION")
	answer = dataDirs.ReplaceAllString(answer, "$1=DIR")
	if word == "envi" {
		answer = environ.ReplaceAllString(answer, "$1")
		return goOnly.ReplaceAllString(javaOnly.ReplaceAllString(answer, ""), "")
	}
	answer = operations.ReplaceAllString(answer, "lop=NAME") // on a slow machine, a ping
	answer = dates.ReplaceAllString(answer, "DATE")
	answer = numbers.ReplaceAllString(answer, "N")
	answer = heads.ReplaceAllString(sets.ReplaceAllString(answer, ""), "Sets ")
	if word == "cons" || word == "stat" || word == "wchc" || word == "wchp" {
		// Apache's order is that of a hash table.
		lines := strings.Split(answer, "\n")
		slices.Sort(lines)
		answer = strings.Join(lines, "\n")
	}
	return answer
}

// compareWords compares two servers in the same role, each of which was asked the same.
func compareWords(t *testing.T, java, ours *apache.Server) {
	for _, word := range append(slices.Clone(allWords), "stmk\x00\x00\x00\x00\x00\x00\x01\x00", "nope") {
		if word == "mntr" {
			continue
		}
		compareWord(t, word, java, ours)
	}
	compareMetrics(t, java, ours)
}

// compareWord compares what two servers answer to a word.
func compareWord(t *testing.T, word string, java, ours *apache.Server) {
	t.Helper()
	awaitAgreement(t, func() string {
		want, got := shape(word, ask(t, java, word)), shape(word, ask(t, ours, word))
		if got == want {
			return ""
		}
		return fmt.Sprintf("%s answers\n%s\nApache:\n%s", word, got, want)
	})
}

// noCounterpart are the keys of sets that this server does not have: its leader keeps no
// queue of packets for each learner to measure, and only a transaction counts as a write,
// not the configuration that each server puts into its own tree.
var noCounterpart = regexp.MustCompile(`^zk_[a-z0-9]+_(\d+_learner_handler_qp_(size|time_ms)|zookeeper_write_per_namespace)$`)

var ackLatency = regexp.MustCompile(`^zk_[a-z0-9]+_\d_ack_latency$`)

func compareMetrics(t *testing.T, java, ours *apache.Server) {
	t.Helper()
	awaitAgreement(t, func() string { return metricsDiffer(t, ask(t, java, "mntr"), ask(t, ours, "mntr")) })
}

// metricsDiffer says how our answer to mntr differs in its names and the shapes of its values.
func metricsDiffer(t *testing.T, java, ours string) string {
	t.Helper()
	theirNames, theirs := parseMetrics(t, java)
	names, values := parseMetrics(t, ours)
	var differences []string
	differ := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	at := 0
	for _, name := range names {
		if ackLatency.MatchString(name) {
			continue // Apache's shows it after a thousand transactions
		}
		if strings.HasSuffix(name, "_per_namespace") {
			// The order of a set's members is that of a hash table.
			if !slices.Contains(theirNames, name) && !noCounterpart.MatchString(name) {
				differ("%s is no metric of Apache's in this role", name)
			}
			continue
		}
		next := slices.Index(theirNames[at:], name)
		if next < 0 {
			differ("%s is no metric of Apache's in this role, or stands in another place", name)
			continue
		}
		at += next + 1
		if got, want := numbers.ReplaceAllString(values[name], "N"), numbers.ReplaceAllString(theirs[name], "N"); got != want && name != "zk_version" {
			differ("%s is %q, Apache's is like %q", name, values[name], theirs[name])
		}
	}
	for _, name := range theirNames {
		if !slices.Contains(names, name) && !noCounterpart.MatchString(name) {
			differ("%s is missing", name)
		}
	}
	if !versions.MatchString(values["zk_version"]) {
		differ("zk_version is %q", values["zk_version"])
	}
	return strings.Join(differences, "\n")
}

func parseMetrics(t *testing.T, answer string) (names []string, values map[string]string) {
	t.Helper()
	values = make(map[string]string)
	for line := range strings.Lines(answer) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !ok {
			t.Fatalf("no metric: %q", line)
		}
		names = append(names, name)
		values[name] = value
	}
	return names, values
}
