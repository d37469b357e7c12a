package tree

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"zoolab/zk/jute"
)

// TestFuzzySnapshotOneAhead restores what Apache's server may write while it applies
// transactions: the snapshot of zxid 1 has the digest of zxid 3, but the znode of zxid 4
// is in it already. Only a tree that still differs then is another one.
func TestFuzzySnapshotOneAhead(t *testing.T) {
	for damaged, want := range map[bool]int64{false: 0, true: 1} {
		source := New()
		var logged []*jute.LoggedTxn
		var digest int64
		for zxid := int64(1); zxid <= 4; zxid++ {
			txn := txn(zxid, jute.OpCreate, &jute.CreateTxn{
				Path: fmt.Sprintf("/n%d", zxid), Data: []byte("data"), ACL: openAll, ParentCVersion: int32(zxid),
			})
			mustApply(t, source, txn)
			txn.Digest = &jute.TxnDigest{Version: DigestVersion, TreeDigest: source.Digest()}
			logged = append(logged, txn)
			if zxid == 3 {
				digest = source.Digest()
			}
		}
		b := NewBuilder()
		view := source.View()
		view.ACLs(func(id int64, acl []jute.ACL) bool { return b.AddACL(id, acl) == nil })
		view.Nodes(func(path string, data []byte, aclID int64, stat *jute.StatPersisted) bool {
			if path == "/n2" && damaged {
				data = []byte("gone bad")
			}
			return b.AddNode(path, append([]byte(nil), data...), aclID, stat) == nil
		})
		view.Close()
		if err := errors.Join(b.SetDigest(3, DigestVersion, digest), b.Finish(1)); err != nil {
			t.Fatal(err)
		}
		restored := b.Tree()
		for _, txn := range logged[1:] {
			restored.Apply(txn)
		}
		if got := restored.DigestMismatches(); got != want {
			t.Errorf("damaged=%v: %d mismatches, want %d", damaged, got, want)
		}
	}
}

// TestReplays applies what is in a snapshot already.
func TestReplays(t *testing.T) {
	tr := New()
	mustApply(t, tr, createTxn(1, "/p", ""))
	mustApply(t, tr, createTxn(2, "/p/a", "new"))
	mustApply(t, tr, createTxn(3, "/p/b", ""))
	before, _ := tr.Lookup("/p")
	old := txn(2, jute.OpCreate, &jute.CreateTxn{Path: "/p/a", Data: []byte("old"), ACL: openAll, ParentCVersion: 1})
	if r := tr.Apply(old); r.Err != jute.CodeNodeExists {
		t.Errorf("a create of what is there gives %v", r.Err)
	}
	if data, _, _ := tr.GetData("/p/a", anyone, nil); string(data) != "new" {
		t.Errorf("the replayed create wrote %q", data)
	}
	if after, _ := tr.Lookup("/p"); after.Stat != before.Stat {
		t.Errorf("an old create turned the parent from %+v to %+v", before.Stat, after.Stat)
	}
	newer := txn(9, jute.OpCreate2, &jute.CreateTxn{Path: "/p/b", ACL: openAll, ParentCVersion: 7})
	if r := tr.Apply(newer); r.Err != jute.CodeNodeExists {
		t.Errorf("a create of what is there gives %v", r.Err)
	}
	if after, _ := tr.Lookup("/p"); after.Stat.Cversion != 7 || after.Stat.Pzxid != 9 {
		t.Errorf("a newer create left the parent at %+v", after.Stat)
	}
	if r := tr.Apply(txn(10, jute.OpDelete, &jute.DeleteTxn{Path: "/p/none"})); r.Err != jute.CodeNoNode {
		t.Errorf("a delete of what is gone gives %v", r.Err)
	}
	if after, _ := tr.Lookup("/p"); after.Stat.Pzxid != 10 {
		t.Errorf("the parent did not see the delete: %+v", after.Stat)
	}
	for _, c := range []struct {
		op   jute.OpCode
		body jute.Record
		want jute.ErrorCode
	}{
		{jute.OpCreate, &jute.CreateTxn{Path: "/none/x"}, jute.CodeNoNode},
		{jute.OpCreate, &jute.CreateTxn{Path: "nopath"}, jute.CodeBadArguments},
		{jute.OpCreate, &jute.CreateTxn{Path: "/"}, jute.CodeBadArguments},
		{jute.OpDelete, &jute.DeleteTxn{Path: "/none/x"}, jute.CodeNoNode},
		{jute.OpDelete, &jute.DeleteTxn{Path: "/"}, jute.CodeBadArguments},
		{jute.OpSetData, &jute.SetDataTxn{Path: "/none"}, jute.CodeNoNode},
		{jute.OpSetACL, &jute.SetACLTxn{Path: "/none"}, jute.CodeNoNode},
		{jute.OpError, &jute.ErrorTxn{Err: jute.CodeBadVersion}, jute.CodeBadVersion},
	} {
		if r := tr.Apply(txn(11, c.op, c.body)); r.Err != c.want {
			t.Errorf("%v %+v gives %v, want %v", c.op, c.body, r.Err, c.want)
		}
	}
	// An older transaction never turns the zxid back.
	mustApply(t, tr, createTxn(5, "/late", ""))
	if tr.LastZxid() != 11 {
		t.Errorf("the last zxid is %d, want 11", tr.LastZxid())
	}
}

