package report

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sort"

	"zoolab/workloads"
)

const msNs = int64(1e6)

// synth makes a run that looks like a real one: five members, twenty clients
// of one connection each, faults that the clients feel.
type synth struct {
	rng      *rand.Rand
	endNs    int64
	faults   []Fault
	leaders  []LeaderSpan
	entries  []workloads.Op
	versions map[string]int32
	values   map[string]int64
	zxid     int64
	written  int64
}

var synthMembers = []string{"n1", "n2", "n3", "n4", "n5"}

// synthInput gives a run of about so many operations in so many seconds.
func synthInput(operations int, seconds int64, failing bool) Input {
	s := &synth{
		rng: rand.New(rand.NewPCG(7, 11)), endNs: seconds * 1e9,
		versions: map[string]int32{}, values: map[string]int64{}, zxid: 3<<32 | 1,
	}
	s.addFaults()
	s.addClients(operations)
	in := Input{
		Name: "register-kill-pause-partition", Title: "register, with kill, pause and partition",
		Verdict: workloads.VerdictOK, Cause: "All 6 checkers were satisfied: every znode is linearizable and all members hold the same tree and log.",
		Command: "go run ./lab -workload register -nemesis kill,pause,partition -seed 8241 -time-limit 60s -concurrency 20",
		Meta: []Meta{{"Seed", "8241"}, {"Image", "zoolab/node:3f2a91c"}, {"Driver", "docker, engine 28.5.2"}, {"Nodes", "5"},
			{"Workload", "register"}, {"Nemesis", "kill, pause, partition"}, {"Started", "2026-03-14 09:26:53 UTC"},
			{"Duration", "60 s, then 4.2 s of recovery"}, {"Kernel", "6.1.0-37-amd64"}, {"Go", "go1.26.8"}},
		Faults: s.faults, Leaders: s.leaders, Members: synthMembers,
		Schedule: "seed: 8241\nfaults:\n  - at: 6s\n    fault: kill\n    targets: [n3]\n    duration: 5s\n  - at: 20s\n    fault: partition\n    variant: halves\n",
		NodeLogs: s.logs(),
		Results:  synthResults(len(s.entries) / 2),
	}
	if failing {
		s.addStaleRead(&in)
	}
	sort.SliceStable(s.entries, func(i, j int) bool { return s.entries[i].TimeNs < s.entries[j].TimeNs })
	for i := range s.entries {
		s.entries[i].Index = i
	}
	in.History = s.entries
	if failing {
		synthFailure(&in)
	}
	return in
}

func (s *synth) addFaults() {
	share := func(x float64) int64 { return int64(x * float64(s.endNs)) }
	add := func(name, variant string, from, to float64, targets ...string) {
		start, end := share(from), share(to)
		s.faults = append(s.faults, Fault{
			Name: name, Variant: variant, Targets: targets, StartNs: start, EffectiveNs: start + 180*msNs,
			EndNs: end, HealedNs: end + 640*msNs, Effective: true, Healed: true, Detail: name + " of " + fmt.Sprint(targets),
		})
	}
	add("kill", "leader", 0.10, 0.19, "n3")
	add("partition", "halves", 0.30, 0.44, "n1", "n2")
	add("pause", "one", 0.36, 0.47, "n4")
	add("partition", "leader alone", 0.58, 0.70, "n5")
	add("kill", "minority", 0.80, 0.88, "n1", "n2")
	s.leaders = []LeaderSpan{
		{"n3", 3, share(0.002), share(0.10)}, {"n5", 4, share(0.112), share(0.59)},
		{"n4", 5, share(0.606), 0},
	}
}

// trouble says how a fault hits a client of this member at this time.
func (s *synth) trouble(member string, at int64) (hit bool, until int64) {
	for i := range s.faults {
		f := &s.faults[i]
		for _, target := range f.Targets {
			if target == member && at >= f.StartNs && at < f.EndNs {
				return true, f.EndNs
			}
		}
	}
	for i := 1; i < len(s.leaders); i++ {
		if at >= s.leaders[i-1].EndNs && at < s.leaders[i].StartNs {
			return true, s.leaders[i].StartNs
		}
	}
	return false, 0
}

