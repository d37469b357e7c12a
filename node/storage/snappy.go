package storage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/s2"
)

// Snappy has no stream of its own that Apache's server would read: it uses that of
// snappy-java. A header of 16 bytes, then chunks: the length as an int, big-endian, and
// one snappy block. Nothing marks the end.
const (
	snappyMagic       = "\x82SNAPPY\x00"
	snappyVersion     = 1 // twice behind the magic: the version, and the oldest that can read it
	snappyHeaderBytes = len(snappyMagic) + 4 + 4
	// snappyBlockBytes is what snappy-java compresses at once.
	snappyBlockBytes = 32 << 10
	// snappyMaxBlockBytes bounds what is accepted: nothing says how large a block may be.
	snappyMaxBlockBytes = 1 << 20
)

// snappyWriter compresses a stream. Its errors stay: after one nothing more is written.
type snappyWriter struct {
	w     io.Writer
	block []byte // what waits to be compressed: below snappyBlockBytes
	chunk []byte // memory of the chunk: its length and the compressed block
	err   error
}

func newSnappyWriter(w io.Writer) *snappyWriter {
	s := &snappyWriter{w: w, block: make([]byte, 0, snappyBlockBytes), chunk: make([]byte, 4+s2.MaxEncodedLen(snappyBlockBytes))}
	header := binary.BigEndian.AppendUint32([]byte(snappyMagic), snappyVersion)
	_, s.err = w.Write(binary.BigEndian.AppendUint32(header, snappyVersion))
	return s
}

func (s *snappyWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && s.err == nil {
		take := min(len(p), snappyBlockBytes-len(s.block))
		s.block = append(s.block, p[:take]...)
		p, n = p[take:], n+take
		if len(s.block) == snappyBlockBytes {
			s.writeBlock()
		}
	}
	return n, s.err
}

// Close writes what waits.
func (s *snappyWriter) Close() error {
	if len(s.block) > 0 && s.err == nil {
		s.writeBlock()
	}
	return s.err
}

func (s *snappyWriter) writeBlock() {
	compressed := s2.EncodeSnappy(s.chunk[4:], s.block)
	binary.BigEndian.PutUint32(s.chunk, uint32(len(compressed)))
	_, s.err = s.w.Write(s.chunk[:4+len(compressed)])
	s.block = s.block[:0]
}

// snappyReader decompresses a stream. Whatever the bytes, it holds one block of at most
// snappyMaxBlockBytes, and no chunk longer than what is left of the file.
type snappyReader struct {
	r     io.Reader
	left  int64 // bytes of the file behind what was read
	chunk []byte
	block []byte // memory of the decompressed block
	rest  []byte // what of block was not read yet
}

// newSnappyReader reads the header of a stream of so many bytes.
func newSnappyReader(r io.Reader, sizeBytes int64) (*snappyReader, error) {
	var header [snappyHeaderBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, fmt.Errorf("read the header of the snappy stream: %w", noEOF(err))
	}
	oldest := binary.BigEndian.Uint32(header[len(snappyMagic)+4:])
	if string(header[:len(snappyMagic)]) != snappyMagic || oldest > snappyVersion {
		return nil, fmt.Errorf("the file does not begin as a snappy stream of version %d: %w", snappyVersion, ErrCorrupt)
	}
	return &snappyReader{r: r, left: sizeBytes - int64(snappyHeaderBytes)}, nil
}

func (s *snappyReader) Read(p []byte) (int, error) {
	for len(s.rest) == 0 {
		if err := s.readChunk(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// readChunk reads the next block; io.EOF is the end of the stream, which is only between chunks.
func (s *snappyReader) readChunk() error {
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return err
	}
	s.left -= int64(len(head))
	length := int64(int32(binary.BigEndian.Uint32(head[:])))
	if length <= 0 || length > s.left || length > int64(s2.MaxEncodedLen(snappyMaxBlockBytes)) {
		return fmt.Errorf("a snappy chunk of %d bytes, where %d are left: %w", length, max(s.left, 0), ErrCorrupt)
	}
	if int64(cap(s.chunk)) < length {
		s.chunk = make([]byte, length)
	}
	chunk := s.chunk[:length]
	if _, err := io.ReadFull(s.r, chunk); err != nil {
		return noEOF(err)
	}
	s.left -= length
	size, err := s2.DecodedLen(chunk)
	if err != nil || size > snappyMaxBlockBytes {
		return fmt.Errorf("a snappy block of %d bytes, at most %d are accepted: %w", size, snappyMaxBlockBytes, errors.Join(err, ErrCorrupt))
	}
	if cap(s.block) < size {
		s.block = make([]byte, size)
	}
	if s.rest, err = s2.Decode(s.block[:size], chunk); err != nil {
		return fmt.Errorf("a snappy block: %w: %w", err, ErrCorrupt)
	}
	return nil
}

// noEOF is for where a stream may not end.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
