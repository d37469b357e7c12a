package zab

import (
	"slices"
)

// history is the tail of the log as it is kept in memory: what was delivered lately,
// so that learners that are a little behind can get it, and all that was not.
type history struct {
	// entries are consecutive in the log, oldest first, and reach its end.
	// Invariant: follows(entries[i].Zxid, entries[i+1].Zxid) for those this process logged.
	entries []Entry
	// delivered counts the entries that were handed out: entries[:delivered].
	delivered int
	// base is the zxid before entries[0] in the log, or unknownZxid.
	base int64
	// last is the zxid of the log's end, lastDelivered that of the tree.
	// Invariant: lastDelivered <= last.
	last, lastDelivered int64
	// keep is how many delivered entries stay.
	keep int
}

const unknownZxid = -1

func newHistory(boot Boot, keep int) history {
	h := history{
		entries: slices.Clone(boot.Recent), base: unknownZxid,
		last: boot.LastZxid, lastDelivered: boot.LastZxid, keep: max(keep, 0),
	}
	h.delivered = len(h.entries)
	if n := len(h.entries); n == 0 {
		h.base = boot.LastZxid
	} else {
		invariant(h.entries[n-1].Zxid == boot.LastZxid, "the log ends at 0x%x, but its newest transaction in memory is 0x%x",
			boot.LastZxid, h.entries[n-1].Zxid)
		for i := range n - 1 {
			invariant(h.entries[i].Zxid < h.entries[i+1].Zxid, "the log has 0x%x behind 0x%x", h.entries[i+1].Zxid, h.entries[i].Zxid)
		}
		// A log that an older version of ZooKeeper left with a hole is served up to the hole only.
		for i := n - 1; i > 0; i-- {
			if !follows(h.entries[i-1].Zxid, h.entries[i].Zxid) {
				h.base, h.entries = unknownZxid, h.entries[i:]
				h.delivered = len(h.entries)
				break
			}
		}
	}
	return h
}

func (h *history) append(e Entry) {
	if !follows(h.last, e.Zxid) {
		violated("0x%x can't be logged behind 0x%x", e.Zxid, h.last)
	}
	h.entries = append(h.entries, e)
	h.last = e.Zxid
}

// undelivered are the entries that are logged only.
func (h *history) undelivered() []Entry { return h.entries[h.delivered:] }

// deliverNext moves the oldest undelivered entry to the delivered ones and returns it.
func (h *history) deliverNext() Entry {
	e := h.entries[h.delivered]
	if e.Zxid <= h.lastDelivered {
		violated("0x%x is delivered behind 0x%x", e.Zxid, h.lastDelivered)
	}
	h.delivered++
	h.lastDelivered = e.Zxid
	// Twice as much as is kept may collect, so that moving the rest down costs little per entry.
	if h.delivered > 2*h.keep+16 {
		drop := h.delivered - h.keep
		h.base = h.entries[drop-1].Zxid
		n := copy(h.entries, h.entries[drop:])
		clear(h.entries[n:])
		h.entries = h.entries[:n]
		h.delivered -= drop
	}
	return e
}

// search returns the index of the first entry that is not below zxid, and whether it is zxid.
func (h *history) search(zxid int64) (int, bool) {
	return slices.BinarySearchFunc(h.entries, zxid, func(e Entry, z int64) int {
		switch {
		case e.Zxid < z:
			return -1
		case e.Zxid > z:
			return 1
		}
		return 0
	})
}

// deliveredAfter returns the delivered entries behind zxid. ok is false when the
// entries in memory don't reach back to it, or it is not a zxid of this log.
func (h *history) deliveredAfter(zxid int64) (entries []Entry, ok bool) {
	if zxid == h.base {
		return h.entries[:h.delivered], true
	}
	if at, found := h.search(zxid); found && at < h.delivered {
		return h.entries[at+1 : h.delivered], true
	}
	return nil, false
}

// previous returns the zxid of this log before one that is not in it, or unknownZxid.
func (h *history) previous(zxid int64) int64 {
	if at, _ := h.search(zxid); at > 0 {
		return h.entries[at-1].Zxid
	} else if zxid > h.base {
		return h.base
	}
	return unknownZxid
}

// mayHold reports whether zxid can be in the log: false only when memory shows it is not.
func (h *history) mayHold(zxid int64) bool {
	_, found := h.search(zxid)
	return found || zxid == h.base || zxid == h.last || len(h.entries) == 0 || zxid < h.entries[0].Zxid
}

// truncate drops everything behind zxid.
func (h *history) truncate(zxid int64) {
	at, found := h.search(zxid)
	if found {
		at++
	}
	clear(h.entries[at:])
	h.entries = h.entries[:at]
	h.delivered = min(h.delivered, at)
	h.last, h.lastDelivered = zxid, min(h.lastDelivered, zxid)
	if at == 0 {
		h.base = zxid
	}
}

// reset forgets everything in favour of a snapshot.
func (h *history) reset(zxid int64) {
	clear(h.entries)
	h.entries, h.delivered = h.entries[:0], 0
	h.base, h.last, h.lastDelivered = zxid, zxid, zxid
}

// entriesAfter returns the entries behind zxid, which are in memory if they were not
// delivered.
func (h *history) entriesAfter(zxid int64) []Entry {
	at, found := h.search(zxid)
	if found {
		at++
	}
	return h.entries[at:]
}
