package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"zoolab/workloads"
)

// clip shortens text to at most limit characters and says how much it left
// out. It doesn't look at what it leaves out, which may be very long.
func clip(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	characters := 0
	for offset := range text {
		if characters == limit {
			return fmt.Sprintf("%s… (%s more bytes)", text[:offset], countText(len(text)-offset))
		}
		characters++
	}
	return text
}

// valueText prints a value of an operation for people.
func valueText(value any) string {
	var b strings.Builder
	appendValue(&b, value)
	return clip(b.String(), maxValueRunes)
}

func appendValue(b *strings.Builder, value any) {
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
		for i, element := range v {
			if i > 0 {
				b.WriteString(", ")
			}
			appendValue(b, element)
		}
		b.WriteByte(']')
	default:
		fmt.Fprint(b, v)
	}
}

// opText says what an operation did, in a few words: "write 5", "read → 3",
// "cas 3 → 4, failed".
func opText(op *operation) string {
	var b strings.Builder
	b.WriteString(op.f)
	in := ""
	if op.in != nil {
		in = valueText(op.in)
		b.WriteString(" " + in)
	}
	if op.out != nil && op.outcome == outcomeOK {
		if out := valueText(op.out); out != in {
			b.WriteString(" → " + out)
		}
	}
	switch {
	case !op.closed:
		b.WriteString(", no answer")
	case op.outcome == outcomeFail:
		b.WriteString(", failed")
	case op.outcome == outcomeInfo:
		b.WriteString(", unknown outcome")
	}
	return b.String()
}

// durationText prints a length of time with three significant digits.
func durationText(ns int64) string {
	switch d := time.Duration(ns); {
	case d < 0:
		return "-" + durationText(-ns)
	case d == 0:
		return "0 ms"
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", ns)
	case d < time.Millisecond:
		return significant(float64(ns)/1e3) + " µs"
	case d < time.Second:
		return significant(float64(ns)/1e6) + " ms"
	case d < 100*time.Second:
		return significant(float64(ns)/1e9) + " s"
	case d < time.Hour:
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%d h %02d min", int(d.Hours()), int(d.Minutes())%60)
	}
}

func significant(x float64) string {
	switch {
	case x >= 99.95:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	default:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
}

// atText prints an instant of the run.
func atText(ns int64) string { return fmt.Sprintf("%.3f s", float64(ns)/1e9) }

// countText prints a number with thin spaces between thousands.
func countText(n int) string {
	digits := strconv.Itoa(n)
	start := 0
	if n < 0 {
		start = 1
	}
	var b strings.Builder
	for i, digit := range digits {
		if i > start && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// rateText prints operations per second.
func rateText(perSecond float64) string {
	if perSecond >= 100 {
		return countText(int(perSecond + 0.5))
	}
	return significant(perSecond)
}

// upperFirst makes a clause the start of a sentence.
func upperFirst(clause string) string {
	first, size := utf8.DecodeRuneInString(clause)
	if size == 0 {
		return clause
	}
	return string(unicode.ToUpper(first)) + clause[size:]
}

// zxidText prints a zxid as ZooKeeper's own tools do.
func zxidText(zxid int64) string {
	if zxid == 0 {
		return ""
	}
	return "0x" + strconv.FormatUint(uint64(zxid), 16)
}

// verdictWords is how a verdict reads: never a colour alone.
type verdictWords struct {
	Class  string // ok, fail or unknown: the style
	Symbol string
	Word   string
	Says   string
}

func wordsOf(verdict workloads.Verdict) verdictWords {
	switch verdict {
	case workloads.VerdictOK:
		return verdictWords{"ok", "✓", "OK", "every checker was satisfied"}
	case workloads.VerdictFail:
		return verdictWords{"fail", "✗", "FAIL", "a promise was broken"}
	default:
		return verdictWords{"unknown", "?", "UNKNOWN", "a check could not be carried to its end; this is not a pass"}
	}
}

// checkerWords says what a checker checks.
var checkerWords = map[string]string{
	"linearizable": "Each znode behaves as if its operations took effect one at a time, each at some instant between its invocation and its completion.",
	"zxid-order":   "No session ever sees an older zxid than it saw before; version and mzxid of a znode rise together everywhere.",
	"logs-agree":   "The transaction logs of all members hold the same transactions on the range that they share.",
	"trees-equal":  "After healing, all members hold the same tree.",
	"non-vacuous":  "The run tested something: a fault was proved to be in effect, and every kind of operation succeeded at least once.",
	"complete":     "The run went its whole way: the ensemble recovered after the last fault was healed, and everything was read once more.",
}

func checkerText(name string) string {
	if text, ok := checkerWords[name]; ok {
		return text
	}
	return "A checker of this workload."
}
