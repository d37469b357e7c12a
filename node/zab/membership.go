package zab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"zoolab/node/quorum"
	"zoolab/zk/jute"
)

// Membership is a configuration of the ensemble, as far as the protocol must know it.
type Membership struct {
	// Version is the zxid of the reconfiguration that made it, epoch<<32 for the one with
	// which an ensemble was started and that its first leader established, 0 before that.
	Version int64
	// Text is what travels: "server.1=host:2888:3888:participant;0.0.0.0:2181\n...version=0".
	Text []byte
	// Verifier knows the voters, and decides what a quorum of them is.
	Verifier quorum.Verifier
	// Quorum has the address of each member's quorum port, observers included.
	Quorum map[int64]string
}

func (m *Membership) votes(sid int64) bool {
	_, found := slices.BinarySearch(m.Verifier.Voters(), sid)
	return found
}

// Reconfig makes the membership one that can change.
type Reconfig struct {
	// Parse reads a membership's text.
	Parse func(text []byte) (Membership, error)
	// TextOf returns the membership in a logged transaction, nil if it is no reconfiguration.
	TextOf func(payload []byte) []byte
	// Next is a membership newer than the committed one that the disk knows of.
	Next *Membership
}

// memberships are the configurations that count. Everything that needs a quorum needs one
// of each of them; see DESIGN.md, "Reconfiguration".
type memberships struct {
	// committed is the newest that this member knows to be committed.
	committed Membership
	// next was proposed, and whether it is committed is not known here. Invariant: it is nil
	// or newer than committed.
	next *Membership
	// voters are those of both, in rising order.
	voters []int64
	// told is what the leader sent with NEWLEADER. It takes effect with UPTODATE.
	told *Membership
}

// newMemberships takes what the disk knows of. A proposed configuration is saved before the
// transaction that proposes it, so a crash may leave the one without the other. This member
// has vouched for it if its log reaches that far, or if it was told before its current epoch
// was saved. Otherwise it must not count: no quorum may ever have heard of it, and a leader
// that were to complete it would commit what its log does not have.
func newMemberships(cfg *Config, boot Boot) memberships {
	m := memberships{committed: Membership{
		Version: cfg.ConfigVersion, Text: cfg.ElectionConfig, Verifier: cfg.Verifier, Quorum: cfg.QuorumAddresses,
	}}
	if r := cfg.Reconfig; r != nil && r.Next != nil && r.Next.Version > m.committed.Version &&
		r.Next.Version <= max(boot.LastZxid, makeZxid(boot.CurrentEpoch, 0)) {
		m.next = r.Next
	}
	m.count()
	return m
}

// saveForgotten makes durable that newMemberships did not take what the disk had proposed.
// Later the log may reach beyond it, and it would be taken for a part of that.
func (c *Core) saveForgotten() {
	if r := c.cfg.Reconfig; r != nil && r.Next != nil && c.members.next == nil {
		c.saveMembership()
	}
}

// count finds the voters again after a change.
func (m *memberships) count() {
	m.voters = slices.Clone(m.committed.Verifier.Voters())
	if m.next != nil {
		m.voters = append(m.voters, m.next.Verifier.Voters()...)
		slices.Sort(m.voters)
		m.voters = slices.Compact(m.voters)
	}
}

// isVoter reports whether sid votes in any configuration that counts.
func (c *Core) isVoter(sid int64) bool {
	_, found := slices.BinarySearch(c.members.voters, sid)
	return found
}

// isObserver reports whether sid is a member without a vote.
func (c *Core) isObserver(sid int64) bool {
	_, named := c.members.committed.Quorum[sid]
	return named && !c.isVoter(sid)
}

// observers lists the members without a vote, in rising order.
func (c *Core) observers() []int64 {
	var sids []int64
	for sid := range c.members.committed.Quorum {
		if !c.isVoter(sid) {
			sids = append(sids, sid)
		}
	}
	slices.Sort(sids)
	return sids
}

// weight is that of sid's vote, 0 for somebody who can't be elected.
func (c *Core) weight(sid int64) int64 {
	w := c.members.committed.Verifier.Weight(sid)
	if next := c.members.next; next != nil {
		w = max(w, next.Verifier.Weight(sid))
	}
	return w
}

// containsQuorum reports whether s has a quorum of every configuration that counts.
func (c *Core) containsQuorum(s quorum.Set) bool { return c.commits(math.MaxInt64, s) }

// commits reports whether acknowledgements by s commit a proposal. Those from before a
// reconfiguration need no quorum of its members.
func (c *Core) commits(zxid int64, s quorum.Set) bool {
	next := c.members.next
	return c.members.committed.Verifier.ContainsQuorum(s) &&
		(next == nil || next.Version > zxid || next.Verifier.ContainsQuorum(s))
}

