package nemesis

import (
	"context"
	"sync"
	"time"
)

// Clock is time as a run sees it, and how things happen at the same time. That of this
// machine is RealClock. A simulated cluster implements Clock itself: there a schedule of
// minutes takes milliseconds, and one thing happens at a time, in an order that follows
// from a seed. So nothing but a Clock may make a task wait there.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or with ctx's error when ctx ends before.
	Sleep(ctx context.Context, d time.Duration) error
	// WithTimeout is context.WithTimeout by this clock.
	WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
	// Go starts f beside the caller and returns what waits for its end, to be called once.
	Go(f func()) (wait func())
}

// ClockOf gives a cluster's own time, or that of this machine.
func ClockOf(cluster any) Clock {
	if clock, ok := cluster.(Clock); ok {
		return clock
	}
	return RealClock{}
}

// Together calls all functions at the same time and returns when all have returned.
func Together(clock Clock, functions ...func()) {
	waits := make([]func(), 0, len(functions))
	for _, f := range functions {
		waits = append(waits, clock.Go(f))
	}
	for _, wait := range waits {
		wait()
	}
}

// RealClock is the time of this machine, and goroutines.
type RealClock struct{}

// Now implements Clock.
func (RealClock) Now() time.Time { return time.Now() }

// Sleep implements Clock.
func (RealClock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return ctx.Err()
	}
}

// WithTimeout implements Clock.
func (RealClock) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// Go implements Clock.
func (RealClock) Go(f func()) (wait func()) {
	var wg sync.WaitGroup
	wg.Go(f)
	return wg.Wait
}
