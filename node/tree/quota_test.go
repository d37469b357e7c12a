package tree

import (
	"testing"

	"zoolab/zk/jute"
)

func TestQuotaStatistics(t *testing.T) {
	tr := New()
	zxid := int64(0)
	create := func(path, data string) {
		t.Helper()
		zxid++
		mustApply(t, tr, createTxn(zxid, path, data))
	}
	stats := func(tr *Tree, path, want string) {
		t.Helper()
		data, stat, err := tr.GetData(QuotaPath+path+"/zookeeper_stats", anyone, nil)
		if err != nil || string(data) != want || stat.Version != 0 || int(stat.DataLength) != len(want) {
			t.Errorf("statistics of %s are %q %+v %v, want %q", path, data, stat, err, want)
		}
	}
	create("/app", "abc")
	create("/app/x", "de")
	create(QuotaPath+"/app", "")
	create(QuotaPath+"/app/zookeeper_limits", "count=5,bytes=100")
	create(QuotaPath+"/app/zookeeper_stats", "count=0,bytes=0")
	stats(tr, "/app", "count=2,bytes=5")
	digest := tr.Digest()
	create("/app/y", "fghi")
	stats(tr, "/app", "count=3,bytes=9")
	create("/apple", "not below /app")
	zxid++
	mustApply(t, tr, txn(zxid, jute.OpSetData, &jute.SetDataTxn{Path: "/app/y", Data: []byte("f"), Version: 1}))
	stats(tr, "/app", "count=3,bytes=6")
	zxid++
	mustApply(t, tr, txn(zxid, jute.OpDelete, &jute.DeleteTxn{Path: "/app/x"}))
	stats(tr, "/app", "count=2,bytes=4")
	if digest == tr.Digest() {
		t.Error("the digest did not move")
	}

	v := tr.View()
	restored := load(t, v)
	v.Close()
	stats(restored, "/app", "count=2,bytes=4")
	zxid++
	mustApply(t, restored, createTxn(zxid, "/app/z", "zz"))
	stats(restored, "/app", "count=3,bytes=6")
	zxid++
	mustApply(t, restored, txn(zxid, jute.OpDelete, &jute.DeleteTxn{Path: QuotaPath + "/app/zookeeper_limits"}))
	zxid++
	mustApply(t, restored, createTxn(zxid, "/app/zz", "zz"))
	stats(restored, "/app", "count=3,bytes=6")
	if restored.DigestMismatches() != 0 {
		t.Error("a digest differs")
	}
}

func TestParseQuotaStats(t *testing.T) {
	for _, c := range []struct {
		in               string
		count, sizeBytes int64
	}{
		{"count=3,bytes=4", 3, 4}, {"count=3,bytes=4=;byteHardLimit=9", 3, 4}, {"", -1, -1}, {"count=x,bytes=7", -1, 7}, {"bytes=7", -1, 7},
	} {
		if count, sizeBytes := parseQuotaStats(c.in); count != c.count || sizeBytes != c.sizeBytes {
			t.Errorf("%q is %d and %d, want %d and %d", c.in, count, sizeBytes, c.count, c.sizeBytes)
		}
	}
}
