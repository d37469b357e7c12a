package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"

	"zoolab/workloads"
)

// blockBytes is about how much of a history is parsed in one go.
const blockBytes = 1 << 20

// block is a number of whole lines, and what they say.
type block struct {
	data   []byte
	parsed sync.WaitGroup
	ops    []workloads.Op
	err    error // of the line behind ops
}

// Read reads the form of history.jsonl. Blocks of lines are parsed side by side.
func Read(r io.Reader) ([]workloads.Op, error) {
	blocks := make(chan *block, runtime.GOMAXPROCS(0)) // bounds what is parsed at a time
	stop := make(chan struct{})
	defer close(stop)
	var readErr error // of the line behind all blocks; written before blocks is closed
	go func() {
		defer close(blocks)
		readErr = readBlocks(r, func(data []byte) bool {
			b := &block{data: data}
			b.parsed.Go(b.parse)
			select {
			case blocks <- b:
				return true
			case <-stop:
				return false
			}
		})
	}()
	var ops []workloads.Op
	for b := range blocks {
		b.parsed.Wait()
		ops = append(ops, b.ops...)
		if b.err != nil {
			return nil, fmt.Errorf("line %d: %w", len(ops)+1, b.err)
		}
	}
	if readErr != nil {
		return nil, fmt.Errorf("line %d: %w", len(ops)+1, readErr)
	}
	return ops, nil
}

// readBlocks cuts what it reads behind ends of lines, and hands it out until take has enough.
// A last line without its end is left out.
func readBlocks(r io.Reader, take func(data []byte) bool) error {
	var rest []byte
	for {
		data := make([]byte, len(rest)+blockBytes)
		copy(data, rest)
		n, err := io.ReadFull(r, data[len(rest):])
		data = data[:len(rest)+n]
		end := bytes.LastIndexByte(data, '\n') + 1
		rest = data[end:]
		if end > 0 && !take(data[:end]) {
			return nil
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}

func (b *block) parse() {
	b.ops = make([]workloads.Op, 0, bytes.Count(b.data, []byte{'\n'}))
	l := lineReader{texts: make(map[string]string)}
	for line := range bytes.Lines(b.data) {
		op, ok := l.read(line)
		if !ok {
			if op, b.err = parseJSON(line); b.err != nil {
				return
			}
		}
		b.ops = append(b.ops, op)
	}
}

// lineReader reads lines as appendJSON writes them, a sixth as slow as encoding/json does.
// Whatever else it meets, it leaves to parseJSON: escaped or foreign text, another order,
// what is no history at all.
type lineReader struct {
	rest  []byte
	bad   bool
	texts map[string]string // those that were met: they are few, and stand on many lines
}

func (l *lineReader) read(line []byte) (op workloads.Op, ok bool) {
	l.rest, l.bad = line, false
	l.want(`{"index":`)
	op.Index = int(l.number())
	l.want(`,"time":`)
	op.TimeNs = l.number()
	l.want(`,"type":`)
	kind, err := workloads.ParseType(l.text())
	l.bad = l.bad || err != nil
	op.Type = kind
	l.want(`,"process":`)
	op.Process = int(l.number())
	l.want(`,"f":`)
	op.F = l.text()
	if l.next(`,"key":`) {
		op.Key = l.text()
	}
	l.want(`,"value":`)
	op.Value = withPair(op.F, l.value(0))
	if l.next(`,"node":`) {
		op.Node = l.text()
	}
	if l.next(`,"zxid":`) {
		op.Zxid = l.number()
	}
	if l.next(`,"mzxid":`) {
		op.Mzxid = l.number()
	}
	op.Version = -1
	if l.next(`,"version":`) {
		version := l.number()
		op.Version = int32(version)
		l.bad = l.bad || int64(op.Version) != version
	}
	if l.next(`,"error":`) {
		op.Error = l.text()
	}
	if l.next(`,"session":`) {
		session, err := strconv.ParseUint(l.text(), 0, 64)
		l.bad = l.bad || err != nil
		op.Session = int64(session)
	}
	l.want("}\n")
	return op, !l.bad && len(l.rest) == 0
}

// next goes past text if it stands here.
func (l *lineReader) next(text string) bool {
	if len(l.rest) < len(text) || string(l.rest[:len(text)]) != text {
		return false
	}
	l.rest = l.rest[len(text):]
	return true
}

func (l *lineReader) want(text string) {
	if !l.next(text) {
		l.bad = true
	}
}

// number reads a whole number as strconv writes it.
func (l *lineReader) number() int64 {
	end := 0
	for end < len(l.rest) && (l.rest[end] == '-' || l.rest[end] >= '0' && l.rest[end] <= '9') {
		end++
	}
	digits := bytes.TrimPrefix(l.rest[:end], []byte{'-'})
	value, err := strconv.ParseInt(string(l.rest[:end]), 10, 64)
	if err != nil || len(digits) > 1 && digits[0] == '0' {
		l.bad = true
	}
	l.rest = l.rest[end:]
	return value
}

// text reads a string in which nothing is escaped.
func (l *lineReader) text() string {
	l.want(`"`)
	end := 0
	for end < len(l.rest) && l.rest[end] != '"' {
		if c := l.rest[end]; c < ' ' || c > '~' || c == '\\' {
			break
		}
		end++
	}
	text, known := l.texts[string(l.rest[:end])]
	if !known {
		text = string(l.rest[:end])
		l.texts[text] = text
	}
	l.rest = l.rest[end:]
	l.want(`"`)
	return text
}

// deepest bounds the lists in lists that are read here.
const deepest = 8

func (l *lineReader) value(depth int) any {
	switch {
	case l.bad, depth > deepest, len(l.rest) == 0:
		l.bad = true
		return nil
	case l.next("null"):
		return nil
	case l.rest[0] == '"':
		return l.text()
	case !l.next("["):
		return l.number()
	}
	list := []any{}
	for !l.bad && !l.next("]") {
		if len(list) > 0 {
			l.want(",")
		}
		list = append(list, l.value(depth+1))
	}
	return list
}