// counts reports whether a learner counts for an epoch and for its NEWLEADER. Who observes
// does not, unless the proposed configuration gives it a vote: it can't know that before it
// is synchronized, and without it there may be no quorum. Until then it does as followers do.
func (c *Core) counts(l *learner) bool {
	next := c.members.next
	return !l.observer || next != nil && next.votes(l.sid) && !c.members.committed.votes(l.sid)
}

// parseMembership reads a text; ok is false where memberships don't change, or it can't be read.
func (c *Core) parseMembership(text []byte) (m Membership, ok bool) {
	if c.cfg.Reconfig == nil || len(text) <= 1 {
		return m, false
	}
	m, err := c.cfg.Reconfig.Parse(text)
	return m, err == nil
}

// membershipIn returns the configuration that a transaction proposes, nil for none. ok is
// false when it proposes one that can't be read.
func (c *Core) membershipIn(e Entry) (m *Membership, ok bool) {
	if c.cfg.Reconfig == nil {
		return nil, true
	}
	text := c.cfg.Reconfig.TextOf(e.Payload)
	if text == nil {
		return nil, true
	}
	read, ok := c.parseMembership(text)
	if !ok || read.Version != e.Zxid {
		return nil, false
	}
	return &read, true
}

// logsMembership notes the configuration that is about to be logged. A leader proposes one
// at a time, so a proposal proves that the one before it was committed.
func (c *Core) logsMembership(m *Membership) {
	if m.Version <= c.members.committed.Version {
		return // history of long ago
	}
	if next := c.members.next; next != nil && next.Version < m.Version {
		c.members.committed = *next
	}
	c.setNext(m)
}

func (c *Core) setNext(m *Membership) {
	c.members.next = m
	c.saveMembership()
}

// activate makes a configuration that was committed the one that counts. It reports
// whether it is new.
func (c *Core) activate(m *Membership) bool {
	if m.Version <= c.members.committed.Version {
		return false
	}
	c.members.committed = *m
	if next := c.members.next; next != nil && next.Version <= m.Version {
		c.members.next = nil
	}
	c.saveMembership()
	return true
}

// saveMembership makes the configurations durable before anything that is logged later.
func (c *Core) saveMembership() {
	c.members.count()
	c.emit(SaveMembership{Seq: c.nextSeq(), Committed: c.members.committed, Next: c.members.next})
}

// forgetMembership drops a proposed configuration that was truncated from the log.
func (c *Core) forgetMembership(after int64) {
	if next := c.members.next; next != nil && next.Version > after {
		c.setNext(nil)
	}
}

// treeMembership takes the configuration in a tree that replaced ours.
func (c *Core) treeMembership(text []byte) {
	m, ok := c.parseMembership(text)
	switch {
	case c.cfg.Reconfig == nil:
	case ok && m.Version > c.members.committed.Version:
		c.setNext(&m)
	case c.members.next != nil:
		c.setNext(nil)
	}
}

// hearMembership takes a newer configuration from a vote, which tells only committed ones.
func (c *Core) hearMembership(text []byte) {
	if c.role != RoleLooking || c.election.decided || bytes.Equal(text, c.members.committed.Text) {
		return
	}
	if m, ok := c.parseMembership(text); ok && c.activate(&m) {
		c.startRound(c.ownVote())
	}
}

// confirmMembership hears from a learner that the configuration which is proposed here was
// committed. A member that restarted may be elected by those who know that already, without
// having heard a vote of theirs.
func (c *Core) confirmMembership(version int64) {
	next := c.members.next
	if next == nil || next.Version != version || c.role == RoleLeaderEstablished {
		return
	}
	c.activate(next)
	switch {
	case c.role == RoleLeading:
		c.checkAccepted()
		c.checkNewLeader()
	case !c.election.decided:
		c.startRound(c.ownVote())
	}
}

// establishMembership gives the configuration with which an ensemble was started a
// version, so that it beats those with which others are started to join it.
func (c *Core) establishMembership() {
	if c.cfg.Reconfig == nil || c.members.committed.Version != 0 || c.members.next != nil {
		return
	}
	m := c.members.committed
	m.Version = makeZxid(c.lead.epoch, 0)
	if at := bytes.LastIndex(m.Text, []byte("version=")); at >= 0 {
		m.Text = fmt.Appendf(slices.Clone(m.Text[:at]), "version=%x", m.Version)
	}
	c.setNext(&m)
}

// finishMembership activates, on a leader that a quorum of it just followed, what an
// earlier leader proposed or establishMembership made.
func (c *Core) finishMembership() {
	if c.members.next != nil {
		c.activate(c.members.next)
	}
}

// mayLead reports whether this member votes in the committed configuration, at the address
// at which it leads.
func (c *Core) mayLead(before map[int64]string) bool {
	m := &c.members.committed
	return m.votes(c.cfg.SID) && m.Quorum[c.cfg.SID] == before[c.cfg.SID]
}

