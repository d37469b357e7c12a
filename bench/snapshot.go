package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/adler32"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"zoolab/zk/jute"
)

// The constants of a snapshot file.
const (
	snapshotMagic   int32 = 0x5a4b534e // "ZKSN"
	snapshotVersion int32 = 2
	digestVersion   int32 = 2
	openACLIndex    int64 = -1
	snapshotZxid    int64 = 1 << 32
	snapshotTimeMs  int64 = 1_700_000_000_000
	snapshotPayload       = 64 // bytes in each znode
	childrenPerNode       = 1000
)

// snapshotWriter writes the tree section of a snapshot and sums its digest.
type snapshotWriter struct {
	out     io.Writer
	sum     hash.Hash32 // of all bytes written so far
	scratch []byte
	digest  uint64
	err     error
}

func (w *snapshotWriter) write(b []byte) {
	if w.err == nil {
		_, w.err = w.out.Write(b)
	}
	// A hash never fails.
	_, _ = w.sum.Write(b)
}

// node writes one znode. Znodes below /zookeeper are not part of the digest, but
// /zookeeper itself is.
func (w *snapshotWriter) node(path string, data []byte, children int, digested bool) {
	stat := jute.StatPersisted{
		Czxid: snapshotZxid, Mzxid: snapshotZxid, Pzxid: snapshotZxid,
		Ctime: snapshotTimeMs, Mtime: snapshotTimeMs, Cversion: int32(children),
	}
	if !digested {
		stat = jute.StatPersisted{Cversion: int32(children)}
	}
	b := jute.AppendString(w.scratch[:0], path)
	b = jute.AppendBuffer(b, data)
	b = jute.AppendInt64(b, openACLIndex)
	b = stat.Append(b)
	w.write(b)
	w.scratch = b
	if digested {
		w.digest += nodeDigest(path, data, stat)
	}
}

// nodeDigest is one znode's part of the tree's digest: the CRC-32 of path, data
// and the stat in an order of its own.
func nodeDigest(path string, data []byte, stat jute.StatPersisted) uint64 {
	crc := crc32.NewIEEE()
	_, _ = io.WriteString(crc, path)
	_, _ = crc.Write(data)
	var b [60]byte
	binary.BigEndian.PutUint64(b[0:], uint64(stat.Czxid))
	binary.BigEndian.PutUint64(b[8:], uint64(stat.Mzxid))
	binary.BigEndian.PutUint64(b[16:], uint64(stat.Pzxid))
	binary.BigEndian.PutUint64(b[24:], uint64(stat.Ctime))
	binary.BigEndian.PutUint64(b[32:], uint64(stat.Mtime))
	binary.BigEndian.PutUint32(b[40:], uint32(stat.Version))
	binary.BigEndian.PutUint32(b[44:], uint32(stat.Cversion))
	binary.BigEndian.PutUint32(b[48:], uint32(stat.Aversion))
	binary.BigEndian.PutUint64(b[52:], uint64(stat.EphemeralOwner))
	_, _ = crc.Write(b[:])
	return uint64(crc.Sum32())
}

// seal writes the checksum of everything before it.
func (w *snapshotWriter) seal() {
	b := jute.AppendInt64(nil, int64(w.sum.Sum32()))
	w.write(jute.AppendString(b, "/"))
}

// writeSnapshot makes dir/version-2/snapshot.100000000 with a tree of about
// count znodes, in groups of a thousand below /load, and gives its path.
func writeSnapshot(dir string, count int) (string, error) {
	version2 := filepath.Join(dir, "version-2")
	if err := os.MkdirAll(version2, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(version2, fmt.Sprintf("snapshot.%x", snapshotZxid))
	file, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	buffered := bufio.NewWriterSize(file, 1<<20)
	w := &snapshotWriter{out: buffered, sum: adler32.New()}
	header := jute.FileHeader{Magic: snapshotMagic, Version: snapshotVersion, DbID: -1}
	w.write(header.Append(nil))
	w.write(jute.AppendInt32(nil, 0)) // no sessions
	w.write(jute.AppendInt32(nil, 0)) // no ACLs: every znode is open
	w.tree(count)
	w.write(jute.AppendString(nil, "/"))
	w.seal()
	digest := jute.AppendInt64(nil, snapshotZxid)
	digest = jute.AppendInt32(digest, digestVersion)
	w.write(jute.AppendInt64(digest, int64(w.digest)))
	w.seal()
	if w.err == nil {
		w.err = buffered.Flush()
	}
	if w.err != nil {
		return "", fmt.Errorf("write %s: %w", path, w.err)
	}
	return path, file.Close()
}

// leafPath is the path of the i-th znode that is not a group.
func leafPath(i int) string {
	return fmt.Sprintf("/load/g%04d/n%04d", i/childrenPerNode, i%childrenPerNode)
}

// leafData is what that znode holds.
func leafData(i int) []byte {
	data := make([]byte, snapshotPayload)
	binary.BigEndian.PutUint32(data, uint32(i))
	return data
}

// tree writes the znodes, parents first.
func (w *snapshotWriter) tree(count int) {
	groups := (count + childrenPerNode - 1) / childrenPerNode
	w.node("", nil, 0, true)
	w.node("/zookeeper", nil, 2, true)
	w.node("/zookeeper/quota", nil, 0, false)
	w.node("/zookeeper/config", nil, 0, false)
	w.node("/load", nil, groups, true)
	for group := range groups {
		parent := fmt.Sprintf("/load/g%04d", group)
		children := min(childrenPerNode, count-group*childrenPerNode)
		w.node(parent, nil, children, true)
		for child := range children {
			i := group*childrenPerNode + child
			w.node(leafPath(i), leafData(i), 0, true)
		}
	}
}
