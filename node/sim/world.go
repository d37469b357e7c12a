package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"zoolab/nemesis"
	"zoolab/node/quorum"
	"zoolab/workloads"
)

// Options describe a run.
type Options struct {
	Seed    uint64
	Members int           // 5 if 0
	Faults  time.Duration // length of the fault phase; 12 s if 0
	Clients int           // 4 if 0
	Shape   Shape         // Plain if empty
	Trace   io.Writer     // every event in words, nil for none
}

// Result is what a run showed.
type Result struct {
	Seed      uint64
	TraceHash uint64         // equal for equal runs
	Events    int            // of the simulation: each may step a member
	Counts    map[string]int // what happened, by the names in counts.go
	History   []workloads.Op
	// Violations are broken invariants, first first. None is what everybody hopes for.
	Violations []string
}

// Failed reports whether an invariant was broken.
func (r *Result) Failed() bool { return len(r.Violations) > 0 }

// event is something that happens at a time. Equal times happen in the order in which
// they were planned.
type event struct {
	atUs int64
	seq  uint64
	do   func()
}

func (e *event) before(o *event) bool {
	return e.atUs < o.atUs || e.atUs == o.atUs && e.seq < o.seq
}

// eventHeap has the next event first, and none before its parent at (i-1)/4. It is a type of
// its own since container/heap's interface costs an allocation for each event.
type eventHeap []event

func (h *eventHeap) push(e event) {
	*h = append(*h, e)
	all := *h
	at := len(all) - 1
	for at > 0 {
		parent := (at - 1) / 4
		if !e.before(&all[parent]) {
			break
		}
		all[at] = all[parent]
		at = parent
	}
	all[at] = e
}

func (h *eventHeap) pop() event {
	all := *h
	first, n := all[0], len(all)-1
	e := all[n]
	all[n] = event{}
	all = all[:n]
	*h = all
	for at := 0; n > 0; {
		least := 4*at + 1
		if least >= n {
			all[at] = e
			break
		}
		for child := least + 1; child < min(4*at+5, n); child++ {
			if all[child].before(&all[least]) {
				least = child
			}
		}
		if e.before(&all[least]) {
			all[at] = e
			break
		}
		all[at] = all[least]
		at = least
	}
	return first
}

// world is one run.
type world struct {
	opts    Options
	random  *rand.Rand
	nowUs   int64
	seq     uint64
	events  eventHeap
	hash    uint64
	members []*member // by sid - 1
	// verifier says what a quorum is, and observers who has no vote.
	verifier  quorum.Verifier
	observers map[int64]string
	clients   []*client
	net       *network
	truth     *truth
	load      *load
	setUp     bool // the workload's znodes are there
	healed    bool // the faults are over
	history   []workloads.Op
	result    Result
	guests    *guests // what an Ensemble's driver has here; nil in a run of this package
}

// Phases of a run after the faults, in virtual time.
const (
	settleUs      = 8 * second  // from the last heal until everybody must be serving
	finalReadsUs  = 5 * second  // from then until every client must have been answered
	catchUpUs     = second      // from then until everybody must have applied the same
	silenceUs     = 16 * second // from then until nothing must be left that goes by itself
	second        = int64(1_000_000)
	millisecond   = int64(1_000)
	maxEvents     = 5_000_000 // no run needs more: the events of one that does feed themselves
	maxViolations = 20
)

// Run simulates one seed.
func Run(opts Options) *Result {
	w := newWorld(opts)
	w.run()
	return w.end()
}

// newWorld makes an ensemble that is about to form, and its clients.
func newWorld(opts Options) *world {
	if opts.Members == 0 {
		opts.Members = 5
	}
	if opts.Faults == 0 {
		opts.Faults = 12 * time.Second
	}
	if opts.Clients == 0 {
		opts.Clients = 4
	}
	if opts.Shape == "" {
		opts.Shape = Plain
	}
	w := &world{
		opts:   opts,
		random: rand.New(rand.NewPCG(opts.Seed, 0x5eed)),
	}
	w.result.Seed, w.result.Counts = opts.Seed, make(map[string]int)
	var err error
	if w.verifier, w.observers, err = opts.ensemble(); err != nil {
		panic("sim: " + err.Error())
	}
	w.net = newNetwork(w)
	w.truth = newTruth(w)
	w.load = newLoad(opts.Seed, opts.Clients)
	for sid := int64(1); sid <= int64(opts.Members); sid++ {
		w.members = append(w.members, newMember(w, sid))
	}
	for _, m := range w.members {
		m.start()
	}
	for i := range opts.Clients {
		w.clients = append(w.clients, newClient(w, i))
	}
	return w
}

