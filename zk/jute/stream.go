package jute

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// Reader reads values from a stream that has no frames: the quorum port and
// snapshots. Unlike a Decoder it copies. Its first error stays: an io error as it
// came (io.ErrUnexpectedEOF in the middle of a value), or one wrapping ErrMalformed.
type Reader struct {
	r            *bufio.Reader
	maxSizeBytes int
	err          error
	scratch      [8]byte
}

// NewReader reads from r; a buffer or string above maxSizeBytes is an error.
func NewReader(r *bufio.Reader, maxSizeBytes int) *Reader {
	return &Reader{r: r, maxSizeBytes: maxSizeBytes}
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

func (r *Reader) full(b []byte, first bool) bool {
	if r.err != nil {
		return false
	}
	if _, err := io.ReadFull(r.r, b); err != nil {
		if err == io.EOF && !first {
			err = io.ErrUnexpectedEOF
		}
		r.err = err
		return false
	}
	return true
}

// Int32 reads an int. A stream that ends before it gives io.EOF.
func (r *Reader) Int32() int32 {
	if !r.full(r.scratch[:4], true) {
		return 0
	}
	return int32(binary.BigEndian.Uint32(r.scratch[:4]))
}

// Int64 reads a long.
func (r *Reader) Int64() int64 {
	if !r.full(r.scratch[:8], true) {
		return 0
	}
	return int64(binary.BigEndian.Uint64(r.scratch[:8]))
}

// Buffer reads a buffer, nil for null.
func (r *Reader) Buffer() []byte {
	n := int(r.Int32())
	if r.err != nil || n == -1 {
		return nil
	}
	if n < 0 || n > r.maxSizeBytes {
		r.err = fmt.Errorf("%w: buffer of %d bytes, at most %d allowed", ErrMalformed, n, r.maxSizeBytes)
		return nil
	}
	// A length is believed only as far as bytes follow it: large buffers grow as they are read.
	const stepBytes = 1 << 20
	b := make([]byte, 0, min(n, stepBytes))
	for len(b) < n {
		step := min(n-len(b), stepBytes)
		b = append(b, make([]byte, step)...)
		if !r.full(b[len(b)-step:], false) {
			return nil
		}
	}
	return b
}

// String reads a string; null reads as empty.
func (r *Reader) String() string { return string(r.Buffer()) }

// QuorumPacket reads one packet of the quorum port. At the end of the stream the
// error is io.EOF.
func (r *Reader) QuorumPacket() (QuorumPacket, error) {
	var p QuorumPacket
	p.Type = PacketType(r.Int32())
	if r.err != nil {
		return p, r.err
	}
	p.Zxid = r.Int64()
	p.Data = r.Buffer()
	n := r.Int32()
	const maxIDs = 1024
	if r.err == nil && (n < -1 || n > maxIDs) {
		r.err = fmt.Errorf("%w: quorum packet with %d ids", ErrMalformed, n)
	}
	if n == 0 {
		p.Authinfo = []ID{} // empty, where -1 is null
	}
	for ; n > 0 && r.err == nil; n-- {
		p.Authinfo = append(p.Authinfo, ID{Scheme: r.String(), ID: r.String()})
	}
	if r.err == io.EOF {
		r.err = io.ErrUnexpectedEOF
	}
	return p, r.err
}
