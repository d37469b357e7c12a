package replica

import "zoolab/zk/jute"

// changeWatches carries out the local operations on the client's watches.
func (r *Replica) changeWatches(c *Conn, op jute.OpCode, body []byte) (jute.Record, error) {
	t := r.Tree()
	switch op {
	case jute.OpSetWatches:
		var q jute.SetWatches
		if err := decode(body, &q); err != nil {
			return nil, err
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
