package datadir

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"hash/crc64"
	"io"
	"io/fs"
	"slices"

	"zoolab/zk/jute"
)

const (
	logMagic         = 0x5a4b4c47 // "ZKLG"
	formatVersion    = 2
	headerBytes      = 16
	recordEnd        = 0x42
	maxRecordBytes   = 64 << 20
	txnDigestBytes   = 12
	logPrefixBytes   = 12 // checksum and length
	readBufferBytes  = 256 << 10
	snapshotMaxBytes = 2 << 30
)

var crcTable = crc64.MakeTable(crc64.ECMA)

// logRecord is one transaction of a log file. It is valid during the callback.
type logRecord struct {
	txn    jute.LoggedTxn
	digest uint64 // of header and body
}

// readLog calls each for the transactions of a log file, in order. It reads by way of
// reader, which may have read another one. A file ends
// at its padding, or at a record that was torn by a crash; what a server loses
// by taking an intact record for a torn one shows as a gap to those who compare
// logs. A file that a crash left without a header holds nothing.
func readLog(fsys fs.FS, path string, reader *bufio.Reader, each func(*logRecord) error) error {
	file, err := fsys.Open(path)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	defer file.Close()
	reader.Reset(file)
	var header [headerBytes]byte
	if _, err := io.ReadFull(reader, header[:]); err != nil {
		return endOfLog(path, err)
	}
	if header == [headerBytes]byte{} {
		return nil
	}
	if magic, version := binary.BigEndian.Uint32(header[:]), binary.BigEndian.Uint32(header[4:]); magic != logMagic || version != formatVersion {
		return fmt.Errorf("%s is no transaction log: magic %#x, version %d", path, magic, version)
	}
	for number := 1; ; number++ {
		payload, err := nextPayload(reader)
		if err != nil || payload == nil {
			return endOfLog(path, err)
		}
		record := logRecord{}
		if err := jute.Unmarshal(payload, &record.txn); err != nil {
			return fmt.Errorf("%s: record %d: %w", path, number, err)
		}
		body := payload
		if record.txn.Digest != nil {
			// Whether a member writes the digest of its tree depends on its
			// settings, so it is no part of the transaction.
			body = payload[:len(payload)-txnDigestBytes]
		}
		if failed := failedMulti(&record.txn); failed != nil {
			body = failed
		}
		record.digest = crc64.Checksum(body, crcTable)
		if err := each(&record); err != nil {
			return fmt.Errorf("%s: record %d: %w", path, number, err)
		}
	}
}

// failedMulti gives the header and body of a multi that failed in one form, nil of
// any other transaction. Apache's server renames the parts before the failure to
// errors when it applies the multi. What it has logged by then, or logs later, differs
// in that from member to member, and means the same: nothing but the zxid.
func failedMulti(txn *jute.LoggedTxn) []byte {
	multi, ok := txn.Body.(*jute.MultiTxn)
	if !ok || !slices.ContainsFunc(multi.Txns, func(part jute.Txn) bool { return part.Type == jute.OpError }) {
		return nil
	}
	renamed := &jute.MultiTxn{Txns: slices.Clone(multi.Txns)}
	for i := range renamed.Txns {
		renamed.Txns[i].Type = jute.OpError
	}
	return jute.Marshal(&jute.LoggedTxn{Header: txn.Header, Body: renamed})
}

// nextPayload reads one record; nil at the padding and at a torn record.
func nextPayload(reader *bufio.Reader) ([]byte, error) {
	var prefix [logPrefixBytes]byte
	if _, err := io.ReadFull(reader, prefix[:]); err != nil {
		return nil, err
	}
	checksum := binary.BigEndian.Uint64(prefix[:])
	length := binary.BigEndian.Uint32(prefix[8:])
	if length == 0 || length > maxRecordBytes {
		return nil, nil
	}
	payload, err := io.ReadAll(io.LimitReader(reader, int64(length)))
	if err != nil || len(payload) < int(length) {
		return nil, err
	}
	end, err := reader.ReadByte()
	if err != nil || end != recordEnd || uint64(adler32.Checksum(payload)) != checksum {
		return nil, err
	}
	return payload, nil
}

func endOfLog(path string, err error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return fmt.Errorf("read the log %s: %w", path, err)
}
