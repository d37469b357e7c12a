package conformance

import (
	"context"
	"maps"
	"testing"

	"zoolab/internal/apache"
)

// showsMembership names the sections that read /zookeeper/config, which is empty in a lone
// server.
var showsMembership = map[string]bool{
	"create/root and the system tree": true, "data/the root and the system tree": true, "multi/multiRead": true,
}

// TestScriptsThroughFollower plays the scripts against a follower of three members of this
// server. Its clients must see what those of a lone server see.
func TestScriptsThroughFollower(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	member := func() apache.Config {
		return apache.Config{Command: []string{nodeBinary, "serve"}, Extra: maps.Clone(common)}
	}
	members, err := apache.StartEnsemble(ctx, t.TempDir(), member(), member(), member())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = apache.StopAll(members) }()
	addr := ""
	for addr == "" {
		for _, m := range members {
			if mode, err := apache.Mode(m.ClientAddr); err == nil && mode == "follower" {
				addr = m.ClientAddr
			}
		}
		if ctx.Err() != nil {
			t.Fatal("nobody follows")
		}
	}
	for _, script := range load(t) {
		for _, section := range script.Sections {
			name := script.Name + "/" + section.Name
			if len(script.Config) == 0 && !showsMembership[name] {
				t.Run(name, func(t *testing.T) { playOurs(t, addr, section) })
			}
		}
	}
}

// nonsense is a story at whose end Apache's 3.8.0 no longer runs: it does not understand what
// a client wrote into the nodes of a quota.
const nonsense = `== quota
a connect
a create /q
a create /zookeeper/quota/q
a create /zookeeper/quota/q/zookeeper_limits data="nonsense"
a create /zookeeper/quota/q/zookeeper_stats data="nonsense"
a create /q/a data="x"
a setData /zookeeper/quota/q/zookeeper_limits data=""
a setData /zookeeper/quota/q/zookeeper_stats data=null
a create /q/b data="x"
  a xid=8 z=+9 ok path="/q/b"
`

func TestNonsenseDoesNotStopTheServer(t *testing.T) {
	script, err := Parse("nonsense", nonsense)
	if err != nil {
		t.Fatal(err)
	}
	section := script.Sections[0]
	answers, err := Play(newServers(t, false).addr(nil), section)
	if err != nil {
		t.Fatal(err)
	}
	last := len(section.Steps) - 1
	if got := answers[last]; len(got) != 1 || got[0] != section.Steps[last].Apache[0] {
		t.Errorf("%s: %v", section.Steps[last].Line, got)
	}
}
