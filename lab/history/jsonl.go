package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"zoolab/workloads"
)

// line is the schema of history.jsonl.
type line struct {
	Index   int            `json:"index"`
	TimeNs  int64          `json:"time"`
	Type    workloads.Type `json:"type"`
	Process int            `json:"process"` // -1 is the nemesis
	F       string         `json:"f"`
	Key     string         `json:"key,omitempty"`
	Value   any            `json:"value"`
	Node    string         `json:"node,omitempty"`
	Zxid    int64          `json:"zxid,omitempty"`
	Mzxid   int64          `json:"mzxid,omitempty"`
	Version *int32         `json:"version,omitempty"` // absent for -1
	Error   string         `json:"error,omitempty"`
	Session string         `json:"session,omitempty"` // hexadecimal: too large for a number in some tools
}

// appendJSON appends op as one line of history.jsonl.
func appendJSON(dst []byte, op workloads.Op) ([]byte, error) {
	l := line{
		Index: op.Index, TimeNs: op.TimeNs, Type: op.Type, Process: op.Process, F: op.F, Key: op.Key,
		Value: op.Value, Node: op.Node, Zxid: op.Zxid, Mzxid: op.Mzxid, Error: op.Error,
	}
	if op.Version != -1 {
		l.Version = &op.Version
	}
	if op.Session != 0 {
		l.Session = "0x" + strconv.FormatUint(uint64(op.Session), 16)
	}
	encoded, err := json.Marshal(&l)
	if err != nil {
		return dst, err
	}
	return append(append(dst, encoded...), '\n'), nil
}

func parseJSON(data []byte) (workloads.Op, error) {
	l := line{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return workloads.Op{}, err
	}
	value, err := fromJSON(l.Value)
	if err != nil {
		return workloads.Op{}, err
	}
	op := workloads.Op{
		Index: l.Index, TimeNs: l.TimeNs, Type: l.Type, Process: l.Process, F: l.F, Key: l.Key,
		Value: withPair(l.F, value), Node: l.Node, Zxid: l.Zxid, Mzxid: l.Mzxid, Version: -1, Error: l.Error,
	}
	if l.Version != nil {
		op.Version = *l.Version
	}
	if l.Session != "" {
		session, err := strconv.ParseUint(l.Session, 0, 64)
		if err != nil {
			return workloads.Op{}, fmt.Errorf("session: %w", err)
		}
		op.Session = int64(session)
	}
	return op, nil
}

func fromJSON(value any) (any, error) {
	switch v := value.(type) {
	case nil, string:
		return v, nil
	case json.Number:
		return v.Int64()
	case []any:
		list := make([]any, len(v))
		for i := range v {
			item, err := fromJSON(v[i])
			if err != nil {
				return nil, err
			}
			list[i] = item
		}
		return list, nil
	default:
		return nil, fmt.Errorf("a value of type %T has no place in a history", value)
	}
}

// withPair gives the value of a cas the type that it had when it was recorded.
func withPair(f string, value any) any {
	list, ok := value.([]any)
	if f != "cas" || !ok || len(list) != 2 {
		return value
	}
	old, oldOK := list[0].(int64)
	new, newOK := list[1].(int64)
	if !oldOK || !newOK {
		return value
	}
	return [2]int64{old, new}
}

// ReadFile reads history.jsonl. A last line without its end, as a killed lab
// leaves it, is left out.
func ReadFile(path string) ([]workloads.Op, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the history: %w", err)
	}
	defer file.Close()
	ops, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ops, nil
}

// Read reads the form of history.jsonl.
func Read(r io.Reader) ([]workloads.Op, error) {
	var ops []workloads.Op
	reader := bufio.NewReaderSize(r, 1<<16)
	for number := 1; ; number++ {
		data, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return ops, nil
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		op, err := parseJSON(data)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		ops = append(ops, op)
	}
}

// Write writes the form of history.jsonl.
func Write(w io.Writer, ops []workloads.Op) error {
	out := bufio.NewWriter(w)
	var data []byte
	for _, op := range ops {
		var err error
		if data, err = appendJSON(data[:0], op); err != nil {
			return fmt.Errorf("operation %d: %w", op.Index, err)
		}
		if _, err := out.Write(data); err != nil {
			return err
		}
	}
	return out.Flush()
}
