package member

import (
	"os/user"

	"zoolab/node/audit"
	"zoolab/node/replica"
	"zoolab/zk/jute"
)

// openAudit begins the audit log, if there is to be one.
func (m *Member) openAudit() (err error) {
	if m.cfg.Audit.Enabled {
		m.auditUser = serverUser()
		m.auditLog, err = audit.Open(m.cfg.Audit.File, m.log)
	}
	return err
}

// closeAudit writes what is left of the audit log.
func (m *Member) closeAudit() {
	if m.auditLog == nil {
		return
	}
	if err := m.auditLog.Close(); err != nil {
		m.log.Error("the audit log could not be closed", "err", err)
	}
}

// auditServer logs what the server itself does.
func (m *Member) auditServer(operation, result string) {
	if m.auditLog != nil {
		m.auditLog.Add(audit.Event{User: m.auditUser, Operation: operation, Result: result})
	}
}

// serverUser is the user that runs the server.
func serverUser() string {
	u, err := user.Current()
	if err != nil {
		return "unknown"
	}
	return u.Username
}

// audit logs what the last step changed.
func (m *Member) audit() {
	if m.auditLog == nil {
		return
	}
	for i := range m.replica.Audit() {
		a := &m.replica.Audit()[i]
		if a.Deleted != "" {
			m.auditLog.Add(audit.Event{Session: a.Session, User: m.auditUser, Operation: audit.EphemeralDelete,
				Znode: a.Deleted, Result: audit.Success})
			continue
		}
		for _, e := range events(a) {
			e.Session, e.User, e.IP = a.Session, audit.Users(a.Who), audit.IP(a.Who)
			m.auditLog.Add(e)
		}
	}
}

// events tells of a client's request: of a multi that succeeded part by part.
func events(a *replica.Audited) []audit.Event {
	e := audit.Event{Operation: audit.Operation(a.Op), Znode: a.Result.Path, Result: audit.Success}
	if e.Operation == "" {
		return nil
	}
	if a.Failed || a.Result.Err != jute.CodeOK {
		e.Result = audit.Failure
	}
	switch {
	case a.Op == jute.OpMulti && e.Result == audit.Success:
		return multiEvents(a)
	case a.Op == jute.OpMulti:
		return []audit.Event{e}
	}
	path, znodeType, acl := asked(a.Op, a.Body)
	e.ZnodeType, e.ACL = znodeType, acl
	if a.Failed {
		e.Znode = path
	}
	return []audit.Event{e}
}

// asked reads from a request what it is about: the path, what kind of znode it makes and
// the ACL that it sets. What can't be read is empty.
func asked(op jute.OpCode, body []byte) (path, znodeType, acl string) {
	d := jute.NewDecoder(body)
	switch op {
	case jute.OpCreate, jute.OpCreate2, jute.OpCreateContainer:
		var q jute.CreateRequest
		q.Decode(d)
		path, znodeType = q.Path, audit.ZnodeType(q.Flags)
	case jute.OpCreateTTL:
		var q jute.CreateTTLRequest
		q.Decode(d)
		path, znodeType = q.Path, audit.ZnodeType(q.Flags)
	case jute.OpDelete:
		var q jute.DeleteRequest
		q.Decode(d)
		path = q.Path
	case jute.OpSetData:
		var q jute.SetDataRequest
		q.Decode(d)
		path = q.Path
	case jute.OpSetACL:
		var q jute.SetACLRequest
		q.Decode(d)
		path, acl = q.Path, audit.ACL(q.ACL)
	}
	if d.Err() != nil {
		return "", "", ""
	}
	return path, znodeType, acl
}

// multiEvents tells of the parts of a multi that changed something.
func multiEvents(a *replica.Audited) (all []audit.Event) {
	var q jute.MultiRequest
	d := jute.NewDecoder(a.Body)
	q.Decode(d)
	for i := range a.Result.Multi {
		part := &a.Result.Multi[i]
		e := audit.Event{Operation: audit.Operation(part.Type), Znode: part.Path, Result: audit.Success}
		if e.Operation == "" {
			continue
		}
		if d.Err() == nil && i < len(q.Ops) {
			switch r := q.Ops[i].Record.(type) {
			case *jute.CreateRequest:
				e.ZnodeType = audit.ZnodeType(r.Flags)
			case *jute.CreateTTLRequest:
				e.ZnodeType = audit.ZnodeType(r.Flags)
			}
		}
		all = append(all, e)
	}
	return all
}
