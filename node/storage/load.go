package storage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// snapshotsTried bounds how many snapshots Load tries until one is valid.
const snapshotsTried = 100

// Loaded tells what Load found.
type Loaded struct {
	SnapshotPath string // empty if no snapshot was loaded
	SnapshotZxid int64
	LastZxid     int64 // of the last transaction, in the snapshot or the log
	Replayed     int   // transactions replayed
	// Empty says that there is nothing at all. The server should write a snapshot of
	// the empty tree before it serves: its absence later proves a loss.
	Empty bool
}

// Load restores the newest valid snapshot and replays the log behind it; it repairs
// what a crash left. It must be called once after Open, and again after Truncate or
// InstallSnapshot to get the tree back.
//
// newSink is called for each snapshot that is tried; the last sink is the base on
// which to replay. If there is no snapshot, newSink is called a last time and the
// sink gets nothing, not even Finish. replay gets the transactions in order, each
// in memory of its own. A snapshot of Apache's is fuzzy: it may already hold the
// effects of transactions that are replayed.
func (s *Storage) Load(newSink func() SnapshotSink, replay func(zxid int64, payload []byte) error) (Loaded, error) {
	if err := s.failure.Load(); err != nil {
		return Loaded{}, *err
	}
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	if len(s.waiting) > 0 {
		return Loaded{}, errors.New("load storage: transactions wait for Sync")
	}
	if err := s.abandonFile(); err != nil {
		return Loaded{}, fmt.Errorf("load storage: %w", err)
	}
	if err := s.removeTemporary(); err != nil {
		return Loaded{}, fmt.Errorf("load storage: %w", err)
	}
	// Names that a killed server gave and did not sync yet count from now on.
	if err := s.fs.SyncDir(s.snapDir); err != nil {
		return Loaded{}, fmt.Errorf("load storage: %w", err)
	}
	if err := s.resumeInstall(); err != nil {
		return Loaded{}, err
	}
	loaded, skipped, err := s.loadSnapshot(newSink)
	if err != nil {
		return loaded, err
	}
	err = s.replayLogs(&loaded, replay)
	if err == nil {
		err = skipped.checkReplaced(&loaded)
	}
	if err != nil && skipped.err != nil {
		return loaded, fmt.Errorf("%w; the snapshot %s was skipped: %w", err, skipped.path, skipped.err)
	}
	if err == nil && loaded.Empty && !s.loaded {
		err = s.disclaimEpoch()
	}
	if err != nil {
		return loaded, err
	}
	s.lastZxid, s.loaded = loaded.LastZxid, true
	return loaded, nil
}

// skippedSnapshot is the newest snapshot that could not be read; err is nil if there is none.
type skippedSnapshot struct {
	dataFile
	err error
}

// checkReplaced refuses to go on without a skipped snapshot when an older one and the
// log do not lead to where it stood: its name proves that this member had got there. A
// member that starts with less has forgotten what it acknowledged, and one that reads
// nothing at all would start as if it were new. The reason may be a disk that fails for
// a moment, so nothing is said of corruption.
func (skipped *skippedSnapshot) checkReplaced(loaded *Loaded) error {
	// The tree of a new leader may stand at the beginning of its epoch, which no transaction bears.
	lost := loaded.LastZxid < skipped.zxid && counterOf(skipped.zxid) != 0
	if skipped.err == nil || !lost && !(loaded.Empty && skipped.zxid != 0) {
		return nil
	}
	return fmt.Errorf("load storage: the history that can be read ends at zxid %#x, but this member was at %#x or beyond; "+
		"start it again if its disk can be read now, or remove its data so that it is sent a new copy", loaded.LastZxid, skipped.zxid)
}

// loadSnapshot fills a sink from the newest valid snapshot.
func (s *Storage) loadSnapshot(newSink func() SnapshotSink) (loaded Loaded, skipped skippedSnapshot, err error) {
	snapshots, err := listSnapshots(s.fs, s.snapDir)
	if err != nil {
		return Loaded{}, skipped, fmt.Errorf("load storage: %w", err)
	}
	for i := len(snapshots) - 1; i >= 0 && len(snapshots)-i <= snapshotsTried; i-- {
		file := snapshots[i]
		err := readSnapshotFile(s.fs, file, newSink())
		if err == nil {
			return Loaded{SnapshotPath: file.path, SnapshotZxid: file.zxid, LastZxid: file.zxid}, skipped, nil
		}
		if skipped.err == nil {
			skipped = skippedSnapshot{file, err}
		}
		s.log.Warn("skipping an invalid snapshot; an older one and more of the log take its place",
			"file", file.path, "error", err)
	}
	newSink()
	return Loaded{}, skipped, nil
}

// replayLogs replays what follows the snapshot. It stops where a transaction is missing.
func (s *Storage) replayLogs(loaded *Loaded, replay func(zxid int64, payload []byte) error) error {
	logs, err := listLogs(s.fs, s.logDir)
	if err != nil {
		return fmt.Errorf("load storage: %w", err)
	}
	logs = logsFrom(logs, loaded.SnapshotZxid)
	for i, file := range logs {
		if err := s.replayLog(file, i == len(logs)-1, loaded, replay); err != nil {
			return err
		}
	}
	loaded.Empty = loaded.SnapshotPath == "" && loaded.Replayed == 0
	return nil
}

