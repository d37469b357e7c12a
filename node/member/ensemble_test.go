package member

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"zoolab/node/config"
	"zoolab/node/tree"
	"zoolab/node/vfs"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

var discard = slog.New(slog.DiscardHandler)

// startAll runs the members and waits until all serve.
func startAll(t *testing.T, cfgs []*config.Config) []*running {
	t.Helper()
	var members []*running
	for _, cfg := range cfgs {
		members = append(members, start(t, cfg, vfs.OS{}))
	}
	for _, m := range members {
		eventually(t, "the ensemble is formed", m.serves)
	}
	return members
}

func leaderOf(members []*running) int {
	for i, m := range members {
		if m.replica.Status().Role == zab.RoleLeaderEstablished {
			return i
		}
	}
	return -1
}

// checkConfigZnode expects what Apache 3.8.0 shows of a membership that was never changed:
// its text, with version 0, written at no transaction.
func checkConfigZnode(t *testing.T, m *running, cfg *config.Config) {
	t.Helper()
	data, stat, err := m.replica.Tree().GetData(tree.ConfigPath, tree.Caller{}, nil)
	text := string(data)
	for _, s := range cfg.Membership.Servers {
		if line := fmt.Sprintf("server.%d=%s:%d:%d:participant", s.ID, s.Addrs[0].Host, s.Addrs[0].QuorumPort, s.Addrs[0].ElectionPort); !strings.Contains(text, line) {
			t.Errorf("the configuration %q lacks %s", text, line)
		}
	}
	if err != nil || !strings.HasSuffix(text, "\nversion=0") || stat.Version != -1 || stat.Mzxid != 0 || stat.Aversion != -1 || time.Since(time.UnixMilli(stat.Mtime)) > time.Hour {
		t.Errorf("the configuration is %q %+v %v", text, stat, err)
	}
}

// TestLeaderStops: the others have a new leader soon, nothing acknowledged is lost, and
// whoever comes back has the same tree.
func TestLeaderStops(t *testing.T) {
	cfgs := ensemble(t, 3, "snapCount=50")
	members := startAll(t, cfgs)
	for i, m := range members {
		checkConfigZnode(t, m, cfgs[i])
	}
	c := connect(t, members...)
	if _, err := create(c, 0, 100); err != nil {
		t.Fatal(err)
	}
	old := leaderOf(members)
	rest := append(append([]*running(nil), members[:old]...), members[old+1:]...)
	began := time.Now()
	members[old].stop()
	eventually(t, "the others elect a leader", func() bool {
		return leaderOf(rest) >= 0 && rest[0].serves() && rest[1].serves()
	})
	// They need some 20 ms and a busy machine more; who waited for pings would need syncLimit.
	if took := time.Since(began); took > 7*time.Second {
		t.Errorf("the others needed %v for a new leader, and may lack pings for 10 s", took)
	}
	c2 := connect(t, rest...)
	check(t, c2, 100)
	if _, err := create(c2, 100, 200); err != nil {
		t.Fatal(err)
	}
	members[old] = start(t, cfgs[old], vfs.OS{})
	eventually(t, "the old leader has caught up", func() bool {
		return members[old].serves() && members[old].replica.Tree().LastZxid() >= rest[0].replica.Tree().LastZxid()
	})
	check(t, connect(t, members[old]), 200)
	eventually(t, "all trees are equal", func() bool {
		a, b, c := members[0].replica.Tree(), members[1].replica.Tree(), members[2].replica.Tree()
		return a.LastZxid() == b.LastZxid() && b.LastZxid() == c.LastZxid() && a.Digest() == b.Digest() && b.Digest() == c.Digest()
	})
	for _, m := range members {
		if n := m.replica.Tree().DigestMismatches(); n != 0 {
			t.Errorf("member %d met %d other digests than its own", m.cfg.MyID, n)
		}
		m.stop()
	}
	// And all that from the disks.
	members = startAll(t, cfgs)
	check(t, connect(t, members[0]), 200)
}

// TestTruncateImpossible: a member whose snapshot holds what the leader's history lacks
// can't be taken back to the common past. It is sent a snapshot instead.
func TestTruncateImpossible(t *testing.T) {
	cfgs := ensemble(t, 3)
	keep := func(*jute.LoggedTxn) {}
	const e1, e2 = int64(1) << 32, int64(2) << 32
	for i := range 2 {
		s := seed(t, cfgs[i].Storage.DataDir, 1, keep, e1+1, e1+2)
		if err := s.SetAcceptedEpoch(2); err != nil {
			t.Fatal(err)
		}
		seed(t, cfgs[i].Storage.DataDir, 2, keep, e2+1)
	}
	odd := cfgs[2].Storage.DataDir
	s := seed(t, odd, 1, keep, e1+1, e1+2, e1+3)
	tr, _, _, err := loadTree(s, 0, tree.NewBuilder)
	if err != nil {
		t.Fatal(err)
	}
	view := tr.View()
	if err := s.InstallSnapshot(view); err != nil {
		t.Fatal(err)
	}
	view.Close()
	startAll(t, cfgs[:2])
	m := start(t, cfgs[2], vfs.OS{})
	eventually(t, "the member is sent a snapshot, and serves", func() bool {
		return m.serves() && m.log.count("installing the leader's snapshot") == 1
	})
	// Once where the connection is closed, once where the role changes.
	if n := m.log.count("we come again for its snapshot"); n != 2 {
		t.Errorf("%d lines say why, want 2", n)
	}
	if last := m.replica.Tree().LastZxid(); last>>32 < 2 {
		t.Errorf("its tree is of %s, which was never committed", hex(last))
	}
}
