package member

import (
	"errors"
	"fmt"
	"testing"

	"github.com/go-zookeeper/zk"

	"zoolab/node/vfs"
)

// TestMetricsHaveValues: what happens in an ensemble is counted where it happens.
func TestMetricsHaveValues(t *testing.T) {
	members := startAll(t, ensemble(t, 3,
		"authProvider.1=org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider", "ensembleAuthName=ours"))
	c := connect(t, members...)
	const n = 50
	if _, err := create(c, 0, n); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := c.GetW("/n1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set("/n1", []byte("changed"), -1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create("/mine", nil, zk.FlagEphemeral, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.AddAuth("ensemble", []byte("ours")), c.AddAuth("ensemble", nil)); err != nil {
		t.Fatal(err)
	}
	if err := connect(t, members...).AddAuth("ensemble", []byte("theirs")); err == nil {
		t.Error("a client of another ensemble was welcome")
	}
	at := leaderOf(members)
	leader, follower := members[at], members[(at+1)%3]
	acks := leader.metrics.AckLatency.At(fmt.Sprint(follower.cfg.MyID))
	for name, count := range map[string]func() int64{
		"proposal_count":                  leader.metrics.Proposals.Load,
		"commit_count":                    leader.metrics.Commits.Load,
		"quorum_ack_latency":              func() int64 { return leader.metrics.QuorumAck.Figures().Count },
		"ack_latency of a follower":       func() int64 { return acks.Figures().Count },
		"proposal_ack_creation_latency":   func() int64 { return follower.metrics.AckSent.Figures().Count },
		"sync_process_time":               func() int64 { return follower.metrics.DiskRecord.Figures().Count },
		"prep_processor_queue_time_ms":    func() int64 { return leader.metrics.InboxTime.Figures().Count },
		"learner_proposal_received_count": follower.metrics.LearnerProposals.Load,
		"learner_commit_received_count":   follower.metrics.LearnerCommits.Load,
		"proposal_latency":                func() int64 { return follower.metrics.ProposalLatency.Figures().Count },
		"propagation_latency of a leader": func() int64 { return leader.metrics.Propagation.Figures().Count },
		"propagation_latency":             func() int64 { return follower.metrics.Propagation.Figures().Count },
		"sync_processor_batch_size":       func() int64 { return follower.metrics.DiskBatch.Figures().Sum },
		"sync_processor_request_queued":   leader.metrics.LogRecords.Load,
		"bytes written below /n1":         func() int64 { return leader.metrics.WritePerNamespace.At("n1").Figures().Sum * n },
	} {
		eventually(t, fmt.Sprintf("%s is at least %d", name, n), func() bool { return count() >= n })
	}
	for name, count := range map[string]int64{
		"election_time":      leader.metrics.Election.Figures().Count,
		"looking_count":      leader.metrics.Elections.Load(),
		"follower_sync_time": follower.metrics.FollowerSync.Figures().Count,
		"fsynctime":          follower.metrics.Fsync.Figures().Count,
		"dbinittime":         follower.metrics.DatabaseInit.Figures().Count,
		"diff_count":         leader.metrics.Diffs.Load() + leader.metrics.Snaps.Load(),
		"inflight_*_count":   leader.metrics.InflightDiffs.Figures().Sum + leader.metrics.InflightSnaps.Figures().Sum,
	} {
		if count == 0 {
			t.Errorf("%s is 0", name)
		}
	}
	var updates, fired, requests, named, unnamed, mistaken int64
	for _, m := range members {
		named += m.metrics.EnsembleNamed.Load()
		unnamed += m.metrics.EnsembleUnnamed.Load()
		mistaken += m.metrics.EnsembleMistaken.Load()
		updates += m.metrics.UpdateLatency.Figures().Count
		fired += m.metrics.WatchesChanged.Figures().Sum
		requests += m.metrics.StepTime.Figures().Count
	}
	if updates < n || fired != 1 || requests < n {
		t.Errorf("%d updates, %d watches fired, %d requests stepped", updates, fired, requests)
	}
	if named != 1 || unnamed != 1 || mistaken == 0 {
		t.Errorf("%d clients named this ensemble, %d none, %d another", named, unnamed, mistaken)
	}
	// Nobody is served without a quorum.
	members[(at+1)%3].stop()
	members[(at+2)%3].stop()
	eventually(t, "the leader gives up", func() bool { return !leader.serves() && leader.metrics.Elections.Load() > 1 })
}

// TestPauses: how late the monitor wakes up is counted, unless it is off.
func TestPauses(t *testing.T) {
	on := start(t, standalone(t, t.TempDir(), "jvm.pause.sleep.time.ms=1", "jvm.pause.info-threshold.ms=0"), vfs.OS{})
	off := start(t, standalone(t, t.TempDir(), "jvm.pause.sleep.time.ms=1", "jvm.pause.monitor=false"), vfs.OS{})
	eventually(t, "pauses are counted and logged", func() bool {
		return on.metrics.Pause.Figures().Count > 20 && on.log.count("its machine paused") > 0
	})
	if n := off.metrics.Pause.Figures().Count; n != 0 {
		t.Errorf("%d pauses are counted with the monitor off", n)
	}
}
