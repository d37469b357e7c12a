package conformance

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"zoolab/zk/jute"
)

// Super is the name and password of the superuser that a server must know, so that nodes
// can be removed whose ACLs allow it to nobody. SuperDigest is its line in zoo.cfg.
const (
	Super       = "super:conformance"
	SuperDigest = "super:" + "iLSUqf7AtRIvt2vNHu6CiDS0L1A="
)

// keeper is the session that stands behind a section: it knows the zxid at its beginning,
// and removes what it leaves.
type keeper struct {
	conn *conn
	zxid int64 // the last one that it saw
}

func newKeeper(addr string) (*keeper, error) {
	c, err := dial("keeper", addr)
	if err != nil {
		return nil, err
	}
	k := &keeper{conn: c}
	c.write(frame(jute.Marshal(&jute.ReadOnlyConnectRequest{ConnectRequest: jute.ConnectRequest{TimeoutMs: 40000, Passwd: make([]byte, 16)}})))
	answer, err := c.read(patience)
	if err != nil {
		return nil, fmt.Errorf("the keeper's session: %w", err)
	}
	var r jute.ConnectResponse
	if err := jute.Unmarshal(answer, &r); err != nil || r.SessionID == 0 {
		return nil, errors.New("the keeper got no session")
	}
	if _, err = k.ask(jute.OpAuth, &jute.AuthPacket{Scheme: "digest", Auth: []byte(Super)}); err != nil {
		return nil, err
	}
	// The answer to auth carries no zxid; this one does.
	_, err = k.ask(jute.OpExists, &jute.ExistsRequest{Path: "/"})
	return k, err
}

// ask sends a request and returns the body of its answer; a refusal is an error.
func (k *keeper) ask(op jute.OpCode, record jute.Record) ([]byte, error) {
	r := &request{code: op}
	if record != nil {
		r.body = jute.Marshal(record)
	}
	if op == jute.OpAuth {
		r.xid, r.ownXid = jute.XidAuth, true
	}
	_, frame := k.conn.number(r)
	k.conn.write(frame)
	reply, err := k.conn.read(patience)
	if err != nil {
		return nil, fmt.Errorf("the keeper's %v: %w", op, err)
	}
	d := jute.NewDecoder(reply)
	var h jute.ReplyHeader
	h.Decode(d)
	if h.Zxid > k.zxid {
		k.zxid = h.Zxid
	}
	if h.Err != 0 {
		return nil, h.Err
	}
	return d.Rest(), d.Err()
}

// clean ends all sessions and removes all znodes of a section.
func (p *player) clean() error {
	defer p.keep.conn.net.Close()
	for _, c := range p.conns {
		_ = c.net.Close()
	}
	closed := make(map[int64]bool)
	for _, c := range p.conns {
		if c.session != 0 && !closed[c.session] {
			closed[c.session] = true
			if err := closeSession(p.addr, c.session, c.passwd); err != nil {
				return err
			}
		}
	}
	for _, root := range []string{"/", "/zookeeper", "/zookeeper/config", "/zookeeper/quota"} {
		if err := p.keep.remove(root); err != nil {
			return err
		}
	}
	_, err := p.keep.ask(jute.OpCloseSession, nil)
	return err
}

// systemNodes are there from the beginning and can't be deleted.
var systemNodes = []string{"/zookeeper", "/zookeeper/config", "/zookeeper/quota"}

// remove deletes all children of a znode, and theirs, but for the system's.
func (k *keeper) remove(path string) error {
	body, err := k.ask(jute.OpGetChildren, &jute.GetChildrenRequest{Path: path})
	if err != nil {
		return fmt.Errorf("clean up %s: %w", path, err)
	}
	var r jute.GetChildrenResponse
	if err := jute.Unmarshal(body, &r); err != nil {
		return err
	}
	for _, name := range r.Children {
		child := strings.TrimSuffix(path, "/") + "/" + name
		if slices.Contains(systemNodes, child) {
			continue
		}
		if err := k.remove(child); err != nil {
			return err
		}
		// A node that ends by itself may be gone already.
		if _, err := k.ask(jute.OpDelete, &jute.DeleteRequest{Path: child, Version: -1}); err != nil && !errors.Is(err, jute.CodeNoNode) {
			return fmt.Errorf("clean up %s: %w", child, err)
		}
	}
	return nil
}

// closeSession ends a session from a connection of its own. One that is gone is no error.
func closeSession(addr string, session int64, passwd []byte) error {
	c, err := dial("cleaner", addr)
	if err != nil {
		return err
	}
	defer c.net.Close()
	c.write(frame(jute.Marshal(&jute.ReadOnlyConnectRequest{ConnectRequest: jute.ConnectRequest{TimeoutMs: 10000, SessionID: session, Passwd: passwd}})))
	answer, err := c.read(patience)
	if err != nil {
		return fmt.Errorf("end session %#x: %w", session, err)
	}
	var r jute.ConnectResponse
	if err := jute.Unmarshal(answer, &r); err != nil || r.SessionID == 0 {
		return err
	}
	c.write(frame(jute.Marshal(&jute.RequestHeader{Xid: 1, Type: jute.OpCloseSession})))
	for {
		if _, err := c.read(patience); err != nil {
			return nil
		}
	}
}

// password derives the password that belongs to a session id: the bytes of java.util.Random
// seeded with the id and the secret that all servers share.
func password(session int64) []byte {
	const secret, multiplier, increment, mask = 0xB3415C00, 0x5DEECE66D, 0xB, 1<<48 - 1
	state := (uint64(session) ^ secret ^ multiplier) & mask
	out := make([]byte, 0, 16)
	for len(out) < 16 {
		state = (state*multiplier + increment) & mask
		out = binary.LittleEndian.AppendUint32(out, uint32(state>>16))
	}
	return out
}
