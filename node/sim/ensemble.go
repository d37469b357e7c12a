package sim

import (
	"errors"
	"maps"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"zoolab/nemesis"
	"zoolab/node/replica"
	"zoolab/node/tree"
	"zoolab/node/vfs"
)

// Ensemble is simulated members without clients, faults and phases of their own: the lab's
// driver brings those, and judges what its clients saw. The invariants of truth.go are not
// checked, so that a bug shows there as it would on real machines; for the same reason a
// member whose assertion fails or whose disk does ends, as a process would.
//
// The driver calls Next in a loop. Everything else may be called between two steps and from
// what a step calls back.
type Ensemble struct{ w *world }

// EnsembleOptions describe an Ensemble.
type EnsembleOptions struct {
	Seed    uint64
	Members int
	// Reconfig lets the superuser change the membership; without it, it stays.
	Reconfig bool
	Drift    bool // the members' clocks are those of the shape Drift
	// Log takes the story, an event a line; nil for nobody.
	Log func(at time.Time, line string)
}

// epochMs is the time of day at which virtual time begins, in ms since 1970.
const epochMs = 1_700_000_000_000

// NewEnsemble starts the members.
func NewEnsemble(o EnsembleOptions) (*Ensemble, error) {
	shape := Plain
	switch {
	case o.Drift && o.Reconfig:
		return nil, errors.New("sim: clocks drift or the membership changes, not both: leave out -drift or the fault reconfig")
	case o.Drift:
		shape = Drift
	case o.Reconfig:
		shape = Reconfig
	}
	w := &world{
		opts:   Options{Seed: o.Seed, Members: o.Members, Shape: shape},
		random: rand.New(rand.NewPCG(o.Seed, 0x5eed)),
		healed: true, // this package injects no fault by itself
		guests: &guests{log: o.Log, cut: make(map[direction]int)},
	}
	w.result.Counts = make(map[string]int)
	var err error
	if w.verifier, w.observers, err = w.opts.ensemble(); err != nil {
		return nil, err
	}
	w.net = newNetwork(w)
	for sid := int64(1); sid <= int64(o.Members); sid++ {
		w.members = append(w.members, newMember(w, sid))
	}
	for _, m := range w.members {
		m.start()
	}
	return &Ensemble{w}, nil
}

// Now is virtual time.
func (e *Ensemble) Now() time.Time { return timeOf(e.w.nowUs) }

// Random is the source of all that chance decides.
func (e *Ensemble) Random() *rand.Rand { return e.w.random }

// After plans something. What is planned for the same time happens in the order of the plans.
func (e *Ensemble) After(delay time.Duration, do func()) {
	e.w.after(max(0, delay.Microseconds()), do)
}

// Next lets the next event happen; false if nothing will ever happen any more.
func (e *Ensemble) Next() bool {
	w := e.w
	if len(w.events) == 0 {
		return false
	}
	next := w.events.pop()
	w.nowUs = next.atUs
	next.do()
	return true
}

func (e *Ensemble) member(sid int64) *member { return e.w.members[sid-1] }

// State tells how a process is.
func (e *Ensemble) State(sid int64) nemesis.ProcessState {
	switch m := e.member(sid); {
	case !m.up:
		return nemesis.Down
	case m.paused:
		return nemesis.Paused
	}
	return nemesis.Running
}

// Status is what a member says of itself; false if it says nothing.
func (e *Ensemble) Status(sid int64) (status replica.Status, lastZxid int64, ok bool) {
	m := e.member(sid)
	if !m.up || m.paused {
		return replica.Status{}, 0, false
	}
	return m.replica.Status(), m.replica.Tree().LastZxid(), true
}

// Tree is what a member serves, nil if its process is down.
func (e *Ensemble) Tree(sid int64) *tree.Tree {
	if m := e.member(sid); m.up {
		return m.replica.Tree()
	}
	return nil
}

// Disk is a member's disk.
func (e *Ensemble) Disk(sid int64) vfs.FS { return e.member(sid).disk }

// Superuser is the credential, of the scheme digest, of who may change the membership.
const Superuser = "super:simulated"

// Membership tells who a member takes for the ensemble, by id, and whether they observe; the
// version rises with every change.
func (e *Ensemble) Membership(sid int64) (observes map[int64]bool, version int64, err error) {
	m := e.member(sid)
	if !m.up || m.paused {
		return nil, 0, errors.New("it does not answer")
	}
	members, version, err := membersOf(m.replica.Tree().Config())
	observes = make(map[int64]bool)
	for _, l := range members {
		observes[l.sid] = l.observes == 1
	}
	return observes, version, err
}

// NewMembers is the text with which a client asks for a membership, as Membership tells it.
func NewMembers(observes map[int64]bool) string {
	var members []listed
	for _, sid := range slices.Sorted(maps.Keys(observes)) {
		l := listed{sid: sid}
		if observes[sid] {
			l.observes = 1
		}
		members = append(members, l)
	}
	return listText(members)
}

