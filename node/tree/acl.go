package tree

import "zoolab/zk/jute"

// openACL is the id of the ACL of znodes that have none: everybody may do all.
const openACL int32 = -1

// deniedACL is the id where a snapshot names an ACL that it does not hold. Until the
// replay of the log has set one, only super passes.
const deniedACL int32 = -2

var openACLEntries = []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}

var deniedACLEntries = []jute.ACL{{Perms: 0, ID: jute.ID{Scheme: "world", ID: "anyone"}}}

// aclCache gives equal ACLs one id and counts its users. Ids start at 1; a free one
// is used again.
type aclCache struct {
	entries []aclEntry // entries[id-1]
	ids     map[string]int32
	free    []int32
	scratch []byte // for keys
}

// aclEntry is one ACL. Invariant: uses > 0, or the id is free.
type aclEntry struct {
	acl  []jute.ACL
	uses int
}

// key returns what tells ACLs apart, valid until the next call.
func (c *aclCache) key(acl []jute.ACL) []byte {
	c.scratch = c.scratch[:0]
	for i := range acl {
		c.scratch = acl[i].Append(c.scratch)
	}
	return c.scratch
}

// acquire returns the ACL's id with one more user.
func (c *aclCache) acquire(acl []jute.ACL) int32 {
	if acl == nil {
		return openACL
	}
	key := c.key(acl)
	id, known := c.ids[string(key)]
	if !known {
		if last := len(c.free) - 1; last >= 0 {
			id = c.free[last]
			c.free = c.free[:last]
		} else {
			c.entries = append(c.entries, aclEntry{})
			id = int32(len(c.entries))
		}
		// A copy, because the caller's may share memory with a network frame.
		copied := make([]jute.ACL, len(acl))
		copy(copied, acl)
		c.entries[id-1].acl = copied
		if c.ids == nil {
			c.ids = make(map[string]int32)
		}
		c.ids[string(key)] = id
	}
	c.entries[id-1].uses++
	return id
}

// addUse counts one more user of an id that has one.
func (c *aclCache) addUse(id int32) { c.entries[id-1].uses++ }

// release takes one user away.
func (c *aclCache) release(id int32) {
	if id < 0 {
		return
	}
	e := &c.entries[id-1]
	e.uses--
	if e.uses == 0 {
		delete(c.ids, string(c.key(e.acl)))
		e.acl = nil
		c.free = append(c.free, id)
	}
}

func (c *aclCache) get(id int32) []jute.ACL {
	switch id {
	case openACL:
		return openACLEntries
	case deniedACL:
		return deniedACLEntries
	}
	return c.entries[id-1].acl
}
