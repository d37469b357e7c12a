package main

import (
	"bytes"
	"encoding/binary"
	"hash/adler32"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zoolab/lab/datadir"
	"zoolab/lab/store"
	"zoolab/workloads"
	"zoolab/zk/jute"
)

// savedRun writes the directory of a small run in which everything is in order;
// spoil changes it before it is written.
type savedRun struct {
	meta  store.Meta
	ops   []workloads.Op
	trees []workloads.MemberTree
	txns  map[string][]int64 // member -> zxids in its log; each creates /n<zxid>
}

func goodRun() *savedRun {
	s := &savedRun{
		meta: store.Meta{
			Format: store.Format, Name: "register-kill", Command: "go run ./lab -seed 1", Start: time.Now(), HistoryStart: time.Now(), Workload: "register", Nemesis: []string{"kill"}, Seed: 1,
			Members: []string{"n1", "n2"}, Driver: "docker",
			Phases: []store.Phase{{Name: "faults", StartNs: 1, EndNs: 2}, {Name: "recovery", StartNs: 2, EndNs: 3}, {Name: "final reads", StartNs: 3, EndNs: 4}},
			Faults: []store.Fault{{Name: "kill", Targets: []string{"n1"}, StartNs: 1, EffectiveNs: 2, EndNs: 3, HealedNs: 4, Effective: true, Healed: true}},
		},
		txns: map[string][]int64{"n1": {1, 2, 3}, "n2": {1, 2, 3}},
	}
	do := func(f string, invoked, value any, expected, version int32) {
		s.ops = append(s.ops, workloads.Op{Type: workloads.Invoke, F: f, Key: "k", Value: invoked, Version: expected, Node: "n1"})
		s.ops = append(s.ops, workloads.Op{Type: workloads.OK, F: f, Key: "k", Value: value, Version: version, Mzxid: int64(version) + 1, Zxid: int64(version) + 1, Node: "n1"})
	}
	do("write", int64(1), int64(1), -1, 0)
	do("cas", [2]int64{1, 2}, [2]int64{1, 2}, 0, 1)
	do("read", nil, int64(2), -1, 1)
	return s
}

func (s *savedRun) write(t *testing.T) *store.Run {
	t.Helper()
	return s.writeIn(t, t.TempDir())
}

