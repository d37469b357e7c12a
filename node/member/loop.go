package member

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"zoolab/node/replica"
	"zoolab/node/storage"
	"zoolab/node/zab"
)

// inbox collects inputs for the event loop. What fills it is bounded elsewhere: clients
// by the outstanding limit, peers by the proposals that a leader lets wait.
type inbox struct {
	mu    sync.Mutex
	items []replica.Input
	since time.Time // when the first of items came
	wake  chan struct{}
}

func (b *inbox) init() { b.wake = make(chan struct{}, 1) }

// take returns what arrived, and when that began, and keeps spare for what arrives next.
func (b *inbox) take(spare []replica.Input) (items []replica.Input, since time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	items = b.items
	b.items = spare[:0]
	return items, b.since
}

// add appends an input. b.mu is held.
func (b *inbox) add(in replica.Input) {
	if len(b.items) == 0 {
		b.since = time.Now()
	}
	b.items = append(b.items, in)
}

func (b *inbox) signal() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// post gives the event loop an input. It never blocks.
func (m *Member) post(in replica.Input) {
	m.inbox.mu.Lock()
	m.inbox.add(in)
	m.inbox.mu.Unlock()
	m.inbox.signal()
}

// postCore is post for inputs of the broadcast protocol.
func (m *Member) postCore(in ...zab.Input) {
	if len(in) == 0 {
		return
	}
	m.inbox.mu.Lock()
	for _, i := range in {
		m.inbox.add(i)
	}
	m.inbox.mu.Unlock()
	m.inbox.signal()
}

// ticksPerTick is how often the replica sees time pass within one tick.
const ticksPerTick = 16

// loop steps the replica until the context ends or the member fails.
func (m *Member) loop(ctx context.Context) {
	defer m.logPanic("event loop")
	ticker := time.NewTicker(max(10*time.Millisecond, time.Duration(m.cfg.TickTimeMs)*time.Millisecond/ticksPerTick))
	defer ticker.Stop()
	// A member begins with an election, which no change of roles announces.
	m.measureRole(zab.RoleChanged{Role: zab.RoleLooking})
	m.step(zab.Tick{})
	m.flush()
	var batch []replica.Input
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.failed:
			return
		case <-ticker.C:
			m.step(zab.Tick{})
			m.watchDigest()
		case <-m.inbox.wake:
		}
		var since time.Time
		batch, since = m.inbox.take(batch)
		requests, began := requestsIn(batch), time.Now()
		for i, in := range batch {
			m.step(in)
			batch[i] = nil
		}
		m.measureBatch(len(batch), requests, since, began)
		m.flush()
	}
}

// logPanic says that an assertion failed, and lets the panic go on: it ends the process
// before anybody can be served from a state that must not be.
func (m *Member) logPanic(where string) {
	if p := recover(); p != nil {
		m.log.Error("an assertion failed; the process ends", "where", where, "assertion", p)
		panic(p)
	}
}

// watchDigest says, once, that the tree is not what it was where its transactions were made.
func (m *Member) watchDigest() {
	n := m.replica.Tree().DigestMismatches()
	if n <= m.mismatches {
		return
	}
	m.metrics.DigestMismatches.Add(n - m.mismatches)
	m.mismatches = n
	if m.digestDiffers {
		return
	}
	m.digestDiffers = true
	m.log.Error("this member's tree differs from the leader's: digests do not match. Stop it and remove its data, so that "+
		"it is sent a new copy, if the others do not say the same", "mismatches", n, "lastZxid", hex(m.replica.Tree().LastZxid()))
}

// flush lets go what the batch produced: the disk first, since it takes longest.
func (m *Member) flush() {
	m.disk.flush()
	if m.peers != nil {
		m.peers.Flush()
	}
	m.clients.Flush()
}

func (m *Member) step(in replica.Input) {
	for _, e := range m.replica.Step(m.now(), in) {
		m.carryOut(e)
	}
	m.measure()
	m.audit()
}

func (m *Member) carryOut(e replica.Effect) {
	switch e := e.(type) {
	case zab.Send:
		m.measureSend(&e.Packet)
		m.peers.Send(e.Conn, &e.Packet)
	case zab.SaveMembership:
		m.membershipChanged(e)
		m.disk.queue(e)
	case zab.Append, zab.SaveAcceptedEpoch, zab.SaveCurrentEpoch, zab.Truncate, zab.ReadHistory,
		replica.InstallSnapshot, replica.TakeSnapshot:
		m.disk.queue(e)
	case zab.SendNotification:
		m.peers.SendNotification(e.To, &e.N)
	case zab.Dial:
		m.peers.Dial(e.Conn, e.To, e.Master)
	case zab.Close:
		if e.Breach || e.Suspect {
			m.peers.WarnRefused(e.Conn, e.Reason)
		} else {
			m.log.Info("closing a quorum connection", "conn", e.Conn, "reason", e.Reason)
		}
		m.peers.Close(e.Conn, e.Reason)
	case replica.SendSnapshot:
		m.log.Info("sending a snapshot", "conn", e.Conn, "zxid", hex(e.View.Zxid()))
		m.peers.SendSnapshot(e.Conn, func(w io.Writer) error {
			defer e.View.Close()
			return storage.WriteSnapshotStream(w, e.View)
		})
	case replica.OverQuota:
		m.warnQuota(e.Breach)
	case replica.ReadOnlyStarted:
		m.log.Warn("serving reads without a leader, which may be old: no quorum was found for long (readonlymode.enabled)",
			"lastZxid", hex(m.replica.Tree().LastZxid()))
	case zab.RoleChanged:
		m.measureRole(e)
		told := []any{"role", e.Role.String(), "leader", e.Leader, "epoch", e.Epoch, "lastZxid", hex(m.replica.Tree().LastZxid())}
		if e.Reason != "" {
			told = append(told, "reason", e.Reason)
		}
		m.log.Info("role changed", told...)
	default:
		panic(fmt.Sprintf("member: no effect has type %T", e))
	}
}
