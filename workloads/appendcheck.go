package workloads

import (
	"fmt"
	"math"
)

// CheckAppend looks for what no serial order of the transactions in agreement
// with real time can give, as Elle (Kingsbury and Alvaro, 2020) does for lists.
// A list shows the order of all appends to it, so that dependencies between
// transactions are read off, not guessed:
//
//   - ww: T1 appended the value right before T2's;
//   - wr: T2 read a list that ends in a value of T1;
//   - rw: T1 read a list, and T2 appended the next value;
//   - rt: T1 was acknowledged before T2 began.
//
// A cycle is named by its edges (Adya, 1999): G0 of ww alone; G1c with wr;
// G2-single (Elle's G-single) with exactly one rw, G2 with more; "-realtime" if it needs rt.
// Without a cycle there are named: G1a, a read of a value whose transaction
// failed; G1b, a read that ends between two appends of one transaction;
// internal, a transaction that contradicts itself; incompatible order, two
// reads of which neither is the beginning of the other; duplicates; garbage
// that nobody appended; and a lost append, one that was acknowledged and is
// missing from a read that began later.
//
// It is sound: every edge holds in every serial order that explains the
// answers, because values are unique within their key. A transaction of unknown
// outcome counts as committed once a value of it was read, and otherwise not at
// all; its reads are never used.
func CheckAppend(history []Op, bounds Bounds) Result {
	result := Result{Checker: "serializable", Verdict: VerdictOK, Stats: map[string]any{}}
	operations, err := Pair(history)
	if err != nil {
		return brokenHistory(result, err)
	}
	c := &appendCheck{
		faults: &faultList{max: bounds.MaxFailures}, writers: make(map[listValue]*listWriter), orders: make(map[string]*listOrder),
	}
	if err := c.collect(operations); err != nil {
		return brokenHistory(result, err)
	}
	c.internal()
	c.versionOrders()
	c.reads()
	c.lost()
	graph := c.graph()
	graph.findCycles(c.faults)
	result.Stats["transactions"], result.Stats["keys"] = len(c.txns), len(c.orders)
	result.Stats["dependencies"] = graph.dependencies
	return c.faults.judge(result, fmt.Sprintf("%d transactions over %d lists have a serial order in real time (%d dependencies without a cycle)", len(c.txns), len(c.orders), graph.dependencies), "anomalies that no serial order gives")
}

type listValue struct {
	key   string
	value int64
}

// listWriter is the transaction that tried to append a value.
type listWriter struct {
	operation *Operation
	last      bool // no later append of the same transaction to the same key
}

// listTransaction is a transaction that certainly happened.
type listTransaction struct {
	operation *Operation
	steps     []microOp
}

// listOrder is the order of the appends to one key.
type listOrder struct {
	values  []int64
	at      map[int64]int // value -> position
	longest *Operation    // the read that showed it
}

type appendCheck struct {
	faults  *faultList
	all     []*Operation
	txns    []listTransaction
	writers map[listValue]*listWriter
	orders  map[string]*listOrder
	keys    []string // of orders, as they were first read
}

// collect notes who tried to append what, and which transactions were answered.
func (c *appendCheck) collect(operations []Operation) error {
	for i := range operations {
		operation := &operations[i]
		steps, err := microOps(operation.Invoke.Value)
		if err != nil {
			return fmt.Errorf("history: operation %d: %w", operation.Invoke.Index, err)
		}
		c.all = append(c.all, operation)
		last := make(map[string]*listWriter)
		for _, step := range steps {
			if !step.append {
				continue
			}
			name := listValue{step.key, step.value}
			if c.writers[name] != nil {
				return fmt.Errorf("history: operations %d and %d both append %d to %s", c.writers[name].operation.Invoke.Index, operation.Invoke.Index, step.value, step.key)
			}
			if before := last[step.key]; before != nil {
				before.last = false
			}
			last[step.key] = &listWriter{operation: operation, last: true}
			c.writers[name] = last[step.key]
		}
		if operation.Complete.Type != OK {
			continue
		}
		if steps, err = microOps(operation.Complete.Value); err != nil {
			return fmt.Errorf("history: completion of operation %d: %w", operation.Invoke.Index, err)
		}
		c.txns = append(c.txns, listTransaction{operation, steps})
	}
	return nil
}

// internal checks each transaction against itself: a read shows what the
// transaction has read and appended before.
func (c *appendCheck) internal() {
	for i := range c.txns {
		txn := &c.txns[i]
		known := make(map[string][]int64) // the tail that a read must have
		whole := make(map[string]bool)    // known is the whole list
		for _, step := range txn.steps {
			if step.append {
				known[step.key] = append(known[step.key], step.value)
				continue
			}
			want, have := known[step.key], step.list
			if len(have) >= len(want) && !whole[step.key] {
				have = have[len(have)-len(want):]
			}
			if !equalLists(want, have) {
				c.faults.add(step.key, fmt.Sprintf("internal: transaction %d reads %v from %s, but by itself it must read %v there", txn.operation.Invoke.Index, step.list, step.key, want), txn.operation)
			}
			known[step.key], whole[step.key] = append([]int64(nil), step.list...), true
		}
	}
}

func equalLists(a, b []int64) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// outsideReads calls f with each read of a transaction and the part of its list
// that others have appended. A list that ends in the transaction's own appends
// was read before they were made.
func (c *appendCheck) outsideReads(f func(txn *listTransaction, key string, list []int64)) {
	for i := range c.txns {
		txn := &c.txns[i]
		for _, step := range txn.steps {
			if step.append {
				continue
			}
			list := step.list
			for len(list) > 0 {
				writer := c.writers[listValue{step.key, list[len(list)-1]}]
				if writer == nil || writer.operation != txn.operation {
					break
				}
				list = list[:len(list)-1]
			}
			f(txn, step.key, list)
		}
	}
}