func (s *Storage) replayLog(file dataFile, isLast bool, loaded *Loaded, replay func(zxid int64, payload []byte) error) error {
	r, err := openLog(s.fs, file.path)
	if err != nil {
		return fmt.Errorf("load storage: %w", err)
	}
	defer r.close()
	last := int64(-1) // of the previous record in this file
	for {
		zxid, payload, err := r.nextNew()
		if err == io.EOF || err == errBadRecord {
			break
		}
		if err != nil {
			return fmt.Errorf("load storage: %w", err)
		}
		if last < 0 && zxid != file.zxid {
			return fmt.Errorf("%s begins with zxid %#x instead of the one in its name: %w", file.path, zxid, ErrCorrupt)
		}
		if zxid <= last {
			return fmt.Errorf("%s: zxid %#x at offset %d follows %#x: %w", file.path, zxid, r.start, last, ErrCorrupt)
		}
		inFile := last >= 0
		last = zxid
		if zxid <= loaded.SnapshotZxid {
			continue
		}
		if err := s.checkFollows(loaded, file, r.start, zxid, inFile); err != nil {
			return err
		}
		if err := replay(zxid, bytes.Clone(payload)); err != nil {
			return fmt.Errorf("replay zxid %#x, %s at offset %d: %w", zxid, file.path, r.start, err)
		}
		loaded.LastZxid = zxid
		loaded.Replayed++
	}
	if r.repeated > 0 {
		s.log.Warn("a log has transactions twice, as Apache's server may leave it; each counts once",
			"file", file.path, "repeated", r.repeated)
	}
	return s.repairTail(r, file, isLast, last)
}

// checkFollows refuses a log that lacks transactions, as far as that can be seen.
func (s *Storage) checkFollows(loaded *Loaded, file dataFile, offset, zxid int64, inFile bool) error {
	if loaded.Replayed == 0 && loaded.SnapshotPath == "" {
		if isFirst(zxid) || s.opts.TrustEmpty {
			return nil
		}
		return fmt.Errorf("there is no valid snapshot in %s, and the log %s begins with zxid %#x: transactions are missing. "+
			"Restore a snapshot, or remove the data of this member so that it is sent a new copy, "+
			"or set snapshot.trust.empty=true if the log is known to be complete: %w", s.snapDir, file.path, zxid, ErrCorrupt)
	}
	if follows(loaded.LastZxid, zxid) {
		return nil
	}
	if inFile {
		s.log.Warn("the log was written with a gap", "file", file.path, "offset", offset,
			"afterZxid", hexZxid(loaded.LastZxid), "zxid", hexZxid(zxid))
		return nil
	}
	if zxid <= loaded.LastZxid {
		return fmt.Errorf("%s begins with zxid %#x, but %#x was in the file before it: %w",
			file.path, zxid, loaded.LastZxid, ErrCorrupt)
	}
	return fmt.Errorf("%s at offset %d: zxid %#x can't follow %#x: a log file or the end of one is missing: %w",
		file.path, offset, zxid, loaded.LastZxid, ErrCorrupt)
}

// repairTail cuts a torn end off, durably, before anything is written behind it. A
// file without a record is removed. The last file gives its preallocated room back,
// for writing goes on in a new one, and is synced: a server that was killed between
// write and sync left records that only the kernel knows, and this server is about
// to vouch for them.
func (s *Storage) repairTail(r *logReader, file dataFile, isLast bool, last int64) error {
	tail, err := examineTail(r.file, file.path, r.sizeBytes, r.offset, last)
	if err != nil {
		return err
	}
	if tail.torn == "" && tail.end == fileHeaderBytes {
		tail.torn = "the file holds no transaction"
	}
	switch {
	case tail.torn != "":
		s.log.Warn("repairing the end of a log, as a crash leaves it", "file", file.path, "what", tail.torn,
			"keptBytes", tail.end, "droppedBytes", tail.dataEnd-tail.end)
		if tail.end <= fileHeaderBytes {
			err = s.removeLog(file.path)
		} else {
			err = s.cutLog(file.path, tail.end)
		}
	case isLast:
		err = s.cutLog(file.path, tail.end)
	}
	if err == nil && isLast {
		err = s.fs.SyncDir(s.logDir)
	}
	if err != nil {
		return fmt.Errorf("repair the end of the log %s: %w", file.path, err)
	}
	return nil
}

// cutLog cuts a log file to a size, durably.
func (s *Storage) cutLog(name string, sizeBytes int64) error {
	file, err := s.fs.OpenReadWrite(name)
	if err != nil {
		return err
	}
	if err := file.Truncate(sizeBytes); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Sync(); err != nil {
		return errors.Join(err, file.Close())
	}
	return file.Close()
}

// removeLog removes a log file, durably.
func (s *Storage) removeLog(name string) error {
	if err := s.fs.Remove(name); err != nil {
		return err
	}
	return s.fs.SyncDir(s.logDir)
}
