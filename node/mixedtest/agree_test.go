package mixedtest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk"
)

// dump is everything that a client can learn of a tree: a line for each znode, by its path.
type dump map[string]string

// agree expects the same tree of all members, once nothing changes any more, and that no
// member has found a transaction's digest to differ from its tree's. It returns the tree.
func (e *ensemble) agree() dump {
	t := e.t
	t.Helper()
	e.awaitServing()
	members := e.running()
	clients := make([]*zk.Client, len(members))
	var first dump
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		var difference string
		for i, m := range members {
			if clients[i] == nil {
				clients[i] = super(t, addresses(m))
			}
			tree, err := dumpTree(t, clients[i])
			if err != nil {
				// A member that was stopped answers as it did before until it notices that its
				// leader has given it up, and its clients' connections end then.
				difference = fmt.Sprintf("%v: %v", m, err)
				clients[i].Detach()
				clients[i] = nil
				break
			}
			if i == 0 {
				first = tree
			} else if d := firstDifference(first, tree); d != "" {
				difference = fmt.Sprintf("%v and %v differ: %s", members[0], m, d)
			}
		}
		if difference == "" {
			break
		}
		if time.Now().After(end) {
			t.Fatal(difference)
		}
	}
	for i, m := range members {
		bye(t, clients[i])
		if got := monitor(t, m, "zk_digest_mismatches_count"); got != "0" && !e.replayedTwice(m) {
			t.Fatalf("%v counts %s digest mismatches", m, got)
		}
	}
	return first
}

func dumpTree(t *testing.T, c *zk.Client) (dump, error) {
	t.Helper()
	if _, err := c.Sync(within(t), "/"); err != nil {
		return nil, err
	}
	d := make(dump)
	return d, visit(t, c, "/", d)
}

// visit leaves out /zookeeper/config, whose times are those of the member's start. A znode
// that goes away meanwhile is left out too.
func visit(t *testing.T, c *zk.Client, path string, d dump) error {
	t.Helper()
	if path == "/zookeeper/config" {
		return nil
	}
	ctx := within(t)
	data, err := c.Get(ctx, path)
	acl, aclErr := c.GetACL(ctx, path)
	children, listErr := c.Children(ctx, path)
	err = errors.Join(err, aclErr, listErr)
	if errors.Is(err, zk.ErrNoNode) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	slices.Sort(children.Children)
	d[path] = fmt.Sprintf("%q %+v %v %q", data.Data, data.Stat, acl.ACL, children.Children)
	for _, child := range children.Children {
		if err := visit(t, c, strings.TrimSuffix(path, "/")+"/"+child, d); err != nil {
			return err
		}
	}
	return nil
}

