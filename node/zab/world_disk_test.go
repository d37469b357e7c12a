package zab

import (
	"fmt"
	"slices"
)

// carryOut makes a disk effect durable. It returns its Seq, 0 for one without.
func (n *node) carryOut(e Effect) uint64 {
	switch e := e.(type) {
	case Append:
		if len(n.log) > 0 && e.Zxid <= n.log[len(n.log)-1].Zxid {
			panic(fmt.Sprintf("member %d logs 0x%x behind 0x%x", n.sid, e.Zxid, n.log[len(n.log)-1].Zxid))
		}
		n.log = append(n.log, e.Entry)
		return e.Seq
	case SaveAcceptedEpoch:
		if e.Epoch < n.accepted {
			panic(fmt.Sprintf("member %d: accepted epoch goes from %d down to %d", n.sid, n.accepted, e.Epoch))
		}
		n.accepted = e.Epoch
		return e.Seq
	case SaveCurrentEpoch:
		if e.Epoch < n.current {
			panic(fmt.Sprintf("member %d: current epoch goes from %d down to %d", n.sid, n.current, e.Epoch))
		}
		n.current = e.Epoch
		return e.Seq
	case Truncate:
		keep := len(n.log)
		for keep > 0 && n.log[keep-1].Zxid > e.Zxid {
			keep--
		}
		if keep < n.snapTo {
			panic(fmt.Sprintf("member %d is to truncate to 0x%x, below its only snapshot", n.sid, e.Zxid))
		}
		n.log = slices.Clone(n.log[:keep])
		n.tree, n.verified = slices.Clone(n.log), 0
		n.treeGone--
		return e.Seq
	case InstallSnapshot:
		n.log = slices.Clone(e.Handle.([]Entry))
		n.snapTo = len(n.log)
		return e.Seq
	}
	panic(fmt.Sprintf("no disk effect %T", e))
}

// diskWorks carries out the first count queued disk effects, then reports.
func (n *node) diskWorks(count int) {
	var done uint64
	batch := n.disk[:min(count, len(n.disk))]
	n.disk = n.disk[len(batch):]
	var reads []HistoryRead
	for _, e := range batch {
		if read, ok := e.(ReadHistory); ok {
			reads = append(reads, n.readHistory(read))
			continue
		}
		done = n.carryOut(e)
	}
	for _, r := range reads {
		n.step(r)
	}
	if done > 0 {
		n.step(DiskDone{Seq: done})
	}
}

func (n *node) readHistory(e ReadHistory) HistoryRead {
	r := HistoryRead{Conn: e.Conn}
	at := slices.IndexFunc(n.log, func(l Entry) bool { return l.Zxid == e.After }) + 1
	if at == 0 && e.After != 0 || at < n.snapTo {
		return r
	}
	r.Found, r.Complete = true, true
	var size int64
	for _, l := range n.log[at:] {
		if size += int64(len(l.Payload)); size > e.MaxBytes {
			r.Complete = false
			break
		}
		r.Entries = append(r.Entries, l)
	}
	return r
}
