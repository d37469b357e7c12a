package tree

import "hash/maphash"

const shardCount = 256

// index finds a child by its parent and name: open addressing with linear probing
// over handles, the keys staying in the znodes. It is cut into shards that grow one
// by one, so that no single create pays for moving a million entries.
type index struct {
	seed   maphash.Seed
	shards [shardCount]shard
}

// shard is one table. Invariants: the length is 0 or a power of two, at most three
// quarters are in use, and no entry is behind a hole from where its hash points.
type shard struct {
	slots []handle
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
		h := sh.slots[i]
		if h == noNode {
			return noNode
		}
		if n := s.node(h); n.hash == hash && n.parent == parent && s.content(h).name == name {
			return h
		}
	}
}

func (x *index) put(s *store, h handle) {
	sh := x.shard(s.node(h).hash)
	if 4*(sh.used+1) > 3*len(sh.slots) {
		old := sh.slots
		sh.slots = make([]handle, max(4, 2*len(old)))
		for _, moved := range old {
			if moved != noNode {
				sh.place(s, moved)
			}
		}
	}
	sh.place(s, h)
	sh.used++
}

func (sh *shard) place(s *store, h handle) {
	mask := uint32(len(sh.slots) - 1)
	i := s.node(h).hash & mask
	for sh.slots[i] != noNode {
		i = (i + 1) & mask
	}
	sh.slots[i] = h
}

// delete closes the hole by moving later entries of the run back, so that no marks
// of deleted entries pile up.
func (x *index) delete(s *store, h handle) {
	sh := x.shard(s.node(h).hash)
	mask := uint32(len(sh.slots) - 1)
	hole := s.node(h).hash & mask
	for sh.slots[hole] != h {
		hole = (hole + 1) & mask
	}
	for i := (hole + 1) & mask; sh.slots[i] != noNode; i = (i + 1) & mask {
		home := s.node(sh.slots[i]).hash & mask
		if (i-home)&mask >= (i-hole)&mask {
			sh.slots[hole] = sh.slots[i]
			hole = i
		}
	}
	sh.slots[hole] = noNode
	sh.used--
}
