package sim

import (
	"hash/fnv"
	"slices"
	"sort"

	"zoolab/node/quorum"
	"zoolab/node/replica"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// truth knows what the ensemble committed and holds every member to it. The names of the
// invariants are those of the published specifications of Zab and of ZooKeeper, where
// these have one.
//
// Checked at every step of a serving member:
//
//   - Agreement, TotalOrder, LocalPrimaryOrder, GlobalPrimaryOrder, PrefixConsistency: what it has applied is a prefix of one and
//     the same sequence of transactions.
//   - ProcessConsistency: after the same transaction all trees have the same digest.
//   - CommittedLogMonotonicity: what it has applied never becomes less.
//
// Checked when something is committed, and whenever a disk loses something:
//
//   - CommittedLogDurability: a quorum has all that was committed on its disks.
//
// Checked as it happens:
//
//   - Leadership: at most one established leader in an epoch.
//   - LeaderLogCompleteness: an established leader's log has all that was committed before its
//     epoch.
//   - Integrity, PrimaryIntegrity: only an established leader makes transactions, of its own
//     epoch, and nobody logs what no leader made.
//   - NoIllegalMessage: nobody accuses another member of having broken the protocol.
//   - AckIntegrity: what is acknowledged is on the disk of who acknowledges it: proposals,
//     the epoch and the history of NEWLEADER, the epoch of LEADERINFO.
//   - EpochMonotonicity, LogDurability (diskview.go): a disk keeps what was synced.
//   - EpochHistory (diskview.go): a disk with an epoch's number has all that was committed
//     before that epoch.
//
// A nil truth watches nothing: in an Ensemble only what clients saw is judged.
type truth struct {
	w         *world
	committed []record // in the order of their zxids
	digests   []digest // of the tree after each of them
	// committers are the epochs of the leaders that committed each of them. They don't go down.
	committers []int64
	proposed   map[int64]uint64
	leaders    map[int64]int64
	views      []*view // by sid - 1
	holders    quorum.Set
	// voters are those of the newest committed membership; memberships are all that were
	// proposed, by zxid.
	voters      quorum.Verifier
	memberships map[int64]quorum.Verifier
}

// record names a transaction by what is in it.
type record struct {
	zxid int64
	hash uint64
}

// digest is that of a tree, once some member has shown it.
type digest struct {
	known bool
	value int64
}

// view is what truth knows of one member.
type view struct {
	disk diskView

	// Of the process. The log is its whole history, also where a snapshot holds it. It is
	// ahead of the disk.
	log      []record
	received []record // the history in the snapshot that it received last
	role     zab.Role
	epoch    int64 // of an established role
	promised int64 // epoch of the newest LEADERINFO
	applied  int   // how many committed transactions the serving member was seen to have applied
	lastZxid int64 // of its tree when it was looked at last in this role, -1 for not yet
}

func newTruth(w *world) *truth {
	t := &truth{w: w, leaders: make(map[int64]int64), proposed: make(map[int64]uint64), memberships: make(map[int64]quorum.Verifier)}
	t.voters = w.verifier
	for range w.opts.Members {
		t.views = append(t.views, &view{disk: diskView{truncating: none, installing: none}})
	}
	return t
}

func (t *truth) of(m *member) *view { return t.views[m.sid-1] }

func recordOf(e zab.Entry) record {
	h := fnv.New64a()
	h.Write(e.Payload)
	return record{zxid: e.Zxid, hash: h.Sum64()}
}

// opOf reads the type of a logged transaction.
func opOf(e zab.Entry) jute.OpCode {
	var h jute.TxnHeader
	h.Decode(jute.NewDecoder(e.Payload))
	return h.Type
}

// upTo returns how many records of a log are not behind a zxid.
func upTo(log []record, zxid int64) int {
	return sort.Search(len(log), func(i int) bool { return log[i].zxid > zxid })
}

// newestBefore returns the newest of the transactions that leaders of epochs before one had
// committed: its leader must have them. What a later leader committed may be of an earlier
// epoch, and need not be in this one.
func (t *truth) newestBefore(epoch int64) (r record, ok bool) {
	n := sort.Search(len(t.committers), func(i int) bool { return t.committers[i] >= epoch })
	if n == 0 {
		return record{}, false
	}
	return t.committed[n-1], true
}

// ended forgets the process.
func (t *truth) ended(m *member) {
	if t == nil {
		return
	}
	t.of(m).role = zab.RoleLooking
}

// queued takes a disk effect at the moment at which the process decides on it: its own
// view of the log changes now.
func (t *truth) queued(m *member, e replica.Effect) {
	if t == nil {
		return
	}
	v := t.of(m)
	switch e := e.(type) {
	case zab.Append:
		r := recordOf(e.Entry)
		t.logged(m, r)
		if opOf(e.Entry) == jute.OpDeleteContainer && v.role == zab.RoleLeaderEstablished {
			t.w.count(countDisposed)
		}
		t.proposesMembership(e.Entry)
		v.log = append(v.log, r)
		v.disk.queued = append(v.disk.queued, r)
	case zab.Truncate:
		v.log = v.log[:upTo(v.log, e.Zxid)]
	case replica.InstallSnapshot:
		v.log = v.received
		v.disk.incoming = append(v.disk.incoming, slices.Clone(v.received))
	}
}

// history returns a copy of what a member has logged up to a zxid.
func (t *truth) history(m *member, zxid int64) []record {
	if t == nil {
		return nil
	}
	v := t.of(m)
	return slices.Clone(v.log[:upTo(v.log, zxid)])
}

// receives notes the history in a snapshot that a member is about to be given.
func (t *truth) receives(m *member, history []record) {
	if t == nil {
		return
	}
	t.of(m).received = history
}

// logged checks that what is logged was made by the established leader of its epoch.
func (t *truth) logged(m *member, r record) {
	v := t.of(m)
	if made, ok := t.proposed[r.zxid]; ok {
		if made != r.hash {
			t.w.violate("Integrity: %s logs %x with other content than it was proposed with", name(m.sid), r.zxid)
		}
		return
	}
	if v.role != zab.RoleLeaderEstablished || v.epoch != r.zxid>>32 {
		t.w.violate("PrimaryIntegrity: %s, %v of epoch %d, logs %x, which no leader proposed", name(m.sid), v.role, v.epoch, r.zxid)
	}
	t.proposed[r.zxid] = r.hash
}

func (t *truth) roleChanged(m *member, e zab.RoleChanged) {
	if t == nil {
		return
	}
	v := t.of(m)
	if v.role == zab.RoleLeaderEstablished {
		t.w.count(countDeposed)
	}
	v.role, v.epoch, v.lastZxid = e.Role, e.Epoch, none
	if e.Role != zab.RoleLeaderEstablished {
		return
	}
	t.w.count(countTerm)
	if other, ok := t.leaders[e.Epoch]; ok && other != m.sid {
		t.w.violate("Leadership: %s leads epoch %d, and so does %s", name(m.sid), e.Epoch, name(other))
	}
	t.leaders[e.Epoch] = m.sid
	if t.w.verifier.Weight(m.sid) == 0 {
		t.w.violate("Leadership: %s leads epoch %d and has no vote", name(m.sid), e.Epoch)
	}
	// A leader that was cut off while others took its place may learn late that it had been
	// established: what they committed since is not asked of it.
	if r, ok := t.newestBefore(e.Epoch); ok && !has(v.log, r) {
		t.w.violate("LeaderLogCompleteness: %s leads epoch %d and lacks %x, which was committed", name(m.sid), e.Epoch, r.zxid)
	}
}

func has(log []record, r record) bool {
	i := upTo(log, r.zxid)
	return i > 0 && log[i-1] == r
}

// informed notes the epoch that a leader proposed to a member.
func (t *truth) informed(m *member, epoch int64) {
	if t == nil {
		return
	}
	t.of(m).promised = epoch
}

// sends checks what a member vouches for.
func (t *truth) sends(m *member, p *jute.QuorumPacket) {
	if t == nil {
		return
	}
	v := t.of(m)
	switch {
	case p.Type == jute.PacketAckEpoch:
		if v.disk.accepted < v.promised {
			t.w.violate("AckIntegrity: %s acknowledges epoch %d, and its disk has accepted epoch %d", name(m.sid), v.promised, v.disk.accepted)
		}
	case p.Type != jute.PacketAck:
	case p.Zxid&0xffffffff == 0:
		if v.disk.current < p.Zxid>>32 {
			t.w.violate("AckIntegrity: %s acknowledges NEWLEADER %x, and its disk has current epoch %d", name(m.sid), p.Zxid, v.disk.current)
		}
	case v.disk.last() < p.Zxid:
		t.w.violate("AckIntegrity: %s acknowledges %x, and its disk ends at %x", name(m.sid), p.Zxid, v.disk.last())
	}
}

// stepped checks what a member has applied.
func (t *truth) stepped(m *member) {
	if t == nil {
		return
	}
	v := t.of(m)
	if !v.role.Established() || t.w.failed() {
		return
	}
	last := m.replica.Tree().LastZxid()
	if last == v.lastZxid {
		return
	}
	if last < v.lastZxid {
		t.w.violate("CommittedLogMonotonicity: %s goes back from %x to %x", name(m.sid), v.lastZxid, last)
		return
	}
	if v.lastZxid == none {
		v.applied = 0
	}
	v.lastZxid = last
	// Committed so far is what the log begins with, so both have the same index.
	for _, r := range v.log[v.applied:] {
		if r.zxid > last {
			break
		}
		if v.applied == len(t.committed) {
			t.commit(m, r)
		} else if t.committed[v.applied] != r {
			t.w.violate("Agreement: %s applied %x where %x was committed", name(m.sid), r.zxid, t.committed[v.applied].zxid)
			return
		}
		v.applied++
	}
	t.compareDigest(m, v, last)
}

// compareDigest holds a member's tree to that of whoever applied the same before.
func (t *truth) compareDigest(m *member, v *view, last int64) {
	if v.applied == 0 || t.committed[v.applied-1].zxid != last {
		if last != 0 && !t.w.failed() {
			t.w.violate("PrefixConsistency: the tree of %s ends at %x, which its log does not have as committed", name(m.sid), last)
		}
		return
	}
	value, d := m.replica.Tree().Digest(), &t.digests[v.applied-1]
	if d.known && d.value != value {
		t.w.violate("ProcessConsistency: after %x the tree of %s has digest %x, another's was %x", last, name(m.sid), uint64(value), uint64(d.value))
	}
	*d = digest{true, value}
	if n := m.replica.Tree().DigestMismatches(); n > 0 {
		t.w.violate("ProcessConsistency: the tree of %s differed from the leader's %d times", name(m.sid), n)
	}
}

// commit notes a transaction that a serving member is the first to apply.
func (t *truth) commit(m *member, r record) {
	epoch := t.of(m).epoch
	if n := len(t.committed); n > 0 {
		t.checkOrder(m, t.committed[n-1].zxid, r.zxid)
		epoch = max(epoch, t.committers[n-1])
	}
	t.committed = append(t.committed, r)
	t.digests = append(t.digests, digest{})
	t.committers = append(t.committers, epoch)
	t.w.count(countCommit)
	t.checkDurability(name(m.sid) + " applied it")
	if next := t.memberships[r.zxid]; next != nil {
		t.voters = next
	}
}

// checkOrder demands that what is committed behind a transaction comes behind it.
func (t *truth) checkOrder(m *member, last, next int64) {
	switch epoch := next >> 32; {
	case last >= next && last>>32 > epoch:
		t.w.violate("GlobalPrimaryOrder: %s applied %x after %x of a later leader was committed", name(m.sid), next, last)
	case last >= next:
		t.w.violate("TotalOrder: %s applied %x after %x was committed", name(m.sid), next, last)
	case last>>32 == epoch && next != last+1, last>>32 < epoch && next&0xffffffff != 1:
		t.w.violate("LocalPrimaryOrder: %s applied %x after %x: what its leader proposed before it is missing", name(m.sid), next, last)
	}
}

// closes checks why a member closes a connection: its peers are honest.
func (t *truth) closes(m *member, e zab.Close) {
	if t == nil {
		return
	}
	if e.Breach {
		t.w.violate("NoIllegalMessage: %s refuses an honest peer: %s", name(m.sid), e.Reason)
	}
}

// checkDurability demands that a quorum has the newest committed transaction on its disks,
// and so, as logs have no holes, all of them. A member that is down counts with what is
// durable there.
func (t *truth) checkDurability(why string) {
	n := len(t.committed)
	if n == 0 {
		return
	}
	holders := &t.holders
	holders.Reset()
	for i, v := range t.views {
		if v.disk.has(t.committed[n-1]) {
			holders.Add(int64(i + 1))
		}
	}
	if !t.isQuorum(*holders) {
		t.w.violate("CommittedLogDurability: %x is committed, and only the disks of %v have it, no quorum of %s: %s",
			t.committed[n-1].zxid, holders.Sids(), t.voters, why)
	}
}
