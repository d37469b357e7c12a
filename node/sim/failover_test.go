package sim

import (
	"slices"
	"testing"

	"zoolab/node/quorum"
	"zoolab/node/zab"
)

// TestFailoverIsQuick kills leaders while nothing else fails, with all others there and with
// another voter down. Whoever could be elected is heard of at once, so that nobody has to
// wait for a better vote.
func TestFailoverIsQuick(t *testing.T) {
	for _, shape := range []Shape{Plain, Observers, Weights, Rollover} {
		var tookUs []int64
		for seed := uint64(1); seed <= 2; seed++ {
			tookUs = append(tookUs, failovers(t, Options{Seed: seed, Shape: shape})...)
		}
		slices.Sort(tookUs)
		worst := tookUs[len(tookUs)-1]
		t.Logf("%s: %d leaders killed, %d us until another was elected at the median, %d us at worst", shape, len(tookUs), tookUs[len(tookUs)/2], worst)
		if worst >= finalizeWaitMs*millisecond {
			t.Errorf("%s: once it took %d us until another leader was elected: somebody waited for better votes", shape, worst)
		}
	}
}

// failovers kills leaders and tells how long each time it took to elect another.
func failovers(t *testing.T, o Options) (tookUs []int64) {
	w := newWorld(o)
	w.healed = true // nothing fails but by our hand
	w.until(2 * second)
	for i := range 10 {
		leader := w.leader()
		if leader == nil {
			t.Fatalf("%s, seed %d: nobody leads at %d us", o.Shape, o.Seed, w.nowUs)
		}
		var down *member
		if i%2 == 1 {
			down = w.spare(leader)
		}
		if down != nil {
			down.kill("it is to be missing")
			w.until(w.nowUs + second)
		}
		killedUs := w.nowUs
		leader.kill("it leads")
		elected := func(m *member) bool { return m.leads() || m.up && m.replica.Status().Role == zab.RoleLeading }
		for !slices.ContainsFunc(w.members, elected) && w.nowUs < killedUs+10*second {
			w.until(w.nowUs + 100)
		}
		tookUs = append(tookUs, w.nowUs-killedUs)
		w.until(w.nowUs + second)
		for _, m := range w.members {
			m.revive()
		}
		w.until(w.nowUs + 2*second)
	}
	for _, v := range w.end().Violations {
		t.Error(v)
	}
	return tookUs
}

func (w *world) leader() *member {
	for _, m := range w.members {
		if m.leads() {
			return m
		}
	}
	return nil
}

// spare returns a voter without which, and without the leader, there still is a quorum.
func (w *world) spare(leader *member) *member {
	for _, sid := range w.verifier.Voters() {
		if sid != leader.sid && w.verifier.ContainsQuorum(w.votersBut(leader.sid, sid)) {
			return w.members[sid-1]
		}
	}
	return nil
}

func (w *world) votersBut(gone ...int64) (left quorum.Set) {
	for _, sid := range w.verifier.Voters() {
		if !slices.Contains(gone, sid) {
			left.Add(sid)
		}
	}
	return left
}

// TestMemberThatCannotLead has a member that wins elections, and that nobody can connect to:
// another must come to lead, also where the vote of that member is needed for it.
func TestMemberThatCannotLead(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		w := newWorld(Options{Seed: seed, Members: 3, Shape: Plain})
		w.healed = true // nothing fails but by our hand
		deaf := w.members[2]
		deaf.deaf = true
		for range 3 {
			w.until(w.nowUs + 5*second)
			leader := w.leader()
			if leader == nil || leader == deaf {
				t.Errorf("seed %d: nobody leads at %d us, though one member can: %v", seed, w.nowUs, leader)
				break
			}
			leader.kill("it leads")
			w.until(w.nowUs + 5*second)
			if w.leader() == nil {
				t.Errorf("seed %d: nobody leads at %d us, 5 s after a leader was lost", seed, w.nowUs)
				break
			}
			leader.revive()
		}
		for _, v := range w.end().Violations {
			t.Error(v)
		}
	}
}
