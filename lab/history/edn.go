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

// maxEDNDepth bounds how deep collections may nest.
const maxEDNDepth = 100

// ParseEDN reads one value and returns what follows it. Maps whose keys are keywords
// become []Entry, other maps []any of pairs; vectors, lists and sets become []any,
// symbols and characters strings. The tag of a tagged element is left out.
func ParseEDN(data []byte) (value any, rest []byte, err error) {
	p := &ednParser{data: data}
	value, err = p.value(0)
	return value, p.data[p.at:], err
}

// ednParser reads EDN as histories and results have it.
type ednParser struct {
	data []byte
	at   int
}

func (p *ednParser) errorf(format string, args ...any) error {
	return fmt.Errorf("EDN at byte %d: "+format, append([]any{p.at}, args...)...)
}

// peek skips blanks, commas and comments and gives the next byte, 0 at the end.
func (p *ednParser) peek() byte {
	for ; p.at < len(p.data); p.at++ {
		switch b := p.data[p.at]; {
		case b == ';':
			for p.at < len(p.data) && p.data[p.at] != '\n' {
				p.at++
			}
		case !strings.ContainsRune(" \t\r\n,", rune(b)):
			return b
		}
	}
	return 0
}

func (p *ednParser) value(depth int) (any, error) {
	if depth > maxEDNDepth {
		return nil, p.errorf("nested deeper than %d", maxEDNDepth)
	}
	switch b := p.peek(); b {
	case 0:
		return nil, p.errorf("a value is missing")
	case '{':
		return p.entries(depth)
	case '[':
		return p.items(']', depth)
	case '(':
		return p.items(')', depth)
	case '"':
		return p.text()
	case '#':
		return p.tagged(depth)
	default:
		return p.atom()
	}
}

// tagged reads a set or the element behind a tag.
func (p *ednParser) tagged(depth int) (any, error) {
	p.at++
	if p.at < len(p.data) && p.data[p.at] == '{' {
		return p.items('}', depth)
	}
	if _, err := p.atom(); err != nil {
		return nil, err
	}
	return p.value(depth + 1)
}

func (p *ednParser) items(end byte, depth int) ([]any, error) {
	p.at++
	items := []any{}
	for p.peek() != end {
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	p.at++
	return items, nil
}

func (p *ednParser) entries(depth int) (any, error) {
	items, err := p.items('}', depth)
	if err != nil {
		return nil, err
	}
	if len(items)%2 != 0 {
		return nil, p.errorf("a map with a key but no value")
	}
	entries := make([]Entry, 0, len(items)/2)
	pairs := make([]any, 0, len(items)/2)
	for i := 0; i < len(items); i += 2 {
		if key, ok := items[i].(Keyword); ok {
			entries = append(entries, Entry{key, items[i+1]})
		}
		pairs = append(pairs, []any{items[i], items[i+1]})
	}
	if len(entries) < len(pairs) {
		return pairs, nil
	}
	return entries, nil
}

func (p *ednParser) text() (string, error) {
	start := p.at
	for p.at++; p.at < len(p.data); p.at++ {
		switch p.data[p.at] {
		case '\\':
			p.at++
		case '"':
			p.at++
			// What is written here is a subset of Go's own escapes, but for
			// control characters that stand as they are.
			quoted := strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(string(p.data[start:p.at]))
			text, err := strconv.Unquote(quoted)
			if err != nil {
				return "", p.errorf("string: %v", err)
			}
			return text, nil
		}
	}
	p.at = min(p.at, len(p.data))
	return "", p.errorf("a string without its end")
}

func (p *ednParser) atom() (any, error) {
	start := p.at
	for p.at < len(p.data) && !strings.ContainsRune(" \t\r\n,;()[]{}\"", rune(p.data[p.at])) {
		p.at++
	}
	word := string(p.data[start:p.at])
	switch {
	case word == "":
		return nil, p.errorf("unexpected %q", p.data[start])
	case word == "nil":
		return nil, nil
	case word == "true" || word == "false":
		return word == "true", nil
	case word[0] == ':' && len(word) > 1:
		return Keyword(word[1:]), nil
	}
	if number, err := strconv.ParseInt(strings.TrimSuffix(word, "N"), 10, 64); err == nil {
		return number, nil
	}
	if number, err := strconv.ParseFloat(strings.TrimSuffix(word, "M"), 64); err == nil {
		return number, nil
	}
	if number, err := strconv.ParseInt(word, 0, 64); err == nil {
		return number, nil // an address in a printed object
	}
	if first := word[0]; first >= '0' && first <= '9' || first == ':' {
		return nil, p.errorf("%q is no number and no word", word)
	}
	return strings.TrimPrefix(word, "\\"), nil // a symbol, or a character
}
