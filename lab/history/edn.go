package history

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Keyword is an EDN keyword without its colon.
type Keyword string

// Entry is one key of an EDN map with its value.
type Entry struct {
	Key   Keyword
	Value any
}

// AppendEDN appends a value in EDN. It can write nil, bool, int, int32, int64,
// float64, string, Keyword, [2]int64, []any, []Entry (a map in that order),
// map[string]any (a map with keywords, sorted); anything else becomes a string.
func AppendEDN(dst []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(dst, "nil"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int:
		return strconv.AppendInt(dst, int64(v), 10)
	case int32:
		return strconv.AppendInt(dst, int64(v), 10)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case float64:
		return appendFloat(dst, v)
	case string:
		return appendString(dst, v)
	case Keyword:
		return append(append(dst, ':'), v...)
	case [2]int64:
		return AppendEDN(dst, []any{v[0], v[1]})
	case []any:
		dst = append(dst, '[')
		for i := range v {
			if i > 0 {
				dst = append(dst, ' ')
			}
			dst = AppendEDN(dst, v[i])
		}
		return append(dst, ']')
	case []Entry:
		dst = append(dst, '{')
		for i := range v {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = AppendEDN(dst, v[i].Key)
			dst = AppendEDN(append(dst, ' '), v[i].Value)
		}
		return append(dst, '}')
	case map[string]any:
		entries := make([]Entry, 0, len(v))
		for key, value := range v {
			entries = append(entries, Entry{MakeKeyword(key), value})
		}
		sort.Slice(entries, func(i, j int) bool { return entries[i].Key < entries[j].Key })
		return AppendEDN(dst, entries)
	default:
		return appendString(dst, fmt.Sprint(v))
	}
}

// appendFloat writes a number that EDN reads as a float again.
func appendFloat(dst []byte, v float64) []byte {
	text := strconv.FormatFloat(v, 'g', -1, 64)
	switch {
	case strings.ContainsAny(text, "IN"): // infinities and NaN have no EDN number
		return appendString(dst, text)
	case !strings.ContainsAny(text, ".e"):
		text += ".0"
	}
	return append(dst, text...)
}

// appendString writes what both Go and the JVM's EDN readers understand.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			dst = append(dst, '\\', byte(r))
		case r == '\n':
			dst = append(dst, `\n`...)
		case r == '\t':
			dst = append(dst, `\t`...)
		case r == '\r':
			dst = append(dst, `\r`...)
		case r < 0x20 || r == 0x7f:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

// MakeKeyword turns any text into a keyword that EDN can write.
func MakeKeyword(s string) Keyword {
	slashes := 0
	clean := strings.Map(func(r rune) rune {
		if r == '/' { // one may stand between a namespace and a name
			if slashes++; slashes > 1 {
				return '-'
			}
		}
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.?!*+<>=/", r) {
			return r
		}
		return '-'
	}, s)
	if clean == "" || clean[0] == '/' || clean[0] >= '0' && clean[0] <= '9' {
		clean = "x" + clean
	}
	if namespace, name, _ := strings.Cut(clean, "/"); namespace != clean && (name == "" || name[0] >= '0' && name[0] <= '9') {
		clean = namespace + "/x" + name
	}
	return Keyword(clean)
}
