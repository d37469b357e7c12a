package main

import (
	"context"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"zoolab/lab/cluster"
	"zoolab/lab/history"
	"zoolab/nemesis"
	"zoolab/workloads"
)

const (
	// operationTimeout bounds one operation, waiting for a connection included.
	operationTimeout = 5 * time.Second
	// reopenPause keeps a client whose member is down from opening sessions in
	// a tight loop.
	reopenPause = 200 * time.Millisecond
	// failurePause follows an operation that failed at once, so that a member
	// that is down doesn't fill the history with refusals.
	failurePause = 50 * time.Millisecond
	quickFailure = 20 * time.Millisecond
)

// clientSession is what a worker needs of a session.
type clientSession interface {
	workloads.Client
	ID() int64
	Server() string // address of the member it is connected to, empty without one
	Expired() bool  // it has ended; a new one must be opened
	// Expiry tells of a session that a member has called expired; false for others.
	Expiry() (expiry, bool)
	Move() error
	Close()
}

// clients run a workload: each has a session of its own, bound to one member,
// and stands for one process of the history at a time.
type clients struct {
	workload workloads.Workload
	recorder *history.Recorder
	members  []cluster.Member
	count    int
	readers  int // of them, those that only read; the last ones
	limiter  *rate.Limiter
	access   access
	ends     *sessionEnds // nil: nobody asks when sessions expire

	genMu     sync.Mutex // guards generator and rng
	generator workloads.Generator
	rng       *rand.Rand

	ok, failed, unknown atomic.Int64
}

func newClients(access access, workload workloads.Workload, recorder *history.Recorder, members []cluster.Member, count int, perSecond float64, seed int64) *clients {
	return &clients{
		access: access, workload: workload, recorder: recorder, members: members, count: count,
		limiter:   rate.NewLimiter(rate.Limit(perSecond), 1),
		generator: workload.NewGenerator(workloads.Options{Concurrency: count}),
		rng:       rand.New(rand.NewSource(seed)),
	}
}

// source hands out invocations; false when there are none left.
type source func(ctx context.Context) (workloads.Op, bool)

// random draws from the generator, at the rate of the run, until ctx ends.
func (c *clients) random(ctx context.Context) (workloads.Op, bool) {
	return c.draw(ctx, c.generator.Next)
}

// reads draws what a client does that only reads.
func (c *clients) reads(ctx context.Context) (workloads.Op, bool) {
	return c.draw(ctx, c.generator.(workloads.ReadGenerator).NextRead)
}

func (c *clients) draw(ctx context.Context, next func(*rand.Rand) workloads.Op) (workloads.Op, bool) {
	now := c.access.clock.Now()
	if c.access.clock.Sleep(ctx, c.limiter.ReserveN(now, 1).DelayFrom(now)) != nil {
		return workloads.Op{}, false
	}
	c.genMu.Lock()
	defer c.genMu.Unlock()
	return next(c.rng), true
}

// final hands out the final reads, each once.
func (c *clients) final() source {
	c.genMu.Lock()
	ops := c.generator.Final()
	c.genMu.Unlock()
	var next atomic.Int64
	return func(ctx context.Context) (workloads.Op, bool) {
		i := int(next.Add(1)) - 1
		if i >= len(ops) || ctx.Err() != nil {
			return workloads.Op{}, false
		}
		return ops[i], true
	}
}

// setup prepares the ensemble for the workload.
func (c *clients) setup(ctx context.Context) error {
	s, err := c.access.open(ctx, c.members[0].Client)
	if err != nil {
		return fmt.Errorf("set up the workload at %s: %w", c.members[0].Name, err)
	}
	defer s.Close()
	if err := c.workload.Setup(ctx, s); err != nil {
		return fmt.Errorf("set up the workload at %s: %w", c.members[0].Name, err)
	}
	return nil
}

// crew is the clients of a run with their sessions. The processes of the
// history go on from one phase to the next.
type crew struct {
	clients *clients
	workers []*worker
	idle    func() // closes the sessions that do nothing; nil without
}

type worker struct {
	clients *clients
	member  cluster.Member // its name is empty for a client that uses all members
	process int
	session clientSession // nil while there is none
}

