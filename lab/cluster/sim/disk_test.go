package sim

import (
	"context"
	"strings"
	"testing"
	"time"

	nodesim "zoolab/node/sim"
	"zoolab/zk"
)

// TestSnapshotsAreThinnedOut wants the disks of a long run to stay small, and nothing lost of
// what proves that logs agree, and of what logs can be cut back to: the whole log, and the
// snapshot before it.
func TestSnapshotsAreThinnedOut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name        string
		keptBytes   int64
		most, least int
	}{
		{"usual", keptSnapshotBytes, 1000, 12}, // all there are
		{"small", 1, keptSnapshots + 1, keptSnapshots + 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := New(1, 3, nil, false)
			if err != nil {
				t.Fatal(err)
			}
			c.keptBytes = test.keptBytes
			c.Drive(func() { err = writeOften(c, 3000) })
			if err != nil {
				t.Fatal(err)
			}
			for _, member := range c.members {
				names, err := c.ensemble.Disk(member.ID).List(nodesim.DataDir + "/version-2")
				if err != nil {
					t.Fatal(err)
				}
				snapshots, logs := 0, 0
				for _, name := range names {
					if strings.HasPrefix(name, "snapshot.") {
						snapshots++
					} else if strings.HasPrefix(name, "log.") {
						logs++
					}
				}
				if snapshots < test.least || snapshots > test.most || logs < 12 || newestOf(names, "snapshot") < "snapshot.10000" {
					t.Errorf("%s has %d snapshots and %d logs: %s", member.Name, snapshots, logs, names)
				}
				if text := strings.Join(names, " "); !strings.Contains(text, "snapshot.0") || !strings.Contains(text, "log.100000001") {
					t.Errorf("%s has lost its beginning: %s", member.Name, text)
				}
			}
		})
	}
}

// writeOften writes a znode so many times.
func writeOften(c *Cluster, times int) error {
	ctx, cancel := c.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	s, err := c.Connect(ctx, "n1:2181,n2:2181,n3:2181", ClientOptions{SessionTimeout: 10 * time.Second, ReadTimeout: 5 * time.Second})
	if err == nil {
		_, err = s.Create(ctx, "/a", nil, zk.Persistent)
	}
	for range times {
		if err == nil {
			_, err = s.Set(ctx, "/a", []byte("again"), -1)
		}
	}
	return err
}
