package nemesis

import (
	"context"
	"fmt"
	"sync"
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
}

func newWorld(injector Injector, members []string) *world {
	w := &world{
		injector: injector,
		members:  members,
		holds:    make(map[string]map[string]hold),
		applied:  make(map[string]ProcessState),
		links:    make(map[string][]Link),
		shapes:   make(map[string]map[Link]Shape),
	}
	for _, member := range members {
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
	crashed := status.State == Down && w.applied[member] != Down
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
