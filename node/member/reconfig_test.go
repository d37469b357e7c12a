package member

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-zookeeper/zk"

	"zoolab/node/config"
	"zoolab/node/vfs"
)

// expandable configures n members, of which the first so many form the ensemble. The others
// are to join: each knows those and itself. lines are what a reconfiguration says of each.
func expandable(t *testing.T, n, first int) (cfgs []*config.Config, lines []string) {
	t.Helper()
	free := ports(t, 3*n)
	for i := range n {
		lines = append(lines, fmt.Sprintf("server.%d=127.0.0.1:%d:%d:participant;127.0.0.1:%d", i+1, free[3*i], free[3*i+1], free[3*i+2]))
	}
	for i := range n {
		initial := strings.Join(lines[:first], "\n")
		if i >= first {
			initial += "\n" + lines[i]
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "myid"), fmt.Appendf(nil, "%d\n", i+1), 0o600); err != nil {
			t.Fatal(err)
		}
		cfgs = append(cfgs, load(t, dir, fmt.Sprintf("# kept\ndataDir=%s\ntickTime=500\nadmin.enableServer=false\n%s"+
			"reconfigEnabled=true\nskipACL=yes\n%s\n", dir, limits, initial)))
	}
	return cfgs, lines
}

// configOf returns the membership that a member shows.
func configOf(m *running) string { return string(m.replica.Tree().Config()) }

func awaitConfig(t *testing.T, members []*running, with, without string) {
	t.Helper()
	for _, m := range members {
		eventually(t, fmt.Sprintf("member %d has a membership with %q and without %q", m.cfg.MyID, with, without), func() bool {
			text := configOf(m)
			return m.serves() && strings.Contains(text, with) && (without == "" || !strings.Contains(text, without))
		})
	}
}

// reload reads the zoo.cfg of a member again.
func reload(t *testing.T, cfg *config.Config) *config.Config {
	t.Helper()
	again, _, err := config.Load(cfg.File, config.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// TestReconfig grows an ensemble from three to five, takes its leader out, and starts what
// is left again from its files.
func TestReconfig(t *testing.T) {
	cfgs, lines := expandable(t, 5, 3)
	members := startAll(t, cfgs[:3])
	c := connect(t, members...)
	if _, err := create(c, 0, 50); err != nil {
		t.Fatal(err)
	}
	for i := 3; i < 5; i++ {
		if _, err := c.IncrementalReconfig([]string{lines[i]}, nil, 77); !errors.Is(err, zk.ErrBadVersion) {
			t.Fatalf("a change of a version that is not the present one gave %v", err)
		}
		joiner := start(t, cfgs[i], vfs.OS{})
		members = append(members, joiner)
		eventually(t, "the joiner follows without a vote", joiner.serves)
		if _, err := c.IncrementalReconfig([]string{lines[i]}, nil, -1); err != nil {
			t.Fatalf("join %d: %v", i+1, err)
		}
		awaitConfig(t, members, lines[i], "")
	}
	if _, err := create(c, 50, 100); err != nil {
		t.Fatal(err)
	}
	// Nobody can vote who is not there.
	absent := "server.9=127.0.0.1:1:2;3"
	if _, err := c.Reconfig([]string{lines[0], absent, "server.8=127.0.0.1:4:5;6"}, -1); err == nil || err.Error() != "unknown error: -13" {
		t.Errorf("a membership of which most are absent gave %v", err)
	}
	for _, bad := range [][]string{{"nonsense"}, {"server.6=127.0.0.1:1:2"}, {strings.Replace(lines[0], "server.1", "server.6", 1)}} {
		if _, err := c.IncrementalReconfig(bad, nil, -1); !errors.Is(err, zk.ErrBadArguments) {
			t.Errorf("joining %q gave %v", bad, err)
		}
	}
	old := leaderOf(members)
	gone := fmt.Sprint(members[old].cfg.MyID)
	// The change is followed by an election, in which the answer may get lost.
	if _, err := c.IncrementalReconfig(nil, []string{gone}, -1); err != nil && !errors.Is(err, zk.ErrConnectionClosed) {
		t.Fatalf("remove the leader %s: %v", gone, err)
	}
	awaitConfig(t, members, "version=", "server."+gone+"=")
	members[old].stop()
	rest := append(append([]*running(nil), members[:old]...), members[old+1:]...)
	restCfgs := append(append([]*config.Config(nil), cfgs[:old]...), cfgs[old+1:]...)
	if _, err := create(connect(t, rest...), 100, 150); err != nil {
		t.Fatal(err)
	}
	version := configOf(rest[0])[strings.LastIndex(configOf(rest[0]), "version="):]
	for i, m := range rest {
		m.stop()
		restCfgs[i] = reload(t, restCfgs[i])
		if got := fmt.Sprintf("version=%x", restCfgs[i].Membership.Version); got != version || len(restCfgs[i].Membership.Servers) != 4 {
			t.Errorf("member %d has on disk %s with %d servers, wanted %s", restCfgs[i].MyID, got, len(restCfgs[i].Membership.Servers), version)
		}
		if _, err := os.Stat(restCfgs[i].File + ".dynamic.next"); err == nil {
			t.Errorf("member %d still has a proposed membership", restCfgs[i].MyID)
		}
		static, _ := os.ReadFile(restCfgs[i].File)
		if text := string(static); !strings.HasPrefix(text, "# kept\n") || strings.Contains(text, "server.") {
			t.Errorf("zoo.cfg is now:\n%s", text)
		}
	}
	check(t, connect(t, startAll(t, restCfgs)...), 150)
}
