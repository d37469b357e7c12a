package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"zoolab/lab/cluster"
	"zoolab/nemesis"
	"zoolab/workloads"
)

const (
	// idleInterval is how often the lab looks whether an idle session lives.
	idleInterval = 250 * time.Millisecond
	// idleStay is how long an idle session that moves stays with a member.
	idleStay = 3 * time.Second
)

// sessionEnds notes when sessions were told that they had expired.
type sessionEnds struct {
	clock nemesis.Clock
	start time.Time // of the history

	mu    sync.Mutex // guards watch
	watch workloads.SessionWatch
}

// note takes a session that has ended; it may not have expired.
func (e *sessionEnds) note(s clientSession, who string) {
	end, ok := s.Expiry()
	if !ok {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watch.Expired = append(e.watch.Expired, workloads.ExpiredSession{
		Session: s.ID(), Who: who, GrantedMs: end.granted.Milliseconds(),
		HeardNs: end.heard.Sub(e.start).Nanoseconds(), ToldNs: e.clock.Now().Sub(e.start).Nanoseconds(),
	})
}

// expiry is what a session knows of its end.
type expiry struct {
	granted time.Duration // its timeout
	heard   time.Time     // when it had sent the newest request that was answered
}

// knownTicks says that the servers' ticks are those that deafMs of CheckExpiry rests on.
func (o *options) knownTicks() bool {
	return !o.Drift && !slices.ContainsFunc(o.Config, func(line string) bool {
		return strings.HasPrefix(line, "tickTime=") || strings.HasPrefix(line, "syncLimit=")
	})
}

// idle keeps sessions that do nothing, one with each member and one that moves on all the
// time: nothing but their pings keeps them alive. What it returns closes them.
func (a *access) idle(members []cluster.Member, ends *sessionEnds) (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	var waits []func()
	for _, member := range append(slices.Clone(members), anyOf(members)) {
		waits = append(waits, a.clock.Go(func() { a.keepIdle(ctx, member, ends) }))
	}
	ends.watch.Idle = len(waits)
	return func() {
		stop()
		for _, wait := range waits {
			wait()
		}
	}
}

// keepIdle keeps one session, and another one when that has expired.
func (a *access) keepIdle(ctx context.Context, member cluster.Member, ends *sessionEnds) {
	who, moves := "idle at "+member.Name, strings.Contains(member.Client, ",")
	if moves {
		who = "idle, moving"
	}
	for ctx.Err() == nil {
		opening, cancel := a.clock.WithTimeout(ctx, operationTimeout)
		s, err := a.open(opening, member.Client)
		cancel()
		if err != nil {
			_ = a.clock.Sleep(ctx, reopenPause) // its end is noticed by the loop
			continue
		}
		since := a.clock.Now()
		for !s.Expired() && a.clock.Sleep(ctx, idleInterval) == nil {
			if now := a.clock.Now(); moves && now.Sub(since) > idleStay {
				since = now
				if err := s.Move(); err != nil {
					panic(fmt.Sprintf("an idle session can't move: %v", err)) // it has no watches
				}
			}
		}
		ends.note(s, who)
		s.Close()
	}
}
