package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"zoolab/node/vfs"
)

var (
	// ErrFatal marks a failure after which the process must end: see the package comment.
	ErrFatal = errors.New("storage failed and must not be used any more; restart the server")
	// ErrCorrupt marks files that no crash of a server can have left. They must be
	// restored from another member or a backup; the error names file and offset.
	ErrCorrupt = errors.New("data on disk is corrupt")
	// ErrNotInHistory says that Truncate was asked for a point that can't be restored:
	// the log does not hold it, or what lies before it is gone. Nothing was changed.
	ErrNotInHistory = errors.New("zxid is not in the history on disk")
	// ErrSuperseded says that a snapshot was given up because the history it shows was
	// truncated or replaced while it was written.
	ErrSuperseded = errors.New("history changed while the snapshot was written")
)

const (
	versionDir = "version-2"

	// unsyncedLimitBytes bounds what waits for Sync: Append syncs by itself beyond it.
	// So a crash can tear no more than this and one record; Load relies on that.
	unsyncedLimitBytes = 1 << 20
)

// Options configures a Storage. FS and DataDir are required.
type Options struct {
	FS         vfs.FS
	DataDir    string
	DataLogDir string // DataDir if empty

	PreAllocSizeBytes    int64 // preAllocSize: the log grows in steps of this; none if it is not positive
	TxnLogSizeLimitBytes int64 // txnLogSizeLimitInKb: a log that is larger is ended; never if it is not positive
	NoForceSync          bool  // forceSync=no: nothing is synced, and a crash may lose or tear anything
	FsyncWarnMs          int64 // fsync.warningthresholdms: a sync that takes longer is logged
	TrustEmpty           bool  // snapshot.trust.empty: logs without a snapshot are loaded whatever they begin with

	// Compression is how snapshots are written; every kind is read.
	Compression Compression

	// Now is the clock that syncs are measured with.
	Now func() time.Time
	// OnSync, if set, is told how long each sync of the log took and how much it made durable.
	OnSync func(elapsed time.Duration, sizeBytes int)
	// Log receives warnings; nil discards them.
	Log *slog.Logger
}

// Storage is the disk of one server.
type Storage struct {
	opts    Options
	fs      vfs.FS
	log     *slog.Logger
	snapDir string // DataDir/version-2
	logDir  string // DataLogDir/version-2

	failure atomic.Pointer[error] // the failure that ended this storage, wrapping ErrFatal

	loaded   bool
	lastZxid int64 // of the last transaction appended or loaded; rises, except by Truncate and InstallSnapshot

	// The log file that is being written. file is nil until the next Sync creates it.
	file          vfs.File
	fileName      string
	fileEnd       int64 // where the next write goes
	fileAllocated int64 // size of the file. Invariant: fileEnd <= fileAllocated after each Sync
	noPrealloc    bool  // preallocation failed once: the disk may be full, but writes may still fit

	// What waits for Sync. Invariant: all of it belongs into one file.
	waiting      []byte
	waitingFirst int64 // zxid of the first record in waiting

	epochs epochCache

	// filesMu is held while the set of files changes or must not change. Appending
	// needs no lock: it only ever adds a file that is newer than all others.
	filesMu sync.Mutex
	// history counts the times that history was taken back. A snapshot of an older
	// count must not get its name.
	history atomic.Int64
}

// Open makes the directories where they are missing. Load must come next.
func Open(opts Options) (*Storage, error) {
	if opts.DataLogDir == "" {
		opts.DataLogDir = opts.DataDir
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Now == nil {
		return nil, errors.New("open storage: Options.Now is missing")
	}
	if err := opts.Compression.check(); err != nil {
		return nil, fmt.Errorf("open storage: %w", err)
	}
	s := &Storage{
		opts: opts, fs: opts.FS, log: opts.Log,
		snapDir: path.Join(opts.DataDir, versionDir),
		logDir:  path.Join(opts.DataLogDir, versionDir),
	}
	for _, dir := range []string{s.snapDir, s.logDir} {
		if err := makeDir(s.fs, dir); err != nil {
			return nil, fmt.Errorf("open storage: make %s: %w", dir, err)
		}
	}
	return s, nil
}

// makeDir makes a directory and the missing ones above it, durably. It goes from the
// top and syncs each name before it makes the next directory, so that one that is
// there has a durable path, but for its own last name.
func makeDir(fsys vfs.FS, dir string) error {
	parent := path.Dir(dir)
	if parent == dir {
		return nil
	}
	info, err := fsys.Stat(dir)
	switch {
	case err == nil && !info.IsDir:
		return fmt.Errorf("%s is a file", dir)
	case err == nil:
		if err := fsys.SyncDir(parent); !errors.Is(err, fs.ErrPermission) {
			return err
		}
		return nil // a parent that may not be read is not of this server's making
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := makeDir(fsys, parent); err != nil {
		return err
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return err
	}
	return fsys.SyncDir(parent)
}

// Close gives up what was not synced and closes the log. It reports no failure
// that would matter: what Sync reported is durable.
func (s *Storage) Close() error {
	s.waiting = s.waiting[:0]
	if s.failure.Load() != nil {
		return s.abandonFile()
	}
	return s.closeFile()
}

// LastZxid returns the zxid of the last transaction appended or loaded.
func (s *Storage) LastZxid() int64 { return s.lastZxid }

// fail makes err the end of this storage.
func (s *Storage) fail(what string, err error) error {
	err = fmt.Errorf("%s: %w: %w", what, err, ErrFatal)
	if !s.failure.CompareAndSwap(nil, &err) {
		return *s.failure.Load()
	}
	s.log.Error("storage failed", "what", what, "error", err)
	return err
}

// usable refuses everything after a failure and before Load.
func (s *Storage) usable() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	if !s.loaded {
		return errors.New("storage is used before Load")
	}
	return nil
}

// DataSizeBytes returns the size of all snapshots. It may be called from any goroutine.
func (s *Storage) DataSizeBytes() (int64, error) { return s.sizeBytes(listSnapshots(s.fs, s.snapDir)) }

// LogSizeBytes returns the size of all logs, preallocated room included. It may be
// called from any goroutine.
func (s *Storage) LogSizeBytes() (int64, error) { return s.sizeBytes(listLogs(s.fs, s.logDir)) }

// sizeBytes sums up the files of a list, unless that failed.
func (s *Storage) sizeBytes(files []dataFile, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	var total int64
	for _, file := range files {
		info, err := s.fs.Stat(file.path)
		if err != nil {
			continue // it was purged meanwhile
		}
		total += info.SizeBytes
	}
	return total, nil
}

// OpenLogSizeBytes returns how much was written into the current log file: the
// figure that snapSizeLimitInKb limits.
func (s *Storage) OpenLogSizeBytes() int64 { return s.fileEnd + int64(len(s.waiting)) }