// versionOrders takes the longest read of each key as the order of its appends,
// and checks that it has no duplicates and that all reads begin it.
func (c *appendCheck) versionOrders() {
	type reading struct {
		operation *Operation
		list      []int64
	}
	readings := make(map[string][]reading)
	for i := range c.txns {
		for _, step := range c.txns[i].steps {
			if step.append {
				continue
			}
			readings[step.key] = append(readings[step.key], reading{c.txns[i].operation, step.list})
			order := c.orders[step.key]
			if order == nil {
				order = &listOrder{}
				c.orders[step.key] = order
				c.keys = append(c.keys, step.key)
			}
			if order.longest == nil || len(step.list) > len(order.values) {
				order.values, order.longest = step.list, c.txns[i].operation
			}
		}
	}
	for _, key := range c.keys {
		order := c.orders[key]
		order.at = make(map[int64]int, len(order.values))
		for i, value := range order.values {
			if first, twice := order.at[value]; twice {
				c.faults.add(key, fmt.Sprintf("duplicates: transaction %d reads %d in %s at places %d and %d, but it was appended once", order.longest.Invoke.Index, value, key, first, i), order.longest)
				continue
			}
			order.at[value] = i
		}
		for _, r := range readings[key] {
			if !equalLists(r.list, order.values[:len(r.list)]) {
				c.faults.add(key, fmt.Sprintf("incompatible order: transaction %d reads %v from %s, transaction %d reads %v, and neither begins the other", r.operation.Invoke.Index, r.list, key, order.longest.Invoke.Index, order.values), order.longest, r.operation)
			}
		}
	}
}

// reads checks where the values of each read came from.
func (c *appendCheck) reads() {
	c.outsideReads(func(txn *listTransaction, key string, list []int64) {
		for i, value := range list {
			writer := c.writers[listValue{key, value}]
			switch {
			case writer == nil:
				c.faults.add(key, fmt.Sprintf("garbage: transaction %d reads %d from %s, which nobody tried to append", txn.operation.Invoke.Index, value, key), txn.operation)
			case writer.operation.Complete.Type == Fail:
				c.faults.add(key, fmt.Sprintf("G1a: transaction %d reads %d from %s, but transaction %d, which appended it, certainly failed", txn.operation.Invoke.Index, value, key, writer.operation.Invoke.Index), writer.operation, txn.operation)
			case i == len(list)-1 && !writer.last:
				c.faults.add(key, fmt.Sprintf("G1b: transaction %d reads %s up to %d, which is not the last value that transaction %d appended", txn.operation.Invoke.Index, key, value, writer.operation.Invoke.Index), writer.operation, txn.operation)
			}
		}
	})
}

// lost finds acknowledged appends that a later read misses. The one read of a
// key that began last is the one to ask: all others allow less.
func (c *appendCheck) lost() {
	lastRead := make(map[string]*listTransaction)
	c.outsideReads(func(txn *listTransaction, key string, _ []int64) { lastRead[key] = txn })
	for i := range c.txns {
		txn := &c.txns[i]
		for _, step := range txn.steps {
			reader := lastRead[step.key]
			if !step.append || reader == nil || reader.operation.Invoke.Index < txn.operation.ReturnIndex {
				continue
			}
			if _, ok := c.orders[step.key].at[step.value]; !ok {
				c.faults.add(step.key, fmt.Sprintf("lost append: transaction %d appended %d to %s and was acknowledged, but no read shows it, not even transaction %d, which began later", txn.operation.Invoke.Index, step.value, step.key, reader.operation.Invoke.Index), txn.operation, reader.operation)
			}
		}
	}
}

// graph gathers the dependencies.
func (c *appendCheck) graph() *depGraph {
	g := newDepGraph(c.all)
	for _, key := range c.keys {
		values := c.orders[key].values
		for i := 1; i < len(values); i++ {
			before, after := c.writers[listValue{key, values[i-1]}], c.writers[listValue{key, values[i]}]
			if before != nil && after != nil {
				g.add(before.operation, after.operation, edgeWW, fmt.Sprintf("appended %d to %s right before %d", values[i-1], key, values[i]))
			}
		}
	}
	c.outsideReads(func(txn *listTransaction, key string, list []int64) {
		if len(list) > 0 {
			if writer := c.writers[listValue{key, list[len(list)-1]}]; writer != nil {
				g.add(writer.operation, txn.operation, edgeWR, fmt.Sprintf("appended %d to %s, which was read", list[len(list)-1], key))
			}
		}
		if values := c.orders[key].values; len(values) > len(list) {
			if writer := c.writers[listValue{key, values[len(list)]}]; writer != nil {
				g.add(txn.operation, writer.operation, edgeRW, fmt.Sprintf("read %s before %d was appended", key, values[len(list)]))
			}
		}
	})
	g.addRealTime(c.observed())
	return g
}

// observed says when each operation that certainly happened ended. Those of
// unknown outcome never end.
func (c *appendCheck) observed() map[*Operation]int {
	ends := make(map[*Operation]int, len(c.all))
	for _, operation := range c.all {
		ends[operation] = math.MaxInt
		if operation.Complete.Type == OK {
			ends[operation] = operation.ReturnIndex
		}
	}
	return ends
}
