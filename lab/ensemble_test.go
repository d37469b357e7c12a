package main

import (
	"bufio"
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"zoolab/lab/cluster"
	"zoolab/lab/store"
)

func TestParseStatus(t *testing.T) {
	answer := "Zookeeper version: 3.8.0\nLatency min/avg/max: 0/1/2\nZxid: 0x30000000a\nMode: leader\nNode count: 5\n"
	if got := parseStatus(strings.NewReader(answer)); got.err != nil || got.mode != "leader" || got.zxid != 3<<32|10 || !got.leads() {
		t.Errorf("status %+v", got)
	}
	for _, answer := range []string{"", "This ZooKeeper instance is not currently serving requests\n", "Zxid: what\nMode: leader\n"} {
		if got := parseStatus(strings.NewReader(answer)); got.err == nil || got.leads() {
			t.Errorf("%q gives %+v", answer, got)
		}
	}
}

// TestAskStatus asks one that answers, one that is silent, and one that is not
// there.
func TestAskStatus(t *testing.T) {
	listen := func() net.Listener {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		return listener
	}
	serving, silent, closed := listen(), listen(), listen()
	_ = closed.Close()
	go func() {
		for {
			conn, err := serving.Accept()
			if err != nil {
				return
			}
			word := make([]byte, 4)
			if _, err := bufio.NewReader(conn).Read(word); err == nil && string(word) == "srvr" {
				_, _ = conn.Write([]byte("Zxid: 0x1\nMode: follower\n"))
			}
			conn.Close()
		}
	}()
	members := []cluster.Member{{Name: "n1", Client: serving.Addr().String()}, {Name: "n2", Client: silent.Addr().String()}, {Name: "n3", Client: closed.Addr().String()}}
	network := networkAccess()
	var statuses []memberStatus
	var start time.Time
	for range 100 { // on a busy machine the first may answer too late
		start = time.Now()
		if statuses = network.askAll(context.Background(), members); statuses[0].err == nil {
			break
		}
	}
	if statuses[0].err != nil || statuses[0].mode != "follower" || statuses[1].err == nil || statuses[2].err == nil {
		t.Errorf("statuses %+v", statuses)
	}
	if took := time.Since(start); took > 30*time.Second { // the silent one would be waited for for ever
		t.Errorf("asking took %s", took)
	}
}

func TestNotFormed(t *testing.T) {
	members := []cluster.Member{{Name: "n1"}, {Name: "n2"}, {Name: "n3"}}
	leader, follower, silent := memberStatus{mode: "leader"}, memberStatus{mode: "follower"}, memberStatus{err: errors.New("refused")}
	for _, test := range []struct {
		statuses []memberStatus
		want     string
	}{
		{[]memberStatus{follower, leader, follower}, ""},
		{[]memberStatus{follower, follower, follower}, "nobody leads"},
		{[]memberStatus{leader, leader, follower}, "n1 and n2 lead at the same time"},
		{[]memberStatus{leader, silent, follower}, "no answer from n2 (refused)"},
	} {
		if got := notFormed(members, test.statuses); got != test.want {
			t.Errorf("%+v: %q, want %q", test.statuses, got, test.want)
		}
	}
}

func TestLeaderSpans(t *testing.T) {
	const ms = int64(time.Millisecond)
	leads := func(epoch int64) memberStatus { return memberStatus{mode: "leader", zxid: epoch<<32 | 5} }
	follows, silent := memberStatus{mode: "follower", zxid: 1 << 32}, memberStatus{err: errors.New("silent")}
	now := int64(0)
	w := &leaderWatch{members: []cluster.Member{{Name: "n1"}, {Name: "n2"}}, nowNs: func() int64 { return now }, cancel: func() {}, wait: func() {}}
	for _, sample := range []struct {
		atMs     int64
		statuses []memberStatus
	}{
		{0, []memberStatus{follows, silent}},
		{200, []memberStatus{leads(1), follows}},
		{400, []memberStatus{silent, follows}}, // one silence is no end
		{600, []memberStatus{leads(1), follows}},
		{800, []memberStatus{silent, follows}},
		{1000, []memberStatus{silent, leads(2)}},
		{1800, []memberStatus{silent, leads(2)}}, // now it is
		{2000, []memberStatus{follows, leads(2)}},
		{2200, []memberStatus{follows, leads(3)}}, // another epoch is another span
		{2400, []memberStatus{follows, follows}},
		{2600, []memberStatus{leads(4), follows}},
	} {
		now = sample.atMs * ms
		w.sample(now, sample.statuses)
	}
	if got := w.current(); got != "n1 (epoch 4)" {
		t.Errorf("current leader %q", got)
	}
	now += 2 * int64(leaderSilence)
	if got := w.current(); got != "none" {
		t.Errorf("current leader after a silence %q", got)
	}
	want := []store.Leader{
		{Member: "n1", Epoch: 1, StartNs: 200 * ms, EndNs: 600 * ms},
		{Member: "n2", Epoch: 2, StartNs: 1000 * ms, EndNs: 2200 * ms},
		{Member: "n2", Epoch: 3, StartNs: 2200 * ms, EndNs: 2400 * ms},
		{Member: "n1", Epoch: 4, StartNs: 2600 * ms},
	}
	if got := w.stop(); !reflect.DeepEqual(got, want) {
		t.Errorf("spans %+v\nwant %+v", got, want)
	}
}
