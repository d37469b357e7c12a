package apache

import (
	"context"
	"strings"
	"testing"
	"time"
)

// TestMixedObservers lets observers of either kind learn from leaders of either kind: they
// forward writes, move sessions, serve reads, and agree with the voters at every
// transaction, also after the leader was killed.
func TestMixedObservers(t *testing.T) {
	requireApache(t)
	ours := Config{
		Command: []string{buildNode(t), "serve"},
		Extra:   map[string]string{"extendedTypesEnabled": "true", "znode.container.checkIntervalMs": "1000"},
	}
	java := Config{HeapMB: 128, JavaFlags: []string{"-Dznode.container.checkIntervalMs=1000"}}
	observing := func(c Config) Config { c.Observer = true; return c }
	for name, cfgs := range map[string][]Config{
		"this server leads": {ours, ours, observing(java), observing(ours)},
		"Java leads":        {java, java, observing(ours)},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			members, err := StartEnsemble(ctx, t.TempDir(), cfgs...)
			if err != nil {
				t.Fatal(err)
			}
			defer StopAll(members)
			for _, member := range members[2:] {
				if mode := modeOf(t, member); mode != "observer" {
					t.Fatalf("member %d is %q, want an observer", member.cfg.ID, mode)
				}
			}
			leader := leaderOf(t, members)
			want := "zk_synced_observers\t" + string(rune('0'+len(members)-2)) + "\n"
			for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
				mntr, err := Command(leader.ClientAddr, "mntr")
				if err == nil && strings.Contains(mntr, want) {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the leader's mntr lacks %q, %v:\n%s", want, err, mntr)
				}
			}
			writeEverywhere(t, members, "/first", 600)
			awaitSwept(t, members[len(members)-1], "/first")
			requireAgreement(t, members)
			if err := leader.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := leader.Restart(); err != nil {
				t.Fatal(err)
			}
			for _, member := range members {
				if err := member.WaitReady(ctx); err != nil {
					t.Fatal(err)
				}
			}
			writeEverywhere(t, members, "/second", 600)
			awaitSwept(t, members[0], "/second")
			requireAgreement(t, members)
			// An observer that was away gets what it missed.
			away := members[2]
			if err := away.Kill(); err != nil {
				t.Fatal(err)
			}
			writeEverywhere(t, members[:2], "/third", 50)
			if err := away.Restart(); err != nil {
				t.Fatal(err)
			}
			if err := away.WaitReady(ctx); err != nil {
				t.Fatal(err)
			}
			awaitSwept(t, away, "/third")
			requireAgreement(t, members)
		})
	}
}
