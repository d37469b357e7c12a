package config

import (
	"crypto"
	"slices"
	"strings"

	"zoolab/node/auth"
	"zoolab/zk/sasl"
)

// Auth has what concerns who clients are and what they may do.
type Auth struct {
	DigestEnabled   bool        // DigestAuthenticationProvider.enabled
	DigestAlgorithm crypto.Hash // DigestAuthenticationProvider.digestAlg
	SuperDigest     string      // DigestAuthenticationProvider.superDigest; "" for none
	SkipACL         bool        // skipACL
	X509            bool        // the scheme x509: a secure port, or authProvider.N
	X509SuperUser   string      // X509AuthenticationProvider.superUser; "" for none
	Ensemble        bool        // the scheme ensemble: authProvider.N
	EnsembleNames   []string    // ensembleAuthName; nil for any
	SASL            bool        // the scheme sasl in ACLs: users, or authProvider.N
	SASLSuperUsers  []string    // superUser, superUser.N
	AnySASLUser     string      // letAnySaslUserDoX; "" for none
	AllowFailedSASL bool        // allowSaslFailedClients
	EnforceSchemes  []string    // enforce.auth.schemes, if enforce.auth.enabled; nil for no demand
	JAASFile        string      // java.security.auth.login.config; "" for none
	JAASSection     string      // sasl.serverconfig
	// Users has the passwords of the users in JAASSection of JAASFile; nil where there is
	// no such section.
	Users map[string]string
}

// authDraft has the settings from which Auth follows.
type authDraft struct {
	requireSASL    bool
	enforce        bool
	enforceSchemes []string
	superPassword  string
}

var authSettings = []setting{
	{key: "DigestAuthenticationProvider.enabled", set: boolean(func(d *draft) *bool { return &d.Auth.DigestEnabled })},
	{key: "DigestAuthenticationProvider.digestAlg", set: setDigestAlgorithm},
	{key: "DigestAuthenticationProvider.superDigest", aliases: []string{"superDigest"}, set: setSuperDigest},
	{key: "skipACL", set: yesNo(func(d *draft) *bool { return &d.Auth.SkipACL })},
	{key: "X509AuthenticationProvider.superUser", set: text(func(d *draft) *string { return &d.Auth.X509SuperUser })},
	{key: "ensembleAuthName", set: list(func(d *draft) *[]string { return &d.Auth.EnsembleNames })},
	{key: "letAnySaslUserDoX", set: text(func(d *draft) *string { return &d.Auth.AnySASLUser })},
	{key: "allowSaslFailedClients", set: boolean(func(d *draft) *bool { return &d.Auth.AllowFailedSASL })},
	{key: "sessionRequireClientSASLAuth", set: boolean(func(d *draft) *bool { return &d.auth.requireSASL })},
	{key: "enforce.auth.enabled", set: boolean(func(d *draft) *bool { return &d.auth.enforce })},
	{key: "enforce.auth.schemes", set: list(func(d *draft) *[]string { return &d.auth.enforceSchemes })},
	{key: jaasKey, set: text(func(d *draft) *string { return &d.Auth.JAASFile })},
	{key: "sasl.serverconfig", set: text(func(d *draft) *string { return &d.Auth.JAASSection })},
	{key: "SASLAuthenticationProvider.superPassword", set: text(func(d *draft) *string { return &d.auth.superPassword })},
}

// list is a setting with several values, divided by commas.
func list(field func(d *draft) *[]string) setter {
	return func(d *draft, _, value string) *fault {
		values := []string{}
		for one := range strings.SplitSeq(value, ",") {
			values = append(values, trimJava(one))
		}
		*field(d) = values
		return nil
	}
}

func setDigestAlgorithm(d *draft, key, value string) *fault {
	algorithm, ok := auth.DigestAlgorithm(value)
	if !ok {
		return faultf("write "+key+"=SHA-256 or another of MD5, SHA1, SHA-2 and SHA-3, the same on all servers",
			"%q is not a digest algorithm", value)
	}
	d.Auth.DigestAlgorithm = algorithm
	return nil
}

// setSuperDigest checks the form user:base64digest, without which the super user
// could never log in.
func setSuperDigest(d *draft, key, value string) *fault {
	user, digest, found := strings.Cut(value, ":")
	if !found || user == "" || digest == "" {
		return faultf("write "+key+"=super:<base64 of the SHA-1 of super:password>", "the value has not the form user:digest")
	}
	d.Auth.SuperDigest = value
	return nil
}

