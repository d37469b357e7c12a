package tree

import (
	"net/netip"
	"strconv"
	"strings"

	"zoolab/zk/jute"
)

// Caller is who asks: the identities of a connection. Super passes every check, as
// does an identity of the scheme "super".
type Caller struct {
	IDs   []jute.ID
	Super bool
	// Rules are those of the server that judges, nil for the zero value's.
	Rules *Rules
}

// Rules are the settings of a server about identities and ACLs. The zero value is
// Apache's default: ACLs are checked and know the schemes world, auth, digest and ip.
type Rules struct {
	// SkipACL lets everybody do everything (skipACL). What is written into an ACL must
	// be valid all the same.
	SkipACL bool
	// NoDigest takes the scheme digest away (DigestAuthenticationProvider.enabled).
	NoDigest bool
	// SASL and X509 add these schemes (authProvider.N).
	SASL, X509 bool
	// AnySASLUser, if not empty, is an id of the scheme sasl in ACLs that means every
	// client with an identity of that scheme (letAnySaslUserDoX).
	AnySASLUser string
}

// scheme is an authentication scheme as ACLs use it.
type scheme struct {
	// valid says whether an id may stand in an ACL.
	valid func(id string) bool
	// matches says whether a caller's id is meant by an ACL's.
	matches func(callerID, aclID string) bool
	// authenticated says whether the scheme proves who a caller is, so that the
	// ACL scheme "auth" may stand for its ids.
	authenticated bool
}

// scheme returns the scheme of that name, if this server knows it.
func (r *Rules) scheme(name string) (scheme, bool) {
	if r == nil {
		r = new(Rules)
	}
	switch {
	case name == "digest" && !r.NoDigest:
		return scheme{validDigestID, equalIDs, true}, true
	case name == "ip":
		return scheme{validIPExpression, matchIP, false}, true
	case name == "sasl" && r.SASL:
		return scheme{validSASLID, r.matchSASL, true}, true
	case name == "x509" && r.X509:
		return scheme{validDN, equalIDs, true}, true
	}
	return scheme{}, false
}

func equalIDs(callerID, aclID string) bool { return callerID == aclID }

// matchSASL compares users. One that is called super passes, as in Apache.
func (r *Rules) matchSASL(callerID, aclID string) bool {
	return callerID == aclID || callerID == "super" || r.AnySASLUser != "" && r.AnySASLUser == aclID
}

// isSuper reports whether the caller passes every check.
func (c Caller) isSuper() bool {
	if c.Super || c.Rules != nil && c.Rules.SkipACL {
		return true
	}
	for _, id := range c.IDs {
		if id.Scheme == "super" {
			return true
		}
	}
	return false
}

// Allowed reports whether the ACL gives the caller one of the permissions in perm.
// An empty ACL gives all to everybody.
func Allowed(acl []jute.ACL, perm int32, who Caller) bool {
	if len(acl) == 0 {
		return true
	}
	for i := range acl {
		if acl[i].Perms&perm != 0 && matches(acl[i].ID, who) {
			return true
		}
	}
	return who.isSuper()
}

func matches(id jute.ID, who Caller) bool {
	if id.Scheme == "world" && id.ID == "anyone" {
		return true
	}
	s, known := who.Rules.scheme(id.Scheme)
	if !known {
		return false
	}
	for _, callerID := range who.IDs {
		if callerID.Scheme == id.Scheme && s.matches(callerID.ID, id.ID) {
			return true
		}
	}
	return false
}

// FixACL checks the ACL of a create or setACL and returns it as it is stored:
// without duplicates, and with "auth" replaced by the caller's authenticated ids.
// It is false where the ACL is empty or an entry is not valid.
func FixACL(acl []jute.ACL, who Caller) ([]jute.ACL, bool) {
	fixed := make([]jute.ACL, 0, len(acl))
	for i, entry := range acl {
		if containsACL(acl[:i], entry) {
			continue
		}
		switch {
		case entry.ID.Scheme == "world" && entry.ID.ID == "anyone":
			fixed = append(fixed, entry)
		case entry.ID.Scheme == "auth":
			before := len(fixed)
			for _, id := range who.IDs {
				if s, known := who.Rules.scheme(id.Scheme); known && s.authenticated {
					fixed = append(fixed, jute.ACL{Perms: entry.Perms, ID: id})
				}
			}
			if len(fixed) == before {
				return nil, false
			}
		default:
			if s, known := who.Rules.scheme(entry.ID.Scheme); !known || !s.valid(entry.ID.ID) {
				return nil, false
			}
			fixed = append(fixed, entry)
		}
	}
	return fixed, len(fixed) > 0
}

func containsACL(acl []jute.ACL, entry jute.ACL) bool {
	for i := range acl {
		if acl[i] == entry {
			return true
		}
	}
	return false
}

// maskDigests hides the password hashes from a caller without ADMIN.
func maskDigests(acl []jute.ACL) []jute.ACL {
	masked := make([]jute.ACL, len(acl))
	for i, entry := range acl {
		if user, _, found := strings.Cut(entry.ID.ID, ":"); found && entry.ID.Scheme == "digest" {
			entry.ID.ID = user + ":x"
		}
		masked[i] = entry
	}
	return masked
}

// validDigestID wants user:hash. Colons at the end don't count, as in Apache's check.
func validDigestID(id string) bool {
	return strings.Count(strings.TrimRight(id, ":"), ":") == 1
}

// validSASLID wants what can be the name of a Kerberos principal: with an @, one part
// or two, divided by a slash, stand before it and the realm behind it.
func validSASLID(id string) bool {
	name, realm, hasRealm := strings.Cut(id, "@")
	return !hasRealm || strings.Count(name, "/") <= 1 && !strings.ContainsAny(realm, "/@")
}

func validIPExpression(expression string) bool {
	_, ok := parseIPExpression(expression)
	return ok
}

func matchIP(callerID, aclID string) bool {
	network, ok := parseIPExpression(aclID)
	if !ok {
		return false
	}
	address, ok := parseIP(callerID)
	return ok && network.Contains(address)
}

// parseIPExpression reads an address, with or without the number of bits behind a slash
// that count. Apache 3.8 knows IPv4 only; later versions know both.
func parseIPExpression(expression string) (netip.Prefix, bool) {
	text, suffix, hasBits := strings.Cut(expression, "/")
	address, ok := parseIP(text)
	if !ok {
		return netip.Prefix{}, false
	}
	bits := address.BitLen()
	if hasBits {
		var err error
		if bits, err = strconv.Atoi(suffix); err != nil {
			return netip.Prefix{}, false
		}
	}
	network, err := address.Prefix(bits)
	return network, err == nil
}

// parseIP reads an address. The parts of one of IPv4 are numbers as Java reads them,
// with zeros or a sign in front. A zone is not looked at.
func parseIP(s string) (netip.Addr, bool) {
	if strings.Contains(s, ":") {
		address, err := netip.ParseAddr(s)
		return address.WithZone(""), err == nil && !address.Is4In6()
	}
	var address [4]byte
	for i := range address {
		part, rest, more := strings.Cut(s, ".")
		if more != (i < 3) {
			return netip.Addr{}, false
		}
		v, err := strconv.Atoi(part)
		if err != nil || v < 0 || v > 255 {
			return netip.Addr{}, false
		}
		address[i], s = byte(v), rest
	}
	return netip.AddrFrom4(address), true
}
