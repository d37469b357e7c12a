package replica

import (
	"fmt"

	"zoolab/zk/jute"
)

// errNullList refuses what no client sends and Apache does not take.
var errNullList = fmt.Errorf("%w: a list of watches is null", jute.ErrMalformed)

// changeWatches carries out the local operations on the client's watches.
func (r *Replica) changeWatches(c *Conn, op jute.OpCode, body []byte) (jute.Record, error) {
	t := r.Tree()
	switch op {
	case jute.OpSetWatches:
		var q jute.SetWatches
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		if q.DataWatches == nil || q.ExistWatches == nil || q.ChildWatches == nil {
			return nil, errNullList
		}
		t.SetWatches(&jute.SetWatches2{
			RelativeZxid: q.RelativeZxid,
			DataWatches:  q.DataWatches, ExistWatches: q.ExistWatches, ChildWatches: q.ChildWatches,
		}, c.client)
		return nil, nil
	case jute.OpSetWatches2:
		var q jute.SetWatches2
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		if q.DataWatches == nil || q.ExistWatches == nil || q.ChildWatches == nil || q.PersistentWatches == nil || q.PersistentRecursiveWatches == nil {
			return nil, errNullList
		}
		t.SetWatches(&q, c.client)
		return nil, nil
	case jute.OpAddWatch:
		var q jute.AddWatchRequest
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		return &jute.ErrorResponse{}, t.AddWatch(q.Path, q.Mode, c.client)
	case jute.OpCheckWatches:
		var q jute.CheckWatchesRequest
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		return nil, t.HasWatch(q.Path, q.Type)
	case jute.OpRemoveWatches:
		var q jute.RemoveWatchesRequest
		if err := decode(body, &q); err != nil {
			return nil, err
		}
		return nil, t.RemoveWatch(q.Path, q.Type, c.client)
	}
	return nil, jute.CodeUnimplemented
}
