package apache

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
)

// TestMixedReconfig grows ensembles of both kinds of members by one, and takes the leader
// out, with either kind as leader.
func TestMixedReconfig(t *testing.T) {
	requireApache(t)
	extra := map[string]string{"reconfigEnabled": "true", "skipACL": "yes", "extendedTypesEnabled": "true", "znode.container.checkIntervalMs": "1000"}
	ours := Config{Command: []string{buildNode(t), "serve"}, Extra: extra}
	java := Config{HeapMB: 128, Extra: extra, JavaFlags: []string{"-Dzookeeper.skipACL=yes", "-Dznode.container.checkIntervalMs=1000"}}
	for name, cfgs := range map[string][]Config{
		"this server leads": {java, java, ours, java},
		"Java leads":        {ours, java, java, ours},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			members, err := StartEnsemble(ctx, t.TempDir(), cfgs[:3]...)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { StopAll(members) }()
			leader := leaderOf(t, members)
			if ourLead := len(leader.cfg.Command) > 0; ourLead != (name == "this server leads") {
				t.Fatalf("member %d leads", leader.cfg.ID)
			}
			writeEverywhere(t, members, "/first", 300)
			joiner, line := startJoiner(t, members, cfgs[3])
			members = append(members, joiner)
			conn := dial(t, members[0])
			if _, err := conn.IncrementalReconfig([]string{line}, nil, -1); err != nil {
				t.Fatalf("join: %v", err)
			}
			conn.Close()
			awaitMembership(t, members, "server.4=", "")
			writeEverywhere(t, members, "/second", 300)
			conn = dial(t, members[0])
			defer conn.Close()
			// Apache's followers leave a leader that goes, and may close their clients'
			// connections before the answer is out; what happened shows below.
			_, err = conn.IncrementalReconfig(nil, []string{fmt.Sprint(leader.cfg.ID)}, -1)
			if err != nil && !errors.Is(err, zk.ErrConnectionClosed) {
				t.Fatalf("remove the leader: %v", err)
			}
			gone := fmt.Sprintf("server.%d=", leader.cfg.ID)
			var rest []*Server
			for _, m := range members {
				if m != leader {
					rest = append(rest, m)
				}
			}
			awaitMembership(t, rest, "server.4=", gone)
			if err := leader.Kill(); err != nil {
				t.Fatal(err)
			}
			awaitMembership(t, rest, "server.4=", gone)
			writeEverywhere(t, rest, "/third", 300)
			for _, root := range []string{"/first", "/second", "/third"} {
				awaitSwept(t, rest[0], root)
			}
			requireAgreement(t, rest)
		})
	}
}

// startJoiner starts member 4, which knows the others and itself, and returns what a
// reconfiguration says of it.
func startJoiner(t *testing.T, members []*Server, cfg Config) (*Server, string) {
	t.Helper()
	ports, err := FreePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ID, cfg.ClientPort = 4, ports[2]
	cfg.Peers = append(append([]Peer(nil), members[0].cfg.Peers...), Peer{ID: 4, QuorumPort: ports[0], ElectionPort: ports[1]})
	joiner, err := Start(filepath.Join(t.TempDir(), "4"), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := joiner.WaitReady(ctx); err != nil {
		joiner.Kill()
		t.Fatal(err)
	}
	return joiner, fmt.Sprintf("server.4=127.0.0.1:%d:%d:participant;127.0.0.1:%d", ports[0], ports[1], ports[2])
}

// awaitMembership waits until all members show a membership with one text and without another.
func awaitMembership(t *testing.T, members []*Server, with, without string) {
	t.Helper()
	for _, m := range members {
		last := ""
		for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("member %d shows %q", m.cfg.ID, last)
			}
			if _, err := Mode(m.ClientAddr); err != nil {
				continue
			}
			conn, _, err := zk.Connect([]string{m.ClientAddr}, 40*time.Second, zk.WithLogger(quiet{}))
			if err != nil {
				t.Fatal(err)
			}
			text := make(chan string, 1)
			go func() {
				data, _, _ := conn.Get("/zookeeper/config")
				text <- string(data)
			}()
			select {
			case last = <-text:
			case <-time.After(20 * time.Second):
			}
			conn.Close()
			if strings.Contains(last, with) && (without == "" || !strings.Contains(last, without)) {
				break
			}
		}
	}
}
