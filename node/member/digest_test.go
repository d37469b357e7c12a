package member

import (
	"testing"

	"zoolab/node/storage"
	"zoolab/node/tree"
	"zoolab/node/vfs"
	"zoolab/zk/jute"
)

// digestSeen is a sink that takes note whether a snapshot came with a digest.
type digestSeen struct {
	*tree.Builder
	seen *bool
}

func (s digestSeen) SetDigest(zxid int64, version int32, digest int64) error {
	*s.seen = true
	return s.Builder.SetDigest(zxid, version, digest)
}

// digestsOnDisk counts the transactions with and without a digest in a data directory, and
// says whether the newest snapshot has one.
func digestsOnDisk(t *testing.T, dir string) (with, without int, snapshot bool) {
	t.Helper()
	for _, name := range files(t, dir, "log.") {
		err := storage.ScanLog(vfs.OS{}, name, func(r storage.Record) error {
			var txn jute.LoggedTxn
			if err := jute.Unmarshal(r.Payload, &txn); err != nil {
				return err
			}
			if txn.Digest != nil {
				with++
			} else {
				without++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	snapshots := files(t, dir, "snapshot.")
	newest := snapshots[len(snapshots)-1]
	if err := storage.ReadSnapshot(vfs.OS{}, newest, 0, digestSeen{tree.NewBuilder(), &snapshot}); err != nil {
		t.Fatal(err)
	}
	return with, without, snapshot
}

// TestDigestDisabled: with digest.enabled=false neither log nor snapshots have digests, none
// are compared, and a server that wants them again goes on from such data.
func TestDigestDisabled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed(t, dir, 1, func(txn *jute.LoggedTxn) { txn.Digest.TreeDigest++ })
	m := start(t, standalone(t, dir, "digest.enabled=false", "snapCount=100"), vfs.OS{})
	createMany(t, connect(t, m), "n", 150, 10)
	eventually(t, "a snapshot", func() bool { return m.log.count("took a snapshot") > 0 })
	if n := m.replica.Tree().DigestMismatches(); n != 0 {
		t.Errorf("%d digests did not match", n)
	}
	if log := m.replica.Tree().DigestLog(); len(log) > 0 {
		t.Errorf("digests are shown: %v", log)
	}
	m.stop()
	with, without, snapshot := digestsOnDisk(t, dir)
	if with != 2 || without < 150 || snapshot {
		t.Errorf("%d transactions with a digest, 2 are from before; %d without; the snapshot has one: %v", with, without, snapshot)
	}

	m = start(t, standalone(t, dir, "snapCount=100"), vfs.OS{})
	createMany(t, connect(t, m), "again", 150, 10)
	eventually(t, "a snapshot", func() bool { return m.log.count("took a snapshot") > 0 })
	if n := m.replica.Tree().DigestMismatches(); n != 0 {
		t.Errorf("%d digests did not match after the return", n)
	}
	m.stop()
	if with, _, snapshot := digestsOnDisk(t, dir); with < 150 || !snapshot {
		t.Errorf("%d transactions with a digest; the snapshot has one: %v", with, snapshot)
	}
}
