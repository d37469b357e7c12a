package replica

import (
	"math/rand/v2"
	"testing"

	"zoolab/node/prep"
	"zoolab/node/quorum"
	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

const testTickMs = 1000

// testConfig is what tests start from, for one of n voters.
// observe makes the members above the voters observers that learn from followers.
func observe(c *Config, voters, n int) {
	c.Zab.Verifier = testConfig(1, voters).Zab.Verifier
	c.Zab.ObserverMasters = true
	c.Zab.QuorumAddresses = make(map[int64]string)
	for sid := int64(voters + 1); sid <= int64(n); sid++ {
		c.Zab.QuorumAddresses[sid] = "observer"
	}
}

func testConfig(sid int64, n int) Config {
	voters := make([]int64, n)
	for i := range voters {
		voters[i] = int64(i + 1)
	}
	majority, err := quorum.NewMajority(voters, 0)
	if err != nil {
		panic(err)
	}
	return Config{
		Zab: zab.Config{
			SID: sid, Verifier: majority, TickMs: testTickMs, InitLimitTicks: 5, SyncLimitTicks: 3,
			CommitLogCount: 500, FinalizeWaitMs: 200, MaxSyncLogBytes: 1 << 20,
		},
		MinSessionTimeoutMs: 2 * testTickMs, MaxSessionTimeoutMs: 20 * testTickMs,
		SnapCount:  1_000_000,
		Prep:       prep.Options{ExtendedTypes: true, MaxNeverUsedMs: 25_000},
		Containers: ContainerConfig{CheckIntervalMs: 10_000, MaxPerMinute: 60},
		Rand:       rand.New(rand.NewPCG(1, uint64(sid))),
	}
}

// voter is a standalone member, whose disk takes an effect when the test says so.
type voter struct {
	*Replica
	t     testing.TB
	now   Now
	asked uint64 // Seq of the newest disk effect
	done  uint64 // up to which it was reported durable
	other []Effect
}

func newVoter(t testing.TB, change func(*Config)) *voter {
	v := &voter{t: t, now: Now{WallMs: 1_700_000_000_000}}
	cfg := testConfig(1, 1)
	if change != nil {
		change(&cfg)
	}
	v.Replica = New(cfg, zab.Boot{}, tree.New(), v.now)
	v.step(zab.Tick{})
	v.disk()
	if role := v.Status().Role; role != zab.RoleLeaderEstablished {
		t.Fatalf("the only voter is %v", role)
	}
	return v
}

func (v *voter) step(in Input) {
	for _, e := range v.Step(v.now, in) {
		switch e := e.(type) {
		case zab.Append:
			v.asked = e.Seq
		case zab.SaveAcceptedEpoch:
			v.asked = e.Seq
		case zab.SaveCurrentEpoch:
			v.asked = e.Seq
		case zab.RoleChanged:
		default:
			v.other = append(v.other, e)
		}
	}
}

// disk makes everything durable.
func (v *voter) disk() {
	for v.done < v.asked {
		v.done = v.asked
		v.step(zab.DiskDone{Seq: v.done})
	}
}

// connect starts a session.
func (v *voter) connect(c *Conn) {
	var req jute.ReadOnlyConnectRequest
	req.TimeoutMs = 20 * testTickMs
	v.step(ClientConnect{Conn: c, Request: req})
	v.disk()
}
