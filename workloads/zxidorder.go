package workloads

import (
	"fmt"
	"math"
	"sort"
)

// CheckZxidOrder judges a history by its zxids and versions alone, without
// search, in time that grows with the history as sorting does:
//
//   - a session never sees an older reply zxid than before;
//   - no reply shows a change that is newer than the reply's own zxid;
//   - for one key, version, mzxid and value name the same change everywhere,
//     and a higher version has a higher mzxid;
//   - no two acknowledged changes have the same zxid;
//   - a change that began after another one was acknowledged, on any key, has
//     the higher zxid;
//   - a read, which syncs first, shows nothing older than what was acknowledged
//     or read of its key before it began.
//
// It finds less than the search for a linearization, but it is never unknown,
// it also looks at failed operations, and across keys.
func CheckZxidOrder(history []Op, bounds Bounds) Result {
	result := Result{Checker: "zxid-order", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	check := &zxidCheck{maxFailures: bounds.MaxFailures}
	replies := check.sessions(history, operations)
	for _, key := range splitByKey(operations) {
		check.versions(key)
		check.readsAreFresh(key)
	}
	changes := check.changesInRealTime(operations)
	result.Failures = check.failures
	result.Stats["replies"] = replies
	result.Stats["changes"] = changes
	result.Stats["violations"] = check.violations
	if check.violations > 0 {
		result.Verdict = VerdictFail
		result.Cause = fmt.Sprintf("%d violations of the order of zxids; first: %s", check.violations, check.failures[0].Cause)
		return result
	}
	result.Cause = fmt.Sprintf("zxids and versions of %d replies and %d changes rise as they must", replies, changes)
	return result
}

type zxidCheck struct {
	failures    []Failure
	violations  int
	maxFailures int
}

// fail notes a violation. Operations are the invocations that show it.
func (c *zxidCheck) fail(key, cause string, operations ...*Operation) {
	c.violations++
	if len(c.failures) >= max(1, c.maxFailures) {
		return
	}
	failure := Failure{Key: key, Cause: cause}
	for i, operation := range operations {
		index := operation.Invoke.Index
		failure.Ops = append(failure.Ops, index)
		step := Step{Op: index, State: fmt.Sprintf("zxid %s, mzxid %s, version %d", hex(operation.Complete.Zxid), hex(operation.Complete.Mzxid), operation.Complete.Version), Legal: i < len(operations)-1}
		if !step.Legal {
			step.Why = cause
		}
		failure.Steps = append(failure.Steps, step)
	}
	sort.Ints(failure.Ops)
	c.failures = append(c.failures, failure)
}

// hex prints a zxid as ZooKeeper's own tools do.
func hex(zxid int64) string { return fmt.Sprintf("0x%x", uint64(zxid)) }

// sessions checks the zxids of replies in the order in which each session got
// them, failed operations included. Where a history does not name sessions, a
// process stands for one.
func (c *zxidCheck) sessions(history []Op, operations []Operation) (replies int) {
	inFlight := make(map[int]*Operation) // by process
	next := 0                            // of operations, which stand in the order of the invocations
	type sessionKey struct {
		session int64
		process int
	}
	last := make(map[sessionKey]*Operation)
	for i := range history {
		done := &history[i]
		if done.Process >= 0 && done.Type == Invoke {
			inFlight[done.Process] = &operations[next]
			next++
		}
		if done.Process < 0 || done.Type == Invoke || done.Zxid == 0 {
			continue
		}
		operation := inFlight[done.Process]
		replies++
		if done.Mzxid > done.Zxid {
			c.fail(done.Key, fmt.Sprintf("the reply to operation %d shows a change at zxid %s, but its header says that the server had only come to zxid %s", operation.Invoke.Index, hex(done.Mzxid), hex(done.Zxid)), operation)
		}
		key := sessionKey{session: done.Session}
		if done.Session == 0 {
			key.process = done.Process
		}
		if before := last[key]; before != nil && done.Zxid < before.Complete.Zxid {
			c.fail(done.Key, fmt.Sprintf("%s went back in time: operation %d was answered at zxid %s, after operation %d had been answered at zxid %s", sessionName(done), operation.Invoke.Index, hex(done.Zxid), before.Invoke.Index, hex(before.Complete.Zxid)), before, operation)
			continue // compare what follows with the newest that was seen
		}
		last[key] = operation
	}
	return replies
}

func sessionName(op *Op) string {
	if op.Session == 0 {
		return fmt.Sprintf("process %d", op.Process)
	}
	return fmt.Sprintf("session %s", hex(op.Session))
}

// sighting is one answer that names a version of a key with its mzxid and value.
type sighting struct {
	version   int32
	mzxid     int64
	value     any
	operation *Operation
}

func sightings(key keyOperations) []sighting {
	var seen []sighting
	for _, operation := range key.operations {
		done := operation.Complete
		if done.Type != OK || done.Mzxid == 0 {
			continue
		}
		value := done.Value
		if _, new, ok := casValues(value); ok {
			value = new
		}
		seen = append(seen, sighting{done.Version, done.Mzxid, plain(value), operation})
	}
	return seen
}

// versions checks that version, mzxid and value of a key name the same change
// in every answer, and that they rise together.
func (c *zxidCheck) versions(key keyOperations) {
	seen := sightings(key)
	sort.SliceStable(seen, func(i, j int) bool {
		if seen[i].version != seen[j].version {
			return seen[i].version < seen[j].version
		}
		return seen[i].operation.Complete.Index < seen[j].operation.Complete.Index
	})
	byValue := make(map[any]*sighting)
	for i := range seen {
		this := &seen[i]
		if i > 0 {
			before := &seen[i-1]
			switch {
			case this.version == before.version && this.mzxid != before.mzxid:
				c.fail(key.key, fmt.Sprintf("version %d of key %s was made at zxid %s (value %v) by one answer and at zxid %s (value %v) by another", this.version, key.key, hex(before.mzxid), before.value, hex(this.mzxid), this.value), before.operation, this.operation)
			case this.version == before.version && this.value != before.value:
				c.fail(key.key, fmt.Sprintf("version %d of key %s has value %v in one answer and value %v in another", this.version, key.key, before.value, this.value), before.operation, this.operation)
			case this.version > before.version && this.mzxid <= before.mzxid:
				c.fail(key.key, fmt.Sprintf("version %d of key %s has zxid %s, but the later version %d has zxid %s, which is not later", before.version, key.key, hex(before.mzxid), this.version, hex(this.mzxid)), before.operation, this.operation)
			}
		}
		if other := byValue[this.value]; other == nil {
			byValue[this.value] = this
		} else if other.version != this.version {
			c.fail(key.key, fmt.Sprintf("value %v of key %s was written once, but was seen as version %d and as version %d", this.value, key.key, other.version, this.version), other.operation, this.operation)
		}
	}
}

// timeline gives the positions in operations in order of invocation, and again
// in order of certain completion.
func timeline(operations []*Operation) (ended []*Operation) {
	for _, operation := range operations {
		if operation.Complete.Type == OK {
			ended = append(ended, operation)
		}
	}
	sort.Slice(ended, func(i, j int) bool { return ended[i].ReturnIndex < ended[j].ReturnIndex })
	return ended
}

// readsAreFresh checks each answer of a key against what was known of the key
// when the operation began.
func (c *zxidCheck) readsAreFresh(key keyOperations) {
	ended := timeline(key.operations)
	next := 0
	var newest *Operation
	for _, operation := range key.operations {
		for ; next < len(ended) && ended[next].ReturnIndex < operation.Invoke.Index; next++ {
			if newest == nil || ended[next].Complete.Mzxid > newest.Complete.Mzxid {
				newest = ended[next]
			}
		}
		if newest == nil || operation.Complete.Type != OK || operation.Complete.Mzxid >= newest.Complete.Mzxid {
			continue
		}
		what := fmt.Sprintf("shows zxid %s", hex(operation.Complete.Mzxid))
		if operation.Complete.Mzxid == 0 {
			what = "found no znode"
		}
		c.fail(key.key, fmt.Sprintf("%s %d of key %s %s, but %s %d had shown zxid %s before it began", operation.Invoke.F, operation.Invoke.Index, key.key, what, newest.Invoke.F, newest.Invoke.Index, hex(newest.Complete.Mzxid)), newest, operation)
	}
}

// changesInRealTime checks acknowledged changes of all keys: their zxids are
// unique and follow real time.
func (c *zxidCheck) changesInRealTime(operations []Operation) int {
	var changes []*Operation
	for i := range operations {
		operation := &operations[i]
		if operation.Complete.Type == OK && operation.Invoke.F != "read" && operation.Complete.Mzxid != 0 {
			changes = append(changes, operation)
		}
	}
	byZxid := make(map[int64]*Operation, len(changes))
	for _, change := range changes {
		if other := byZxid[change.Complete.Mzxid]; other != nil {
			c.fail(change.Invoke.Key, fmt.Sprintf("%s %d and %s %d were both acknowledged with zxid %s", other.Invoke.F, other.Invoke.Index, change.Invoke.F, change.Invoke.Index, hex(change.Complete.Mzxid)), other, change)
		}
		byZxid[change.Complete.Mzxid] = change
	}
	ended := timeline(changes)
	next, newest := 0, &Operation{Complete: &Op{Mzxid: math.MinInt64}}
	for _, change := range changes {
		for ; next < len(ended) && ended[next].ReturnIndex < change.Invoke.Index; next++ {
			if ended[next].Complete.Mzxid > newest.Complete.Mzxid {
				newest = ended[next]
			}
		}
		if change.Complete.Mzxid < newest.Complete.Mzxid {
			c.fail(change.Invoke.Key, fmt.Sprintf("%s %d was given zxid %s, although %s %d had been acknowledged with zxid %s before it began", change.Invoke.F, change.Invoke.Index, hex(change.Complete.Mzxid), newest.Invoke.F, newest.Invoke.Index, hex(newest.Complete.Mzxid)), newest, change)
		}
	}
	return len(changes)
}
