package replica

import (
	"zoolab/node/tree"
	"zoolab/zk/jute"
)

// Audited is a change that the audit log is to tell of.
type Audited struct {
	Session int64
	// Who has the identities of the client that asked for it, nil for the server itself,
	// which deletes the ephemerals of a session that ends.
	Who []jute.ID
	// Op and Body are the client's request.
	Op   jute.OpCode
	Body []byte
	// Result tells how it ended. Failed says that the request was refused as a whole.
	Result tree.Result
	Failed bool
	// Deleted is an ephemeral that was deleted with its session.
	Deleted string
}

// Audit returns what the last Step changed in the name of this member's clients, and the
// ephemerals that sessions left behind, if Config.Audit asks for it. The slice is reused.
func (r *Replica) Audit() []Audited { return r.audited }

// auditEnd audits the ephemerals that a closeSession deletes.
func (r *Replica) auditEnd(txn *jute.LoggedTxn) {
	body, ok := txn.Body.(*jute.CloseSessionTxn)
	if !r.cfg.Audit || !ok || !r.role.Established() {
		return
	}
	for _, path := range body.Paths2Delete {
		r.audited = append(r.audited, Audited{Session: txn.Header.ClientID, Op: jute.OpCloseSession, Deleted: path})
	}
}

// auditAnswer audits the outcome of a client's write.
func (r *Replica) auditAnswer(c *Conn, q *queued, txn *jute.LoggedTxn, result *tree.Result) {
	if !r.cfg.Audit {
		return
	}
	r.audited = append(r.audited, Audited{
		Session: c.session, Who: c.caller.Load().IDs, Op: q.header.Type, Body: q.body, Result: *result,
		Failed: txn.Header.Type == jute.OpError,
	})
	q.body = nil
}