// Apache's classes of authentication.
const (
	providerPackage  = "org.apache.zookeeper.server.auth."
	digestProvider   = providerPackage + "DigestAuthenticationProvider"
	ipProvider       = providerPackage + "IPAuthenticationProvider"
	saslProvider     = providerPackage + "SASLAuthenticationProvider"
	x509Provider     = providerPackage + "X509AuthenticationProvider"
	ensembleProvider = providerPackage + "EnsembleAuthenticationProvider"
)

// numbered returns the settings with a key that begins so, which are in Properties, by
// their keys without the prefix of properties, and these keys in order.
func (p *parser) numbered(prefix string) (keys []string, values map[string]string) {
	values = make(map[string]string)
	for key, value := range p.Properties {
		if bare := strings.TrimPrefix(key, propertyPrefix); strings.HasPrefix(bare, prefix) {
			keys = append(keys, bare)
			values[bare] = value
		}
	}
	slices.Sort(keys)
	return keys, values
}

// checkAuth turns the settings into what they mean together.
func (p *parser) checkAuth() {
	a := &p.Auth
	a.X509 = p.Clients.SecureAddr.Port != 0 || p.Clients.PortUnification
	keys, classes := p.numbered("authProvider.")
	for _, key := range keys {
		switch classes[key] {
		case digestProvider:
			a.DigestEnabled = true
		case ipProvider:
		case saslProvider:
			a.SASL = true
		case x509Provider:
			a.X509 = true
		case ensembleProvider:
			a.Ensemble = true
		default:
			p.warn(key, "%q is not a provider of this server: its scheme is unknown to clients and in ACLs", classes[key])
		}
	}
	keys, users := p.numbered("superUser")
	for _, key := range keys {
		if key == "superUser" || strings.HasPrefix(key, "superUser.") {
			a.SASLSuperUsers = append(a.SASLSuperUsers, users[key])
		}
	}
	p.readJAAS()
	p.checkEnforce()
}

// jaasKey names the JAAS file, in which the users of SASL are.
const jaasKey = "java.security.auth.login.config"

// readJAAS reads the users of SASL. A file without a section for the server, which may
// have one for the quorum, means that there is no SASL for clients.
func (p *parser) readJAAS() {
	a := &p.Auth
	if a.JAASFile == "" {
		return
	}
	content, err := p.options.ReadFile(a.JAASFile)
	if err != nil {
		p.fail(jaasKey, faultf("write the path of an existing JAAS file that the server's user may read", "can't read %s: %s", a.JAASFile, reason(err)))
		return
	}
	file, err := sasl.ParseJAAS(string(content))
	if err != nil {
		p.fail(jaasKey, faultf("correct the file", "%s: %v", a.JAASFile, err))
		return
	}
	p.jaas = file
	_, found := file[a.JAASSection]
	if _, named := p.lines["sasl.serverconfig"]; !found && !named {
		return
	}
	users, err := file.Users(a.JAASSection)
	switch {
	case err != nil:
		p.fail(jaasKey, faultf("write: "+a.JAASSection+" { "+sasl.DigestLoginModule+" required user_NAME=\"PASSWORD\"; };", "%s: %v", a.JAASFile, err))
		return
	case len(users) == 0:
		p.warn(jaasKey, "section %s of %s has no user_NAME=\"PASSWORD\": nobody can authenticate", a.JAASSection, a.JAASFile)
	}
	if _, known := users["super"]; known && p.auth.superPassword != "" {
		users["super"] = p.auth.superPassword
	}
	a.Users, a.SASL = users, true
}

// checkEnforce makes sure that a client can meet what is demanded of it.
func (p *parser) checkEnforce() {
	a := &p.Auth
	key := "enforce.auth.schemes"
	switch {
	case p.auth.requireSASL:
		key = "sessionRequireClientSASLAuth"
		a.EnforceSchemes = []string{"sasl"}
	case !p.auth.enforce:
		return
	case len(p.auth.enforceSchemes) == 0:
		p.fail("enforce.auth.enabled", faultf("add a line such as enforce.auth.schemes=digest", "is true, but enforce.auth.schemes is not set"))
		return
	default:
		a.EnforceSchemes = p.auth.enforceSchemes
	}
	available := map[string]bool{
		"ip": true, "digest": a.DigestEnabled, "sasl": a.Users != nil, "x509": a.X509,
	}
	for _, scheme := range a.EnforceSchemes {
		switch {
		case available[scheme]:
		case scheme == "sasl" && p.failedAlready(jaasKey):
			// Why there are no users was said there.
		case scheme == "sasl":
			p.fail(key, faultf("name a JAAS file with java.security.auth.login.config=PATH, in which the section "+a.JAASSection+" has the users",
				"demands SASL, but no user is known"))
		default:
			p.fail(key, faultf("write some of digest, ip, sasl and x509, and configure them", "the authentication scheme %q is not available", scheme))
		}
	}
}
