package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
)

// Truncate drops every transaction after zxid, durably. ErrNotInHistory, before
// anything is changed, says that zxid can't be restored: the member needs a
// snapshot from the leader instead. Any other failure is fatal. The tree must be
// restored with Load afterwards.
//
// Snapshots newer than zxid go first: one that outlived the log's end would bring
// back what was dropped (bug 4837). Then the log is shortened from its end, so
// that at every moment what is left is a piece of history without holes.
func (s *Storage) Truncate(zxid int64) error {
	if err := s.Sync(); err != nil {
		return err
	}
	if zxid > s.lastZxid {
		return fmt.Errorf("truncate to zxid %#x: the log ends at %#x: %w", zxid, s.lastZxid, ErrNotInHistory)
	}
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	cut, err := s.findCut(zxid)
	if err != nil {
		return fmt.Errorf("truncate to zxid %#x: %w", zxid, err)
	}
	s.history.Add(1)
	if err := s.abandonFile(); err != nil {
		return s.fail("truncate the log: close it", err)
	}
	if err := s.removeSnapshots(zxid); err != nil {
		return s.fail("truncate: remove newer snapshots", err)
	}
	for i := len(cut.later) - 1; i >= 0; i-- {
		if err := s.removeLog(cut.later[i].path); err != nil {
			return s.fail("truncate: remove newer logs", err)
		}
	}
	if cut.path != "" {
		if err := s.cutLog(cut.path, cut.sizeBytes); err != nil {
			return s.fail("truncate the log "+cut.path, err)
		}
	}
	s.lastZxid = zxid
	return nil
}

// TruncationFloor returns the lowest zxid to which Truncate may be able to go: that of the
// oldest snapshot, 0 if there is none.
func (s *Storage) TruncationFloor() (int64, error) {
	snapshots, err := listSnapshots(s.fs, s.snapDir)
	if err != nil || len(snapshots) == 0 {
		return 0, err
	}
	return snapshots[0].zxid, nil
}

// logCut is where a log is to end: a size of one file, and the files to remove.
type logCut struct {
	path      string // empty if no file is cut
	sizeBytes int64
	later     []dataFile
}

// findCut finds where the log holds what follows zxid, and proves that zxid can be
// restored: from a valid snapshot and the log from there to zxid without a hole.
func (s *Storage) findCut(zxid int64) (logCut, error) {
	base, haveBase, err := s.baseFor(zxid)
	if err != nil {
		return logCut{}, err
	}
	logs, err := listLogs(s.fs, s.logDir)
	if err != nil {
		return logCut{}, err
	}
	var cut logCut
	reached := base // the last zxid that can be restored
	older := 0
	for older < len(logs) && logs[older].zxid <= zxid {
		older++
	}
	cut.later = logs[older:]
	for _, file := range logsFrom(logs[:older], base) {
		end, last, err := s.followLog(file, zxid, reached, func(next int64) bool {
			if !haveBase && reached == 0 {
				return isFirst(next) || s.opts.TrustEmpty
			}
			return follows(reached, next)
		})
		if err != nil {
			return cut, err
		}
		cut.path, cut.sizeBytes, reached = file.path, end, max(reached, last)
	}
	if reached != zxid && counterOf(zxid) != 0 {
		return cut, fmt.Errorf("the history at hand goes from %#x to %#x and then past it: %w", base, reached, ErrNotInHistory)
	}
	return cut, nil
}

// followLog reads a file up to zxid and returns the offset behind the last record
// that stays and its zxid. canFollow judges the first record above reached.
func (s *Storage) followLog(file dataFile, zxid, reached int64, canFollow func(int64) bool) (end, last int64, err error) {
	r, err := openLog(s.fs, file.path)
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	end, first := r.offset, true
	for {
		next, _, err := r.nextNew()
		if err == io.EOF || err == nil && next > zxid {
			return end, last, nil
		}
		if err == errBadRecord {
			return 0, 0, fmt.Errorf("%s: no valid record at offset %d: %w", file.path, r.offset, ErrCorrupt)
		}
		if err != nil {
			return 0, 0, err
		}
		if first && next > reached {
			first = false
			if !canFollow(next) {
				return 0, 0, fmt.Errorf("%s: transactions before zxid %#x are missing: %w", file.path, next, ErrNotInHistory)
			}
		}
		end, last = r.offset, next
	}
}

