package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"zoolab/lab/cluster"
	"zoolab/lab/history"
	"zoolab/lab/store"
	"zoolab/nemesis"
	"zoolab/workloads"
)

// Bounds of the phases of a run.
const (
	startTimeout   = 5 * time.Minute // images may have to be built
	formTimeout    = 90 * time.Second
	recoverTimeout = 90 * time.Second
	finalTimeout   = 2 * time.Minute
	stopTimeout    = 2 * time.Minute
	formInterval   = 150 * time.Millisecond
)

// errNotStarted marks a run that came to nothing before its first operation:
// there is no history to check.
var errNotStarted = errors.New("the run did not start")

// runner carries out one run.
type runner struct {
	options  options
	workload workloads.Workload
	kinds    []string   // entries for nemesis.Plan
	optional []string   // faults that are left out where they can't be done
	madeFor  []string   // faults that the members are made for, whether one of them comes or not
	run      *store.Run // keeps nothing of a simulated run that nobody asked to keep
	meta     store.Meta
	progress *progress
	logger   *slog.Logger
	logFile  *os.File // nil in a run that is not kept

	cluster  cluster.Cluster
	access   access
	recorder *history.Recorder
	faults   *faultLog
	leaders  *leaderWatch
	trees    []workloads.MemberTree // as members served them in the end
}

// newRunner prepares a run of which nothing is kept, unless keep is called.
func newRunner(o options, progress *progress) (*runner, error) {
	o.drawSeed()
	kinds, optional, err := o.kinds()
	if err != nil {
		return nil, err
	}
	count, err := o.clients()
	if err != nil {
		return nil, err
	}
	workload, err := workloads.Lookup(o.Workload)
	if err != nil {
		return nil, err
	}
	madeFor := faultNames(kinds)
	if reconfig := workload.Reconfigurable || o.replay != nil && o.replay.Reconfig; reconfig && !slices.Contains(madeFor, "reconfig") {
		madeFor = append(madeFor, "reconfig")
	}
	return &runner{
		options: o, workload: workload, kinds: kinds, optional: optional, madeFor: madeFor, run: &store.Run{}, progress: progress, access: networkAccess(), logger: slog.New(slog.DiscardHandler),
		meta: store.Meta{
			Format: store.Format, Name: o.name(), Command: o.command(), Start: time.Now(), Workload: o.Workload, Nemesis: required(kinds, optional), Seed: o.Seed,
			TimeLimitSeconds: o.TimeLimit.Seconds(), Concurrency: count, RatePerSecond: o.Rate,
			Image: o.Image, Versions: versions(),
		},
	}, nil
}

