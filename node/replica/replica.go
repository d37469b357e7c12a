package replica

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"zoolab/node/fifo"
	"zoolab/node/prep"
	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// Config is what a replica must know beside the ensemble.
type Config struct {
	Zab zab.Config

	MinSessionTimeoutMs int32
	MaxSessionTimeoutMs int32
	// A snapshot is taken when this many transactions, or bytes of them, were logged since
	// the last one: at half of it and a random part of the other half.
	SnapCount          int
	SnapSizeLimitBytes int64 // no limit at 0 or below
	// Replayed is how many transactions the disk had behind its newest snapshot: a member
	// that is restarted often must take snapshots too.
	Replayed int
	// Audit keeps writes until they are answered, so that Replica.Audit can tell of them.
	Audit bool
	Prep  prep.Options

	// ReadOnlyMode lets a member that can't find a leader serve reads, to clients that ask
	// for no more (readonlymode.enabled).
	ReadOnlyMode bool
	// LocalSessions makes the sessions of new clients known to this member alone
	// (localSessionsEnabled), and UpgradeSessions makes one the ensemble's when it is about
	// to own an ephemeral (localSessionsUpgradingEnabled).
	LocalSessions, UpgradeSessions bool
	// LeaderServesNobody turns clients away while this member leads (leaderServes=no).
	LeaderServesNobody bool

	// ConfigText is what /zookeeper/config shows: the membership, whose version is
	// Zab.ConfigVersion. It is nil on a lone server, where that znode is empty.
	ConfigText []byte
	// ChangeMembership makes the text of the membership that a request asks for from the
	// present one, with a version; an error says what is wrong with the request. It is used
	// only where Zab.Reconfig is set.
	ChangeMembership func(present []byte, q *jute.ReconfigRequest, version int64) ([]byte, error)

	Containers ContainerConfig
	Security   Security
	Rand       *rand.Rand // decides when to take snapshots, so that members don't do it at once
}

// Now is the time of an input. Timeouts use MonoMs, which never goes back; WallMs is
// what transactions are stamped with.
type Now struct {
	MonoMs int64
	WallMs int64
	// MonoUs is MonoMs more exactly. Only Samples depend on it, and it may be left out.
	MonoUs int64
}

// Status is what a member says of itself, published for other goroutines.
type Status struct {
	Role            zab.Role
	ReadOnly        bool  // serves reads although it has no leader
	Leader          int64 // -1 while there is none
	Master          int64 // on an observer: whom it observes, a follower or the leader; else -1
	Epoch           int64
	SyncedFollowers int // on a leader
	SyncedObservers int // on a leader, and on a follower that serves observers
	Learners        int // on a leader
	PendingSyncs    int // on a leader: learners being synchronized
	Outstanding     int // on a leader: proposals not yet committed
	Sessions        int // on a leader: sessions alive in the ensemble
	LocalSessions   int // that only this member knows
	ElectionTimeMs  int64
	Deserted        int64         // how often this member gave a leadership up because its voters went elsewhere
	SinceMs         int64         // MonoMs at which the role was taken
	Proposals       ProposalSizes // on a leader
}

// ProposalSizes are the sizes in bytes of the transactions that a leader proposed, -1
// before the first.
type ProposalSizes struct{ Last, Least, Most int }

func (p *ProposalSizes) observe(sizeBytes int) {
	if p.Last < 0 {
		p.Least = sizeBytes
	}
	p.Last, p.Least, p.Most = sizeBytes, min(p.Least, sizeBytes), max(p.Most, sizeBytes)
}

