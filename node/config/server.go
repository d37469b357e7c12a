package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Role is what a member may do; the values are those that `conf` prints.
type Role int

// The roles of members.
const (
	Participant Role = 0 // votes
	Observer    Role = 1 // follows without a vote
)

func (r Role) String() string {
	if r == Observer {
		return "observer"
	}
	return "participant"
}

// HostPort is a host name or address with a port. The zero value is no address.
type HostPort struct {
	// Host is a name, an IPv4 address, an IPv6 address without brackets, or ""
	// for all addresses. IPv6 addresses are in Java's long form
	// ("0:0:0:0:0:0:0:1"), which Java members compare and print.
	Host string
	Port int
}

// String gives host:port, fit for net.Dial and net.Listen.
func (a HostPort) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// QuorumAddr is one address of a member for the other members.
type QuorumAddr struct {
	Host         string // as in HostPort
	QuorumPort   int    // the leader's port for learners
	ElectionPort int
}

// Server is one server.N line.
type Server struct {
	ID int64
	// Addrs is never empty; more than one needs multiAddress.enabled.
	Addrs []QuorumAddr
	Role  Role
	// Client and SecureClient are the client addresses of the line; zero where
	// the line has none. A clientPort setting does not show here.
	Client       HostPort
	SecureClient HostPort
}

// String gives the right side of the server.N line, as Apache writes it.
func (s Server) String() string {
	addrs := slices.Clone(s.Addrs)
	slices.SortStableFunc(addrs, func(a, b QuorumAddr) int { return strings.Compare(a.Host, b.Host) })
	var b strings.Builder
	for i, addr := range addrs {
		if i > 0 {
			b.WriteByte('|')
		}
		fmt.Fprintf(&b, "%s:%d", HostPort{addr.Host, addr.QuorumPort}, addr.ElectionPort)
	}
	b.WriteByte(':')
	b.WriteString(s.Role.String())
	if s.Client != (HostPort{}) {
		b.WriteString(";" + s.Client.String())
	}
	if s.SecureClient != (HostPort{}) {
		if s.Client == (HostPort{}) {
			b.WriteByte(';')
		}
		b.WriteString(";" + s.SecureClient.String())
	}
	return b.String()
}

// parseServer reads the right side of a server.N line.
func parseServer(id int64, value string, multiAddress bool) (Server, *fault) {
	server := Server{ID: id}
	fix := fmt.Sprintf("write server.%d=host:2888:3888, or host:2888:3888:observer, "+
		"with ;2181 or ;host:2181 behind it for clients and IPv6 addresses in brackets", id)
	wrong := func(format string, args ...any) (Server, *fault) {
		return Server{}, faultf(fix, format, args...)
	}
	parts := javaSplit(value, ";")
	if len(parts) > 3 {
		return wrong("more than two client addresses in %q", value)
	}
	addrs := javaSplit(parts[0], "|")
	if len(addrs) > 1 && !multiAddress {
		return Server{}, faultf("add multiAddress.enabled=true, or leave one address",
			"several addresses for server %d, but multiAddress.enabled is false", id)
	}
	roleGiven := false
	for _, text := range addrs {
		addr, role, err := parseQuorumAddr(text)
		switch {
		case err != nil:
			return wrong("%v", err)
		case addr.QuorumPort == addr.ElectionPort:
			return wrong("quorum port and election port are both %d", addr.QuorumPort)
		case roleGiven && role != nil && *role != server.Role:
			return wrong("the addresses of server %d have different roles", id)
		}
		if role != nil {
			server.Role, roleGiven = *role, true
		}
		server.Addrs = append(server.Addrs, addr)
	}
	for i, target := range []*HostPort{&server.Client, &server.SecureClient} {
		if len(parts) > i+1 && parts[i+1] != "" {
			addr, err := parseClientAddr(parts[i+1])
			if err != nil {
				return wrong("%v", err)
			}
			*target = addr
		}
	}
	return server, nil
}

