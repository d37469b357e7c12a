package sim

import (
	"context"
	"errors"
	"iter"
	"time"
)

// task is a piece of the lab's code that blocks, as a coroutine: it runs until it waits,
// and the world resumes it. So one task runs at a time, and which one follows from events.
type task struct {
	resume func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	done   bool
	joiner *task // waits for the end
}

// errStopped unwinds a task that still waits when the run is over.
var errStopped = errors.New("the run has ended")

// Drive runs the lab's code in virtual time until it returns. Whatever it calls that waits
// must wait by the cluster: its clock, or a session.
func (c *Cluster) Drive(f func()) {
	root := c.spawn(f)
	for !root.done {
		if !c.ensemble.Next() {
			panic("sim: everybody waits, and nothing will ever happen")
		}
	}
	for t := range c.tasks { // in any order: what they still do no history has
		t.stop()
	}
}

// spawn starts a task and runs it to its first wait.
func (c *Cluster) spawn(f func()) *task {
	t := &task{}
	t.resume, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			t.done = true
			delete(c.tasks, t)
			if p := recover(); p != nil && p != errStopped {
				panic(p)
			}
			if t.joiner != nil {
				c.wake(t.joiner)
			}
		}()
		t.yield = yield
		f()
	})
	c.tasks[t] = struct{}{}
	c.run(t)
	return t
}

// run lets a task go on until it waits again.
func (c *Cluster) run(t *task) {
	before := c.current
	c.current = t
	t.resume()
	c.current = before
}

// wake lets a task go on as soon as the present event is over.
func (c *Cluster) wake(t *task) { c.ensemble.After(0, func() { c.run(t) }) }

// park hands control to the world until the present task is resumed.
func (c *Cluster) park() {
	if !c.current.yield(struct{}{}) {
		panic(errStopped)
	}
}

// Go implements nemesis.Clock.
func (c *Cluster) Go(f func()) (wait func()) {
	t := c.spawn(f)
	return func() {
		if !t.done {
			t.joiner = c.current
			c.park()
		}
	}
}

// Now implements nemesis.Clock.
func (c *Cluster) Now() time.Time { return c.ensemble.Now() }

// Sleep implements nemesis.Clock. Of an end of ctx before its deadline it hears when it
// wakes up.
func (c *Cluster) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := c.current
	c.ensemble.After(min(d, c.left(ctx)), func() { c.run(t) })
	c.park()
	return ctx.Err()
}

// forever is longer than any run.
const forever = 1000 * time.Hour

// left is the time to ctx's deadline.
func (c *Cluster) left(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return deadline.Sub(c.Now())
	}
	return forever
}

// WithTimeout implements nemesis.Clock. An event ends the context, so that no timer of
// this machine decides when.
func (c *Cluster) WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancelCause(parent)
	c.ensemble.After(d, func() { cancel(context.DeadlineExceeded) })
	ctx := virtualContext{inner, c.Now().Add(min(d, c.left(parent)))}
	return ctx, func() { cancel(context.Canceled) }
}

// virtualContext has a deadline in virtual time.
type virtualContext struct {
	context.Context
	deadline time.Time
}

func (c virtualContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c virtualContext) Err() error {
	if c.Context.Err() == nil {
		return nil
	}
	return context.Cause(c.Context)
}

// waiter is what one task waits for.
type waiter struct {
	c    *Cluster
	task *task
	over bool // it happened, or is no more waited for
}

// wait returns true when it happens, false at ctx's deadline.
func (w *waiter) wait(ctx context.Context) bool {
	if w.over {
		return true
	}
	happened := true
	w.task = w.c.current
	if _, ok := ctx.Deadline(); ok {
		w.c.ensemble.After(w.c.left(ctx), func() {
			if !w.over {
				w.over, happened = true, false
				w.c.run(w.task)
			}
		})
	}
	w.c.park()
	return happened
}

// happens resumes who waits, if anybody still does.
func (w *waiter) happens() {
	if w.over {
		return
	}
	w.over = true
	if w.task != nil {
		w.c.wake(w.task)
	}
}
