package storage

import (
	"bufio"
	"errors"
	"fmt"
	"hash"
	"hash/adler32"
	"io"
	"path"
	"sync"

	"zoolab/node/vfs"
	"zoolab/zk/jute"
)

// SnapshotSource is a tree as it was at one moment. It may be read from another
// goroutine than the one that changes the tree, and more than once.
type SnapshotSource interface {
	// Zxid is the last transaction in the tree.
	Zxid() int64
	Sessions(yield func(id int64, timeoutMs int32) bool)
	ACLs(yield func(id int64, acl []jute.ACL) bool)
	// Nodes yields parents before children; the root's path is "". Data and stat are
	// used only during the yield.
	Nodes(yield func(path string, data []byte, aclID int64, stat *jute.StatPersisted) bool)
	// Digest is the digest of the tree, if it keeps one.
	Digest() (zxid int64, version int32, digest int64, ok bool)
}

// SnapshotSink takes a snapshot that is read, in the order of the methods. Data
// and ACLs are the sink's to keep, stat is only lent.
type SnapshotSink interface {
	AddSession(id int64, timeoutMs int32) error
	AddACL(id int64, acl []jute.ACL) error
	AddNode(path string, data []byte, aclID int64, stat *jute.StatPersisted) error
	SetDigest(zxid int64, version int32, digest int64) error
	// Finish says that all of the snapshot was read and checked.
	Finish(zxid int64) error
}

const (
	snapshotMagic  = 'Z'<<24 | 'K'<<16 | 'S'<<8 | 'N'
	rootTerminator = "/" // in place of a path: no more nodes, or the end of a seal

	// streamSignature ends a snapshot on the quorum port.
	streamSignature = "BenWasHere"

	snapshotBufferBytes = 128 << 10
	// snapshotSyncBytes is how much of a snapshot is written between syncs: in one go
	// at the end, the syncs of the log would wait behind it.
	snapshotSyncBytes = 32 << 20
)

// SnapshotJob is a snapshot that is about to be written.
type SnapshotJob struct {
	storage *Storage
	source  SnapshotSource
	history int64 // the storage's count when the source was taken
}

// NewSnapshot makes everything durable that the snapshot may hold, rolls the log
// and returns the job of writing it, whose Write may run in another goroutine. It
// must be called before the disk goroutine carries out anything that came after
// the source was taken: then a later Truncate or InstallSnapshot cancels the job.
func (s *Storage) NewSnapshot(src SnapshotSource) (*SnapshotJob, error) {
	if err := s.RollLog(); err != nil {
		return nil, err
	}
	// A new leader's tree may stand at the beginning of its epoch, which no
	// transaction bears.
	if zxid := src.Zxid(); zxid > s.lastZxid && counterOf(zxid) != 0 {
		return nil, fmt.Errorf("snapshot of zxid %#x: the log ends at %#x", zxid, s.lastZxid)
	}
	return &SnapshotJob{storage: s, source: src, history: s.history.Load()}, nil
}

// SaveSnapshot writes a snapshot and returns its path: NewSnapshot and Write in one.
func (s *Storage) SaveSnapshot(src SnapshotSource) (string, error) {
	job, err := s.NewSnapshot(src)
	if err != nil {
		return "", err
	}
	return job.Write()
}

// Write writes the snapshot and returns its path. A failure leaves things as they
// were, and is not fatal. ErrSuperseded is the failure of a job whose history ended.
func (j *SnapshotJob) Write() (string, error) {
	s := j.storage
	base := snapshotPrefix + hexZxid(j.source.Zxid()) + s.opts.Compression.ending()
	temporary, name := path.Join(s.snapDir, temporaryPrefix+base), path.Join(s.snapDir, base)
	err := writeSnapshotFile(s.fs, temporary, j.source, j.superseded)
	if err == nil {
		err = j.publish(temporary, name)
	}
	if err != nil {
		if removeErr := removeIfThere(s.fs, temporary); removeErr != nil {
			s.log.Warn("an unfinished snapshot stays until the next start", "file", temporary, "error", removeErr)
		}
		return "", fmt.Errorf("write the snapshot %s: %w", name, err)
	}
	return name, nil
}

func (j *SnapshotJob) superseded() error {
	if j.storage.history.Load() != j.history {
		return ErrSuperseded
	}
	return nil
}

// publish gives a complete file its name, unless its history has ended.
func (j *SnapshotJob) publish(temporary, name string) error {
	s := j.storage
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	if err := j.superseded(); err != nil {
		return err
	}
	if err := s.fs.Rename(temporary, name); err != nil {
		return err
	}
	return s.fs.SyncDir(s.snapDir)
}

