package storage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"

	"zoolab/node/vfs"
)

// The log's format: a file header, then records of Adler32 over the payload (a
// long), length (an int), payload and the byte 0x42; zeros to the end of the file.
const (
	logMagic      = 'Z'<<24 | 'K'<<16 | 'L'<<8 | 'G'
	formatVersion = 2
	endOfRecord   = 0x42

	fileHeaderBytes   = 16
	recordHeaderBytes = 12
	minPayloadBytes   = 32 // a transaction's header
)

// errBadRecord says that what stands at the reader's offset is no record. Whether
// it is the harmless end of a log is for examineTail to say.
var errBadRecord = errors.New("bad record")

// payloadZxid reads the zxid in a transaction's header, behind client id and cxid.
func payloadZxid(payload []byte) int64 { return int64(binary.BigEndian.Uint64(payload[12:20])) }

// logReader reads the records of one file in order.
type logReader struct {
	file      vfs.File
	name      string
	sizeBytes int64
	offset    int64 // of the next record, or of the bad one
	br        *bufio.Reader
	payload   []byte // memory of the last payload
	err       error  // the first error of next, repeated
	start     int64  // of the record that was handed out last
	newest    int64  // the highest zxid that nextNew handed out
	repeated  int    // records that nextNew left out
	// starts are the offsets of the records before the first repeated one, by zxid; nil
	// until there is one.
	starts  map[int64]int64
	lenient bool // a record that only its checksum condemns is handed out, with damaged set
	damaged bool
}

// openLog opens a log. A file without a whole header gives errBadRecord at offset
// 0 from next, so that all damage is judged in one place.
func openLog(fs vfs.FS, name string) (*logReader, error) {
	file, err := fs.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the log: %w", err)
	}
	size, err := file.Size()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("open the log %s: %w", name, err)
	}
	r := &logReader{file: file, name: name, sizeBytes: size}
	r.br = bufio.NewReaderSize(io.NewSectionReader(file, 0, size), readBufferBytes(size))
	r.err = r.readFileHeader()
	return r, nil
}

// readBufferBytes is the size of the buffer for reading so much.
func readBufferBytes(size int64) int { return int(min(max(size, 4096), 256<<10)) }

func (r *logReader) close() { r.file.Close() }

func (r *logReader) readFileHeader() error {
	if r.sizeBytes < fileHeaderBytes {
		return errBadRecord
	}
	header, err := r.br.Peek(fileHeaderBytes)
	if err != nil {
		return fmt.Errorf("read the log %s: %w", r.name, err)
	}
	magic, version := binary.BigEndian.Uint32(header), binary.BigEndian.Uint32(header[4:])
	if magic != logMagic || version != formatVersion {
		return errBadRecord
	}
	r.br.Discard(fileHeaderBytes)
	r.offset = fileHeaderBytes
	return nil
}

// next returns the next record. The payload is valid until the following call.
// Where padding begins, or the file ends, the error is io.EOF.
func (r *logReader) next() (zxid int64, payload []byte, err error) {
	if r.err == nil {
		zxid, payload, r.err = r.read()
	}
	return zxid, payload, r.err
}

func (r *logReader) read() (int64, []byte, error) {
	left := r.sizeBytes - r.offset
	if left == 0 {
		return 0, nil, io.EOF
	}
	if left < recordHeaderBytes {
		tail, err := r.br.Peek(int(left))
		if err != nil {
			return 0, nil, r.readError(err)
		}
		if isZero(tail) {
			return 0, nil, io.EOF
		}
		return 0, nil, errBadRecord
	}
	header, err := r.br.Peek(recordHeaderBytes)
	if err != nil {
		return 0, nil, r.readError(err)
	}
	sum, size := binary.BigEndian.Uint64(header), int64(int32(binary.BigEndian.Uint32(header[8:])))
	if sum == 0 && size == 0 {
		return 0, nil, io.EOF
	}
	if size < minPayloadBytes || size > left-recordHeaderBytes-1 {
		return 0, nil, errBadRecord
	}
	r.br.Discard(recordHeaderBytes)
	if int64(cap(r.payload)) < size+1 {
		r.payload = make([]byte, size+1)
	}
	record := r.payload[:size+1]
	if _, err := io.ReadFull(r.br, record); err != nil {
		return 0, nil, r.readError(err)
	}
	payload := record[:size]
	r.damaged = uint64(adler32.Checksum(payload)) != sum
	if record[size] != endOfRecord || r.damaged && !r.lenient {
		return 0, nil, errBadRecord
	}
	r.start = r.offset
	r.offset += recordHeaderBytes + size + 1
	return payloadZxid(payload), payload, nil
}

