package history

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"zoolab/workloads"
)

// Models of histories that other labs record, by the names of this lab's workloads.
var foreignModels = []struct {
	name      string
	functions []string // what its clients do
}{
	{"register", []string{"read", "write", "cas"}},
	{"bank", []string{"read", "transfer"}},
	{"set", []string{"add", "read"}},
	{"counter", []string{"add", "read"}},
	{"queue", []string{"enqueue", "dequeue", "drain"}},
	{"append", []string{"txn"}},
}

// ForeignModels lists the names of the models.
func ForeignModels() []string {
	var names []string
	for _, model := range foreignModels {
		names = append(names, model.name)
	}
	return names
}

// ErrNoModel says that no model is known for what the clients of a history do.
var ErrNoModel = errors.New("no model for this history")

// GuessModel finds the model of a history by what its clients do. A set and a
// counter have the same functions: a set is read as a collection.
func GuessModel(ops []workloads.Op) (string, error) {
	seen := make(map[string]bool)
	collection := false
	for i := range ops {
		if ops[i].Process < 0 {
			continue
		}
		seen[ops[i].F] = true
		// Of two words the first may have been taken for a key.
		if _, list := ops[i].Value.([]any); ops[i].F == "read" && (list || ops[i].Key != "" && ops[i].Value != nil) {
			collection = true
		}
	}
	var functions []string
	for f := range seen {
		functions = append(functions, f)
	}
	slices.Sort(functions)
	for _, model := range foreignModels {
		fits := len(functions) > 0 && (model.name != "set" || collection) && (model.name != "bank" || seen["transfer"]) && (model.name != "register" || seen["write"] || seen["cas"])
		for _, f := range functions {
			fits = fits && slices.Contains(model.functions, f)
		}
		if fits {
			return model.name, nil
		}
	}
	return "", fmt.Errorf("%w: its clients do %s; there are models for %s", ErrNoModel, strings.Join(functions, ", "), strings.Join(ForeignModels(), ", "))
}

// Adapt turns a history of another lab into one that this lab's checkers of the
// model read. Operations get new indexes, because a drain becomes several, and times
// that never go back.
func Adapt(model string, ops []workloads.Op) ([]workloads.Op, error) {
	if !slices.Contains(ForeignModels(), model) {
		return nil, fmt.Errorf("%w: %q; there are models for %s", ErrNoModel, model, strings.Join(ForeignModels(), ", "))
	}
	a := &adapter{model: model, keyed: isKeyed(ops), drains: drains(ops), added: make(map[int64]bool)}
	if a.keyed && model != "register" {
		return nil, fmt.Errorf("%w: its operations have independent keys, which only the register is judged by; write a history of each key", ErrNoModel)
	}
	for i := range ops {
		op := ops[i]
		if !a.keyed && op.Key != "" { // it was no key but the first of a pair
			op.Key, op.Value = "", []any{op.Key, op.Value}
		}
		op.Value = plainValue(op.Value)
		if op.Process < 0 {
			a.add(op)
			continue
		}
		if a.keyed {
			op.Key, op.Value = splitKey(op.Key, op.Value)
		}
		if err := a.operation(op, ops[i].Index); err != nil {
			return nil, fmt.Errorf("operation %d (%s %s): %w", ops[i].Index, op.Type, op.F, err)
		}
	}
	return a.out, nil
}

// isKeyed says that everything that is asked for names its key: [key nil], as Jepsen
// writes tuples of independent keys. What asks has no value otherwise.
func isKeyed(ops []workloads.Op) bool {
	asked := 0
	for i := range ops {
		if ops[i].Process < 0 || ops[i].Type != workloads.Invoke || ops[i].F != "read" && ops[i].F != "dequeue" {
			continue
		}
		asked++
		if list, ok := ops[i].Value.([]any); ops[i].Key == "" && !(ok && len(list) == 2 && list[1] == nil) {
			return false
		}
	}
	return asked > 0
}

func splitKey(key string, value any) (string, any) {
	if list, ok := value.([]any); ok && len(list) == 2 && key == "" {
		return fmt.Sprint(list[0]), list[1]
	}
	return key, value
}

// plainValue makes pairs of maps, and of what a history can't hold (keywords, truth
// values, floats) the words for it, all the way down.
func plainValue(value any) any {
	switch v := value.(type) {
	case Keyword:
		return string(v)
	case bool, float64:
		return fmt.Sprint(v)
	case [2]int64:
		return []any{v[0], v[1]}
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plainValue(v[i])
		}
		return list
	case []Entry:
		list := make([]any, len(v))
		for i := range v {
			list[i] = []any{string(v[i].Key), plainValue(v[i].Value)}
		}
		return list
	default:
		return value
	}
}

// drains gives what each drain took, by the index of its invocation. Of those that
// never ended well there is nothing.
func drains(ops []workloads.Op) map[int][]any {
	taken := make(map[int][]any)
	open := make(map[int]int) // process -> invocation
	for i := range ops {
		op := &ops[i]
		if op.F != "drain" || op.Process < 0 {
			continue
		}
		if op.Type == workloads.Invoke {
			open[op.Process] = op.Index
		} else if op.Type != workloads.Info {
			taken[open[op.Process]], _ = op.Value.([]any)
		}
	}
	return taken
}

