package zk

import (
	"context"
	"fmt"
	"slices"

	"zoolab/zk/jute"
)

// Pipelined is a request of Pipeline: an Op other than CheckOp, a ReadOp, or a SyncOp.
type Pipelined interface{ pipelined() Op }

// SyncOp waits in a Pipeline as Sync does: what follows it misses nothing that was decided
// before it came to the leader.
type SyncOp struct{ Path string }

func (o Op) pipelined() Op     { return o }
func (o ReadOp) pipelined() Op { return o.op }

func (o SyncOp) pipelined() Op {
	return Op{op: jute.OpSync, path: o.Path, record: func(p string) jute.Record { return &jute.SyncRequest{Path: p} }}
}

// PipelineRequest gives a request of a Pipeline, for who has a transport of his own.
func PipelineRequest(request Pipelined) (op jute.OpCode, path string, record jute.Record, err error) {
	k, err := pipelineCall(request.pipelined(), func(path string) string { return path })
	if err != nil {
		return 0, "", nil, err
	}
	return k.op, k.path, k.req, nil
}

// PipelineResult is the result of one request.
type PipelineResult struct {
	Reply
	Err      error    // as the call alone would return it
	Path     string   // of a CreateOp
	Data     []byte   // of a GetOp
	Stat     Stat     // of a GetOp or SetOp
	Children []string // of a ChildrenOp
}

// Pipeline sends requests one right behind the other, without waiting for answers, and
// returns when each has its end. Servers carry the requests of a session out in the order
// in which they were sent: a read sees the writes before it and none behind it. Each
// succeeds or fails on its own; when the connection breaks, what was sent has an unknown
// outcome, and what was not goes out on the next one. Without enough free places below
// WithMaxPending it waits; more requests than that are refused.
func (c *Client) Pipeline(ctx context.Context, requests ...Pipelined) []PipelineResult {
	results := make([]PipelineResult, len(requests))
	calls := make([]*call, len(requests))
	err := ctx.Err()
	if len(requests) > cap(c.slots) {
		err = fmt.Errorf("%w: %d requests, at most %d may be pending", ErrBadArguments, len(requests), cap(c.slots))
	}
	for i, request := range requests {
		part := request.pipelined()
		k, invalid := pipelineCall(part, c.serverPath)
		switch {
		case err != nil:
			results[i].Err = refuse(part.op, part.path, err)
		case invalid != nil:
			results[i].Err = invalid
		default:
			calls[i] = k
		}
	}
	if err == nil {
		c.pipeline(ctx, calls, results)
	}
	return results
}

// pipelineCall makes the call of a request.
func pipelineCall(part Op, serverPath func(string) string) (*call, error) {
	err := part.invalid
	if err == nil {
		err = checkCreatePath(part.path, part.mode)
	}
	if err != nil {
		return nil, refuse(part.op, part.path, err)
	}
	k := &call{op: part.op, path: part.path, changes: true, req: part.record(serverPath(part.path))}
	switch part.op {
	case jute.OpGetData:
		k.resp, k.changes = &getDataResponse{}, false
	case jute.OpGetChildren:
		k.resp, k.changes = &jute.GetChildrenResponse{}, false
	case jute.OpSync:
		k.resp, k.changes = &jute.SyncResponse{}, false
	case jute.OpSetData:
		k.resp = &jute.SetDataResponse{}
	case jute.OpCreate:
		k.resp = &jute.CreateResponse{}
	case jute.OpCreateContainer, jute.OpCreateTTL:
		k.resp = &jute.Create2Response{}
	case jute.OpDelete:
	default:
		return nil, refuse(part.op, part.path, fmt.Errorf("%w: not a request of its own", ErrBadArguments))
	}
	return k, nil
}

// pipeline queues the calls that are not nil, all at once, and waits for each.
func (c *Client) pipeline(ctx context.Context, calls []*call, results []PipelineResult) {
	taken, err := c.takeSlots(ctx, len(calls))
	defer func() {
		for range taken {
			<-c.slots
		}
	}()
	if err == nil {
		err = c.enqueue(calls...)
	}
	// Answers come in the order of the calls: who waits for the last one first wakes up once.
	for i, k := range slices.Backward(calls) {
		if k == nil {
			continue
		}
		if err != nil {
			results[i].Err = refuse(k.op, k.path, err)
			continue
		}
		results[i] = c.pipelined(ctx, k)
	}
}

// takeSlots makes room for several calls. One Pipeline at a time takes slots, so that two
// that have half of theirs don't wait for each other.
func (c *Client) takeSlots(ctx context.Context, count int) (taken int, err error) {
	select {
	case c.taking <- struct{}{}:
		defer func() { <-c.taking }()
	case <-ctx.Done():
		return 0, ended(ctx)
	}
	for ; taken < count; taken++ {
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return taken, fmt.Errorf("%w while %d calls are pending", ended(ctx), cap(c.slots))
		}
	}
	return taken, nil
}

// pipelined waits for a call and gives its result.
func (c *Client) pipelined(ctx context.Context, k *call) (result PipelineResult) {
	if result.Err = c.await(ctx, k); result.Err != nil {
		return result
	}
	result.Zxid = k.zxid
	if k.err != nil {
		result.Err = k.err
		return result
	}
	switch r := k.resp.(type) {
	case *getDataResponse:
		result.Data, result.Stat = r.Data, r.Stat
	case *jute.SetDataResponse:
		result.Stat = r.Stat
	case *jute.GetChildrenResponse:
		result.Children = r.Children
	case *jute.CreateResponse:
		result.Path = c.clientPath(r.Path)
	case *jute.Create2Response:
		result.Path, result.Stat = c.clientPath(r.Path), r.Stat
	}
	return result
}