func (s *savedRun) writeIn(t *testing.T, root string) *store.Run {
	t.Helper()
	run, err := store.Open(root).Create(s.meta.Name, s.meta.Start)
	if err != nil {
		t.Fatal(err)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(run.WriteMeta(s.meta))
	recorder := recorderAt(t, run.Path(store.HistoryFile))
	for _, op := range s.ops {
		recorder.Record(op)
	}
	_, err = recorder.Close()
	must(err)
	for member, zxids := range s.txns {
		dir := filepath.Join(run.Dir, member, "data", "version-2")
		must(os.MkdirAll(dir, 0o755))
		must(os.WriteFile(filepath.Join(dir, "log.1"), logOf(zxids), 0o644))
		must(os.WriteFile(filepath.Join(run.Dir, member, "node.log"), []byte("time=2026-07-04T10:00:00Z level=INFO msg=hello\nno time\n"), 0o644))
		data, err := datadir.Load(filepath.Dir(dir))
		must(err)
		delete(data.Tree, localPath)
		s.trees = append(s.trees, workloads.MemberTree{Member: member, Source: "served", Nodes: data.Tree})
	}
	must(run.WriteJSON(store.TreesFile, s.trees))
	return run
}

// logOf builds a log file that creates /n<zxid> for each zxid.
func logOf(zxids []int64) []byte {
	var file bytes.Buffer
	file.Write(jute.Marshal(&jute.FileHeader{Magic: 0x5a4b4c47, Version: 2}))
	for i, zxid := range zxids {
		payload := jute.Marshal(&jute.LoggedTxn{
			Header: jute.TxnHeader{Zxid: zxid, Type: jute.OpCreate},
			Body:   &jute.CreateTxn{Path: "/n" + string(rune('0'+zxid)), ParentCVersion: int32(i + 1)},
		})
		file.Write(binary.BigEndian.AppendUint64(nil, uint64(adler32.Checksum(payload))))
		file.Write(jute.AppendBuffer(nil, payload))
		file.WriteByte(0x42)
	}
	return file.Bytes()
}

func TestCheckOfASavedRun(t *testing.T) {
	for _, test := range []struct {
		name    string
		spoil   func(*savedRun)
		verdict workloads.Verdict
		cause   string
	}{
		{"good", func(*savedRun) {}, workloads.VerdictOK, "all 7 checkers are satisfied"},
		{"stale read", func(s *savedRun) { s.ops[5].Value, s.ops[5].Version = int64(1), 0 }, workloads.VerdictFail, "linearizable: 1 of 1 keys"},
		{"no effective fault", func(s *savedRun) { s.meta.Faults[0].Effective = false }, workloads.VerdictUnknown, "non-vacuous: the run proves nothing: no kill was ever seen in effect"},
		{"no cas", func(s *savedRun) { s.ops[2].Process, s.ops[3].Process, s.ops[3].Type = 1, 1, workloads.Info }, workloads.VerdictUnknown, "no cas ever succeeded"},
		{"logs differ", func(s *savedRun) { s.txns["n2"] = []int64{1, 4} }, workloads.VerdictFail, "logs-agree"},
		{"no data", func(s *savedRun) { delete(s.txns, "n2") }, workloads.VerdictUnknown, "logs-agree: the log of n2 could not be read"},
		{"no recovery", func(s *savedRun) { s.meta.Problems = []string{"no recovery within 1m30s"} }, workloads.VerdictFail, "complete: no recovery"},
		{"interrupted", func(s *savedRun) { s.meta.Interrupted = true }, workloads.VerdictUnknown, "complete: the run was interrupted"},
		{"interrupted before the first fault", func(s *savedRun) {
			s.meta.Interrupted, s.meta.Faults, s.meta.Phases = true, nil, s.meta.Phases[:1]
		}, workloads.VerdictUnknown, "complete: the run was interrupted"},
		{"whole history", func(s *savedRun) { s.meta.Operations = len(s.ops) }, workloads.VerdictOK, "all 7 checkers are satisfied"},
		{"history cut", func(s *savedRun) { s.meta.Operations = len(s.ops) + 4 }, workloads.VerdictUnknown, "complete: the history holds 6 operations, the run recorded 10"},
		{"lab killed", func(s *savedRun) { s.meta.Phases = s.meta.Phases[:1] }, workloads.VerdictUnknown, "complete: the lab ended before the run did"},
	} {
		t.Run(test.name, func(t *testing.T) {
			saved := goodRun()
			test.spoil(saved)
			run := saved.write(t)
			results, err := check(run)
			if err != nil {
				t.Fatal(err)
			}
			if results.Verdict != test.verdict || !strings.Contains(results.Cause, test.cause) {
				t.Errorf("verdict %s, cause %q; want %s with %q", results.Verdict, results.Cause, test.verdict, test.cause)
			}
			again, err := check(run)
			if err != nil || again.Verdict != results.Verdict || again.Cause != results.Cause {
				t.Errorf("checked again: %+v, %v", again, err)
			}
			page, err := os.ReadFile(run.Path(store.ReportFile))
			if err != nil || !bytes.Contains(page, []byte("</html>")) {
				t.Errorf("report of %d bytes, %v", len(page), err)
			}
		})
	}
}

func TestDifferentTreesOnDisk(t *testing.T) {
	run := goodRun().write(t)
	path := filepath.Join(run.Dir, "n2", "data", "version-2", "log.1")
	if err := os.WriteFile(path, logOf([]int64{1, 2}), 0o644); err != nil {
		t.Fatal(err)
	}
	results, err := check(run)
	if err != nil || results.Verdict != workloads.VerdictFail || !strings.Contains(results.Cause, "the trees differ at 2 znodes") || !strings.Contains(results.Cause, "n2 (disk)") {
		t.Errorf("%+v, %v", results.Cause, err)
	}
}

// TestDifferentTreesOfARunCutShort wants no failure from members that had no
// time to catch up.
func TestDifferentTreesOfARunCutShort(t *testing.T) {
	for want, spoil := range map[string]func(*savedRun){
		"trees-equal: the run was interrupted":     func(s *savedRun) { s.meta.Interrupted = true },
		"trees-equal: the recovery did not finish": func(s *savedRun) { s.meta.Phases[1].EndNs, s.meta.Phases = 0, s.meta.Phases[:2] },
	} {
		saved := goodRun()
		saved.txns["n2"] = []int64{1, 2}
		spoil(saved)
		results, err := check(saved.write(t))
		if err != nil || results.Verdict != workloads.VerdictUnknown {
			t.Errorf("%s: verdict %s, %q, %v", want, results.Verdict, results.Cause, err)
		}
		last := results.Checkers[len(results.Checkers)-1]
		if got := last.Checker + ": " + last.Cause; !strings.HasPrefix(got, want) || !strings.Contains(got, "the trees differ") {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCheckTellsWhatIsMissing(t *testing.T) {
	run := goodRun().write(t)
	if err := os.Remove(run.Path(store.HistoryFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := check(run); err == nil || !strings.Contains(err.Error(), store.HistoryFile) {
		t.Errorf("error %v", err)
	}
}

func TestLineTime(t *testing.T) {
	for line, want := range map[string]string{
		`time=2026-07-04T10:00:01.5Z level=INFO msg=x`:   "2026-07-04T10:00:01.5Z",
		`{"time":"2026-07-04T10:00:02Z","level":"INFO"}`: "2026-07-04T10:00:02Z",
		"2026-07-04 10:00:03,250 [main] INFO x":          time.Date(2026, 7, 4, 10, 0, 3, 250e6, time.Local).Format(time.RFC3339Nano),
		"goroutine 1 [running]:":                         "",
		"time=yesterday level=INFO":                      "",
	} {
		at, ok := lineTime(line)
		if ok != (want != "") || ok && at.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %s, %v; want %q", line, at.Format(time.RFC3339Nano), ok, want)
		}
	}
}
