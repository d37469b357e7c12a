package cluster

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"zoolab/nemesis"
)

// testDisks breaks three disks at the same time, each in another way.
func testDisks(t *testing.T, c Cluster) {
	if err := nemesis.Available(t.Context(), c, "disk-full"); err != nil {
		t.Skip(err)
	}
	var steps []nemesis.Step
	for fault, target := range map[string]string{"disk-full": "n1", "disk-error": "n2", "disk-slow": "n3"} {
		steps = append(steps, nemesis.Step{Fault: fault, Variant: "one", Targets: []string{target}, Duration: 300 * time.Millisecond})
	}
	runSteps(t, c, 2*time.Second, steps)
}

// testLimits takes two members the processor and one the memory. The stand-in
// server asks for little memory, so that the limit is only set and taken back.
func testLimits(t *testing.T, c Cluster) {
	if err := nemesis.Available(t.Context(), c, "cpu"); err != nil {
		t.Skip(err)
	}
	runSteps(t, c, 2*time.Second, []nemesis.Step{
		{Fault: "cpu", Variant: "minority", Targets: []string{"n1", "n2"}, Params: map[string]int{"percent": 1}, Duration: 300 * time.Millisecond},
	})
	if l, local := c.(*localCluster); local {
		wantCounted(t, l, "n3")
	}
	limiter := c.(nemesis.Limiter)
	for _, limits := range []nemesis.Limits{{HeadroomMiB: 64}, {}} {
		if err := limiter.Limit(t.Context(), "n3", limits); err != nil {
			t.Error(err)
		}
	}
	allAnswer(t, c) // n3 too, now that its limit is gone
}

// wantCounted wants a member's group to count the memory that its process has, to which
// limits are added.
func wantCounted(t *testing.T, l *localCluster, member string) {
	t.Helper()
	p, err := l.process(member)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(l.cgroup("memory", member), "memory.usage_in_bytes"))
	if err != nil {
		t.Fatal(err)
	}
	counted, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if resident := residentBytes(p.pid); err != nil || counted < resident*3/4 {
		t.Errorf("%s has %d bytes, of which its group counts %d (%v)", member, resident, counted, err)
	}
}

// testChanges restarts members with another configuration, and with another
// server.
func testChanges(t *testing.T, c Cluster) {
	runSteps(t, c, 2*time.Second, []nemesis.Step{
		{Fault: "config", Variant: "minority", Targets: []string{"n2"}, Duration: 100 * time.Millisecond},
		{At: 100 * time.Millisecond, Fault: "upgrade", Variant: "rolling", Targets: []string{"n3", "n1"}, Duration: 100 * time.Millisecond},
	})
}

// runSteps carries steps out on three members and wants each proved and healed.
func runSteps(t *testing.T, c Cluster, total time.Duration, steps []nemesis.Step) {
	t.Helper()
	carryOut(t, c, nemesis.Schedule{Members: []string{"n1", "n2", "n3"}, Total: total, Steps: steps})
}

// TestDamageScript damages files as a server leaves them: the newest is hit, and
// where it holds data.
func TestDamageScript(t *testing.T) {
	log := strings.Repeat("record", 100) + strings.Repeat("\x00", 5000)
	damage := func(t *testing.T, fault string) (dir, did string) {
		dir = t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "version-2"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"log.9", "log.100000001", "log.ffffffff", "snapshot.0"} {
			if err := os.WriteFile(filepath.Join(dir, "version-2", name), []byte(log), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		d := &disks{try: func(ctx context.Context, _, script string, argv ...string) (string, error) {
			return command(ctx, "bash", append([]string{"-c", script, "bash", dir}, argv...)...)
		}}
		did, err := d.Damage(t.Context(), "n1", fault)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(did)
		return dir, did
	}
	read := func(dir, name string) string {
		data, err := os.ReadFile(filepath.Join(dir, "version-2", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	dir, _ := damage(t, "log-truncated")
	if got := read(dir, "log.100000001"); len(got) != 600-600/5-1 || got != log[:len(got)] || read(dir, "log.ffffffff") != log || read(dir, "snapshot.0") != log {
		t.Errorf("log-truncated: the newest log has %d bytes, want %d, and no other file changed", len(got), 600-600/5-1)
	}
	dir, _ = damage(t, "snapshot-corrupted")
	got := read(dir, "snapshot.0")
	if len(got) != len(log) || got[:450] != log[:450] || got[450] != log[450]^0xff || got[451:] != log[451:] {
		t.Errorf("snapshot-corrupted: want byte 450 flipped, got %q", got)
	}
	dir, _ = damage(t, "data-lost")
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("data-lost: left are %v, %v", left, err)
	}
}
