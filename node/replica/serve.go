package replica

import (
	"strings"

	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// MayServe reports whether Serve may answer the connection's next request: it needs
// only this member's tree, and nothing of the session waits before it.
func (c *Conn) MayServe(op jute.OpCode) bool {
	return kindOf(op) == kindLocal && c.ready.Load() && c.waiting.Load() == 0
}

// Serve answers a request for which MayServe is true, on the goroutine of its connection.
// It does not keep body.
//
// What is read, the watch that is set and the answer are one step between two
// transactions. Otherwise an event could be queued before the answer that, to the
// client, sets its watch, and be lost on it.
func (r *Replica) Serve(c *Conn, h jute.RequestHeader, body []byte) {
	r.applying.RLock()
	defer r.applying.RUnlock()
	// A member that loses its role cuts its clients off first and then applies what was
	// logged and may never be committed: nobody may read that.
	if !c.ready.Load() {
		return
	}
	c.touched.Store(true)
	r.serveLocal(c, h, body)
}

// serveLocal answers from the tree.
func (r *Replica) serveLocal(c *Conn, h jute.RequestHeader, body []byte) {
	if provesIdentity(h.Type) {
		r.identify(c, h, body)
		return
	}
	if r.refuse(c, h.Xid) {
		return
	}
	if h.Type == jute.OpPing {
		h.Xid = jute.XidPing // whatever the client sent, as Apache does
	}
	answer, err := r.read(c, h.Type, body)
	code, known := err.(jute.ErrorCode)
	if err != nil && !known {
		code = jute.CodeMarshallingError
	}
	if known && code != jute.CodeOK {
		answer = nil
	}
	c.client.Reply(r.header(h.Xid, code), answer)
}

// read carries out a local operation. The error is an ErrorCode, or says that the body
// is malformed.
func (r *Replica) read(c *Conn, op jute.OpCode, body []byte) (jute.Record, error) {
	t, who := r.Tree(), *c.caller.Load()
	switch op {
	case jute.OpPing:
		return nil, nil
	case jute.OpGetData:
		var q jute.GetDataRequest
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		data, stat, err := t.GetData(q.Path, who, c.watcher(q.Watch))
		return &jute.GetDataResponse{Data: data, Stat: stat}, err
	case jute.OpExists:
		var q jute.ExistsRequest
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		stat, err := t.Exists(q.Path, who, c.watcher(q.Watch))
		return &jute.ExistsResponse{Stat: stat}, err
	case jute.OpGetChildren:
		var q jute.GetChildrenRequest
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		children, err := t.Children(q.Path, who, c.watcher(q.Watch))
		return &jute.GetChildrenResponse{Children: children}, err
	case jute.OpGetChildren2:
		var q jute.GetChildren2Request
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		children, stat, err := t.ChildrenStat(q.Path, who, c.watcher(q.Watch))
		return &jute.GetChildren2Response{Children: children, Stat: stat}, err
	}
	return r.readMeta(c, op, body)
}

// readMeta carries out the local operations that are about more than one znode's content.
func (r *Replica) readMeta(c *Conn, op jute.OpCode, body []byte) (jute.Record, error) {
	t, who := r.Tree(), *c.caller.Load()
	switch op {
	case jute.OpGetACL:
		var q jute.GetACLRequest
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		acl, stat, err := t.GetACL(q.Path, who)
		return &jute.GetACLResponse{ACL: acl, Stat: stat}, err
	case jute.OpGetAllChildrenNumber:
		var q jute.GetAllChildrenNumberRequest
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		n, err := t.AllChildrenNumber(q.Path, who)
		return &jute.GetAllChildrenNumberResponse{TotalNumber: n}, err
	case jute.OpGetEphemerals:
		var q jute.GetEphemeralsRequest
		d := jute.NewDecoder(body) // a null prefix is none
		if q.Decode(d); d.Err() != nil {
			return nil, d.Err()
		}
		return &jute.GetEphemeralsResponse{Ephemerals: withPrefix(t.Ephemerals(c.session), q.PrefixPath)}, nil
	case jute.OpMultiRead:
		var q jute.MultiRequest
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		return multiRead(t, who, q.Ops)
	case jute.OpDeleteContainer:
		return nil, jute.CodeBadArguments // the servers' own: no client may ask for it
	case jute.OpWhoAmI:
		return whoAmI(who), nil
	}
	return r.changeWatches(c, op, body)
}

// decode reads a request's body. As Apache does, it lets more bytes follow: later versions
// of a record are longer.
func decode(body []byte, q jute.Record) error {
	d := jute.NewRequestDecoder(body)
	q.Decode(d)
	return d.Err()
}

// withPrefix keeps the paths that begin with the prefix. A blank one keeps all, as "/" does.
func withPrefix(paths []string, prefix string) []string {
	if strings.IndexFunc(prefix, func(r rune) bool { return r > ' ' }) < 0 {
		prefix = ""
	}
	kept := make([]string, 0, len(paths))
	for _, p := range paths {
		if strings.HasPrefix(p, prefix) {
			kept = append(kept, p)
		}
	}
	return kept
}

// watcher returns who is to be told, nil where no watch was asked for.
func (c *Conn) watcher(watch bool) tree.Watcher {
	if !watch {
		return nil
	}
	return c.client
}