func (s *synth) addClients(operations int) {
	const clients = 20
	thinkNs := s.endNs * clients / int64(max(operations, 1))
	for client := range clients {
		process, member := client, synthMembers[client%len(synthMembers)]
		for at := int64(5*msNs) + s.rng.Int64N(thinkNs+1); at < s.endNs-200*msNs; {
			ended, info := s.addOperation(process, member, at)
			if info {
				process += clients
			}
			at = ended + int64(s.rng.ExpFloat64()*0.93*float64(thinkNs)) + 1000
		}
	}
}

// addOperation makes one operation and says when it ended and whether its
// outcome is unknown.
func (s *synth) addOperation(process int, member string, at int64) (int64, bool) {
	key := fmt.Sprintf("r%d", at/(s.endNs/40+1))
	op := workloads.Op{TimeNs: at, Type: workloads.Invoke, Process: process, Key: key, Node: member, Version: -1}
	latency := int64(math.Exp(s.rng.NormFloat64()*0.45+0.9) * float64(msNs))
	switch s.rng.IntN(3) {
	case 0:
		op.F = "read"
	case 1:
		s.written++
		op.F, op.Value = "write", s.written
		latency += 2 * msNs
	default:
		s.written++
		op.F, op.Value = "cas", [2]int64{s.values[key], s.written}
		latency += 2 * msNs
	}
	done := op
	done.Type, done.TimeNs = workloads.OK, at+latency
	hit, until := s.trouble(member, at)
	switch {
	case hit && s.rng.IntN(6) > 0:
		wait := min(until-at+int64(s.rng.IntN(40))*msNs, 2000*msNs+int64(s.rng.IntN(20))*msNs)
		done.TimeNs = at + max(wait, latency)
		done.Type, done.Error = workloads.Info, "timeout: no reply within 2 s"
		if op.F == "read" {
			done.Type, done.Error = workloads.Fail, "connection loss"
		}
	case hit:
		done.Type, done.Error, done.TimeNs = workloads.Fail, "dial tcp 172.28.0.13:2181: connect: connection refused", at+400_000
	case op.F == "cas" && s.rng.IntN(4) == 0:
		done.Type, done.Error = workloads.Fail, "bad version"
	default:
		s.succeed(&op, &done)
	}
	s.entries = append(s.entries, op, done)
	return done.TimeNs, done.Type == workloads.Info
}

func (s *synth) succeed(op, done *workloads.Op) {
	s.zxid++
	done.Zxid = s.zxid
	if op.F == "read" {
		done.Value = s.values[op.Key]
	} else {
		s.versions[op.Key]++
		s.values[op.Key] = s.written
		done.Mzxid = s.zxid
	}
	done.Version = s.versions[op.Key]
}

// addStaleRead adds a key on which a read gives an older value than another
// read that ended before it began.
func (s *synth) addStaleRead(in *Input) {
	base := int64(0.612 * float64(s.endNs))
	zxid := int64(5<<32 | 0x2a)
	add := func(process int, f string, value, result any, fromMs, toMs float64, kind workloads.Type, version int32, node string) {
		invoke := workloads.Op{TimeNs: base + int64(fromMs*1e6), Type: workloads.Invoke, Process: process, F: f, Key: "r-stale", Value: value, Node: node, Version: -1}
		done := invoke
		done.TimeNs, done.Type, done.Value, done.Version = base+int64(toMs*1e6), kind, result, version
		if kind == workloads.OK {
			zxid++
			done.Zxid, done.Mzxid = zxid, zxid
		} else {
			done.Error = "timeout: no reply within 2 s"
		}
		s.entries = append(s.entries, invoke, done)
	}
	add(903, "write", int64(4), int64(4), 0, 7.5, workloads.OK, 6, "n4")
	add(901, "read", nil, int64(4), 4, 9, workloads.OK, 6, "n1")
	add(907, "write", int64(9), nil, 6, 2006, workloads.Info, -1, "n5")
	add(903, "cas", [2]int64{4, 5}, [2]int64{4, 5}, 12, 19, workloads.OK, 7, "n4")
	add(902, "read", nil, int64(5), 16, 22, workloads.OK, 7, "n2")
	add(904, "cas", [2]int64{4, 8}, nil, 14, 21.5, workloads.Fail, -1, "n3")
	add(901, "read", nil, int64(4), 26, 29.5, workloads.OK, 6, "n5")
	in.Verdict = workloads.VerdictFail
	in.Cause = "Key r-stale is not linearizable: process 901 read 4 after process 902 had already read 5."
}

