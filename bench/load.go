package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// job tells a load process what to do; it arrives as JSON on its standard input.
type job struct {
	Protocol     string   // a key of protocols
	Addrs        []string // client addresses of the members
	Operation    operation
	Gap          bool // record pauses between acknowledged writes instead of latencies
	Sessions     int  // spread over the members in turn
	InFlight     int  // requests that each session keeps unanswered
	PayloadBytes int
	RampMs       int // not measured, ahead of DurationMs
	DurationMs   int
}

// operation is what a load does again and again.
type operation string

const (
	opSet     operation = "set"
	opGet     operation = "get"
	opSyncGet operation = "sync and get"
)

// loadResult is a load process' answer, as JSON on its standard output.
type loadResult struct {
	Operations int
	OpsPerSec  float64
	All        int     // operations, those of the ramp included
	CPUSeconds float64 // that the load process used for All
	P50Us      int64
	P99Us      int64
	Errors     int
	FirstError string
	Pauses     []pause // of a gap job: all above minPause
}

// pause is a time without an acknowledged write, in nanoseconds of the wall clock.
type pause struct{ FromNs, ToNs int64 }

// minPause is what a gap job leaves out: ordinary group commits.
const minPause = time.Millisecond

// gapPatience is the patience of a gap job's sessions: many times what a set takes, and little
// beside an election.
const gapPatience = 100 * time.Millisecond

// loadArg as the only argument makes this program a load process.
const loadArg = "load-process"

// readyLine is what a load process prints when all its sessions are open.
const readyLine = "ready\n"

