package member

import (
	"time"

	"zoolab/node/config"
	"zoolab/node/peer"
)

// peerConfig is what the transport between members needs to know.
func (m *Member) peerConfig() peer.Config {
	e := &m.cfg.Ensemble
	c := peer.Config{
		SID: m.cfg.MyID, Members: peerAddresses(&m.cfg.Membership, m.cfg.NextMembership, e.ObserverMasterPort),
		AcceptStrangers: m.cfg.ReconfigEnabled,
		ListenOnAllIPs:  e.ListenOnAllIPs,
		DialTimeout:     time.Duration(e.CnxTimeoutMs) * time.Millisecond,
		StallTimeout:    time.Duration(e.SyncLimitTicks*m.cfg.TickTimeMs) * time.Millisecond,
		BindAttempts:    e.ElectionPortBindRetries,
		MaxFieldBytes:   m.cfg.JuteMaxBufferBytes + m.cfg.JuteExtraSizeBytes,
		MaxQueuedBytes:  256 << 20,
		MultiAddress:    e.MultiAddressEnabled,
		Security:        m.peerSecurity,
	}
	if e.QuorumCnxnTimeoutMs > 0 {
		c.ElectionHelloTimeout = time.Duration(e.QuorumCnxnTimeoutMs) * time.Millisecond
	}
	if e.MultiAddressReachabilityCheck {
		c.ReachableTimeout = time.Duration(e.MultiAddressReachabilityMs) * time.Millisecond
	}
	return c
}

func peerAddress(s config.Server, masterPort int) peer.Address {
	var address peer.Address
	for _, a := range s.Addrs {
		address.Quorum = append(address.Quorum, config.HostPort{Host: a.Host, Port: a.QuorumPort}.String())
		address.Election = append(address.Election, config.HostPort{Host: a.Host, Port: a.ElectionPort}.String())
		if masterPort > 0 && s.Role == config.Participant {
			address.Master = append(address.Master, config.HostPort{Host: a.Host, Port: masterPort}.String())
		}
	}
	return address
}

// openPeerSecurity opens the stores of the connections between members, as far as these are
// to be protected.
func (m *Member) openPeerSecurity() (security peer.Security, err error) {
	e := &m.cfg.Ensemble
	if !m.cfg.Distributed {
		return security, nil
	}
	if e.SASL.Enabled {
		security.SASL = &peer.SASL{
			User: e.SASL.User, Password: e.SASL.Password, Users: e.SASL.Users,
			Prove: e.SASL.LearnerRequired, Require: e.SASL.ServerRequired,
		}
	}
	if !e.SSLQuorum && !e.PortUnification {
		return security, nil
	}
	stores, err := openStores(m.cfg, e.TLS, m.log)
	if err != nil {
		return security, err
	}
	m.knowHosts(&m.cfg.Membership, m.cfg.NextMembership)
	security.TLS = &peer.TLS{
		Server: stores.ServerFor(func() []string { return *m.hosts.Load() }), Client: stores.Client,
		Dial: e.SSLQuorum, AcceptPlain: e.PortUnification, Detection: stores.HandshakeDetection(),
	}
	return security, nil
}

// knowHosts takes over the hosts of the members, of which a member's certificate may be.
func (m *Member) knowHosts(memberships ...*config.Membership) {
	var hosts []string
	for _, of := range memberships {
		if of == nil {
			continue
		}
		for _, s := range of.Servers {
			for _, a := range s.Addrs {
				hosts = append(hosts, a.Host)
			}
		}
	}
	m.hosts.Store(&hosts)
}
