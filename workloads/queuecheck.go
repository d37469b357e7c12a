package workloads

import (
	"fmt"
	"math"
	"sort"
)

// CheckQueue judges what was put and taken; values are unique. The rules are:
//
//   - what is taken, or left at the end, was put: by somebody, not in vain, and
//     not later;
//   - nothing is taken twice, and nothing that was taken is left;
//   - nothing is lost: what was put and acknowledged, or shown by a list, before a list of
//     what is left was asked for is in that list, or was taken, or may have been by a taker
//     of unknown outcome. Nor is the queue empty to a taker who began after a put was
//     acknowledged, and ended before the taker of that item began;
//   - first in, first out: if a was acknowledged before the put of b began, and b
//     was taken, a had been taken too, or its taker had at least begun; a is not
//     left either; and where both are left, a stands before b;
//   - the same by zxids, which tell the order also of what was done at the same time: of
//     two items the one that was put first was deleted first, and each after it was put.
//
// The last rule holds because a taker lists the queue behind a sync after b was
// put, so that a, which sorts before b, is in its list unless it was deleted
// already; and it goes on to b only if somebody else has deleted a meanwhile.
// What is left later was never deleted. Numbers of sequential znodes rise with the zxids of
// their creation.
func CheckQueue(history []Op, bounds Bounds) Result {
	result := Result{Checker: "queue-order", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	c := &queueCheck{
		faults: &faultList{max: bounds.MaxFailures},
		puts:   make(map[int64]*Operation), takes: make(map[int64]*Operation), maybe: make(map[int64]*Operation), shown: make(map[int64]*Operation),
	}
	var lists, empty []*Operation
	for i := range operations {
		operation := &operations[i]
		value, known := operation.Complete.Value.(int64)
		switch {
		case operation.Invoke.F == "put":
			value, _ := operation.Invoke.Value.(int64)
			c.puts[value] = operation
		case operation.Invoke.F == "left" && operation.Complete.Type == OK:
			lists = append(lists, operation)
		case operation.Invoke.F == "take" && operation.Complete.Type == OK:
			if other := c.takes[value]; other != nil {
				c.faults.add("", fmt.Sprintf("take %d and take %d were both given %d", other.Invoke.Index, operation.Invoke.Index, value), other, operation)
			}
			c.takes[value] = operation
		case operation.Invoke.F == "take" && operation.Complete.Type == Fail && ints(operation.Complete.Value) != nil:
			empty = append(empty, operation)
		case operation.Invoke.F == "take" && operation.Complete.Type == Info && known:
			if c.maybe[value] == nil {
				c.maybe[value] = operation
			}
		case operation.Invoke.F == "take" && operation.Complete.Index == math.MaxInt:
			c.anything = true
		}
	}
	c.origins()
	c.order()
	c.orderByZxid()
	c.found(empty)
	sort.Slice(lists, func(i, j int) bool { return lists[i].ReturnIndex < lists[j].ReturnIndex })
	for _, list := range lists {
		c.left(list)
	}
	result.Stats["put"], result.Stats["taken"], result.Stats["perhaps-taken"] = len(c.puts), len(c.takes), len(c.maybe)
	return c.faults.judge(result, fmt.Sprintf("%d of %d items were taken once each, in order, and none was lost", len(c.takes), len(c.puts)), "things that no queue does")
}

type queueCheck struct {
	faults   *faultList
	puts     map[int64]*Operation
	takes    map[int64]*Operation // acknowledged
	maybe    map[int64]*Operation // of unknown outcome, the first that began
	shown    map[int64]*Operation // by the first list of what is left
	anything bool                 // a take never ended: it may have taken any item
}

// origin finds what can't have been in the queue.
func (c *queueCheck) origin(value int64, by *Operation) {
	put := c.puts[value]
	switch {
	case put == nil:
		c.faults.add("", fmt.Sprintf("%s %d shows %d, which nobody put", by.Invoke.F, by.Invoke.Index, value), by)
	case put.Complete.Type == Fail:
		c.faults.add("", fmt.Sprintf("%s %d shows %d, but put %d of it certainly failed", by.Invoke.F, by.Invoke.Index, value, put.Invoke.Index), put, by)
	case put.Invoke.Index > by.Complete.Index:
		c.faults.add("", fmt.Sprintf("%s %d shows %d before put %d of it began", by.Invoke.F, by.Invoke.Index, value, put.Invoke.Index), by, put)
	}
}

func (c *queueCheck) origins() {
	for _, value := range sortedValues(c.takes) {
		c.origin(value, c.takes[value])
	}
}

func sortedValues(operations map[int64]*Operation) []int64 {
	values := make([]int64, 0, len(operations))
	for value := range operations {
		values = append(values, value)
	}
	sort.Slice(values, func(i, j int) bool { return values[i] < values[j] })
	return values
}

// order checks that nothing overtook. Items are visited by the end of their put;
// of those before b, the one whose taker began last says it all.
func (c *queueCheck) order() {
	type item struct {
		value     int64
		put, take *Operation
	}
	var items []item // acknowledged puts that were taken, by the end of the put
	for _, value := range sortedValues(c.takes) {
		if put := c.puts[value]; put != nil && put.Complete.Type == OK {
			items = append(items, item{value, put, c.takes[value]})
		}
	}
	sort.Slice(items, func(i, j int) bool { return items[i].put.ReturnIndex < items[j].put.ReturnIndex })
	latest := make([]int, len(items)) // position of the item up to here whose taker began last
	for i := range items {
		latest[i] = i
		if i > 0 && items[latest[i-1]].take.Invoke.Index > items[i].take.Invoke.Index {
			latest[i] = latest[i-1]
		}
	}
	for _, value := range sortedValues(c.takes) {
		put, take := c.puts[value], c.takes[value]
		if put == nil {
			continue
		}
		before := sort.Search(len(items), func(i int) bool { return items[i].put.ReturnIndex > put.Invoke.Index })
		if before == 0 {
			continue
		}
		if first := items[latest[before-1]]; take.ReturnIndex < first.take.Invoke.Index {
			c.faults.add("", fmt.Sprintf("take %d was given %d although %d was in the queue before it was put, and was still there: take %d was given it later", take.Invoke.Index, value, first.value, first.take.Invoke.Index), first.put, put, first.take, take)
		}
	}
}

// orderByZxid checks by zxids that nothing overtook.
func (c *queueCheck) orderByZxid() {
	var taken []int64 // whose zxids are known, by those of their puts
	for _, value := range sortedValues(c.takes) {
		if c.putZxid(value) != 0 && c.takes[value].Complete.Zxid != 0 {
			taken = append(taken, value)
		}
	}
	sort.SliceStable(taken, func(i, j int) bool { return c.putZxid(taken[i]) < c.putZxid(taken[j]) })
	last := int64(0) // of those put before, the one that was taken last
	for i, value := range taken {
		put, take := c.puts[value], c.takes[value]
		if take.Complete.Zxid <= put.Complete.Zxid {
			c.faults.add("", fmt.Sprintf("%d was taken by take %d at zxid %s, but put %d put it at zxid %s", value, take.Invoke.Index, hex(take.Complete.Zxid), put.Invoke.Index, hex(put.Complete.Zxid)), put, take)
		}
		before := c.takes[last]
		if i > 0 && before.Complete.Zxid > take.Complete.Zxid {
			c.faults.add("", fmt.Sprintf("take %d was given %d at zxid %s although %d, which was put before it, was still there: take %d was given it at zxid %s", take.Invoke.Index, value, hex(take.Complete.Zxid), last, before.Invoke.Index, hex(before.Complete.Zxid)), c.puts[last], put, before, take)
		}
		if i == 0 || take.Complete.Zxid > before.Complete.Zxid {
			last = value
		}
	}
}

// putZxid is the zxid at which an item was put, 0 if that is not known.
func (c *queueCheck) putZxid(value int64) int64 {
	if put := c.puts[value]; put != nil && put.Complete.Type == OK {
		return put.Complete.Zxid
	}
	return 0
}

// found judges takers to whom the queue was empty: of the items that were put before one
// began, the one that was there longest says it all.
func (c *queueCheck) found(empty []*Operation) {
	type stay struct {
		put  *Operation
		ends int // Index at which it may have been taken, math.MaxInt if it never was
	}
	var stays []stay
	for _, value := range sortedValues(c.puts) {
		put, take := c.puts[value], c.takes[value]
		switch {
		case put.Complete.Type != OK:
		case take != nil:
			stays = append(stays, stay{put, take.Invoke.Index})
		case c.maybe[value] != nil:
			stays = append(stays, stay{put, c.maybe[value].Invoke.Index})
		case !c.anything:
			stays = append(stays, stay{put, math.MaxInt})
		}
	}
	sort.Slice(stays, func(i, j int) bool { return stays[i].put.ReturnIndex < stays[j].put.ReturnIndex })
	longest := make([]stay, len(stays)) // of those up to here
	for i := range stays {
		longest[i] = stays[i]
		if i > 0 && longest[i-1].ends > stays[i].ends {
			longest[i] = longest[i-1]
		}
	}
	for _, take := range empty {
		before := sort.Search(len(stays), func(i int) bool { return stays[i].put.ReturnIndex > take.Invoke.Index })
		if before > 0 && longest[before-1].ends > take.Complete.Index {
			put := longest[before-1].put
			c.faults.add("", fmt.Sprintf("take %d found the queue empty, but put %d of %v was acknowledged before, and nobody had begun to take that", take.Invoke.Index, put.Invoke.Index, put.Invoke.Value), put, take)
		}
	}
}

// left checks one list of what was left.
func (c *queueCheck) left(list *Operation) {
	there := make(map[int64]bool)
	var oldest, youngest *Operation // puts of those up to here: the first to end, the last to begin
	var lowest, highest *Operation  // and those with the lowest and the highest zxid
	for _, value := range ints(list.Complete.Value) {
		if there[value] {
			c.faults.add("", fmt.Sprintf("left %d shows %d twice", list.Invoke.Index, value), list)
		}
		there[value] = true
		c.origin(value, list)
		if put := c.puts[value]; put != nil {
			if youngest != nil && put.ReturnIndex < youngest.Invoke.Index {
				c.faults.add("", fmt.Sprintf("left %d shows %v before %d, which was in the queue when that was put", list.Invoke.Index, youngest.Invoke.Value, value), put, youngest, list)
			}
			if oldest == nil || put.ReturnIndex < oldest.ReturnIndex {
				oldest = put
			}
			if youngest == nil || put.Invoke.Index > youngest.Invoke.Index {
				youngest = put
			}
		}
		if zxid := c.putZxid(value); zxid != 0 {
			put := c.puts[value]
			if highest != nil && zxid < highest.Complete.Zxid {
				c.faults.add("", fmt.Sprintf("left %d shows %v before %d, but they were put at zxids %s and %s", list.Invoke.Index, highest.Invoke.Value, value, hex(highest.Complete.Zxid), hex(zxid)), put, highest, list)
			}
			if lowest == nil || zxid < lowest.Complete.Zxid {
				lowest = put
			}
			if highest == nil || zxid > highest.Complete.Zxid {
				highest = put
			}
		}
		if take := c.takes[value]; take != nil && take.ReturnIndex < list.Invoke.Index {
			c.faults.add("", fmt.Sprintf("%d was taken by take %d, but left %d, which began later, shows it", value, take.Invoke.Index, list.Invoke.Index), take, list)
		}
	}
	c.overtaken(oldest, lowest, list)
	for _, value := range sortedValues(c.puts) {
		by, take := c.puts[value], c.takes[value]
		if shown := c.shown[value]; shown != nil && shown.ReturnIndex < by.ReturnIndex {
			by = shown
		}
		taken := take != nil && take.Invoke.Index < list.Complete.Index || take == nil && (c.maybe[value] != nil || c.anything)
		if by.Complete.Type == OK && by.ReturnIndex < list.Invoke.Index && !there[value] && !taken {
			c.faults.add("", fmt.Sprintf("%d is lost: %s %d had proved it to be there, nobody took it, and left %d doesn't show it", value, by.Invoke.F, by.Invoke.Index, list.Invoke.Index), by, list)
		}
	}
	for value := range there {
		if c.shown[value] == nil {
			c.shown[value] = list
		}
	}
}

// overtaken finds what was taken before a list although it was put behind an item that the
// list shows; of all that it shows, the one whose put ended first, or has the lowest zxid, says
// it all.
func (c *queueCheck) overtaken(oldest, lowest, list *Operation) {
	if oldest == nil {
		return
	}
	for _, value := range sortedValues(c.takes) {
		put, take := c.puts[value], c.takes[value]
		if put == nil || take.ReturnIndex > list.Invoke.Index {
			continue
		}
		if oldest.ReturnIndex < put.Invoke.Index {
			c.faults.add("", fmt.Sprintf("take %d was given %d although %v was in the queue before it was put, and is still there in left %d", take.Invoke.Index, value, oldest.Invoke.Value, list.Invoke.Index), oldest, put, take, list)
		} else if lowest != nil && lowest.Complete.Zxid < c.putZxid(value) {
			c.faults.add("", fmt.Sprintf("take %d was given %d, put at zxid %s, although %v, put at zxid %s, is still there in left %d", take.Invoke.Index, value, hex(put.Complete.Zxid), lowest.Invoke.Value, hex(lowest.Complete.Zxid), list.Invoke.Index), lowest, put, take, list)
		}
	}
}
