package sim

import (
	"context"
	"time"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// The methods below are those of zk.Client.

// Server is the address of the member that the session is connected to, empty without one.
func (s *Client) Server() string {
	if s.conn == nil || !s.conn.connected {
		return ""
	}
	return s.c.members[s.conn.member-1].Client
}

// AliveUntil is the session's timeout after the sending of the newest request that was
// answered, zero before the first.
func (s *Client) AliveUntil() time.Time {
	if s.heardAt.IsZero() {
		return time.Time{}
	}
	return s.heardAt.Add(s.timeout)
}

// State tells how the session is.
func (s *Client) State() zk.State { return s.state }

// Session is the session as it is now.
func (s *Client) Session() zk.Session {
	return zk.Session{ID: s.id, Password: s.passwd, Timeout: s.timeout, LastZxid: s.lastZxid}
}

// Close ends the session on the server.
func (s *Client) Close(ctx context.Context) error {
	err := error(&zk.OpError{Op: jute.OpCloseSession.String(), Err: zk.ErrDisconnected})
	if s.ended != nil {
		return nil
	}
	if s.Server() != "" {
		_, _, err = s.do(ctx, &call{op: jute.OpCloseSession, changes: true})
	}
	s.end(zk.StateClosed, zk.ErrClosed)
	return err
}

// Detach leaves the session to its timeout, or to whoever attaches to it.
func (s *Client) Detach() zk.Session {
	s.end(zk.StateClosed, zk.ErrClosed)
	return s.Session()
}

// Sync waits until the member has applied all that was decided before.
func (s *Client) Sync(ctx context.Context, path string) (zk.Reply, error) {
	_, reply, err := s.do(ctx, &call{op: jute.OpSync, path: path, request: &jute.SyncRequest{Path: path}})
	return reply, err
}

// Get reads a znode.
func (s *Client) Get(ctx context.Context, path string) (zk.DataReply, error) {
	return s.get(ctx, path, nil)
}

// GetW reads a znode and watches its data.
func (s *Client) GetW(ctx context.Context, path string) (zk.DataReply, <-chan zk.Event, error) {
	w := onceWatch(watchData, path)
	reply, err := s.get(ctx, path, w)
	return reply, w.events, err
}

func (s *Client) get(ctx context.Context, path string, w *watch) (zk.DataReply, error) {
	body, reply, err := s.do(ctx, &call{op: jute.OpGetData, path: path, watch: w, request: &jute.GetDataRequest{Path: path, Watch: w != nil}})
	if err != nil {
		return zk.DataReply{Reply: reply}, err
	}
	r := body.(*jute.GetDataResponse)
	return zk.DataReply{Reply: reply, Data: r.Data, Stat: r.Stat}, nil
}

// ExistsW looks for a znode and watches whether it comes, changes or goes.
func (s *Client) ExistsW(ctx context.Context, path string) (zk.ExistsReply, <-chan zk.Event, error) {
	w := onceWatch(watchExistence, path)
	k := &call{op: jute.OpExists, path: path, watch: w, request: &jute.ExistsRequest{Path: path, Watch: true}}
	body, reply, err := s.do(ctx, k)
	if k.header.Err == jute.CodeNoNode {
		return zk.ExistsReply{Reply: reply}, w.events, nil
	}
	if err != nil {
		return zk.ExistsReply{Reply: reply}, nil, err
	}
	return zk.ExistsReply{Reply: reply, Exists: true, Stat: body.(*jute.ExistsResponse).Stat}, w.events, nil
}

// Children lists the names of a znode's children.
func (s *Client) Children(ctx context.Context, path string) (zk.ChildrenReply, error) {
	return s.children(ctx, path, nil)
}

// ChildrenW lists the names of a znode's children and watches them.
func (s *Client) ChildrenW(ctx context.Context, path string) (zk.ChildrenReply, <-chan zk.Event, error) {
	w := onceWatch(watchChildren, path)
	reply, err := s.children(ctx, path, w)
	return reply, w.events, err
}

func (s *Client) children(ctx context.Context, path string, w *watch) (zk.ChildrenReply, error) {
	body, reply, err := s.do(ctx, &call{op: jute.OpGetChildren2, path: path, watch: w, request: &jute.GetChildren2Request{Path: path, Watch: w != nil}})
	if err != nil {
		return zk.ChildrenReply{Reply: reply}, err
	}
	r := body.(*jute.GetChildren2Response)
	return zk.ChildrenReply{Reply: reply, Children: r.Children, Stat: r.Stat}, nil
}

// Create makes a znode that is open to everybody.
func (s *Client) Create(ctx context.Context, path string, data []byte, mode zk.Mode, _ ...zk.ACL) (zk.CreateReply, error) {
	request := &jute.CreateRequest{Path: path, Data: data, ACL: zk.WorldACL(zk.PermAll), Flags: mode}
	body, reply, err := s.do(ctx, &call{op: jute.OpCreate2, path: path, changes: true, request: request})
	if err != nil {
		return zk.CreateReply{Reply: reply}, err
	}
	r := body.(*jute.Create2Response)
	return zk.CreateReply{Reply: reply, Path: r.Path, Stat: r.Stat}, nil
}

// Set replaces a znode's data.
func (s *Client) Set(ctx context.Context, path string, data []byte, version int32) (zk.StatReply, error) {
	body, reply, err := s.do(ctx, &call{op: jute.OpSetData, path: path, changes: true, request: &jute.SetDataRequest{Path: path, Data: data, Version: version}})
	if err != nil {
		return zk.StatReply{Reply: reply}, err
	}
	return zk.StatReply{Reply: reply, Stat: body.(*jute.SetDataResponse).Stat}, nil
}

// SetACL replaces who may do what with a znode.
func (s *Client) SetACL(ctx context.Context, path string, acl []zk.ACL, version int32) (zk.StatReply, error) {
	body, reply, err := s.do(ctx, &call{op: jute.OpSetACL, path: path, changes: true, request: &jute.SetACLRequest{Path: path, ACL: acl, Version: version}})
	if err != nil {
		return zk.StatReply{Reply: reply}, err
	}
	return zk.StatReply{Reply: reply, Stat: body.(*jute.SetACLResponse).Stat}, nil
}

// Delete removes a znode.
func (s *Client) Delete(ctx context.Context, path string, version int32) (zk.Reply, error) {
	_, reply, err := s.do(ctx, &call{op: jute.OpDelete, path: path, changes: true, request: &jute.DeleteRequest{Path: path, Version: version}})
	return reply, err
}

// Multi carries out all parts or none.
func (s *Client) Multi(ctx context.Context, ops ...zk.Op) (zk.MultiReply, error) {
	request, err := zk.MultiRequest(ops...)
	if err != nil {
		return zk.MultiReply{}, err
	}
	body, reply, err := s.do(ctx, &call{op: jute.OpMulti, changes: true, request: request})
	if err != nil {
		return zk.MultiReply{Reply: reply}, err
	}
	for _, part := range body.(*jute.MultiResponse).Results {
		// The parts before the refused one have no error, those behind it this one.
		if part.Err != jute.CodeOK && part.Err != jute.CodeRuntimeInconsistency {
			return zk.MultiReply{Reply: reply}, &zk.OpError{Op: jute.OpMulti.String(), Err: part.Err, Zxid: reply.Zxid}
		}
	}
	return zk.MultiReply{Reply: reply}, nil
}

// Pipeline sends all requests at once.
func (s *Client) Pipeline(ctx context.Context, requests ...zk.Pipelined) []zk.PipelineResult {
	results := make([]zk.PipelineResult, len(requests))
	calls := make([]*call, len(requests))
	for i, request := range requests {
		op, path, record, err := zk.PipelineRequest(request)
		if err != nil {
			results[i].Err = err
			continue
		}
		calls[i] = &call{op: op, path: path, request: record, changes: op != jute.OpGetData && op != jute.OpSync}
		s.ask(calls[i])
	}
	for i, k := range calls {
		if k == nil {
			continue
		}
		var body jute.Record
		body, results[i].Reply, results[i].Err = s.await(ctx, k)
		switch r := body.(type) {
		case *jute.GetDataResponse:
			results[i].Data, results[i].Stat = r.Data, r.Stat
		case *jute.SetDataResponse:
			results[i].Stat = r.Stat
		}
	}
	return results
}

// AddWatch sends every event of a path, and with a recursive mode of all below it, to events.
func (s *Client) AddWatch(ctx context.Context, path string, mode zk.WatchMode, events chan zk.Event) (zk.Reply, error) {
	w := &watch{kind: watchPersistent, path: path, events: events}
	if mode == zk.WatchRecursive {
		w.kind = watchRecursive
	}
	_, reply, err := s.do(ctx, &call{op: jute.OpAddWatch, path: path, watch: w, request: &jute.AddWatchRequest{Path: path, Mode: mode}})
	return reply, err
}

// AddAuth presents a credential, also on every later connection.
func (s *Client) AddAuth(ctx context.Context, scheme string, auth []byte) error {
	_, _, err := s.do(ctx, &call{op: jute.OpAuth, request: &jute.AuthPacket{Scheme: scheme, Auth: auth}})
	return err
}