// parseQuorumAddr reads host:quorumPort:electionPort[:role]; role is nil where
// the text has none. Of several addresses only one needs to have it.
func parseQuorumAddr(text string) (addr QuorumAddr, role *Role, err error) {
	host, rest, err := cutHost(text)
	if err != nil {
		return addr, role, err
	}
	if len(rest) < 2 || len(rest) > 3 {
		return addr, role, fmt.Errorf("%q is not host:quorumPort:electionPort", text)
	}
	if addr.Host, err = canonicalHost(host); err != nil {
		return addr, role, err
	}
	if addr.QuorumPort, err = parsePort(rest[0], 1); err != nil {
		return addr, role, err
	}
	if addr.ElectionPort, err = parsePort(rest[1], 1); err != nil {
		return addr, role, err
	}
	if len(rest) == 2 {
		return addr, nil, nil
	}
	given, err := parseRole(rest[2])
	return addr, &given, err
}

// parseClientAddr reads port or host:port.
func parseClientAddr(text string) (addr HostPort, err error) {
	host, rest, err := cutHost(text)
	if err != nil {
		return addr, err
	}
	if len(rest) == 0 {
		host, rest = "0.0.0.0", []string{host}
	}
	if len(rest) > 1 {
		return addr, fmt.Errorf("%q is neither port nor host:port", text)
	}
	if addr.Host, err = canonicalHost(host); err != nil {
		return addr, err
	}
	addr.Port, err = parsePort(rest[0], 1)
	return addr, err
}

// cutHost splits host:a:b, with the host in brackets where it has colons.
func cutHost(text string) (host string, rest []string, err error) {
	text = trimJava(text)
	if !strings.HasPrefix(text, "[") {
		parts := javaSplit(text, ":")
		return parts[0], parts[1:], nil
	}
	host, after, closed := strings.Cut(text[1:], "]")
	if !closed {
		return "", nil, fmt.Errorf("%q has no closing bracket", text)
	}
	if !strings.HasPrefix(after, ":") || len(after) == 1 {
		return "", nil, fmt.Errorf("%q has no port after the bracket", text)
	}
	return host, javaSplit(after[1:], ":"), nil
}

// canonicalHost checks a host and gives addresses the form that Java prints.
func canonicalHost(host string) (string, error) {
	if host == "" {
		return "", fmt.Errorf("the host is empty")
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || strings.ContainsRune(`[];|=/\`, r) }) {
		return "", fmt.Errorf("%q can't be a host name", host)
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case err != nil && strings.Contains(host, ":"):
		return "", fmt.Errorf("%q is not an IPv6 address", host)
	case err != nil || addr.Is4():
		return host, nil
	case addr.Is4In6():
		return addr.Unmap().String(), nil
	}
	groups := make([]string, 8)
	bytes := addr.As16()
	for i := range groups {
		groups[i] = strconv.FormatUint(uint64(bytes[2*i])<<8|uint64(bytes[2*i+1]), 16)
	}
	long := strings.Join(groups, ":")
	if addr.Zone() != "" {
		long += "%" + addr.Zone()
	}
	return long, nil
}

func parsePort(text string, least int) (int, error) {
	port, err := strconv.ParseInt(text, 10, 32)
	if err != nil || port < int64(least) || port > 65535 {
		return 0, fmt.Errorf("%q is not a port between %d and 65535", text, least)
	}
	return int(port), nil
}

func parseRole(text string) (Role, error) {
	switch strings.ToLower(trimJava(text)) {
	case "participant":
		return Participant, nil
	case "observer":
		return Observer, nil
	}
	return Participant, fmt.Errorf("the role %q is neither participant nor observer", text)
}

// javaSplit is Java's String.split: empty parts at the end are dropped.
func javaSplit(text, separator string) []string {
	parts := strings.Split(text, separator)
	for len(parts) > 1 && parts[len(parts)-1] == "" {
		parts = parts[:len(parts)-1]
	}
	return parts
}