type adapter struct {
	model  string
	keyed  bool
	drains map[int][]any
	added  map[int64]bool // elements of a set, items of a queue
	out    []workloads.Op
	last   int64

	drainers int                    // processes made up for drains
	draining map[int][]workloads.Op // process -> the takes of its drain
}

// firstDrainer is the first of the processes that are made up, above all real ones.
const firstDrainer = 1 << 30

func (a *adapter) add(op workloads.Op) {
	a.last = max(a.last, op.TimeNs)
	op.Index, op.TimeNs = len(a.out), a.last
	a.out = append(a.out, op)
}

// operation adds one of a client in the words of the model.
func (a *adapter) operation(op workloads.Op, index int) error {
	switch a.model {
	case "queue":
		return a.queue(op, index)
	case "append":
		return a.transaction(op)
	case "bank":
		if op.F == "read" && op.Type == workloads.OK {
			op.Value = balancesOf(op.Value)
			return a.addNumbers(op)
		}
	case "set":
		return a.addNumbers(op)
	case "counter":
		if amount, ok := op.Value.(int64); op.F == "add" && (!ok || amount < 0) {
			return fmt.Errorf("adds %v; the checker of counters needs whole numbers that are not negative", op.Value)
		}
	case "register":
		if op.F == "cas" {
			if list, ok := op.Value.([]any); !ok || len(list) != 2 {
				return fmt.Errorf("has the value %v, not [old new]", op.Value)
			}
		}
	}
	a.add(op)
	return nil
}

// balancesOf gives the balances of a bank that is read as a map of accounts.
func balancesOf(value any) any {
	list, ok := value.([]any)
	if !ok {
		return value
	}
	balances := make([]any, 0, len(list))
	for _, item := range list {
		if pair, ok := item.([]any); ok && len(pair) == 2 {
			item = pair[1]
		}
		balances = append(balances, item)
	}
	return balances
}

// addNumbers adds an operation whose value is a whole number or a list of them. The
// checkers would take anything else for nothing, and blame the system for it.
func (a *adapter) addNumbers(op workloads.Op) error {
	list, ok := op.Value.([]any)
	if !ok && op.Value != nil {
		list = []any{op.Value}
	}
	for _, item := range list {
		if _, whole := item.(int64); !whole {
			return fmt.Errorf("has the value %v; the checker of the model %s needs whole numbers", op.Value, a.model)
		}
	}
	if number, one := op.Value.(int64); one && (op.F == "add" || op.F == "put") {
		if a.added[number] && op.Type == workloads.Invoke {
			return fmt.Errorf("adds %v a second time; the checker of the model %s needs values that are unique", op.Value, a.model)
		}
		a.added[number] = true
	}
	a.add(op)
	return nil
}

// queue renames operations. A taker of unknown outcome may have taken anything,
// which is what it means to have no completion.
func (a *adapter) queue(op workloads.Op, index int) error {
	switch op.F {
	case "enqueue":
		op.F = "put"
	case "dequeue":
		op.F = "take"
		if op.Type == workloads.Info {
			return nil
		}
	case "drain":
		return a.drain(op, index)
	}
	return a.addNumbers(op)
}

// drain turns one into a list of what is left, which finds the queue empty, and a
// take of each item by a process of its own: all that is known of them is that they
// happened between the drain's invocation and its completion.
func (a *adapter) drain(op workloads.Op, index int) error {
	if a.draining == nil {
		a.draining = make(map[int][]workloads.Op)
	}
	items, ended := a.drains[index]
	if op.Type == workloads.Info || op.Type == workloads.Invoke && !ended {
		return errors.New("a drain of unknown outcome may have taken anything, which the checker can't judge")
	}
	if op.Type == workloads.Invoke {
		left := op
		left.F, left.Value = "left", nil
		a.add(left)
		for _, item := range items {
			if _, whole := item.(int64); !whole {
				return fmt.Errorf("drains %v; the checker of queues needs whole numbers", item)
			}
			take := op
			take.F, take.Value, take.Process = "take", nil, firstDrainer+a.drainers
			a.drainers++
			a.add(take)
			take.Value = item
			a.draining[op.Process] = append(a.draining[op.Process], take)
		}
		return nil
	}
	for _, take := range a.draining[op.Process] {
		take.Type, take.TimeNs = workloads.OK, op.TimeNs
		a.add(take)
	}
	delete(a.draining, op.Process)
	op.F, op.Value = "left", []any{} // nothing is read from it if it failed
	a.add(op)
	return nil
}

// transaction names the keys of a transaction with strings.
func (a *adapter) transaction(op workloads.Op) error {
	steps, _ := op.Value.([]any)
	for _, item := range steps {
		step, ok := item.([]any)
		if !ok || len(step) != 3 {
			return fmt.Errorf("has the step %v; want [:append key value] or [:r key list]", item)
		}
		step[1] = fmt.Sprint(step[1])
	}
	a.add(op)
	return nil
}
