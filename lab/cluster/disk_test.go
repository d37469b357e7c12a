package cluster

import (
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

// runSteps carries steps out on three members and wants each proved and healed.
func runSteps(t *testing.T, c Cluster, total time.Duration, steps []nemesis.Step) {
	t.Helper()
	var recorded events
	outcomes, err := nemesis.Run(t.Context(), nemesis.Schedule{Members: []string{"n1", "n2", "n3"}, Total: total, Steps: steps}, c, &recorded)
	for _, e := range recorded.all {
		t.Logf("%d %-9s %s %v %s %v", e.Index, e.Phase, e.Fault, e.Targets, e.Detail, e.Err)
	}
	if err != nil || len(outcomes) != len(steps) {
		t.Fatalf("%d outcomes of %d, %v", len(outcomes), len(steps), err)
	}
	for _, o := range outcomes {
		if o.Err != nil || !o.Effective || !o.Healed {
			t.Errorf("%s %v: %+v", o.Step.Fault, o.Targets, o)
		}
	}
}
