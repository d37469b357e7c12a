package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"zoolab/node/quorum"
)

// Membership is who belongs to an ensemble and what a quorum of it is.
type Membership struct {
	Servers []Server // in rising order of ID, without duplicates
	// Groups is empty when quorums are plain majorities, and so is Weights.
	Groups  []quorum.Group  // in rising order of ID
	Weights map[int64]int64 // only what weight.N lines say
	Version int64
	// weighted is set by weight.N lines without groups too: Apache then asks
	// every server to be in a group.
	weighted bool
}

// Server returns the member with the given id.
func (m *Membership) Server(id int64) (Server, bool) {
	at, found := slices.BinarySearchFunc(m.Servers, id, func(s Server, id int64) int {
		switch {
		case s.ID < id:
			return -1
		case s.ID > id:
			return 1
		}
		return 0
	})
	if !found {
		return Server{}, false
	}
	return m.Servers[at], true
}

// Voters are the ids of the participants, in rising order.
func (m *Membership) Voters() []int64 {
	var voters []int64
	for _, server := range m.Servers {
		if server.Role == Participant {
			voters = append(voters, server.ID)
		}
	}
	return voters
}

// Verifier is the quorum rule of the membership.
func (m *Membership) Verifier() (quorum.Verifier, error) {
	if m.hierarchical() {
		return quorum.NewHierarchical(m.Voters(), m.Groups, m.Weights, m.Version)
	}
	return quorum.NewMajority(m.Voters(), m.Version)
}

func (m *Membership) hierarchical() bool { return m.weighted || len(m.Groups) > 0 }

// Text is the membership as Apache writes it into packets, znodes and the
// dynamic file: lines in the order of a Java HashMap, the version in hexadecimal
// and without a newline at the end.
func (m *Membership) Text() string {
	var b strings.Builder
	ids := make([]int64, len(m.Servers))
	for i, server := range m.Servers {
		ids[i] = server.ID
	}
	for _, id := range javaHashOrder(ids) {
		server, _ := m.Server(id)
		fmt.Fprintf(&b, "server.%d=%s\n", id, server)
	}
	if m.hierarchical() {
		m.writeGroups(&b)
	}
	fmt.Fprintf(&b, "version=%x", uint64(m.Version))
	return b.String()
}

// writeGroups writes the group and weight lines. Every participant gets a
// weight line, also one that has the default weight.
func (m *Membership) writeGroups(b *strings.Builder) {
	var groupIDs, grouped []int64
	groupOf := make(map[int64]int64)
	for _, group := range m.Groups {
		for _, sid := range group.Sids {
			grouped = append(grouped, sid)
			groupOf[sid] = group.ID
		}
	}
	slices.Sort(grouped)
	grouped = javaHashOrder(grouped)
	for _, sid := range grouped {
		if !slices.Contains(groupIDs, groupOf[sid]) {
			groupIDs = append(groupIDs, groupOf[sid])
		}
	}
	for _, id := range javaHashOrder(groupIDs) {
		var members []string
		for _, sid := range grouped {
			if groupOf[sid] == id {
				members = append(members, strconv.FormatInt(sid, 10))
			}
		}
		fmt.Fprintf(b, "group.%d=%s\n", id, strings.Join(members, ":"))
	}
	weights := make(map[int64]int64)
	for _, sid := range m.Voters() {
		weights[sid] = 1
	}
	for sid, weight := range m.Weights {
		weights[sid] = weight
	}
	var weighted []int64
	for sid := range weights {
		weighted = append(weighted, sid)
	}
	slices.Sort(weighted)
	for _, sid := range javaHashOrder(weighted) {
		fmt.Fprintf(b, "weight.%d=%d\n", sid, weights[sid])
	}
}