func TestValidate(t *testing.T) {
	badPart := &jute.MultiTxn{Txns: []jute.Txn{{Type: jute.OpCreate, Data: jute.Marshal(&jute.CreateTxn{Path: "/x"})}, {Type: jute.OpDelete, Data: []byte{1}}}}
	badKind := &jute.MultiTxn{Txns: []jute.Txn{{Type: jute.OpCreateSession, Data: jute.AppendInt32(nil, 1)}}}
	for _, bad := range []*jute.LoggedTxn{
		txn(1, jute.OpMulti, badPart), txn(1, jute.OpMulti, badKind), txn(1, jute.OpMulti, nil), txn(1, jute.OpCreate, nil),
		txn(1, jute.OpCreate, &jute.DeleteTxn{}), txn(1, jute.OpDelete, &jute.MultiTxn{}), txn(1, jute.OpPing, nil),
	} {
		if err := Validate(bad); !errors.Is(err, jute.ErrMalformed) {
			t.Errorf("%v with a %T: %v", bad.Header.Type, bad.Body, err)
		}
	}
	if err := Validate(txn(1, jute.OpCloseSession, nil)); err != nil {
		t.Errorf("the closeSession of before 3.6 has no body, but: %v", err)
	}
	tr := New()
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a transaction that can't be applied was passed over")
			}
		}()
		tr.Apply(txn(1, jute.OpMulti, badPart))
	}()
	if _, there := tr.Lookup("/x"); there {
		t.Error("a part of a bad multi was applied")
	}
}

// TestRenamedParts applies a failed multi as Apache's server writes it once it has applied
// it: the part before the failure is an error that still has the data of a setData.
func TestRenamedParts(t *testing.T) {
	tr := New()
	mustApply(t, tr, createTxn(1, "/a", "old"))
	set := jute.Marshal(&jute.SetDataTxn{Path: "/a", Data: []byte("never"), Version: 1})
	multi := txn(2, jute.OpMulti, &jute.MultiTxn{Txns: []jute.Txn{
		{Type: jute.OpError, Data: set},
		{Type: jute.OpError, Data: jute.Marshal(&jute.ErrorTxn{Err: jute.CodeBadVersion})},
	}})
	if err := Validate(multi); err != nil {
		t.Fatal(err)
	}
	r := tr.Apply(multi)
	if r.Err != jute.CodeBadVersion || r.Multi[0].Err != jute.CodeOK || r.Multi[1].Err != jute.CodeBadVersion {
		t.Errorf("the multi gives %+v", r)
	}
	if a, _ := tr.Lookup("/a"); a.Stat.Version != 0 || tr.LastZxid() != 2 {
		t.Errorf("/a has version %d at zxid %d", a.Stat.Version, tr.LastZxid())
	}
	multi.Body.(*jute.MultiTxn).Txns[1].Data = []byte{1}
	if err := Validate(multi); !errors.Is(err, jute.ErrMalformed) {
		t.Errorf("an error of one byte: %v", err)
	}
}

func TestDigestMismatch(t *testing.T) {
	tr := New()
	tx := createTxn(1, "/a", "")
	tx.Digest = &jute.TxnDigest{Version: 1, TreeDigest: 5}
	mustApply(t, tr, tx)
	if tr.DigestMismatches() != 0 {
		t.Error("a digest of another version was compared")
	}
	tx = createTxn(2, "/b", "")
	tx.Digest = &jute.TxnDigest{Version: DigestVersion, TreeDigest: 5}
	mustApply(t, tr, tx)
	if tr.DigestMismatches() != 1 {
		t.Errorf("%d mismatches, want 1", tr.DigestMismatches())
	}
}

