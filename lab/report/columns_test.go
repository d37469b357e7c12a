package report

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"math"
	"strings"
	"testing"

	"zoolab/workloads"
)

// unpackColumns reads what encodeColumns wrote, as the page's script does.
func unpackColumns(t *testing.T, data string) (columnHeader, map[string][]uint64) {
	t.Helper()
	packed, err := base64.RawURLEncoding.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
	if err != nil {
		t.Fatal(err)
	}
	length := binary.LittleEndian.Uint32(raw)
	var header columnHeader
	if err := json.Unmarshal(raw[4:4+length], &header); err != nil {
		t.Fatal(err)
	}
	columns := make(map[string][]uint64)
	rest := bytes.NewReader(raw[4+length:])
	for _, name := range header.Columns {
		for range header.Count {
			value, err := binary.ReadUvarint(rest)
			if err != nil {
				t.Fatalf("column %s: %v", name, err)
			}
			columns[name] = append(columns[name], value)
		}
	}
	if rest.Len() != 0 {
		t.Errorf("%d bytes follow the last column", rest.Len())
	}
	return header, columns
}

func unzigzag(n uint64) int64 { return int64(n>>1) ^ -int64(n&1) }

func TestColumnsKeepEveryField(t *testing.T) {
	in := Input{
		Members: []string{"n1"}, Leaders: []LeaderSpan{{Member: "n1", Epoch: 2, StartNs: 1000}},
		Faults: []Fault{{Name: "kill", Variant: "leader", Targets: []string{"n1"}, StartNs: 2000, EffectiveNs: 3000, Effective: true}},
		History: []workloads.Op{
			{Index: 0, TimeNs: 5_000, Type: workloads.Invoke, Process: 7, F: "write", Key: "k", Value: int64(5), Node: "n1", Version: -1},
			{Index: 1, TimeNs: 9_000, Type: workloads.Invoke, Process: 8, F: "read", Key: "k", Node: "n2", Version: -1},
			{Index: 2, TimeNs: 12_000, Type: workloads.OK, Process: 7, F: "write", Key: "k", Value: int64(6), Session: 0x1f, Zxid: math.MaxInt64, Mzxid: 1<<32 | 9, Version: math.MaxInt32},
			{Index: 3, TimeNs: 14_000, Type: workloads.Fail, Process: 8, F: "read", Key: "k", Error: "connection loss", Version: -1},
			{Index: 4, TimeNs: 20_000, Type: workloads.Invoke, Process: 7, F: "read", Key: "k2", Version: -1},
		},
	}
	r := newRun(in)
	data, err := encodeColumns(r, sampleOf(r, nil), in, gap{1000, 2000})
	if err != nil {
		t.Fatal(err)
	}
	header, columns := unpackColumns(t, data)
	if header.Count != 3 || header.EndUs != 20 || header.GapUs != [2]int64{1, 2} {
		t.Errorf("header %+v", header)
	}
	if f := header.Faults[0]; f.Label != "kill leader" || f.EffectiveUs != 3 || f.EndUs != -1 || f.HealedUs != -1 {
		t.Errorf("fault %+v, want it effective and never taken back", f)
	}
	if l := header.Leaders[0]; l.EndUs != 20 {
		t.Errorf("a leader to the end has the end %d µs, want 20", l.EndUs)
	}
	text := func(column string, i int) string { return header.Strings[columns[column][i]] }
	for i, want := range []string{"write|k|n1|5|6|0x1f|", "read|k|n2||||connection loss", "read|k2|||||"} {
		got := strings.Join([]string{text("f", i), text("key", i), text("node", i), text("in", i), text("out", i), text("session", i), text("error", i)}, "|")
		if got != want {
			t.Errorf("operation %d = %s, want %s", i, got, want)
		}
	}
	var index, start, zxidHi, zxidLo int64
	wantStart, wantIndex, wantDuration := []int64{5, 9, 20}, []int64{0, 1, 4}, []uint64{8, 6, 0}
	wantZxid := []int64{math.MaxInt64, 0, 0}
	for i := range 3 {
		index += unzigzag(columns["dIndex"][i])
		start += unzigzag(columns["dStart"][i])
		zxidHi += unzigzag(columns["dZxidHi"][i])
		zxidLo += unzigzag(columns["dZxidLo"][i])
		if index != wantIndex[i] || start != wantStart[i] || columns["duration"][i] != wantDuration[i] {
			t.Errorf("operation %d: index %d, start %d, duration %d", i, index, start, columns["duration"][i])
		}
		if zxid := zxidHi<<32 | zxidLo; zxid != wantZxid[i] {
			t.Errorf("operation %d: zxid %x, want %x", i, zxid, wantZxid[i])
		}
	}
	if got := unzigzag(columns["version"][0]); got != math.MaxInt32 {
		t.Errorf("version %d, want %d", got, math.MaxInt32)
	}
}
