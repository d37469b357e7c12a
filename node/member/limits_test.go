package member

import (
	"fmt"
	"testing"

	"github.com/go-zookeeper/zk"

	"zoolab/node/vfs"
)

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
		if n := m.log.count("are used up"); n > int(epoch) {
			t.Errorf("member %d gave up %d epochs of %d", m.cfg.MyID, n, epoch)
		}
	}
}
