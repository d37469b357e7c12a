package tree

import "hash/maphash"

const shardCount = 256

// index finds a child by its parent and name: open addressing with linear probing
// over entries, the keys staying in the znodes. It is cut into shards that grow one
// by one, so that no single create pays for moving a million entries.
type index struct {
	seed   maphash.Seed
	shards [shardCount]shard
}

// entry is a handle with the hash of its key above it, so that a probe looks at a znode,
// which is rarely in the processor's cache, only where the key is the one that is sought.
type entry uint64

// noEntry is a hole: noNode is no handle.
const noEntry entry = 0

func newEntry(h handle, hash uint32) entry { return entry(hash)<<32 | entry(h) }

func (e entry) handle() handle { return handle(e) }

func (e entry) hash() uint32 { return uint32(e >> 32) }

// shard is one table. Invariants: the length is 0 or a power of two, at most three
// quarters are in use, and no entry is behind a hole from where its hash points.
type shard struct {
	slots []entry
	used  int
}

func (x *index) hash(parent handle, name string) uint32 {
	h := maphash.String(x.seed, name) ^ uint64(parent)*0x9e3779b97f4a7c15
	return uint32(h ^ h>>32)
}

func (x *index) shard(hash uint32) *shard { return &x.shards[hash>>24] }

func (x *index) get(s *store, parent handle, name string, hash uint32) handle {
	sh := x.shard(hash)
	if len(sh.slots) == 0 {
		return noNode
	}
	mask := uint32(len(sh.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		e := sh.slots[i]
		if e == noEntry {
			return noNode
		}
		if e.hash() != hash {
			continue
		}
		if h := e.handle(); s.node(h).parent == parent && s.content(h).name == name {
			return h
		}
	}
}

func (x *index) put(h handle, hash uint32) {
	sh := x.shard(hash)
	if 4*(sh.used+1) > 3*len(sh.slots) {
		old := sh.slots
		sh.slots = make([]entry, max(4, 2*len(old)))
		for _, moved := range old {
			if moved != noEntry {
				sh.place(moved)
			}
		}
	}
	sh.place(newEntry(h, hash))
	sh.used++
}

func (sh *shard) place(e entry) {
	mask := uint32(len(sh.slots) - 1)
	i := e.hash() & mask
	for sh.slots[i] != noEntry {
		i = (i + 1) & mask
	}
	sh.slots[i] = e
}

// delete closes the hole by moving later entries of the run back, so that no marks
// of deleted entries pile up.
func (x *index) delete(h handle, hash uint32) {
	sh := x.shard(hash)
	mask := uint32(len(sh.slots) - 1)
	hole := hash & mask
	for sh.slots[hole] != newEntry(h, hash) {
		hole = (hole + 1) & mask
	}
	for i := (hole + 1) & mask; sh.slots[i] != noEntry; i = (i + 1) & mask {
		home := sh.slots[i].hash() & mask
		if (i-home)&mask >= (i-hole)&mask {
			sh.slots[hole] = sh.slots[i]
			hole = i
		}
	}
	sh.slots[hole] = noEntry
	sh.used--
}
