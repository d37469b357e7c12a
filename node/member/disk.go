package member

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"zoolab/node/replica"
	"zoolab/node/storage"
	"zoolab/node/zab"
)

// disk carries out disk effects in their order, on one goroutine. Whatever appends have
// collected while the last sync ran are made durable by one more: group commit.
type disk struct {
	m *Member

	// Owned by the event loop.
	fresh       []replica.Effect
	freshBytes  int
	freshUrgent bool // something of fresh is no append

	mu           sync.Mutex
	wake         sync.Cond
	pending      []replica.Effect
	pendingBytes int
	urgent       bool      // something of pending is no append, and waits for nothing
	pendingSince time.Time // when the first of pending came
	stopped      bool

	maxPendingBytes int // the constant, less in tests

	// Owned by run. lastSync is when the disk last had everything.
	lastSync time.Time

	snapshots sync.WaitGroup
	saving    atomic.Bool // a snapshot is being written
}

func (d *disk) init(m *Member) {
	d.m = m
	d.maxPendingBytes = maxPendingBytes
	d.wake.L = &d.mu
}

// maxPendingBytes is how much log may wait for the disk. Commits don't wait for this
// member's disk while others are quick enough, so one that hangs would cost all memory.
const maxPendingBytes = 1 << 30

func (d *disk) queue(e replica.Effect) {
	d.fresh = append(d.fresh, e)
	if a, ok := e.(zab.Append); ok {
		d.freshBytes += len(a.Payload)
	} else {
		d.freshUrgent = true
	}
}

func (d *disk) flush() {
	if len(d.fresh) == 0 {
		return
	}
	d.mu.Lock()
	if len(d.pending) == 0 {
		d.pendingSince = time.Now()
	}
	d.pending = append(d.pending, d.fresh...)
	d.pendingBytes += d.freshBytes
	d.urgent = d.urgent || d.freshUrgent
	pendingBytes := d.pendingBytes
	d.mu.Unlock()
	d.wake.Signal()
	clear(d.fresh)
	d.fresh, d.freshBytes, d.freshUrgent = d.fresh[:0], 0, false
	if pendingBytes > d.maxPendingBytes {
		d.m.fail(fmt.Errorf("the disk of %s hangs or is too slow for the load: %d bytes of log wait for it",
			d.m.cfg.Storage.DataLogDir, pendingBytes))
	}
}

// stop ends run after what is queued.
func (d *disk) stop() {
	d.mu.Lock()
	d.stopped = true
	d.mu.Unlock()
	d.wake.Signal()
}

func (d *disk) run() {
	defer d.snapshots.Wait()
	defer d.m.logPanic("disk")
	var batch []replica.Effect
	d.lastSync = time.Now()
	for {
		d.mu.Lock()
		for len(d.pending) == 0 && !d.stopped {
			d.wake.Wait()
		}
		d.gather()
		clear(batch)
		batch, d.pending, d.pendingBytes, d.urgent = d.pending, batch[:0], 0, false
		since := d.pendingSince
		d.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		began := time.Now()
		if err := d.carryOut(batch); err != nil {
			d.m.fail(err)
			return
		}
		d.measure(batch, since, began)
	}
}

// gather waits, with flushDelay, for more appends to make durable together: until so long after
// the last sync, until maxBatchSize of them are there, or until none came for
// maxWriteQueuePollTime. d.mu is held.
func (d *disk) gather() {
	c := &d.m.cfg.Storage
	delay := time.Duration(c.FlushDelayMs) * time.Millisecond
	if delay == 0 {
		return
	}
	poll := delay / 3
	if c.MaxWriteQueuePollMs >= 0 {
		poll = time.Duration(c.MaxWriteQueuePollMs) * time.Millisecond
	}
	for came := 0; !d.stopped && !d.urgent && came < len(d.pending) && len(d.pending) < c.MaxBatchSize; {
		came = len(d.pending)
		wait := min(poll, delay-time.Since(d.lastSync))
		if wait <= 0 {
			return
		}
		timer := time.AfterFunc(wait, func() {
			d.mu.Lock() // so that this does not come before Wait
			defer d.mu.Unlock()
			d.wake.Signal()
		})
		d.wake.Wait()
		timer.Stop()
	}
}

// measure counts a batch that was waited for since a moment, and then carried out.
func (d *disk) measure(batch []replica.Effect, since, began time.Time) {
	records := int64(0)
	for _, e := range batch {
		if _, ok := e.(zab.Append); ok {
			records++
		}
	}
	x, ended := d.m.metrics, time.Now()
	x.DiskQueue.Observe(int64(len(batch)))
	if records == 0 {
		return
	}
	x.LogRecords.Add(records)
	x.DiskQueueTime.Observe(began.Sub(since).Microseconds())
	took := ended.Sub(began).Microseconds()
	x.DiskFlush.Observe(took)
	x.DiskRecord.ObserveAll(records, took, took/records, took/records)
	x.DiskQueueAndFlush.Observe(ended.Sub(since).Microseconds())
}

