package replica

import (
	"fmt"
	"slices"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// maxMultiReadBytes bounds the answer to one multiRead. A request of a few bytes can
// name a znode of a megabyte many times, and no client takes a frame of this size.
const maxMultiReadBytes = 8 << 20

// multiRead answers a multi of reads, all from the same moment. A read that fails is
// answered with its error and does not keep the others from being answered. The watch
// flags of its parts are not looked at, as in Apache.
func multiRead(t *tree.Tree, who tree.Caller, ops []jute.MultiOp) (jute.Record, error) {
	answer := &jute.MultiResponse{Results: make([]jute.MultiOp, len(ops))}
	sizeBytes := 0
	for i, op := range ops {
		result := jute.MultiOp{Type: op.Type}
		var err error
		switch q := op.Record.(type) {
		case *jute.GetDataRequest:
			var r jute.GetDataResponse
			r.Data, r.Stat, err = t.GetData(q.Path, who, nil)
			sizeBytes += len(r.Data)
			result.Record = &r
		case *jute.GetChildrenRequest:
			var r jute.GetChildrenResponse
			r.Children, err = t.Children(q.Path, who, nil)
			for _, name := range r.Children {
				sizeBytes += 4 + len(name)
			}
			result.Record = &r
		default:
			if slices.ContainsFunc(ops, isRead) {
				return nil, fmt.Errorf("%w: reads and writes in a multiRead", jute.ErrMalformed)
			}
			// As from Apache, the client gets an answer without parts.
			return new(jute.MultiResponse), fmt.Errorf("%w: %v in a multiRead", jute.ErrMalformed, op.Type)
		}
		if code, failed := err.(jute.ErrorCode); failed {
			result = jute.MultiOp{Type: jute.OpError, Err: code, Record: &jute.ErrorResponse{Err: code}}
		}
		if sizeBytes > maxMultiReadBytes {
			return nil, jute.CodeMarshallingError
		}
		answer.Results[i] = result
	}
	return answer, nil
}

// isRead reports whether an operation may stand in a multiRead.
func isRead(op jute.MultiOp) bool {
	return op.Type == jute.OpGetData || op.Type == jute.OpGetChildren
}
