package storage

import (
	"fmt"
	"path"
	"strings"
)

// InstallSnapshot makes a snapshot that was received from the leader the whole
// history: log and snapshots of before are dropped, whatever their zxids. When it
// returns, they are gone for good; when it is interrupted, the next Load finds all
// of the old history or all of the new one. Any failure is fatal.
//
// The snapshot first becomes durable under a name of its own, whose appearance
// decides; everything after that is repeated by Load if a crash interrupts it.
func (s *Storage) InstallSnapshot(src SnapshotSource) error {
	if err := s.usable(); err != nil {
		return err
	}
	s.history.Add(1) // before the lock, so that a job in progress stops writing now
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	s.waiting = s.waiting[:0]
	if err := s.abandonFile(); err != nil {
		return s.fail("install a snapshot: close the log", err)
	}
	zxid := src.Zxid()
	name := hexZxid(zxid) + s.opts.Compression.ending()
	temporary := path.Join(s.snapDir, temporaryPrefix+incomingPrefix+name)
	incoming := path.Join(s.snapDir, incomingPrefix+name)
	if err := writeSnapshotFile(s.fs, temporary, src, func() error { return nil }); err != nil {
		return s.fail("install a snapshot: write "+temporary, err)
	}
	if err := s.fs.Rename(temporary, incoming); err != nil {
		return s.fail("install a snapshot: rename "+temporary, err)
	}
	if err := s.fs.SyncDir(s.snapDir); err != nil {
		return s.fail("install a snapshot: sync "+s.snapDir, err)
	}
	if err := s.finishInstall(dataFile{incoming, zxid}); err != nil {
		return s.fail("install a snapshot", err)
	}
	s.lastZxid = zxid
	return nil
}

// resumeInstall completes an installation that a crash interrupted. The old history
// may be half gone, so a damaged snapshot can't be passed over here.
func (s *Storage) resumeInstall() error {
	files, err := listFiles(s.fs, s.snapDir, incomingPrefix, compressions...)
	if err != nil {
		return fmt.Errorf("load storage: %w", err)
	}
	if len(files) == 0 {
		return nil
	}
	if len(files) > 1 {
		return fmt.Errorf("%s and %s are both to replace everything else; one at a time is possible: %w",
			files[0].path, files[1].path, ErrCorrupt)
	}
	incoming := files[0]
	s.log.Warn("completing the installation of a snapshot that was interrupted", "file", incoming.path)
	if err := VerifySnapshot(s.fs, incoming.path); err != nil {
		return fmt.Errorf("the snapshot %s was to replace this member's data and is damaged; "+
			"remove the data of this member so that it is sent a new copy: %w: %w", incoming.path, ErrCorrupt, err)
	}
	if err := s.finishInstall(incoming); err != nil {
		return fmt.Errorf("complete the installation of %s: %w", incoming.path, err)
	}
	return nil
}

// finishInstall removes all other history and gives the snapshot its final name.
// Old snapshots go first: without them, what is left of the log is of no use even
// to a server that does not know incoming snapshots.
func (s *Storage) finishInstall(incoming dataFile) error {
	if err := s.removeSnapshots(-1); err != nil {
		return err
	}
	logs, err := listLogs(s.fs, s.logDir)
	if err != nil {
		return err
	}
	for _, file := range logs {
		if err := removeIfThere(s.fs, file.path); err != nil {
			return err
		}
	}
	if err := s.fs.SyncDir(s.logDir); err != nil {
		return err
	}
	final := path.Join(s.snapDir, snapshotPrefix+strings.TrimPrefix(path.Base(incoming.path), incomingPrefix))
	if err := s.fs.Rename(incoming.path, final); err != nil {
		return err
	}
	return s.fs.SyncDir(s.snapDir)
}
