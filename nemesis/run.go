package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// ErrCrashed says that a process was found down that no fault had killed.
var ErrCrashed = errors.New("process ended by itself")

// Bounds of the executor. A probe is repeated until it succeeds or its bound is
// over; then the step is reported as not effective, or not healed.
const (
	injectTimeout    = 15 * time.Second
	effectiveTimeout = 12 * time.Second
	healTimeout      = 30 * time.Second
	leaderTimeout    = 3 * time.Second
	healAllTimeout   = 60 * time.Second
	probeInterval    = 100 * time.Millisecond
	lockInterval     = time.Millisecond
	healTries        = 3
)

// Phase says which part of a step an event reports.
type Phase string

// The phases of a step, in their order. Heal is the start of the heal; Healed
// its proof. An event with an error reports that the phase was not reached.
const (
	PhaseStart     Phase = "start"
	PhaseEffective Phase = "effective"
	PhaseHeal      Phase = "heal"
	PhaseHealed    Phase = "healed"
)

// Event is one line of the nemesis' own history.
type Event struct {
	Time    time.Time
	Index   int // of the step in the schedule
	Phase   Phase
	Fault   string
	Variant string
	Targets []string // names, roles are resolved
	Detail  string   // what was done or seen, for people
	Err     error    // why the phase was not reached; wraps ErrUnavailable if the fault can't be done here
}

// Recorder takes the events of a run. It is called from several goroutines.
type Recorder interface {
	RecordNemesis(Event)
}

// Outcome is what became of one step. Times are relative to the start of the
// fault phase; those of what was not reached are zero.
type Outcome struct {
	Step        Step
	Targets     []string
	Effective   bool // proved to be in effect
	Healed      bool // proved to be healed
	StartAt     time.Duration
	EffectiveAt time.Duration
	HealAt      time.Duration
	HealedAt    time.Duration
	Err         error
}

// Unavailable reports whether the fault can't be done here.
func (o Outcome) Unavailable() bool { return errors.Is(o.Err, ErrUnavailable) }

// executor carries one schedule out.
type executor struct {
	world    *world
	recorder Recorder
	clock    Clock
	start    time.Time
	steps    []Step
	done     []atomic.Bool // by step
}

// Run carries a schedule out and returns after schedule.Total, with one outcome
// for each step that was started. When ctx ends, it heals what is in effect,
// with a context of its own, and returns ctx's error. The error is also set if
// the final heal failed; errors of single steps stand in their outcomes.
func Run(ctx context.Context, schedule Schedule, injector Injector, recorder Recorder) (outcomes []Outcome, err error) {
	if err := schedule.Validate(); err != nil {
		return nil, err
	}
	clock := ClockOf(injector)
	e := &executor{world: newWorld(injector, schedule.Members), recorder: recorder, clock: clock, start: clock.Now(), steps: schedule.Steps, done: make([]atomic.Bool, len(schedule.Steps))}
	defer func() {
		healCtx, cancel := clock.WithTimeout(context.WithoutCancel(ctx), healAllTimeout)
		defer cancel()
		if healErr := injector.HealAll(healCtx); healErr != nil {
			err = errors.Join(err, fmt.Errorf("nemesis: final heal: %w", healErr))
		}
	}()

	results := make([]*Outcome, len(schedule.Steps))
	tasks := make([]func(), len(schedule.Steps))
	for i, step := range schedule.Steps {
		tasks[i] = func() { results[i] = e.runStep(ctx, i, step) }
	}
	Together(clock, tasks...)
	for _, outcome := range results {
		if outcome != nil {
			outcomes = append(outcomes, *outcome)
		}
	}
	return outcomes, e.sleepUntil(ctx, schedule.Total)
}

// runStep carries out one step from its start to its proved heal. It returns
// nil if ctx ended before the start.
func (e *executor) runStep(ctx context.Context, index int, step Step) *Outcome {
	defer e.done[index].Store(true)
	if e.sleepUntil(ctx, step.At) != nil || e.awaitTurn(ctx, index) != nil {
		return nil
	}
	fault, err := Lookup(step.Fault)
	if err != nil {
		return &Outcome{Step: step, Err: err}
	}
	s := activeStep{index: index, id: strconv.Itoa(index), step: step}
	detail := ""
	s.targets, detail = e.resolve(ctx, index, step.Targets)
	out := &Outcome{Step: step, Targets: s.targets, StartAt: e.elapsed()}
	e.record(s, PhaseStart, detail, nil)

	if err := fault.available(ctx, e.world.injector, step.Variant); err != nil {
		out.Err, out.Healed, out.HealAt, out.HealedAt = err, true, out.StartAt, out.StartAt
		e.record(s, PhaseEffective, "", err)
		e.record(s, PhaseHeal, "", nil)
		e.record(s, PhaseHealed, "nothing was changed", nil)
		return out
	}
	if err = e.inject(ctx, fault, s); err != nil {
		out.Err = fmt.Errorf("inject: %w", err)
		e.record(s, PhaseEffective, "", out.Err)
	} else if detail, err := e.prove(ctx, fault, s, effectiveTimeout); err != nil {
		out.Err = fmt.Errorf("not proved to be in effect: %w", err)
		e.record(s, PhaseEffective, "", out.Err)
	} else {
		out.Effective, out.EffectiveAt = true, e.elapsed()
		e.record(s, PhaseEffective, detail, nil)
		acts, err := e.act(ctx, fault, s, out.StartAt+step.Duration)
		if err != nil {
			out.Err = fmt.Errorf("while in effect: %w", err)
		}
		e.healStep(ctx, fault, s, out, acts)
		return out
	}
	e.healStep(ctx, fault, s, out, "")
	return out
}

