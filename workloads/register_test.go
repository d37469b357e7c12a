package workloads

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"reflect"
	"testing"
)

// memoryClient is a register server in memory, with errors on order.
type memoryClient struct {
	nodes  map[string]*memoryNode
	zxid   int64
	errors map[string]error // by method; used once
}

type memoryNode struct {
	data []byte
	stat Stat
}

func newMemoryClient() *memoryClient {
	return &memoryClient{nodes: make(map[string]*memoryNode), errors: make(map[string]error)}
}

func (c *memoryClient) fault(method string) error {
	err := c.errors[method]
	delete(c.errors, method)
	return err
}

func (c *memoryClient) Sync(context.Context, string) (int64, error) { return c.zxid, c.fault("sync") }

func (c *memoryClient) Get(_ context.Context, path string) ([]byte, Stat, int64, error) {
	if err := c.fault("get"); err != nil {
		return nil, Stat{}, 0, err
	}
	node := c.nodes[path]
	if node == nil {
		return nil, Stat{}, c.zxid, ErrNoNode
	}
	return node.data, node.stat, c.zxid, nil
}

func (c *memoryClient) Set(_ context.Context, path string, data []byte, version int32) (Stat, int64, error) {
	if err := c.fault("set"); err != nil {
		return Stat{}, 0, err
	}
	c.zxid++
	node := c.nodes[path]
	switch {
	case node == nil:
		return Stat{}, c.zxid, ErrNoNode
	case version >= 0 && node.stat.Version != version:
		return Stat{}, c.zxid, ErrBadVersion
	}
	node.data, node.stat.Mzxid = data, c.zxid
	node.stat.Version++
	return node.stat, c.zxid, nil
}

func (c *memoryClient) Create(_ context.Context, path string, data []byte) (Stat, int64, error) {
	if err := c.fault("create"); err != nil {
		return Stat{}, 0, err
	}
	c.zxid++
	if c.nodes[path] != nil {
		return Stat{}, c.zxid, ErrNodeExists
	}
	c.nodes[path] = &memoryNode{data: data, stat: Stat{Czxid: c.zxid, Mzxid: c.zxid}}
	return c.nodes[path].stat, c.zxid, nil
}

