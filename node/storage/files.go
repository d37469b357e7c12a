package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"zoolab/node/vfs"
)

const (
	snapshotPrefix = "snapshot."
	logPrefix      = "log."

	// Names of unfinished files begin so that neither this server nor Apache's takes
	// them for what they are to become.
	temporaryPrefix = "unfinished-"
	// An incoming snapshot is complete and durable, and replaces everything else: see InstallSnapshot.
	incomingPrefix = "incoming."
)

// dataFile is a log or snapshot with the zxid in its name.
type dataFile struct {
	path string
	zxid int64
}

func hexZxid(zxid int64) string { return strconv.FormatUint(uint64(zxid), 16) }

// compressions are all there are.
var compressions = []Compression{NoCompression, Gzip, Snappy}

// listLogs returns the logs in a directory, lowest zxid first.
func listLogs(fsys vfs.FS, dir string) ([]dataFile, error) {
	return listFiles(fsys, dir, logPrefix, NoCompression)
}

// listSnapshots returns the snapshots in a directory, lowest zxid first.
func listSnapshots(fsys vfs.FS, dir string) ([]dataFile, error) {
	return listFiles(fsys, dir, snapshotPrefix, compressions...)
}

// listFiles returns the files whose name is prefix, a zxid and the ending of one of the
// compressions, lowest zxid first.
func listFiles(fsys vfs.FS, dir, prefix string, kinds ...Compression) ([]dataFile, error) {
	names, err := fsys.List(dir)
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	var files []dataFile
	for _, name := range names {
		digits, ok := strings.CutPrefix(name, prefix)
		if !ok {
			continue
		}
		digits, ending, _ := strings.Cut(digits, ".")
		if !slices.Contains(kinds, Compression(ending)) || ending == "" && strings.HasSuffix(name, ".") {
			continue
		}
		zxid, err := strconv.ParseInt(digits, 16, 64)
		if err == nil && hexZxid(zxid) == strings.ToLower(digits) {
			files = append(files, dataFile{path.Join(dir, name), zxid})
		}
	}
	slices.SortFunc(files, func(a, b dataFile) int {
		switch {
		case a.zxid < b.zxid:
			return -1
		case a.zxid > b.zxid:
			return 1
		}
		return strings.Compare(a.path, b.path)
	})
	return files, nil
}

// logsFrom returns the files, of a sorted list, that hold what follows a zxid: those
// that begin behind it, and the one before them, which may straddle it.
func logsFrom(logs []dataFile, zxid int64) []dataFile {
	first := 0
	for i, file := range logs {
		if file.zxid <= zxid {
			first = i
		}
	}
	return logs[first:]
}

// removeIfThere removes a file; it is no error if it is gone.
func removeIfThere(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeSnapshots removes all snapshots after zxid, durably.
func (s *Storage) removeSnapshots(after int64) error {
	snapshots, err := listSnapshots(s.fs, s.snapDir)
	if err != nil {
		return err
	}
	for _, file := range snapshots {
		if file.zxid > after {
			if err := removeIfThere(s.fs, file.path); err != nil {
				return err
			}
		}
	}
	return s.fs.SyncDir(s.snapDir)
}

// removeTemporary removes what a crash left unfinished.
func (s *Storage) removeTemporary() error {
	for _, dir := range []string{s.snapDir, s.logDir} {
		names, err := s.fs.List(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if !strings.HasPrefix(name, temporaryPrefix) {
				continue
			}
			s.log.Info("removing an unfinished file", "file", path.Join(dir, name))
			if err := removeIfThere(s.fs, path.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// epochOf and counterOf split a zxid.
func epochOf(zxid int64) int64   { return zxid >> 32 }
func counterOf(zxid int64) int64 { return zxid & 0xffffffff }

// follows reports whether next can be the transaction after prev: the counter goes
// up by one, and starts at one in a new epoch.
func follows(prev, next int64) bool {
	if epochOf(prev) == epochOf(next) {
		return next == prev+1
	}
	return next > prev && counterOf(next) == 1
}

// isFirst reports whether a log that begins with zxid is complete. A standalone
// server counts in epoch 0, an ensemble's first epoch is 1. Later epochs may be the
// first with a transaction, but nothing proves it: hence the snapshot of the empty
// tree that a server writes at its first start.
func isFirst(zxid int64) bool { return zxid == 1 || zxid == 1<<32|1 }
