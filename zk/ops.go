package zk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"zoolab/zk/jute"
)

// AnyVersion matches every version of a znode.
const AnyVersion int32 = -1

// Stat describes a znode.
type Stat = jute.Stat

// Mode is the kind of znode that Create makes.
type Mode = jute.CreateFlags

// The modes of Create.
const (
	Persistent           = jute.ModePersistent
	Ephemeral            = jute.ModeEphemeral
	PersistentSequential = jute.ModePersistentSequential
	EphemeralSequential  = jute.ModeEphemeralSequential
	// Container znodes are deleted by the server once their last child has gone.
	Container = jute.ModeContainer
	// TTL znodes are made by CreateTTL.
	TTL           = jute.ModeTTL
	TTLSequential = jute.ModeTTLSequential
)

// Reply is part of every result, also of one that an error stands beside.
type Reply struct {
	// Zxid is the zxid of the reply's header: for a change its own, for a read and
	// a refusal the newest one that the server had applied. It is 0 if there was no
	// reply.
	Zxid int64
}

// DataReply is the result of Get.
type DataReply struct {
	Reply
	Data []byte // nil if the znode has none
	Stat Stat
}

// StatReply is the result of Set and SetACL.
type StatReply struct {
	Reply
	Stat Stat
}

// ExistsReply is the result of Exists.
type ExistsReply struct {
	Reply
	Exists bool
	Stat   Stat // zero if the znode does not exist
}

// ChildrenReply is the result of Children.
type ChildrenReply struct {
	Reply
	Children []string // names, not paths, in no order
	Stat     Stat
}

// CreateReply is the result of Create.
type CreateReply struct {
	Reply
	Path string // with the sequence number, if the mode has one
	Stat Stat
}

// ACLReply is the result of GetACL.
type ACLReply struct {
	Reply
	ACL  []ACL
	Stat Stat
}

// Get reads a znode.
func (c *Client) Get(ctx context.Context, path string) (DataReply, error) {
	return c.get(ctx, path, nil)
}

// GetW reads a znode and watches its data: the event is EventDataChanged or
// EventDeleted. Without a znode there is no watch.
func (c *Client) GetW(ctx context.Context, path string) (DataReply, <-chan Event, error) {
	w := newWatch(watchData, c.serverPath(path))
	reply, err := c.get(ctx, path, w)
	if err != nil {
		return reply, nil, err
	}
	return reply, w.events, nil
}

func (c *Client) get(ctx context.Context, path string, w *watchRequest) (DataReply, error) {
	if err := checkPath(path); err != nil {
		return DataReply{}, refuse(jute.OpGetData, path, err)
	}
	return c.getAt(ctx, path, c.serverPath(path), w)
}

// getAt reads the znode at serverPath, which the caller knows as path.
func (c *Client) getAt(ctx context.Context, path, serverPath string, w *watchRequest) (DataReply, error) {
	var x struct {
		call call
		req  jute.GetDataRequest
		resp getDataResponse
	}
	x.req = jute.GetDataRequest{Path: serverPath, Watch: w != nil}
	x.call = call{op: jute.OpGetData, path: path, req: &x.req, resp: &x.resp, watch: w}
	reply, err := c.do(ctx, &x.call)
	if err != nil {
		return DataReply{Reply: reply}, err
	}
	return DataReply{Reply: reply, Data: x.resp.Data, Stat: x.resp.Stat}, nil
}

// getDataResponse owns its data, since the frame it came in is reused.
type getDataResponse struct{ jute.GetDataResponse }

func (r *getDataResponse) Decode(d *jute.Decoder) {
	r.GetDataResponse.Decode(d)
	r.Data = jute.Clone(r.Data)
}

// Exists looks whether there is a znode. That there is none is no error.
func (c *Client) Exists(ctx context.Context, path string) (ExistsReply, error) {
	return c.exists(ctx, path, nil)
}

// ExistsW looks whether there is a znode and watches it: the event is EventCreated,
// EventDataChanged or EventDeleted.
func (c *Client) ExistsW(ctx context.Context, path string) (ExistsReply, <-chan Event, error) {
	w := newWatch(watchExist, c.serverPath(path))
	reply, err := c.exists(ctx, path, w)
	if err != nil {
		return reply, nil, err
	}
	return reply, w.events, nil
}