// awaitTurn waits for the steps before this one that it must not overlap.
func (e *executor) awaitTurn(ctx context.Context, index int) error {
	for before := range index {
		if !e.steps[index].excludes(e.steps[before]) {
			continue
		}
		for !e.done[before].Load() {
			if err := e.clock.Sleep(ctx, probeInterval); err != nil {
				return err
			}
		}
	}
	return nil
}

// act lets a fault act until its time is over. A wait that ctx cuts short is
// followed by the heal all the same.
func (e *executor) act(ctx context.Context, fault Fault, s activeStep, until time.Duration) (string, error) {
	if f, acts := fault.(actor); acts {
		return f.act(ctx, e, s, until)
	}
	_ = e.sleepUntil(ctx, until)
	return "", nil
}

// inject changes the cluster. It doesn't end with ctx: a change that is cut off
// may still be carried out by the engine, after its heal.
func (e *executor) inject(ctx context.Context, fault Fault, s activeStep) error {
	return e.change(ctx, func(ctx context.Context) error { return fault.inject(ctx, e.world, s) })
}

// change makes one change to the cluster, with a context of its own.
func (e *executor) change(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := e.clock.WithTimeout(context.WithoutCancel(ctx), injectTimeout)
	defer cancel()
	e.lock()
	defer e.world.change.Unlock()
	return f(ctx)
}

// lock takes the right to change the cluster. It waits by the clock: on a simulated cluster
// whoever has the right can't go on before this task waits.
func (e *executor) lock() {
	for !e.world.change.TryLock() {
		_ = e.clock.Sleep(context.Background(), lockInterval) // without an end there is no error
	}
}

// healStep ends a step, also after ctx has ended and after a failed inject,
// which may have hit some of its targets. Acts says what the fault did while it
// was in effect.
func (e *executor) healStep(ctx context.Context, fault Fault, s activeStep, out *Outcome, acts string) {
	healCtx, cancel := e.clock.WithTimeout(context.WithoutCancel(ctx), healTimeout)
	defer cancel()
	defer e.world.forget(s.id)
	out.HealAt = e.elapsed()
	e.record(s, PhaseHeal, acts, nil)

	detail := ""
	err := e.heal(healCtx, fault, s)
	if err == nil {
		detail, err = e.prove(healCtx, fault, s, healTimeout)
	}
	if err != nil {
		err = fmt.Errorf("heal: %w", err)
		out.Err = errors.Join(out.Err, err)
		e.record(s, PhaseHealed, "", err)
		return
	}
	out.Healed, out.HealedAt = true, e.elapsed()
	e.record(s, PhaseHealed, detail, nil)
}

// heal changes the cluster back, with a second and third try. A crash isn't
// tried again: it was seen once and would be hidden.
func (e *executor) heal(ctx context.Context, fault Fault, s activeStep) error {
	for try := 1; ; try++ {
		e.lock()
		err := fault.heal(ctx, e.world, s)
		e.world.change.Unlock()
		if err == nil || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrCrashed) || try == healTries {
			return err
		}
		if e.clock.Sleep(ctx, probeInterval) != nil {
			return err
		}
	}
}

// prove repeats the fault's check until it succeeds or the timeout is over. A
// check that another step's change made fail is repeated like any other.
func (e *executor) prove(ctx context.Context, fault Fault, s activeStep, timeout time.Duration) (string, error) {
	ctx, cancel := e.clock.WithTimeout(ctx, timeout)
	defer cancel()
	lastErr := errors.New("no check came to an end")
	for {
		detail, err := fault.check(ctx, e.world, s)
		if err == nil {
			return detail, nil
		}
		if ctx.Err() == nil {
			lastErr = err
		}
		if e.clock.Sleep(ctx, probeInterval) != nil {
			return "", fmt.Errorf("within %s: %w", timeout, lastErr)
		}
	}
}

// resolve turns roles into names. Without a leader it falls back to a member
// that depends on the step alone, so that the fault happens all the same.
func (e *executor) resolve(ctx context.Context, index int, targets []string) ([]string, string) {
	var out []string
	detail := ""
	for _, target := range targets {
		switch target {
		case RoleLeader:
			target, detail = e.leader(ctx, index)
		case RoleFollower:
			leader, found := e.leader(ctx, index)
			at := slices.Index(e.world.members, leader) + 1 + index%max(1, len(e.world.members)-1)
			target = e.world.members[at%len(e.world.members)]
			detail = found + ", took " + target
		}
		out = append(out, target)
	}
	return out, detail
}

func (e *executor) leader(ctx context.Context, index int) (name, detail string) {
	ctx, cancel := e.clock.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	for {
		name, err := e.world.injector.Leader(ctx)
		if err == nil {
			return name, "leader is " + name
		}
		if e.clock.Sleep(ctx, probeInterval) != nil {
			name = e.world.members[index%len(e.world.members)]
			return name, fmt.Sprintf("no leader within %s (%v), took %s", leaderTimeout, err, name)
		}
	}
}

func (e *executor) record(s activeStep, phase Phase, detail string, err error) {
	e.recorder.RecordNemesis(Event{
		Time: e.clock.Now(), Index: s.index, Phase: phase, Fault: s.step.Fault,
		Variant: s.step.Variant, Targets: s.targets, Detail: detail, Err: err,
	})
}

func (e *executor) elapsed() time.Duration { return e.clock.Now().Sub(e.start) }

// sleepUntil waits until the time since the start is at, or ctx ends.
func (e *executor) sleepUntil(ctx context.Context, at time.Duration) error {
	return e.clock.Sleep(ctx, at-e.elapsed())
}
