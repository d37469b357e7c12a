package member

import (
	"strconv"
	"strings"
	"time"

	"zoolab/node/metrics"
	"zoolab/node/replica"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// measure counts what the replica's last step measured.
func (m *Member) measure() {
	x := m.metrics
	for _, s := range m.replica.Samples() {
		switch s.What {
		case replica.Proposed:
			x.Proposals.Add(1)
		case replica.Committed:
			x.Commits.Add(1)
			x.QuorumAck.Observe(s.Value)
		case replica.ProposalReceived:
			x.LearnerProposals.Add(1)
			x.ProposalLatency.Observe(s.Value)
		case replica.CommitReceived:
			x.LearnerCommits.Add(1)
			x.CommitPropagation.Observe(s.Value)
		case replica.Applied:
			x.Propagation.Observe(s.Value)
		case replica.Written:
			if top, _, _ := strings.Cut(strings.TrimPrefix(s.Path, "/"), "/"); top != "" {
				x.WritePerNamespace.At(top).Observe(s.Value)
			}
		case replica.WatchesFired:
			if fired := m.watchesFired(s.Event); fired != nil {
				fired.Observe(s.Value)
			}
		case replica.SessionExpired:
			x.SessionsExpired.Add(1)
		case replica.ClosedEarly:
			x.ClosedWithoutQuorum.Add(1)
		case replica.Acknowledged:
			x.AckLatency.At(strconv.FormatInt(s.SID, 10)).Observe(s.Value)
		case replica.AckSent:
			x.AckSent.Observe(s.Value)
		case replica.AnsweredNobody:
			x.StaleReplies.Add(s.Value)
		}
	}
}

func (m *Member) watchesFired(event jute.EventType) *metrics.Summary {
	switch event {
	case jute.EventNodeCreated:
		return &m.metrics.WatchesCreated
	case jute.EventNodeDeleted:
		return &m.metrics.WatchesDeleted
	case jute.EventNodeDataChanged:
		return &m.metrics.WatchesChanged
	case jute.EventNodeChildrenChanged:
		return &m.metrics.WatchesChildren
	}
	return nil
}

// measureSend counts the packets that begin something.
func (m *Member) measureSend(p *jute.QuorumPacket) {
	switch p.Type {
	case jute.PacketDiff, jute.PacketTrunc:
		if p.Type == jute.PacketDiff {
			m.metrics.Diffs.Add(1)
		}
		m.metrics.InflightDiffs.Observe(int64(m.replica.Synchronizing(false)))
	case jute.PacketSnap:
		m.metrics.Snaps.Add(1)
		m.metrics.InflightSnaps.Observe(int64(m.replica.Synchronizing(true)))
	case jute.PacketRevalidate:
		if m.replica.Status().Role == zab.RoleLeaderEstablished {
			m.metrics.Revalidations.Add(1)
		} else {
			m.metrics.ConnectionRevalidations.Add(1)
		}
	}
}

// roles measures how long a member is without an established role. The event loop owns it.
type roles struct {
	lostAt  time.Time // when the member began to look for a leader, zero once it serves
	foundAt time.Time // when the leader was found

	deserted int64 // as the replica counts
}

// measureRole measures elections. A member that stands alone has none to speak of.
func (m *Member) measureRole(e zab.RoleChanged) {
	if !m.cfg.Distributed {
		return
	}
	x, r, now := m.metrics, &m.roles, time.Now()
	deserted := m.replica.Status().Deserted
	x.Deserted.Add(deserted - r.deserted)
	r.deserted = deserted
	switch e.Role {
	case zab.RoleLooking:
		x.Elections.Add(1)
		if r.lostAt.IsZero() {
			r.lostAt = now
		}
	case zab.RoleFollowing, zab.RoleLeading:
		r.foundAt = now
		x.Election.Observe(m.replica.Status().ElectionTimeMs * int64(time.Millisecond/time.Microsecond))
	case zab.RoleFollowerEstablished, zab.RoleLeaderEstablished, zab.RoleObserverEstablished:
		if !r.lostAt.IsZero() {
			x.Unavailable.Observe(now.Sub(r.lostAt).Microseconds())
		}
		if e.Role == zab.RoleFollowerEstablished {
			x.FollowerSync.Observe(now.Sub(r.foundAt).Microseconds())
		} else if e.Role == zab.RoleObserverEstablished {
			x.ObserverSync.Observe(now.Sub(r.foundAt).Microseconds())
		} else if !r.lostAt.IsZero() {
			x.LeaderUnavailable.Observe(now.Sub(r.lostAt).Microseconds())
		}
		r.lostAt = time.Time{}
	}
}

// requestsIn counts the clients' requests among inputs.
func requestsIn(batch []replica.Input) (n int64) {
	for _, in := range batch {
		if _, ok := in.(replica.ClientRequest); ok {
			n++
		}
	}
	return n
}

// measureBatch counts what the event loop took from its inbox at once, and shares the
// time that it took among the requests.
func (m *Member) measureBatch(inputs int, requests int64, since, began time.Time) {
	if inputs > 0 {
		m.metrics.InboxTime.Observe(began.Sub(since).Microseconds())
		m.metrics.InboxSize.Observe(int64(inputs))
	}
	if requests > 0 {
		m.metrics.RequestsSubmitted.Add(requests)
		tookUs := time.Since(began).Microseconds()
		m.metrics.StepTime.ObserveAll(requests, tookUs, tookUs/requests, tookUs/requests)
	}
}
