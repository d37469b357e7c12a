package zk_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// begin makes a call and gives its error when it has ended.
func begin(call func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- call() }()
	return done
}

// calls are a change, a read, and a sync, which changes nothing either.
var calls = map[string]struct {
	op      jute.OpCode
	changes bool
	call    func(ctx context.Context, c *zk.Client) error
}{
	"set": {jute.OpSetData, true, func(ctx context.Context, c *zk.Client) error {
		_, err := c.Set(ctx, "/a", []byte("x"), 1)
		return err
	}},
	"multi": {jute.OpMulti, true, func(ctx context.Context, c *zk.Client) error {
		_, err := c.Multi(ctx, zk.DeleteOp("/a", 1))
		return err
	}},
	"get": {jute.OpGetData, false, func(ctx context.Context, c *zk.Client) error {
		_, err := c.Get(ctx, "/a")
		return err
	}},
	"sync": {jute.OpSync, false, func(ctx context.Context, c *zk.Client) error {
		_, err := c.Sync(ctx, "/a")
		return err
	}},
}

// TestOutcomes breaks calls at every stage and checks what is said about them.
func TestOutcomes(t *testing.T) {
	stages := map[string]struct {
		handed bool  // to a connection, when the call ends
		err    error // its cause
		run    func(t *testing.T, n *network, call func(ctx context.Context, c *zk.Client) error, op jute.OpCode) error
	}{
		"cut after the request": {true, zk.ErrConnectionLoss, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect()
			defer c.Detach()
			done := begin(func() error { return call(t.Context(), c) })
			p.request(op, nil)
			p.conn.Close()
			return <-done
		}},
		"cut in the middle of the answer": {true, zk.ErrConnectionLoss, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect()
			defer c.Detach()
			done := begin(func() error { return call(t.Context(), c) })
			p.request(op, nil)
			_, _ = p.conn.Write([]byte{0, 0, 0, 80, 0, 0, 0, 1, 0, 0})
			p.conn.Close()
			return <-done
		}},
		"the context ends before the answer": {true, context.DeadlineExceeded, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect()
			defer leave(c, p)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			done := begin(func() error { return call(ctx, c) })
			xid := p.request(op, nil)
			err := <-done
			p.reply(xid, 9, jute.CodeNoNode, nil) // too late, and for nobody
			next := begin(func() error { _, err := c.Delete(t.Context(), "/b", 0); return err })
			p.reply(p.request(jute.OpDelete, nil), 10, 0, nil)
			if err := <-next; err != nil {
				t.Errorf("the next call: %v", err)
			}
			return err
		}},
		"the context ends in the queue": {false, context.DeadlineExceeded, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect()
			defer leave(c, p)
			first := begin(func() error { _, err := c.Delete(t.Context(), "/first", 0); return err })
			synctest.Wait() // it is being written, and nobody reads
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := call(ctx, c)
			p.reply(p.request(jute.OpDelete, nil), 10, 0, nil)
			if err := <-first; err != nil {
				t.Errorf("the first call: %v", err)
			}
			next := begin(func() error { _, err := c.Exists(t.Context(), "/b"); return err })
			p.reply(p.request(jute.OpExists, nil), 10, 0, &jute.ExistsResponse{}) // not what was given up
			if err := <-next; err != nil {
				t.Errorf("the next call: %v", err)
			}
			return err
		}},
		"the context ends without a connection": {false, context.DeadlineExceeded, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect()
			defer c.Detach()
			p.conn.Close()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			return call(ctx, c)
		}},
		"the context had ended": {false, context.Canceled, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect()
			defer leave(c, p)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			return call(ctx, c)
		}},
		"too many calls": {false, context.DeadlineExceeded, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect(zk.WithMaxPending(1))
			first := begin(func() error { _, err := c.Delete(t.Context(), "/first", 0); return err })
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := call(ctx, c)
			leave(c, p)
			if err := <-first; !zk.Unknown(err) {
				t.Errorf("the first call: %v", err)
			}
			return err
		}},
		"no connection, fail fast": {false, zk.ErrDisconnected, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect(zk.WithFailFast())
			defer c.Detach()
			p.conn.Close()
			synctest.Wait()
			return call(t.Context(), c)
		}},
		"cut in the queue, fail fast": {false, zk.ErrDisconnected, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect(zk.WithFailFast())
			defer c.Detach()
			first := begin(func() error { _, err := c.Delete(t.Context(), "/first", 0); return err })
			synctest.Wait()
			done := begin(func() error { return call(t.Context(), c) })
			synctest.Wait()
			p.conn.Close()
			if err := <-first; !zk.Unknown(err) || !errors.Is(err, zk.ErrConnectionLoss) {
				t.Errorf("the first call: %v", err)
			}
			return <-done
		}},
		"the session expires, call in the queue": {false, zk.ErrSessionExpired, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect()
			p.conn.Close()
			synctest.Wait()
			done := begin(func() error { return call(t.Context(), c) })
			n.accept().welcome(0)
			err := <-done
			if c.State() != zk.StateExpired {
				t.Errorf("state %v", c.State())
			}
			if again := call(t.Context(), c); !errors.Is(again, zk.ErrSessionExpired) || zk.Unknown(again) {
				t.Errorf("a call after the end: %v", again)
			}
			return err
		}},
		"closed": {false, zk.ErrClosed, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect()
			leave(c, p)
			return call(t.Context(), c)
		}},
		"detached with the request under way": {true, zk.ErrClosed, func(t *testing.T, n *network, call func(context.Context, *zk.Client) error, op jute.OpCode) error {
			c, p := n.connect()
			done := begin(func() error { return call(t.Context(), c) })
			p.request(op, nil)
			c.Detach()
			return <-done
		}},
	}
	for stageName, stage := range stages {
		for callName, call := range calls {
			t.Run(stageName+"/"+callName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					err := stage.run(t, newNetwork(t), call.call, call.op)
					if !errors.Is(err, stage.err) {
						t.Errorf("error %v, want %v", err, stage.err)
					}
					unknown := stage.handed && call.changes
					if zk.Unknown(err) != unknown || zk.Definite(err) != !unknown {
						t.Errorf("%v: Unknown %t, Definite %t, want Unknown %t", err, zk.Unknown(err), zk.Definite(err), unknown)
					}
				})
			})
		}
	}
}

