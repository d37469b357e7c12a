package mixedtest

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk"
)

// observed are ensembles of three voters, of which the last leads, and two observers.
var observed = map[string][]kind{
	"Java's followers": {java, java, ours, ours, java},
	"our followers":    {ours, ours, java, java, ours},
}

// TestObserverMasters lets an observer of each kind learn from followers of the other, under a
// leader of its own.
func TestObserverMasters(t *testing.T) {
	requireApache(t)
	for name, kinds := range observed {
		t.Run(name, func(t *testing.T) {
			e := newObserved(t, kinds...)
			e.startUnder(e.members[2])
			e.masters()
			e.throughObserver(e.members[3])
		})
	}
}

// TestObserverMastersLost ends followers that serve observers of both kinds, and then the leader.
func TestObserverMastersLost(t *testing.T) {
	requireFull(t)
	for name, kinds := range observed {
		t.Run(name, func(t *testing.T) {
			e := newObserved(t, kinds...)
			e.startUnder(e.members[2])
			e.masters()
			e.throughObserver(e.members[4])
			e.livesOn(e.members[3])
			e.livesOn(e.members[4])
			e.loseMasters()
		})
	}
}

// newObserved is newEnsemble with members that have no vote, behind three voters, and learn from
// followers. Each member has an address of its own, since all masters have the same port.
func newObserved(t *testing.T, kinds ...kind) *ensemble {
	t.Helper()
	e := newEnsemble(t, kinds...)
	ports, err := apache.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	e.set("observerMasterPort", strconv.Itoa(ports[0]))
	peers := e.members[0].cfg.Peers // shared by all
	for i := range peers {
		peers[i].Host = fmt.Sprintf("127.0.0.%d", i+1)
		peers[i].Observer = i >= 3
	}
	for _, m := range e.members {
		m.cfg.JavaFlags = append(m.cfg.JavaFlags, "-Dzookeeper.observer.election.DelayMs=0")
	}
	return e
}

// masters waits until every observer observes a follower, and the leader has none.
func (e *ensemble) masters() {
	t := e.t
	t.Helper()
	leader := e.leader()
	await(t, "all observers observe followers", func() bool {
		observers := 0
		for _, m := range e.running() {
			if m.cfg.Peers[m.id-1].Observer {
				id, err := metric(m, "zk_observer_master_id")
				if err != nil || id == fmt.Sprint(leader.id) {
					return false
				}
				observers--
				continue
			}
			text, err := metric(m, "zk_synced_observers")
			served, numberErr := strconv.Atoi(text)
			if err != nil || numberErr != nil || m == leader && served > 0 {
				return false
			}
			observers += served
		}
		return observers == 0
	})
}

// throughObserver does everything by way of one observer, and lets a session come and go.
func (e *ensemble) throughObserver(m *member) {
	t := e.t
	t.Helper()
	root := fmt.Sprintf("/observed-%d", m.id)
	c := super(t, addresses(m))
	plant(t, c, root)
	write(t, c, root+"/writes", 100)
	if _, err := c.Sync(within(t), root); err != nil {
		t.Fatal(err)
	}
	e.agree()
	for _, other := range []*member{e.members[0], e.members[3], e.members[2], e.members[4], m} {
		c = e.moveTo(c, other)
		if _, err := c.Set(within(t), root+"/ephemeral", fmt.Append(nil, other.id), zk.AnyVersion); err != nil {
			t.Fatalf("at %v: %v", other, err)
		}
	}
	bye(t, c)
	if tree := e.agree(); tree[root+"/ephemeral"] != "" {
		t.Fatal("an ephemeral outlives its session")
	}
}

// livesOn keeps a session at an observer for longer than its timeout, by pings alone.
func (e *ensemble) livesOn(m *member) {
	t := e.t
	t.Helper()
	const timeout = 4 * time.Second
	c := connect(t, addresses(m), zk.WithSessionTimeout(timeout))
	path := fmt.Sprintf("/alive-%d", m.id)
	if _, err := c.Create(within(t), path, nil, zk.Ephemeral); err != nil {
		t.Fatal(err)
	}
	time.Sleep(timeout + timeout/2)
	if _, err := c.Get(within(t), path); err != nil {
		t.Fatalf("a session at %v did not live on: %v", m, err)
	}
	bye(t, c)
}

// loseMasters ends one follower after the other, so that all observers have to change theirs,
// and then the leader.
func (e *ensemble) loseMasters() {
	t := e.t
	t.Helper()
	for _, m := range e.members[:2] {
		e.kill(m)
		e.masters()
		c := super(t, addresses(e.members[3:]...))
		write(t, c, fmt.Sprintf("/without-%d", m.id), 40)
		bye(t, c)
		e.join(m)
		e.agree()
	}
	e.kill(e.members[2])
	e.awaitServing()
	c := super(t, addresses(e.members[3:]...))
	write(t, c, "/without-3", 40)
	bye(t, c)
	e.agree()
}
