package replica

import (
	"maps"
	"slices"
)

// SessionInfo is a session as the administrator's commands show it.
type SessionInfo struct {
	ID        int64
	TimeoutMs int32
	// ExpiresMs is the MonoMs at which the session expires if nothing comes from its
	// client; 0 for one of the ensemble's on a member that does not lead and can't know.
	ExpiresMs int64
	// Local says that only this member knows the session.
	Local bool
}

// sessions lists this member's own sessions, and then the ensemble's, by ascending id.
func (r *Replica) sessions() []SessionInfo {
	list := infos(r.localSessions, true)
	if r.lead.sessions != nil {
		return append(list, infos(r.lead.sessions, false)...)
	}
	r.Tree().Sessions(func(id int64, timeoutMs int32) bool {
		list = append(list, SessionInfo{ID: id, TimeoutMs: timeoutMs})
		return true
	})
	return list
}

func infos(t *tracker, local bool) (list []SessionInfo) {
	if t == nil {
		return nil
	}
	for _, id := range slices.Sorted(maps.Keys(t.sessions)) {
		s := t.sessions[id]
		list = append(list, SessionInfo{ID: id, TimeoutMs: s.timeoutMs, ExpiresMs: s.expiresMs, Local: local})
	}
	return list
}

// Synchronizing returns how many learners this member sends a snapshot, or else a difference.
// The event loop calls it.
func (r *Replica) Synchronizing(snapshot bool) int { return r.core.Synchronizing(snapshot) }
