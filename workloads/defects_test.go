package workloads

import (
	"context"
	"fmt"
	"strings"
	"testing"
)

// fakeProcess is one client of a run.
type fakeProcess struct {
	e       *ensemble
	turn    chan struct{}
	number  int
	session *fakeSession
}

// pause lets others act.
func (p *fakeProcess) pause() {
	p.e.turns <- struct{}{}
	<-p.turn
}

// fakeRun is a workload at work on an ensemble.
type fakeRun struct {
	e         *ensemble
	workload  Workload
	generator Generator
	history   []Op
	count     int // processes at a time
}

func (r *fakeRun) record(op Op) Op {
	r.e.nowNs += 20_000_000
	op.Index, op.TimeNs = len(r.history), r.e.nowNs
	r.history = append(r.history, op)
	return op
}

// work carries out what next hands out, on all processes, one of which acts at a time.
func (r *fakeRun) work(processes []*fakeProcess, next func() (Op, bool)) {
	waiting := make([]*fakeProcess, len(processes))
	copy(waiting, processes)
	ended := make(chan *fakeProcess)
	for _, p := range processes {
		go func() {
			<-p.turn
			for {
				op, ok := next()
				if !ok {
					break
				}
				r.perform(p, op)
				p.pause()
			}
			ended <- p
		}()
	}
	for len(waiting) > 0 {
		at := r.e.rng.Intn(len(waiting))
		r.e.drift()
		waiting[at].turn <- struct{}{}
		select {
		case <-r.e.turns:
		case <-ended:
			waiting = append(waiting[:at], waiting[at+1:]...)
		}
	}
}

func (r *fakeRun) perform(p *fakeProcess, op Op) {
	if p.session == nil || p.session.ended || p.session.abandoned {
		if p.session != nil {
			p.number += r.count
		}
		p.session = r.e.open(p)
	}
	op.Type, op.Process, op.Session = Invoke, p.number, p.session.id
	op = r.record(op)
	done := r.record(r.workload.Do(context.Background(), p.session, op))
	r.generator.Completed(done)
	if done.Type == Info {
		p.number += r.count
	}
}

// runFake runs a workload for so many operations on an ensemble with a defect, and
// lets it recover and read everything once more.
func runFake(t *testing.T, name string, seed int64, operations int, defect string) *fakeRun {
	t.Helper()
	workload, err := Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	const count = 5
	r := &fakeRun{e: newEnsemble(seed, defect), workload: workload, generator: workload.NewGenerator(Options{Concurrency: count}), count: count}
	processes := make([]*fakeProcess, count)
	for i := range processes {
		processes[i] = &fakeProcess{e: r.e, turn: make(chan struct{}), number: i}
	}
	r.setup(t, processes[0])
	r.e.trouble = true
	left := operations
	r.work(processes, func() (Op, bool) {
		left--
		if left < 0 {
			return Op{}, false
		}
		return r.generator.Next(r.e.rng), true
	})
	r.e.trouble = false
	r.e.nowNs += expirySettleMs * 1_000_000
	for _, s := range r.e.inOrder() {
		if s.abandoned {
			r.e.end(s.id)
		}
	}
	final := r.generator.Final()
	r.work(processes, func() (Op, bool) {
		if len(final) == 0 {
			return Op{}, false
		}
		op := final[0]
		final = final[1:]
		return op, true
	})
	return r
}

