package prep

import (
	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// lookup returns a znode as it will be, as a copy that the caller may change.
func (p *Prep) lookup(path string) (change, bool) {
	if c, outstanding := p.latest[path]; outstanding {
		return *c, c.exists
	}
	info, there := p.tree.Lookup(path)
	if !there {
		return change{}, false
	}
	return change{
		path: path, exists: true, stat: info.Stat, numChildren: info.NumChildren,
		acl: info.ACL, contentCRC: info.ContentCRC, dataBytes: info.DataBytes,
	}, true
}

func (p *Prep) nodeDigest(c *change) int64 {
	if !c.exists || tree.Undigested(c.path) {
		return 0
	}
	return p.digester.NodeDigest(c.contentCRC, &c.stat)
}

// currentDigest is the digest after everything that was prepared.
func (p *Prep) currentDigest() int64 {
	if p.Outstanding() == 0 {
		return p.tree.Digest()
	}
	return p.digest
}

// record queues a znode's new state.
func (p *Prep) record(h *jute.TxnHeader, c change) {
	digest := p.currentDigest()
	if before, there := p.lookup(c.path); there {
		digest -= p.nodeDigest(&before)
	}
	c.zxid = h.Zxid
	p.undo = append(p.undo, undo{c.path, p.latest[c.path]})
	p.latest[c.path] = &c
	p.queue = append(p.queue, &c)
	p.digest = digest + p.nodeDigest(&c)
}

// recordDelete queues the delete of a znode and what its parent sees of it.
func (p *Prep) recordDelete(h *jute.TxnHeader, path string) {
	if parent, there := p.lookup(parentPath(path)); there {
		parent.numChildren--
		parent.stat.Pzxid = h.Zxid
		p.record(h, parent)
	}
	p.record(h, change{path: path})
}

// begin marks where a request begins, for rollback.
func (p *Prep) begin() {
	clear(p.undo)
	p.undo = p.undo[:0]
	p.undoDigest = p.digest
}

// rollback takes back what was recorded since begin.
func (p *Prep) rollback() {
	for i := len(p.undo) - 1; i >= 0; i-- {
		last := len(p.queue) - 1
		p.queue[last] = nil
		p.queue = p.queue[:last]
		if u := p.undo[i]; u.before != nil {
			p.latest[u.path] = u.before
		} else {
			delete(p.latest, u.path)
		}
	}
	p.digest = p.undoDigest
	p.begin()
}
