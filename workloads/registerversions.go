package workloads

import (
	"fmt"
	"math"
	"sort"
)

// The decision about one znode by its versions, without search, for keys whose history
// is too large for one.
//
// Every answer names a version: a change the one that it made, a read the one that it
// saw; and a compare-and-set without an answer names the one that it expected. So each answered operation has one place: a change that makes version v stands at
// 2v, a read of version v at 2v+1, a read of an absent znode in front. There is a
// linearization if and only if
//
//   - these places agree with real time: no operation ended before one began that stands
//     in front of it;
//   - every version from 0 to the highest that was seen is made once, and holds the value
//     that its maker wrote, all its readers saw, and a compare-and-set behind it expected;
//   - for each version that no answered change made there is one without an answer that
//     began before any operation behind that version ended: the one that wrote the value
//     that was seen; or, where no value was seen, any other, each used once.
//
// Changes without an answer have no end, so that nothing else bounds them. Which of them
// fills a version of unseen value does not matter, but that those that began early are
// kept for versions that need them: versions with higher numbers allow more, so counting
// decides.

// versionDecision is the answer for one key.
type versionDecision struct {
	decided bool // false: the history doesn't name all versions
	cause   string
	ops     []*registerOp // that show it, the impossible one last
}

func (d versionDecision) illegal() bool { return d.decided && d.cause != "" }

// versionCheck is what is known of one key.
type versionCheck struct {
	ops      []*registerOp // answered, by place
	makers   map[int32]*registerOp
	writers  map[any]*registerOp // of each value, answered or not
	values   map[int32]any       // version -> value that was seen or written there
	shown    map[int32]*registerOp
	open     []*registerOp
	highest  int32
	deadline []int // version -> the earliest end behind it
}

func failedVersions(cause string, ops ...*registerOp) versionDecision {
	return versionDecision{decided: true, cause: cause, ops: ops}
}

// decideByVersions judges the operations of one key.
func decideByVersions(ops []*registerOp) versionDecision {
	c := &versionCheck{
		makers: make(map[int32]*registerOp), writers: make(map[any]*registerOp), values: make(map[int32]any),
		shown: make(map[int32]*registerOp), highest: -1,
	}
	for _, op := range ops {
		if op.kind != registerRead {
			c.writers[op.value] = op
		}
		switch {
		case op.open && op.kind == registerCAS && op.at < 0:
			return versionDecision{} // it may make any version
		case op.open:
			c.open = append(c.open, op)
		default:
			c.ops = append(c.ops, op)
		}
	}
	for _, step := range []func() versionDecision{c.realTime, c.agree, c.made} {
		if decision := step(); decision.cause != "" || !decision.decided {
			return decision
		}
	}
	return versionDecision{decided: true}
}

func placeOfVersion(op *registerOp) int64 {
	place := 2 * int64(op.answered)
	if op.kind == registerRead {
		place++
	}
	return place
}

func (c *versionCheck) realTime() versionDecision {
	sort.SliceStable(c.ops, func(i, j int) bool { return placeOfVersion(c.ops[i]) < placeOfVersion(c.ops[j]) })
	var latest *registerOp // of those in front of the present place, the one that began last
	for start := 0; start < len(c.ops); {
		end := start
		for ; end < len(c.ops) && placeOfVersion(c.ops[end]) == placeOfVersion(c.ops[start]); end++ {
			if op := c.ops[end]; latest != nil && op.end < latest.index {
				return failedVersions(fmt.Sprintf("a %s: before it began, a %s had been answered already, which stands behind it", latest, op), op, latest)
			}
		}
		for _, op := range c.ops[start:end] {
			if latest == nil || op.index > latest.index {
				latest = op
			}
		}
		start = end
	}
	return versionDecision{decided: true}
}

// agree checks that all answers about a version name the same value and one maker.
func (c *versionCheck) agree() versionDecision {
	for _, op := range c.ops {
		c.highest = max(c.highest, op.answered)
		if op.kind == registerRead {
			if op.answered < 0 {
				continue
			}
		} else if other := c.makers[op.answered]; other != nil {
			return failedVersions(fmt.Sprintf("a %s: but a %s", op, other), other, op)
		} else {
			c.makers[op.answered] = op
		}
		if value, ok := c.values[op.answered]; ok && value != op.value {
			return failedVersions(fmt.Sprintf("a %s: but version %d has value %v by a %s", op, op.answered, value, c.shown[op.answered]), c.shown[op.answered], op)
		}
		c.values[op.answered], c.shown[op.answered] = op.value, op
	}
	for _, op := range c.ops {
		if op.kind != registerCAS {
			continue
		}
		from := op.answered - 1
		if from < 0 {
			return failedVersions(fmt.Sprintf("a %s: there was no znode to replace", op), op)
		}
		if op.at >= 0 && op.at != from {
			return failedVersions(fmt.Sprintf("a %s: a cas expecting version %d can only make version %d", op, op.at, op.at+1), op)
		}
		if value, ok := c.values[from]; ok && value != op.expected {
			return failedVersions(fmt.Sprintf("a %s: but version %d has value %v by a %s", op, from, value, c.shown[from]), c.shown[from], op)
		}
		c.values[from] = op.expected
		if c.shown[from] == nil {
			c.shown[from] = op
		}
	}
	return versionDecision{decided: true}
}

