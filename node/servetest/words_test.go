package servetest

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

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
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
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
	for _, s := range servers {
		if got, err := apache.Mode(s.ClientAddr); err == nil && got == mode {
			return s
		}
	}
	t.Fatalf("no server is %s", mode)
	return nil
}

func ask(t *testing.T, s *apache.Server, word string) string {
	t.Helper()
	answer, err := apache.Command(s.ClientAddr, word)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestWords compares the four-letter words with Apache's: of a lone server, a leader, a
// follower and a member without a quorum.
func TestWords(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several servers; run without -short")
	}
	t.Run("standalone", func(t *testing.T) {
		compareWords(t, startServer(t, nil), startNode(t, nil))
	})
	t.Run("whitelist", func(t *testing.T) {
		extra := map[string]string{"4lw.commands.whitelist": "srvr"}
		java, ours := startServer(t, extra), startNode(t, extra)
		for _, word := range []string{"ruok", "stat", "mntr", "isro", "conf", "cons", "wchs", "nope"} {
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
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				if _, err := apache.Mode(s.ClientAddr); err != nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("a member without a quorum still serves")
				}
			}
		}
		for _, word := range []string{"ruok", "srvr", "stat", "mntr", "isro", "conf"} {
			if want, got := ask(t, loneJava, word), ask(t, loneOurs, word); got != want {
				t.Errorf("%s without a quorum: %q, Apache says %q", word, got, want)
			}
		}
	})
}

var (
	numbers  = regexp.MustCompile(`-?\b(0x[0-9a-f]+|\d+)\b`)
	versions = regexp.MustCompile(`\b3\.8\.0-\S+, built on \d{4}-\d\d-\d\d \d\d:\d\d UTC`)
	dataDirs = regexp.MustCompile(`(?m)^(data(?:Log)?Dir)=/.*/data/version-2$`)
)

// shape is an answer without its values.
func shape(answer string) string {
	answer = versions.ReplaceAllString(answer, "VERSION")
	answer = dataDirs.ReplaceAllString(answer, "$1=DIR")
	return numbers.ReplaceAllString(answer, "N")
}

// compareWords compares two servers in the same role, each of which was asked the same.
func compareWords(t *testing.T, java, ours *apache.Server) {
	for _, word := range []string{"ruok", "srvr", "stat", "isro", "conf", "nope"} {
		if want, got := shape(ask(t, java, word)), shape(ask(t, ours, word)); got != want {
			t.Errorf("%s answers\n%s\nApache:\n%s", word, got, want)
		}
	}
	compareMetrics(t, ask(t, java, "mntr"), ask(t, ours, "mntr"))
}

// missing are metrics that Apache has and this server has not.
var missing = []struct{ pattern, why string }{
	{`zk_(avg|min|max|cnt|sum|p50|p95|p99|p999)_\w+`, "but for those in simple: distributions; those of the Java pipeline's stages have no counterpart"},
	{`zk_(non_mtls_\w+_conn_count|outstanding_tls_handshake|tls_handshake_exceeded|unsuccessful_handshake|ensemble_auth_\w+)`, "TLS and SASL are not supported yet"},
	{`zk_(connection_drop_probability|connection_drop_count|throttled_ops|stale_\w+|large_requests_rejected|request_throttle_wait_count)`, "throttles by token and by age are not supported yet"},
	{`zk_local_sessions`, "local sessions are not supported yet"},
	{`zk_(insecure_admin_count|response_packet_\w+|dead_watchers_\w+|add_dead_watcher_stall_time)`, "parts that only the original has"},
	{`zk_(outstanding_changes_\w+|\w+_processor_\w+|request_commit_queued|requests_not_forwarded_to_commit_processor|cnxn_closed_without_zk_server_running)`, "stages of the Java pipeline"},
	{`zk_(proposal_count|commit_count|looking_count|diff_count|snap_count|watch_bytes|revalidate_count|connection_revalidate_count|learner_\w+_received_count|quit_leading_due_to_disloyal_voter|unrecoverable_error_count)`, "not counted yet"},
}

// simple are metrics that only look like one of a distribution.
var simple = regexp.MustCompile(`^zk_(avg|min|max)_(latency|client_response_size|proposal_size|file_descriptor_count)$`)

func compareMetrics(t *testing.T, java, ours string) {
	t.Helper()
	theirNames, theirs := parseMetrics(t, java)
	names, values := parseMetrics(t, ours)
	at := 0
	for _, name := range names {
		next := slices.Index(theirNames[at:], name)
		if next < 0 {
			t.Errorf("%s is no metric of Apache's in this role, or stands in another place", name)
			continue
		}
		at += next + 1
		if got, want := numbers.ReplaceAllString(values[name], "N"), numbers.ReplaceAllString(theirs[name], "N"); got != want && name != "zk_version" {
			t.Errorf("%s is %q, Apache's is like %q", name, values[name], theirs[name])
		}
	}
	for _, name := range theirNames {
		if slices.Contains(names, name) {
			continue
		}
		if simple.MatchString(name) || !slices.ContainsFunc(missing, func(m struct{ pattern, why string }) bool {
			return regexp.MustCompile("^" + m.pattern + "$").MatchString(name)
		}) {
			t.Errorf("%s is missing", name)
		}
	}
	if !versions.MatchString(values["zk_version"]) {
		t.Errorf("zk_version is %q", values["zk_version"])
	}
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