// nextNew is next without records that stand in the file already, byte by byte. Apache's
// server leaves such a log if it gives up its role with transactions that it has logged and
// not applied, and takes another in the same process: its leader sends these again, and it
// logs them again. A record that only has the zxid of an earlier one is handed out.
func (r *logReader) nextNew() (zxid int64, payload []byte, err error) {
	for {
		zxid, payload, err = r.next()
		if err != nil || zxid > r.newest {
			r.newest = max(r.newest, zxid)
			return zxid, payload, err
		}
		same, err := r.repeats(zxid, payload)
		if err != nil || !same {
			return zxid, payload, err
		}
		r.repeated++
	}
}

// repeats reports whether the record handed out last stands earlier in the file.
func (r *logReader) repeats(zxid int64, payload []byte) (bool, error) {
	if r.starts == nil {
		if err := r.findStarts(); err != nil {
			return false, err
		}
	}
	at, found := r.starts[zxid]
	if !found {
		return false, nil
	}
	earlier := make([]byte, recordHeaderBytes+len(payload))
	if _, err := r.file.ReadAt(earlier, at); err != nil {
		return false, fmt.Errorf("read the log %s at offset %d: %w", r.name, at, err)
	}
	return int(binary.BigEndian.Uint32(earlier[8:])) == len(payload) && bytes.Equal(earlier[recordHeaderBytes:], payload), nil
}

// findStarts fills starts. The records up to there have been read and are sound.
func (r *logReader) findStarts() error {
	r.starts = make(map[int64]int64)
	var head [recordHeaderBytes + minPayloadBytes]byte
	for at := int64(fileHeaderBytes); at < r.start; {
		if _, err := r.file.ReadAt(head[:], at); err != nil {
			return fmt.Errorf("read the log %s at offset %d: %w", r.name, at, err)
		}
		r.starts[payloadZxid(head[recordHeaderBytes:])] = at
		at += recordHeaderBytes + int64(binary.BigEndian.Uint32(head[8:])) + 1
	}
	return nil
}

// readError is for a file system that does not give back what it holds: an I/O
// error, or a file that shrinks while it is read.
func (r *logReader) readError(err error) error {
	return fmt.Errorf("read the log %s at offset %d: %w", r.name, r.offset, err)
}

// Record is one transaction of a log file.
type Record struct {
	Zxid        int64
	OffsetBytes int64
	Payload     []byte // header, body and digest; valid only during the call
	Damaged     bool   // its checksum is another one: only from InspectLog
}

// ScanLog hands the records of one log file to visit, without changing the file,
// and ends with nil where the padding begins. Anything that is no record is an
// error that wraps ErrCorrupt, be it only the torn end that Load would repair.
func ScanLog(fs vfs.FS, name string, visit func(Record) error) error {
	return scanLog(fs, name, false, visit)
}

// InspectLog is ScanLog for a file that may be damaged: it hands out records that do not
// match their checksum, too, as long as one can tell where they end.
func InspectLog(fs vfs.FS, name string, visit func(Record) error) error {
	return scanLog(fs, name, true, visit)
}

func scanLog(fs vfs.FS, name string, lenient bool, visit func(Record) error) error {
	r, err := openLog(fs, name)
	if err != nil {
		return err
	}
	defer r.close()
	r.lenient = lenient
	for {
		offset := r.offset
		zxid, payload, err := r.next()
		switch {
		case err == io.EOF:
			return nil
		case err == errBadRecord:
			return fmt.Errorf("%s: no valid record at offset %d: %w", name, r.offset, ErrCorrupt)
		case err != nil:
			return err
		}
		if err := visit(Record{zxid, offset, payload, r.damaged}); err != nil {
			return err
		}
	}
}
