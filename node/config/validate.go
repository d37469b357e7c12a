package config

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"zoolab/node/quorum"
)

const (
	minCommitLogCount  = 500
	minSnapRetainCount = 3
	minSnapCount       = 2
	// maxExtendedTypesID: TTL and container nodes mark their kind in the byte
	// that otherwise holds the id of the server that made the session.
	maxExtendedTypesID = 254
	// maxSessionID: session ids hold the server's id in one byte.
	maxSessionID = 255

	// Apache's class names of metrics providers.
	prometheusProvider = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"
	defaultProvider    = "org.apache.zookeeper.metrics.impl.DefaultMetricsProvider"
	nullProvider       = "org.apache.zookeeper.metrics.impl.NullMetricsProvider"
)

// checkThrottles has Apache's rules for the throttles, with a warning where they change
// what was given.
func (p *parser) checkThrottles() {
	c := &p.Clients
	if c.LargeRequestThresholdBytes == 0 {
		p.warn("largeRequestThreshold", "0 is no threshold: large requests have no limit")
		c.LargeRequestThresholdBytes = -1
	}
	t := &c.ConnectionThrottle
	raise := func(key string, field *int) {
		if *field < t.LocalWeight {
			p.warn(key, "%d is less than connection_throttle_local_session_weight: %d is used", *field, t.LocalWeight)
			*field = t.LocalWeight
		}
	}
	raise("connection_throttle_global_session_weight", &t.GlobalWeight)
	raise("connection_throttle_renew_session_weight", &t.RenewWeight)
}

// checkRanges has the rules of Apache for single settings and for pairs that
// have nothing to do with members. What Apache silently raises to a minimum is
// raised here too, with a warning.
func (p *parser) checkRanges() {
	if _, given := p.lines["dataDir"]; !given {
		p.fail("dataDir", faultf("add a line such as dataDir=/var/lib/zookeeper", "is not set"))
	}
	if p.Storage.DataLogDir == "" {
		p.Storage.DataLogDir = p.Storage.DataDir
	}
	raise := func(key string, field *int, least int) {
		if *field < least {
			p.warn(key, "%d is too small: %d is used", *field, least)
			*field = least
		}
	}
	raise("autopurge.snapRetainCount", &p.Storage.SnapRetainCount, minSnapRetainCount)
	raise("snapCount", &p.Storage.SnapCount, minSnapCount)
	raise("commitLogCount", &p.Storage.CommitLogCount, minCommitLogCount)
	if p.Ensemble.MinNotificationMs > p.Ensemble.MaxNotificationMs {
		p.fail("fastleader.minNotificationInterval", faultf("lower it, or raise fastleader.maxNotificationInterval",
			"%d is larger than fastleader.maxNotificationInterval, which is %d", p.Ensemble.MinNotificationMs, p.Ensemble.MaxNotificationMs))
	}
	needs := func(key string, given bool, other string, otherGiven bool) {
		if given && !otherGiven && !p.failedAlready(other) {
			p.fail(key, faultf("add "+other+"=true, or remove this line", "needs %s=true", other))
		}
	}
	needs("quorum.auth.serverRequireSasl", p.Ensemble.SASL.ServerRequired, "quorum.auth.enableSasl", p.Ensemble.SASL.Enabled)
	needs("quorum.auth.learnerRequireSasl", p.Ensemble.SASL.LearnerRequired, "quorum.auth.enableSasl", p.Ensemble.SASL.Enabled)
	needs("quorum.auth.serverRequireSasl", p.Ensemble.SASL.ServerRequired, "quorum.auth.learnerRequireSasl", p.Ensemble.SASL.LearnerRequired)
	if !p.observerSync {
		p.warn("syncEnabled", "false has no effect here: observers write a log and snapshots, too, and are sent only what they missed when they come back")
	}
	if !p.Storage.ForceSync {
		p.warn("forceSync", "acknowledged writes can be lost when the machine loses power")
	}
	switch p.metricsClassName {
	case prometheusProvider:
		p.Admin.PrometheusExporter = true
	case "", defaultProvider, nullProvider:
	default:
		p.warn("metricsProvider.className", "%q is not a provider of this server: metrics are not exported", p.metricsClassName)
	}
	if p.JuteExtraSizeBytes < 0 {
		p.JuteExtraSizeBytes = p.JuteMaxBufferBytes
	}
	if p.Ensemble.ConnectToLearnerMasterTicks == 0 {
		p.Ensemble.ConnectToLearnerMasterTicks = p.Ensemble.InitLimitTicks
	}
}