// setup prepares the ensemble, as one of the processes.
func (r *fakeRun) setup(t *testing.T, p *fakeProcess) {
	t.Helper()
	ended := make(chan error)
	go func() {
		<-p.turn
		ended <- r.workload.Setup(context.Background(), r.e.open(p))
	}()
	for {
		p.turn <- struct{}{}
		select {
		case <-r.e.turns:
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

// verdicts judges a run; the causes of all checkers that are not satisfied.
func (r *fakeRun) verdicts() (causes []string) {
	for _, checker := range r.workload.Checkers(DefaultBounds) {
		if result := checker.Check(r.history); result.Verdict != VerdictOK {
			causes = append(causes, fmt.Sprintf("%s (%s): %s", result.Checker, result.Verdict, result.Cause))
		}
	}
	return causes
}

// TestCorrectServiceIsAlwaysOK runs every workload against a service that keeps its
// promises, whatever it loses on the way: no checker may complain, and every kind of
// operation must have succeeded.
func TestCorrectServiceIsAlwaysOK(t *testing.T) {
	for _, name := range append(Names(), "all") {
		t.Run(name, func(t *testing.T) {
			seeds, operations := int64(12), 800
			if testing.Short() {
				seeds = 4
			}
			if name == "all" {
				seeds, operations = 3, 8000
			}
			for seed := range seeds {
				run := runFake(t, name, seed, operations, "")
				if causes := run.verdicts(); len(causes) > 0 {
					t.Fatalf("seed %d: %s", seed, strings.Join(causes, "\n"))
				}
				if result := CheckNonVacuous(run.history, run.workload.Kinds, nil, nil); result.Verdict != VerdictOK {
					t.Errorf("seed %d: %s", seed, result.Cause)
				}
			}
		})
	}
}

// TestSameSeedSameHistory says that a run can be repeated, so that the one above can be
// looked into.
func TestSameSeedSameHistory(t *testing.T) {
	if a, b := fmt.Sprint(runFake(t, "all", 1, 600, "").history), fmt.Sprint(runFake(t, "all", 1, 600, "").history); a != b {
		t.Error("two runs of one seed differ")
	}
}

// defects are the promises that a service can break, and who must notice.
var defects = []struct {
	name   string
	caught []string // workloads, each of which must fail in some run
}{
	{"sync does nothing", []string{"register", "session", "set", "unique", "barrier", "durability", "membership"}},
	{"an acknowledged change is lost", []string{"register", "session", "set", "unique", "counter", "queue", "durability", "barrier", "lock", "membership"}},
	{"a member skips a change", []string{"register", "session", "set", "durability", "watch"}},
	{"versions are not checked", []string{"register", "counter"}},
	{"a multi is done by half", []string{"bank", "append", "multiregister"}},
	{"a multi checks nothing", []string{"append", "multiregister", "bank"}},
	{"writes of a session change places", []string{"pipeline"}},
	{"a request outlives its connection", []string{"pipeline"}},
	{"a number is given twice", []string{"unique", "lock", "election"}},
	{"a deletion is done twice", []string{"queue"}},
	{"a deletion comes back", []string{"queue", "durability", "barrier"}},
	{"a session goes back", []string{"session", "register"}},
	{"ephemerals go early", []string{"ephemeral", "lock", "election"}},
	{"ephemerals outlive a close", []string{"ephemeral"}},
	{"sessions expire early", []string{"ephemeral"}},
	{"ephemerals outlive an expiry", []string{"lock", "election"}},
	{"an event is lost", []string{"watch"}},
	{"an event comes after the data", []string{"watch"}},
	{"an event comes twice", []string{"watch"}},
	{"events change places", []string{"watch"}},
	{"an event is of another kind", []string{"watch"}},
	{"an event has another zxid", []string{"watch"}},
	{"a watch is not set", []string{"watch"}},
	{"a watch is forgotten on the way", []string{"watch"}},
	{"anybody may", []string{"acl"}},
	{"anybody makes children", []string{"acl"}},
	{"anybody drops children", []string{"acl"}},
	{"owners are refused", []string{"acl"}},
	{"a change of owner is lost", []string{"acl"}},
	{"the membership goes back", []string{"membership"}},
}

// TestDefectsAreCaught runs the workloads against services that break a promise now and
// then: each workload that rests on it must notice in one of a few runs.
func TestDefectsAreCaught(t *testing.T) {
	for _, defect := range defects {
		t.Run(defect.name, func(t *testing.T) {
			for _, name := range defect.caught {
				const runs = 12
				hurt, cause := 0, ""
				seed := int64(0)
				for ; seed < runs && cause == ""; seed++ {
					run := runFake(t, name, seed, 600, defect.name)
					hurt += run.e.hurt
					if causes := run.verdicts(); len(causes) > 0 {
						cause = causes[0]
					}
				}
				t.Logf("%-14s in run %d, %d times at work: %s", name, seed, hurt, cause)
				if cause == "" {
					t.Errorf("%s did not notice in %d runs that %q, %d times", name, runs, defect.name, hurt)
				}
			}
		})
	}
}
