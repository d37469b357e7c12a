package member

import (
	"context"
	"errors"
	"io"
	"time"

	"zoolab/node/replica"
	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// restorePatience is how long an election with a restored tree may take until its outcome
// counts as unknown.
const restorePatience = time.Minute

// restored is a sink for a snapshot without a name: the highest zxid that is found in it
// takes the place of the one that a name would tell.
type restored struct {
	*tree.Builder
	zxid int64
}

func (r *restored) AddNode(path string, data []byte, aclID int64, stat *jute.StatPersisted) error {
	r.zxid = max(r.zxid, stat.Czxid, stat.Mzxid, stat.Pzxid)
	return r.Builder.AddNode(path, data, aclID, stat)
}

func (r *restored) SetDigest(zxid int64, version int32, digest int64) error {
	r.zxid = max(r.zxid, zxid)
	return r.Builder.SetDigest(zxid, version, digest)
}

// Finish leaves the end to the replica, which decides on the tree's zxid.
func (r *restored) Finish(int64) error { return nil }

// restoreSnapshot makes a snapshot the data of the ensemble, and returns when it is served or
// can't be. A failure of the connection on which it comes changes nothing.
func (m *Member) restoreSnapshot(ctx context.Context, body io.Reader) (zxid int64, err error) {
	if !m.restoring.TryLock() {
		return 0, errors.New("another restore is under way")
	}
	defer m.restoring.Unlock()
	began := time.Now()
	sink := &restored{Builder: m.newBuilder()}
	if err := m.storage.ReceiveSnapshot(body, sink); err != nil {
		return 0, err
	}
	type result struct {
		zxid int64
		err  error
	}
	done := make(chan result, 1)
	m.log.Warn("an operator replaces the data of the ensemble by a snapshot", "zxid", hex(sink.zxid))
	m.post(replica.Restore{Builder: sink.Builder, Zxid: sink.zxid, Done: func(zxid int64, err error) { done <- result{zxid, err} }})
	select {
	case r := <-done:
		took := time.Since(began).Round(time.Millisecond)
		if r.err != nil {
			m.log.Warn("the restore failed", "err", r.err, "took", took)
		} else {
			m.log.Info("the ensemble has the operator's snapshot", "zxid", hex(r.zxid), "took", took)
		}
		return r.zxid, r.err
	case <-time.After(restorePatience):
		return 0, errors.New("no leader was found within " + restorePatience.String() + "; whether the ensemble has the snapshot is for its members to show")
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