// checkTimeouts derives the session timeouts and compares them, unless one of
// the values that they follow from could not be read.
func (p *parser) checkTimeouts() {
	p.deriveTimeouts()
	unreadable := slices.ContainsFunc([]string{"tickTime", "minSessionTimeout", "maxSessionTimeout"}, p.failedAlready)
	if p.MinSessionTimeoutMs > p.MaxSessionTimeoutMs && !unreadable {
		key := "minSessionTimeout"
		if _, given := p.lines[key]; !given {
			key = "maxSessionTimeout"
		}
		p.fail(key, faultf("lower minSessionTimeout or raise maxSessionTimeout (defaults: 2 and 20 ticks)",
			"minSessionTimeout is %d, larger than maxSessionTimeout, which is %d", p.MinSessionTimeoutMs, p.MaxSessionTimeoutMs))
	}
}

// deriveTimeouts fills in session timeouts that were not set. A product that
// does not fit Java's int is cut to the largest.
func (c *Config) deriveTimeouts() {
	if c.JuteExtraSizeBytes < 0 {
		c.JuteExtraSizeBytes = c.JuteMaxBufferBytes
	}
	if c.MinSessionTimeoutMs == -1 {
		c.MinSessionTimeoutMs = min(2*c.TickTimeMs, math.MaxInt32)
	}
	if c.MaxSessionTimeoutMs == -1 {
		c.MaxSessionTimeoutMs = min(20*c.TickTimeMs, math.MaxInt32)
	}
}

// checkMembership decides whether the server is a member or stands alone, and
// applies the rules for members.
func (p *parser) checkMembership() {
	voters := p.Membership.Voters()
	observers := len(p.Membership.Servers) - len(voters)
	p.Distributed = !p.Ensemble.StandaloneEnabled || len(voters) > 1
	p.membersUnclear = slices.ContainsFunc(p.errs, func(e *Error) bool { return isMembershipKey(e.Key) || e.Key == "dynamicConfigFile" })
	switch {
	case p.membersUnclear:
		// Lines that could not be read would cause untrue complaints here.
	case len(voters) == 0 && !p.Ensemble.StandaloneEnabled:
		p.fail("standaloneEnabled", faultf("add server.N lines, or remove standaloneEnabled=false",
			"is false, but there is no participant among the server.N lines"))
		p.membersUnclear = true
	case len(voters) <= 1 && p.Ensemble.StandaloneEnabled && observers > 0:
		server := p.Membership.Servers[slices.IndexFunc(p.Membership.Servers, func(s Server) bool { return s.Role == Observer })]
		p.fail(fmt.Sprintf("server.%d", server.ID), faultf("add participants, or set standaloneEnabled=false for one participant with observers",
			"is an observer, which needs at least 2 participants to follow; there are %d", len(voters)))
	case len(voters) == 1 && p.Ensemble.StandaloneEnabled:
		p.warn(fmt.Sprintf("server.%d", voters[0]),
			"is the only server, so this server stands alone; set standaloneEnabled=false for an ensemble of one")
	case len(voters) == 2:
		p.warn(fmt.Sprintf("server.%d", voters[1]), "two servers tolerate no failure: use at least three")
	case len(voters) > 2 && len(voters)%2 == 0:
		p.warn(fmt.Sprintf("server.%d", voters[len(voters)-1]),
			"%d servers tolerate no more failures than %d: use an odd number", len(voters), len(voters)-1)
	}
	if !p.Distributed {
		return
	}
	for _, limit := range []struct {
		key   string
		ticks int
	}{{"initLimit", p.Ensemble.InitLimitTicks}, {"syncLimit", p.Ensemble.SyncLimitTicks}} {
		if limit.ticks == 0 && !p.failedAlready(limit.key) {
			p.fail(limit.key, faultf(fmt.Sprintf("add a line such as %s=10 (ticks)", limit.key), "is not set, and servers of an ensemble need it"))
		}
	}
	if !p.membersUnclear {
		p.checkQuorum()
		p.checkAddresses()
	}
}

func (p *parser) failedAlready(key string) bool {
	_, given := p.lines[key]
	return given && slices.ContainsFunc(p.errs, func(e *Error) bool { return e.Key == p.at(key).key })
}

// checkQuorum makes sure that the membership has a quorum rule.
func (p *parser) checkQuorum() {
	_, err := p.Membership.Verifier()
	var member *quorum.MemberError
	switch {
	case errors.As(err, &member) && member.InGroup:
		p.fail(fmt.Sprintf("group.%d", member.Group), faultf("list each participant in exactly one group", "%v", err))
	case errors.As(err, &member):
		p.fail(fmt.Sprintf("server.%d", member.Sid), faultf("list each participant in exactly one group.N line", "%v", err))
	case errors.Is(err, quorum.ErrNoVoters) && len(p.Membership.Voters()) > 0:
		p.fail(fmt.Sprintf("weight.%d", p.Membership.Voters()[0]), faultf("give at least one server a weight above 0", "%v", err))
	}
	for sid := range p.Membership.Weights {
		if _, known := p.Membership.Server(sid); !known {
			p.warn(fmt.Sprintf("weight.%d", sid), "there is no server.%d line", sid)
		}
	}
}

