package sim

import (
	"log/slog"
	"math/rand/v2"
	"time"

	"zoolab/node/prep"
	"zoolab/node/replica"
	"zoolab/node/storage"
	"zoolab/node/tree"
	"zoolab/node/vfs"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

const (
	tickMs         = 500
	initLimitTicks = 10
	syncLimitTicks = 4
	snapCount      = 40
	// guestSnapCount is snapCount where clients write more and write larger trees.
	guestSnapCount = 250
	commitLogCount = 30 // small, so that learners are often beyond it
	finalizeWaitMs = 200
	dataDir        = "/data"
	maxFieldBytes  = 1 << 20
)

// member is a process with its disk. The disk outlives the process.
type member struct {
	w     *world
	sid   int64
	disk  *vfs.Mem
	files membershipFiles

	// Of the process; an event planned for an earlier one is void.
	incarnation int
	up, paused  bool
	backlog     []replica.Input // what came while paused
	fs          *vfs.Faulty     // the disk as the process sees it
	storage     *storage.Storage
	replica     *replica.Replica
	effects     []replica.Effect // being carried out, those of inner steps last
	startedUs   int64
	queue       []replica.Effect // disk effects not yet carried out
	diskBusy    bool

	working bool  // takes an input, which lasts
	stepUs  int64 // how long each input takes it: a limited processor; 0 for no time
	waited  int   // inputs that had to wait for a processor
	// maxSessionMs is the longest timeout of sessions in the configuration that the next
	// process reads, 0 for the default; runsMaxSessionMs is that of the process that runs.
	maxSessionMs, runsMaxSessionMs int64

	deaf        bool       // nobody can connect to its quorum port
	full        bool       // its disk has no room
	slowDiskUs  int64      // added to each disk effect by a fault
	broken      *vfs.Fault // of the disk, in this and every later process; nil for none
	nextFault   *diskFault // for the next process
	endsAtFault bool       // the process is to end at the operation that its disk fails
}

func newMember(w *world, sid int64) *member {
	return &member{w: w, sid: sid, disk: vfs.NewMem()}
}

func (m *member) leads() bool {
	return m.up && !m.paused && m.replica.Status().Role == zab.RoleLeaderEstablished
}

// start is what a process does when it begins: restore, then serve.
func (m *member) start() {
	w := m.w
	m.up, m.paused, m.diskBusy, m.working = true, false, false, false
	m.queue, m.backlog, m.replica = nil, nil, nil
	m.startedUs = w.nowUs
	m.incarnation++
	m.fs, m.endsAtFault = vfs.NewFaulty(m.disk), false
	if m.full {
		m.fs.Inject(fullDisk)
	}
	if m.broken != nil {
		m.fs.Inject(*m.broken)
	}
	m.meet(m.nextFault)
	m.nextFault = nil
	if err := m.restoreAndServe(); err != nil {
		m.diskFailed("start", err)
	}
}

func (m *member) restoreAndServe() error {
	w := m.w
	s, err := storage.Open(storage.Options{
		FS: m.fs, DataDir: dataDir, PreAllocSizeBytes: 8 << 10,
		Now: func() time.Time { return time.UnixMicro(w.nowUs) }, Log: slog.New(storageLog{m}),
	})
	if err != nil {
		return err
	}
	t, recent, loaded, err := restore(s)
	if err != nil {
		return err
	}
	accepted, current, err := s.Epochs()
	if err != nil {
		return err
	}
	m.storage = s
	last := loaded.LastZxid
	w.trace("%s starts zxid=%x snapshot=%x accepted=%d current=%d", name(m.sid), last, loaded.SnapshotZxid, accepted, current)
	w.truth.started(m, &loaded, recent, accepted, current)
	floor, err := s.TruncationFloor()
	if err != nil {
		return err
	}
	boot := zab.Boot{AcceptedEpoch: accepted, CurrentEpoch: current, LastZxid: last, Floor: floor, Recent: recent[max(0, len(recent)-commitLogCount):]}
	m.replica = replica.New(m.config(), boot, t, m.now())
	m.tick()
	return nil
}

func (m *member) config() replica.Config {
	cfg := replica.Config{
		Zab: m.w.shaped(zab.Config{
			SID: m.sid, TickMs: tickMs,
			InitLimitTicks: initLimitTicks, SyncLimitTicks: syncLimitTicks,
			CommitLogCount: commitLogCount, FinalizeWaitMs: finalizeWaitMs,
			MaxSyncLogBytes: 4 << 10,
			MaxSnapSyncs:    1, MaxDiffSyncs: 1, // so that observers are turned away
		}),
		MinSessionTimeoutMs: 2 * tickMs, MaxSessionTimeoutMs: 20 * tickMs,
		SnapCount: snapCount, Prep: prep.Options{ExtendedTypes: true, MaxNeverUsedMs: neverUsedMs},
		Containers: replica.ContainerConfig{CheckIntervalMs: sweepIntervalMs, MaxPerMinute: sweepPerMinute},
		Rand:       rand.New(rand.NewPCG(m.w.opts.Seed, uint64(m.sid)<<32|uint64(m.incarnation))),
	}
	cfg.LocalSessions = m.w.opts.Shape == Local
	cfg.UpgradeSessions = cfg.LocalSessions
	if m.w.reconfigures() {
		m.membershipConfig(&cfg)
	}
	if m.w.guests != nil {
		cfg.SnapCount = guestSnapCount
		if m.maxSessionMs > 0 {
			cfg.MaxSessionTimeoutMs = int32(m.maxSessionMs)
		}
		m.runsMaxSessionMs = int64(cfg.MaxSessionTimeoutMs)
	}
	return cfg
}

// restore loads a tree, and all logged transactions behind the snapshot.
func restore(s *storage.Storage) (*tree.Tree, []zab.Entry, storage.Loaded, error) {
	var b *tree.Builder
	var entries []zab.Entry
	loaded, err := s.Load(
		func() storage.SnapshotSink { b = tree.NewBuilder(); return b },
		func(zxid int64, payload []byte) error {
			entries = append(entries, zab.Entry{Zxid: zxid, Payload: payload})
			return nil
		})
	if err != nil {
		return nil, nil, loaded, err
	}
	t := b.Tree()
	for _, e := range entries {
		var txn jute.LoggedTxn
		if err := jute.Unmarshal(e.Payload, &txn); err != nil {
			return nil, nil, loaded, err
		}
		t.Apply(&txn)
	}
	if loaded.Empty {
		view := t.View()
		defer view.Close()
		if _, err := s.SaveSnapshot(view); err != nil {
			return nil, nil, loaded, err
		}
	}
	return t, entries, loaded, nil
}

// kill ends the process as SIGKILL does: what it wrote stays with the kernel.
func (m *member) kill(why string) {
	if !m.up {
		return
	}
	m.w.count(countKill)
	m.end(why)
}

// losePower ends the process, and its disk keeps what was synced and of the rest what
// fate leaves. A machine also loses power while its process is down.
func (m *member) losePower(why string) {
	m.w.count(countPowerLoss)
	m.end(why)
	m.disk.Crash(m.w.random)
}

func (m *member) end(why string) {
	w := m.w
	if !m.up {
		return
	}
	w.trace("%s ends: %s", name(m.sid), why)
	w.count(countCrash)
	if m.replica != nil && m.leads() {
		w.count(countKilledLeader)
	}
	m.up = false
	m.incarnation++
	w.truth.ended(m)
	w.net.memberDied(m)
	for _, c := range w.clients {
		c.memberDied(m)
	}
	w.guests.memberDied(m)
}

// revive starts a process that ended.
func (m *member) revive() {
	if !m.up {
		m.start()
	}
}

// reviveLater starts the process again after a while, as a supervisor does.
func (m *member) reviveLater() {
	m.w.after(m.w.between(20*millisecond, 2*second), m.revive)
}

func (m *member) now() replica.Now {
	return replica.Now{MonoMs: m.drifts((m.w.nowUs - m.startedUs) / millisecond), WallMs: 1_700_000_000_000 + m.w.nowUs/millisecond}
}

func (m *member) tick() {
	born := m.incarnation
	m.step(zab.Tick{})
	m.w.after(tickMs*millisecond/16, func() {
		if m.incarnation == born {
			m.tick()
		}
	})
}

// step gives the replica an input, now or when the process is no longer paused.
func (m *member) step(in replica.Input) {
	if !m.up || m.w.failed() {
		return
	}
	if m.paused {
		if _, tick := in.(zab.Tick); !tick {
			m.backlog = append(m.backlog, in)
		}
		return
	}
	if m.stepUs > 0 {
		m.waited++
		m.backlog = append(m.backlog, in)
		m.work()
		return
	}
	m.take(in)
}

// work lets a member with a limited processor take the next input that waits.
func (m *member) work() {
	if m.working || len(m.backlog) == 0 {
		return
	}
	m.working = true
	born := m.incarnation
	m.w.after(m.stepUs, func() {
		if m.incarnation != born {
			return
		}
		m.working = false
		if m.paused || m.stepUs == 0 || len(m.backlog) == 0 {
			return
		}
		in := m.backlog[0]
		m.backlog = m.backlog[1:]
		m.take(in)
		m.work()
	})
}

// take carries an input out.
func (m *member) take(in replica.Input) {
	defer m.catchPanic()
	// The slice is the replica's, and carrying an effect out may step it again: then those
	// of the inner step are put behind ours.
	first := len(m.effects)
	m.effects = append(m.effects, m.replica.Step(m.now(), in)...)
	end := len(m.effects)
	defer func() { m.effects = m.effects[:first] }()
	born := m.incarnation
	for i := first; i < end; i++ {
		if m.incarnation != born {
			return
		}
		m.carryOut(m.effects[i])
	}
	if m.up {
		m.w.truth.stepped(m)
	}
}

func (m *member) resume() {
	m.paused = false
	if m.stepUs > 0 {
		m.work()
		return
	}
	backlog := m.backlog
	m.backlog = nil
	for _, in := range backlog {
		m.step(in)
	}
}

func (m *member) carryOut(e replica.Effect) {
	w := m.w
	switch e := e.(type) {
	case zab.SendNotification:
		w.net.notify(m, e.To, &e.N)
	case zab.Dial:
		w.net.dial(m, e.Conn, e.To, e.Master)
	case zab.Send:
		w.truth.sends(m, &e.Packet)
		w.net.send(m, e.Conn, e.Packet.Append(nil))
	case replica.SendSnapshot:
		w.net.sendSnapshot(m, e.Conn, e.View)
	case zab.Close:
		w.trace("%s closes conn %d: %s", name(m.sid), e.Conn, e.Reason)
		w.truth.closes(m, e)
		w.net.close(m, e.Conn)
	case replica.OverQuota:
		w.trace("%s: over quota: %+v", name(m.sid), e.Breach)
	case zab.RoleChanged:
		w.trace("%s is %s leader=%d epoch=%d", name(m.sid), e.Role, e.Leader, e.Epoch)
		w.truth.roleChanged(m, e)
	default:
		w.truth.queued(m, e)
		m.queue = append(m.queue, e)
		m.runDisk()
	}
}