// writeSnapshotFile writes a whole snapshot file, compressed as the end of its name
// says, durably, but not its name. It stops when cancelled returns an error.
func writeSnapshotFile(fs vfs.FS, name string, src SnapshotSource, cancelled func() error) error {
	file, err := fs.Create(name)
	if err != nil {
		return err
	}
	out := compressionOf(name).writer(&pacedFile{file: file})
	w := &sealedWriter{sum: adler32.New(), out: out, cancelled: cancelled}
	w.buffer = snapshotBuffer(w)
	defer releaseSnapshotBuffer(w.buffer)
	err = w.writeSnapshot(src)
	if err == nil {
		err = out.Close()
	}
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// snapshotBuffers keeps what snapshots are written through: small ones cost little else.
var snapshotBuffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, snapshotBufferBytes) }}

func snapshotBuffer(w io.Writer) *bufio.Writer {
	buffer := snapshotBuffers.Get().(*bufio.Writer)
	buffer.Reset(w)
	return buffer
}

func releaseSnapshotBuffer(buffer *bufio.Writer) {
	buffer.Reset(nil) // not to hold what it wrote to
	snapshotBuffers.Put(buffer)
}

// pacedFile syncs a file now and then while it is written.
type pacedFile struct {
	file     vfs.File
	unsynced int
}

func (p *pacedFile) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	if p.unsynced += n; err == nil && p.unsynced >= snapshotSyncBytes {
		p.unsynced = 0
		err = p.file.Sync()
	}
	return n, err
}

// sealedWriter writes a snapshot and keeps the checksum of what left its buffer, which
// is that of the snapshot before it is compressed.
type sealedWriter struct {
	out       io.Writer
	buffer    *bufio.Writer // writes into this sealedWriter
	sum       hash.Hash32
	cancelled func() error
}

// Write passes on what the buffer gives.
func (w *sealedWriter) Write(p []byte) (int, error) {
	if err := w.cancelled(); err != nil {
		return 0, err
	}
	w.sum.Write(p)
	return w.out.Write(p)
}

func (w *sealedWriter) writeSnapshot(src SnapshotSource) error {
	header := jute.FileHeader{Magic: snapshotMagic, Version: formatVersion, DbID: -1}
	if _, err := w.buffer.Write(jute.Marshal(&header)); err != nil {
		return err
	}
	if err := writeTree(w.buffer, src); err != nil {
		return err
	}
	if err := w.seal(); err != nil {
		return err
	}
	zxid, version, digest, ok := src.Digest()
	if !ok {
		return nil
	}
	b := jute.AppendInt64(nil, zxid)
	b = jute.AppendInt32(b, version)
	b = jute.AppendInt64(b, digest)
	if _, err := w.buffer.Write(b); err != nil {
		return err
	}
	return w.seal()
}

// seal writes the checksum of everything before it.
func (w *sealedWriter) seal() error {
	if err := w.buffer.Flush(); err != nil {
		return err
	}
	b := jute.AppendInt64(nil, int64(w.sum.Sum32()))
	b = jute.AppendString(b, rootTerminator)
	if _, err := w.buffer.Write(b); err != nil {
		return err
	}
	return w.buffer.Flush()
}

// writeTree writes sessions, ACLs and nodes. Errors of w stay in it, so that they
// need to be looked at only where writing could go on for long.
func writeTree(w *bufio.Writer, src SnapshotSource) error {
	count := 0
	src.Sessions(func(int64, int32) bool { count++; return true })
	b := jute.AppendInt32(nil, int32(count))
	src.Sessions(func(id int64, timeoutMs int32) bool {
		b = jute.AppendInt64(b, id)
		b = jute.AppendInt32(b, timeoutMs)
		return true
	})
	count = 0
	src.ACLs(func(int64, []jute.ACL) bool { count++; return true })
	b = jute.AppendInt32(b, int32(count))
	src.ACLs(func(id int64, acl []jute.ACL) bool {
		b = jute.AppendInt64(b, id)
		b = jute.AppendInt32(b, int32(len(acl)))
		for i := range acl {
			b = acl[i].Append(b)
		}
		return true
	})
	_, err := w.Write(b)
	src.Nodes(func(path string, data []byte, aclID int64, stat *jute.StatPersisted) bool {
		b = jute.AppendString(b[:0], path)
		b = jute.AppendBuffer(b, data)
		b = jute.AppendInt64(b, aclID)
		b = stat.Append(b)
		if err == nil {
			_, err = w.Write(b)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	_, err = w.Write(jute.AppendString(nil, rootTerminator))
	return err
}

// WriteSnapshotStream writes a snapshot as it goes over the quorum port behind a
// SNAP packet: the tree without file header, seals and digest, and a signature.
func WriteSnapshotStream(w io.Writer, src SnapshotSource) error {
	buffer := snapshotBuffer(w)
	defer releaseSnapshotBuffer(buffer)
	if err := writeTree(buffer, src); err != nil {
		return fmt.Errorf("send a snapshot: %w", err)
	}
	if _, err := buffer.Write(jute.AppendString(nil, streamSignature)); err != nil {
		return fmt.Errorf("send a snapshot: %w", err)
	}
	if err := buffer.Flush(); err != nil {
		return fmt.Errorf("send a snapshot: %w", err)
	}
	return nil
}