// made finds a maker for every version that no answered change made.
func (c *versionCheck) made() versionDecision {
	c.deadlines()
	used := make(map[*registerOp]bool)
	var unseen []int32 // versions of unseen value without a maker
	for version := int32(0); version <= c.highest; version++ {
		if c.makers[version] != nil {
			continue
		}
		value, seen := c.values[version]
		if !seen {
			unseen = append(unseen, version)
			continue
		}
		writer := c.writers[value]
		cause := c.cannotMake(writer, version)
		if used[writer] {
			cause = fmt.Sprintf("but the %s made an earlier version", writer)
		}
		if cause != "" {
			return failedVersions(fmt.Sprintf("a %s: %s", c.shown[version], cause), c.withWriter(writer, c.shown[version])...)
		}
		used[writer] = true
	}
	return c.fill(unseen, used)
}

func (c *versionCheck) withWriter(writer, shown *registerOp) []*registerOp {
	if writer == nil || writer == shown {
		return []*registerOp{shown}
	}
	return []*registerOp{writer, shown}
}

// deadlines works out, for each version, the earliest end of what stands behind its
// making.
func (c *versionCheck) deadlines() {
	c.deadline = make([]int, c.highest+1)
	earliest, next := math.MaxInt, len(c.ops)-1
	for version := c.highest; version >= 0; version-- {
		for ; next >= 0 && placeOfVersion(c.ops[next]) > 2*int64(version); next-- {
			earliest = min(earliest, c.ops[next].end)
		}
		c.deadline[version] = earliest
	}
}

// cannotMake says why a change without an answer is not the maker of a version, "" if it
// can be.
func (c *versionCheck) cannotMake(writer *registerOp, version int32) string {
	switch {
	case writer == nil:
		return fmt.Sprintf("no operation of this key ever tried to write value %v", c.values[version])
	case !writer.open:
		return fmt.Sprintf("but value %v was written by a %s", c.values[version], writer)
	case writer.index > c.deadline[version]:
		return fmt.Sprintf("but the %s had not begun when it, or what stands behind it, was answered", writer)
	case writer.kind == registerCAS && (writer.at != version-1 || c.values[version-1] != writer.expected):
		return fmt.Sprintf("but the %s can't have made version %d", writer, version)
	}
	return ""
}

// fill gives each version of unseen value a change without an answer whose value nobody
// saw. A compare-and-set can make one version only, and is asked first.
func (c *versionCheck) fill(unseen []int32, used map[*registerOp]bool) versionDecision {
	byVersion, seen := make(map[int32]*registerOp), make(map[any]bool)
	for _, value := range c.values {
		seen[value] = true
	}
	var writes []*registerOp // by invocation
	for _, op := range c.open {
		switch {
		case used[op]:
		case op.kind == registerWrite:
			if !seen[op.value] {
				writes = append(writes, op)
			}
		case (byVersion[op.at+1] == nil || op.index < byVersion[op.at+1].index) && c.values[op.at] == op.expected:
			byVersion[op.at+1] = op
		}
	}
	sort.Slice(writes, func(i, j int) bool { return writes[i].index < writes[j].index })
	for _, version := range unseen { // deadlines rise with versions
		if cas := byVersion[version]; cas != nil && cas.index < c.deadline[version] {
			continue
		}
		if len(writes) == 0 || writes[0].index > c.deadline[version] {
			behind := c.firstBehind(version)
			return failedVersions(fmt.Sprintf("a %s: no operation is left that can have made version %d by then", behind, version), behind)
		}
		writes = writes[1:]
	}
	return versionDecision{decided: true}
}

// firstBehind is the operation behind the making of a version that ended first.
func (c *versionCheck) firstBehind(version int32) (first *registerOp) {
	for _, op := range c.ops {
		if placeOfVersion(op) > 2*int64(version) && (first == nil || op.end < first.end) {
			first = op
		}
	}
	return first
}

// failure puts a decision in words for the report.
func (d versionDecision) failure(key string) Failure {
	failure := Failure{Key: key, Cause: d.cause}
	for i, op := range d.ops {
		step := Step{Op: op.index, State: op.String(), Legal: i < len(d.ops)-1}
		if !step.Legal {
			step.Why = d.cause
		}
		failure.Ops = append(failure.Ops, op.index)
		failure.Steps = append(failure.Steps, step)
	}
	sort.Ints(failure.Ops)
	return failure
}
