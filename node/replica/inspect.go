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
	// client; 0 on a follower, which does not know.
	ExpiresMs int64
}

// sessions lists the sessions by ascending id.
func (r *Replica) sessions() []SessionInfo {
	var list []SessionInfo
	if r.lead.sessions == nil {
		r.Tree().Sessions(func(id int64, timeoutMs int32) bool {
			list = append(list, SessionInfo{ID: id, TimeoutMs: timeoutMs})
			return true
		})
		return list
	}
	tracked := r.lead.sessions.sessions
	for _, id := range slices.Sorted(maps.Keys(tracked)) {
		s := tracked[id]
		list = append(list, SessionInfo{ID: id, TimeoutMs: s.timeoutMs, ExpiresMs: s.expiresMs})
	}
	return list
}
