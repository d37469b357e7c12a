package workloads

import (
	"fmt"
	"sort"
)

// CheckSessionOrder judges what each session saw, in time that grows with the
// history as sorting does. Znodes are never deleted, so that a znode that isn't
// there counts as older than every change. The rules are:
//
//   - the zxids of a session's replies never go back, on whichever member;
//   - a session never sees an older state of a key than it has seen or written
//     before (monotonic reads, own writes);
//   - a session that has come to zxid z sees of every key at least the newest
//     change that is known to be at or below z, also of keys that it never read
//     before: a member shows a prefix of the one order of changes;
//   - a read after a sync shows at least what was acknowledged to or read by
//     anybody before it began; a plain read may be stale, which is counted;
//   - what is shown was written to that key, by a write that had begun and did not
//     certainly fail;
//   - version, zxid and value of a key name the same change in every answer, and
//     acknowledged changes have zxids in the order of real time.
//
// Each rule follows from the documented guarantees (sequential consistency,
// single system image, and for sync the leader's confirmation), and needs
// only that zxids are given in the order of changes. Operations of one session
// are taken in the order of their invocations; only what was answered before an
// operation began binds it, so that a reply that came late binds nobody.
func CheckSessionOrder(history []Op, bounds Bounds) Result {
	result := Result{Checker: "session-order", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	check := &zxidCheck{maxFailures: bounds.MaxFailures}
	replies := check.sessions(history, operations)
	known := make(map[string][]knownChange)
	for _, key := range splitByKey(operations) {
		check.versions(key)
		known[key.key] = knownChanges(key)
		check.syncedReads(key)
		check.origins(key)
	}
	sessions := check.views(operations, known)
	check.changesInRealTime(writesOf(operations))
	result.Failures = check.failures
	result.Stats["replies"], result.Stats["sessions"] = replies, sessions
	result.Stats["violations"], result.Stats["stale-reads"] = check.violations, countStale(operations)
	if check.violations > 0 {
		result.Verdict = VerdictFail
		result.Cause = fmt.Sprintf("%d violations of what a session may see; first: %s", check.violations, check.failures[0].Cause)
		return result
	}
	result.Cause = fmt.Sprintf("%d sessions never went back, saw their own writes and a prefix of all changes (%d replies; %d plain reads were stale, as they may be)", sessions, replies, result.Stats["stale-reads"])
	return result
}

// knownChange is a change that some answer has shown.
type knownChange struct {
	mzxid     int64
	operation *Operation
}

// knownChanges lists the changes of a key by zxid.
func knownChanges(key keyOperations) []knownChange {
	var changes []knownChange
	for _, operation := range key.operations {
		if operation.Complete.Type == OK && operation.Complete.Mzxid != 0 {
			changes = append(changes, knownChange{operation.Complete.Mzxid, operation})
		}
	}
	sort.SliceStable(changes, func(i, j int) bool { return changes[i].mzxid < changes[j].mzxid })
	return changes
}

func isRead(op *Op) bool { return op.F == "read" || op.F == "sync-read" }

func writesOf(operations []Operation) (writes []Operation) {
	for i := range operations {
		if operations[i].Invoke.F == "write" {
			writes = append(writes, operations[i])
		}
	}
	return writes
}

// views checks every read against what its session had come to before.
func (c *zxidCheck) views(operations []Operation, known map[string][]knownChange) int {
	type view struct {
		replies []*Operation // by completion, with rising zxid
	}
	views := make(map[string]*view)
	for _, operation := range inCompletionOrder(operations) {
		name := sessionName(operation.Complete)
		if views[name] == nil {
			views[name] = &view{}
		}
		v := views[name]
		if n := len(v.replies); n == 0 || seenZxid(operation) > seenZxid(v.replies[n-1]) {
			v.replies = append(v.replies, operation)
		}
	}
	for i := range operations {
		operation := &operations[i]
		if operation.Complete.Type != OK || !isRead(operation.Invoke) {
			continue
		}
		replies := views[sessionName(operation.Complete)].replies
		at := sort.Search(len(replies), func(j int) bool { return replies[j].Complete.Index > operation.Invoke.Index })
		if at == 0 {
			continue
		}
		before := replies[at-1]
		changes := known[operation.Invoke.Key]
		newest := sort.Search(len(changes), func(j int) bool { return changes[j].mzxid > seenZxid(before) })
		if newest == 0 || operation.Complete.Mzxid >= changes[newest-1].mzxid {
			continue
		}
		change := changes[newest-1]
		c.fail(operation.Invoke.Key, fmt.Sprintf("%s had come to zxid %s by operation %d, but %s %d shows key %s at zxid %s, although it was changed at zxid %s", sessionName(operation.Complete), hex(seenZxid(before)), before.Invoke.Index, operation.Invoke.F, operation.Invoke.Index, operation.Invoke.Key, hex(operation.Complete.Mzxid), hex(change.mzxid)), distinct(change.operation, before, operation)...)
	}
	return len(views)
}

// distinct leaves out what stands twice.
func distinct(operations ...*Operation) (out []*Operation) {
	seen := make(map[*Operation]bool)
	for _, operation := range operations {
		if !seen[operation] {
			seen[operation] = true
			out = append(out, operation)
		}
	}
	return out
}

// seenZxid is how far a session is known to have come by an answer.
func seenZxid(operation *Operation) int64 {
	return max(operation.Complete.Zxid, operation.Complete.Mzxid)
}

// inCompletionOrder lists the answered operations.
func inCompletionOrder(operations []Operation) []*Operation {
	var answered []*Operation
	for i := range operations {
		if operations[i].Complete.Zxid != 0 {
			answered = append(answered, &operations[i])
		}
	}
	sort.Slice(answered, func(i, j int) bool { return answered[i].Complete.Index < answered[j].Complete.Index })
	return answered
}

// syncedReads checks each read behind a sync against what was known of the key
// when it began.
func (c *zxidCheck) syncedReads(key keyOperations) {
	c.stale(key, "sync-read", func(newest, operation *Operation) {
		c.fail(key.key, fmt.Sprintf("sync-read %d of key %s shows zxid %s, but %s %d had shown zxid %s before it began", operation.Invoke.Index, key.key, hex(operation.Complete.Mzxid), newest.Invoke.F, newest.Invoke.Index, hex(newest.Complete.Mzxid)), newest, operation)
	})
}

// stale finds the operations of a kind that show less of their key than had been
// answered before they began.
func (c *zxidCheck) stale(key keyOperations, kind string, found func(newest, operation *Operation)) {
	ended := timeline(key.operations)
	next := 0
	var newest *Operation
	for _, operation := range key.operations {
		for ; next < len(ended) && ended[next].ReturnIndex < operation.Invoke.Index; next++ {
			if newest == nil || ended[next].Complete.Mzxid > newest.Complete.Mzxid {
				newest = ended[next]
			}
		}
		if newest != nil && operation.Complete.Type == OK && operation.Invoke.F == kind && operation.Complete.Mzxid < newest.Complete.Mzxid {
			found(newest, operation)
		}
	}
}

// origins checks where what reads show came from.
func (c *zxidCheck) origins(key keyOperations) {
	writers := make(map[any]*Operation)
	for _, operation := range key.operations {
		if operation.Invoke.F == "write" {
			writers[operation.Invoke.Value] = operation
		}
	}
	for _, read := range key.operations {
		if read.Complete.Type != OK || !isRead(read.Invoke) || read.Complete.Mzxid == 0 {
			continue
		}
		value := plain(read.Complete.Value)
		what := fmt.Sprintf("%s %d of key %s shows value %v", read.Invoke.F, read.Invoke.Index, key.key, value)
		switch writer := writers[value]; {
		case writer == nil:
			c.fail(key.key, what+", which nobody wrote to it", read)
		case writer.Complete.Type == Fail:
			c.fail(key.key, fmt.Sprintf("%s, but write %d of it certainly failed", what, writer.Invoke.Index), writer, read)
		case writer.Invoke.Index > read.Complete.Index:
			c.fail(key.key, fmt.Sprintf("%s before write %d of it began", what, writer.Invoke.Index), read, writer)
		}
	}
}

func countStale(operations []Operation) (count int) {
	for _, key := range splitByKey(operations) {
		(&zxidCheck{}).stale(key, "read", func(_, _ *Operation) { count++ })
	}
	return count
}
