package storage

import (
	"strings"
	"syscall"
	"testing"

	"zoolab/node/vfs"
)

// TestUnreadableSnapshotIsNotForgotten fails one operation of a start after another, on a
// member whose whole history came in a snapshot from the leader. However it fails, the
// member must not start as if it were new, and once the disk works it must have everything.
func TestUnreadableSnapshotIsNotForgotten(t *testing.T) {
	for nth := 1; ; nth++ {
		mem := vfs.NewMem()
		s, _ := open(t, mem)
		must(t, s.InstallSnapshot(treeAt(1<<32|20)))
		must(t, s.Close())

		faulty := vfs.NewFaulty(mem, vfs.Fault{Ops: vfs.OpAny, Nth: nth, Count: 1, Err: syscall.EIO})
		tried, err := Open(testOptions(faulty))
		var r restored
		if err == nil {
			r, err = loadInto(tried)
		}
		if err == nil && r.LastZxid != 1<<32|20 {
			t.Fatalf("operation %d of the start failed, and the member starts with %+v", nth, r.Loaded)
		}
		if err != nil {
			mustBe(t, err, syscall.EIO)
		}
		if _, again := open(t, mem); again.LastZxid != 1<<32|20 {
			t.Fatalf("operation %d of the start failed, and the next start finds %+v", nth, again.Loaded)
		}
		if faulty.Count(vfs.OpAny) < nth {
			return // the whole start did without it
		}
	}
}

// TestOnlySnapshotIsDamaged: damage that leaves nothing to start from must be told.
func TestOnlySnapshotIsDamaged(t *testing.T) {
	mem := vfs.NewMem()
	s, _ := open(t, mem)
	must(t, s.InstallSnapshot(treeAt(1<<32|20)))
	must(t, s.Close())
	name := "/data/version-2/snapshot.100000014"
	writeFile(t, mem, name, readFile(t, mem, name)[:100])
	s, err := Open(testOptions(mem))
	must(t, err)
	_, err = loadInto(s)
	mustBe(t, err, ErrCorrupt)
	if !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "0x100000014") {
		t.Fatalf("the error names neither file nor zxid: %v", err)
	}
}
