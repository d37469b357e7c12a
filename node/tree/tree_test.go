package tree

import (
	"testing"

	"zoolab/zk/jute"
)

var anyone = Caller{}

var openAll = []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}

// txn makes a transaction of session 7 whose time is a thousand times its zxid.
func txn(zxid int64, op jute.OpCode, body jute.Record) *jute.LoggedTxn {
	return &jute.LoggedTxn{Header: jute.TxnHeader{ClientID: 7, Cxid: int32(zxid), Zxid: zxid, TimeMs: zxid * 1000, Type: op}, Body: body}
}

func createTxn(zxid int64, path, data string) *jute.LoggedTxn {
	return txn(zxid, jute.OpCreate, &jute.CreateTxn{Path: path, Data: []byte(data), ACL: openAll, ParentCVersion: -1})
}

func mustApply(t *testing.T, tr *Tree, tx *jute.LoggedTxn) Result {
	t.Helper()
	r := tr.Apply(tx)
	if r.Err != jute.CodeOK {
		t.Fatalf("apply 0x%x %v: %v", tx.Header.Zxid, tx.Header.Type, r.Err)
	}
	return r
}

func TestNewTree(t *testing.T) {
	tr := New()
	c := tr.Counts()
	// A fresh Apache ZooKeeper 3.8.0 reports 5 znodes and 44 bytes.
	if c.Znodes != 5 || c.DataSizeBytes != 44 {
		t.Errorf("fresh tree counts %d znodes and %d bytes, want 5 and 44", c.Znodes, c.DataSizeBytes)
	}
	acl, stat, err := tr.GetACL(ConfigPath, anyone)
	if err != nil || len(acl) != 1 || acl[0].Perms != jute.PermRead || stat.Aversion != -1 {
		t.Errorf("ACL of %s: %v %+v %v", ConfigPath, acl, stat, err)
	}
	tr.SetConfig([]byte("version=100000000"), 0x100000000, 5)
	data, stat, err := tr.GetData(ConfigPath, anyone, nil)
	if err != nil || string(data) != "version=100000000" || stat.Version != -1 || stat.Mzxid != 0x100000000 {
		t.Errorf("config: %q %+v %v", data, stat, err)
	}
}

func TestStatSemantics(t *testing.T) {
	tr := New()
	mustApply(t, tr, createTxn(1, "/a", "x"))
	mustApply(t, tr, createTxn(2, "/a/b", ""))
	mustApply(t, tr, createTxn(3, "/a/c", "yy"))
	mustApply(t, tr, txn(4, jute.OpDelete, &jute.DeleteTxn{Path: "/a/b"}))
	got, err := tr.Exists("/a", anyone, nil)
	want := jute.Stat{Czxid: 1, Mzxid: 1, Ctime: 1000, Mtime: 1000, Cversion: 3, DataLength: 1, NumChildren: 1, Pzxid: 4}
	if err != nil || got != want {
		t.Errorf("stat of /a is %+v, %v; want %+v", got, err, want)
	}
	info, _ := tr.Lookup("/a")
	if info.Stat.Cversion != 2 {
		t.Errorf("stored cversion is %d, want 2: it counts creates", info.Stat.Cversion)
	}
	r := mustApply(t, tr, txn(5, jute.OpSetData, &jute.SetDataTxn{Path: "/a", Data: nil, Version: 1}))
	want.Mzxid, want.Mtime, want.Version, want.DataLength = 5, 5000, 1, 0
	if r.Stat != want {
		t.Errorf("setData answers %+v, want %+v", r.Stat, want)
	}
	if data, _, _ := tr.GetData("/a", anyone, nil); data != nil {
		t.Errorf("null data became %q", data)
	}
	if tr.LastZxid() != 5 {
		t.Errorf("last zxid is %d", tr.LastZxid())
	}
}
