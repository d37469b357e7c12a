package zab

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"

	"zoolab/node/quorum"
)

var (
	seedFlag  = flag.Uint64("zabseed", 0, "run this one seed of TestRandomFaults, with a trace")
	seedsFlag = flag.Int("zabseeds", 400, "how many seeds TestRandomFaults runs")
)

// TestRandomFaults runs ensembles through seeded crashes, cut connections and blocked
// links. The world checks the protocol's invariants after each step; at the end, with
// all faults gone, everyone must agree on everything.
func TestRandomFaults(t *testing.T) {
	if *seedFlag != 0 {
		runSeed(t, *seedFlag, t.Logf)
		return
	}
	committed, elections, confirmed, replaced := 0, 0, 0, 0
	for seed := uint64(1); seed <= uint64(*seedsFlag); seed++ {
		w := runSeed(t, seed, nil)
		committed += len(w.truth)
		elections += len(w.leaderOf)
		confirmed += w.answered
		replaced += w.replaced
	}
	t.Logf("%d seeds: %d transactions committed, %d leaderships, %d confirmations, %d snapshots in place of TRUNC", *seedsFlag, committed, elections, confirmed, replaced)
	if committed < 10**seedsFlag || elections < 3**seedsFlag || confirmed < *seedsFlag || replaced == 0 && *seedsFlag >= 400 {
		t.Errorf("too little happened to prove anything")
	}
}

// TestSameSeedSameTrace holds that the core is a function of its inputs.
func TestSameSeedSameTrace(t *testing.T) {
	for seed := uint64(1); seed <= 3; seed++ {
		var hashes [2]uint64
		for i := range hashes {
			h := fnv.New64a()
			runSeed(t, seed, func(format string, args ...any) { fmt.Fprintf(h, format+"\n", args...) })
			hashes[i] = h.Sum64()
		}
		if hashes[0] != hashes[1] {
			t.Errorf("seed %d ran differently the second time", seed)
		}
	}
}

func runSeed(t *testing.T, seed uint64, trace func(string, ...any)) *world {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	w := newWorldOf(drawVerifier(rng), max(0, rng.IntN(5)-2), 1+rng.IntN(6))
	w.trace = trace
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("seed %d, at %d ms: %v\n%vReproduce with: go test ./node/zab -run TestRandomFaults -zabseed %d -v", seed, w.nowMs, p, w, seed)
		}
	}()
	for _, n := range w.nodes {
		n.start()
	}
	var next []source
	turn := func(faults bool) {
		if faults && rng.IntN(60) == 0 {
			w.fault(rng)
		}
		if rng.IntN(12) == 0 {
			w.load(rng)
		}
		next = w.sources(next)
		if len(next) == 0 || rng.IntN(25) == 0 {
			w.tracef("time %d", w.nowMs)
			w.advance(1 + rng.Int64N(40))
			return
		}
		w.happen(next[rng.IntN(len(next))], rng)
	}
	for range 2500 {
		turn(true)
	}
	w.heal(rng)
	for i := 0; !w.whole(); i++ {
		if i > 40_000 {
			t.Fatalf("seed %d: no agreement %d steps after the last fault\n%v", seed, i, w)
		}
		turn(false)
	}
	// What is whole stays so: nobody is dropped for something that it does not owe.
	w.roleChanges = 0
	for range 1500 {
		turn(false)
	}
	if w.roleChanges > 0 {
		t.Fatalf("seed %d: %d roles changed although nothing was wrong any more\n%v", seed, w.roleChanges, w)
	}
	return w
}

