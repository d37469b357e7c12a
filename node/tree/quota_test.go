package tree

import (
	"reflect"
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

func TestParseQuota(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", "count=-1,bytes=-1"},
		{"count=3,bytes=4", "count=3,bytes=4"},
		{"bytes=4;count=3", "count=3,bytes=4"},
		{"bytes=7", "count=-1,bytes=7"},
		{"count=3,bytes=4=;countHardLimit=9;byteHardLimit=8", "count=3,bytes=4=;byteHardLimit=8;countHardLimit=9"},
		{"count=1,count=2,,;", "count=2,bytes=-1"},
		{"count=+5=6", "count=5,bytes=-1"},
		{"own=1", "count=-1,bytes=-1=;own=1"},
		{"=5", "count=-1,bytes=-1=;=5"},
	} {
		q, err := parseQuota(c.in)
		if got := string(q.append(nil)); err != nil || got != c.want {
			t.Errorf("%q is %q, %v, want %q", c.in, got, err, c.want)
		}
	}
	for _, in := range []string{"count", "count=", "count=x", ",count=1", "=", "count=1,=", "count= 1", "x", "count=99999999999999999999"} {
		if q, err := parseQuota(in); err == nil {
			t.Errorf("%q is %q", in, q.append(nil))
		}
	}
}

func TestCheckQuota(t *testing.T) {
	tr := New()
	zxid := int64(0)
	create := func(path, data string) {
		t.Helper()
		zxid++
		mustApply(t, tr, createTxn(zxid, path, data))
	}
	create("/app", "abc")
	create("/app/in", "")
	create(QuotaPath+"/app", "")
	create(QuotaPath+"/app/in", "")
	create(QuotaPath+"/app/zookeeper_stats", "")
	create(QuotaPath+"/app/zookeeper_limits", "")
	create(QuotaPath+"/app/in/zookeeper_stats", "")
	for _, c := range []struct {
		limits, path string
		nodes, bytes int
		want         []QuotaBreach
		code         jute.ErrorCode
	}{
		{"", "/app/x", 1, 1, nil, 0},
		{"count=3", "/app/x", 1, 0, nil, 0},
		{"count=2", "/app/x", 1, 0, []QuotaBreach{{"/app", false, false, 3, 2}}, 0},
		{"count=2", "/app/x", 0, 9, nil, 0},
		{"count=2", "/other", 1, 0, nil, 0},
		{"count=2", "/apple", 1, 0, nil, 0},
		{"count=9=;countHardLimit=2", "/app/in/deep/x", 1, 0, []QuotaBreach{{"/app", false, true, 3, 2}}, 0},
		{"count=0=;countHardLimit=3", "/app/x", 1, 0, nil, 0}, // a hard limit hides the soft one
		{"bytes=4", "/app", 0, 1, nil, 0},
		{"bytes=4", "/app", 0, 2, []QuotaBreach{{"/app", true, false, 5, 4}}, 0},
		{"bytes=-1=;byteHardLimit=1", "/app", 0, -1, []QuotaBreach{{"/app", true, true, 2, 1}}, 0},
		{"bytes=-1=;byteHardLimit=1", "/app", 0, 0, nil, 0},
		{"count=1,bytes=-1=;byteHardLimit=1", "/app/x", 1, 1, []QuotaBreach{{"/app", false, false, 3, 1}, {"/app", true, true, 4, 1}}, 0},
		{"count=many", "/app/x", 1, 1, nil, jute.CodeMarshallingError},
	} {
		zxid++
		mustApply(t, tr, txn(zxid, jute.OpSetData, &jute.SetDataTxn{Path: QuotaPath + "/app/zookeeper_limits", Data: []byte(c.limits)}))
		if got, code := tr.CheckQuota(c.path, c.nodes, c.bytes); !reflect.DeepEqual(got, c.want) || code != c.code {
			t.Errorf("%q for %d and %d at %s: %+v %v, want %+v %v", c.limits, c.nodes, c.bytes, c.path, got, code, c.want, c.code)
		}
	}
	// Of nested quotas only the nearest counts.
	create(QuotaPath+"/app/in/zookeeper_limits", "count=1")
	want := []QuotaBreach{{"/app/in", false, false, 2, 1}}
	if got, code := tr.CheckQuota("/app/in/x", 1, 0); !reflect.DeepEqual(got, want) || code != 0 {
		t.Errorf("nested: %+v %v, want %+v", got, code, want)
	}
	// Statistics that can't be read are not an endless count.
	zxid++
	mustApply(t, tr, txn(zxid, jute.OpSetData, &jute.SetDataTxn{Path: QuotaPath + "/app/in/zookeeper_stats", Data: []byte("none")}))
	if _, code := tr.CheckQuota("/app/in/x", 1, 0); code != jute.CodeMarshallingError {
		t.Errorf("statistics that can't be read: %v", code)
	}
	create("/app/in/x", "12")
	if data, _, _ := tr.GetData(QuotaPath+"/app/in/zookeeper_stats", anyone, nil); string(data) != "count=0,bytes=1" {
		t.Errorf("statistics begun anew are %q", data)
	}
	// What else a client wrote there stays.
	zxid++
	mustApply(t, tr, txn(zxid, jute.OpSetData, &jute.SetDataTxn{Path: QuotaPath + "/app/in/zookeeper_stats", Data: []byte("own=7,bytes=1,count=1")}))
	create("/app/in/y", "")
	if data, _, _ := tr.GetData(QuotaPath+"/app/in/zookeeper_stats", anyone, nil); string(data) != "count=2,bytes=1=;own=7" {
		t.Errorf("statistics with a foreign figure are %q", data)
	}
}