// baseFor returns the newest valid snapshot at or before zxid.
func (s *Storage) baseFor(zxid int64) (base int64, found bool, err error) {
	snapshots, err := listSnapshots(s.fs, s.snapDir)
	if err != nil {
		return 0, false, err
	}
	for i := len(snapshots) - 1; i >= 0; i-- {
		if snapshots[i].zxid > zxid {
			continue
		}
		err := VerifySnapshot(s.fs, snapshots[i].path)
		if err == nil {
			return snapshots[i].zxid, true, nil
		}
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, false, err // it may be valid: what can't be read proves nothing
		}
		s.log.Warn("skipping an invalid snapshot", "file", snapshots[i].path, "error", err)
	}
	return 0, false, nil
}

// History is what ReadLog found.
type History struct {
	// Found says that the transaction asked for is in this member's history, and that
	// what follows it is here without a hole: zxid 0 with a log that is complete from
	// its beginning counts as well.
	Found bool
	// Complete says that Entries is everything behind it. Otherwise it was too much,
	// and Entries is empty.
	Complete bool
	Entries  []Entry
}

// Entry is one logged transaction: header, body and digest.
type Entry struct {
	Zxid    int64
	Payload []byte
}

// SyncLimitBytes is how much log may be read for a learner in place of a snapshot: factor
// times the size of the newest snapshot on disk, as snapshotSizeFactor says. As in
// Apache's server, everything may be read if the factor is 0 or there is no snapshot,
// and nothing if it is negative. It may be called from any goroutine.
func (s *Storage) SyncLimitBytes(factor float64) (int64, error) {
	snapshots, err := listSnapshots(s.fs, s.snapDir)
	if err != nil {
		return 0, err
	}
	switch {
	case factor < 0:
		return 0, nil
	case factor == 0 || len(snapshots) == 0:
		return math.MaxInt64, nil
	}
	info, err := s.fs.Stat(snapshots[len(snapshots)-1].path)
	if errors.Is(err, fs.ErrNotExist) {
		return math.MaxInt64, nil // it was purged meanwhile
	}
	if err != nil {
		return 0, err
	}
	limit := float64(info.SizeBytes) * factor
	if limit >= math.MaxInt64 {
		return math.MaxInt64, nil
	}
	return int64(limit), nil
}

var errTooMuch = errors.New("more than was asked for")

// ReadLog returns the transactions behind after, if they are at most maxBytes.
// Everything appended is made durable first, so nothing is handed to another
// member that this one could lose.
func (s *Storage) ReadLog(after, maxBytes int64) (History, error) {
	if err := s.Sync(); err != nil {
		return History{}, err
	}
	s.filesMu.Lock()
	defer s.filesMu.Unlock()
	logs, err := listLogs(s.fs, s.logDir)
	if err != nil {
		return History{}, fmt.Errorf("read the log: %w", err)
	}
	snapshots, err := listSnapshots(s.fs, s.snapDir)
	if err != nil {
		return History{}, fmt.Errorf("read the log: %w", err)
	}
	var h History
	// A snapshot's name proves that its zxid is in the history: others are removed.
	for _, snapshot := range snapshots {
		h.Found = h.Found || snapshot.zxid == after && after != 0
	}
	h.Found = h.Found || after == s.lastZxid
	reached := after
	for _, file := range logsFrom(logs, after) {
		reached, maxBytes, err = s.readEntries(file, after, reached, maxBytes, &h)
		if err == errTooMuch {
			return History{Found: h.Found}, nil
		}
		if err != nil {
			return History{}, fmt.Errorf("read the log: %w", err)
		}
	}
	if !h.Found || reached != s.lastZxid {
		return History{}, nil
	}
	h.Complete = true
	return h, nil
}

// readEntries adds one file's transactions behind after to h. It returns the zxid
// it got to and how many bytes may still be read.
func (s *Storage) readEntries(file dataFile, after, reached, maxBytes int64, h *History) (int64, int64, error) {
	r, err := openLog(s.fs, file.path)
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	for {
		zxid, payload, err := r.nextNew()
		switch {
		case err == io.EOF:
			return reached, maxBytes, nil
		case err == errBadRecord:
			return 0, 0, fmt.Errorf("%s: no valid record at offset %d: %w", file.path, r.offset, ErrCorrupt)
		case err != nil:
			return 0, 0, err
		case zxid == after:
			h.Found = true
		case zxid > after:
			if after == 0 && reached == 0 && isFirst(zxid) {
				h.Found = true
			}
			if !h.Found || !follows(reached, zxid) && reached != 0 {
				return reached, maxBytes, nil // a hole: reached stays behind the end of the log
			}
			if maxBytes -= int64(len(payload)); maxBytes < 0 {
				return 0, 0, errTooMuch
			}
			h.Entries = append(h.Entries, Entry{zxid, append([]byte(nil), payload...)})
			reached = zxid
		}
	}
}