func TestRegisterOperations(t *testing.T) {
	lost := errors.New("connection loss")
	refused := fmt.Errorf("%w: no connection", ErrNotDone)
	read := Op{F: "read", Key: "a", Version: -1}
	write := Op{F: "write", Key: "a", Value: int64(5), Version: -1}
	cas := Op{F: "cas", Key: "a", Value: [2]int64{5, 6}, Version: 0}
	for _, test := range []struct {
		name   string
		before []Op
		errors map[string]error
		do     Op
		want   Op // Type, Value, Version, Mzxid, Zxid, Error
	}{
		{"read of an absent znode", nil, nil, read, Op{Type: OK, Version: -1}},
		{"write creates", nil, nil, write, Op{Type: OK, Value: int64(5), Version: 0, Mzxid: 2, Zxid: 2}},
		{"write sets", []Op{write}, nil, write, Op{Type: OK, Value: int64(5), Version: 1, Mzxid: 3, Zxid: 3}},
		{"read", []Op{write}, nil, read, Op{Type: OK, Value: int64(5), Version: 0, Mzxid: 2, Zxid: 2}},
		{"cas", []Op{write}, nil, cas, Op{Type: OK, Value: [2]int64{5, 6}, Version: 1, Mzxid: 3, Zxid: 3}},
		{"cas at another version", []Op{write, write}, nil, cas, Op{Type: Fail, Value: [2]int64{5, 6}, Version: -1, Zxid: 4, Error: "bad version"}},
		{"cas of an absent znode", nil, nil, cas, Op{Type: Fail, Value: [2]int64{5, 6}, Version: -1, Zxid: 1, Error: "no node"}},
		{"another process created first", []Op{write}, map[string]error{"set": ErrNoNode}, write, Op{Type: OK, Value: int64(5), Version: 1, Mzxid: 4, Zxid: 4}},
		{"answer to a set lost", []Op{write}, map[string]error{"set": lost}, write, Op{Type: Info, Value: int64(5), Version: -1, Error: "connection loss"}},
		{"answer to a create lost", nil, map[string]error{"create": lost}, write, Op{Type: Info, Value: int64(5), Version: -1, Error: "connection loss"}},
		{"set never sent", []Op{write}, map[string]error{"set": refused}, write, Op{Type: Fail, Value: int64(5), Version: -1, Error: "not done: no connection"}},
		{"answer to a cas lost", []Op{write}, map[string]error{"set": lost}, cas, Op{Type: Info, Value: [2]int64{5, 6}, Version: -1, Error: "connection loss"}},
		{"answer to a get lost", []Op{write}, map[string]error{"get": lost}, read, Op{Type: Fail, Version: -1, Error: "get: connection loss"}},
		{"answer to a sync lost", []Op{write}, map[string]error{"sync": lost}, read, Op{Type: Fail, Version: -1, Error: "sync: connection loss"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			client := newMemoryClient()
			for _, op := range test.before {
				doRegister(context.Background(), client, op)
			}
			for method, err := range test.errors {
				client.errors[method] = err
			}
			got := doRegister(context.Background(), client, test.do)
			want := test.want
			want.F, want.Key = test.do.F, test.do.Key
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// together is a Service that is asked for everything at once.
type together struct {
	Service
	asked   []Request
	answers []Answer
}

func (c *together) Pipeline(_ context.Context, requests []Request, _ int64) []Answer {
	c.asked = requests
	return c.answers
}

// TestReadAtOnce checks that a session sends a read right behind its sync, and believes
// the read only where the sync was answered.
func TestReadAtOnce(t *testing.T) {
	lost, got := errors.New("connection loss"), Answer{Data: []byte("5"), Stat: Stat{Mzxid: 2, Version: 1}, Zxid: 3}
	for _, test := range []struct {
		answers []Answer
		want    Op
	}{
		{[]Answer{{Zxid: 3}, got}, Op{Type: OK, Value: int64(5), Version: 1, Mzxid: 2, Zxid: 3}},
		{[]Answer{{Err: lost}, got}, Op{Type: Fail, Version: -1, Error: "sync: connection loss"}},
		{[]Answer{{Zxid: 3}, {Err: lost}}, Op{Type: Fail, Version: -1, Error: "get: connection loss"}},
	} {
		client := &together{answers: test.answers}
		if done := readRegister(context.Background(), client, "/a", Op{}); !reflect.DeepEqual(done, test.want) {
			t.Errorf("got  %+v\nwant %+v", done, test.want)
		}
		if want := []Request{{Kind: RequestSync, Path: "/a"}, {Kind: RequestRead, Path: "/a"}}; !reflect.DeepEqual(client.asked, want) {
			t.Errorf("asked %+v, want %+v", client.asked, want)
		}
	}
}

func TestRegisterSetupTwice(t *testing.T) {
	client := newMemoryClient()
	for range 2 {
		if err := setupRegister(context.Background(), client); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRegisterGenerator(t *testing.T) {
	draw := func(seed int64) []Op {
		rng := rand.New(rand.NewSource(seed))
		generator := newRegisterGenerator(Options{Concurrency: 6})
		var ops []Op
		client := newMemoryClient()
		for range 5000 {
			op := generator.Next(rng)
			ops = append(ops, op)
			generator.Completed(doRegister(context.Background(), client, op))
		}
		return append(ops, generator.Final()...)
	}
	ops := draw(1)
	if !reflect.DeepEqual(ops, draw(1)) {
		t.Error("the same seed gave other operations")
	}
	if reflect.DeepEqual(ops, draw(2)) {
		t.Error("another seed gave the same operations")
	}
	kinds, perKey, values := map[string]int{}, map[string]int{}, map[int64]bool{}
	for _, op := range ops[:5000] {
		kinds[op.F]++
		perKey[op.Key]++
		value, isWrite := op.Value.(int64)
		if op.F == "cas" {
			_, value, isWrite = casValues(op.Value)
		}
		if isWrite && values[value] {
			t.Fatalf("value %d is written twice", value)
		}
		values[value] = true
	}
	for _, kind := range registerWorkload.Kinds {
		if kinds[kind] < 1000 {
			t.Errorf("%d operations of kind %s among 5000", kinds[kind], kind)
		}
	}
	for key, count := range perKey {
		if count > registerOpsPerKey {
			t.Errorf("key %s has %d operations", key, count)
		}
	}
	if final := len(ops) - 5000; final != len(perKey) {
		t.Errorf("%d final reads for %d keys", final, len(perKey))
	}
}

func TestLookup(t *testing.T) {
	for _, name := range Names() {
		if workload, err := Lookup(name); err != nil || workload.Name != name {
			t.Errorf("Lookup(%q) = %q, %v", name, workload.Name, err)
		}
	}
	if _, err := Lookup("nothing"); err == nil {
		t.Error("an unknown workload was found")
	}
}

// TestReadersReadWhatOthersWrite draws for clients that only read: their keys are those that
// others are at work on, before the first write as well as later.
func TestReadersReadWhatOthersWrite(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	generator := newRegisterGenerator(Options{Concurrency: 4})
	written := map[string]bool{"k00000": true}
	for range 2000 {
		op := generator.(ReadGenerator).NextRead(rng)
		if op.F != "read" || !written[op.Key] {
			t.Fatalf("a reader is to %s key %q, and others write %v", op.F, op.Key, written)
		}
		written[generator.Next(rng).Key] = true
	}
}
