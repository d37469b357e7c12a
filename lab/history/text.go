package history

import (
	"bufio"
	"io"

	"zoolab/workloads"
)

// WriteText writes history.txt as Jepsen does: process, type, function and value
// of each operation, and its error if it has one, with tabs between them.
func WriteText(w io.Writer, ops []workloads.Op) error {
	out := bufio.NewWriter(w)
	var line []byte
	for i := range ops {
		op := &ops[i]
		line = AppendEDN(line[:0], processOf(op))
		line = AppendEDN(append(line, '\t'), Keyword(op.Type.String()))
		line = AppendEDN(append(line, '\t'), MakeKeyword(op.F))
		line = AppendEDN(append(line, '\t'), valueOf(op))
		if op.Error != "" {
			line = AppendEDN(append(line, '\t'), op.Error)
		}
		if _, err := out.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return out.Flush()
}

// processOf is how Jepsen names the process of an operation.
func processOf(op *workloads.Op) any {
	if op.Process == workloads.NemesisProcess {
		return Keyword("nemesis")
	}
	return op.Process
}

// valueOf is the operation's value, behind its independent key if it has one.
func valueOf(op *workloads.Op) any {
	if op.Key == "" {
		return op.Value
	}
	return []any{op.Key, op.Value}
}
