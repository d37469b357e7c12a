package sim

import (
	"time"

	"zoolab/nemesis"
	"zoolab/node/vfs"
)

// formUs is how long the ensemble may form before the first fault.
const formUs = 3 * second

// planFaults draws the run's faults and returns when the last one is over. Kills, pauses
// and partitions are those of the container lab; the simulator adds what only it can do
// at will: broken connections, slow disks and disks that fail.
func (w *world) planFaults() (endUs int64) {
	kinds := []string{
		"kill:one+leader+minority+majority+all", "pause:one+leader+minority+majority+all",
		"partition:one+leader+halves+bridge+one-way+ring",
	}
	if len(w.members) == 1 {
		kinds = kinds[:2]
	}
	plan, err := nemesis.Plan(w.random.Int64(), kinds, w.names(), w.opts.Faults)
	if err != nil {
		panic(err)
	}
	for _, step := range plan.Steps {
		w.after(formUs+step.At.Microseconds(), func() { w.inject(step) })
	}
	for range w.random.IntN(16) {
		w.after(w.between(second, formUs+w.opts.Faults.Microseconds()), w.smallFault)
	}
	return formUs + w.opts.Faults.Microseconds()
}

// inject starts a step of the plan and plans its end.
func (w *world) inject(step nemesis.Step) {
	targets := make([]*member, len(step.Targets))
	names := make([]string, len(step.Targets))
	for i, who := range step.Targets {
		targets[i] = w.named(who)
		names[i] = name(targets[i].sid)
	}
	w.trace("nemesis %s %s %v", step.Fault, step.Variant, names)
	lasts := max(step.Duration, time.Millisecond).Microseconds()
	switch step.Fault {
	case "kill":
		for _, m := range targets {
			if w.random.IntN(2) == 0 {
				m.kill("killed")
			} else {
				m.losePower("power failure")
			}
			w.after(lasts+w.between(0, 100*millisecond), m.revive)
		}
	case "pause":
		for _, m := range targets {
			if m.leads() {
				w.count(countPausedLeader)
			}
			m.paused = m.up
			w.after(lasts, m.resume)
		}
	case "partition":
		links, err := nemesis.PartitionLinks(step.Variant, names, w.names())
		if err != nil {
			panic(err)
		}
		w.net.block(links, 1)
		w.after(lasts, func() {
			if !w.healed {
				w.trace("nemesis heals %s %v", step.Variant, names)
				w.net.block(links, -1)
			}
		})
	default:
		panic("sim: can't do the fault " + step.Fault)
	}
}

// smallFault does something that no container can be told to do at a moment.
func (w *world) smallFault() {
	m := w.members[w.random.IntN(len(w.members))]
	if w.random.IntN(2) == 0 {
		m = w.named(nemesis.RoleLeader)
	}
	switch w.random.IntN(10) {
	case 0:
		w.net.cut(m)
	case 1:
		w.trace("%s has a slow disk", name(m.sid))
		w.count(countSlowDisk)
		m.slowDiskUs = w.between(20*millisecond, 400*millisecond)
		w.after(w.between(second/2, 3*second), func() { m.slowDiskUs = 0 })
	case 2, 3:
		if m.up {
			m.meet(w.drawDiskFault(60))
		}
	case 4:
		m.endAndFailToStart()
	case 5:
		w.count(countBlackout)
		for _, m := range w.members {
			m.losePower("power failure everywhere")
			w.after(w.between(millisecond, second), m.revive)
		}
	case 6:
		m.fillDisk(w.between(second/2, 4*second))
	case 7:
		w.net.cutOneSide(m)
	case 8:
		w.trace("nobody can connect to %s", name(m.sid))
		w.count(countDeaf)
		m.deaf = true
		w.after(w.between(second/2, 5*second), func() { m.deaf = false })
	case 9:
		w.net.cutAll(m)
	}
}

// fillDisk leaves a member's disk without room for a while. Its process ends when it can't
// log, and can't go on before there is room again.
func (m *member) fillDisk(lastsUs int64) {
	m.w.trace("the disk of %s is full", name(m.sid))
	m.full = true
	m.fs.Inject(fullDisk)
	m.w.after(lastsUs, func() {
		m.full = false
		m.fs.Clear()
	})
}

// fullDisk fails what needs room; a write has found some for its first half.
var fullDisk = vfs.Fault{Ops: vfs.OpWrite | vfs.OpPreallocate, Err: errFull, When: vfs.Partial}

// endAndFailToStart ends a process, and its next start, or what follows it, is to fail too.
func (m *member) endAndFailToStart() {
	w := m.w
	m.nextFault = w.drawDiskFault(80)
	if w.random.IntN(3) == 0 {
		m.nextFault.Ops, m.nextFault.Nth, m.nextFault.ends = vfs.OpRead|vfs.OpOpen|vfs.OpList, 1+w.random.IntN(20), false
	}
	if w.random.IntN(2) == 0 {
		m.kill("killed")
	} else {
		m.losePower("power failure")
	}
	m.reviveLater()
}

// interrupt makes what a process is about to do to its history or with a snapshot fail, or ends
// the process, at one of its steps: one time in so many.
func (m *member) interrupt(oneIn int) {
	if !m.w.healed && m.w.random.IntN(oneIn) == 0 {
		m.w.count(countInterrupted)
		m.meet(m.w.drawDiskFault(12))
	}
}

// tempt sometimes ends a process soon after its history was taken back or replaced: no
// moment is more delicate.
func (m *member) tempt() {
	if m.w.healed || m.w.random.IntN(5) > 0 {
		return
	}
	born := m.incarnation
	m.w.after(m.w.between(0, 10*millisecond), func() {
		if m.incarnation == born && !m.w.healed {
			m.endAndFailToStart()
		}
	})
}

// diskFault is the failure of one operation on a process' disk.
type diskFault struct {
	vfs.Fault
	// ends says that the process ends at this operation; otherwise it meets an error, which
	// it may outlive where it only wrote a snapshot.
	ends bool
}

// drawDiskFault draws a fault for one of the next so many operations: before or after its
// effect, or in the middle of it.
func (w *world) drawDiskFault(among int) *diskFault {
	f := &diskFault{Fault: vfs.Fault{
		Ops: vfs.OpMutate, Nth: 1 + w.random.IntN(among), Count: 1, Err: errDisk, When: vfs.When(w.random.IntN(3)),
	}}
	switch w.random.IntN(4) {
	case 0:
		f.Ops = vfs.OpAny
	case 1:
	default:
		f.ends = true
	}
	return f
}

// meet makes the process meet a fault of its disk.
func (m *member) meet(f *diskFault) {
	if f == nil {
		return
	}
	m.w.trace("%s will meet %v, ends=%v", name(m.sid), f.Fault, f.ends)
	m.fs.Inject(f.Fault)
	m.endsAtFault = f.ends
	if f.ends {
		// A process that has ended does nothing more.
		rest := f.Fault
		rest.Nth, rest.Count, rest.When = f.Nth+1, 0, vfs.Before
		m.fs.Inject(rest)
	}
}

// healAll ends whatever is still in effect.
func (w *world) healAll() {
	w.trace("all is healed")
	w.healed = true
	clear(w.net.blocked)
	for _, m := range w.members {
		m.slowDiskUs, m.nextFault, m.deaf, m.full = 0, nil, false, false
		if m.up {
			m.fs.Clear()
		}
		m.resume()
		m.revive()
	}
}
