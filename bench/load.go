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

	"github.com/go-zookeeper/zk"
)

// job tells a load process what to do; it arrives as JSON on its standard input.
type job struct {
	Addrs        []string // client addresses of the members
	Read         bool     // get instead of set
	Gap          bool     // record pauses between acknowledged writes instead of latencies
	Sessions     int      // spread over the members in turn
	InFlight     int      // requests that each session keeps unanswered
	PayloadBytes int
	RampMs       int // not measured, ahead of DurationMs
	DurationMs   int
}

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
		go session.conn.Close()
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// session is one ZooKeeper session with the znode that it writes or reads.
type session struct {
	conn *zk.Conn
	path string
}

// rotation gives the client its next server. It replaces the client's own
// provider, which sleeps a second after each full turn: that would hide how
// long a server was away.
type rotation struct {
	mu        sync.Mutex
	addrs     []string
	next      int
	connected bool // since the last call of Next
	fresh     bool // Next was not called yet
}

func (r *rotation) Init([]string) error { return nil }
func (r *rotation) Len() int            { return len(r.addrs) }

func (r *rotation) Next() (string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fresh && !r.connected {
		const retryPause = 10 * time.Millisecond
		time.Sleep(retryPause)
	}
	r.fresh, r.connected = false, false
	addr := r.addrs[r.next%len(r.addrs)]
	r.next++
	return addr, false
}

func (r *rotation) Connected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.connected = true
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// openSessions opens the job's sessions and makes a znode for each.
func openSessions(j job) ([]session, error) {
	const timeout = 30 * time.Second
	sessions := make([]session, j.Sessions)
	errs := make([]error, j.Sessions)
	var group sync.WaitGroup
	for i := range sessions {
		group.Go(func() {
			addrs := []string{j.Addrs[i%len(j.Addrs)]}
			if j.Gap {
				// After a kill a session moves to the other members.
				addrs = slices.Concat(j.Addrs[i%len(j.Addrs):], j.Addrs[:i%len(j.Addrs)])
			}
			provider := &rotation{addrs: addrs, fresh: true}
			conn, events, err := zk.Connect(addrs, 10*time.Second, zk.WithHostProvider(provider), zk.WithLogger(silent{}))
			if err != nil {
				errs[i] = err
				return
			}
			sessions[i] = session{conn, fmt.Sprintf("/bench/%d", i)}
			if errs[i] = awaitSession(events, timeout); errs[i] != nil {
				errs[i] = fmt.Errorf("session %d at %s: %w", i, addrs[0], errs[i])
				return
			}
			errs[i] = prepare(sessions[i], j.PayloadBytes)
		})
	}
	group.Wait()
	return sessions, errors.Join(errs...)
}

func awaitSession(events <-chan zk.Event, timeout time.Duration) error {
	deadline := time.After(timeout)
	for {
		select {
		case event := <-events:
			if event.State == zk.StateHasSession {
				return nil
			}
		case <-deadline:
			return errors.New("no session within the time")
		}
	}
}

func prepare(s session, payloadBytes int) error {
	acl := zk.WorldACL(zk.PermAll)
	if _, err := s.conn.Create("/bench", nil, 0, acl); err != nil && !errors.Is(err, zk.ErrNodeExists) {
		return fmt.Errorf("create /bench: %w", err)
	}
	payload := make([]byte, payloadBytes)
	if _, err := s.conn.Create(s.path, payload, 0, acl); err != nil && !errors.Is(err, zk.ErrNodeExists) {
		return fmt.Errorf("create %s: %w", s.path, err)
	}
	if _, err := s.conn.Set(s.path, payload, -1); err != nil {
		return fmt.Errorf("set %s: %w", s.path, err)
	}
	return nil
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
				err := operate(s, j.Read, payload)
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

func operate(s session, read bool, payload []byte) error {
	if read {
		_, _, err := s.conn.Get(s.path)
		return err
	}
	_, err := s.conn.Set(s.path, payload, -1)
	return err
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
				if _, err := s.conn.Set(s.path, payload, -1); err != nil {
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
		s.conn.Close()
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