// checkAddresses warns of members that can't be told apart.
func (p *parser) checkAddresses() {
	owner := make(map[HostPort]int64)
	low := make(map[int64]int64)
	for _, server := range p.Membership.Servers {
		key := fmt.Sprintf("server.%d", server.ID)
		if other, taken := low[server.ID&maxSessionID]; taken {
			p.fail(key, faultf("number servers from 1 to 255", "sessions of servers %d and %d would get the same ids", other, server.ID))
		} else if server.ID > maxSessionID {
			p.warn(key, "ids above %d are cut in session ids", maxSessionID)
		}
		low[server.ID&maxSessionID] = server.ID
		for _, addr := range server.Addrs {
			for _, one := range []HostPort{{addr.Host, addr.QuorumPort}, {addr.Host, addr.ElectionPort}} {
				if other, taken := owner[one]; taken && other != server.ID {
					p.warn(key, "has the address %s of server %d", one, other)
				}
				owner[one] = server.ID
			}
		}
	}
}

// setClientAddrs joins clientPort, clientPortAddress and the client part of
// this server's server.N line, for both kinds of clients.
func (p *parser) setClientAddrs() {
	own, known := p.Membership.Server(p.MyID)
	if !p.Distributed && len(p.Membership.Servers) == 1 {
		own, known = p.Membership.Servers[0], true
	}
	if p.noMyID {
		own, known = Server{}, false
	}
	p.Clients.Addr = p.clientAddr("clientPort", "clientPortAddress", "2181", p.clientPort, p.clientPortAddress, own.Client)
	p.Clients.SecureAddr = p.clientAddr("secureClientPort", "secureClientPortAddress", "2281", p.secureClientPort, p.secureClientPortAddress, own.SecureClient)
	if p.Clients.Addr.Port == 0 && p.Clients.SecureAddr.Port == 0 && (known || !p.Distributed) && len(p.errs) == 0 {
		p.warn("clientPort", "is not set, so no client can connect to this server")
	}
}

// clientAddr is the address for one kind of clients. own is that of this
// server's server.N line, which must not contradict the settings.
func (p *parser) clientAddr(portKey, addressKey, example string, port int, address string, own HostPort) HostPort {
	if port == 0 && address != "" && !p.failedAlready(portKey) {
		p.fail(addressKey, faultf("add a line such as "+portKey+"="+example, "is set, but %s is not", portKey))
	}
	set := HostPort{Port: port}
	if address != "" {
		host, err := canonicalHost(address)
		if err != nil {
			p.fail(addressKey, faultf("write a host name or an address without a port", "%v", err))
		}
		set.Host = anyAddress(host)
	}
	if own == (HostPort{}) {
		if port == 0 {
			return HostPort{}
		}
		return set
	}
	own = own.bound()
	if port != 0 && (set.Port != own.Port || set.Host != "" && set.Host != own.Host) {
		key := addressKey
		if set.Port != own.Port {
			key = portKey
		}
		p.fail(key, faultf("remove "+portKey+" and "+addressKey+", or make both the same",
			"%s differs from %s in this server's server.N line", set, own))
	}
	return own
}

// ClientAddr is where the server of a server.N line listens for clients; the host is "" for
// all addresses, the port 0 if the line does not say.
func (s Server) ClientAddr() HostPort { return s.Client.bound() }

func (a HostPort) bound() HostPort {
	a.Host = anyAddress(a.Host)
	return a
}

// anyAddress gives all spellings of "all addresses" the one that net.Listen
// takes for both families, as Java does.
func anyAddress(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil && addr.IsUnspecified() {
		return ""
	}
	return host
}

// setRole takes the role from the server.N line; peerType only has to agree.
func (p *parser) setRole() {
	own, known := p.Membership.Server(p.MyID)
	if !p.Distributed || p.noMyID || !known {
		return
	}
	p.Role = own.Role
	if _, given := p.lines["peerType"]; p.Role != p.peerType && (given || p.peerType == Observer) {
		p.warn("peerType", "is %s, but server.%d is %s by its line, which counts", p.peerType, own.ID, article(p.Role))
	}
}

func article(role Role) string {
	if role == Observer {
		return "an observer"
	}
	return "a participant"
}
