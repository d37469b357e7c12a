package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"zoolab/lab/cluster"
	"zoolab/lab/history"
	"zoolab/nemesis"
	"zoolab/workloads"
)

// memoryEnsemble is a register service in memory that loses answers, refuses
// sessions and lets them expire.
type memoryEnsemble struct {
	mu       sync.Mutex
	nodes    map[string]*memoryNode
	zxid     int64
	sessions int64
	refused  int
	calls    int
	troubles bool
}

type memoryNode struct {
	data string
	stat workloads.Stat
}

type memorySession struct {
	ensemble *memoryEnsemble
	id       int64
	expired  bool // used by its worker only
	closed   bool
}

var errLost = errors.New("connection lost")

func (e *memoryEnsemble) open(context.Context, string) (clientSession, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.troubles && rand.IntN(10) == 0 {
		e.refused++
		return nil, errLost
	}
	e.sessions++
	return &memorySession{ensemble: e, id: e.sessions}, nil
}

// trouble loses an answer now and then, before or after the effect.
func (s *memorySession) change(change func(e *memoryEnsemble) error) (int64, error) {
	e := s.ensemble
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls++
	if s.closed {
		panic("a closed session was used")
	}
	trouble := 0
	if e.troubles {
		trouble = rand.IntN(100)
	}
	switch trouble {
	case 1:
		return 0, errLost
	case 2:
		s.expired = true
		return 0, workloads.ErrNotDone
	}
	err := change(e)
	if trouble == 3 {
		return 0, errLost
	}
	return e.zxid, err
}

func (s *memorySession) ID() int64      { return s.id }
func (s *memorySession) Server() string { return "" }
func (s *memorySession) Expired() bool  { return s.expired }

func (s *memorySession) Expiry() (expiry, bool) { return expiry{}, false }
func (s *memorySession) Move() error            { return workloads.ErrNotDone }

func (s *memorySession) Close() { s.closed = true }

func (s *memorySession) Sync(context.Context, string) (int64, error) {
	return s.change(func(*memoryEnsemble) error { return nil })
}

func (s *memorySession) Get(_ context.Context, path string) (data []byte, stat workloads.Stat, zxid int64, err error) {
	zxid, err = s.change(func(e *memoryEnsemble) error {
		node := e.nodes[path]
		if node == nil {
			return workloads.ErrNoNode
		}
		data, stat = []byte(node.data), node.stat
		return nil
	})
	return data, stat, zxid, err
}

func (s *memorySession) Set(_ context.Context, path string, data []byte, version int32) (stat workloads.Stat, zxid int64, err error) {
	zxid, err = s.change(func(e *memoryEnsemble) error {
		e.zxid++
		node := e.nodes[path]
		if node == nil {
			return workloads.ErrNoNode
		}
		if version >= 0 && version != node.stat.Version {
			return workloads.ErrBadVersion
		}
		node.data, node.stat.Mzxid = string(data), e.zxid
		node.stat.Version++
		stat = node.stat
		return nil
	})
	return stat, zxid, err
}

func (s *memorySession) Create(_ context.Context, path string, data []byte) (stat workloads.Stat, zxid int64, err error) {
	zxid, err = s.change(func(e *memoryEnsemble) error {
		e.zxid++
		if e.nodes[path] != nil {
			return workloads.ErrNodeExists
		}
		stat = workloads.Stat{Czxid: e.zxid, Mzxid: e.zxid}
		e.nodes[path] = &memoryNode{data: string(data), stat: stat}
		return nil
	})
	return stat, zxid, err
}

// TestClientsRecordWhatHappens lets ten clients work against a service that
// keeps its promises and loses answers: the history must obey the rules of
// recording, and every checker must be satisfied.
func TestClientsRecordWhatHappens(t *testing.T) {
	ensemble := &memoryEnsemble{nodes: make(map[string]*memoryNode)}
	recorder := recorderAt(t, filepath.Join(t.TempDir(), "history.jsonl"))
	c := clientsOf(t, ensemble, recorder)
	if err := c.setup(t.Context()); err != nil {
		t.Fatal(err)
	}
	ensemble.troubles = true
	crew := c.crew()
	working, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	crew.run(working, c.random)
	cancel()
	ensemble.troubles = false
	before := c.ok.Load()
	crew.run(t.Context(), c.final())
	crew.close()
	ops, err := recorder.Close()
	if err != nil {
		t.Fatal(err)
	}
	workload, err := workloads.Lookup("register")
	if err != nil {
		t.Fatal(err)
	}
	for _, checker := range workload.Checkers(workloads.DefaultBounds) {
		if result := checker.Check(ops); result.Verdict != workloads.VerdictOK {
			t.Errorf("%s: %s: %s", checker.Name, result.Verdict, result.Cause)
		}
	}
	if finals := int(c.ok.Load() - before); finals == 0 || finals != len(c.generator.Final()) {
		t.Errorf("%d final reads of %d keys", finals, len(c.generator.Final()))
	}
	if c.ok.Load() == 0 || c.failed.Load() == 0 || c.unknown.Load() == 0 || ensemble.refused == 0 {
		t.Errorf("ok %d, failed %d, unknown %d, refused sessions %d: the test should see all", c.ok.Load(), c.failed.Load(), c.unknown.Load(), ensemble.refused)
	}
	sessionOf := make(map[int]int64)
	for _, op := range ops {
		if other, ok := sessionOf[op.Process]; ok && other != op.Session {
			t.Fatalf("process %d acts in sessions %d and %d", op.Process, other, op.Session)
		}
		sessionOf[op.Process] = op.Session
	}
}

func clientsOf(t *testing.T, ensemble *memoryEnsemble, recorder *history.Recorder) *clients {
	t.Helper()
	workload, err := workloads.Lookup("register")
	if err != nil {
		t.Fatal(err)
	}
	c := newClients(access{clock: nemesis.RealClock{}, open: ensemble.open}, workload, recorder, []cluster.Member{{Name: "n1"}, {Name: "n2"}}, 10, 3000, 1)
	return c
}

// TestClientsStopWithoutSessions ends clients that never get a session.
func TestClientsStopWithoutSessions(t *testing.T) {
	recorder := recorderAt(t, filepath.Join(t.TempDir(), "history.jsonl"))
	c := clientsOf(t, &memoryEnsemble{}, recorder)
	c.access.open = func(context.Context, string) (clientSession, error) { return nil, errLost }
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	c.crew().run(ctx, c.random)
	if took := time.Since(start); took > time.Minute { // who does not stop tries for ever
		t.Errorf("stopping took %s", took)
	}
	if ops, err := recorder.Close(); err != nil || len(ops) != 0 {
		t.Errorf("%d operations, %v", len(ops), err)
	}
}
