package member

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/go-zookeeper/zk"

	"zoolab/node/vfs"
	"zoolab/zk/jute"
)

// TestFollowerThatHangs synchronizes a follower which then reads nothing any more. The
// leader gives it up, and keeps nothing of what it had queued for it.
func TestFollowerThatHangs(t *testing.T) {
	cfgs := ensemble(t, 3)
	members := startAll(t, cfgs[:2])
	leader := members[leaderOf(members)]
	client := connect(t, leader)
	s := call(t, quorumPort(cfgs[0], leader.cfg.MyID))
	s.send(learnerInfo(jute.PacketFollowerInfo, 3, 0, 0x10000, 0))
	s.await(jute.PacketLeaderInfo)
	s.send(jute.QuorumPacket{Type: jute.PacketAckEpoch, Data: []byte{0, 0, 0, 0}})
	s.await(jute.PacketNewLeader)
	s.send(jute.QuorumPacket{Type: jute.PacketAck, Zxid: leader.replica.Status().Epoch << 32})
	s.await(jute.PacketUpToDate)
	if _, err := client.Create("/big", nil, 0, zk.WorldACL(zk.PermAll)); err != nil {
		t.Fatal(err)
	}
	before := heapBytes()
	const writers, each, size = 8, 600, 16 << 10
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for range each {
				if _, err := client.Set("/big", make([]byte, size), -1); err != nil {
					t.Errorf("a write beside a follower that hangs: %v", err)
					return
				}
			}
		})
	}
	group.Wait()
	eventually(t, "the follower is given up", func() bool { return leader.replica.Status().SyncedFollowers == 1 })
	// What was queued goes when the blocked write is given up, soon after. What is left is the
	// newest part of the log, which both members keep for those who come again.
	grown := int64(0)
	eventually(t, "the memory is free again", func() bool {
		grown = heapBytes() - before
		return grown < writers*each*size/3
	})
	t.Logf("%d bytes more are in use than before, for writes of %d bytes", grown, writers*each*size)
}

func heapBytes() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// TestRollover lets the zxids of several epochs run out under a client that writes: each
// time one election, and no more, and nothing that was acknowledged is lost.
func TestRollover(t *testing.T) {
	const perEpoch, writes = 60, 200
	cfgs := ensemble(t, 3)
	var members []*running
	for _, cfg := range cfgs {
		members = append(members, startWith(t, cfg, seams{fs: vfs.OS{}, lastCounter: perEpoch}))
	}
	for _, m := range members {
		eventually(t, "the ensemble is formed", m.serves)
	}
	c := connect(t, members...)
	var lost error
	for i := 0; i < writes; i++ {
		path := fmt.Sprintf("/n%d", i)
		eventually(t, path+" is written", func() bool {
			_, err := c.Create(path, []byte(fmt.Sprint(i)), 0, zk.WorldACL(zk.PermAll))
			if err == zk.ErrSessionExpired {
				lost = err
			}
			return err == nil || err == zk.ErrNodeExists || lost != nil
		})
		if lost != nil {
			t.Fatalf("the session did not outlive the election: %v", lost)
		}
	}
	check(t, c, writes)
	eventually(t, "all members serve", func() bool {
		return members[0].serves() && members[1].serves() && members[2].serves() && leaderOf(members) >= 0
	})
	epoch, last := members[leaderOf(members)].replica.Status().Epoch, members[leaderOf(members)].replica.Tree().LastZxid()
	if epoch < 1+writes/perEpoch {
		t.Errorf("the epoch is %d after %d writes of which %d fit into one", epoch, writes, perEpoch)
	}
	// Every epoch but the last was used up: no election was for nothing.
	if used := (epoch-1)*perEpoch + last&0xffffffff; last>>32 == epoch && used > writes+int64(epoch)*10 {
		t.Errorf("%d zxids were used for %d writes", used, writes)
	}
	for _, m := range members {
		// A leader says so of each of its two learners, and of its role. One member may lead in all.
		if n := m.log.count("are used up"); n > 3*int(epoch-1) {
			t.Errorf("member %d says %d times in %d epochs that one is used up", m.cfg.MyID, n, epoch)
		}
	}
}
