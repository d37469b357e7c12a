package storage

import (
	"errors"
	"fmt"
	"io"
	"path"
)

// receivedName is the file for a snapshot that comes from outside; it is never kept.
const receivedName = temporaryPrefix + "received"

// ReceiveSnapshot reads a snapshot file from a stream into a sink, and checks it. It goes by
// way of the disk, so that a stream of any length costs no memory before it is known to be
// whole, and changes nothing there. It may run in any goroutine, in one at a time.
func (s *Storage) ReceiveSnapshot(stream io.Reader, sink SnapshotSink) (err error) {
	name := path.Join(s.snapDir, receivedName)
	defer func() { err = errors.Join(err, removeIfThere(s.fs, name)) }()
	file, err := s.fs.Create(name)
	if err != nil {
		return fmt.Errorf("receive a snapshot: %w", err)
	}
	_, err = io.Copy(file, stream)
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("receive a snapshot: %w", err)
	}
	return readSnapshotFile(s.fs, dataFile{path: name}, sink)
}