// Replica is one member. See the package comment for its concurrency.
type Replica struct {
	cfg  Config
	core *zab.Core
	now  Now

	tree   atomic.Pointer[tree.Tree] // replaced only outside of established roles
	status atomic.Pointer[Status]
	// applying is held for reading while Serve reads and answers, for writing while a
	// transaction is applied.
	applying sync.RWMutex

	// Zab's effects wait here while earlier ones are carried out, because carrying one out
	// may step the core again.
	inbox    []zab.Effect
	draining bool
	out      []Effect
	samples  []Sample
	begun    begun // of proposals, for samples
	audited  []Audited

	role       zab.Role
	sinceMs    int64      // when the role was taken
	lastTickMs int64      // when time was last seen to pass
	leaderConn zab.ConnID // a follower's connection to its leader

	// Clients of this member.
	conns        map[*Conn]struct{}
	lastSerial   uint64
	early        fifo.Queue[early]       // came while there was no quorum, oldest first
	attached     map[int64]*Conn         // by session
	creating     map[int64]*Conn         // by session, until its createSession is applied
	revalidating map[int64]*Conn         // learner: by session, until the leader answers
	syncs        fifo.Queue[syncRequest] // learner: whose syncs were sent to the leader, in order
	// revalidations are what the leader was asked to revalidate and has not answered, in order.
	revalidations fifo.Queue[revalidation]
	// touchedBeyond are the sessions, with their timeouts in ms, from whose clients something
	// came to the observers that this follower serves, since the leader was told last.
	touchedBeyond map[int64]int32
	nextSessionID int64
	// readOnly says that this member serves reads although it has no leader, and
	// localSessions are those that only it knows; nil where there can be none.
	readOnly      bool
	localSessions *tracker

	// received holds transactions of a leader that were logged and not yet delivered,
	// oldest first, so that they need not be decoded again.
	received fifo.Queue[received]

	restoring *Restore // until there is a leader again; nil while nothing is restored

	lead             leadership // used only while leading
	maxProposedBytes int64      // the constant, less in tests

	// What was appended since the last snapshot, and when to take the next.
	logged          int
	loggedBytes     int64
	snapshotAt      int
	snapshotAtBytes int64
}

// New makes a replica from what was restored from the disk.
func New(cfg Config, boot zab.Boot, t *tree.Tree, now Now) *Replica {
	r := &Replica{
		cfg:           cfg,
		now:           now,
		conns:         make(map[*Conn]struct{}),
		attached:      make(map[int64]*Conn),
		creating:      make(map[int64]*Conn),
		revalidating:  make(map[int64]*Conn),
		touchedBeyond: make(map[int64]int32),
		nextSessionID: firstSessionID(cfg.Zab.SID, now.WallMs),
		lastTickMs:    now.MonoMs,
		sinceMs:       now.MonoMs,

		maxProposedBytes: maxProposedBytes,
	}
	cfg.Zab.Check = r.checkReceived
	r.core = zab.New(withTreeMembership(cfg.Zab, t), boot)
	r.tree.Store(t)
	r.planSnapshot()
	r.logged = cfg.Replayed
	r.publish()
	return r
}

// Tree returns the tree as it is now; safe from any goroutine.
func (r *Replica) Tree() *tree.Tree { return r.tree.Load() }

// Status returns the newest published status; safe from any goroutine.
func (r *Replica) Status() Status { return *r.status.Load() }

// Step takes one input. The effects must be carried out in order; the slice is reused
// by the next Step.
func (r *Replica) Step(now Now, in Input) []Effect {
	if now.MonoMs < r.now.MonoMs {
		panic(fmt.Sprintf("replica: time went back from %d ms to %d ms", r.now.MonoMs, now.MonoMs))
	}
	r.now = now
	clear(r.out)
	r.out = r.out[:0]
	clear(r.samples)
	r.samples = r.samples[:0]
	clear(r.audited)
	r.audited = r.audited[:0]
	switch in := in.(type) {
	case ClientConnect:
		r.clientConnect(in.Conn, &in.Request)
	case ClientRequest:
		r.clientRequest(&in)
	case ClientClosed:
		r.clientClosed(in.Conn)
	case TreeRestored:
		r.setTree(in.Tree)
	case SnapshotNow:
		r.planSnapshot()
		r.emit(TakeSnapshot{View: r.Tree().View(), Done: in.Done})
	case Restore:
		r.restore(in)
	case ListSessions:
		in.Answer(r.sessions())
	case ListObservers:
		in.Answer(r.core.Observers())
	case zab.Tick:
		r.stepCore(in)
		r.tick()
	case zab.Input:
		r.stepCore(in)
	default:
		panic(fmt.Sprintf("replica: no input has type %T", in))
	}
	return r.out
}

