package workloads

import (
	"context"
	"fmt"
	"math/rand"
	"strconv"
)

const (
	lockRoot  = "/zoolab-lock"
	lockCount = 4
	// lockLooks bounds how often a candidate looks whether it has become the first.
	lockLooks = 4
)

// lockWorkload takes locks, changes what they protect, and gives them back; some
// holders leave their session without a word, so that it expires while they hold.
var lockWorkload = Workload{
	Name:         "lock",
	Doc:          "locks with fencing tokens: one holder at a time, also when sessions expire while they hold",
	Kinds:        []string{"hold", "read"},
	Roams:        true,
	SettleMs:     expirySettleMs,
	NewGenerator: func(Options) Generator { return &lockGenerator{} },
	Setup:        setupQueues(lockRoot, lockCount),
	Do:           withService(doLock),
	Checkers: func(bounds Bounds) []Checker {
		return []Checker{{Name: "mutual-exclusion", Check: func(history []Op) Result { return CheckLocks(history, bounds) }}}
	},
}

type lockGenerator struct{}

func (g *lockGenerator) Next(rng *rand.Rand) Op {
	op := Op{Type: Invoke, F: "hold", Key: queueKey(rng.Intn(lockCount)), Version: -1}
	switch choice := rng.Intn(100); {
	case choice < 2:
		op.F = "vanish"
	case choice < 15:
		op.F = "read"
	}
	return op
}

func (g *lockGenerator) Completed(Op) {}

func (g *lockGenerator) Final() []Op { return finalQueues(lockCount) }

func queueKey(i int) string { return fmt.Sprintf("q%d", i) }

// setupQueues makes queues of candidates, each with a protected znode beside it.
func setupQueues(root string, count int) func(context.Context, Client) error {
	return func(ctx context.Context, client Client) error {
		if err := setupRoot(root)(ctx, client); err != nil {
			return err
		}
		for i := range count {
			for _, path := range []string{root + "/" + queueKey(i), protectedPath(root, queueKey(i))} {
				if err := setupRoot(path)(ctx, client); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func protectedPath(root, key string) string { return root + "/protected-" + key }

// finalQueues lists who is left in each queue and reads what it protects.
func finalQueues(count int) (ops []Op) {
	for i := range count {
		for _, f := range []string{"final-queue", "read"} {
			ops = append(ops, Op{Type: Invoke, F: f, Key: queueKey(i), Version: -1})
		}
	}
	return ops
}

func doLock(ctx context.Context, client Service, op Op) Op {
	switch op.F {
	case "hold", "vanish":
		return holdLock(ctx, client, op)
	default:
		return lookAtQueue(ctx, client, lockRoot, op)
	}
}

// lookAtQueue carries out the reads that locks and elections share.
func lookAtQueue(ctx context.Context, client Service, root string, op Op) Op {
	switch op.F {
	case "read":
		if zxid, err := client.Sync(ctx, protectedPath(root, op.Key)); err != nil {
			return complete(op, false, zxid, "sync", err)
		}
		data, stat, zxid, err := client.Get(ctx, protectedPath(root, op.Key))
		if err == nil {
			op.Value, op.Mzxid = tokenOf(data), stat.Mzxid
		}
		return complete(op, false, zxid, "get", err)
	case "final-queue":
		names, zxid, err := listSynced(ctx, client, root+"/"+op.Key)
		if err == nil {
			op.Value = sessionsIn(names)
		}
		return complete(op, false, zxid, "list", err)
	default:
		return refuse(op, fmt.Sprintf("there is no operation %q", op.F))
	}
}

// tokenOf reads a protected znode, -1 before its first change.
func tokenOf(data []byte) int64 {
	token, err := strconv.ParseInt(string(data), 10, 64)
	if err != nil {
		return -1
	}
	return token
}

// holdLock is one critical section from the first to the last word. What went wrong
// before the protected znode was changed is a failure, whatever is left in the queue:
// the session removes it when it comes again, or takes it with it when it ends.
func holdLock(ctx context.Context, client Service, op Op) Op {
	queue := lockRoot + "/" + op.Key
	names, zxid, err := listSynced(ctx, client, queue)
	if err != nil {
		return complete(op, false, zxid, "list", err)
	}
	for _, leftover := range candidatesOf(queue, names, op.Session) {
		if zxid, err := client.Delete(ctx, leftover.path, -1); err != nil {
			return complete(op, false, zxid, "delete what was left", err)
		}
	}
	own, zxid, err := stand(ctx, client, queue, op.Session)
	if err != nil {
		return complete(op, false, zxid, "create", err)
	}
	held := claim{token: own.token, made: own.made}
	for look := 1; held.granted == 0; look++ {
		names, zxid, err := listSynced(ctx, client, queue)
		if err != nil {
			return complete(op, false, zxid, "list", err)
		}
		switch place := placeOf(names, own); {
		case place < 0:
			held.note = noteEvicted
			op.Value, op.Zxid = held.value(), zxid
			return refuse(op, "the candidate is gone")
		case place == 0:
			held.granted = zxid
		case look == lockLooks:
			// Whether it can be given up or not, the lock was not held.
			_, _ = client.Delete(ctx, own.path, -1)
			op.Zxid = zxid
			return refuse(op, "others came before")
		}
	}
	return critical(ctx, client, op, own, &held)
}

// critical changes the protected znode twice and gives the lock back. The operation
// is done when the first change is.
func critical(ctx context.Context, client Service, op Op, own candidate, held *claim) Op {
	path := protectedPath(lockRoot, op.Key)
	_, stat, zxid, err := client.Get(ctx, path)
	if err != nil {
		return complete(op, false, zxid, "get", err)
	}
	zxid, err = protect(ctx, client, path, stat.Version, own)
	if err != nil {
		held.note = note(err)
		op.Value = held.value()
		return complete(op, true, zxid, "enter", err)
	}
	held.entered = zxid
	op.Mzxid = zxid
	if op.F == "vanish" {
		client.Abandon()
		op.Value = held.value()
		return complete(op, true, zxid, "enter", nil)
	}
	if data, _, _, err := client.Get(ctx, path); err == nil && tokenOf(data) != own.token {
		held.note = noteDisturbed
	}
	if left, err := protect(ctx, client, path, stat.Version+1, own); err == nil {
		held.left = left
	} else if held.note == "" {
		held.note = note(err)
	}
	op.Value = held.value()
	// If the answer is lost, the session finds the candidate when it comes again.
	_, _ = client.Delete(ctx, own.path, -1)
	return complete(op, true, zxid, "enter", nil)
}

// CheckLocks judges each lock by the claims of its holders (checkClaims), the reads of
// what it protects, and the candidates that are left at the end.
func CheckLocks(history []Op, bounds Bounds) Result {
	result := Result{Checker: "mutual-exclusion", Verdict: VerdictOK, Stats: map[string]any{}}
	return checkQueueOfClaims(result, history, bounds, "holders that can't be")
}