// javaHashOrder sorts keys as a java.util.HashMap<Long, ?> iterates over them
// after insertion in the order of keys: by bucket. For servers and their weights
// that order is by id here; Java inserts by the hash of the line's key, which
// shows only where two ids share a bucket.
func javaHashOrder(keys []int64) []int64 {
	buckets := 16
	for len(keys) > buckets*3/4 {
		buckets *= 2
	}
	bucket := func(key int64) uint32 {
		hash := uint32(uint64(key) ^ uint64(key)>>32)
		return (hash ^ hash>>16) & uint32(buckets-1)
	}
	ordered := slices.Clone(keys)
	slices.SortStableFunc(ordered, func(a, b int64) int { return int(bucket(a)) - int(bucket(b)) })
	return ordered
}

// ParseMembership reads a text that Membership.Text or a Java member wrote, as
// it arrives in NEWLEADER packets and notifications. Errors are Errors whose
// File is source.
func ParseMembership(source, membership string) (*Membership, error) {
	var found Errors
	report := func(line int, key string, f *fault) {
		found = append(found, &Error{File: source, Line: line, Key: key, Problem: f.problem, Fix: f.fix})
	}
	builder := membershipBuilder{multiAddress: true}
	for _, entry := range parseProperties(membership, report) {
		if known, f := builder.add(entry.key, entry.value); f != nil {
			report(entry.line, entry.key, f)
		} else if !known {
			report(entry.line, entry.key, faultf("", "not a setting of a membership"))
		}
	}
	m := builder.finish()
	if len(found) == 0 && len(m.Servers) > 0 {
		if _, err := m.Verifier(); err != nil {
			report(0, "", &fault{problem: err.Error()})
		}
	}
	if len(found) > 0 {
		return nil, found
	}
	return m, nil
}

// membershipBuilder collects server.N, group.N, weight.N and version.
type membershipBuilder struct {
	m            Membership
	multiAddress bool
}

// add takes one entry; known is false for a key that is not about membership.
func (b *membershipBuilder) add(key, value string) (known bool, f *fault) {
	kind, number, dotted := strings.Cut(key, ".")
	switch {
	case key == "version":
		b.m.Version, f = parseNumber(key, value, 16, 64, span{0, math.MaxInt64}, "0")
		return true, f
	case !dotted || kind != "server" && kind != "group" && kind != "weight":
		return false, nil
	}
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil {
		return true, faultf("write for example "+kind+".1=...", "%q is not a number", number)
	}
	switch kind {
	case "server":
		return true, b.addServer(id, value)
	case "group":
		return true, b.addGroup(id, value)
	}
	b.m.weighted = true
	weight, f := parseNumber(key, value, 10, 64, span{0, math.MaxInt64 / 2}, "1")
	if f == nil {
		if b.m.Weights == nil {
			b.m.Weights = make(map[int64]int64)
		}
		b.m.Weights[id] = weight
	}
	return true, f
}

func (b *membershipBuilder) addServer(id int64, value string) *fault {
	if id < 0 {
		return faultf("write server.N with N from 1 to 255", "the id %d is negative", id)
	}
	for _, other := range b.m.Servers {
		if other.ID == id {
			return faultf("give each server one line", "server %d has two lines", id)
		}
	}
	server, f := parseServer(id, value, b.multiAddress)
	if f == nil {
		b.m.Servers = append(b.m.Servers, server)
	}
	return f
}

func (b *membershipBuilder) addGroup(id int64, value string) *fault {
	group := quorum.Group{ID: id}
	for _, part := range javaSplit(value, ":") {
		sid, err := strconv.ParseInt(part, 10, 64)
		if err != nil {
			return faultf(fmt.Sprintf("write for example group.%d=1:2:3", id), "%q is not the id of a server", part)
		}
		group.Sids = append(group.Sids, sid)
	}
	for _, other := range b.m.Groups {
		if other.ID == id {
			return faultf("give each group one line", "group %d has two lines", id)
		}
	}
	b.m.Groups = append(b.m.Groups, group)
	return nil
}

func (b *membershipBuilder) finish() *Membership {
	slices.SortFunc(b.m.Servers, func(x, y Server) int { return compareIDs(x.ID, y.ID) })
	slices.SortFunc(b.m.Groups, func(x, y quorum.Group) int { return compareIDs(x.ID, y.ID) })
	return &b.m
}

func compareIDs(x, y int64) int {
	if x < y {
		return -1
	}
	return 1
}
