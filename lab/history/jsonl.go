package history

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

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

// appendJSON appends op as one line of history.jsonl, as encoding/json would write the
// line, but without its cost: the lab shares the machine with the members.
func appendJSON(dst []byte, op workloads.Op) ([]byte, error) {
	if int(op.Type) > int(workloads.Info) {
		return dst, fmt.Errorf("operation of type %s", op.Type)
	}
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, int64(op.Index), 10)
	dst = append(dst, `,"time":`...)
	dst = strconv.AppendInt(dst, op.TimeNs, 10)
	dst = append(dst, `,"type":"`...)
	dst = append(dst, op.Type.String()...)
	dst = append(dst, `","process":`...)
	dst = strconv.AppendInt(dst, int64(op.Process), 10)
	dst = append(dst, `,"f":`...)
	dst = appendJSONString(dst, op.F)
	dst = appendText(dst, `,"key":`, op.Key)
	dst = append(dst, `,"value":`...)
	dst, err := appendJSONValue(dst, op.Value)
	if err != nil {
		return dst, err
	}
	dst = appendText(dst, `,"node":`, op.Node)
	dst = appendNumber(dst, `,"zxid":`, op.Zxid, 0)
	dst = appendNumber(dst, `,"mzxid":`, op.Mzxid, 0)
	dst = appendNumber(dst, `,"version":`, int64(op.Version), -1)
	dst = appendText(dst, `,"error":`, op.Error)
	if op.Session != 0 {
		dst = append(dst, `,"session":"0x`...)
		dst = strconv.AppendUint(dst, uint64(op.Session), 16)
		dst = append(dst, '"')
	}
	return append(dst, '}', '\n'), nil
}

// appendText appends a name and a string, nothing for an empty one.
func appendText(dst []byte, name, text string) []byte {
	if text == "" {
		return dst
	}
	return appendJSONString(append(dst, name...), text)
}

// appendNumber appends a name and a number, nothing if it is the one that may be absent.
func appendNumber(dst []byte, name string, number, absent int64) []byte {
	if number == absent {
		return dst
	}
	return strconv.AppendInt(append(dst, name...), number, 10)
}

// appendJSONString quotes text. What needs more than quotes is left to encoding/json.
func appendJSONString(dst []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			encoded, err := json.Marshal(text)
			if err != nil {
				panic("history: a string that JSON can't hold: " + err.Error()) // there is none
			}
			return append(dst, encoded...)
		}
	}
	dst = append(dst, '"')
	dst = append(dst, text...)
	return append(dst, '"')
}

func appendJSONValue(dst []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case string:
		return appendJSONString(dst, v), nil
	case [2]int64:
		dst = strconv.AppendInt(append(dst, '['), v[0], 10)
		dst = strconv.AppendInt(append(dst, ','), v[1], 10)
		return append(dst, ']'), nil
	case []any:
		dst = append(dst, '[')
		for i, item := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			var err error
			if dst, err = appendJSONValue(dst, item); err != nil {
				return dst, err
			}
		}
		return append(dst, ']'), nil
	default:
		return dst, fmt.Errorf("a value of type %T has no place in a history", value)
	}
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

// withPair gives the value of a cas, also of one among several workloads, the type
// that it had when it was recorded.
func withPair(f string, value any) any {
	list, ok := value.([]any)
	if f != "cas" && !strings.HasSuffix(f, "/cas") || !ok || len(list) != 2 {
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
		return nil, fmt.Errorf("%s is damaged: %w; to judge what stands before it, cut the file off there", path, err)
	}
	return ops, nil
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