// loadMain is the load process.
func loadMain() error {
	var j job
	if err := json.NewDecoder(os.Stdin).Decode(&j); err != nil {
		return fmt.Errorf("read the job: %w", err)
	}
	sessions, err := openSessions(j)
	if err != nil {
		return err
	}
	fmt.Print(readyLine)
	var result loadResult
	if j.Gap {
		result = measureGaps(j, sessions)
	} else {
		result = measureLatencies(j, sessions)
	}
	for _, session := range sessions {
		go session.close()
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// openSessions opens the job's sessions, which make an entry for each.
func openSessions(j job) ([]session, error) {
	open, ok := protocols[j.Protocol]
	if !ok {
		return nil, fmt.Errorf("there is no protocol %q", j.Protocol)
	}
	payload := make([]byte, j.PayloadBytes)
	sessions := make([]session, j.Sessions)
	errs := make([]error, j.Sessions)
	var group sync.WaitGroup
	for i := range sessions {
		group.Go(func() {
			cfg := sessionConfig{addrs: []string{j.Addrs[i%len(j.Addrs)]}, index: i}
			if j.Gap {
				// After a kill a session moves to the other members.
				cfg.addrs = slices.Concat(j.Addrs[i%len(j.Addrs):], j.Addrs[:i%len(j.Addrs)])
				cfg.patience = gapPatience
			}
			if sessions[i], errs[i] = open(cfg, payload); errs[i] != nil {
				errs[i] = fmt.Errorf("session %d at %s: %w", i, cfg.addrs[0], errs[i])
			}
		})
	}
	group.Wait()
	return sessions, errors.Join(errs...)
}

// measureLatencies runs the closed loop of every slot and keeps the latency of
// each operation that began and ended within the measured time.
func measureLatencies(j job, sessions []session) loadResult {
	begin := time.Now().Add(time.Duration(j.RampMs) * time.Millisecond)
	end := begin.Add(time.Duration(j.DurationMs) * time.Millisecond)
	var failures failureLog
	perSlot := make([][]time.Duration, len(sessions)*j.InFlight)
	var total atomic.Int64
	before := cpuSeconds()
	var group sync.WaitGroup
	for slot := range perSlot {
		group.Go(func() {
			s := sessions[slot%len(sessions)]
			payload := make([]byte, j.PayloadBytes)
			var count int64
			defer func() { total.Add(count) }()
			for {
				start := time.Now()
				if !start.Before(end) {
					return
				}
				count++
				err := operate(s, j.Operation, payload)
				done := time.Now()
				if err != nil {
					failures.add(err)
				} else if !start.Before(begin) && done.Before(end) {
					perSlot[slot] = append(perSlot[slot], done.Sub(start))
				}
			}
		})
	}
	group.Wait()
	result := loadResult{All: int(total.Load()), CPUSeconds: cpuSeconds() - before, Errors: failures.count, FirstError: failures.first}
	all := slices.Concat(perSlot...)
	slices.Sort(all)
	result.Operations = len(all)
	result.OpsPerSec = float64(len(all)) / (float64(j.DurationMs) / 1000)
	if len(all) > 0 {
		result.P50Us = all[len(all)/2].Microseconds()
		result.P99Us = all[len(all)*99/100].Microseconds()
	}
	return result
}

// cpuSeconds is the processor time that this process has used.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

func operate(s session, op operation, payload []byte) error {
	switch op {
	case opSet:
		return s.set(payload)
	case opGet:
		return s.get()
	case opSyncGet:
		return s.syncGet()
	}
	return fmt.Errorf("there is no operation %q", op)
}

// measureGaps writes without a stop, whatever fails, and gives the pauses
// between acknowledgements, the one up to the end included.
func measureGaps(j job, sessions []session) loadResult {
	begin := time.Now()
	end := begin.Add(time.Duration(j.RampMs+j.DurationMs) * time.Millisecond)
	var failures failureLog
	var over atomic.Bool
	perSession := make([][]int64, len(sessions))
	var group sync.WaitGroup
	for i, s := range sessions {
		group.Go(func() {
			payload := make([]byte, j.PayloadBytes)
			for !over.Load() {
				if err := s.set(payload); err != nil {
					failures.add(err)
					time.Sleep(time.Millisecond)
					continue
				}
				perSession[i] = append(perSession[i], time.Now().UnixNano())
			}
		})
	}
	time.Sleep(time.Until(end))
	over.Store(true)
	for _, s := range sessions {
		// A request that waits for a server that never comes must not keep us.
		s.close()
	}
	group.Wait()
	acks := append(slices.Concat(perSession...), end.UnixNano())
	slices.Sort(acks)
	result := loadResult{Operations: len(acks) - 1, Errors: failures.count, FirstError: failures.first}
	last := begin.UnixNano()
	for _, at := range acks {
		if at-last > int64(minPause) {
			result.Pauses = append(result.Pauses, pause{last, at})
		}
		last = at
	}
	return result
}

// failureLog counts errors of many goroutines and keeps the first.
type failureLog struct {
	mu    sync.Mutex
	count int
	first string
}

func (f *failureLog) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == 0 {
		f.first = err.Error()
	}
	f.count++
}

// runLoad runs a job in a process of its own, so that the client's memory and
// collector stay out of this process, and calls onReady when its sessions are open.
func runLoad(ctx context.Context, j job, onReady func() error) (loadResult, error) {
	var result loadResult
	self, err := os.Executable()
	if err != nil {
		return result, err
	}
	input, err := json.Marshal(j)
	if err != nil {
		return result, err
	}
	const slack = time.Minute // for opening sessions and a server that recovers
	limit := time.Duration(j.RampMs+j.DurationMs)*time.Millisecond + slack
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, loadArg)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return result, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return result, err
	}
	if err := cmd.Start(); err != nil {
		return result, fmt.Errorf("start the load process: %w", err)
	}
	readErr := exchange(stdin, stdout, input, onReady, &result)
	if err := cmd.Wait(); err != nil {
		return result, fmt.Errorf("the load process failed: %w", err)
	}
	return result, readErr
}

func exchange(stdin io.WriteCloser, stdout io.Reader, input []byte, onReady func() error, result *loadResult) error {
	if _, err := stdin.Write(input); err != nil {
		return err
	}
	if err := stdin.Close(); err != nil {
		return err
	}
	line := make([]byte, len(readyLine))
	if _, err := io.ReadFull(stdout, line); err != nil {
		return fmt.Errorf("the load process opened no sessions: %w", err)
	}
	readyErr := onReady()
	if err := json.NewDecoder(stdout).Decode(result); err != nil {
		return fmt.Errorf("read the load process' result: %w", err)
	}
	return readyErr
}
