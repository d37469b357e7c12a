package history

import (
	"bufio"
	"fmt"
	"io"
	"strconv"

	"zoolab/workloads"
)

// WriteEDN writes a history as Jepsen does: one map a line.
func WriteEDN(w io.Writer, ops []workloads.Op) error {
	out := bufio.NewWriterSize(w, writeBufferBytes)
	words := keywords{}
	var line []byte
	for i := range ops {
		line = append(appendOp(line[:0], &ops[i], words), '\n')
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// writeBufferBytes is how much of a history is written at a time.
const writeBufferBytes = 1 << 16

// keywords remembers what MakeKeyword makes of the few functions of a history.
type keywords map[string]Keyword

func (k keywords) of(f string) Keyword {
	word, known := k[f]
	if !known {
		word = MakeKeyword(f)
		k[f] = word
	}
	return word
}

// appendOp appends an operation as AppendEDN would a map, without the garbage.
func appendOp(dst []byte, op *workloads.Op, words keywords) []byte {
	dst = strconv.AppendInt(append(dst, "{:index "...), int64(op.Index), 10)
	dst = strconv.AppendInt(append(dst, ", :time "...), op.TimeNs, 10)
	dst = append(append(dst, ", :type :"...), op.Type.String()...)
	dst = appendProcess(append(dst, ", :process "...), op)
	dst = append(append(dst, ", :f :"...), words.of(op.F)...)
	dst = appendOpValue(append(dst, ", :value "...), op)
	if op.Node != "" {
		dst = appendString(append(dst, ", :node "...), op.Node)
	}
	dst = appendNumber(dst, ", :zxid ", op.Zxid, 0)
	dst = appendNumber(dst, ", :mzxid ", op.Mzxid, 0)
	dst = appendNumber(dst, ", :version ", int64(op.Version), -1)
	dst = appendNumber(dst, ", :session ", op.Session, 0)
	if op.Error != "" {
		dst = appendString(append(dst, ", :error "...), op.Error)
	}
	return append(dst, '}')
}

// appendProcess appends how Jepsen names the process of an operation.
func appendProcess(dst []byte, op *workloads.Op) []byte {
	if op.Process == workloads.NemesisProcess {
		return append(dst, ":nemesis"...)
	}
	return strconv.AppendInt(dst, int64(op.Process), 10)
}

// appendOpValue appends the operation's value, behind its independent key if it has one.
func appendOpValue(dst []byte, op *workloads.Op) []byte {
	if op.Key == "" {
		return AppendEDN(dst, op.Value)
	}
	dst = append(appendString(append(dst, '['), op.Key), ' ')
	return append(AppendEDN(dst, op.Value), ']')
}

// ReadEDN reads a history in Jepsen's form, this lab's or another's: a map for each
// operation, in a vector or not. Keys of maps that the lab does not know are left
// out. An operation without an index has its place in the history as one.
func ReadEDN(r io.Reader) ([]workloads.Op, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var ops []workloads.Op
	parser := &ednParser{data: data}
	for {
		if b, err := parser.next(0); err != nil || b == 0 {
			return ops, err
		}
		value, err := parser.value(0)
		if err != nil {
			return nil, err
		}
		items := []any{value}
		if all, ok := value.([]any); ok {
			items = all
		}
		for _, item := range items {
			entries, ok := item.([]Entry)
			if !ok {
				return nil, parser.errorf("want a map for each operation, have %T", item)
			}
			op, err := fromEntries(entries, len(ops))
			if err != nil {
				return nil, parser.errorf("operation %d: %w", len(ops), err)
			}
			ops = append(ops, op)
		}
	}
}

func fromEntries(entries []Entry, index int) (workloads.Op, error) {
	op := workloads.Op{Index: index, Version: -1}
	missing := map[Keyword]bool{"type": true, "process": true, "f": true}
	for _, entry := range entries {
		if err := setField(&op, entry); err != nil {
			return op, err
		}
		delete(missing, entry.Key)
	}
	if len(missing) > 0 {
		return op, fmt.Errorf("want :type, :process and :f in each operation, have %v", entries)
	}
	// An independent key stands in front of the value.
	if list, ok := op.Value.([]any); ok && len(list) == 2 && op.Process >= 0 {
		if key, ok := list[0].(string); ok {
			op.Key, op.Value = key, list[1]
		}
	}
	op.Value = withPair(op.F, op.Value)
	return op, nil
}

func setField(op *workloads.Op, entry Entry) error {
	if _, text := entry.Value.(string); entry.Key == "error" && entry.Value != nil && !text {
		op.Error = string(AppendEDN(nil, entry.Value)) // [:timeout "after 5 s"], say
		return nil
	}
	switch v := entry.Value.(type) {
	case int64:
		switch entry.Key {
		case "index":
			op.Index = int(v)
		case "time":
			op.TimeNs = v
		case "process":
			op.Process = int(v)
		case "zxid":
			op.Zxid = v
		case "mzxid":
			op.Mzxid = v
		case "version":
			op.Version = int32(v)
		case "session":
			op.Session = v
		case "value":
			op.Value = v
		}
	case Keyword:
		switch entry.Key {
		case "type":
			parsed, err := workloads.ParseType(string(v))
			if err != nil {
				return err
			}
			op.Type = parsed
		case "process":
			if v != "nemesis" {
				return fmt.Errorf("process :%s, want a number or :nemesis", v)
			}
			op.Process = workloads.NemesisProcess
		case "f":
			op.F = string(v)
		case "value":
			op.Value = string(v)
		}
	case string:
		switch entry.Key {
		case "node":
			op.Node = v
		case "error":
			op.Error = v
		case "value":
			op.Value = v
		}
	default:
		if entry.Key == "value" {
			op.Value = v
		}
	}
	return nil
}
