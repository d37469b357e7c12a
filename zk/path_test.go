package zk

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"zoolab/zk/jute"
)

func TestParseConnectString(t *testing.T) {
	for text, want := range map[string]struct {
		servers []string
		chroot  string
		err     string
	}{
		"a":                       {servers: []string{"a:2181"}},
		"a:1,b, c:3/app/x":        {servers: []string{"a:1", "b:2181", "c:3"}, chroot: "/app/x"},
		"a/":                      {servers: []string{"a:2181"}},
		"127.0.0.1:5,":            {servers: []string{"127.0.0.1:5"}},
		"::1,[::1]:7,[fe80::2]/x": {servers: []string{"[::1]:2181", "[::1]:7", "[fe80::2]:2181"}, chroot: "/x"},
		"":                        {err: "names no server"},
		" , /x":                   {err: "names no server"},
		"a/x/":                    {err: "must not end with /"},
		"a//x":                    {err: `the component ""`},
		"a:":                      {err: "needs a host and a port"},
		":1":                      {err: "needs a host and a port"},
		"a:1:2":                   {err: "too many colons"},
		"a:b":                     {err: `the port "b" is not a number from 1 to 65535`},
		"a:1,b:0":                 {err: `the port "0" is not`},
		"a:65536":                 {err: `the port "65536" is not`},
	} {
		servers, chroot, err := ParseConnectString(text)
		if want.err != "" {
			if err == nil || !strings.Contains(err.Error(), want.err) {
				t.Errorf("%q: %v, want %q", text, err, want.err)
			}
			continue
		}
		if err != nil || !slices.Equal(servers, want.servers) || chroot != want.chroot {
			t.Errorf("%q = %q, %q, %v", text, servers, chroot, err)
		}
	}
}

func TestCheckPath(t *testing.T) {
	for _, path := range []string{"/", "/a", "/a/b", "/a.b/..c", "/über/節点", "/\U00010000"} {
		if err := checkPath(path); err != nil {
			t.Errorf("%q: %v", path, err)
		}
	}
	for _, path := range []string{"", "a", "a/b", "/a/", "//", "/a//b", "/.", "/a/..", "/./a", "/a\x00", "/\x1f", "/\x7f", "/\u009f", "/\ue000", "/\ufff0", "/\xff"} {
		if err := checkPath(path); !errors.Is(err, ErrBadArguments) {
			t.Errorf("%q: %v, want a refusal", path, err)
		}
	}
	if checkCreatePath("/a/", PersistentSequential) != nil || checkCreatePath("/a/", Persistent) == nil {
		t.Error("a path may end with / only where a sequence number follows")
	}
}

func TestChrootPaths(t *testing.T) {
	c := &Client{chroot: "/app"}
	for client, server := range map[string]string{"/": "/app", "/x": "/app/x", "/app": "/app/app"} {
		if got := c.serverPath(client); got != server {
			t.Errorf("serverPath(%s) = %s, want %s", client, got, server)
		}
		if got := c.clientPath(server); got != client {
			t.Errorf("clientPath(%s) = %s, want %s", server, got, client)
		}
	}
	if got := c.clientPath("/application"); got != "/application" {
		t.Errorf("a path beside the chroot became %s", got)
	}
}

// TestXids expects that numbers never become one of the special, negative ones.
func TestXids(t *testing.T) {
	l := &link{c: &Client{lastXid: math.MaxInt32 - 1}}
	for _, want := range []int32{math.MaxInt32, 1, 2} {
		if got := l.xid(jute.OpSetData); got != want {
			t.Errorf("xid %d, want %d", got, want)
		}
	}
	if l.xid(jute.OpAuth) != jute.XidAuth || l.c.lastXid != 2 {
		t.Error("a credential has the special xid and takes no number")
	}
}

// TestFifo holds the queue against a slice, also when it is long and when its middle goes.
func TestFifo(t *testing.T) {
	var q fifo
	var want []*call
	for i := range 2000 {
		k := &call{xid: int32(i)}
		q.push(k)
		want = append(want, k)
		if i%3 != 0 {
			if q.pop() != want[0] {
				t.Fatalf("step %d: another order", i)
			}
			want = want[1:]
		}
		if i%100 == 99 {
			middle := len(want) / 2
			q.remove(want[middle])
			want = slices.Delete(want, middle, middle+1)
		}
		if q.len() != len(want) || q.peek() != want[0] {
			t.Fatalf("step %d: length %d, want %d", i, q.len(), len(want))
		}
	}
	if len(q.calls) > 2*len(want)+200 {
		t.Errorf("%d places for %d calls", len(q.calls), len(want))
	}
	for _, k := range want {
		if q.pop() != k {
			t.Fatal("another order at the end")
		}
	}
	if q.pop() != nil || q.peek() != nil {
		t.Error("the empty queue has a call")
	}
}
