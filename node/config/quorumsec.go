package config

import (
	"zoolab/zk/sasl"
	"zoolab/zk/tlsconf"
)

// QuorumSASL is how members prove to each other who they are.
type QuorumSASL struct {
	Enabled         bool   // quorum.auth.enableSasl
	ServerRequired  bool   // quorum.auth.serverRequireSasl: peers that call must prove it
	LearnerRequired bool   // quorum.auth.learnerRequireSasl: this member proves it when it calls
	ServerSection   string // quorum.auth.server.saslLoginContext, of Auth.JAASFile
	LearnerSection  string // quorum.auth.learner.saslLoginContext, likewise
	// Users has the passwords of the users whom this member believes, and User and Password
	// are whom it proves to be itself. Set where Enabled, of an ensemble's member.
	Users          map[string]string
	User, Password string
}

var quorumSecuritySettings = []setting{
	{key: "sslQuorum", set: boolean(func(d *draft) *bool { return &d.Ensemble.SSLQuorum })},
	{key: "portUnification", set: boolean(func(d *draft) *bool { return &d.Ensemble.PortUnification })},
	{key: "sslQuorumReloadCertFiles", set: setQuorumReload},
	{key: "quorum.auth.enableSasl", set: boolean(func(d *draft) *bool { return &d.Ensemble.SASL.Enabled })},
	{key: "quorum.auth.serverRequireSasl", set: boolean(func(d *draft) *bool { return &d.Ensemble.SASL.ServerRequired })},
	{key: "quorum.auth.learnerRequireSasl", set: boolean(func(d *draft) *bool { return &d.Ensemble.SASL.LearnerRequired })},
	{key: "quorum.auth.server.saslLoginContext", set: text(func(d *draft) *string { return &d.Ensemble.SASL.ServerSection })},
	{key: "quorum.auth.learner.saslLoginContext", set: text(func(d *draft) *string { return &d.Ensemble.SASL.LearnerSection })},
}

// quorumTLSDefaults are those of ssl.quorum.*: unlike those of ssl.* they check that a peer
// that calls has a certificate for its address, or for a name of that.
func quorumTLSDefaults() tlsconf.Settings {
	return tlsconf.Settings{Prefix: quorumTLSPrefix, VerifyClientHostname: true, ReverseDNS: true}
}

func setQuorumReload(d *draft, key, value string) *fault {
	reload := true
	f := setWord(&reload, key, value, "true", "false")
	d.Ensemble.TLS.NoReload = !reload
	return f
}

// checkQuorumSecurity makes sure that a member can protect what it is told to protect.
func (p *parser) checkQuorumSecurity() {
	if !p.Distributed {
		return
	}
	if p.Ensemble.SSLQuorum || p.Ensemble.PortUnification {
		p.checkTLSOf(&p.Ensemble.TLS)
	}
	if p.Ensemble.SASL.Enabled {
		p.readQuorumJAAS()
	}
}

// readQuorumJAAS reads the users of SASL between members. Both sections must be there even
// while nobody must authenticate, so that the next step of a switch finds no surprise.
func (p *parser) readQuorumJAAS() {
	s := &p.Ensemble.SASL
	if p.Auth.JAASFile == "" {
		if !p.failedAlready(jaasKey) {
			p.fail("quorum.auth.enableSasl", faultf("add a line such as "+jaasKey+"=/etc/zookeeper/jaas.conf, a file with the sections "+s.ServerSection+" and "+s.LearnerSection,
				"is true, but there is no JAAS file with the users"))
		}
		return
	}
	if p.jaas == nil {
		return // why it can't be read was said there
	}
	users, err := p.jaas.Users(s.ServerSection)
	switch {
	case err != nil:
		p.fail(jaasKey, faultf("write: "+s.ServerSection+" { "+sasl.DigestLoginModule+" required user_NAME=\"PASSWORD\"; };", "%s: %v", p.Auth.JAASFile, err))
		return
	case len(users) == 0:
		p.fail(jaasKey, faultf("write user_NAME=\"PASSWORD\" into it", "section %s of %s has no users: no member could authenticate", s.ServerSection, p.Auth.JAASFile))
		return
	}
	user, password, err := p.jaas.Credentials(s.LearnerSection)
	if err != nil {
		p.fail(jaasKey, faultf("write: "+s.LearnerSection+" { "+sasl.DigestLoginModule+" required username=\"NAME\" password=\"PASSWORD\"; };", "%s: %v", p.Auth.JAASFile, err))
		return
	}
	s.Users, s.User, s.Password = users, user, password
}