// firstDifference is empty for equal trees.
func firstDifference(a, b dump) string {
	for _, path := range slices.Sorted(maps.Keys(a)) {
		if a[path] != b[path] {
			return fmt.Sprintf("%s\n  %.500s\n  %.500s", path, a[path], b[path])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(b)) {
		if a[path] == "" {
			return fmt.Sprintf("%s\n  nothing\n  %.500s", path, b[path])
		}
	}
	return ""
}

// monitor gives one value of mntr, as soon as the member has it.
func monitor(t *testing.T, m *member, key string) (value string) {
	t.Helper()
	await(t, fmt.Sprintf("%v shows %s", m, key), func() bool {
		var err error
		value, err = metric(m, key)
		return err == nil
	})
	return value
}

// metric is monitor for a member whose role may just be changing.
func metric(m *member, key string) (string, error) {
	answer, err := apache.Command(m.ClientAddr, "mntr")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(answer) {
		if value, ok := strings.CutPrefix(line, key+"\t"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", fmt.Errorf("mntr of %v has no %s:\n%s", m, key, answer)
}

var (
	// divergence is what a Java server logs when its state is not, or may not be, its
	// leader's. Other lines of the level ERROR tell of connections that ended.
	divergence = regexp.MustCompile(`Digests are not matching|but next pending txn|Committing zxid.*but|Severe unrecoverable error|Not able to truncate|Failed to (process|apply)| ERROR \S*\.(DataTree|ZKDatabase|FinalRequestProcessor|CommitProcessor|SyncRequestProcessor|FollowerZooKeeperServer) `)
	// lostLeader is how threads of 3.8.0 end that want to write to a leader when the
	// connection to it has just been lost (ZOOKEEPER-4409). The server goes into an election
	// then, and starts new ones.
	lostLeader = regexp.MustCompile(`"this\.(learner\.)?(sock|leaderOs)" is null|FollowerRequestProcessor:\d+\s+java\.lang\.NullPointerException`)
	// replay is what a Java server logs at the end of a role, when it has applied what it had only
	// logged.
	replay = regexp.MustCompile(`FileTxnSnapLog - [1-9]\d* txns loaded`)
	// gap is logged when proposals do not follow each other.
	gap = regexp.MustCompile(`Got zxid 0x([0-9a-f]+) expected 0x([0-9a-f]+)`)
)

// inReplay reports whether a mismatch of digests is of the moment in which a Java server loses its
// leader: its last commit may still be under way while it applies its log, so that what is
// newer is in the tree already. Nothing of ours takes part in that.
func inReplay(text []byte, at int) bool {
	const momentBytes = 4000
	line, _, _ := bytes.Cut(text[at:], []byte("\n"))
	if !bytes.Contains(line, []byte("Digests are not matching")) && !bytes.Contains(line, []byte("First digest mismatch")) {
		return false
	}
	moment := text[max(0, at-momentBytes):min(at+momentBytes, len(text))]
	return replay.Match(moment) && bytes.Contains(moment, []byte("CommitProcessor exited loop"))
}

// replayedTwice reports whether all mismatches that a Java member has logged are of that kind.
func (e *ensemble) replayedTwice(m *member) bool {
	text, err := os.ReadFile(m.LogFile)
	if err != nil || m.kind != java {
		return false
	}
	for _, found := range regexp.MustCompile(`Digests are not matching`).FindAllIndex(text, -1) {
		if !inReplay(text, found[0]) {
			return false
		}
	}
	return true
}

// checkJavaLog reads what a member's Java servers have logged for signs of divergence.
func checkJavaLog(t *testing.T, m *member) {
	t.Helper()
	text, err := os.ReadFile(m.LogFile)
	if err != nil {
		t.Error(err)
		return
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "time=") {
			continue // this server's
		}
		if divergence.MatchString(line) {
			at := strings.Index(string(text), line)
			if what := text[at:min(at+1000, len(text))]; !lostLeader.Match(what) && !inReplay(text, at) {
				t.Errorf("%v logged: %s", m, what)
			}
		}
		if found := gap.FindStringSubmatch(line); found != nil {
			// Nothing is expected by who has just come, and the first of an epoch does not
			// follow the last of the one before.
			zxid, err := strconv.ParseUint(found[1], 16, 64)
			if err != nil || found[2] != "1" && zxid&0xffffffff != 1 {
				t.Errorf("%v logged: %s", m, line)
			}
		}
	}
}

// TestInReplay: what a Java server of 3.8.0 logged when it lost a leader of ours that was stopped.
func TestInReplay(t *testing.T) {
	const mismatch = "1105 [CommitProcessor:2] WARN org.apache.zookeeper.server.DataTree - Message:Digests are not matching. Value is Zxid. Value:12884904031\n"
	const rest = "1106 [WorkerReceiver[myid=2]] INFO org.apache.zookeeper.server.quorum.FastLeaderElection - Notification: my state:FOLLOWING\n" +
		"1112 [CommitProcessor:2] ERROR org.apache.zookeeper.server.DataTree - First digest mismatch on txn: 72057638295109632,352,12884904031,1795868400361,5\n" +
		"1112 [CommitProcessor:2] INFO org.apache.zookeeper.server.quorum.CommitProcessor - CommitProcessor exited loop!\n"
	const replayed = "1115 [QuorumPeer[myid=2](plain=127.0.0.1:13365)(secure=disabled)] INFO org.apache.zookeeper.server.persistence.FileTxnSnapLog - %d txns loaded in 25 ms\n"
	for txns, want := range []bool{false, true} {
		if got := inReplay(fmt.Appendf(nil, mismatch+rest+replayed, txns), 0); got != want {
			t.Errorf("with %d transactions replayed: %v", txns, got)
		}
	}
	if inReplay([]byte(mismatch), 0) {
		t.Error("a mismatch alone is taken for one of a replay")
	}
	if text := []byte(rest + fmt.Sprintf(replayed, 50)); inReplay(text, 0) {
		t.Error("what is no mismatch is taken for one")
	}
}
