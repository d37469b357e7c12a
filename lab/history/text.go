package history

import (
	"bufio"
	"io"

	"zoolab/workloads"
)

// WriteText writes history.txt as Jepsen does: process, type, function and value
// of each operation, and its error if it has one, with tabs between them.
func WriteText(w io.Writer, ops []workloads.Op) error {
	out := bufio.NewWriterSize(w, writeBufferBytes)
	words := keywords{}
	var line []byte
	for i := range ops {
		op := &ops[i]
		line = appendProcess(line[:0], op)
		line = append(append(line, "\t:"...), op.Type.String()...)
		line = append(append(line, "\t:"...), words.of(op.F)...)
		line = appendOpValue(append(line, '\t'), op)
		if op.Error != "" {
			line = appendString(append(line, '\t'), op.Error)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return out.Flush()
}
