package jute

// TxnRecord returns an empty record for the body of a transaction of kind op, or
// nil where no transaction has that kind.
func TxnRecord(op OpCode) Record {
	switch op {
	case OpCreate, OpCreate2:
		return new(CreateTxn)
	case OpCreateTTL:
		return new(CreateTTLTxn)
	case OpCreateContainer:
		return new(CreateContainerTxn)
	case OpDelete, OpDeleteContainer:
		return new(DeleteTxn)
	case OpSetData, OpReconfig:
		return new(SetDataTxn)
	case OpSetACL:
		return new(SetACLTxn)
	case OpCheck:
		return new(CheckVersionTxn)
	case OpMulti:
		return new(MultiTxn)
	case OpCreateSession:
		return new(CreateSessionTxn)
	case OpCloseSession:
		return new(CloseSessionTxn)
	case OpError:
		return new(ErrorTxn)
	}
	return nil
}

// LoggedTxn is a transaction as it stands in the log and in a PROPOSAL: header,
// body and, since 3.6, the digest of the tree after it.
type LoggedTxn struct {
	Header TxnHeader
	Body   Record     // nil only for a closeSession of before 3.6, which had no body
	Digest *TxnDigest // nil where the writer computed none
}

// Append adds the transaction's wire form to b.
func (t *LoggedTxn) Append(b []byte) []byte {
	b = t.Header.Append(b)
	if t.Body != nil {
		b = t.Body.Append(b)
	}
	if t.Digest != nil {
		b = t.Digest.Append(b)
	}
	return b
}

// Decode reads a transaction. A create of before 3.4, which lacks the parent's
// cversion, is read with ParentCVersion -1: the reader must count for itself.
func (t *LoggedTxn) Decode(d *Decoder) {
	t.Header.Decode(d)
	t.Body, t.Digest = nil, nil
	if d.err != nil {
		return
	}
	op := t.Header.Type
	if op == OpCloseSession && d.Len() == 0 {
		return
	}
	body := TxnRecord(op)
	if body == nil {
		d.fail("no transaction has kind %v", op)
		return
	}
	before := *d
	body.Decode(d)
	if d.err != nil && op == OpCreate {
		*d = before
		var old CreateTxnV0
		old.Decode(d)
		body = &CreateTxn{Path: old.Path, Data: old.Data, ACL: old.ACL, Ephemeral: old.Ephemeral, ParentCVersion: -1}
	}
	t.Body = body
	if d.err == nil && d.Len() > 0 {
		t.Digest = new(TxnDigest)
		t.Digest.Decode(d)
	}
}