func synthResults(operations int) []workloads.Result {
	return []workloads.Result{
		{Checker: "linearizable", Verdict: workloads.VerdictOK, Cause: "All 40 keys are linearizable.", Stats: map[string]any{"keys": 40, "operations": operations, "longest_search_ms": 31.4}},
		{Checker: "zxid-order", Verdict: workloads.VerdictOK, Cause: "No session saw time run backwards.", Stats: map[string]any{"sessions": 37, "replies": operations}},
		{Checker: "logs-agree", Verdict: workloads.VerdictOK, Cause: "Five logs agree on 12 874 transactions.", Stats: map[string]any{"common_from": "0x300000001", "common_to": "0x5000008f1"}},
		{Checker: "trees-equal", Verdict: workloads.VerdictOK, Cause: "Five trees are equal: 47 znodes each.", Stats: map[string]any{"znodes": 47}},
		{Checker: "complete", Verdict: workloads.VerdictOK, Cause: "the ensemble recovered after the last heal, and everything was read once more"},
		{Checker: "non-vacuous", Verdict: workloads.VerdictOK, Cause: "Reads, writes and compare-and-sets succeeded, under 5 proved faults."},
	}
}

// synthFailure makes the linearizable checker find the stale read.
func synthFailure(in *Input) {
	var ops []int
	for i := range in.History {
		if in.History[i].Key == "r-stale" && in.History[i].Type == workloads.Invoke {
			ops = append(ops, i)
		}
	}
	// In order of invocation: write 4, read 4, write 9 (info), cas 4→5, cas 4→8 (fail), read 5, read 4.
	in.Results[0] = workloads.Result{
		Checker: "linearizable", Verdict: workloads.VerdictFail, Cause: "1 of 41 keys is not linearizable: r-stale.",
		Stats: map[string]any{"keys": 41, "keys_failed": 1},
		Failures: []workloads.Failure{{
			Key: "r-stale", Cause: "Process 901 read 4, but 5 had replaced 4 before: process 902 read 5 and had its answer 4 ms before the read of 4 began.", Ops: ops,
			Steps: []workloads.Step{
				{Op: ops[0], State: "value 4, version 6", Legal: true}, {Op: ops[1], State: "value 4, version 6", Legal: true},
				{Op: ops[3], State: "value 5, version 7", Legal: true}, {Op: ops[5], State: "value 5, version 7", Legal: true},
				{Op: ops[6], State: "value 5, version 7", Legal: false, Why: "it returned 4 (version 6), but the register holds 5 (version 7), and nothing that is still open could write 4"},
			},
		}},
	}
}

func (s *synth) logs() []NodeLog {
	var logs []NodeLog
	for m, member := range synthMembers {
		log := NodeLog{Member: member}
		for i := range 60 {
			at := s.endNs/60*int64(i) + int64(m)*7*msNs
			log.Lines = append(log.Lines, LogLine{TimeNs: at, HasTime: true, Text: fmt.Sprintf("level=INFO msg=\"follower synchronized\" epoch=%d zxid=0x%x0000%04x mode=DIFF", 3+i/20, 3+i/20, i*17)})
		}
		log.Lines = append(log.Lines, LogLine{Text: "exit status 137 (killed)"})
		logs = append(logs, log)
	}
	return logs
}