func (r *Replica) emit(e Effect) { r.out = append(r.out, e) }

// stepCore gives the core an input and carries out all that follows from it, in order.
func (r *Replica) stepCore(in zab.Input) {
	r.measureAck(in)
	r.inbox = append(r.inbox, r.core.Step(r.now.MonoMs, in)...)
	if r.draining {
		return
	}
	r.draining = true
	for i := 0; i < len(r.inbox); i++ {
		r.carryOut(r.inbox[i])
	}
	clear(r.inbox)
	r.inbox = r.inbox[:0]
	r.draining = false
}

func (r *Replica) carryOut(effect zab.Effect) {
	switch e := effect.(type) {
	case zab.Deliver:
		r.deliver(e.Entry)
	case zab.Append:
		r.emit(effect)
		r.measureProposal(&e)
		r.logged++
		r.loggedBytes += int64(len(e.Payload))
	case zab.SaveMembership:
		if r.role.Established() {
			r.showMembership()
		}
		r.emit(effect)
	case zab.RoleChanged:
		r.roleChanged(e)
		r.emit(effect)
		if e.Role.Established() {
			r.admitEarly()
		}
	case zab.FromLearner:
		r.fromLearner(e)
	case zab.FromLeader:
		r.fromLeader(e.Packet)
	case zab.LearnerEstablished, zab.LearnerGone:
		r.publish()
	case zab.LeadershipConfirmed:
		r.leadershipConfirmed(e.Token)
	case zab.SendSnapshot:
		r.emit(SendSnapshot{Conn: e.Conn, View: r.Tree().View()})
	case zab.Send:
		r.measureSend(&e.Packet)
		r.emit(effect)
	case zab.InstallSnapshot:
		b := e.Handle.(*tree.Builder)
		if err := b.Finish(e.Zxid); err != nil {
			panic(fmt.Sprintf("replica: the leader's snapshot of 0x%x can't be finished: %v", e.Zxid, err))
		}
		t := b.Tree()
		r.keepMembership(b, t)
		r.setTree(t)
		r.planSnapshot()
		r.emit(InstallSnapshot{Seq: e.Seq, Zxid: e.Zxid, View: t.View()})
		r.stepCore(zab.TreeReplaced{MembershipText: t.Config()})
	default:
		r.emit(effect)
	}
}

// setTree replaces the tree, of which nobody may read half from the old one.
func (r *Replica) setTree(t *tree.Tree) {
	r.applying.Lock()
	r.tree.Store(t)
	r.applying.Unlock()
}

// roleChanged takes a role. Outside of an established one nobody is served, so every
// client is cut off and finds another member, or comes back.
func (r *Replica) roleChanged(e zab.RoleChanged) {
	if r.readOnly {
		r.endReadOnly()
	} else if r.role.Established() && !e.Role.Established() {
		r.dropClients("this member lost its leader or its quorum")
	}
	r.role, r.leaderConn, r.sinceMs = e.Role, e.Conn, r.now.MonoMs
	r.localSessions = nil
	if r.cfg.LocalSessions && e.Role.Established() {
		r.localSessions = newTracker(r.cfg.Zab.TickMs, r.now.MonoMs)
	}
	if e.Role.Established() {
		r.showMembership()
	}
	if e.Role == zab.RoleLeaderEstablished {
		r.startLeading()
	} else {
		r.lead = leadership{}
	}
	r.syncs = fifo.Queue[syncRequest]{}
	r.revalidations = fifo.Queue[revalidation]{}
	clear(r.touchedBeyond)
	r.received = fifo.Queue[received]{}
	clear(r.revalidating)
	r.publish()
	r.judgeRestore()
}