// DataDir is where a member keeps its data on its disk.
const DataDir = dataDir

// BreakDisk lets the operations that change a member's disk fail with an error, nil for
// none, and each take longer, until it is called again.
func (e *Ensemble) BreakDisk(sid int64, err error, slower time.Duration) {
	m := e.member(sid)
	m.slowDiskUs, m.broken = slower.Microseconds(), nil
	m.fs.Clear()
	if err != nil {
		m.broken = &vfs.Fault{Ops: vfs.OpMutate, Err: err}
		m.fs.Inject(*m.broken)
	}
}

// TryDisk writes and syncs a file as a member would, and removes it.
func (e *Ensemble) TryDisk(sid int64) (took time.Duration, err error) {
	const path = dataDir + "/try"
	m := e.member(sid)
	fs := vfs.NewFaulty(m.disk)
	if m.broken != nil {
		fs.Inject(*m.broken)
	}
	file, err := fs.Create(path)
	if err == nil {
		_, writeErr := file.Write([]byte("try"))
		err = errors.Join(writeErr, file.Sync(), file.Close(), fs.Remove(path))
	}
	return time.Duration(m.slowDiskUs) * time.Microsecond, err
}

// Kill ends a process, as SIGKILL does or, if its machine loses power, with what was not
// synced to its disk.
func (e *Ensemble) Kill(sid int64, power bool) {
	if m := e.member(sid); power {
		m.losePower("power failure")
	} else {
		m.kill("killed")
	}
}

// Start starts a process that is down.
func (e *Ensemble) Start(sid int64) { e.member(sid).revive() }

// Pause freezes a process.
func (e *Ensemble) Pause(sid int64) {
	m := e.member(sid)
	e.w.trace("%s is paused", name(sid))
	m.paused = m.up
}

// Resume thaws a process.
func (e *Ensemble) Resume(sid int64) {
	e.w.trace("%s is resumed", name(sid))
	e.member(sid).resume()
}

// cpuUs is what an input costs a processor. It is a guess: real ones cost less, and what
// is around them more.
const cpuUs = 50

// LimitCPU leaves a member's processes so many percent of a processor, 0 for all of it: then
// each input takes its time, and reads queue up behind the others.
func (e *Ensemble) LimitCPU(sid int64, percent int) {
	m, stepUs := e.member(sid), int64(0)
	if percent > 0 {
		stepUs = cpuUs * 100 / int64(percent)
	}
	if m.stepUs == stepUs {
		return
	}
	e.w.trace("%s takes %d µs for an input", name(sid), stepUs)
	if m.stepUs = stepUs; stepUs == 0 && m.up && !m.paused {
		m.resume()
	}
}

// Waited counts the inputs of a member that had to wait for a processor.
func (e *Ensemble) Waited(sid int64) int { return e.member(sid).waited }

// LimitSessions sets the longest timeout that sessions get from a member's next process.
func (e *Ensemble) LimitSessions(sid int64, timeout time.Duration) {
	e.member(sid).maxSessionMs = timeout.Milliseconds()
}

// MaxSession is the longest timeout that sessions get from the process that a member
// runs.
func (e *Ensemble) MaxSession(sid int64) time.Duration {
	return time.Duration(e.member(sid).runsMaxSessionMs) * time.Millisecond
}

// Block holds the packets of links back, until Unblock.
func (e *Ensemble) Block(links []nemesis.Link) { e.block(links, 1) }

// Unblock ends one Block of each link.
func (e *Ensemble) Unblock(links []nemesis.Link) { e.block(links, -1) }

func (e *Ensemble) block(links []nemesis.Link, by int) {
	for _, l := range links {
		if way, ok := e.clientWay(l); ok {
			e.w.guests.cut[way] += by
		} else {
			e.w.net.block([]nemesis.Link{l}, by)
		}
	}
}

// clientWay says which way between clients and a member a link is, if it is one.
func (e *Ensemble) clientWay(l nemesis.Link) (direction, bool) {
	switch nemesis.Clients {
	case l.From:
		return direction{sid: e.w.named(l.To).sid}, true
	case l.To:
		return direction{sid: e.w.named(l.From).sid, toClient: true}, true
	}
	return direction{}, false
}

// Passes reports whether packets of a link arrive.
func (e *Ensemble) Passes(l nemesis.Link) bool {
	if way, ok := e.clientWay(l); ok {
		return e.w.guests.cut[way] == 0
	}
	return e.w.net.passes(e.w.named(l.From).sid, e.w.named(l.To).sid)
}

// catchPanic is deferred where a member's code is called: a failed assertion ends its process.
func (m *member) catchPanic() {
	p := recover()
	switch {
	case p == nil:
	case m.w.guests == nil:
		m.w.violate("%s: assertion failed: %v\n%s", name(m.sid), p, debug.Stack())
	default:
		m.w.trace("%s panic: %v", name(m.sid), p)
		m.end("panic")
	}
}
