package tree

import (
	"strconv"
	"strings"

	"zoolab/zk/jute"
)

// Caller is who asks: the identities of a connection. Super passes every check, as
// does an identity of the scheme "super".
type Caller struct {
	IDs   []jute.ID
	Super bool
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

var schemes = map[string]scheme{
	"digest": {valid: validDigestID, matches: func(callerID, aclID string) bool { return callerID == aclID }, authenticated: true},
	"ip":     {valid: validIPExpression, matches: matchIP},
}

// isSuper reports whether the caller passes every check.
func (c Caller) isSuper() bool {
	if c.Super {
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
	s, known := schemes[id.Scheme]
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
				if schemes[id.Scheme].authenticated {
					fixed = append(fixed, jute.ACL{Perms: entry.Perms, ID: id})
				}
			}
			if len(fixed) == before {
				return nil, false
			}
		default:
			if s, known := schemes[entry.ID.Scheme]; !known || !s.valid(entry.ID.ID) {
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

func validIPExpression(expression string) bool {
	_, _, ok := parseIPExpression(expression)
	return ok
}

func matchIP(callerID, aclID string) bool {
	network, bits, ok := parseIPExpression(aclID)
	if !ok {
		return false
	}
	address, ok := parseIPv4(callerID)
	if !ok {
		return false
	}
	mask := uint32(uint64(0xffffffff) << (32 - bits))
	return address&mask == network&mask
}

// parseIPExpression reads a.b.c.d or a.b.c.d/bits. Like Apache's, the scheme knows
// IPv4 only.
func parseIPExpression(expression string) (network uint32, bits int, ok bool) {
	address, suffix, hasBits := strings.Cut(expression, "/")
	network, ok = parseIPv4(address)
	bits = 32
	if ok && hasBits {
		var err error
		bits, err = strconv.Atoi(suffix)
		ok = err == nil && bits >= 0 && bits <= 32
	}
	return network, bits, ok
}

func parseIPv4(s string) (address uint32, ok bool) {
	for i := range 4 {
		part, rest, more := strings.Cut(s, ".")
		if more != (i < 3) {
			return 0, false
		}
		v, err := strconv.Atoi(part)
		if err != nil || v < 0 || v > 255 {
			return 0, false
		}
		address, s = address<<8|uint32(v), rest
	}
	return address, true
}