// drawVerifier draws who votes, and what a quorum is.
func drawVerifier(rng *rand.Rand) quorum.Verifier {
	switch rng.IntN(4) {
	case 0:
		return hierarchy([]quorum.Group{{ID: 1, Sids: []int64{1, 2, 3}}, {ID: 2, Sids: []int64{4, 5}}, {ID: 3, Sids: []int64{6}}},
			map[int64]int64{1: 1, 2: 2, 3: 1, 4: 1, 5: 1, 6: int64(rng.IntN(2))})
	case 1:
		return hierarchy([]quorum.Group{{ID: 1, Sids: []int64{1, 2, 3, 4, 5}}}, map[int64]int64{1: 1, 2: 3, 3: 1, 4: 0, 5: 0})
	}
	return majorityOf([]int{3, 5, 5, 1, 4}[rng.IntN(5)])
}

func hierarchy(groups []quorum.Group, weights map[int64]int64) quorum.Verifier {
	var voters []int64
	for _, group := range groups {
		voters = append(voters, group.Sids...)
	}
	verifier, err := quorum.NewHierarchical(voters, groups, weights, 0)
	if err != nil {
		panic(err)
	}
	return verifier
}

// load lets members be asked for something.
func (w *world) load(rng *rand.Rand) {
	n := w.nodes[rng.IntN(len(w.nodes))]
	if n.core == nil || n.paused || n.core.Role() != RoleLeaderEstablished {
		return
	}
	if rng.IntN(4) == 0 {
		n.confirm()
		return
	}
	for range 1 + rng.IntN(3) {
		n.propose()
	}
}

func (w *world) fault(rng *rand.Rand) {
	n := w.nodes[rng.IntN(len(w.nodes))]
	switch rng.IntN(13) {
	case 0, 1:
		if n.core != nil {
			w.tracef("crash %d", n.sid)
			n.crash(rng.IntN(len(n.disk) + 1))
			if rng.IntN(2) == 0 {
				// As a start of Apache's does, and a purge after it.
				w.tracef("all that is left of the log of %d is a snapshot", n.sid)
				n.snapTo = len(n.log)
			}
		}
	case 2, 3, 4:
		for _, n := range w.nodes {
			if n.core == nil && rng.IntN(2) == 0 {
				w.tracef("start %d", n.sid)
				n.start()
			}
		}
	case 5:
		if len(w.conns) > 0 {
			c := w.conns[rng.IntN(len(w.conns))]
			w.tracef("cut %v", c.end)
			w.cut(c, "cut")
		}
	case 6:
		from, to := n.sid, w.nodes[rng.IntN(len(w.nodes))].sid
		w.tracef("block %d to %d", from, to)
		w.blocked[[2]int64{from, to}] = true
	case 7, 8:
		w.tracef("unblock")
		clear(w.blocked)
	case 9:
		w.tracef("isolate %d", n.sid)
		for _, other := range w.nodes {
			w.blocked[[2]int64{n.sid, other.sid}] = true
			w.blocked[[2]int64{other.sid, n.sid}] = true
		}
	case 10:
		if n.core != nil {
			w.tracef("pause %d", n.sid)
			n.paused = true
		}
	case 11:
		w.wake(rng)
	case 12:
		// Also where it is not true: nothing may depend on it but time.
		other := w.nodes[rng.IntN(len(w.nodes))].sid
		if n.core != nil && !n.paused {
			w.tracef("%d can't reach %d", n.sid, other)
			n.step(VoterUnreachable{SID: other})
		}
	}
}

// wake lets paused members go on. Clients may be first to reach them, before time and news do.
func (w *world) wake(rng *rand.Rand) {
	for _, n := range w.nodes {
		if !n.paused {
			continue
		}
		w.tracef("wake %d", n.sid)
		n.paused = false
		if n.core.Role() == RoleLeaderEstablished && rng.IntN(2) == 0 {
			n.confirm()
			n.propose()
		}
	}
}

// heal ends all faults.
func (w *world) heal(rng *rand.Rand) {
	clear(w.blocked)
	w.wake(rng)
	for _, n := range w.nodes {
		if n.core == nil {
			n.start()
		}
	}
}

func fixedRand() *rand.Rand { return rand.New(rand.NewPCG(1, 1)) }