// carryOut makes a batch durable and says so. Appends are synced together, up to maxBatchSize
// of them, before the next effect that must come after them and at the end.
func (d *disk) carryOut(batch []replica.Effect) error {
	var seq uint64
	appended := 0
	sync := func() error {
		if err := d.m.storage.Sync(); err != nil {
			return err
		}
		if d.lastSync = time.Now(); appended > 0 {
			d.m.metrics.DiskBatch.Observe(int64(appended))
		}
		if seq > 0 {
			d.m.postCore(zab.DiskDone{Seq: seq})
		}
		seq, appended = 0, 0
		return nil
	}
	for _, e := range batch {
		a, isAppend := e.(zab.Append)
		if isAppend {
			if err := d.m.storage.Append(a.Zxid, a.Payload); err != nil {
				return err
			}
			seq = a.Seq
			if appended++; appended < d.m.cfg.Storage.MaxBatchSize {
				continue
			}
		}
		if err := sync(); err != nil {
			return err
		}
		if isAppend {
			continue
		}
		done, err := d.other(e)
		if err != nil {
			return err
		}
		seq = done
	}
	return sync()
}

// other carries out everything but an append and returns the effect's Seq, 0 for one without.
func (d *disk) other(e replica.Effect) (seq uint64, err error) {
	s := d.m.storage
	switch e := e.(type) {
	case zab.SaveAcceptedEpoch:
		return e.Seq, s.SetAcceptedEpoch(e.Epoch)
	case zab.SaveCurrentEpoch:
		return e.Seq, s.SetCurrentEpoch(e.Epoch)
	case zab.SaveMembership:
		d.m.saveMembership(&e)
		return e.Seq, nil
	case zab.Truncate:
		d.m.log.Info("truncating the log, since the leader does not have its end", "zxid", hex(e.Zxid))
		if err := s.Truncate(e.Zxid); err != nil {
			return 0, d.explain(err)
		}
		t, _, loaded, err := loadTree(s, 0, d.m.newBuilder)
		if err == nil && loaded.LastZxid > e.Zxid {
			err = fmt.Errorf("the log ends at %s after it was truncated to %s", hex(loaded.LastZxid), hex(e.Zxid))
		}
		if err != nil {
			return 0, err
		}
		d.m.post(replica.TreeRestored{Tree: t})
		return e.Seq, nil
	case replica.InstallSnapshot:
		defer e.View.Close()
		d.m.log.Info("installing the leader's snapshot", "zxid", hex(e.Zxid))
		err := s.InstallSnapshot(e.View)
		if err == nil {
			d.m.files.tookSnapshot(e.Zxid, time.Now())
		}
		return e.Seq, err
	case replica.TakeSnapshot:
		return 0, d.takeSnapshot(e)
	case zab.ReadHistory:
		limit, err := s.SyncLimitBytes(d.m.cfg.Storage.SnapshotSizeFactor)
		if err != nil {
			return 0, err
		}
		h, err := s.ReadLog(e.After, min(e.MaxBytes, limit))
		if err != nil {
			return 0, err
		}
		read := zab.HistoryRead{Conn: e.Conn, Found: h.Found, Complete: h.Complete}
		for _, entry := range h.Entries {
			read.Entries = append(read.Entries, zab.Entry{Zxid: entry.Zxid, Payload: entry.Payload})
		}
		d.m.postCore(read)
		return 0, nil
	}
	panic(fmt.Sprintf("disk: no effect has type %T", e))
}

// explain adds to a failed truncation what a person can do. Nothing was changed on the
// disk. A member that starts without the snapshots that it would need asks the leader for
// one instead; this one had them when it started, or they are damaged.
func (d *disk) explain(err error) error {
	if !errors.Is(err, storage.ErrNotInHistory) {
		return err
	}
	return fmt.Errorf("the leader's history lacks transactions that this member has in a snapshot or an old log, "+
		"so it can't go back to where the two part: %w. Start this member again: if it lacks "+
		"snapshots so old it is sent a copy. If that does not help, and the other members form a quorum and have what they should, "+
		"move version-2 below %s and %s away and start this member again: it is sent a copy", err,
		d.m.cfg.Storage.DataDir, d.m.cfg.Storage.DataLogDir)
}

// takeSnapshot writes a snapshot beside the running log. One at a time: if the last one
// is still being written the disk is slower than the load, and a second would not help.
func (d *disk) takeSnapshot(e replica.TakeSnapshot) error {
	view, done := e.View, e.Done
	if done == nil {
		done = func(string, int64, error) {}
	}
	if !d.saving.CompareAndSwap(false, true) {
		view.Close()
		d.m.log.Warn("skipped a snapshot: the one before is still being written")
		done("", 0, errors.New("another snapshot is being written"))
		return nil
	}
	job, err := d.m.storage.NewSnapshot(view)
	if err != nil {
		view.Close()
		done("", 0, err)
		return err
	}
	d.snapshots.Go(func() {
		defer d.saving.Store(false)
		defer view.Close()
		began := time.Now()
		path, err := job.Write()
		defer func() { done(path, view.Zxid(), err) }()
		switch {
		case errors.Is(err, storage.ErrSuperseded):
			d.m.log.Info("gave a snapshot up, since the leader replaced what it holds")
		case err != nil:
			// The log still has everything, so nothing is lost; a disk that is full will stop
			// the log, and with it the member, soon enough.
			d.m.log.Error("could not write a snapshot; the next one is tried later", "err", err)
		default:
			d.m.metrics.Snapshot.Observe(time.Since(began).Microseconds())
			d.m.files.tookSnapshot(view.Zxid(), time.Now())
			d.m.log.Info("took a snapshot", "file", path, "took", time.Since(began).Round(time.Millisecond))
		}
	})
	return nil
}
