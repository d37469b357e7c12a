package workloads

import (
	"fmt"
	"sort"
)

// versionPoint is a change of a znode that an answer proves, with the version that it left.
type versionPoint struct {
	zxid    int64
	version int64
	kind    string     // make, change or drop
	by      *Operation // the answer that ended first
}

// versionOf is the version that an answer shows, -1 if it shows none.
func versionOf(operation *Operation) int64 { return int64(operation.Complete.Version) }

// points lists the changes that answers prove, by zxid. Of two answers about one change the
// versions must agree.
func (c *durableKey) points(faults *faultList) (points []*versionPoint) {
	at := make(map[int64]*versionPoint)
	for _, operation := range c.operations {
		kind, zxid := operation.Invoke.F, operation.Complete.Mzxid
		if operation.Complete.Type != OK || zxid == 0 {
			continue
		}
		if kind == "read" {
			value, _ := operation.Complete.Value.(int64)
			writer := c.byValue[value]
			if writer == nil {
				continue // origin says so
			}
			kind = writer.Invoke.F
		}
		p := &versionPoint{zxid: zxid, version: versionOf(operation), kind: kind, by: operation}
		before := at[zxid]
		if before == nil {
			at[zxid] = p
			points = append(points, p)
			continue
		}
		if before.version >= 0 && p.version >= 0 && before.version != p.version {
			faults.add(c.key, fmt.Sprintf("%s %d of %s shows version %d at zxid %s, but %s %d had shown version %d at that", operation.Invoke.F, operation.Invoke.Index, c.key, p.version, hex(zxid), before.by.Invoke.F, before.by.Invoke.Index, before.version), before.by, operation)
		}
		if p.by.Complete.Index < before.by.Complete.Index {
			before.by = p.by
		}
	}
	sort.Slice(points, func(i, j int) bool { return points[i].zxid < points[j].zxid })
	return points
}

// checkVersions goes through the changes of a znode in their order and compares each with
// what the one before it left: a znode begins at version 0 and each change adds one, those
// without an answer too, of which nobody knows whether they came between. It is made where
// there is none, and changed and deleted where there is one.
func (c *durableKey) checkVersions(faults *faultList) {
	points := c.points(faults)
	placed := make(map[any]bool)
	for _, p := range points {
		if p.kind != "drop" {
			placed[p.by.Complete.Value] = true
		}
	}
	open := make(map[string][]int) // kind -> Index at which each without an answer began
	for _, operation := range c.operations {
		if operation.Open() && operation.Invoke.F != "read" && (operation.Invoke.F == "drop" || !placed[operation.Invoke.Value]) {
			open[operation.Invoke.F] = append(open[operation.Invoke.F], operation.Invoke.Index)
		}
	}
	before := &versionPoint{kind: "drop"} // there is nothing at first
	for _, p := range points {
		begun := func(kind string) int64 {
			return int64(sort.SearchInts(open[kind], p.by.Complete.Index))
		}
		c.checkPoint(faults, before, p, begun)
		before = p
	}
}

// checkPoint judges a change by the one before it. begun tells how many of a kind without an
// answer may have come between.
func (c *durableKey) checkPoint(faults *faultList, before, p *versionPoint, begun func(kind string) int64) {
	there := before.kind != "drop"
	what := fmt.Sprintf("%s %d of %s", p.by.Invoke.F, p.by.Invoke.Index, c.key)
	shown := []*Operation{p.by}
	last := "nothing had made it"
	if before.by != nil {
		shown = distinct(before.by, p.by)
		last = fmt.Sprintf("%s %d had proved a %s at zxid %s", before.by.Invoke.F, before.by.Invoke.Index, before.kind, hex(before.zxid))
	}
	switch {
	case p.kind == "make" && there && begun("drop") == 0:
		faults.add(c.key, fmt.Sprintf("%s proves that it was made at zxid %s, but it was there: %s, and nobody can have deleted it since", what, hex(p.zxid), last), shown...)
	case p.kind != "make" && !there && begun("make") == 0:
		faults.add(c.key, fmt.Sprintf("%s proves a %s at zxid %s, but it was not there: %s, and nobody can have made it since", what, p.kind, hex(p.zxid), last), shown...)
	}
	if p.kind == "drop" || p.version < 0 {
		return
	}
	low, high := int64(0), int64(0)
	if p.kind == "change" {
		low, high = 1, 1+begun("change")
		if there && before.version >= 0 {
			high += before.version
			if begun("drop") == 0 || begun("make") == 0 {
				low += before.version
			}
		}
	}
	if there && before.version < 0 && p.kind == "change" || low <= p.version && p.version <= high {
		return
	}
	faults.add(c.key, fmt.Sprintf("%s shows version %d at zxid %s, which was at least %d and at most %d then: %s with version %d, and %d changes without an answer may have come between", what, p.version, hex(p.zxid), low, high, last, before.version, begun("change")), shown...)
}
