package sim

import (
	"fmt"

	"zoolab/node/quorum"
	"zoolab/node/zab"
)

// Shape is what kind of ensemble the members form.
type Shape string

// The shapes. All have the same members, clients and faults.
const (
	Plain Shape = "plain" // everybody votes, and a majority is a quorum
	// Observers has members without a vote: two of five, a third of other numbers.
	Observers Shape = "observers"
	// Weights has two votes for each of the first two members, none for the last, and a
	// quorum is more than half of the weight.
	Weights Shape = "weights"
	// Groups has the odd members in one group and the even ones in another: a quorum needs
	// a majority of both.
	Groups Shape = "groups"
	// Rollover is Plain with epochs that end after few transactions, as all do after 2^32.
	Rollover Shape = "rollover"
	// Reconfig begins as Plain; then its membership changes while all else happens.
	Reconfig Shape = "reconfig"
	// Drift is Plain with a clock that runs slow or fast on each member, the slower the higher
	// its id: nobody's timeout says how long it is on another's clock.
	Drift Shape = "drift"
	// Local is Observers with sessions that their member alone knows until they make an
	// ephemeral.
	Local Shape = "local"
	// Masters is Observers that learn from followers. It is not among Shapes.
	Masters Shape = "masters"
)

// Shapes are those that seeds take in turn.
var Shapes = []Shape{Observers, Weights, Rollover, Plain, Groups, Reconfig, Drift, Local}

// OtherShapes are those that are run only when asked for.
var OtherShapes = []Shape{Masters}

// drifts makes of a duration in ms what a member's clock shows of it: from five quarters on
// the first of five to three quarters on the last, which most often leads.
func (m *member) drifts(ms int64) int64 {
	if m.w.opts.Shape != Drift {
		return ms
	}
	middle := int64(m.w.opts.Members+1) / 2
	return ms * (8 + middle - m.sid) / 8
}

// onlyReads reports whether a client leaves the writes to others.
func (c *client) onlyReads() bool { return c.w.opts.Shape == Drift && c.number%2 == 1 }

// rolloverAt is the last counter of an epoch in the shape Rollover.
const rolloverAt = 150

// ensemble makes the quorum rule and tells who observes.
func (o *Options) ensemble() (verifier quorum.Verifier, observers map[int64]string, err error) {
	var voters []int64
	weights := make(map[int64]int64)
	groups := []quorum.Group{{ID: 1}}
	for sid := int64(1); sid <= int64(o.Members); sid++ {
		if (o.Shape == Observers || o.Shape == Local || o.Shape == Masters) && sid > int64(o.Members-(o.Members+1)/3) {
			if observers == nil {
				observers = make(map[int64]string)
			}
			observers[sid] = name(sid)
			continue
		}
		voters = append(voters, sid)
		weights[sid] = 1
		group := 0
		switch {
		case o.Shape == Weights && sid <= 2:
			weights[sid] = 2
		case o.Shape == Weights && sid == int64(o.Members):
			weights[sid] = 0
		case o.Shape == Groups && sid%2 == 0:
			if len(groups) == 1 {
				groups = append(groups, quorum.Group{ID: 2})
			}
			group = 1
		}
		groups[group].Sids = append(groups[group].Sids, sid)
	}
	switch o.Shape {
	case Weights, Groups:
		verifier, err = quorum.NewHierarchical(voters, groups, weights, 0)
	case Plain, Observers, Rollover, Reconfig, Drift, Local, Masters:
		verifier, err = quorum.NewMajority(voters, 0)
	default:
		err = fmt.Errorf("no ensemble has the shape %q", o.Shape)
	}
	return verifier, observers, err
}

// shaped gives a member's configuration the ensemble's shape.
func (w *world) shaped(c zab.Config) zab.Config {
	c.Verifier, c.QuorumAddresses = w.verifier, w.observers
	c.ObserverMasters = w.opts.Shape == Masters
	if w.opts.Shape == Rollover {
		c.LastCounter = rolloverAt
	}
	return c
}
