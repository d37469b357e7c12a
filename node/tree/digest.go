package tree

import (
	"encoding/binary"
	"hash/crc32"
	"strings"

	"zoolab/zk/jute"
)

// DigestVersion is the version of the digest that this package computes; digests
// of other versions are not compared.
const DigestVersion int32 = 2

// Undigested reports whether the digest leaves the znode out: everything below
// /zookeeper, because servers change quota statistics there on their own.
func Undigested(path string) bool { return strings.HasPrefix(path, "/zookeeper/") }

// Digester computes digests without allocating. It is used by one goroutine at a time.
type Digester struct{ scratch []byte }

// ContentCRC is the part of a znode's digest that its stat does not change.
func (d *Digester) ContentCRC(path string, data []byte) uint32 {
	d.scratch = d.scratch[:0]
	if path != "/" {
		d.scratch = append(d.scratch, path...)
	}
	return crc32.Update(crc32.Update(0, crc32.IEEETable, d.scratch), crc32.IEEETable, data)
}

// NodeDigest is a znode's part of the tree's digest: the CRC-32 of path, data and
// the 60 bytes of its stat. The tree's digest is the sum of all, modulo 2^64. For a
// znode that is Undigested it must not be added.
func (d *Digester) NodeDigest(contentCRC uint32, stat *jute.StatPersisted) int64 {
	b := d.scratch[:0]
	for _, v := range [...]int64{stat.Czxid, stat.Mzxid, stat.Pzxid, stat.Ctime, stat.Mtime} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	for _, v := range [...]int32{stat.Version, stat.Cversion, stat.Aversion} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(stat.EphemeralOwner))
	d.scratch = b
	return int64(crc32.Update(contentCRC, crc32.IEEETable, b))
}

// nodeDigest is what a znode adds to the tree's digest.
func (t *Tree) nodeDigest(h handle) int64 {
	n := t.store.node(h)
	if n.undigested || t.noDigest {
		return 0
	}
	stat := n.persisted()
	return t.digester.NodeDigest(n.contentCRC, &stat)
}
