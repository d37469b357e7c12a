package storage

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"

	"zoolab/node/vfs"
)

// sectorBytes is the smallest unit in which a write can be lost.
const sectorBytes = 512

var zeros [64 << 10]byte

func isZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}

// logTail is what stands behind the last valid record of a file.
type logTail struct {
	end     int64  // where the valid records end; 0 if the file has no whole header
	dataEnd int64  // behind the last byte that is not zero; end if only zeros follow
	torn    string // how a crash can explain what follows; empty if only zeros follow
}

// examineTail judges what stands behind end, where reading stopped behind a record
// with zxid last. What a crash can leave of one unsynced write is a torn tail; all
// else is ErrCorrupt.
//
// A crash loses whole sectors of the write, or its end. Lost sectors are zeros,
// because the file held zeros there before. So a bad record is torn when such a
// sector is in it or nothing but a piece of it is there. Valid records behind it
// must belong to the same write, and so begin within unsyncedLimitBytes.
func examineTail(file vfs.File, name string, sizeBytes, end, last int64) (logTail, error) {
	tail := logTail{end: end}
	var err error
	if tail.dataEnd, err = findDataEnd(file, end, sizeBytes); err != nil {
		return tail, fmt.Errorf("read the log %s: %w", name, err)
	}
	if tail.dataEnd == end && end > 0 {
		return tail, nil
	}
	firstValid, lastValid, err := findRecords(file, end, tail.dataEnd, last)
	if err != nil {
		return tail, fmt.Errorf("read the log %s: %w", name, err)
	}
	if firstValid < 0 {
		return judgeLastRecord(file, name, tail)
	}
	lost, err := hasLostSector(file, end, firstValid)
	if err != nil {
		return tail, fmt.Errorf("read the log %s: %w", name, err)
	}
	if !lost || lastValid-end >= unsyncedLimitBytes {
		return tail, fmt.Errorf("%s: no valid record at offset %d, but valid ones follow from offset %d on: %w",
			name, end, firstValid, ErrCorrupt)
	}
	tail.torn = "a part of the last write is missing"
	return tail, nil
}

// judgeLastRecord decides whether bytes that no valid record follows are the torn
// end of a log. A record that is all there and yet does not match its checksum was
// damaged later.
func judgeLastRecord(file vfs.File, name string, tail logTail) (logTail, error) {
	if tail.end == 0 {
		return judgeFileHeader(file, name, tail)
	}
	b := make([]byte, min(tail.dataEnd-tail.end, 64<<20))
	if _, err := file.ReadAt(b, tail.end); err != nil && err != io.EOF {
		return tail, fmt.Errorf("read the log %s: %w", name, err)
	}
	if len(b) > recordHeaderBytes {
		sum, size := binary.BigEndian.Uint64(b), int64(int32(binary.BigEndian.Uint32(b[8:])))
		body := b[recordHeaderBytes : len(b)-1]
		whole := int64(len(b)) >= recordHeaderBytes+size+1 && size >= minPayloadBytes
		wrongLength := len(body) >= minPayloadBytes && uint64(adler32.Checksum(body)) == sum
		lost, err := hasLostSector(file, tail.end, tail.dataEnd)
		if err != nil {
			return tail, fmt.Errorf("read the log %s: %w", name, err)
		}
		if wrongLength || whole && !lost {
			return tail, fmt.Errorf("%s: the last record, at offset %d, is whole but does not match its checksum: %w",
				name, tail.end, ErrCorrupt)
		}
	}
	tail.torn = "the last record is incomplete"
	return tail, nil
}

