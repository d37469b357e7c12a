package zab

import "slices"

// Restore gives a leader another tree, which an operator chose, in place of all that the
// ensemble had. Zxid is the highest that the tree may bear; Handle is the shell's: it comes
// back in InstallSnapshot.
type Restore struct {
	Zxid   int64
	Handle any
}

func (Restore) input() {}

// restore makes a tree the history of this member, as if one more transaction of its epoch had
// made it, and stands for election with it. Nobody else has that transaction or anything behind
// it, so a member that is led by this one is sent the tree, and where another one is elected the
// restore is lost, as any proposal may be that no quorum has. Nothing happens where the member
// does not lead, or the membership is about to change.
func (c *Core) restore(in Restore) {
	last := max(c.log.last+1, in.Zxid)
	if c.role != RoleLeaderEstablished || c.members.next != nil || counterOf(c.log.last) >= c.counterLimit || epochOf(last) >= maxEpoch {
		return
	}
	c.leaveRole("an operator replaces the tree")
	c.log.reset(last)
	c.floor, c.snapshotEpoch, c.deliverable = last, 0, last
	c.emit(InstallSnapshot{Seq: c.nextSeq(), Zxid: last, Handle: in.Handle})
	if epoch := epochOf(last); epoch > c.acceptedEpoch {
		c.saveAcceptedEpoch(epoch)
	}
	c.saveCurrentEpoch(max(c.currentEpoch, epochOf(last)))
	c.startElection(nobody)
	// The vote leaves before the connections end: the others should hear of the new history
	// before they agree on one of themselves.
	slices.SortStableFunc(c.out, func(a, b Effect) int { return closing(a) - closing(b) })
}

// closing is 1 for the end of a connection.
func closing(e Effect) int {
	if _, ok := e.(Close); ok {
		return 1
	}
	return 0
}
