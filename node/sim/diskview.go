package sim

import (
	"zoolab/node/storage"
	"zoolab/node/zab"
)

// none stands where there is no zxid.
const none = -1

// diskView is what must be on a member's disk. It is changed when storage reports success,
// so what it has at the end of a process the next process must find.
type diskView struct {
	// log is durable: the whole history, also where snapshots hold it.
	log []record
	// queued was logged by the process and not yet given to storage.
	queued []record
	// writing was given to storage, which has not yet reported success. A crash may keep any
	// beginning of it.
	writing []record
	// truncating and installing are the zxids of what storage is doing; none for nothing. A crash
	// may leave a truncated log with any end behind truncating, and one that is being replaced
	// as it was or as it is to become.
	truncating, installing int64
	// incoming has the histories in the snapshots that are to be installed, oldest first.
	incoming [][]record
	// Epochs as they were last saved.
	accepted, current int64
}

// last returns where the durable log ends.
func (d *diskView) last() int64 {
	return lastOf(d.log)
}

func lastOf(log []record) int64 {
	if n := len(log); n > 0 {
		return log[n-1].zxid
	}
	return 0
}

// has reports whether a transaction is on the disk for certain: also if a crash ended what is
// being done there, in either way that it may end.
func (d *diskView) has(r record) bool {
	switch {
	case d.truncating != none && r.zxid > d.truncating:
		return false
	case d.installing != none && !has(d.incoming[0], r):
		return false
	}
	return has(d.log, r)
}

func (t *truth) writing(m *member) {
	if t == nil {
		return
	}
	d := &t.of(m).disk
	d.writing = append(d.writing, d.queued[0])
	d.queued = d.queued[1:]
}

func (t *truth) durable(m *member) {
	if t == nil {
		return
	}
	d := &t.of(m).disk
	d.log = append(d.log, d.writing...)
	d.writing = d.writing[:0]
}

// epochsSaved takes epochs that are durable, 0 for none. A current epoch says that the log has
// the history of that epoch's leader, and so all that leaders before it had committed.
func (t *truth) epochsSaved(m *member, accepted, current int64) {
	if t == nil {
		return
	}
	d := &t.of(m).disk
	if r, ok := t.newestBefore(current); ok && !has(d.log, r) {
		t.w.violate("EpochHistory: %s has current epoch %d, and its disk lacks %x, which was committed before", name(m.sid), current, r.zxid)
	}
	d.accepted, d.current = max(d.accepted, accepted), max(d.current, current)
}

func (t *truth) truncating(m *member, zxid int64) {
	if t == nil {
		return
	}
	t.of(m).disk.truncating = zxid
	t.checkDurability(name(m.sid) + " truncates its log")
}

// truncated takes what was found after a truncation.
func (t *truth) truncated(m *member, loaded *storage.Loaded, entries []zab.Entry) {
	if t == nil {
		return
	}
	d := &t.of(m).disk
	t.w.count(countTruncated)
	// A truncation to the beginning of an epoch ends where the epoch before ended.
	if last := loaded.LastZxid; last > d.truncating || last < d.truncating && d.truncating&0xffffffff != 0 {
		t.w.violate("LogDurability: the log of %s ends at %x after it was truncated to %x", name(m.sid), loaded.LastZxid, d.truncating)
	}
	t.found(m, loaded, entries)
}

func (t *truth) installing(m *member, zxid int64) {
	if t == nil {
		return
	}
	t.of(m).disk.installing = zxid
	t.checkDurability(name(m.sid) + " installs a snapshot")
}

func (t *truth) installed(m *member, zxid int64) {
	if t == nil {
		return
	}
	d := &t.of(m).disk
	t.w.count(countInstalled)
	d.log, d.incoming, d.installing = d.incoming[0], d.incoming[1:], none
	if last := d.last(); last != zxid {
		t.w.violate("PrefixConsistency: %s installs a snapshot of %x, whose history ends at %x", name(m.sid), zxid, last)
	}
}

// started takes what a process found on its disk.
func (t *truth) started(m *member, loaded *storage.Loaded, entries []zab.Entry, accepted, current int64) {
	if t == nil {
		return
	}
	v := t.of(m)
	d := &v.disk
	if n := len(d.writing); n > 0 {
		if loaded.LastZxid >= d.writing[0].zxid {
			t.w.count(countKeptWrites)
		}
		if loaded.LastZxid < d.writing[n-1].zxid {
			t.w.count(countLostWrites)
		}
	}
	t.found(m, loaded, entries)
	if accepted < d.accepted || current < d.current {
		t.w.violate("EpochMonotonicity: %s finds accepted epoch %d and current epoch %d, it had saved %d and %d",
			name(m.sid), accepted, current, d.accepted, d.current)
	}
	*v = view{
		disk: diskView{log: d.log, truncating: none, installing: none, accepted: accepted, current: current},
		log:  append([]record(nil), d.log...), lastZxid: none,
	}
}

// found compares what storage loaded with what it may have: everything that was durable,
// and of what was being changed any part that a crash may leave. From here on storage
// vouches for all of it.
func (t *truth) found(m *member, loaded *storage.Loaded, entries []zab.Entry) {
	d := &t.of(m).disk
	last := loaded.LastZxid
	known := append(append([]record(nil), d.log...), d.writing...)
	least := d.last()
	switch {
	case d.installing != none && last == d.installing && len(entries) == 0:
		known, least = d.incoming[0], last
	case d.truncating != none:
		least = lastOf(d.log[:upTo(d.log, d.truncating)])
	}
	if last < least {
		t.w.violate("LogDurability: %s finds a log that ends at %x, it had it durable to %x", name(m.sid), last, least)
		return
	}
	n := upTo(known, last)
	if lastOf(known[:n]) != last {
		t.w.violate("LogDurability: %s finds a log that ends at %x, which it never logged or had truncated", name(m.sid), last)
		return
	}
	for _, e := range entries {
		if !has(known, recordOf(e)) {
			t.w.violate("LogDurability: %s finds %x in its log, which it never logged or had truncated", name(m.sid), e.Zxid)
			return
		}
	}
	d.log = known[:n:n]
	d.writing, d.truncating, d.installing = nil, none, none
}