func (c *Client) exists(ctx context.Context, path string, w *watchRequest) (ExistsReply, error) {
	if err := checkPath(path); err != nil {
		return ExistsReply{}, refuse(jute.OpExists, path, err)
	}
	var resp jute.ExistsResponse
	reply, err := c.do(ctx, &call{op: jute.OpExists, path: path, resp: &resp, watch: w,
		req: &jute.ExistsRequest{Path: c.serverPath(path), Watch: w != nil}})
	if errors.Is(err, ErrNoNode) {
		return ExistsReply{Reply: reply}, nil
	}
	if err != nil {
		return ExistsReply{Reply: reply}, err
	}
	return ExistsReply{Reply: reply, Exists: true, Stat: resp.Stat}, nil
}

// Children lists the children of a znode.
func (c *Client) Children(ctx context.Context, path string) (ChildrenReply, error) {
	return c.children(ctx, path, nil)
}

// ChildrenW lists the children of a znode and watches them: the event is
// EventChildrenChanged, or EventDeleted for the znode itself.
func (c *Client) ChildrenW(ctx context.Context, path string) (ChildrenReply, <-chan Event, error) {
	w := newWatch(watchChild, c.serverPath(path))
	reply, err := c.children(ctx, path, w)
	if err != nil {
		return reply, nil, err
	}
	return reply, w.events, nil
}

func (c *Client) children(ctx context.Context, path string, w *watchRequest) (ChildrenReply, error) {
	if err := checkPath(path); err != nil {
		return ChildrenReply{}, refuse(jute.OpGetChildren2, path, err)
	}
	var resp jute.GetChildren2Response
	reply, err := c.do(ctx, &call{op: jute.OpGetChildren2, path: path, resp: &resp, watch: w,
		req: &jute.GetChildren2Request{Path: c.serverPath(path), Watch: w != nil}})
	if err != nil {
		return ChildrenReply{Reply: reply}, err
	}
	return ChildrenReply{Reply: reply, Children: resp.Children, Stat: resp.Stat}, nil
}

// Set replaces a znode's data if it is at the version; AnyVersion matches all.
func (c *Client) Set(ctx context.Context, path string, data []byte, version int32) (StatReply, error) {
	if err := checkPath(path); err != nil {
		return StatReply{}, refuse(jute.OpSetData, path, err)
	}
	var x struct {
		call call
		req  jute.SetDataRequest
		resp jute.SetDataResponse
	}
	x.req = jute.SetDataRequest{Path: c.serverPath(path), Data: data, Version: version}
	x.call = call{op: jute.OpSetData, path: path, req: &x.req, resp: &x.resp, changes: true}
	reply, err := c.do(ctx, &x.call)
	if err != nil {
		return StatReply{Reply: reply}, err
	}
	return StatReply{Reply: reply, Stat: x.resp.Stat}, nil
}

// Create makes a znode. Without an ACL everybody may do everything.
func (c *Client) Create(ctx context.Context, path string, data []byte, mode Mode, acl ...ACL) (CreateReply, error) {
	op := jute.OpCreate2
	if mode == Container {
		op = jute.OpCreateContainer
	}
	if err := checkCreatePath(path, mode); err != nil {
		return CreateReply{}, refuse(op, path, err)
	}
	if mode.TTL() {
		return CreateReply{}, refuse(op, path, fmt.Errorf("%w: a znode of mode TTL needs CreateTTL", ErrBadArguments))
	}
	var resp jute.Create2Response
	reply, err := c.do(ctx, &call{op: op, path: path, resp: &resp, changes: true,
		req: &jute.CreateRequest{Path: c.serverPath(path), Data: data, ACL: orOpen(acl), Flags: mode}})
	if err != nil {
		return CreateReply{Reply: reply}, err
	}
	return CreateReply{Reply: reply, Path: c.clientPath(resp.Path), Stat: resp.Stat}, nil
}

