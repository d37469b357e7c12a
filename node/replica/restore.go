package replica

import (
	"errors"

	"zoolab/node/tree"
	"zoolab/node/zab"
)

// Reasons why a restore did not take place.
var (
	// ErrNotLeader says that only the leader can restore: the others take its tree.
	ErrNotLeader = errors.New("this member does not lead")
	// ErrRestoreRefused says that the leader could not restore at this moment.
	ErrRestoreRefused = errors.New("a change of the membership, or the end of an epoch, is under way; try again")
	// ErrRestoreLost says that another member was elected, and the old tree goes on.
	ErrRestoreLost = errors.New("another member was elected with the old tree; restore on that one")
)

// Restore replaces the tree of the whole ensemble by one that an operator chose. The member
// must lead; it stands for election with the new tree, whose sessions take the place of all
// others. Builder was given everything but its end, and Zxid is the highest zxid in it.
type Restore struct {
	Builder *tree.Builder
	Zxid    int64
	// Done is told once, from Step, when the tree is served, with the zxid that it got, or
	// why it is not. It must not block.
	Done func(zxid int64, err error)
}

func (r *Replica) restore(in Restore) {
	if r.role != zab.RoleLeaderEstablished {
		in.Done(0, ErrNotLeader)
		return
	}
	r.restoring = &in
	r.stepCore(zab.Restore{Zxid: in.Zxid, Handle: in.Builder})
	if r.restoring == &in && r.role == zab.RoleLeaderEstablished {
		r.endRestore(0, ErrRestoreRefused)
	}
}

// keepMembership gives a restored tree the membership that is in force: its own is that of the
// ensemble, or of the time, from which it comes. A leader's tree keeps the one that it has.
func (r *Replica) keepMembership(b *tree.Builder, t *tree.Tree) {
	if r.restoring == nil || r.restoring.Builder != b || r.cfg.ConfigText == nil {
		return
	}
	m, _ := r.core.Memberships()
	t.SetConfig(m.Text, m.Version, r.now.WallMs)
}

// judgeRestore tells how a restore ended, once there is a leader again.
func (r *Replica) judgeRestore() {
	switch {
	case r.restoring == nil:
	case r.role == zab.RoleLeaderEstablished:
		r.endRestore(r.Tree().LastZxid(), nil)
	case r.role.Established():
		r.endRestore(0, ErrRestoreLost)
	}
}

func (r *Replica) endRestore(zxid int64, err error) {
	done := r.restoring.Done
	r.restoring = nil
	done(zxid, err)
}
