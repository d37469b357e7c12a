package report

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// The page carries its operations as one deflated block, in base64 with the
// alphabet for URLs, of which no character needs escaping in HTML:
//
//	length of the header   4 bytes, little endian
//	header                 JSON: a columnHeader
//	columns                in the order of columnHeader.Columns, each one
//	                       varint (LEB128) for each operation
//
// Operations stand in order of their invocation. Times are microseconds. A
// column named "d..." holds the difference to the operation before; signed
// columns are zigzag encoded. A zxid takes two columns, its epoch and its
// counter, because a script's number can't hold 64 bits. Text is an index into
// the header's table of strings.
var columnNames = []string{
	"dIndex", "dStart", "duration", "process", "f", "key", "node", "in", "out", "session", "error",
	"outcome", "dZxidHi", "dZxidLo", "dMzxidHi", "dMzxidLo", "version", "weight",
}

// columnHeader is what the script needs beside the operations.
type columnHeader struct {
	Count   int            `json:"count"`
	Total   int            `json:"total"` // of the run; more than Count if the timeline carries a sample
	EndUs   int64          `json:"endUs"`
	Columns []string       `json:"columns"`
	Strings []string       `json:"strings"`
	Members []string       `json:"members"`
	Faults  []columnFault  `json:"faults"`
	Leaders []columnLeader `json:"leaders"`
	Phases  []columnPhase  `json:"phases"`
	Watches []columnWatch  `json:"watches"`
	GapUs   [2]int64       `json:"gapUs"` // longest time without a successful write
}

type columnFault struct {
	Label       string   `json:"label"`
	Name        string   `json:"name"`
	Targets     []string `json:"targets"`
	StartUs     int64    `json:"startUs"`
	EffectiveUs int64    `json:"effectiveUs"` // -1 if never proved
	EndUs       int64    `json:"endUs"`       // -1 if never taken back
	HealedUs    int64    `json:"healedUs"`    // -1 if never proved
	Detail      string   `json:"detail"`
}

type columnPhase struct {
	Name    string `json:"name"`
	StartUs int64  `json:"startUs"`
}

type columnLeader struct {
	Member  string `json:"member"`
	Epoch   int64  `json:"epoch"`
	StartUs int64  `json:"startUs"`
	EndUs   int64  `json:"endUs"`
}

// stringTable gives each distinct string a number, in order of appearance.
// Number 0 is the empty string.
type stringTable struct {
	strings []string
	ids     map[string]int
}

func newStringTable() *stringTable {
	return &stringTable{strings: []string{""}, ids: map[string]int{"": 0}}
}

func (t *stringTable) id(text string) int64 {
	id, known := t.ids[text]
	if !known {
		id = len(t.strings)
		t.ids[text] = id
		t.strings = append(t.strings, text)
	}
	return int64(id)
}

