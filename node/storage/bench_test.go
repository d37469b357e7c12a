package storage

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"zoolab/node/vfs"
)

// BenchmarkAppendSync measures group commit of 1 KiB records on the real disk.
func BenchmarkAppendSync(b *testing.B) {
	for _, batch := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			s, err := Open(Options{FS: vfs.OS{}, DataDir: b.TempDir(), Now: time.Now})
			must(b, err)
			_, err = loadInto(s)
			must(b, err)
			payload := make([]byte, 1024)
			var zxid int64
			b.SetBytes(int64(batch * len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				for range batch {
					zxid++
					binary.BigEndian.PutUint64(payload[12:], uint64(zxid))
					must(b, s.Append(zxid, payload))
				}
				must(b, s.Sync())
			}
			b.ReportMetric(float64(batch)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
			must(b, s.Close())
		})
	}
}

// BenchmarkSnapshot writes and reads a tree of a hundred thousand znodes.
func BenchmarkSnapshot(b *testing.B) {
	const nodes = 100_000
	tree := treeAt(1)
	for i := range nodes {
		tree.nodes = append(tree.nodes, testNode{path: fmt.Sprintf("/bench/%07d", i), data: make([]byte, 100), aclID: 1})
	}
	dir := b.TempDir()
	name := dir + "/snapshot.1"
	write := func() {
		must(b, writeSnapshotFile(vfs.OS{}, name, tree, func() error { return nil }))
	}
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			write()
		}
		b.ReportMetric(nodes*float64(b.N)/b.Elapsed().Seconds(), "nodes/s")
	})
	write()
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			must(b, VerifySnapshot(vfs.OS{}, name))
		}
		b.ReportMetric(nodes*float64(b.N)/b.Elapsed().Seconds(), "nodes/s")
	})
}
