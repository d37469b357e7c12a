package datadir

import (
	"fmt"
	"hash/crc64"
	"math"
	"strings"

	"zoolab/workloads"
	"zoolab/zk/jute"
)

const (
	containerOwner = math.MinInt64
	ttlOwner       = int64(-1) << 56 // 0xff in the highest byte
)

type znode struct {
	data     []byte
	stat     jute.StatPersisted
	children int32
}

// tree is the tree of a server as it comes up from its disk.
//
// A snapshot is taken while the tree changes, so it may already hold the effect
// of transactions that follow it in the log. Replay therefore forgives what
// such a transaction meets: a znode that exists already, or is gone.
type tree struct {
	nodes map[string]*znode
	zxid  int64 // of the last transaction that was applied
}

// newTree is the tree of a server that starts with an empty disk.
func newTree() *tree {
	t := &tree{nodes: map[string]*znode{"/": {}}}
	for _, path := range []string{"/zookeeper", "/zookeeper/quota", "/zookeeper/config"} {
		t.nodes[path] = &znode{}
		t.nodes[parentOf(path)].children++
	}
	return t
}

func parentOf(path string) string {
	return path[:max(1, strings.LastIndexByte(path, '/'))]
}

func (t *tree) apply(txn *jute.LoggedTxn) error {
	t.zxid = txn.Header.Zxid
	return t.applyBody(&txn.Header, txn.Header.Type, txn.Body)
}

func (t *tree) applyBody(header *jute.TxnHeader, op jute.OpCode, body jute.Record) error {
	switch txn := body.(type) {
	case *jute.CreateTxn:
		owner := int64(0)
		if txn.Ephemeral {
			owner = header.ClientID
		}
		t.create(header, txn.Path, txn.Data, owner, txn.ParentCVersion)
	case *jute.CreateTTLTxn:
		t.create(header, txn.Path, txn.Data, ttlOwner|txn.TtlMs, txn.ParentCVersion)
	case *jute.CreateContainerTxn:
		t.create(header, txn.Path, txn.Data, containerOwner, txn.ParentCVersion)
	case *jute.DeleteTxn:
		t.remove(header, txn.Path)
	case *jute.SetDataTxn:
		if node := t.nodes[txn.Path]; node != nil {
			node.data = jute.Clone(txn.Data)
			node.stat.Mzxid, node.stat.Mtime, node.stat.Version = header.Zxid, header.TimeMs, txn.Version
		}
	case *jute.SetACLTxn:
		if node := t.nodes[txn.Path]; node != nil {
			node.stat.Aversion = txn.Version
		}
	case *jute.CloseSessionTxn:
		for _, path := range txn.Paths2Delete {
			t.remove(header, path)
		}
	case *jute.MultiTxn:
		return t.multi(header, txn)
	case *jute.CheckVersionTxn, *jute.CreateSessionTxn, *jute.ErrorTxn:
	case nil: // closeSession of before 3.6: its ephemerals stand in the tree only
		for path, node := range t.nodes {
			if node.stat.EphemeralOwner == header.ClientID {
				t.remove(header, path)
			}
		}
	default:
		return fmt.Errorf("a transaction of kind %v is not known", op)
	}
	return nil
}

// multi applies all or nothing: a failed one holds only errors.
func (t *tree) multi(header *jute.TxnHeader, txn *jute.MultiTxn) error {
	for _, sub := range txn.Txns {
		if sub.Type == jute.OpError {
			return nil
		}
	}
	for i, sub := range txn.Txns {
		record := jute.TxnRecord(sub.Type)
		if record == nil {
			return fmt.Errorf("part %d of a multi has the unknown kind %v", i, sub.Type)
		}
		if err := jute.Unmarshal(sub.Data, record); err != nil {
			return fmt.Errorf("part %d of a multi: %w", i, err)
		}
		if err := t.applyBody(header, sub.Type, record); err != nil {
			return err
		}
	}
	return nil
}

func (t *tree) create(header *jute.TxnHeader, path string, data []byte, owner int64, parentCversion int32) {
	parent := t.nodes[parentOf(path)]
	if parent == nil {
		return
	}
	if parentCversion == -1 {
		parentCversion = parent.stat.Cversion + 1
	}
	if parentCversion > parent.stat.Cversion {
		parent.stat.Cversion, parent.stat.Pzxid = parentCversion, header.Zxid
	}
	if t.nodes[path] != nil {
		return
	}
	parent.children++
	t.nodes[path] = &znode{data: jute.Clone(data), stat: jute.StatPersisted{
		Czxid: header.Zxid, Mzxid: header.Zxid, Pzxid: header.Zxid,
		Ctime: header.TimeMs, Mtime: header.TimeMs, EphemeralOwner: owner,
	}}
}

func (t *tree) remove(header *jute.TxnHeader, path string) {
	parent := t.nodes[parentOf(path)]
	if parent == nil {
		return
	}
	parent.stat.Pzxid = max(parent.stat.Pzxid, header.Zxid)
	if t.nodes[path] == nil {
		return
	}
	delete(t.nodes, path)
	parent.children--
}

// summary gives the tree as clients see it.
func (t *tree) summary() map[string]workloads.TreeNode {
	nodes := make(map[string]workloads.TreeNode, len(t.nodes))
	for path, node := range t.nodes {
		nodes[path] = workloads.TreeNode{
			Czxid: node.stat.Czxid, Mzxid: node.stat.Mzxid, Pzxid: node.stat.Pzxid,
			CtimeMs: node.stat.Ctime, MtimeMs: node.stat.Mtime,
			Version: node.stat.Version, Cversion: node.stat.Cversion*2 - node.children, Aversion: node.stat.Aversion,
			EphemeralOwner: shownOwner(node.stat.EphemeralOwner),
			DataLength:     int32(len(node.data)), Children: node.children, DataHash: Hash(node.data),
		}
	}
	return nodes
}

// shownOwner hides the marks of container and TTL znodes, as the server does.
func shownOwner(owner int64) int64 {
	if owner == containerOwner || owner&ttlOwner == ttlOwner {
		return 0
	}
	return owner
}

// Hash is the DataHash of a znode with this data.
func Hash(data []byte) uint64 { return crc64.Checksum(data, crcTable) }
