// Package jute is ZooKeeper's wire codec and every record that travels or is
// stored: the client protocol, the quorum protocol, transactions and file headers.
//
// The records are generated from records.txt. All numbers are big-endian; a
// buffer, string or vector is preceded by an int32 length, -1 for null. A nil
// []byte is null and an empty one is empty, as on the wire; a string or vector
// field has no null, except where records.txt marks it.
//
// The package is pure: it does no I/O of its own, keeps no state and is safe for
// concurrent use on distinct values. Decoding never trusts a length: it allocates
// no more than a small multiple of the bytes that are there.
package jute

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

//go:generate go run ./internal/gen

// ErrMalformed marks bytes that are not the record they were taken for. Whatever
// sent them must be disconnected, and nothing of the record may be used.
var ErrMalformed = errors.New("malformed record")

// Record is one jute record.
type Record interface {
	// Append adds the record's wire form to b and returns the longer slice.
	Append(b []byte) []byte
	// Decode reads the record from d. Errors stay in d: see Decoder.Err.
	Decode(d *Decoder)
}

// Marshal returns the record's wire form in a slice of its own.
func Marshal(r Record) []byte { return r.Append(nil) }

// Unmarshal reads one record that must fill b exactly. Buffers in the record share b's memory.
func Unmarshal(b []byte, r Record) error {
	d := NewDecoder(b)
	r.Decode(d)
	if d.err == nil && d.Len() > 0 {
		d.fail("%d bytes follow the record", d.Len())
	}
	return d.err
}

// AppendInt32 adds an int.
func AppendInt32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

// AppendInt64 adds a long.
func AppendInt64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// AppendBool adds a bool, one byte.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendBuffer adds a buffer; nil is null.
func AppendBuffer(b, v []byte) []byte {
	if v == nil {
		return AppendInt32(b, -1)
	}
	return append(AppendInt32(b, int32(len(v))), v...)
}

// AppendString adds a string.
func AppendString(b []byte, v string) []byte {
	return append(AppendInt32(b, int32(len(v))), v...)
}

func appendNullString(b []byte, v *string) []byte {
	if v == nil {
		return AppendInt32(b, -1)
	}
	return AppendString(b, *v)
}

func appendCountOrNull(b []byte, n int, null bool) []byte {
	if null {
		n = -1
	}
	return AppendInt32(b, int32(n))
}

// Decoder reads values from a slice. After the first error every read returns a
// zero value, so a record is decoded without checks and Err is asked once.
type Decoder struct {
	b       []byte // what is still to be read
	err     error
	request bool
}

// NewDecoder reads from b, which must not change while the decoded records live:
// buffers share its memory.
func NewDecoder(b []byte) *Decoder { return &Decoder{b: b} }

// NewRequestDecoder is NewDecoder for the body of a client's request, in which it takes what
// Apache's server takes and refuses what that stumbles over: any byte but 0 is true, a vector
// of any negative count is null, and a null string is malformed.
func NewRequestDecoder(b []byte) *Decoder { return &Decoder{b: b, request: true} }

// Err returns the first error, wrapping ErrMalformed.
func (d *Decoder) Err() error { return d.err }

// Len returns how many bytes are still to be read.
func (d *Decoder) Len() int { return len(d.b) }

// Rest returns the bytes still to be read, without reading them.
func (d *Decoder) Rest() []byte { return d.b }

func (d *Decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	d.b = nil
}

func (d *Decoder) take(n int, what string) []byte {
	if n > len(d.b) {
		d.fail("%s of %d bytes, %d left", what, n, len(d.b))
		return nil
	}
	v := d.b[:n:n]
	d.b = d.b[n:]
	return v
}

// Int32 reads an int.
func (d *Decoder) Int32() int32 {
	if v := d.take(4, "int"); v != nil {
		return int32(binary.BigEndian.Uint32(v))
	}
	return 0
}

// Int64 reads a long.
func (d *Decoder) Int64() int64 {
	if v := d.take(8, "long"); v != nil {
		return int64(binary.BigEndian.Uint64(v))
	}
	return 0
}

// Bool reads a bool. Outside of requests only 0 and 1 are accepted, so that what is decoded
// encodes to the same bytes.
func (d *Decoder) Bool() bool {
	v := d.take(1, "bool")
	if v == nil {
		return false
	}
	if v[0] > 1 && !d.request {
		d.fail("bool is %d", v[0])
	}
	return v[0] != 0
}

// Buffer reads a buffer, nil for null. It shares memory with the decoder's input.
func (d *Decoder) Buffer() []byte {
	n := d.length("buffer")
	if n < 0 {
		return nil
	}
	return d.take(n, "buffer")
}

// String reads a string; null reads as empty, where it is allowed.
func (d *Decoder) String() string {
	n := d.length("string")
	if n < 0 && d.request {
		d.fail("a string is null")
	}
	if n <= 0 {
		return ""
	}
	return string(d.take(n, "string"))
}

func (d *Decoder) nullString() *string {
	n := d.length("string")
	if n < 0 {
		return nil
	}
	s := string(d.take(n, "string"))
	return &s
}

// Count reads a vector's item count, -1 for null. Each item takes at least one
// byte, so a count above the bytes left is an error, not an allocation.
func (d *Decoder) Count() int {
	if d.request && len(d.b) > 0 && d.b[0] >= 0x80 {
		_ = d.Int32()
		return -1
	}
	n := d.length("vector")
	if n > len(d.b) {
		d.fail("vector of %d items in %d bytes", n, len(d.b))
		return -1
	}
	return n
}

// capacity bounds what a vector allocates ahead of its items: an item is up to
// some 40 times larger in memory than its shortest wire form.
func (d *Decoder) capacity(n int) int { return min(n, 16+len(d.b)/16) }

func (d *Decoder) length(what string) int {
	n := int(d.Int32())
	if n < -1 {
		d.fail("%s has length %d", what, n)
	}
	if d.err != nil {
		return -1
	}
	return n
}

// Clone copies a buffer out of the memory it shares, keeping null apart from empty.
func Clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return slices.Clone(b[:len(b):len(b)])
}