// end stops the clients and tells what was seen.
func (w *world) end() *Result {
	for _, c := range w.clients {
		c.stop()
	}
	w.result.TraceHash = w.hash
	w.result.History = w.history
	return &w.result
}

// run goes through the phases: faults, settling, final reads, judgement.
func (w *world) run() {
	endUs := w.planFaults()
	w.until(endUs)
	w.healAll()
	w.until(endUs + settleUs)
	// An epoch may end, as any does after enough transactions: that takes an election.
	for deadlineUs := w.nowUs + second; w.nowUs < deadlineUs && w.opts.Shape == Rollover && !w.failed() && !w.truth.allServe(); {
		w.until(w.nowUs + 5*millisecond)
	}
	if !w.failed() {
		w.truth.everybodyServes()
	}
	for _, c := range w.clients {
		c.finish()
	}
	w.until(w.nowUs + finalReadsUs)
	if !w.failed() {
		w.truth.clientsFinished()
		// A transaction without a client, such as the end of a session that expired, may still be on its way.
		for deadlineUs := w.nowUs + catchUpUs; w.nowUs < deadlineUs && !w.truth.caughtUp(); {
			w.until(w.nowUs + 5*millisecond)
		}
		w.truth.treesEqual()
		w.checkHistory()
	}
	w.until(w.nowUs + silenceUs)
	if !w.failed() {
		w.truth.emptied()
	}
}

// until lets everything happen that is due by a time.
func (w *world) until(atUs int64) {
	for len(w.events) > 0 && w.events[0].atUs <= atUs && !w.failed() {
		e := w.events.pop()
		w.nowUs = e.atUs
		e.do()
		if w.result.Events++; w.result.Events > maxEvents {
			w.violate("no end: more than %d events", maxEvents)
		}
	}
	w.nowUs = max(w.nowUs, atUs)
}

// after plans something.
func (w *world) after(delayUs int64, do func()) {
	w.seq++
	w.events.push(event{atUs: w.nowUs + delayUs, seq: w.seq, do: do})
}

// between draws a duration.
func (w *world) between(leastUs, mostUs int64) int64 {
	return leastUs + w.random.Int64N(mostUs-leastUs+1)
}

// What trace and mark are told makes the identity of a run: two runs of a seed are equal
// when their hashes are.

// trace tells what happens seldom, in words.
func (w *world) trace(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.guests.hear(w.nowUs, text)
	w.mark(int64(len(text)))
	for i := range len(text) {
		w.hash = (w.hash ^ uint64(text[i])) * fnvPrime
	}
	w.tell("%s", text)
}

// fnvPrime is that of the 64-bit FNV hash.
const fnvPrime = 1099511628211

// mark tells what happens all the time, in numbers: words would cost more than what they
// tell of.
func (w *world) mark(facts ...int64) {
	h := (w.hash ^ uint64(w.nowUs)) * fnvPrime
	for _, f := range facts {
		h = (h ^ uint64(f)) * fnvPrime
		h ^= h >> 29 // FNV is made for bytes: let the high bits of a fact count as well
	}
	w.hash = h
}

// telling reports whether anybody listens to tell. What is costly to say asks first.
func (w *world) telling() bool { return w.opts.Trace != nil }

// tell adds to the story of the run.
func (w *world) tell(format string, args ...any) {
	if w.telling() {
		fmt.Fprintf(w.opts.Trace, "%10.3f ms  %s\n", float64(w.nowUs)/1000, fmt.Sprintf(format, args...))
	}
}

func (w *world) violate(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.trace("VIOLATION %s", text)
	if len(w.result.Violations) < maxViolations {
		w.result.Violations = append(w.result.Violations, fmt.Sprintf("at %.3f s: %s", float64(w.nowUs)/1e6, text))
	}
}

func (w *world) failed() bool { return len(w.result.Violations) > 0 }

func (w *world) names() []string {
	names := make([]string, len(w.members))
	for i := range w.members {
		names[i] = name(int64(i + 1))
	}
	return names
}

func name(sid int64) string { return fmt.Sprintf("n%d", sid) }

// named finds the member with a name; RoleLeader is whoever leads now.
func (w *world) named(who string) *member {
	if who == nemesis.RoleLeader {
		for _, m := range w.members {
			if m.leads() {
				return m
			}
		}
		return w.members[w.random.IntN(len(w.members))]
	}
	for _, m := range w.members {
		if name(m.sid) == who {
			return m
		}
	}
	panic("sim: no member is called " + who)
}