// judgeFileHeader decides whether a file without records is what a crash leaves
// of a new log: empty, zeros, or the beginning of a header.
func judgeFileHeader(file vfs.File, name string, tail logTail) (logTail, error) {
	if tail.dataEnd == 0 {
		tail.torn = "the file is empty"
		return tail, nil
	}
	b := make([]byte, min(tail.dataEnd, fileHeaderBytes))
	if _, err := file.ReadAt(b, 0); err != nil && err != io.EOF {
		return tail, fmt.Errorf("read the log %s: %w", name, err)
	}
	want := []byte{'Z', 'K', 'L', 'G', 0, 0, 0, formatVersion, 0, 0, 0, 0, 0, 0, 0, 0}
	lost, err := hasLostSector(file, 0, tail.dataEnd)
	if err != nil {
		return tail, fmt.Errorf("read the log %s: %w", name, err)
	}
	if !lost && !bytes.HasPrefix(want, b) {
		return tail, fmt.Errorf("%s: this is not the header of a log, at offset 0: %w", name, ErrCorrupt)
	}
	tail.torn = "the file header is incomplete"
	return tail, nil
}

// findDataEnd returns the offset behind the last byte in [from, size) that is not
// zero, or from.
func findDataEnd(file vfs.File, from, size int64) (int64, error) {
	b := make([]byte, min(int64(len(zeros)), size-from))
	for size > from {
		chunk := b[:min(int64(len(b)), size-from)]
		if _, err := file.ReadAt(chunk, size-int64(len(chunk))); err != nil && err != io.EOF {
			return 0, err
		}
		if !isZero(chunk) {
			return size - int64(len(chunk)) + int64(len(bytes.TrimRight(chunk, "\x00"))), nil
		}
		size -= int64(len(chunk))
	}
	return from, nil
}

// findRecords looks at every offset behind from for records newer than zxid last,
// and returns the offsets of the first and the last of them; -1 if there is none.
func findRecords(file vfs.File, from, dataEnd, last int64) (firstValid, lastValid int64, err error) {
	const largestBytes = 4 << 20 // a larger record is not recognized
	br := bufio.NewReaderSize(io.NewSectionReader(file, from, dataEnd-from), int(min(max(dataEnd-from, 4096), largestBytes)))
	firstValid, lastValid = -1, -1
	for offset := from; ; {
		header, err := br.Peek(recordHeaderBytes + minPayloadBytes + 1)
		if err == io.EOF {
			return firstValid, lastValid, nil
		}
		if err != nil {
			return 0, 0, err
		}
		step := 1
		size := int64(int32(binary.BigEndian.Uint32(header[8:])))
		whole := recordHeaderBytes + size + 1
		if size >= minPayloadBytes && whole <= dataEnd-offset && whole <= largestBytes {
			record, err := br.Peek(int(whole))
			if err != nil && err != io.EOF {
				return 0, 0, err
			}
			if zxid, ok := parseRecord(record); ok && zxid > last {
				if firstValid < 0 {
					firstValid = offset
				}
				lastValid, last, step = offset, zxid, len(record)
			}
		}
		br.Discard(step)
		offset += int64(step)
	}
}

// parseRecord reports whether b, which has the length of a record, is one.
func parseRecord(b []byte) (zxid int64, ok bool) {
	if len(b) < recordHeaderBytes+minPayloadBytes+1 || b[len(b)-1] != endOfRecord {
		return 0, false
	}
	payload := b[recordHeaderBytes : len(b)-1]
	if uint64(adler32.Checksum(payload)) != binary.BigEndian.Uint64(b) {
		return 0, false
	}
	return payloadZxid(payload), true
}

// hasLostSector reports whether a sector that ends in [from, to] is zero, as far as
// it lies behind from.
func hasLostSector(file vfs.File, from, to int64) (bool, error) {
	b := make([]byte, 64*sectorBytes)
	for at := from; at < to; {
		chunkEnd := min((at/int64(len(b))+1)*int64(len(b)), to)
		chunk := b[:chunkEnd-at]
		if _, err := file.ReadAt(chunk, at); err != nil && err != io.EOF {
			return false, err
		}
		for len(chunk) > 0 {
			room := sectorBytes - at%sectorBytes
			if int64(len(chunk)) < room {
				return false, nil
			}
			if isZero(chunk[:room]) {
				return true, nil
			}
			chunk = chunk[room:]
			at += room
		}
	}
	return false, nil
}
