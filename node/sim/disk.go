package sim

import (
	"errors"
	"fmt"
	"syscall"

	"zoolab/node/replica"
	"zoolab/node/storage"
	"zoolab/node/tree"
	"zoolab/node/zab"
)

// runDisk carries the next disk effect out after its latency; appends that wait together
// share a sync, as in the real server.
func (m *member) runDisk() {
	if m.diskBusy || len(m.queue) == 0 {
		return
	}
	m.diskBusy = true
	born := m.incarnation
	m.w.after(m.w.between(100, 1500)+m.slowDiskUs, func() {
		if m.incarnation != born {
			return
		}
		m.diskBusy = false
		if m.paused {
			// The kernel finishes what was begun, but the process does not hear of it.
			m.w.after(20*millisecond, func() {
				if m.incarnation == born {
					m.runDisk()
				}
			})
			return
		}
		if err := m.diskEffect(); err != nil {
			m.diskFailed("disk", err)
			return
		}
		m.runDisk()
	})
}

// How faults of the disk fail an operation.
var (
	errDisk = fmt.Errorf("injected: %w", syscall.EIO)
	errFull = fmt.Errorf("injected: %w", syscall.ENOSPC)
)

func injected(err error) bool { return errors.Is(err, errDisk) || errors.Is(err, errFull) }

// diskFailed ends the process that met a fault of its disk. Any other failure is a bug.
func (m *member) diskFailed(what string, err error) {
	if m.w.guests != nil {
		// As on any machine: the process says why, and ends. Its driver may start it again.
		m.w.trace("%s can't go on: %s: %v", name(m.sid), what, err)
		m.end(err.Error())
		return
	}
	if !injected(err) {
		m.w.violate("%s: %s: %v", name(m.sid), what, err)
		return
	}
	if m.replica == nil {
		m.w.count(countStartCrash)
	}
	if errors.Is(err, errFull) {
		m.w.count(countDiskFull)
	}
	if m.endsAtFault && errors.Is(err, errDisk) {
		m.w.count(countDiskCrash)
		m.losePower("between two operations on its disk: " + err.Error())
	} else {
		m.w.count(countDiskError)
		m.end(err.Error())
	}
	m.reviveLater()
}

// diskEffect carries out the first effect in line, or all appends there.
func (m *member) diskEffect() error {
	first := m.queue[0]
	if _, ok := first.(zab.Append); ok {
		return m.appendAll()
	}
	m.queue = m.queue[1:]
	s := m.storage
	switch e := first.(type) {
	case zab.SaveAcceptedEpoch:
		err := s.SetAcceptedEpoch(e.Epoch)
		if err == nil {
			m.w.truth.epochsSaved(m, e.Epoch, 0)
		}
		return m.done(e.Seq, err)
	case zab.SaveCurrentEpoch:
		err := s.SetCurrentEpoch(e.Epoch)
		if err == nil {
			m.w.truth.epochsSaved(m, 0, e.Epoch)
		}
		return m.done(e.Seq, err)
	case zab.SaveMembership:
		m.w.trace("%s saves membership %x", name(m.sid), e.Committed.Version)
		m.files = membershipFiles{e.Committed, e.Next}
		return m.done(e.Seq, nil)
	case zab.Truncate:
		m.w.trace("%s truncates to %x", name(m.sid), e.Zxid)
		m.w.truth.truncating(m, e.Zxid)
		m.interrupt(4)
		if err := s.Truncate(e.Zxid); err != nil {
			return err
		}
		t, entries, loaded, err := restore(s)
		if err != nil {
			return err
		}
		m.w.truth.truncated(m, &loaded, entries)
		m.tempt()
		m.step(replica.TreeRestored{Tree: t})
		return m.done(e.Seq, nil)
	case replica.InstallSnapshot:
		m.w.trace("%s installs a snapshot of %x", name(m.sid), e.Zxid)
		m.w.truth.installing(m, e.Zxid)
		m.interrupt(4)
		err := s.InstallSnapshot(e.View)
		e.View.Close()
		if err == nil {
			m.w.truth.installed(m, e.Zxid)
			m.tempt()
		}
		return m.done(e.Seq, err)
	case replica.TakeSnapshot:
		return m.takeSnapshot(e.View)
	case zab.ReadHistory:
		h, err := s.ReadLog(e.After, e.MaxBytes)
		if err != nil {
			return err
		}
		read := zab.HistoryRead{Conn: e.Conn, Found: h.Found, Complete: h.Complete}
		for _, entry := range h.Entries {
			read.Entries = append(read.Entries, zab.Entry{Zxid: entry.Zxid, Payload: entry.Payload})
		}
		m.step(read)
		return nil
	}
	panic(fmt.Sprintf("sim: no disk effect has type %T", first))
}

func (m *member) appendAll() error {
	var last zab.Append
	for len(m.queue) > 0 {
		a, ok := m.queue[0].(zab.Append)
		if !ok {
			break
		}
		m.w.truth.writing(m)
		if err := m.storage.Append(a.Zxid, a.Payload); err != nil {
			return err
		}
		last = a
		m.queue = m.queue[1:]
	}
	if err := m.storage.Sync(); err != nil {
		return err
	}
	m.w.truth.durable(m)
	return m.done(last.Seq, nil)
}

func (m *member) done(seq uint64, err error) error {
	if err == nil {
		m.step(zab.DiskDone{Seq: seq})
	}
	return err
}

// takeSnapshot writes a snapshot some time later, while the log goes on.
func (m *member) takeSnapshot(view *tree.View) error {
	job, err := m.storage.NewSnapshot(view)
	if err != nil {
		view.Close()
		return err
	}
	born := m.incarnation
	m.w.after(m.w.between(1, 60)*millisecond, func() {
		defer view.Close()
		if m.incarnation != born {
			return
		}
		m.interrupt(40)
		path, err := job.Write()
		m.w.trace("%s snapshot %s %v", name(m.sid), path, err)
		switch {
		case err == nil:
			m.w.count(countSnapshot)
		case errors.Is(err, storage.ErrSuperseded):
			m.w.count(countSuperseded)
		case injected(err) && !m.endsAtFault, m.w.guests != nil:
			// A snapshot that fails costs nothing else: the process goes on.
		default:
			m.diskFailed("snapshot", err)
		}
	})
	return nil
}
