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

// DurationText prints a length of time as the report does.
func DurationText(ns int64) string { return durationText(ns) }

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

// sessionText prints a session as ZooKeeper's own tools do.
func sessionText(session int64) string { return zxidText(session) }

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
