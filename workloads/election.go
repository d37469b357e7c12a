package workloads

import (
	"context"
	"math/rand"
)

const (
	electionRoot  = "/zoolab-election"
	electionCount = 2
)

// electionWorkload elects leaders that stay for many operations. A leader's term is
// the sequence number of his candidate, and fences his changes.
var electionWorkload = Workload{
	Name:         "election",
	Doc:          "leaders with terms: one at a time, none deposed while his session lives, changes only by the newest",
	Kinds:        []string{"stand", "lead", "resign", "read"},
	Roams:        true,
	SettleMs:     expirySettleMs,
	NewGenerator: func(Options) Generator { return &electionGenerator{} },
	Setup:        setupQueues(electionRoot, electionCount),
	Do:           withService(doElection),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "one-leader", Check: func(history []Op) Result { return CheckElections(history, bounds) }}}
	},
}

type electionGenerator struct{}

func (g *electionGenerator) Next(rng *rand.Rand) Op {
	op := Op{Type: Invoke, Key: queueKey(rng.Intn(electionCount)), Version: -1}
	switch choice := rng.Intn(200); {
	case choice == 0:
		op.F = "vanish"
	case choice < 30:
		op.F = "stand"
	case choice < 170:
		op.F = "lead"
	case choice < 180:
		op.F = "resign"
	default:
		op.F = "read"
	}
	return op
}

func (g *electionGenerator) Completed(Op) {}

func (g *electionGenerator) Final() []Op { return finalQueues(electionCount) }

func doElection(ctx context.Context, client Service, op Op) Op {
	switch op.F {
	case "vanish":
		client.Abandon()
		return complete(op, false, 0, "abandon", nil)
	case "read", "final-queue":
		return lookAtQueue(ctx, client, electionRoot, op)
	}
	queue := electionRoot + "/" + op.Key
	names, zxid, err := listSynced(ctx, client, queue)
	if err != nil {
		return complete(op, false, zxid, "list", err)
	}
	own := candidatesOf(queue, names, op.Session)
	op.Zxid = zxid
	switch {
	case op.F == "stand" && len(own) > 0:
		return refuse(op, "it stands already")
	case op.F == "stand":
		own, zxid, err := stand(ctx, client, queue, op.Session)
		if err == nil {
			op.Value = (&claim{token: own.token, made: own.made}).value()
		}
		return complete(op, true, zxid, "create", err)
	case len(own) == 0:
		return refuse(op, "it does not stand")
	case op.F == "lead" && placeOf(names, own[0]) != 0:
		return refuse(op, "another one leads")
	case op.F == "lead":
		return lead(ctx, client, op, own[0], zxid)
	case op.F == "resign":
		zxid, err := client.Delete(ctx, own[0].path, -1)
		return complete(op, true, zxid, "delete", err)
	default:
		return lookAtQueue(ctx, client, electionRoot, op)
	}
}

// lead makes one change as the leader.
func lead(ctx context.Context, client Service, op Op, own candidate, granted int64) Op {
	path := protectedPath(electionRoot, op.Key)
	held := claim{token: own.token, granted: granted}
	_, stat, zxid, err := client.Get(ctx, path)
	if err != nil {
		return complete(op, false, zxid, "get", err)
	}
	zxid, err = protect(ctx, client, path, stat.Version, own)
	if err == nil {
		held.entered = zxid
		op.Mzxid = zxid
	}
	// Only a candidate that is gone says something: an earlier change of the same
	// session that had no answer may have come between.
	if held.note = note(err); held.note != noteEvicted {
		held.note = ""
	}
	op.Value = held.value()
	return complete(op, true, zxid, "change", err)
}

// CheckElections judges each election by the claims of its leaders (checkClaims), the
// reads of what they change, and the candidates that are left at the end.
func CheckElections(history []Op, bounds Bounds) Result {
	result := Result{Checker: "one-leader", Verdict: VerdictOK, Stats: map[string]any{}}
	return checkQueueOfClaims(result, history, bounds, "leaders that can't be")
}
