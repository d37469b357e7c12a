package sim

import (
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"zoolab/node/quorum"
	"zoolab/node/replica"
	"zoolab/node/tree"
	"zoolab/node/zab"
	"zoolab/zk/jute"
)

// In the shape Reconfig a membership's text is "members=1.0.0,2.0.1,3.7.0\nversion=0": of
// each its id, how often it was moved, and 1 if it observes. All processes run all the
// time; those that are no members follow too.

// reconfigures reports whether the membership changes in this run.
func (w *world) reconfigures() bool { return w.opts.Shape == Reconfig }

// membershipPath is the znode that shows the membership.
const membershipPath = tree.ConfigPath

// leastVoters is how many a reconfiguration must leave.
const leastVoters = 2

// membershipFiles are what a member's disk holds beside its data.
type membershipFiles struct {
	committed zab.Membership
	next      *zab.Membership
}

// listed is a member in a membership's text.
type listed struct{ sid, moved, observes int64 }

func votersAmong(members []listed) (sids []int64) {
	for _, m := range members {
		if m.observes == 0 {
			sids = append(sids, m.sid)
		}
	}
	return sids
}

func textOf(members []listed, version int64) []byte {
	return fmt.Appendf(nil, "members=%s\nversion=%x", listText(members), version)
}

// listText is the list in a membership's text.
func listText(members []listed) string {
	items := make([]string, len(members))
	for i, m := range members {
		items[i] = fmt.Sprintf("%d.%d.%d", m.sid, m.moved, m.observes)
	}
	return strings.Join(items, ",")
}

func membersOf(text []byte) (members []listed, version int64, err error) {
	list, after, ok := strings.Cut(strings.TrimPrefix(string(text), "members="), "\nversion=")
	if !ok {
		return nil, 0, errors.New("not a membership")
	}
	for item := range strings.SplitSeq(list, ",") {
		var m listed
		if _, err := fmt.Sscanf(item, "%d.%d.%d", &m.sid, &m.moved, &m.observes); err != nil {
			return nil, 0, err
		}
		members = append(members, m)
	}
	version, err = strconv.ParseInt(after, 16, 64)
	return members, version, err
}

func parseMembership(text []byte) (zab.Membership, error) {
	members, version, err := membersOf(text)
	if err != nil {
		return zab.Membership{}, err
	}
	m := zab.Membership{Version: version, Text: text, Quorum: make(map[int64]string)}
	for _, l := range members {
		m.Quorum[l.sid] = fmt.Sprintf("%d.%d", l.sid, l.moved)
	}
	m.Verifier, err = quorum.NewMajority(votersAmong(members), version)
	return m, err
}

// changeMembership takes the members that a request lists.
func changeMembership(_ []byte, q *jute.ReconfigRequest, version int64) ([]byte, error) {
	if q.NewMembers == nil {
		return nil, errors.New("no members")
	}
	members, _, err := membersOf([]byte("members=" + *q.NewMembers + "\nversion=0"))
	if err != nil || len(votersAmong(members)) < leastVoters {
		return nil, fmt.Errorf("too few members: %v", err)
	}
	return textOf(members, version), nil
}

// membershipConfig lets a member's membership change, beginning with what its disk has.
func (m *member) membershipConfig(cfg *replica.Config) {
	if m.files.committed.Text == nil {
		var members []listed
		for _, sid := range cfg.Zab.Verifier.Voters() {
			members = append(members, listed{sid: sid})
		}
		initial, err := parseMembership(textOf(members, 0))
		if err != nil {
			panic(err)
		}
		m.files.committed = initial
	}
	c := m.files.committed
	cfg.Zab.Verifier, cfg.Zab.ElectionConfig, cfg.Zab.ConfigVersion, cfg.Zab.QuorumAddresses = c.Verifier, c.Text, c.Version, c.Quorum
	cfg.Zab.Reconfig = &zab.Reconfig{Parse: parseMembership, TextOf: replica.TextOfReconfig, Next: m.files.next}
	cfg.ConfigText, cfg.ChangeMembership = c.Text, changeMembership
	cfg.Prep.ReconfigEnabled = true
	if m.w.guests == nil {
		cfg.Security.Rules.SkipACL = true
	} else {
		sum := sha1.Sum([]byte(Superuser))
		cfg.Security.Auth.SuperDigest = "super:" + base64.StdEncoding.EncodeToString(sum[:])
	}
}

// reconfigure asks for another membership: one member more or less, one in place of
// another, one moved or in the other role, or any others.
func (c *client) reconfigure() {
	w := c.w
	members, _, err := membersOf(c.conn.member.replica.Tree().Config())
	if err != nil {
		return
	}
	add := func() {
		sid := int64(1 + w.random.IntN(w.opts.Members))
		if !slices.ContainsFunc(members, func(m listed) bool { return m.sid == sid }) {
			members = append(members, listed{sid: sid, observes: int64(w.random.IntN(4) / 3)})
		}
	}
	remove := func() {
		at := w.random.IntN(len(members))
		members = slices.Delete(members, at, at+1)
	}
	one := &members[w.random.IntN(len(members))]
	switch w.random.IntN(6) {
	case 0:
		add()
	case 1:
		remove()
	case 2:
		remove()
		add()
	case 3:
		one.moved++
	case 4:
		one.observes = 1 - one.observes
	case 5:
		members = members[:0]
		for range 2 * leastVoters {
			add()
		}
	}
	if len(votersAmong(members)) < leastVoters {
		return
	}
	list := listText(members)
	c.tryTo(countReconfig, jute.OpReconfig, &jute.ReconfigRequest{NewMembers: &list, CurConfigID: -1})
}

// proposesMembership notes the voters of a reconfiguration that a leader logs.
func (t *truth) proposesMembership(e zab.Entry) {
	if text := replica.TextOfReconfig(e.Payload); text != nil {
		m, err := parseMembership(text)
		if err != nil {
			t.w.violate("Integrity: %x proposes a membership that can't be read: %v", e.Zxid, err)
			return
		}
		t.memberships[e.Zxid] = m.Verifier
	}
}

// isQuorum reports whether the disks that hold the newest committed transaction are a quorum
// of those who voted on it.
func (t *truth) isQuorum(holders quorum.Set) bool {
	n := len(t.committed)
	next := t.memberships[t.committed[n-1].zxid]
	return t.voters.ContainsQuorum(holders) && (next == nil || next.ContainsQuorum(holders))
}

// sameMembership compares what the members take for the committed membership.
func (t *truth) sameMembership() {
	for _, m := range t.w.members {
		got, want := string(m.replica.Tree().Config()), string(t.w.members[0].replica.Tree().Config())
		if got != want {
			t.w.violate("Agreement: %s has the membership %q, n1 has %q", name(m.sid), got, want)
		}
	}
}