func (r *Replica) dropClients(reason string) {
	// In the order in which they came, so that the same inputs have the same outcome.
	for _, c := range slices.SortedFunc(maps.Keys(r.conns), func(a, b *Conn) int { return cmp.Compare(a.serial, b.serial) }) {
		r.close(c, reason)
	}
	clear(r.attached)
	clear(r.creating)
}

// deliver applies a committed transaction and answers whoever waits for it here.
func (r *Replica) deliver(entry zab.Entry) {
	proposed := r.lead.takeProposed(entry)
	txn := proposed.txn
	if txn == nil {
		txn = r.takeReceived(entry)
	}
	if txn == nil {
		txn = new(jute.LoggedTxn)
		if err := jute.Unmarshal(entry.Payload, txn); err != nil {
			panic(fmt.Sprintf("replica: committed transaction 0x%x can't be read: %v", entry.Zxid, err))
		}
	}
	// Not unlocked by a panic: nobody may read what an assertion found to be wrong.
	r.applying.Lock()
	result := r.Tree().Apply(txn)
	r.applying.Unlock()
	if r.role == zab.RoleLeaderEstablished {
		r.lead.applied(txn)
	}
	r.measureApplied(txn, &result, proposed.atUs)
	r.auditEnd(txn)
	r.answer(txn, &result)
	if r.role == zab.RoleLeaderEstablished {
		r.answerSyncs()
	}
	tooLong := r.snapshotAtBytes > 0 && r.loggedBytes >= r.snapshotAtBytes
	if (r.logged >= r.snapshotAt || tooLong) && r.role.Established() {
		r.planSnapshot()
		r.emit(TakeSnapshot{View: r.Tree().View()})
	}
}

// planSnapshot counts from zero and draws when the next snapshot is due.
func (r *Replica) planSnapshot() {
	r.logged, r.loggedBytes = 0, 0
	half := max(1, r.cfg.SnapCount/2)
	r.snapshotAt = half + r.cfg.Rand.IntN(half)
	if half := r.cfg.SnapSizeLimitBytes / 2; half > 0 {
		r.snapshotAtBytes = half + r.cfg.Rand.Int64N(half)
	}
}

// tick does what depends on time alone: expiry, and news for the status.
func (r *Replica) tick() {
	r.closeLate()
	r.startReadOnly()
	// Who did not run for a while did not hear from sessions that were alive.
	late := r.now.MonoMs-r.lastTickMs > r.cfg.Zab.TickMs
	if r.localSessions != nil {
		r.expireLocalSessions(late)
	}
	if r.role == zab.RoleLeaderEstablished {
		if late {
			r.lead.sessions.pardon(r.now.MonoMs)
		}
		r.expireSessions()
		r.sweepContainers()
	}
	r.lastTickMs = r.now.MonoMs
	r.publish()
}

func (r *Replica) publish() {
	r.status.Store(&Status{
		Role:            r.role,
		ReadOnly:        r.readOnly,
		Leader:          r.core.Leader(),
		Master:          r.core.Master(),
		Epoch:           r.core.Epoch(),
		SyncedFollowers: r.core.SyncedFollowers(),
		SyncedObservers: r.core.SyncedObservers(),
		Learners:        r.core.Learners(),
		PendingSyncs:    r.core.PendingSyncs(),
		Outstanding:     r.core.Outstanding(),
		Sessions:        r.lead.sessions.count(),
		LocalSessions:   r.localSessions.count(),
		ElectionTimeMs:  r.core.LastElectionMs(),
		Deserted:        r.core.Deserted(),
		SinceMs:         r.sinceMs,
		Proposals:       r.lead.sizes,
	})
}