// keep makes the run's directory.
func (r *runner) keep() error {
	run, err := store.Open(r.options.Store).Create(r.meta.Name, r.meta.Start)
	if err != nil {
		return err
	}
	if r.logFile, err = os.Create(run.Path(store.LabLog)); err != nil {
		return fmt.Errorf("create the lab's log: %w", err)
	}
	r.run, r.logger = run, slog.New(slog.NewTextHandler(r.logFile, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.logger.Info("run", "command", r.meta.Command, "directory", run.Dir)
	return run.WriteMeta(r.meta)
}

// do carries the run out, up to and including its last file before the check.
// Ctx ends a run early: faults are healed, everything is stopped, and what was
// recorded so far is kept. An error that wraps errNotStarted means that there
// is nothing to check.
func (r *runner) do(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			r.logger.Error("run failed", "error", err)
		}
		if r.logFile != nil {
			err = errors.Join(err, r.logFile.Close())
		}
	}()
	defer func() {
		// The last word on what happened, whatever happened.
		r.meta.Interrupted = ctx.Err() != nil
		err = errors.Join(err, r.run.WriteMeta(r.meta))
	}()
	scratch := "" // a simulation builds nothing
	if !r.options.simulated() {
		if scratch, err = cluster.MakeScratch(); err != nil {
			return fmt.Errorf("%w: %w", errNotStarted, err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	}
	if err := r.start(ctx, scratch); err != nil {
		r.salvage()
		return fmt.Errorf("%w: %w", errNotStarted, errors.Join(err, r.stop()))
	}
	if err := r.operate(ctx); err != nil {
		return errors.Join(err, r.stop())
	}
	return r.finish(ctx)
}

// start builds the server, starts the cluster and waits until it is formed.
func (r *runner) start(ctx context.Context, scratch string) error {
	ctx, cancel := r.access.clock.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := r.prepare(ctx, scratch); err != nil {
		return err
	}
	if err := r.cluster.Start(ctx); err != nil {
		return err
	}
	info := r.cluster.Info()
	r.meta.Driver, r.meta.Why, r.meta.Engine, r.meta.Image, r.meta.ImageID, r.meta.Network = info.Driver, info.Why, info.Engine, info.Image, info.ImageID, info.Network
	for _, member := range r.cluster.Members() {
		r.meta.Members = append(r.meta.Members, member.Name)
	}
	r.progress.say("cluster: %s (%s), %s", info.Driver, info.Why, info.Engine)
	if err := r.skipUnavailable(ctx); err != nil {
		return err
	}
	r.begin("waiting until the ensemble is formed", formTimeout, nil)
	forming, cancelForming := context.WithCancelCause(ctx)
	watched := r.access.clock.Go(func() { cancelForming(r.firstDown(forming)) })
	err := r.access.waitFormed(forming, r.cluster.Members(), formTimeout)
	cause := context.Cause(forming)
	cancelForming(nil)
	watched()
	if err != nil && errors.Is(cause, errEnded) {
		return cause
	}
	return err
}

// prepare builds the server and makes its cluster. A simulated cluster is there already.
func (r *runner) prepare(ctx context.Context, scratch string) error {
	if r.options.simulated() {
		return nil
	}
	removed, err := cluster.SweepRuns(ctx, r.logger, r.options.Driver)
	if err != nil { // the run may do without
		r.progress.say("not all that killed labs left behind could be removed; see `go run ./lab clean`: %v", err)
	}
	if removed > 0 {
		r.progress.say("removed %d things that a killed lab had left behind", removed)
	}
	if r.options.builds() {
		r.begin("building the server", 0, nil)
	}
	binary, err := serverBinary(ctx, &r.options, scratch)
	if err != nil {
		return err
	}
	r.begin(fmt.Sprintf("starting %d members", r.options.Nodes), 0, nil)
	r.cluster, err = cluster.New(ctx, cluster.Options{
		Driver: r.options.Driver, Nodes: r.options.Nodes, ComposeFile: r.options.Compose, Image: r.options.Image,
		Binary: binary, Config: r.options.Config, Image2: r.options.Image2, Binary2: r.options.Binary2, Faults: r.madeFor,
		Logger: r.logger, Notice: r.progress.say,
	})
	return err
}

// begin tells of a phase. Virtual time is none that anybody waits for.
func (r *runner) begin(phase string, limit time.Duration, status func() string) {
	if r.options.simulated() {
		limit, status = 0, nil
	}
	r.progress.begin(phase, limit, status)
}

// errEnded says that a server ended before any fault was injected.
var errEnded = errors.New("a server ended by itself")

// firstDown returns when a member's process has ended, or ctx has.
func (r *runner) firstDown(ctx context.Context) error {
	for {
		if r.access.clock.Sleep(ctx, time.Second) != nil {
			return nil
		}
		for _, member := range r.cluster.Members() {
			if status, err := r.cluster.Status(ctx, member.Name); err == nil && status.State == nemesis.Down {
				return fmt.Errorf("%w: %s (%s); see %s", errEnded, member.Name, status.Detail, r.run.Path(member.Name))
			}
		}
	}
}

// salvage keeps the members' logs of a run that came to nothing, for people.
func (r *runner) salvage() {
	if r.cluster == nil || !r.run.Kept() {
		return
	}
	ctx, cancel := r.access.clock.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := r.cluster.Collect(ctx, r.run.Dir); err != nil {
		r.logger.Warn("collect after a failed start", "error", err)
	}
}

// schedule draws the faults, or gives those that are to be replayed, and keeps
// them beside the history.
func (r *runner) schedule() (nemesis.Schedule, error) {
	var schedule nemesis.Schedule
	var err error
	if r.options.replay != nil {
		schedule = *r.options.replay
	} else if schedule, err = nemesis.Plan(r.options.Seed, r.kinds, r.meta.Members, r.options.TimeLimit); err != nil {
		return schedule, err
	}
	schedule.Reconfig = slices.Contains(r.madeFor, "reconfig")
	r.meta.Nemesis = scheduled(r.meta.Nemesis, schedule)
	data, err := nemesis.MarshalSchedule(schedule)
	if err != nil {
		return schedule, err
	}
	return schedule, r.run.WriteFile(store.ScheduleFile, data)
}

// Phases that the check asks for; finalPhase is the last one of a run that goes
// its whole way.
const (
	recoveryPhase = "recovery"
	finalPhase    = "final reads"
)

// phase notes the beginning of a phase and returns what notes its end. What is
// known so far is written, for the case that the lab is killed.
func (r *runner) phase(name string) func() {
	r.logger.Info("phase", "name", name)
	r.meta.Phases = append(r.meta.Phases, store.Phase{Name: name, StartNs: r.recorder.NowNs()})
	at := len(r.meta.Phases) - 1
	r.problem(r.run.WriteMeta(r.meta))
	return func() { r.meta.Phases[at].EndNs = r.recorder.NowNs() }
}

// problem notes what kept the run from going its whole way. The check turns it
// into a verdict.
func (r *runner) problem(err error) {
	if err == nil {
		return
	}
	r.logger.Error("problem", "error", err)
	r.meta.Problems = append(r.meta.Problems, err.Error())
}

// operate runs the workload under faults, heals, waits for recovery, and reads
// everything once more.
func (r *runner) operate(ctx context.Context) error {
	schedule, err := r.schedule()
	if err != nil {
		return fmt.Errorf("%w: %w", errNotStarted, err)
	}
	path := ""
	if r.run.Kept() {
		path = r.run.Path(store.HistoryFile)
	}
	if r.recorder, err = history.NewRecorder(path, r.access.clock.Now); err != nil {
		return fmt.Errorf("%w: %w", errNotStarted, err)
	}
	r.meta.HistoryStart = r.recorder.Start()
	members := r.cluster.Members()
	// Samples go on through an interrupt: the heal belongs to the picture.
	r.leaders = r.access.watchLeaders(context.WithoutCancel(ctx), members, r.recorder.NowNs)
	r.faults = newFaultLog(r.recorder)
	r.meta.Gauges = r.gaugesAtStart(ctx)
	c := newClients(r.access, r.workload, r.recorder, members, r.meta.Concurrency, r.options.Rate, r.options.Seed)
	c.readers = r.options.Readers
	setupCtx, cancel := r.access.clock.WithTimeout(ctx, formTimeout)
	err = c.setup(setupCtx)
	cancel()
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", errNotStarted, err), r.closeRecording())
	}
	crew := c.crew()
	c.ends = &sessionEnds{clock: r.access.clock, start: r.recorder.Start()}
	crew.idle = r.access.idle(members, c.ends)
	r.underFaults(ctx, crew, schedule)
	if ctx.Err() == nil {
		r.recovery(ctx, crew)
	}
	crew.close()
	if r.options.knownTicks() {
		r.meta.Sessions = &c.ends.watch
	}
	return r.closeRecording()
}

func (r *runner) closeRecording() error {
	r.meta.Leaders = r.leaders.stop()
	r.meta.Faults = r.faults.table()
	ops, err := r.recorder.Close()
	r.problem(err)
	r.meta.Operations = len(ops)
	r.problem(r.run.WriteMeta(r.meta))
	return nil
}

// underFaults lets clients and nemesis act for the length of the schedule.
func (r *runner) underFaults(ctx context.Context, crew *crew, schedule nemesis.Schedule) {
	defer r.phase("faults")()
	c := crew.clients
	r.begin(fmt.Sprintf("%s under %s", r.options.Workload, r.options.Nemesis), schedule.Total, func() string {
		return fmt.Sprintf("ok %d, failed %d, unknown %d | faults: %s | leader: %s", c.ok.Load(), c.failed.Load(), c.unknown.Load(), r.faults.inForce(), r.leaders.current())
	})
	cost := costSince()
	working, stop := context.WithCancel(ctx)
	rest := r.access.clock.Go(func() { crew.work(working) })
	_, err := nemesis.Run(ctx, schedule, r.cluster, r.faults)
	if ctx.Err() == nil {
		r.problem(err)
	} else {
		r.logger.Info("interrupted", "nemesis", err)
	}
	stop()
	rest()
	if !r.options.simulated() {
		r.meta.LabCost = cost(int(c.ok.Load() + c.failed.Load() + c.unknown.Load()))
	}
}

// recovery waits until the healed ensemble is formed again and reads
// everything once more, by every client.
func (r *runner) recovery(ctx context.Context, crew *crew) {
	r.begin("waiting for recovery", recoverTimeout, nil)
	end := r.phase(recoveryPhase)
	err := r.access.waitFormed(ctx, r.cluster.Members(), recoverTimeout)
	if err != nil {
		if ctx.Err() == nil {
			r.problem(fmt.Errorf("no recovery within %s of the last heal: %w", recoverTimeout, err))
		}
		return
	}
	end()
	c := crew.clients
	if settle := time.Duration(c.workload.SettleMs) * time.Millisecond; settle > 0 {
		r.begin("waiting for what is to expire", settle, nil)
		if r.access.clock.Sleep(ctx, settle) != nil {
			return
		}
	}
	r.begin(finalPhase, finalTimeout, func() string { return fmt.Sprintf("ok %d", c.ok.Load()) })
	defer r.phase(finalPhase)()
	reading, cancel := r.access.clock.WithTimeout(ctx, finalTimeout)
	crew.run(reading, c.final())
	if reading.Err() != nil && ctx.Err() == nil {
		r.problem(fmt.Errorf("the final reads were not done within %s", finalTimeout))
	}
	cancel()
	if ctx.Err() != nil {
		return
	}
	// Ephemeral znodes go with their sessions, which must not happen between the
	// reading of the trees and the end of the members.
	crew.close()
	r.begin("comparing trees", treeTimeout, nil)
	r.trees = r.access.readTrees(ctx, r.cluster.Members())
	r.problem(r.run.WriteJSON(store.TreesFile, r.trees))
	r.gaugesAtEnd(ctx)
}

// finish stops the servers, collects what they leave, and takes everything down.
func (r *runner) finish(ctx context.Context) error {
	r.begin("collecting logs and data", 0, nil)
	stopping, cancel := r.access.clock.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	r.problem(r.cluster.StopNodes(stopping))
	if r.run.Kept() {
		r.problem(r.cluster.Collect(stopping, r.run.Dir))
	}
	r.problem(r.stop())
	return nil
}

// stop takes the cluster down. It may be called with a cluster that never
// started.
func (r *runner) stop() error {
	if r.cluster == nil {
		return nil
	}
	ctx, cancel := r.access.clock.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	if err := r.cluster.Stop(ctx); err != nil {
		return fmt.Errorf("stop the cluster; `go run ./lab clean` removes what is left: %w", err)
	}
	return nil
}

// waitFormed returns when every member answers, exactly one leads, and a write
// is readable everywhere.
func (a *access) waitFormed(ctx context.Context, members []cluster.Member, timeout time.Duration) error {
	ctx, cancel := a.clock.WithTimeout(ctx, timeout)
	defer cancel()
	lacks := ""
	for {
		if statuses := a.askAll(ctx, members); ctx.Err() == nil {
			if lacks = notFormed(members, statuses); lacks == "" {
				err := a.probeWrite(ctx, members)
				if err == nil {
					return nil
				}
				if ctx.Err() == nil {
					lacks = err.Error()
				}
			}
		}
		if a.clock.Sleep(ctx, formInterval) != nil {
			return fmt.Errorf("the ensemble is not formed: %s: %w", lacks, ctx.Err())
		}
	}
}

// probePath is written to find out whether an ensemble is formed.
const probePath = "/zoolab-formed"

// probeWrite writes at one member and reads at all.
func (a *access) probeWrite(ctx context.Context, members []cluster.Member) error {
	ctx, cancel := a.clock.WithTimeout(ctx, 2*operationTimeout)
	defer cancel()
	value := []byte(a.clock.Now().Format(time.RFC3339Nano))
	for i, member := range members {
		if err := a.probeMember(ctx, member, value, i == 0); err != nil {
			return fmt.Errorf("probe of %s: %w", member.Name, err)
		}
	}
	return nil
}

func (a *access) probeMember(ctx context.Context, member cluster.Member, value []byte, write bool) error {
	s, err := a.open(ctx, member.Client)
	if err != nil {
		return err
	}
	defer s.Close()
	if write {
		if _, _, err := s.Create(ctx, probePath, nil); err != nil && !errors.Is(err, workloads.ErrNodeExists) {
			return err
		}
		_, _, err := s.Set(ctx, probePath, value, -1)
		return err
	}
	if _, err := s.Sync(ctx, probePath); err != nil {
		return err
	}
	data, _, _, err := s.Get(ctx, probePath)
	if err == nil && string(data) != string(value) {
		err = fmt.Errorf("after a sync it has %q, not the %q that was written", data, value)
	}
	return err
}
