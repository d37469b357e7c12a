package report

import (
	"fmt"
	"strings"
)

// shortList bounds the elements of a list that a whole history shows of each
// value; a counterexample shows as much as there is room for.
const shortList = 8

// valueText prints a value of an operation for people.
func valueText(value any) string { return printValue(value, maxValueRunes) }

// shortText prints a value for the timeline, where a hundred thousand of them
// stand: of a long list the beginning and the end.
func shortText(value any) string { return printValue(value, shortList) }

func printValue(value any, longest int) string {
	var b strings.Builder
	if steps, ok := microOps(value); ok {
		appendTransaction(&b, steps, longest)
	} else if events, ok := eventsOf(value); ok {
		appendEvents(&b, events, longest)
	} else {
		appendValue(&b, value, longest)
	}
	return clip(b.String(), maxValueRunes)
}

func appendValue(b *strings.Builder, value any, longest int) {
	// A collection of a million elements is clipped later; this only keeps
	// the text on the way there small.
	if b.Len() > 8*maxValueRunes {
		return
	}
	switch v := value.(type) {
	case nil:
		b.WriteString("nil")
	case string:
		b.WriteString(v)
	case [2]int64:
		fmt.Fprintf(b, "%d → %d", v[0], v[1])
	case []any:
		b.WriteByte('[')
		skipFrom, skipTo := skipped(len(v), longest)
		for i := 0; i < len(v); i++ {
			if i > 0 {
				b.WriteString(", ")
			}
			if i == skipFrom && skipTo > skipFrom {
				fmt.Fprintf(b, "… %d more …", skipTo-skipFrom)
				i = skipTo - 1
				continue
			}
			appendValue(b, v[i], longest)
		}
		b.WriteByte(']')
	default:
		fmt.Fprint(b, v)
	}
}

// skipped says which elements of a list are left out: the newest values stand at
// the end of most lists, so that more of the end is kept.
func skipped(length, longest int) (from, to int) {
	if length <= longest {
		return 0, 0
	}
	from = longest / 3
	return from, length - (longest - from)
}

// microOps recognizes the value of a transaction over lists: steps of three
// parts, [append key value] or [r key list].
func microOps(value any) ([][]any, bool) {
	return tuples(value, func(step []any) bool {
		_, keyed := at[string](step, 1)
		f, named := at[string](step, 0)
		return len(step) == 3 && keyed && named && (f == "append" || f == "r")
	})
}

// tuples gives the elements of a list that are lists of one shape, if all are.
func tuples(value any, fits func([]any) bool) ([][]any, bool) {
	items, ok := value.([]any)
	if !ok || len(items) == 0 {
		return nil, false
	}
	out := make([][]any, 0, len(items))
	for _, item := range items {
		tuple, ok := item.([]any)
		if !ok || !fits(tuple) {
			return nil, false
		}
		out = append(out, tuple)
	}
	return out, true
}

// at gives an element of a list if it is there and of the type.
func at[T any](list []any, i int) (value T, ok bool) {
	if i < len(list) {
		value, ok = list[i].(T)
	}
	return value, ok
}

// appendTransaction prints a transaction: "append 1 to x, read y → [1]".
func appendTransaction(b *strings.Builder, steps [][]any, longest int) {
	for i, step := range steps {
		if i > 0 {
			b.WriteString(", ")
		}
		if step[0] == "append" {
			fmt.Fprintf(b, "append %v to %s", step[2], step[1])
			continue
		}
		fmt.Fprintf(b, "read %s", step[1])
		if step[2] != nil {
			b.WriteString(" → ")
			appendValue(b, step[2], longest)
		}
	}
}

// appendEvents prints what watches told. An empty key says that some may have
// been missed.
func appendEvents(b *strings.Builder, events []watchEvent, longest int) {
	skipFrom, skipTo := skipped(len(events), longest)
	for i := 0; i < len(events); i++ {
		if i > 0 {
			b.WriteString(", ")
		}
		if i == skipFrom && skipTo > skipFrom {
			fmt.Fprintf(b, "… %d more …", skipTo-skipFrom)
			i = skipTo - 1
			continue
		}
		event := &events[i]
		if event.key == "" {
			b.WriteString("events may have been missed")
			continue
		}
		b.WriteString("event")
		if event.kind != "" {
			b.WriteString(" " + event.kind)
		}
		b.WriteString(" of " + event.key)
		if event.zxid > 0 {
			b.WriteString(" at " + zxidText(event.zxid))
		}
	}
}

// opText says what an operation did, in a few words: "write 5", "read → 3",
// "cas 3 → 4, failed".
func opText(op *operation) string {
	name, in, out := op.words(valueText)
	text := strings.TrimSpace(name + " " + in)
	if out != "" {
		text += " → " + out
	}
	switch {
	case !op.closed:
		text += ", no answer"
	case op.outcome == outcomeFail:
		text += ", failed"
	case op.outcome == outcomeInfo:
		text += ", unknown outcome"
	}
	return text
}

// words gives the parts that name an operation, as print prints values. The
// answer is empty where the operation has none or it says nothing new. A
// transaction that was answered is told by its answer, which repeats its steps.
func (o *operation) words(print func(any) string) (name, in, out string) {
	name = o.f
	answered := o.out != nil && o.outcome == outcomeOK
	if _, transaction := microOps(o.in); transaction && answered {
		return name, print(o.out), ""
	}
	if o.in != nil {
		in = print(o.in)
	}
	if empty, ok := o.out.([]any); answered && !(ok && len(empty) == 0 && o.in != nil) {
		if out = print(o.out); out == in {
			out = ""
		}
	}
	return name, in, out
}
