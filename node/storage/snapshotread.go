package storage

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/adler32"
	"io"

	"zoolab/node/vfs"
	"zoolab/zk/jute"
)

const (
	statBytes   = 60
	sealBytes   = 8 + 4 + 1
	digestBytes = 8 + 4 + 8
)

// readSnapshotFile reads and checks a snapshot; only Finish tells the sink that it
// is valid. Any failure means that the file can't be used.
func readSnapshotFile(fs vfs.FS, snapshot dataFile, sink SnapshotSink) error {
	file, err := openSnapshot(fs, snapshot.path)
	if err != nil {
		return err
	}
	defer file.close()
	maxBytes := int(min(file.maxBytes, 1<<31-1))
	r := &snapshotReader{r: bufio.NewReaderSize(file, readBufferBytes(file.sizeBytes)), maxBytes: maxBytes, sum: adler32.New()}
	if err := r.readFile(sink); err != nil {
		return fmt.Errorf("at offset %d: %w", r.offset, err)
	}
	return sink.Finish(snapshot.zxid)
}

// probeEnd looks for the end of a seal: a snapshot that was never finished is
// told from one that was without reading it.
func probeEnd(file vfs.File, size int64) error {
	var end [5]byte
	if size < fileHeaderBytes+sealBytes {
		return fmt.Errorf("%d bytes are no snapshot: %w", size, ErrCorrupt)
	}
	if _, err := file.ReadAt(end[:], size-int64(len(end))); err != nil && err != io.EOF {
		return err
	}
	if end != [5]byte{0, 0, 0, 1, '/'} {
		return fmt.Errorf("the snapshot has no end: %w", ErrCorrupt)
	}
	return nil
}

// ReadSnapshotStream reads what WriteSnapshotStream wrote, and nothing behind it,
// into a sink. Finish is left to the caller, who knows the zxid from the SNAP
// packet. A buffer or string above maxBufferBytes is an error.
func ReadSnapshotStream(r *bufio.Reader, sink SnapshotSink, maxBufferBytes int) error {
	sr := &snapshotReader{r: r, maxBytes: maxBufferBytes}
	if err := sr.readTree(sink); err != nil {
		return fmt.Errorf("receive a snapshot, at byte %d: %w", sr.offset, err)
	}
	if signature := sr.str(); sr.err == nil && signature != streamSignature {
		sr.fail("the snapshot ends in %q", signature)
	}
	if sr.err != nil {
		return fmt.Errorf("receive a snapshot, at byte %d: %w", sr.offset, sr.err)
	}
	return nil
}

// snapshotReader reads values from a stream without reading ahead of r's buffer.
// Its first error stays, and everything read after it is zero.
type snapshotReader struct {
	r        *bufio.Reader
	maxBytes int
	sum      hash.Hash32 // of everything read; nil where nothing is sealed
	offset   int64
	err      error
}

func (r *snapshotReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format+": %w", append(args, ErrCorrupt)...)
	}
}

func (r *snapshotReader) failRead(err error) { r.err = noEOF(err) }

// take returns the next n bytes, at most as many as the buffer holds, valid until
// the next call; nil after an error.
func (r *snapshotReader) take(n int) []byte {
	if r.err != nil {
		return nil
	}
	b, err := r.r.Peek(n)
	if err != nil {
		r.failRead(err)
		return nil
	}
	if r.sum != nil {
		r.sum.Write(b)
	}
	r.r.Discard(n)
	r.offset += int64(n)
	return b
}

