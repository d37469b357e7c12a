package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"path"
	"strings"
	"syscall"

	"zoolab/zk/jute"
)

// Append adds a transaction to the log: its payload is header, body and digest as
// jute encodes them. It is durable after the next Sync. The payload is copied.
// A zxid that does not rise, or differs from the header's, is a programming error
// and fatal.
func (s *Storage) Append(zxid int64, payload []byte) error {
	if err := s.usable(); err != nil {
		return err
	}
	if zxid <= s.lastZxid {
		return s.fail("append to the log", fmt.Errorf("zxid %#x is not above the last one, %#x", zxid, s.lastZxid))
	}
	if len(payload) < minPayloadBytes || payloadZxid(payload) != zxid {
		return s.fail("append to the log", fmt.Errorf("the payload is not that of zxid %#x", zxid))
	}
	if len(s.waiting) == 0 {
		s.waitingFirst = zxid
		if s.file == nil {
			s.waiting = AppendLogHeader(s.waiting)
		}
	}
	s.waiting = AppendLogRecord(s.waiting, payload)
	s.lastZxid = zxid
	if len(s.waiting) >= unsyncedLimitBytes {
		return s.Sync()
	}
	return nil
}

// AppendLogHeader adds what a log file begins with to b.
func AppendLogHeader(b []byte) []byte {
	header := jute.FileHeader{Magic: logMagic, Version: formatVersion}
	return header.Append(b)
}

// AppendLogRecord adds a transaction as it stands in a log file to b.
func AppendLogRecord(b, payload []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(adler32.Checksum(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, payload...)
	return append(b, endOfRecord)
}

// Sync makes everything appended durable: one write, one sync.
func (s *Storage) Sync() error {
	if err := s.usable(); err != nil {
		return err
	}
	if len(s.waiting) == 0 {
		return nil
	}
	isNew := s.file == nil
	if isNew {
		if err := s.createLog(); err != nil {
			return err
		}
	}
	s.preallocate()
	if _, err := s.file.WriteAt(s.waiting, s.fileEnd); err != nil {
		return s.fail("write to the log "+s.fileName, err)
	}
	written := len(s.waiting)
	s.fileEnd += int64(written)
	s.fileAllocated = max(s.fileAllocated, s.fileEnd)
	s.waiting = s.waiting[:0]
	if cap(s.waiting) > 4*unsyncedLimitBytes {
		s.waiting = nil // one huge record must not hold its memory for ever
	}
	if !s.opts.NoForceSync {
		if err := s.syncLog(written); err != nil {
			return err
		}
	}
	if isNew {
		if err := s.publishLog(); err != nil {
			return err
		}
	}
	if limit := s.opts.TxnLogSizeLimitBytes; limit > 0 && s.fileEnd > limit {
		return s.endLog()
	}
	return nil
}

// createLog begins a log under a name that nobody reads: Apache's server does not start
// from a directory with an empty log, as a crash would leave it here (bug 2332).
func (s *Storage) createLog() error {
	name := path.Join(s.logDir, temporaryPrefix+logPrefix+hexZxid(s.waitingFirst))
	file, err := s.fs.Create(name)
	if err != nil {
		return s.fail("create a log", err)
	}
	s.file, s.fileName, s.fileEnd, s.fileAllocated = file, name, 0, 0
	return nil
}

// publishLog gives a log its name, once there are transactions in it.
func (s *Storage) publishLog() error {
	name := path.Join(s.logDir, strings.TrimPrefix(path.Base(s.fileName), temporaryPrefix))
	if err := s.fs.Rename(s.fileName, name); err != nil {
		return s.fail("name the log "+name, err)
	}
	s.fileName = name
	if s.opts.NoForceSync {
		return nil
	}
	if err := s.fs.SyncDir(s.logDir); err != nil {
		return s.fail("sync the log directory "+s.logDir, err)
	}
	return nil
}

// preallocate grows the file in steps, so that most syncs need not record a new
// size. It is an optimization: without it (a full disk) small writes may still fit,
// and if they don't, it is them that fail.
func (s *Storage) preallocate() {
	const reserveBytes = 4096
	step := s.opts.PreAllocSizeBytes
	end := s.fileEnd + int64(len(s.waiting))
	if s.noPrealloc || step <= 0 || end+reserveBytes < s.fileAllocated {
		return
	}
	size := (end + reserveBytes + step - 1) / step * step
	if err := s.file.Preallocate(size); err != nil {
		s.noPrealloc = true
		s.log.Warn("the log can't be preallocated; going on without", "file", s.fileName,
			"sizeBytes", size, "diskFull", errors.Is(err, syscall.ENOSPC), "error", err)
		return
	}
	s.fileAllocated = max(s.fileAllocated, size)
}

// syncLog makes what was written durable and watches how long that takes.
func (s *Storage) syncLog(sizeBytes int) error {
	start := s.opts.Now()
	if err := s.file.Sync(); err != nil {
		return s.fail("sync the log "+s.fileName, err)
	}
	elapsed := s.opts.Now().Sub(start)
	if s.opts.OnSync != nil {
		s.opts.OnSync(elapsed, sizeBytes)
	}
	if elapsed.Milliseconds() > s.opts.FsyncWarnMs {
		s.log.Warn("a sync of the log was slow: writes wait for it, sessions may expire",
			"elapsedMs", elapsed.Milliseconds(), "file", s.fileName, "sizeBytes", sizeBytes)
	}
	return nil
}

// RollLog makes everything durable and lets the next transaction begin a new file.
func (s *Storage) RollLog() error {
	if err := s.Sync(); err != nil {
		return err
	}
	return s.endLog()
}

// endLog closes the current file, all of which is durable.
func (s *Storage) endLog() error {
	if err := s.closeFile(); err != nil {
		return s.fail("close the log "+s.fileName, err)
	}
	return nil
}

// closeFile closes the current file, giving its preallocated room back.
func (s *Storage) closeFile() error {
	if s.file != nil && s.fileAllocated > s.fileEnd {
		if err := s.file.Truncate(s.fileEnd); err != nil {
			s.log.Warn("the log keeps its preallocated room", "file", s.fileName, "error", err)
		}
	}
	return s.abandonFile()
}

// abandonFile closes the current file as it is.
func (s *Storage) abandonFile() error {
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file, s.fileEnd, s.fileAllocated = nil, 0, 0
	return file.Close()
}
