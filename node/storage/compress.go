package storage

import (
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"

	"zoolab/node/vfs"
)

// Compression is how snapshots are written. Snapshots of all kinds are read, whatever is
// set: the end of a file's name says what it is. The values are those of Apache's setting
// snapshot.compression.method.
type Compression string

// The compressions of Apache ZooKeeper: none, gzip, and the format of snappy-java's streams.
const (
	NoCompression Compression = ""
	Gzip          Compression = "gz"
	Snappy        Compression = "snappy"
)

// ending is what the compression puts behind the zxid in a file's name.
func (c Compression) ending() string {
	if c == NoCompression {
		return ""
	}
	return "." + string(c)
}

// check refuses a compression that does not exist.
func (c Compression) check() error {
	switch c {
	case NoCompression, Gzip, Snappy:
		return nil
	}
	return fmt.Errorf("%q is no compression of snapshots; there are %q and %q", c, Gzip, Snappy)
}

// compressionOf tells by its name how a snapshot is to be compressed. As with Apache's, an
// ending that nobody knows means that it is not.
func compressionOf(name string) Compression {
	c := Compression(strings.ToLower(strings.TrimPrefix(path.Ext(name), ".")))
	if c.check() != nil {
		return NoCompression
	}
	return c
}

// magics are how compressed files begin.
var magics = map[Compression]string{Gzip: "\x1f\x8b", Snappy: snappyMagic}

// compressionIn tells by its first bytes how a snapshot is compressed.
func compressionIn(start []byte) Compression {
	for compression, magic := range magics {
		if strings.HasPrefix(string(start), magic) {
			return compression
		}
	}
	return NoCompression
}

// largestRatio is what a byte of a compressed file can become at most: deflate's limit,
// which is above snappy's.
const largestRatio = 1032

// writer returns what compresses into w. Its Close ends the compressed stream and leaves w open.
func (c Compression) writer(w io.Writer) io.WriteCloser {
	switch c {
	case Gzip:
		return gzip.NewWriter(w)
	case Snappy:
		return newSnappyWriter(w)
	}
	return plainWriter{w}
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }

// snapshotFile is an open snapshot, decompressed as it is read.
type snapshotFile struct {
	io.Reader
	file      vfs.File
	sizeBytes int64 // of the file
	// maxBytes is what no value in the snapshot can be larger than.
	maxBytes int64
}

// openSnapshot opens a snapshot and looks whether it can be one at all: what was never
// finished is told from what was without reading it, as far as the format allows. How it is
// compressed tells its content: a backup may have lost the ending of its name.
func openSnapshot(fs vfs.FS, name string) (*snapshotFile, error) {
	file, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	var start [len(snappyMagic)]byte
	n, err := file.ReadAt(start[:], 0)
	if err != nil && err != io.EOF {
		return nil, errors.Join(err, file.Close())
	}
	s, err := newSnapshotFile(file, compressionIn(start[:n]))
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

func newSnapshotFile(file vfs.File, compression Compression) (*snapshotFile, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	s := &snapshotFile{file: file, sizeBytes: size, maxBytes: size}
	if compression == NoCompression {
		s.Reader = file
		return s, probeEnd(file, size)
	}
	s.maxBytes = size * largestRatio
	source := &diskReader{r: file}
	var inflate io.Reader
	if compression == Gzip {
		inflate, err = gzip.NewReader(source)
	} else {
		inflate, err = newSnappyReader(source, size)
	}
	if err != nil {
		return nil, source.judge(err)
	}
	s.Reader = inflating{inflate, source}
	return s, nil
}

func (s *snapshotFile) close() { s.file.Close() }

// diskReader remembers whether reading the file failed: only if it did not is an error
// of the decompression the file's own.
type diskReader struct {
	r   io.Reader
	err error
}

func (d *diskReader) Read(p []byte) (int, error) {
	n, err := d.r.Read(p)
	if err != nil && err != io.EOF {
		d.err = err
	}
	return n, err
}

// judge makes an error of the decompression ErrCorrupt, unless the disk is to blame.
func (d *diskReader) judge(err error) error {
	if d.err != nil || errors.Is(err, ErrCorrupt) {
		return err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("decompress: %w: %w", err, ErrCorrupt)
}

// inflating passes on what decompression gives.
type inflating struct {
	io.Reader
	source *diskReader
}

func (i inflating) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = i.source.judge(err)
	}
	return n, err
}