// CreateTTL makes a znode of mode TTL or TTLSequential, which the server deletes when
// it has had no children and its data was not set for the time to live. The server
// must have extended types enabled, or else it answers ErrUnimplemented.
func (c *Client) CreateTTL(ctx context.Context, path string, data []byte, mode Mode, ttl time.Duration, acl ...ACL) (CreateReply, error) {
	if err := checkCreatePath(path, mode); err != nil {
		return CreateReply{}, refuse(jute.OpCreateTTL, path, err)
	}
	if err := checkTTL(mode, ttl); err != nil {
		return CreateReply{}, refuse(jute.OpCreateTTL, path, err)
	}
	var resp jute.Create2Response
	reply, err := c.do(ctx, &call{op: jute.OpCreateTTL, path: path, resp: &resp, changes: true,
		req: &jute.CreateTTLRequest{Path: c.serverPath(path), Data: data, ACL: orOpen(acl), Flags: mode, TtlMs: ttl.Milliseconds()}})
	if err != nil {
		return CreateReply{Reply: reply}, err
	}
	return CreateReply{Reply: reply, Path: c.clientPath(resp.Path), Stat: resp.Stat}, nil
}

// maxTTL is the longest time to live that servers can store: 40 bits of milliseconds.
const maxTTL = (1<<40 - 1) * time.Millisecond

func checkTTL(mode Mode, ttl time.Duration) error {
	if !mode.TTL() {
		return fmt.Errorf("%w: a time to live needs the mode TTL or TTLSequential", ErrBadArguments)
	}
	if ttl < time.Millisecond || ttl > maxTTL {
		return fmt.Errorf("%w: the time to live %v must be from 1 ms to %v", ErrBadArguments, ttl, maxTTL)
	}
	return nil
}

// Delete removes a znode without children if it is at the version; AnyVersion
// matches all.
func (c *Client) Delete(ctx context.Context, path string, version int32) (Reply, error) {
	if err := checkPath(path); err != nil {
		return Reply{}, refuse(jute.OpDelete, path, err)
	}
	return c.do(ctx, &call{op: jute.OpDelete, path: path, changes: true,
		req: &jute.DeleteRequest{Path: c.serverPath(path), Version: version}})
}

// GetACL reads a znode's ACL.
func (c *Client) GetACL(ctx context.Context, path string) (ACLReply, error) {
	if err := checkPath(path); err != nil {
		return ACLReply{}, refuse(jute.OpGetACL, path, err)
	}
	var resp jute.GetACLResponse
	reply, err := c.do(ctx, &call{op: jute.OpGetACL, path: path, resp: &resp,
		req: &jute.GetACLRequest{Path: c.serverPath(path)}})
	if err != nil {
		return ACLReply{Reply: reply}, err
	}
	return ACLReply{Reply: reply, ACL: resp.ACL, Stat: resp.Stat}, nil
}

// SetACL replaces a znode's ACL if its ACL is at the version (Stat.Aversion);
// AnyVersion matches all.
func (c *Client) SetACL(ctx context.Context, path string, acl []ACL, version int32) (StatReply, error) {
	if err := checkPath(path); err != nil {
		return StatReply{}, refuse(jute.OpSetACL, path, err)
	}
	var resp jute.SetACLResponse
	reply, err := c.do(ctx, &call{op: jute.OpSetACL, path: path, resp: &resp, changes: true,
		req: &jute.SetACLRequest{Path: c.serverPath(path), ACL: acl, Version: version}})
	if err != nil {
		return StatReply{Reply: reply}, err
	}
	return StatReply{Reply: reply, Stat: resp.Stat}, nil
}

// Sync waits until the connected server has applied all that was decided before, so
// that a read after it misses nothing.
func (c *Client) Sync(ctx context.Context, path string) (Reply, error) {
	if err := checkPath(path); err != nil {
		return Reply{}, refuse(jute.OpSync, path, err)
	}
	var resp jute.SyncResponse
	return c.do(ctx, &call{op: jute.OpSync, path: path, resp: &resp,
		req: &jute.SyncRequest{Path: c.serverPath(path)}})
}

// AddAuth presents a credential, such as "digest" with "user:password", now and on
// every later connection. A server closes the connection after it has refused one.
func (c *Client) AddAuth(ctx context.Context, scheme string, auth []byte) error {
	_, err := c.do(ctx, &call{op: jute.OpAuth, req: &jute.AuthPacket{Scheme: scheme, Auth: bytes.Clone(auth)}})
	return err
}