// tellsMembership is what NEWLEADER tells: before this leader is established also what is
// not committed yet, since it will be with it. Later a proposal under way comes behind
// NEWLEADER and is activated by its own commit.
func (c *Core) tellsMembership() []byte {
	if next := c.members.next; next != nil && c.role == RoleLeading {
		return next.Text
	}
	return c.members.committed.Text
}

// commitMembership activates a reconfiguration that this leader just committed, and tells
// everybody who leads from here on.
func (c *Core) commitMembership(m *Membership, payload []byte) {
	before := c.members.committed.Quorum
	designated := c.designate(m)
	c.activate(m)
	data := binary.BigEndian.AppendUint64(nil, uint64(designated))
	for _, l := range c.learners {
		switch {
		case l.observer && l.stage >= learnerSyncs:
			c.send(l.conn, jute.PacketInformAndActivate, m.Version, slices.Concat(data, payload))
		case !l.observer && l.stage == learnerServed:
			c.send(l.conn, jute.PacketCommitAndActivate, m.Version, data)
		}
	}
	c.mayDeliver(m.Version)
	if designated != c.cfg.SID {
		c.handOver(designated, fmt.Sprintf("member %d leads by configuration %x", designated, m.Version))
	} else if !c.mayLead(before) {
		c.lookAgain(fmt.Sprintf("configuration %x has this leader elsewhere", m.Version), nobody)
	}
}

// designate chooses who leads by a configuration that is committed: this member if it may,
// else the voter with most of the log.
func (c *Core) designate(m *Membership) int64 {
	if m.votes(c.cfg.SID) && m.Quorum[c.cfg.SID] == c.members.committed.Quorum[c.cfg.SID] {
		return c.cfg.SID
	}
	best, acked := c.cfg.SID, int64(-1)
	for _, l := range c.learners {
		if l.stage == learnerServed && !l.observer && m.Verifier.Weight(l.sid) > 0 && l.acked > acked {
			best, acked = l.sid, l.acked
		}
	}
	return best
}

// activateReceived takes the commit of a reconfiguration from our leader.
func (c *Core) activateReceived(p jute.QuorumPacket) {
	f := &c.follow
	conn := f.conn
	before := c.members.committed.Quorum
	c.commitReceived(p.Zxid, p.Data)
	next := c.members.next
	if f.conn != conn || next == nil || next.Version != p.Zxid {
		return
	}
	c.activate(next)
	designated := f.leader
	if d := jute.NewDecoder(p.Data); d.Len() >= 8 {
		designated = d.Int64()
	}
	if designated != f.leader && c.isVoter(designated) {
		c.handOver(designated, fmt.Sprintf("member %d leads by configuration %x", designated, p.Zxid))
		return
	}
	c.checkLeaderStays(before)
}

// toldMembership takes what NEWLEADER told, now that its leader is established. A Java
// leader may tell what is only proposed: that waits for its commit.
func (c *Core) toldMembership() {
	m := c.members.told
	c.members.told = nil
	if m == nil {
		return
	}
	before := c.members.committed.Quorum
	settled := func(version int64) bool {
		return epochOf(version) < c.follow.epoch || version <= c.deliverable || counterOf(version) == 0
	}
	if settled(m.Version) {
		c.activate(m)
	}
	if next := c.members.next; next != nil && settled(next.Version) {
		c.setNext(nil) // it is not in the history of any leader that was established
	}
	c.checkLeaderStays(before)
}

// checkLeaderStays leaves a leader that the configuration does not have where we found it.
func (c *Core) checkLeaderStays(before map[int64]string) {
	m, leader := &c.members.committed, c.follow.leader
	if !m.votes(leader) || m.Quorum[leader] != before[leader] && before[leader] != "" {
		c.leaveLeader("configuration %x does not have it there", m.Version)
	} else if c.follow.observing != c.isObserver(c.cfg.SID) {
		c.leaveLeader("configuration %x gives us another role, in which to come again", m.Version)
	}
}

// handOver gives up the present role for one under a leader that was designated, without
// an election. If that fails there will be one.
func (c *Core) handOver(to int64, reason string) {
	c.leaveRole(reason)
	e := &c.election
	e.startedMs, e.lost = c.nowMs, nobody
	e.received, e.established = make(map[int64]vote), make(map[int64]vote)
	c.decide(vote{leader: to, zxid: c.log.last, peerEpoch: c.currentEpoch})
	c.follow.designated = c.role == RoleFollowing
}

// Memberships returns the committed configuration and the one that is proposed, if any.
func (c *Core) Memberships() (committed Membership, next *Membership) {
	return c.members.committed, c.members.next
}

// QuorumSynced reports whether those that are synchronized with this leader, and itself,
// are a quorum of a configuration.
func (c *Core) QuorumSynced(m *Membership) bool {
	var synced quorum.Set
	synced.Add(c.cfg.SID)
	for _, l := range c.learners {
		if l.stage == learnerServed && !l.observer {
			synced.Add(l.sid)
		}
	}
	return m.Verifier.ContainsQuorum(synced)
}