// TestAnswers checks every error code, and that both a failed change and a failed read
// carry the zxid.
func TestAnswers(t *testing.T) {
	unknown := map[jute.ErrorCode]bool{
		jute.CodeSystemError: true, jute.CodeRuntimeInconsistency: true, jute.CodeDataInconsistency: true,
		jute.CodeConnectionLoss: true, jute.CodeMarshallingError: true, jute.CodeOperationTimeout: true,
		jute.CodeRequestTimeout: true, jute.CodeAPIError: true, -999: true,
	}
	definite := []jute.ErrorCode{
		jute.CodeNoNode, jute.CodeNoAuth, jute.CodeBadVersion, jute.CodeNoChildrenForEphemerals,
		jute.CodeNodeExists, jute.CodeNotEmpty, jute.CodeSessionExpired, jute.CodeInvalidACL, jute.CodeAuthFailed,
		jute.CodeSessionMoved, jute.CodeNotReadOnly, jute.CodeQuotaExceeded, jute.CodeThrottledOp,
		jute.CodeUnimplemented, jute.CodeBadArguments,
	}
	synctest.Test(t, func(t *testing.T) {
		c, p := newNetwork(t).connect()
		defer leave(c, p)
		zxid := int64(100)
		check := func(code jute.ErrorCode, unknown bool) {
			zxid++
			var reply zk.StatReply
			done := begin(func() (err error) { reply, err = c.Set(t.Context(), "/a", nil, 1); return err })
			p.reply(p.request(jute.OpSetData, nil), zxid, code, nil)
			err := <-done
			var op *zk.OpError
			if !errors.Is(err, code) || !errors.As(err, &op) || op.Zxid != zxid || reply.Zxid != zxid || op.MayHaveHappened != unknown {
				t.Errorf("code %d: %+v, %v; want zxid %d, unknown %t", code, reply, err, zxid, unknown)
			}
		}
		for code := range unknown {
			check(code, true)
		}
		for _, code := range definite {
			check(code, false)
		}
		done := begin(func() error { _, err := c.Sync(t.Context(), "/"); return err })
		p.reply(p.request(jute.OpSync, nil), 3, 0, &jute.SyncResponse{}) // older than what was seen
		if err := <-done; err != nil {
			t.Error(err)
		}
		if c.Session().LastZxid != zxid {
			t.Errorf("LastZxid %d, want %d", c.Session().LastZxid, zxid)
		}
	})
}

func TestUnknownOfOthers(t *testing.T) {
	for _, err := range []error{nil, errors.New("x"), context.Canceled} {
		if zk.Unknown(err) || zk.Definite(err) {
			t.Errorf("%v says something about an operation", err)
		}
	}
}

// TestXidsGoOn expects that a session's requests have numbers of their own over all connections
// of its client: Apache's servers take the commit of a request that was sent before a session
// moved for the answer to one of the same number that was sent after.
func TestXidsGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork(t)
		c, p := n.connect()
		first := begin(func() error { _, err := c.Set(t.Context(), "/a", nil, 1); return err })
		lost := p.request(jute.OpSetData, nil)
		p.conn.Close()
		if err := <-first; !errors.Is(err, zk.ErrConnectionLoss) {
			t.Errorf("a set that lost its connection: %v", err)
		}
		p = n.accept()
		p.welcome(sessionID)
		defer leave(c, p)
		second := begin(func() error { _, err := c.Set(t.Context(), "/a", nil, 1); return err })
		if xid := p.request(jute.OpSetData, nil); xid <= lost {
			t.Errorf("request %d follows request %d of the connection before", xid, lost)
		}
		p.conn.Close()
		<-second
	})
}
