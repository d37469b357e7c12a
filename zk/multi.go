package zk

import (
	"context"
	"fmt"
	"time"

	"zoolab/zk/jute"
)

// Op is one part of a Multi: see CreateOp, SetOp, DeleteOp and CheckOp.
type Op struct {
	op      jute.OpCode
	path    string
	mode    Mode
	invalid error // why the part can't be asked
	record  func(serverPath string) jute.Record
}

// MultiRequest gives the request of a Multi, for who has a transport of his own.
func MultiRequest(ops ...Op) (*jute.MultiRequest, error) {
	return records(jute.OpMulti, ops, func(path string) string { return path })
}

// records gives the parts as a server reads them.
func (c *Client) records(op jute.OpCode, ops []Op) (*jute.MultiRequest, error) {
	return records(op, ops, c.serverPath)
}

func records(op jute.OpCode, ops []Op, serverPath func(string) string) (*jute.MultiRequest, error) {
	request := &jute.MultiRequest{Ops: make([]jute.MultiOp, len(ops))}
	for i, part := range ops {
		err := part.invalid
		if err == nil {
			err = checkCreatePath(part.path, part.mode)
		}
		if err != nil {
			return nil, refuse(op, part.path, err)
		}
		request.Ops[i] = jute.MultiOp{Type: part.op, Record: part.record(serverPath(part.path))}
	}
	return request, nil
}

// CreateOp makes a znode, as Create does.
func CreateOp(path string, data []byte, mode Mode, acl ...ACL) Op {
	op := jute.OpCreate
	if mode == Container {
		op = jute.OpCreateContainer
	}
	var invalid error
	if mode.TTL() {
		invalid = fmt.Errorf("%w: a znode of mode TTL needs CreateTTLOp", ErrBadArguments)
	}
	return Op{op: op, path: path, mode: mode, invalid: invalid, record: func(p string) jute.Record {
		return &jute.CreateRequest{Path: p, Data: data, ACL: orOpen(acl), Flags: mode}
	}}
}

// CreateTTLOp makes a znode with a time to live, as CreateTTL does.
func CreateTTLOp(path string, data []byte, mode Mode, ttl time.Duration, acl ...ACL) Op {
	return Op{op: jute.OpCreateTTL, path: path, mode: mode, invalid: checkTTL(mode, ttl), record: func(p string) jute.Record {
		return &jute.CreateTTLRequest{Path: p, Data: data, ACL: orOpen(acl), Flags: mode, TtlMs: ttl.Milliseconds()}
	}}
}

// SetOp replaces a znode's data, as Set does.
func SetOp(path string, data []byte, version int32) Op {
	return Op{op: jute.OpSetData, path: path, record: func(p string) jute.Record {
		return &jute.SetDataRequest{Path: p, Data: data, Version: version}
	}}
}

// DeleteOp removes a znode, as Delete does.
func DeleteOp(path string, version int32) Op {
	return Op{op: jute.OpDelete, path: path, record: func(p string) jute.Record {
		return &jute.DeleteRequest{Path: p, Version: version}
	}}
}

// CheckOp lets the Multi fail unless the znode is at the version.
func CheckOp(path string, version int32) Op {
	return Op{op: jute.OpCheck, path: path, record: func(p string) jute.Record {
		return &jute.CheckVersionRequest{Path: p, Version: version}
	}}
}

// OpResult is the result of one part.
type OpResult struct {
	// Err is the refusal of the part that made the Multi fail; nil for the parts
	// before it; ErrNotTried for those after it.
	Err  error
	Path string // of a create that took effect
	Stat Stat   // of a set that took effect
}

// ErrNotTried is the result of the parts that stand behind one that failed.
var ErrNotTried error = jute.CodeRuntimeInconsistency

// MultiReply is the result of Multi.
type MultiReply struct {
	Reply
	// Results has one item for each part once a server has answered, also beside an
	// error. After an error none of the parts took effect.
	Results []OpResult
}

// Multi carries out all parts or none. If a part is refused, the error is the
// refusal, with the part's path, and Results tells which part it was.
func (c *Client) Multi(ctx context.Context, ops ...Op) (MultiReply, error) {
	request, err := c.records(jute.OpMulti, ops)
	if err != nil {
		return MultiReply{}, err
	}
	var resp jute.MultiResponse
	r, err := c.do(ctx, &call{op: jute.OpMulti, req: request, resp: &resp, changes: true})
	reply := MultiReply{Reply: r}
	if err != nil {
		return reply, err
	}
	if len(resp.Results) != len(ops) {
		return reply, &OpError{Op: jute.OpMulti.String(), Zxid: r.Zxid, MayHaveHappened: true,
			Err: fmt.Errorf("%w: %d results for %d parts", jute.ErrMalformed, len(resp.Results), len(ops))}
	}
	reply.Results = make([]OpResult, len(ops))
	var failed error
	for i, part := range resp.Results {
		reply.Results[i] = c.result(part)
		if e := reply.Results[i].Err; e != nil && failed == nil {
			failed = &OpError{Op: jute.OpMulti.String(), Path: ops[i].path, Err: e, Zxid: r.Zxid}
		}
	}
	return reply, failed
}

func (c *Client) result(part jute.MultiOp) OpResult {
	switch record := part.Record.(type) {
	case *jute.CreateResponse:
		return OpResult{Path: c.clientPath(record.Path)}
	case *jute.Create2Response:
		return OpResult{Path: c.clientPath(record.Path), Stat: record.Stat}
	case *jute.SetDataResponse:
		return OpResult{Stat: record.Stat}
	case *jute.ErrorResponse:
		if record.Err != jute.CodeOK {
			return OpResult{Err: record.Err}
		}
	}
	return OpResult{}
}

// Txn builds a Multi whose results go where its parts were asked: each method adds a
// part and returns where Commit will put its result. A Txn is used by one goroutine.
type Txn struct {
	c       *Client
	ops     []Op
	results []*OpResult
}

// Txn begins a Multi. Nothing is asked before Commit.
func (c *Client) Txn() *Txn { return &Txn{c: c} }

// Add adds a part.
func (t *Txn) Add(op Op) *OpResult {
	result := &OpResult{Err: ErrNotTried}
	t.ops, t.results = append(t.ops, op), append(t.results, result)
	return result
}

// Create adds a CreateOp.
func (t *Txn) Create(path string, data []byte, mode Mode, acl ...ACL) *OpResult {
	return t.Add(CreateOp(path, data, mode, acl...))
}

// Set adds a SetOp.
func (t *Txn) Set(path string, data []byte, version int32) *OpResult {
	return t.Add(SetOp(path, data, version))
}

// Delete adds a DeleteOp.
func (t *Txn) Delete(path string, version int32) *OpResult { return t.Add(DeleteOp(path, version)) }

// Check adds a CheckOp.
func (t *Txn) Check(path string, version int32) *OpResult { return t.Add(CheckOp(path, version)) }

// Commit carries out all parts or none, as Client.Multi does.
func (t *Txn) Commit(ctx context.Context) (Reply, error) {
	reply, err := t.c.Multi(ctx, t.ops...)
	for i, result := range reply.Results {
		*t.results[i] = result
	}
	return reply.Reply, err
}
