package member

import (
	"strings"

	"zoolab/node/config"
	"zoolab/node/peer"
	"zoolab/node/replica"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// reconfig lets the membership change, where that is configured.
func (m *Member) reconfig() *zab.Reconfig {
	if !m.cfg.ReconfigEnabled || !m.cfg.Distributed {
		return nil
	}
	r := &zab.Reconfig{Parse: parseMembership, TextOf: replica.TextOfReconfig}
	if m.cfg.NextMembership != nil {
		if next, err := parseMembership([]byte(m.cfg.NextMembership.Text())); err == nil {
			r.Next = &next
		}
	}
	return r
}

// parseMembership reads a text for the protocol.
func parseMembership(text []byte) (zab.Membership, error) {
	read, err := config.ParseMembership("configuration", string(text))
	if err != nil {
		return zab.Membership{}, err
	}
	verifier, err := read.Verifier()
	if err != nil {
		return zab.Membership{}, err
	}
	return zab.Membership{Version: read.Version, Text: text, Verifier: verifier, Quorum: quorumAddresses(read)}, nil
}

// quorumAddresses are where members lead, by sid.
func quorumAddresses(m *config.Membership) map[int64]string {
	addresses := make(map[int64]string)
	for sid, a := range peerAddresses(m, nil, 0) {
		addresses[sid] = strings.Join(a.Quorum, "|")
	}
	return addresses
}

// peerAddresses are where the members of a membership listen, and those of a proposed one
// that are not in it. masterPort is the port at which voters serve observers, 0 for none.
func peerAddresses(m, next *config.Membership, masterPort int) map[int64]peer.Address {
	members := make(map[int64]peer.Address)
	for _, of := range []*config.Membership{next, m} {
		if of == nil {
			continue
		}
		for _, s := range of.Servers {
			members[s.ID] = peerAddress(s, masterPort)
		}
	}
	return members
}

// changeMembership makes the text of the membership that a request asks for.
func (m *Member) changeMembership(present []byte, q *jute.ReconfigRequest, version int64) ([]byte, error) {
	from, err := config.ParseMembership("configuration", string(present))
	if err != nil {
		return nil, err
	}
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	least := 1
	if m.cfg.Ensemble.StandaloneEnabled {
		least = 2
	}
	to, err := from.Change(config.Change{
		Bulk: q.NewMembers != nil, Members: text(q.NewMembers),
		Joining: text(q.JoiningServers), Leaving: text(q.LeavingServers),
	}, version, least)
	if err != nil {
		m.log.Warn("refused a reconfiguration", "err", err)
		return nil, err
	}
	return []byte(to.Text()), nil
}

// membershipChanged makes the transports follow a change of the membership. The port of TLS
// clients stands in zoo.cfg alone.
func (m *Member) membershipChanged(e zab.SaveMembership) {
	committed, next, err := memberships(&e)
	if err != nil {
		m.fail(err)
		return
	}
	m.log.Info("membership", "version", hex(e.Committed.Version), "voters", e.Committed.Verifier.Voters(), "proposed", e.Next != nil)
	m.knowHosts(committed, next)
	m.peers.Update(peerAddresses(committed, next, m.cfg.Ensemble.ObserverMasterPort))
	own, _ := committed.Server(m.cfg.MyID)
	if client := own.ClientAddr(); client.Port != 0 && client != m.clientAddr {
		m.clientAddr = client
		m.clients.Move(address(client))
	}
}

// memberships reads both texts.
func memberships(e *zab.SaveMembership) (committed, next *config.Membership, err error) {
	if committed, err = config.ParseMembership("configuration", string(e.Committed.Text)); err == nil && e.Next != nil {
		next, err = config.ParseMembership("proposed configuration", string(e.Next.Text))
	}
	return committed, next, err
}

// saveMembership writes the files. That they can't be written does not stop a member, as
// in Apache: a restart finds a reconfiguration in the log too, and asks both memberships.
func (m *Member) saveMembership(e *zab.SaveMembership) {
	committed, next, err := memberships(e)
	if err == nil {
		err = m.membershipFiles.Save(committed, next)
	}
	if err != nil {
		m.log.Error("could not save the membership. Make the directory of the configuration writable for the server, or write the "+
			"membership there by hand before it is started again", "file", m.cfg.File, "version", hex(e.Committed.Version), "err", err)
	}
}
