package replica

import (
	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// kind says who answers an operation, and so what stands before what in a session.
type kind uint8

const (
	kindUnknown kind = iota
	kindLocal        // this member alone, from its tree
	kindWrite        // a transaction
	kindSync         // the leader, with a quorum, but without a transaction
)

func kindOf(op jute.OpCode) kind {
	switch op {
	case jute.OpExists, jute.OpGetData, jute.OpGetACL, jute.OpGetChildren, jute.OpGetChildren2, jute.OpMultiRead,
		jute.OpPing, jute.OpSetWatches, jute.OpSetWatches2, jute.OpAddWatch, jute.OpCheckWatches, jute.OpRemoveWatches,
		jute.OpAuth, jute.OpSASL, jute.OpDeleteContainer, jute.OpWhoAmI, jute.OpGetEphemerals, jute.OpGetAllChildrenNumber:
		return kindLocal
	case jute.OpCreate, jute.OpCreate2, jute.OpCreateContainer, jute.OpCreateTTL, jute.OpDelete, jute.OpSetData,
		jute.OpSetACL, jute.OpCheck, jute.OpMulti, jute.OpReconfig, jute.OpCloseSession:
		return kindWrite
	case jute.OpSync:
		return kindSync
	}
	return kindUnknown
}

// replyCode returns the code of the header that answers a write. A multi that failed is
// answered with success: its parts tell what happened.
func replyCode(txn *jute.LoggedTxn, result *tree.Result) jute.ErrorCode {
	if txn.Header.Type == jute.OpMulti {
		return jute.CodeOK
	}
	return result.Err
}

// writeReply returns the body that answers a write, nil where there is none.
func writeReply(op jute.OpCode, result *tree.Result) jute.Record {
	if op == jute.OpMulti && result.Type == jute.OpMulti {
		return multiReply(result)
	}
	if result.Err != jute.CodeOK {
		return nil
	}
	switch op {
	case jute.OpCreate:
		return &jute.CreateResponse{Path: result.Path}
	case jute.OpCreate2, jute.OpCreateContainer, jute.OpCreateTTL:
		return &jute.Create2Response{Path: result.Path, Stat: result.Stat}
	case jute.OpSetData:
		return &jute.SetDataResponse{Stat: result.Stat}
	case jute.OpSetACL:
		return &jute.SetACLResponse{Stat: result.Stat}
	}
	return nil
}

// multiReply answers a multi part by part; of a failed one every part is an error.
func multiReply(result *tree.Result) jute.Record {
	answer := &jute.MultiResponse{Results: make([]jute.MultiOp, len(result.Multi))}
	for i := range result.Multi {
		part := &result.Multi[i]
		op := &answer.Results[i]
		if part.Type == jute.OpError {
			*op = jute.MultiOp{Type: jute.OpError, Err: part.Err, Record: &jute.ErrorResponse{Err: part.Err}}
			continue
		}
		if part.Type == jute.OpCreateContainer || part.Type == jute.OpCreateTTL {
			part.Type = jute.OpCreate2
		}
		*op = jute.MultiOp{Type: part.Type, Record: writeReply(part.Type, part)}
	}
	return answer
}

// syncReply answers a sync with the path that was asked for.
func syncReply(body []byte) (jute.Record, jute.ErrorCode) {
	var q jute.SyncRequest
	d := jute.NewDecoder(body) // a null path is none, and does no harm
	if q.Decode(d); d.Err() != nil {
		return nil, jute.CodeMarshallingError
	}
	return &jute.SyncResponse{Path: q.Path}, jute.CodeOK
}
