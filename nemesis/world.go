package nemesis

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// activeStep is a step that is being carried out.
type activeStep struct {
	index   int
	id      string // unique within the run, names the step's rules
	step    Step
	targets []string // names, roles are resolved
}

// hold is what one step wants of a process.
type hold struct {
	state ProcessState
	// graceful ends the process with SIGTERM instead of SIGKILL.
	graceful bool
}

// world keeps what the active steps want the cluster to be, so that overlapping
// faults on one member or link don't heal each other.
type world struct {
	injector Injector
	members  []string

	// change is held while the cluster is being changed: one change at a time.
	change sync.Mutex

	// mu guards what follows.
	mu sync.Mutex
	// holds has for each member the steps that keep its process from running.
	holds map[string]map[string]hold
	// applied is the state that reconcile last brought the process to.
	// Invariant: a process that isn't in it ended by itself.
	applied map[string]ProcessState
	// links has the links that each step blocks.
	links map[string][]Link
	// shapes has what each step does to each of its links.
	shapes map[string]map[Link]Shape
	// disks has for each member what each step does to its disk.
	disks map[string]map[string]*DiskState
	// limits has for each member what each step leaves its process.
	limits map[string]map[string]Limits
	// ends has for each member the steps under which its process may end by itself.
	ends map[string]map[string]bool
	// parts has what members are to be in the ensemble where a step changes it.
	parts map[string]Part
	// first is the membership that was found when parts were set, nil before that.
	first *Membership
	// changed has the members whose turn in a step has come, by step and member.
	changed map[string]bool
	// notes has what steps did to members, for people.
	notes map[string]string
}

func newWorld(injector Injector, members []string) *world {
	w := &world{
		injector: injector,
		members:  members,
		holds:    make(map[string]map[string]hold),
		applied:  make(map[string]ProcessState),
		links:    make(map[string][]Link),
		shapes:   make(map[string]map[Link]Shape),
		disks:    make(map[string]map[string]*DiskState),
		limits:   make(map[string]map[string]Limits),
		ends:     make(map[string]map[string]bool),
		parts:    make(map[string]Part),
		changed:  make(map[string]bool),
		notes:    make(map[string]string),
	}
	for _, member := range members {
		w.disks[member] = make(map[string]*DiskState)
		w.limits[member] = make(map[string]Limits)
		w.ends[member] = make(map[string]bool)
		w.holds[member] = make(map[string]hold)
		w.applied[member] = Running
	}
	return w
}

func (w *world) hold(member, id string, h hold) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.holds[member][id] = h
}

func (w *world) release(member, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.holds[member], id)
}

// wanted is the state that the active steps want: down beats paused.
func (w *world) wanted(member string) ProcessState {
	return w.wantedHold(member).state
}

// wantedHold also says how to reach it: gracefully only if every step that
// wants the process down does.
func (w *world) wantedHold(member string) hold {
	w.mu.Lock()
	defer w.mu.Unlock()
	want := hold{state: Running}
	for _, h := range w.holds[member] {
		switch {
		case h.state > want.state:
			want = h
		case h.state == want.state:
			want.graceful = want.graceful && h.graceful
		}
	}
	return want
}

func (w *world) block(id string, links []Link) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.links[id] = links
}

func (w *world) unblock(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.links, id)
}

func (w *world) blockedLinks() map[Link]bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make(map[Link]bool)
	for _, links := range w.links {
		for _, link := range links {
			out[link] = true
		}
	}
	return out
}

// shape notes what a step does to its links.
func (w *world) shape(id string, links []Link, shape Shape) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shapes[id] = make(map[Link]Shape)
	for _, link := range links {
		w.shapes[id][link] = shape
	}
}

// shapeOf is what the active steps together do to a link.
func (w *world) shapeOf(link Link) Shape {
	w.mu.Lock()
	defer w.mu.Unlock()
	var shapes []Shape
	for _, links := range w.shapes {
		shapes = append(shapes, links[link])
	}
	return MergeShapes(shapes)
}

// setDisk notes what a step does to a member's disk, nil for nothing, and
// returns what it did before. A process may end by itself while its disk is
// broken.
func (w *world) setDisk(member, id string, state *DiskState) (before *DiskState) {
	w.mayEnd(member, id, state != nil)
	w.mu.Lock()
	defer w.mu.Unlock()
	before = w.disks[member][id]
	if state == nil {
		delete(w.disks[member], id)
	} else {
		w.disks[member][id] = state
	}
	return before
}

// diskOf is what the active steps together do to a member's disk.
func (w *world) diskOf(member string) DiskState {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all DiskState
	for _, s := range w.disks[member] {
		all.Full, all.Broken, all.SyncMs = all.Full || s.Full, all.Broken || s.Broken, max(all.SyncMs, s.SyncMs)
	}
	return all
}

// setLimits notes what a step leaves a member's process.
func (w *world) setLimits(member, id string, limits Limits) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.limits[member][id] = limits
}

// limitsOf is what the active steps together leave a member's process.
func (w *world) limitsOf(member string) Limits {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all Limits
	for _, l := range w.limits[member] {
		all.CPUPercent, all.HeadroomMiB = tighter(all.CPUPercent, l.CPUPercent), tighter(all.HeadroomMiB, l.HeadroomMiB)
	}
	return all
}

// mayEnd notes whether a member's process may end by itself because of a step.
func (w *world) mayEnd(member, id string, may bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if may {
		w.ends[member][id] = true
	} else {
		delete(w.ends[member], id)
	}
}