// encodeColumns packs operations, faults and leaders for the script.
func encodeColumns(r *run, shown sample, in Input, longest gap) (string, error) {
	table := newStringTable()
	columns := packOperations(shown, table)
	header, err := json.Marshal(columnHeader{
		Count: len(shown.ops), Total: len(r.ops), EndUs: r.endNs / 1000, Columns: columnNames,
		Strings: table.strings, Members: append([]string{}, in.Members...),
		Faults: columnFaults(in.Faults), Leaders: columnLeaders(in.Leaders, r.endNs),
		Phases: columnPhases(in.Phases), Watches: watchSpans(r),
		GapUs: [2]int64{longest.fromNs / 1000, longest.toNs / 1000},
	})
	if err != nil {
		return "", fmt.Errorf("encode the header of the operations: %w", err)
	}
	var packed bytes.Buffer
	deflate, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return "", fmt.Errorf("compress the operations: %w", err)
	}
	parts := append([][]byte{binary.LittleEndian.AppendUint32(nil, uint32(len(header))), header}, columns...)
	for _, part := range parts {
		if _, err := deflate.Write(part); err != nil {
			return "", fmt.Errorf("compress the operations: %w", err)
		}
	}
	if err := deflate.Close(); err != nil {
		return "", fmt.Errorf("compress the operations: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(packed.Bytes()), nil
}

// packOperations writes one slice of varints for each name in columnNames.
func packOperations(shown sample, table *stringTable) [][]byte {
	ops := shown.ops
	columns := make([][]byte, len(columnNames))
	var lastIndex, lastStart int64
	var lastZxid, lastMzxid [2]int64
	for i := range ops {
		op := &ops[i]
		startUs := op.startNs / 1000
		var duration int64 // 0 says that there is no completion
		if op.closed {
			duration = op.endNs/1000 - startUs + 1
		}
		_, in, out := op.words(shortText)
		zxid, mzxid := splitZxid(op.zxid), splitZxid(op.mzxid)
		row := [...]uint64{
			zigzag(int64(op.index) - lastIndex), zigzag(startUs - lastStart),
			uint64(duration), uint64(op.process),
			uint64(table.id(clip(op.f, maxValueRunes))), uint64(table.id(clip(op.key, maxValueRunes))),
			uint64(table.id(clip(op.node, maxValueRunes))),
			uint64(table.id(in)), uint64(table.id(out)), uint64(table.id(sessionText(op.session))),
			uint64(table.id(clip(op.err, maxValueRunes))), uint64(op.outcome),
			zigzag(zxid[0] - lastZxid[0]), zigzag(zxid[1] - lastZxid[1]),
			zigzag(mzxid[0] - lastMzxid[0]), zigzag(mzxid[1] - lastMzxid[1]),
			zigzag(int64(op.version)), uint64(shown.weights[i]),
		}
		for column, value := range row {
			columns[column] = binary.AppendUvarint(columns[column], value)
		}
		lastIndex, lastStart = int64(op.index), startUs
		lastZxid, lastMzxid = zxid, mzxid
	}
	return columns
}

// splitZxid gives epoch and counter.
func splitZxid(zxid int64) [2]int64 {
	return [2]int64{int64(uint64(zxid) >> 32), zxid & 0xffffffff}
}

func zigzag(n int64) uint64 { return uint64(n<<1) ^ uint64(n>>63) }

func columnFaults(faults []Fault) []columnFault {
	packed := make([]columnFault, 0, len(faults))
	for i := range faults[:min(len(faults), maxFaults)] {
		fault := &faults[i]
		c := columnFault{
			Label: faultLabel(fault), Name: fault.Name, Targets: append([]string{}, fault.Targets...),
			StartUs: fault.StartNs / 1000, EffectiveUs: -1, EndUs: -1, HealedUs: -1,
			Detail: clip(fault.Detail, maxLineRunes),
		}
		if fault.Effective {
			c.EffectiveUs = fault.EffectiveNs / 1000
		}
		if fault.EndNs != 0 {
			c.EndUs = fault.EndNs / 1000
		}
		if fault.Healed {
			c.HealedUs = fault.HealedNs / 1000
		}
		packed = append(packed, c)
	}
	return packed
}

func columnPhases(phases []Phase) []columnPhase {
	packed := make([]columnPhase, 0, len(phases))
	for _, phase := range phases {
		packed = append(packed, columnPhase{Name: phase.Name, StartUs: phase.StartNs / 1000})
	}
	return packed
}

func columnLeaders(leaders []LeaderSpan, runEndNs int64) []columnLeader {
	packed := make([]columnLeader, 0, len(leaders))
	for _, span := range leaders {
		if span.EndNs == 0 {
			span.EndNs = runEndNs
		}
		packed = append(packed, columnLeader{
			Member: span.Member, Epoch: span.Epoch, StartUs: span.StartNs / 1000, EndUs: span.EndNs / 1000,
		})
	}
	return packed
}

// faultLabel names a fault and its variant: "partition leader".
func faultLabel(fault *Fault) string {
	if fault.Variant == "" {
		return fault.Name
	}
	return fault.Name + " " + fault.Variant
}
