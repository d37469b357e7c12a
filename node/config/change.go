package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Change is what a reconfiguration asks for. With Bulk, Members are all lines of the new
// membership. Otherwise Leaving are ids of servers to remove, and then Joining lines of
// servers to add or to replace: "server.4=host:2888:3888;2181".
type Change struct {
	Bulk    bool
	Members string // lines, or the same separated by commas
	Joining string // separated by commas
	Leaving string // separated by commas
}

// Change returns the membership that a change makes of this one, with a version. An error
// says what is wrong with the change; that an id to remove is no number wraps a
// *strconv.NumError, for which Apache has another code. least is how many participants there must be.
func (m *Membership) Change(change Change, version int64, least int) (*Membership, error) {
	next, err := m.changed(change)
	if err != nil {
		return nil, err
	}
	next.Version = version
	if voters := next.Voters(); len(voters) < least {
		return nil, fmt.Errorf("%d participants are left, there must be at least %d", len(voters), least)
	}
	// Whoever reads the text must get the same, or the members would not agree.
	return ParseMembership("reconfiguration", next.Text())
}

func (m *Membership) changed(change Change) (*Membership, error) {
	if change.Bulk {
		return ParseMembership("reconfiguration", strings.ReplaceAll(change.Members, ",", "\n"))
	}
	if m.hierarchical() {
		return nil, errors.New("an ensemble with groups can only be changed by giving all its members")
	}
	servers := make(map[int64]Server)
	for _, s := range m.Servers {
		servers[s.ID] = s
	}
	for _, text := range splitList(change.Leaving) {
		id, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not the id of a server: %w", text, err)
		}
		delete(servers, id)
	}
	for _, text := range splitList(change.Joining) {
		s, err := parseJoining(text)
		if err != nil {
			return nil, err
		}
		for _, other := range servers {
			if address := sharedAddress(s, other); other.ID != s.ID && address != "" {
				return nil, fmt.Errorf("servers %d and %d have the same address %s", s.ID, other.ID, address)
			}
		}
		servers[s.ID] = s
	}
	var builder membershipBuilder
	for _, s := range servers {
		builder.m.Servers = append(builder.m.Servers, s)
	}
	return builder.finish(), nil
}

// splitList splits at commas; what is empty counts for nothing.
func splitList(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// parseJoining reads the line of a server that joins. It must say where clients connect.
func parseJoining(line string) (Server, error) {
	key, value, ok := strings.Cut(line, "=")
	id, err := strconv.ParseInt(key[strings.LastIndexByte(key, '.')+1:], 10, 64)
	if !ok || err != nil || id < 0 || strings.Contains(value, "=") {
		return Server{}, fmt.Errorf("%q is not of the form server.N=host:2888:3888;2181", line)
	}
	s, f := parseServer(id, strings.TrimSpace(value), true)
	if f != nil {
		return Server{}, fmt.Errorf("server %d: %s; %s", id, f.problem, f.fix)
	}
	if s.Client == (HostPort{}) && s.SecureClient == (HostPort{}) {
		return Server{}, fmt.Errorf("server %d has no client port; write it behind a semicolon", id)
	}
	return s, nil
}

// sharedAddress returns an address at which two servers would both listen, "" for none.
func sharedAddress(a, b Server) string {
	taken := make(map[HostPort]bool)
	for _, address := range listens(a) {
		taken[address] = true
	}
	for _, address := range listens(b) {
		if taken[address] {
			return address.String()
		}
	}
	return ""
}

// listens lists where a server listens, without what stands for all addresses of a host.
func listens(s Server) []HostPort {
	var all []HostPort
	for _, a := range s.Addrs {
		all = append(all, HostPort{a.Host, a.QuorumPort}, HostPort{a.Host, a.ElectionPort})
	}
	if c := s.Client; c.Host != "" && c.Host != "0.0.0.0" && c.Host != "0:0:0:0:0:0:0:0" {
		all = append(all, c)
	}
	return all
}
