package apache

import (
	"os"
	"path/filepath"
	"testing"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// goldenDisk holds files that Apache ZooKeeper wrote.
var goldenDisk = filepath.Join("..", "..", "zk", "jute", "testdata", "disk")

func goldenFile(t *testing.T, name string) *jute.Decoder {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(goldenDisk, name))
	if err != nil {
		t.Fatal(err)
	}
	d := jute.NewDecoder(content)
	new(jute.FileHeader).Decode(d)
	return d
}

// TestTreeAgreesWithApache replays a log of the original into this server's
// tree: after every transaction the digest must be the one that the original
// computed, so znodes, data and stats are the same.
func TestTreeAgreesWithApache(t *testing.T) {
	for _, name := range []string{"standalone.log", "reconfig.log"} {
		d := goldenFile(t, name)
		replayed := tree.New()
		compared := 0
		for d.Len() > 0 {
			d.Int64() // the checksum, which the codec's own test compares
			var txn jute.LoggedTxn
			if err := jute.Unmarshal(d.Buffer(), &txn); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			replayed.Apply(&txn)
			if txn.Digest != nil {
				compared++
				if got := replayed.Digest(); got != txn.Digest.TreeDigest {
					t.Errorf("%s: after %v of zxid %x the digest is %x, Apache's %x",
						name, txn.Header.Type, txn.Header.Zxid, uint64(got), uint64(txn.Digest.TreeDigest))
				}
			}
			d = jute.NewDecoder(d.Rest()[1:]) // the mark behind each record
		}
		if compared == 0 || replayed.DigestMismatches() != 0 {
			t.Errorf("%s: %d digests compared, the tree counts %d mismatches", name, compared, replayed.DigestMismatches())
		}
	}
}

// TestSnapshotAgreesWithApache builds a tree of a snapshot of the original and
// compares its digest with the stored one.
func TestSnapshotAgreesWithApache(t *testing.T) {
	d := goldenFile(t, "standalone.snapshot")
	builder := tree.NewBuilder()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sessions := d.Int32()
	for range sessions {
		check(builder.AddSession(d.Int64(), d.Int32()))
	}
	for range d.Int32() {
		id := d.Int64()
		acl := make([]jute.ACL, d.Int32())
		for i := range acl {
			acl[i].Decode(d)
		}
		check(builder.AddACL(id, acl))
	}
	for path := d.String(); path != "/"; path = d.String() {
		data, aclID := d.Buffer(), d.Int64()
		var stat jute.StatPersisted
		stat.Decode(d)
		check(d.Err())
		check(builder.AddNode(path, data, aclID, &stat))
	}
	seal, mark := d.Int64(), d.String()
	zxid, version, digest := d.Int64(), d.Int32(), d.Int64()
	check(d.Err())
	if seal == 0 || mark != "/" {
		t.Errorf("seal %d %q", seal, mark)
	}
	check(builder.SetDigest(zxid, version, digest))
	check(builder.Finish(zxid))
	loaded := builder.Tree()
	if got := loaded.Digest(); got != digest || loaded.DigestMismatches() != 0 {
		t.Errorf("the digest is %x, Apache's %x", uint64(got), uint64(digest))
	}
	counts := loaded.Counts()
	if counts.Sessions != int(sessions) || counts.Ephemerals == 0 || counts.Znodes < 10 {
		t.Errorf("loaded %+v", counts)
	}
}
