package servetest

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"zoolab/internal/apache"
	"zoolab/zk/jute"
)

// TestObserverMastersShown compares what members say of observers that learn from followers.
// There is one follower, so that it is known which one they choose.
func TestObserverMastersShown(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several servers; run without -short")
	}
	if err := apache.AdminAvailable(); err != nil {
		t.Skip(err)
	}
	java, javaAdmins := startObserved(t)
	ours, oursAdmins := startObserved(t, nodeBinary, "serve")
	for i, mode := range []string{"follower", "leader", "observer"} {
		t.Run(mode, func(t *testing.T) {
			want, got := byMode(t, java, mode), byMode(t, ours, mode)
			stay(newScript(t, want.ClientAddr))
			stay(newScript(t, got.ClientAddr))
			compareMetrics(t, want, got)
			if want != java[i] || got != ours[i] {
				t.Fatal("the members have other roles")
			}
			for _, word := range []string{"srvr", "dump", "cons"} {
				compareWord(t, word, want, got)
			}
			compareCommands(t, javaAdmins[i], oursAdmins[i], []string{"observers", "observer_connection_stat_reset", "observers", "server_stats"})
		})
	}
	// A write through the observer is one request to its master.
	w := newScript(t, ours[2].ClientAddr).connect("w")
	w.do("create", jute.OpCreate, createReq("/observed", "", 0), &jute.CreateResponse{})
	_, _, body := get(t, oursAdmins[0], "/commands/observers")
	if counts := jsonOf(t, body)["observers"].([]any)[0].(map[string]any); counts["requests"].(float64) < 1 || counts["sid"] != 3.0 {
		t.Errorf("the observer's counts are %v", counts)
	}
}

// startObserved starts two voters and an observer, in the roles follower, leader and observer,
// and returns their AdminServers, too; without a command it is Apache's.
func startObserved(t *testing.T, command ...string) ([]*apache.Server, []string) {
	t.Helper()
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	cfgs := make([]apache.Config, 3)
	admins := make([]string, 3)
	for i := range cfgs {
		var extra map[string]string
		extra, admins[i] = adminOf(t)
		extra = maps.Clone(extra)
		extra["observerMasterPort"] = fmt.Sprint(ports[0])
		cfgs[i] = apache.Config{
			HeapMB: 128, Command: command, Extra: extra, Observer: i == 2, Host: fmt.Sprintf("127.0.0.%d", i+1),
			JavaFlags: []string{"-Dzookeeper.observer.election.DelayMs=0"},
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	servers, err := apache.StartEnsemble(ctx, t.TempDir(), cfgs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apache.StopAll(servers) })
	awaitMetric(t, servers[0], "zk_synced_observers", "1")
	return servers, admins
}