func (c *clients) crew() *crew {
	crew := &crew{clients: c}
	for i := range c.count {
		member := c.members[i%len(c.members)]
		if c.workload.Roams && i%2 == 1 {
			member = anyOf(c.members)
		}
		crew.workers = append(crew.workers, &worker{clients: c, member: member, process: i})
	}
	return crew
}

// anyOf stands for whichever member a session is connected to.
func anyOf(members []cluster.Member) cluster.Member {
	addrs := make([]string, 0, len(members))
	for _, member := range members {
		addrs = append(addrs, member.Client)
	}
	return cluster.Member{Client: strings.Join(addrs, ",")}
}

// memberName says which member the next request goes to, empty if that is open.
func (w *worker) memberName() string {
	if w.member.Name != "" {
		return w.member.Name
	}
	server := w.session.Server()
	for _, member := range w.clients.members {
		if member.Client == server {
			return member.Name
		}
	}
	return ""
}

// run lets all workers carry out what next hands out. When ctx ends, what is in
// flight may still end by itself. It returns when all workers are at rest.
func (c *crew) run(ctx context.Context, next source) {
	c.each(func(w *worker) { w.run(ctx, next) })
}

// work lets all workers carry out what the generator draws, until ctx ends.
func (c *crew) work(ctx context.Context) {
	first := len(c.workers) - c.clients.readers
	c.each(func(w *worker) {
		if slices.Index(c.workers, w) >= first {
			w.run(ctx, c.clients.reads)
		} else {
			w.run(ctx, c.clients.random)
		}
	})
}

// close ends the sessions.
func (c *crew) close() {
	c.each((*worker).drop)
	if c.idle != nil {
		c.idle()
		c.idle = nil
	}
}

func (c *crew) each(f func(*worker)) {
	tasks := make([]func(), 0, len(c.workers))
	for _, w := range c.workers {
		tasks = append(tasks, func() { f(w) })
	}
	nemesis.Together(c.clients.access.clock, tasks...)
}

func (w *worker) drop() {
	if w.session != nil {
		if w.clients.ends != nil {
			w.clients.ends.note(w.session, fmt.Sprintf("process %d", w.process))
		}
		w.session.Close()
		w.session = nil
	}
}

func (w *worker) run(ctx context.Context, next source) {
	for {
		if !w.ready(ctx) {
			return
		}
		op, ok := next(ctx)
		if !ok {
			return
		}
		w.perform(ctx, op)
	}
}

// ready makes sure that there is a session. A new session is a new process: no
// promise connects what two sessions see. It returns false when ctx ends.
func (w *worker) ready(ctx context.Context) bool {
	if w.session != nil && w.session.Expired() {
		w.drop()
		w.process += w.clients.count
	}
	for w.session == nil {
		if ctx.Err() != nil {
			return false
		}
		clock := w.clients.access.clock
		opening, cancel := clock.WithTimeout(ctx, operationTimeout)
		s, err := w.clients.access.open(opening, w.member.Client)
		cancel()
		if err == nil {
			w.session = s
			return true
		}
		if clock.Sleep(ctx, reopenPause) != nil {
			return false
		}
	}
	return ctx.Err() == nil
}

// perform records and carries out one operation. It does not end with ctx: an
// operation that is cut short would be of unknown outcome for no reason.
func (w *worker) perform(ctx context.Context, op workloads.Op) {
	c, clock := w.clients, w.clients.access.clock
	op.Type, op.Process, op.Node, op.Session = workloads.Invoke, w.process, w.memberName(), w.session.ID()
	op = c.recorder.Record(op)
	doing, cancel := clock.WithTimeout(context.WithoutCancel(ctx), operationTimeout)
	start := clock.Now()
	done := c.recorder.Record(c.workload.Do(doing, w.session, op))
	cancel()
	c.genMu.Lock()
	c.generator.Completed(done)
	c.genMu.Unlock()
	switch done.Type {
	case workloads.OK:
		c.ok.Add(1)
	case workloads.Fail:
		c.failed.Add(1)
		if done.Zxid == 0 && clock.Now().Sub(start) < quickFailure {
			_ = clock.Sleep(ctx, failurePause) // its end is noticed where it matters
		}
	default:
		c.unknown.Add(1)
		w.process += c.count
	}
}