func (r *snapshotReader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *snapshotReader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

// length reads the length of a buffer, -1 for null.
func (r *snapshotReader) length() int {
	n := int(r.int32())
	if n < -1 || n > r.maxBytes {
		r.fail("a buffer of %d bytes, at most %d are allowed", n, r.maxBytes)
	}
	if r.err != nil {
		return -1
	}
	return n
}

// smallBytes is what surely fits into r's buffer.
func (r *snapshotReader) smallBytes() int { return min(r.r.Size(), 4096) }

// buffer reads a buffer into memory of its own, nil for null. Room for a large one
// is made only as its bytes come.
func (r *snapshotReader) buffer() []byte {
	n := r.length()
	if n < 0 {
		return nil
	}
	if n <= r.smallBytes() {
		return append(make([]byte, 0, n), r.take(n)...)
	}
	const stepBytes = 1 << 20
	b := make([]byte, 0, min(n, stepBytes))
	for len(b) < n && r.err == nil {
		step := min(n-len(b), stepBytes)
		b = append(b, make([]byte, step)...)
		r.full(b[len(b)-step:])
	}
	return b
}

// full fills b.
func (r *snapshotReader) full(b []byte) {
	if _, err := io.ReadFull(r.r, b); err != nil {
		r.failRead(err)
		return
	}
	if r.sum != nil {
		r.sum.Write(b)
	}
	r.offset += int64(len(b))
}

// str reads a string; null reads as empty.
func (r *snapshotReader) str() string {
	if r.err != nil {
		return ""
	}
	b, err := r.r.Peek(4)
	if err != nil {
		r.failRead(err)
		return ""
	}
	if n := int32(binary.BigEndian.Uint32(b)); n > int32(r.smallBytes()) {
		return string(r.buffer())
	}
	n := r.length()
	if n <= 0 {
		return ""
	}
	return string(r.take(n))
}

func (r *snapshotReader) readFile(sink SnapshotSink) error {
	var header jute.FileHeader
	if b := r.take(fileHeaderBytes); b != nil {
		header.Decode(jute.NewDecoder(b))
	}
	if r.err == nil && (header.Magic != snapshotMagic || header.Version != formatVersion) {
		r.fail("magic %#x, version %d is no snapshot", uint32(header.Magic), header.Version)
	}
	if r.err != nil {
		return r.err
	}
	if err := r.readTree(sink); err != nil {
		return err
	}
	r.readSeal()
	if r.err != nil {
		return r.err
	}
	// What follows tells itself by its length: a digest (since 3.6), and the zxid
	// (since 3.9), which the file's name has already.
	left := r.left()
	if left == digestBytes+sealBytes || left == digestBytes+sealBytes+8+sealBytes {
		zxid, version, digest := r.int64(), r.int32(), r.int64()
		r.readSeal()
		if r.err != nil {
			return r.err
		}
		if err := sink.SetDigest(zxid, version, digest); err != nil {
			return err
		}
		left = r.left()
	}
	if left == 8+sealBytes {
		r.int64()
		r.readSeal()
		left = r.left()
	}
	if r.err == nil && left != 0 {
		r.fail("something that is not known follows the snapshot")
	}
	return r.err
}

// left returns how many bytes follow, if they are few enough to be known sections, and
// -1 otherwise or after an error.
func (r *snapshotReader) left() int {
	if r.err != nil {
		return -1
	}
	const most = digestBytes + sealBytes + 8 + sealBytes
	b, err := r.r.Peek(most + 1)
	if err != nil && err != io.EOF {
		r.failRead(err)
		return -1
	}
	if len(b) > most {
		return -1
	}
	return len(b)
}

// readSeal checks the checksum of everything before it.
func (r *snapshotReader) readSeal() {
	want := int64(r.sum.Sum32())
	got := r.int64()
	if r.err == nil && got != want {
		r.fail("checksum %#x, but the file says %#x", want, got)
	}
	if end := r.str(); r.err == nil && end != rootTerminator {
		r.fail("a seal ends in %q", end)
	}
}

func (r *snapshotReader) readTree(sink SnapshotSink) error {
	if err := r.readSessions(sink); err != nil {
		return err
	}
	if err := r.readACLs(sink); err != nil {
		return err
	}
	var stat jute.StatPersisted // one for all nodes: it is only lent to the sink
	for {
		path := r.str()
		if r.err != nil {
			return r.err
		}
		if path == rootTerminator {
			return nil
		}
		data := r.buffer()
		aclID := r.int64()
		if b := r.take(statBytes); b != nil {
			stat.Decode(jute.NewDecoder(b))
		}
		if r.err != nil {
			return r.err
		}
		if err := sink.AddNode(path, data, aclID, &stat); err != nil {
			return fmt.Errorf("node %q: %w", path, err)
		}
	}
}

func (r *snapshotReader) readSessions(sink SnapshotSink) error {
	count := r.count("sessions")
	for ; count > 0 && r.err == nil; count-- {
		id, timeoutMs := r.int64(), r.int32()
		if r.err != nil {
			break
		}
		if err := sink.AddSession(id, timeoutMs); err != nil {
			return fmt.Errorf("session %#x: %w", id, err)
		}
	}
	return r.err
}

func (r *snapshotReader) readACLs(sink SnapshotSink) error {
	count := r.count("ACLs")
	for ; count > 0 && r.err == nil; count-- {
		id := r.int64()
		var acl []jute.ACL
		for entries := r.count("entries of an ACL"); entries > 0 && r.err == nil; entries-- {
			acl = append(acl, jute.ACL{Perms: r.int32(), ID: jute.ID{Scheme: r.str(), ID: r.str()}})
		}
		if r.err != nil {
			break
		}
		if err := sink.AddACL(id, acl); err != nil {
			return fmt.Errorf("ACL %d: %w", id, err)
		}
	}
	return r.err
}

func (r *snapshotReader) count(what string) int32 {
	n := r.int32()
	if n < 0 {
		r.fail("%d %s", n, what)
	}
	return n
}

// VerifySnapshot reads a snapshot file and checks it, keeping nothing.
func VerifySnapshot(fs vfs.FS, name string) error {
	return readSnapshotFile(fs, dataFile{path: name}, discardSink{})
}

// ReadSnapshot reads and checks a snapshot file; zxid is handed to Finish.
func ReadSnapshot(fs vfs.FS, name string, zxid int64, sink SnapshotSink) error {
	if err := readSnapshotFile(fs, dataFile{path: name, zxid: zxid}, sink); err != nil {
		return fmt.Errorf("read the snapshot %s: %w", name, err)
	}
	return nil
}

// discardSink is a sink for checking only.
type discardSink struct{}

func (discardSink) AddSession(int64, int32) error                            { return nil }
func (discardSink) AddACL(int64, []jute.ACL) error                           { return nil }
func (discardSink) AddNode(string, []byte, int64, *jute.StatPersisted) error { return nil }
func (discardSink) SetDigest(int64, int32, int64) error                      { return nil }
func (discardSink) Finish(int64) error                                       { return nil }