// TestFuzzySnapshot replays two transactions over a leader's snapshot of the first, which
// holds an effect of the second already: that is no mismatch, but what differs later is.
func TestFuzzySnapshot(t *testing.T) {
	leader := New()
	var log []*jute.LoggedTxn
	for zxid, path := range []string{"", "/a", "/b", "/c", "/d"} {
		if zxid > 0 {
			tx := createTxn(int64(zxid), path, "")
			tx.Body.(*jute.CreateTxn).ParentCVersion = int32(zxid)
			mustApply(t, leader, tx)
			tx.Digest = &jute.TxnDigest{Version: DigestVersion, TreeDigest: leader.Digest()}
			log = append(log, tx)
		}
	}
	b := NewBuilder()
	early := New()
	for _, tx := range []*jute.LoggedTxn{log[0], log[2]} {
		mustApply(t, early, &jute.LoggedTxn{Header: tx.Header, Body: tx.Body})
	}
	view := early.View()
	view.Nodes(func(path string, data []byte, acl int64, stat *jute.StatPersisted) bool {
		if err := b.AddNode(path, data, acl, stat); err != nil {
			t.Fatal(err)
		}
		return true
	})
	view.Close()
	if err := b.Finish(1); err != nil {
		t.Fatal(err)
	}
	follower := b.Tree()
	follower.Apply(log[1])
	if v := follower.View(); !v.noDigest {
		t.Error("a tree between two states gives a digest")
	}
	follower.Apply(log[2])
	if v := follower.View(); v.noDigest || follower.DigestMismatches() != 0 {
		t.Errorf("%d mismatches, no digest: %v", follower.DigestMismatches(), v.noDigest)
	}
	log[3].Digest.TreeDigest++
	follower.Apply(log[3])
	if follower.DigestMismatches() != 1 {
		t.Errorf("%d mismatches, want 1", follower.DigestMismatches())
	}
}

func TestBuilderRejects(t *testing.T) {
	var stat jute.StatPersisted
	for _, paths := range [][]string{{"", "/a/b"}, {"", "/a", "/a"}, {"", "a"}, {"", "/a/"}} {
		b := NewBuilder()
		var err error
		for _, path := range paths {
			if err == nil {
				err = b.AddNode(path, nil, -1, &stat)
			}
		}
		if !errors.Is(err, ErrBadSnapshot) {
			t.Errorf("%q: %v", paths, err)
		}
	}
	b := NewBuilder()
	b.AddNode("", nil, -1, &stat)
	b.SetDigest(4, DigestVersion, 12345)
	b.Finish(4)
	if b.Tree().DigestMismatches() != 1 {
		t.Error("a wrong digest in a snapshot was not counted")
	}
}

// TestBatch applies several transactions under one lock.
func TestBatch(t *testing.T) {
	tr := New()
	tr.Batch(func(apply func(*jute.LoggedTxn) Result) {
		for zxid := int64(1); zxid <= 3; zxid++ {
			if r := apply(createTxn(zxid, fmt.Sprint("/", zxid), "")); r.Err != jute.CodeOK {
				t.Error(r.Err)
			}
		}
	})
	if tr.LastZxid() != 3 || tr.Counts().Znodes != 8 {
		t.Errorf("zxid %d, %+v", tr.LastZxid(), tr.Counts())
	}
}

// orderWatcher checks that its event comes before the new data can be read.
type orderWatcher struct{ zxid atomic.Int64 }

func (w *orderWatcher) Notify(_ jute.WatcherEvent, zxid int64) { w.zxid.Store(zxid) }

// TestConcurrent lets readers, watchers and views run beside the writer. Each reader
// checks that what it sees never goes back, and that a watch it set has fired by the
// time that it reads newer data.
func TestConcurrent(t *testing.T) {
	tr := New()
	for i := range 50 {
		mustApply(t, tr, createTxn(int64(i+1), fmt.Sprintf("/n%d", i), ""))
	}
	var done atomic.Bool
	var group sync.WaitGroup
	for reader := range 4 {
		group.Go(func() {
			path := fmt.Sprintf("/n%d", reader)
			var last int64
			for !done.Load() {
				w := new(orderWatcher)
				_, stat, err := tr.GetData(path, anyone, w)
				if err != nil || stat.Mzxid < last {
					t.Errorf("%s: %v, mzxid %d after %d", path, err, stat.Mzxid, last)
					return
				}
				last = stat.Mzxid
				_, again, _ := tr.GetData(path, anyone, nil)
				if again.Mzxid > last && w.zxid.Load() == 0 {
					t.Errorf("%s: zxid %d was read before the event of it", path, again.Mzxid)
					return
				}
				tr.Children("/", anyone, w)
				tr.RemoveWatcher(w)
			}
		})
	}
	group.Go(func() {
		for !done.Load() {
			v := tr.View()
			count := 0
			v.Nodes(func(string, []byte, int64, *jute.StatPersisted) bool { count++; return true })
			if count != 54 {
				t.Errorf("a view has %d znodes, want 54", count)
			}
			v.Close()
		}
	})
	for zxid := int64(51); zxid < 6000; zxid += 3 {
		mustApply(t, tr, txn(zxid, jute.OpSetData, &jute.SetDataTxn{Path: fmt.Sprintf("/n%d", zxid%5), Data: []byte("x"), Version: int32(zxid)}))
		victim := fmt.Sprintf("/n%d", 10+zxid%40)
		mustApply(t, tr, txn(zxid+1, jute.OpMulti, &jute.MultiTxn{Txns: []jute.Txn{
			{Type: jute.OpDelete, Data: jute.Marshal(&jute.DeleteTxn{Path: victim})},
			{Type: jute.OpCreate, Data: jute.Marshal(&jute.CreateTxn{Path: victim, ACL: openAll, ParentCVersion: -1})},
		}}))
	}
	done.Store(true)
	group.Wait()
}
