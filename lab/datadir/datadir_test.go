package datadir

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/adler32"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"zoolab/zk/jute"
)

// logFile builds the bytes of a log file.
type logFile struct{ bytes.Buffer }

func newLogFile() *logFile {
	f := &logFile{}
	f.Write(jute.Marshal(&jute.FileHeader{Magic: logMagic, Version: formatVersion}))
	return f
}

func (f *logFile) add(zxid int64, op jute.OpCode, body jute.Record) {
	payload := jute.Marshal(&jute.LoggedTxn{Header: jute.TxnHeader{ClientID: 7, Zxid: zxid, TimeMs: 1000 + zxid, Type: op}, Body: body})
	f.Write(binary.BigEndian.AppendUint64(nil, uint64(adler32.Checksum(payload))))
	f.Write(jute.AppendBuffer(nil, payload))
	f.WriteByte(recordEnd)
}

func (f *logFile) store(t *testing.T, dir, name string) {
	t.Helper()
	path := filepath.Join(dir, versionDir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func create(path string) *jute.CreateTxn {
	return &jute.CreateTxn{Path: path, Data: []byte(path), ParentCVersion: 1}
}

func TestReplay(t *testing.T) {
	multi := &jute.MultiTxn{Txns: []jute.Txn{
		{Type: jute.OpSetData, Data: jute.Marshal(&jute.SetDataTxn{Path: "/a", Data: []byte("new"), Version: 1})},
		{Type: jute.OpDelete, Data: jute.Marshal(&jute.DeleteTxn{Path: "/a/b"})},
	}}
	failed := &jute.MultiTxn{Txns: []jute.Txn{
		{Type: jute.OpDelete, Data: jute.Marshal(&jute.DeleteTxn{Path: "/a"})},
		{Type: jute.OpError, Data: jute.Marshal(&jute.ErrorTxn{Err: -2})},
	}}
	file := newLogFile()
	file.add(1, jute.OpCreate, create("/a"))
	file.add(2, jute.OpCreate2, create("/a/b"))
	file.add(3, jute.OpCreate, &jute.CreateTxn{Path: "/e", Ephemeral: true, ParentCVersion: 2})
	file.add(4, jute.OpMulti, multi)
	file.add(5, jute.OpMulti, failed)
	file.add(6, jute.OpError, &jute.ErrorTxn{Err: -101})
	file.add(7, jute.OpCloseSession, &jute.CloseSessionTxn{Paths2Delete: []string{"/e"}})
	file.add(8, jute.OpSetACL, &jute.SetACLTxn{Path: "/a", Version: 1})
	dir := t.TempDir()
	file.store(t, dir, "log.1")
	data, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(data.Log) != 8 || data.LastZxid != 8 {
		t.Errorf("%d records to zxid %d", len(data.Log), data.LastZxid)
	}
	if len(data.Tree) != 5 {
		t.Errorf("znodes %v", data.Tree)
	}
	a := data.Tree["/a"]
	if a.Czxid != 1 || a.Mzxid != 4 || a.Pzxid != 4 || a.MtimeMs != 1004 || a.Version != 1 || a.Aversion != 1 || a.Children != 0 || a.Cversion != 2 || a.DataHash != Hash([]byte("new")) {
		t.Errorf("/a is %+v", a)
	}
	if root := data.Tree["/"]; root.Pzxid != 7 || root.Children != 2 || root.Cversion != 2*2-2 {
		t.Errorf("/ is %+v", root)
	}
}

// TestFailedMultiHasOneForm: Apache's server renames parts of a multi that failed,
// and members log it before or after that. Another multi, or another failure, is
// another transaction.
func TestFailedMultiHasOneForm(t *testing.T) {
	digest := func(code jute.ErrorCode, last jute.OpCode, ops ...jute.OpCode) uint64 {
		t.Helper()
		multi := &jute.MultiTxn{}
		for _, op := range ops {
			multi.Txns = append(multi.Txns, jute.Txn{Type: op, Data: jute.Marshal(&jute.DeleteTxn{Path: "/a"})})
		}
		multi.Txns = append(multi.Txns, jute.Txn{Type: last, Data: jute.Marshal(&jute.ErrorTxn{Err: code})})
		file, dir := newLogFile(), t.TempDir()
		file.add(1, jute.OpMulti, multi)
		file.store(t, dir, "log.1")
		var digest uint64
		if err := readLog(os.DirFS(dir), versionDir+"/log.1", bufio.NewReader(nil), func(record *logRecord) error {
			digest = record.digest
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return digest
	}
	before := digest(-2, jute.OpError, jute.OpDelete, jute.OpDelete)
	if after := digest(-2, jute.OpError, jute.OpError, jute.OpError); after != before {
		t.Error("a failed multi is another one when its parts are renamed")
	}
	for name, other := range map[string]uint64{
		"code": digest(-101, jute.OpError, jute.OpDelete, jute.OpDelete), "length": digest(-2, jute.OpError, jute.OpDelete),
		"success": digest(-2, jute.OpCheck, jute.OpDelete, jute.OpDelete),
	} {
		if other == before {
			t.Errorf("a multi of another %s is the same", name)
		}
	}
	if digest(0, jute.OpCheck, jute.OpDelete) == digest(0, jute.OpCheck, jute.OpCheck) {
		t.Error("kinds of parts of a multi that succeeded don't count")
	}
}

func TestEndsOfLogs(t *testing.T) {
	whole := newLogFile()
	whole.add(1, jute.OpCreate, create("/a"))
	end := whole.Len()
	whole.add(2, jute.OpCreate, create("/b"))
	damaged := append([]byte(nil), whole.Bytes()...)
	damaged[len(damaged)-5] ^= 1
	for name, test := range map[string]struct {
		data []byte
		want int
	}{
		"whole":               {whole.Bytes(), 2},
		"padded":              {append(append([]byte(nil), whole.Bytes()...), make([]byte, 4096)...), 2},
		"torn in the prefix":  {whole.Bytes()[:end+5], 1},
		"torn in the payload": {whole.Bytes()[:end+30], 1},
		"torn before the end": {whole.Bytes()[:whole.Len()-1], 1},
		"damaged":             {damaged, 1},
		"header only":         {whole.Bytes()[:headerBytes], 0},
		"torn header":         {whole.Bytes()[:3], 0},
		"zeros":               {make([]byte, 1000), 0},
		"empty":               {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := &logFile{}
			file.Write(test.data)
			file.store(t, dir, "log.1")
			data, err := Load(dir)
			if err != nil {
				t.Fatal(err)
			}
			if len(data.Log) != test.want {
				t.Errorf("%d records, want %d", len(data.Log), test.want)
			}
		})
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	garbage := &logFile{}
	garbage.WriteString("this is no transaction log at all")
	unknown := newLogFile()
	unknown.add(1, 77, create("/a"))
	for _, test := range []struct {
		name string
		file *logFile
		want string
	}{
		{"log.1", garbage, "no transaction log"},
		{"log.1", unknown, "record 1"},
		{"other.1", garbage, "neither a log nor a snapshot"},
	} {
		dir := t.TempDir()
		test.file.store(t, dir, test.name)
		if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q", err, test.want)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "no data directory") {
		t.Errorf("error %v", err)
	}
}

func FuzzSnapshot(f *testing.F) {
	f.Add([]byte("ZKSN\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01/"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if tree, err := parseSnapshot(data); err == nil {
			tree.summary()
		}
	})
}
