package tree

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"zoolab/zk/jute"
)

const million = 1_000_000

// fill makes a tree of count znodes with 100 bytes each, a thousand to a parent.
func fill(tb testing.TB, count int) *Tree {
	tb.Helper()
	b := NewBuilder()
	stat := jute.StatPersisted{Czxid: 1, Mzxid: 1, Pzxid: 1}
	add := func(path string, data []byte) {
		if err := b.AddNode(path, data, -1, &stat); err != nil {
			tb.Fatal(err)
		}
	}
	add("", nil)
	for i := range count {
		if i%1000 == 0 {
			add(fmt.Sprintf("/parent%06d", i/1000), nil)
		}
		add(fmt.Sprintf("/parent%06d/child%06d", i/1000, i%1000), make([]byte, 100))
	}
	if err := b.Finish(1); err != nil {
		tb.Fatal(err)
	}
	return b.Tree()
}

func BenchmarkApplySetData(b *testing.B) {
	tr := fill(b, 100_000)
	data := make([]byte, 1024)
	txns := make([]*jute.LoggedTxn, 1000)
	for i := range txns {
		txns[i] = txn(1, jute.OpSetData, &jute.SetDataTxn{Path: fmt.Sprintf("/parent%06d/child%06d", i%100, i), Data: data})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tx := txns[i%len(txns)]
		tx.Header.Zxid = int64(i + 2)
		tr.Apply(tx)
	}
}

func BenchmarkApplyCreateDelete(b *testing.B) {
	tr := fill(b, 100_000)
	create := txn(1, jute.OpCreate, &jute.CreateTxn{Path: "/parent000050/new", Data: make([]byte, 100), ACL: openAll, ParentCVersion: -1})
	remove := txn(1, jute.OpDelete, &jute.DeleteTxn{Path: "/parent000050/new"})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		create.Header.Zxid, remove.Header.Zxid = int64(2*i+2), int64(2*i+3)
		tr.Apply(create)
		tr.Apply(remove)
	}
}

func BenchmarkGetData(b *testing.B) {
	tr := fill(b, 100_000)
	paths := make([]string, 1000)
	for i := range paths {
		paths[i] = fmt.Sprintf("/parent%06d/child%06d", i%100, i)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, _, err := tr.GetData(paths[i%len(paths)], anyone, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMillion reports what a million znodes of 100 bytes cost: bytes of heap
// besides path-independent data, the time to load them, to walk a view, and of a
// collection while they are there.
func BenchmarkMillion(b *testing.B) {
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start := time.Now()
		tr := fill(b, million)
		loaded := time.Since(start)
		runtime.GC()
		runtime.ReadMemStats(&after)
		start = time.Now()
		runtime.GC()
		collected := time.Since(start)
		v := tr.View()
		start = time.Now()
		count := 0
		v.Nodes(func(string, []byte, int64, *jute.StatPersisted) bool { count++; return true })
		walked := time.Since(start)
		v.Close()
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/million, "heapB/znode")
		b.ReportMetric(float64(loaded.Milliseconds()), "load-ms")
		b.ReportMetric(float64(collected.Milliseconds()), "gc-ms")
		b.ReportMetric(float64(walked.Milliseconds()), "view-ms")
		runtime.KeepAlive(tr)
	}
}

// BenchmarkMillionChildren has them all under one parent.
func BenchmarkMillionChildren(b *testing.B) {
	tr := New()
	mustCreate := createTxn(1, "/p", "")
	tr.Apply(mustCreate)
	for i := range million {
		tr.Apply(createTxn(int64(i+2), fmt.Sprintf("/p/%07d", i), ""))
	}
	for i := 0; b.Loop(); i++ {
		path := fmt.Sprintf("/p/%07d", i*7919%million)
		tr.Apply(txn(int64(million+2*i+2), jute.OpDelete, &jute.DeleteTxn{Path: path}))
		tr.Apply(createTxn(int64(million+2*i+3), path, ""))
	}
}
