package zk

import (
	"context"
	"fmt"

	"zoolab/zk/jute"
)

// ReadOp is one part of a MultiRead: see GetOp and ChildrenOp.
type ReadOp struct{ op Op }

// GetOp reads a znode, as Get does.
func GetOp(path string) ReadOp {
	return ReadOp{Op{op: jute.OpGetData, path: path, record: func(p string) jute.Record {
		return &jute.GetDataRequest{Path: p}
	}}}
}

// ChildrenOp lists the children of a znode, as Children does, but without its Stat.
func ChildrenOp(path string) ReadOp {
	return ReadOp{Op{op: jute.OpGetChildren, path: path, record: func(p string) jute.Record {
		return &jute.GetChildrenRequest{Path: p}
	}}}
}

// ReadResult is the result of one part of a MultiRead.
type ReadResult struct {
	Err      error    // the part's refusal
	Data     []byte   // of a GetOp; nil if the znode has none
	Stat     Stat     // of a GetOp
	Children []string // of a ChildrenOp: names, in no order
}

// MultiReadReply is the result of MultiRead.
type MultiReadReply struct {
	Reply
	Results []ReadResult // one for each part
}

// MultiRead carries out several reads with one request. Each part succeeds or is
// refused on its own; the error is that of the request as a whole.
func (c *Client) MultiRead(ctx context.Context, ops ...ReadOp) (MultiReadReply, error) {
	parts := make([]Op, len(ops))
	for i, op := range ops {
		parts[i] = op.op
	}
	request, err := c.records(jute.OpMultiRead, parts)
	if err != nil {
		return MultiReadReply{}, err
	}
	var resp multiReadResponse
	r, err := c.do(ctx, &call{op: jute.OpMultiRead, req: request, resp: &resp})
	reply := MultiReadReply{Reply: r}
	if err != nil {
		return reply, err
	}
	if len(resp.Results) != len(ops) {
		return reply, &OpError{Op: jute.OpMultiRead.String(), Zxid: r.Zxid,
			Err: fmt.Errorf("%w: %d results for %d parts", jute.ErrMalformed, len(resp.Results), len(ops))}
	}
	reply.Results = make([]ReadResult, len(ops))
	for i, part := range resp.Results {
		switch record := part.Record.(type) {
		case *jute.GetDataResponse:
			reply.Results[i] = ReadResult{Data: record.Data, Stat: record.Stat}
		case *jute.GetChildrenResponse:
			reply.Results[i] = ReadResult{Children: record.Children}
		case *jute.ErrorResponse:
			reply.Results[i] = ReadResult{Err: record.Err}
		}
	}
	return reply, nil
}

// multiReadResponse owns its data, since the frame it came in is reused.
type multiReadResponse struct{ jute.MultiResponse }

func (r *multiReadResponse) Decode(d *jute.Decoder) {
	r.MultiResponse.Decode(d)
	for _, part := range r.Results {
		if record, ok := part.Record.(*jute.GetDataResponse); ok {
			record.Data = jute.Clone(record.Data)
		}
	}
}
