package replica

import (
	"testing"

	"zoolab/zk/jute"
)

// encoder is a client that encodes its answers, as the real one does.
type encoder struct {
	out     []byte
	replies int
	failed  jute.ErrorCode
}

func (e *encoder) Connected(jute.ReadOnlyConnectResponse)  {}
func (e *encoder) Notify(ev jute.WatcherEvent, zxid int64) {}
func (e *encoder) Close(string)                            {}
func (e *encoder) Reply(h jute.ReplyHeader, body jute.Record) {
	e.out = h.Append(e.out[:0])
	if body != nil {
		e.out = body.Append(e.out)
	}
	e.replies++
	if h.Err != jute.CodeOK {
		e.failed = h.Err
	}
}

// BenchmarkWrite is a member's share of a set of 1 KiB, without network and disk: request,
// preparation, proposal, log record, commit, apply, answer.
func BenchmarkWrite(b *testing.B) {
	for _, shape := range []struct {
		name  string
		group int // requests that one sync of the disk makes durable
	}{{"alone", 1}, {"group64", 64}} {
		b.Run(shape.name, func(b *testing.B) {
			v := newVoter(b, nil)
			client := &encoder{}
			c := NewConn(client, jute.ID{Scheme: "ip", ID: "127.0.0.1"})
			v.connect(c)
			anyone := []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}
			for _, path := range []string{"/some", "/some/path"} {
				create := jute.Marshal(&jute.CreateRequest{Path: path, ACL: anyone})
				c.Submitted()
				v.step(ClientRequest{Conn: c, Header: jute.RequestHeader{Type: jute.OpCreate}, Body: create})
				v.disk()
			}
			set := jute.Marshal(&jute.SetDataRequest{Path: "/some/path", Data: make([]byte, 1024), Version: -1})
			client.replies = 0
			xid := int32(0)
			b.ReportAllocs()
			for b.Loop() {
				for range shape.group {
					xid++
					c.Submitted()
					v.step(ClientRequest{Conn: c, Header: jute.RequestHeader{Xid: xid, Type: jute.OpSetData}, Body: set})
				}
				v.disk()
			}
			if client.replies != int(xid) || client.failed != jute.CodeOK {
				b.Fatalf("%d sets, %d answers, the last error is %v", xid, client.replies, client.failed)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(xid), "ns/write")
		})
	}
}

// BenchmarkRead is a read on its connection's goroutine.
func BenchmarkRead(b *testing.B) {
	v := newVoter(b, nil)
	client := &encoder{}
	c := NewConn(client, jute.ID{Scheme: "ip", ID: "127.0.0.1"})
	v.connect(c)
	get := jute.Marshal(&jute.GetDataRequest{Path: "/zookeeper/quota"})
	b.ReportAllocs()
	for b.Loop() {
		if !c.MayServe(jute.OpGetData) {
			b.Fatal("a read must wait")
		}
		v.Serve(c, jute.RequestHeader{Xid: 1, Type: jute.OpGetData}, get)
	}
	if client.failed != jute.CodeOK {
		b.Fatal(client.failed)
	}
}