// forget ends what a step excused: whoever ends from now on has crashed.
func (w *world) forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ends := range w.ends {
		delete(ends, id)
	}
}

// revive starts a member again whose process ended only after a step was healed, because
// of what it had met before. It does so once: the next end is a crash. A check of the
// step calls it, without the change lock.
func (w *world) revive(ctx context.Context, member, id string) error {
	status, err := w.injector.Status(ctx, member)
	w.mu.Lock()
	excused := w.ends[member][id]
	w.mu.Unlock()
	if err != nil || !excused || status.State != Down || w.wanted(member) == Down {
		return err
	}
	if !w.change.TryLock() {
		return fmt.Errorf("%s is down, and another change is under way", member)
	}
	defer w.change.Unlock()
	defer w.mayEnd(member, id, false)
	return w.reconcile(ctx, member)
}

// want gives members their parts in the ensemble.
func (w *world) want(members []string, part Part) {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.parts)
	for _, member := range members {
		w.parts[member] = part
	}
	w.first = nil
}

// wantedParts are the parts that were last given, and the membership that was
// found then.
func (w *world) wantedParts() (map[string]Part, *Membership) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.parts), w.first
}

func (w *world) found(m Membership) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.first = &m
}

// cutOff reports whether a partition cuts a link of the member.
func (w *world) cutOff(member string) bool {
	for link := range w.blockedLinks() {
		if link.From == member || link.To == member {
			return true
		}
	}
	return false
}

func (w *world) setChanged(member, id string, changed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed[id+" "+member] = changed
}

func (w *world) isChanged(member, id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed[id+" "+member]
}

// note keeps what a step did to a member.
func (w *world) note(id, member, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes[id+" "+member] = text
}

func (w *world) noteOf(id, member string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.notes[id+" "+member]
}

// await repeats f until it returns nil or the timeout is over.
func (w *world) await(ctx context.Context, timeout time.Duration, f func() error) error {
	clock := ClockOf(w.injector)
	ctx, cancel := clock.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		if clock.Sleep(ctx, probeInterval) != nil {
			return fmt.Errorf("within %s: %w", timeout, err)
		}
	}
}

// checkProcess wants a member in the state that the active faults ask for, and
// its client port to answer exactly if that state is Running. A process that may
// end by itself because of another step than id may also be down.
func (w *world) checkProcess(ctx context.Context, member, id string) (string, error) {
	want := w.wanted(member)
	status, err := w.injector.Status(ctx, member)
	if err != nil {
		return "", fmt.Errorf("%s: %w", member, err)
	}
	w.mu.Lock()
	others := len(w.ends[member])
	if w.ends[member][id] {
		others--
	}
	w.mu.Unlock()
	if status.State == Down && others > 0 {
		return fmt.Sprintf("%s down (%s), as another fault lets it", member, status.Detail), nil
	}
	if status.State != want {
		return "", fmt.Errorf("%s is %s (%s), want %s", member, status.State, status.Detail, want)
	}
	answers := w.injector.Answers(ctx, member)
	if answers != (want == Running) {
		return "", fmt.Errorf("%s is %s, answers on its client port: %v", member, want, answers)
	}
	return fmt.Sprintf("%s %s, answers: %v", member, want, answers), nil
}

// reconcile brings a member's process to the wanted state. A process that was
// found down without having been killed is an error, also when down is wanted:
// a crash must not pass for a fault. The change lock is held.
func (w *world) reconcile(ctx context.Context, member string) error {
	status, err := w.injector.Status(ctx, member)
	if err != nil {
		return fmt.Errorf("%s: %w", member, err)
	}
	wanted := w.wantedHold(member)
	want := wanted.state
	w.mu.Lock()
	crashed := status.State == Down && w.applied[member] != Down && len(w.ends[member]) == 0
	w.mu.Unlock()

	switch {
	case status.State == want:
	case want == Down:
		err = w.end(ctx, member, status.State, wanted.graceful)
	case status.State == Down:
		err = w.injector.Restart(ctx, member)
		if err == nil && want == Paused {
			err = w.injector.Pause(ctx, member)
		}
	case want == Paused:
		err = w.injector.Pause(ctx, member)
	default:
		err = w.injector.Resume(ctx, member)
	}
	if err != nil && want == Down && ctx.Err() != nil {
		// It was told to end, and will, if too late: that is no crash.
		w.mu.Lock()
		w.applied[member] = Down
		w.mu.Unlock()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", member, err)
	}
	w.mu.Lock()
	w.applied[member] = want
	w.mu.Unlock()
	if crashed {
		return fmt.Errorf("%s: %w (%s)", member, ErrCrashed, status.Detail)
	}
	return nil
}

// end ends a process. A frozen one hears no SIGTERM.
func (w *world) end(ctx context.Context, member string, state ProcessState, graceful bool) error {
	if !graceful {
		return w.injector.Kill(ctx, member)
	}
	if state == Paused {
		if err := w.injector.Resume(ctx, member); err != nil {
			return err
		}
	}
	return w.injector.(Terminator).Terminate(ctx, member)
}

// allLinks lists both directions between every pair of members.
func (w *world) allLinks() []Link {
	var all []Link
	for _, from := range w.members {
		for _, to := range w.members {
			if from != to {
				all = append(all, Link{From: from, To: to})
			}
		}
	}
	return all
}
