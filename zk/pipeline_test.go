package zk_test

import (
	"errors"
	"testing"
	"testing/synctest"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// TestPipeline sends several requests before the first is answered, and gives each its own end.
func TestPipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, p := n.connect(zk.WithMaxPending(4))
		var results []zk.PipelineResult
		done := begin(func() error {
			results = c.Pipeline(t.Context(), zk.SetOp("/a", []byte("1"), 7), zk.SyncOp{Path: "/a"}, zk.GetOp("/a"), zk.CheckOp("/a", 1))
			return nil
		})
		set, sync, get := p.request(jute.OpSetData, nil), p.request(jute.OpSync, nil), p.request(jute.OpGetData, nil)
		p.reply(set, 5, jute.CodeBadVersion, nil)
		p.reply(sync, 6, 0, &jute.SyncResponse{Path: "/root/a"})
		p.reply(get, 6, 0, &jute.GetDataResponse{Data: []byte("0"), Stat: jute.Stat{Mzxid: 3}})
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !errors.Is(results[0].Err, zk.ErrBadVersion) || results[0].Zxid != 5 || results[1].Err != nil || results[1].Zxid != 6 {
			t.Errorf("set and sync: %+v, %+v", results[0], results[1])
		}
		if results[2].Err != nil || string(results[2].Data) != "0" || results[2].Stat.Mzxid != 3 {
			t.Errorf("get: %+v", results[2])
		}
		if !errors.Is(results[3].Err, zk.ErrBadArguments) {
			t.Errorf("a check is no request of its own: %+v", results[3])
		}

		// What was sent and not answered has an unknown outcome.
		done = begin(func() error {
			results = c.Pipeline(t.Context(), zk.SetOp("/a", nil, zk.AnyVersion), zk.GetOp("/a"), zk.DeleteOp("/a", zk.AnyVersion))
			return nil
		})
		p.reply(p.request(jute.OpSetData, nil), 7, 0, &jute.SetDataResponse{Stat: jute.Stat{Version: 2}})
		p.request(jute.OpGetData, nil)
		p.request(jute.OpDelete, nil)
		p.conn.Close()
		p = n.accept()
		p.welcome(sessionID)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		var lost *zk.OpError
		if results[0].Err != nil || results[0].Stat.Version != 2 || zk.Definite(results[2].Err) || !errors.As(results[2].Err, &lost) || !errors.Is(results[1].Err, zk.ErrConnectionLoss) {
			t.Errorf("after a loss: %+v", results)
		}

		five := make([]zk.Pipelined, 5)
		for i := range five {
			five[i] = zk.GetOp("/a")
		}
		if results := c.Pipeline(t.Context(), five...); !errors.Is(results[4].Err, zk.ErrBadArguments) {
			t.Errorf("five requests where four may be pending: %+v", results[4])
		}
		leave(c, p)
	})
}
