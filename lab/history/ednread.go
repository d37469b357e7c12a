package history

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// maxEDNDepth bounds how deep collections may nest.
const maxEDNDepth = 100

// ParseEDN reads one value and returns what follows it. Maps whose keys are keywords
// become []Entry, other maps []any of pairs; vectors, lists and sets become []any,
// symbols, characters, regular expressions and names of variables strings, ratios
// floats. The tag of a tagged element is left out, and so is the namespace of a
// namespaced map.
func ParseEDN(data []byte) (value any, rest []byte, err error) {
	p := &ednParser{data: data}
	value, err = p.value(0)
	return value, p.data[min(p.at, len(p.data)):], err
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

// next is peek behind elements that are discarded: #_ and the value after it.
func (p *ednParser) next(depth int) (byte, error) {
	for {
		b := p.peek()
		if b != '#' || p.at+1 >= len(p.data) || p.data[p.at+1] != '_' {
			return b, nil
		}
		p.at += 2
		if _, err := p.value(depth + 1); err != nil {
			return 0, err
		}
	}
}

func (p *ednParser) value(depth int) (any, error) {
	if depth > maxEDNDepth {
		return nil, p.errorf("nested deeper than %d", maxEDNDepth)
	}
	b, err := p.next(depth)
	if err != nil {
		return nil, err
	}
	switch b {
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
	case '\\':
		return p.character()
	case '#':
		return p.dispatch(depth)
	default:
		return p.atom()
	}
}

// dispatch reads what a # begins: a set, a number that is none, a regular expression,
// the name of a variable, or the element behind a tag.
func (p *ednParser) dispatch(depth int) (any, error) {
	p.at++
	kind := byte(0)
	if p.at < len(p.data) {
		kind = p.data[p.at]
	}
	switch kind {
	case '{':
		return p.items('}', depth)
	case '"':
		return p.text()
	case '\'':
		return p.atom()
	case '#':
		p.at++
		word := p.word()
		number, known := map[string]float64{"Inf": math.Inf(1), "-Inf": math.Inf(-1), "NaN": math.NaN()}[word]
		if !known {
			return nil, p.errorf("##%s, want ##Inf, ##-Inf or ##NaN", word)
		}
		return number, nil
	}
	if _, err := p.atom(); err != nil {
		return nil, err
	}
	return p.value(depth + 1)
}

func (p *ednParser) items(end byte, depth int) ([]any, error) {
	p.at++
	items := []any{}
	for {
		b, err := p.next(depth)
		if err != nil {
			return nil, err
		}
		if b == end {
			p.at++
			return items, nil
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
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
	p.at++
	start := p.at
	plain := true
	for ; p.at < len(p.data); p.at++ {
		switch p.data[p.at] {
		case '\\':
			plain = false
			p.at++
		case '"':
			text := string(p.data[start:p.at])
			p.at++
			if plain {
				return text, nil
			}
			return unescape(text), nil
		}
	}
	p.at = min(p.at, len(p.data))
	return "", p.errorf("a string without its end")
}

// escapes are those of one letter. Any other escaped character stands for itself, with
// its backslash, as in a regular expression.
var escapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'b': '\b', 'f': '\f', '"': '"', '\\': '\\', '/': '/', '\'': '\''}

func unescape(text string) string {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			out = append(out, text[i])
			continue
		}
		i++
		if unit, ok := codeUnit(text[i:]); ok {
			i += 4
			if low, ok := codeUnit(strings.TrimPrefix(text[i+1:], `\`)); ok && utf16.IsSurrogate(unit) && text[i+1] == '\\' {
				unit = utf16.DecodeRune(unit, low)
				i += 6
			}
			out = utf8.AppendRune(out, unit)
			continue
		}
		if short, ok := escapes[text[i]]; ok {
			out = append(out, short)
			continue
		}
		out = append(out, '\\', text[i])
	}
	return string(out)
}

// codeUnit reads uXXXX, a unit of UTF-16, at the start of text.
func codeUnit(text string) (rune, bool) {
	if len(text) < 5 || text[0] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(text[1:5], 16, 16)
	return rune(unit), err == nil
}

// characters that have names.
var characters = map[string]string{
	"newline": "\n", "return": "\r", "space": " ", "tab": "\t", "backspace": "\b", "formfeed": "\f",
}

// character reads one: \a, \newline, \u0041. It may be one that ends other words.
func (p *ednParser) character() (string, error) {
	p.at++
	if p.at >= len(p.data) {
		return "", p.errorf("a character is missing")
	}
	start := p.at
	_, size := utf8.DecodeRune(p.data[p.at:])
	p.at += size
	p.word()
	word := string(p.data[start:p.at])
	if name, ok := characters[word]; ok {
		return name, nil
	}
	if unit, ok := codeUnit(word); ok && len(word) == 5 {
		return string(unit), nil
	}
	return word, nil
}

// word reads up to what ends a word.
func (p *ednParser) word() string {
	start := p.at
	for p.at < len(p.data) && strings.IndexByte(" \t\r\n,;()[]{}\"", p.data[p.at]) < 0 {
		p.at++
	}
	return string(p.data[start:p.at])
}

func (p *ednParser) atom() (any, error) {
	start := p.at
	word := p.word()
	switch {
	case word == "":
		if start == len(p.data) {
			return nil, p.errorf("a value is missing")
		}
		return nil, p.errorf("unexpected %q", p.data[start])
	case word == "nil":
		return nil, nil
	case word == "true" || word == "false":
		return word == "true", nil
	case word[0] == ':' && len(word) > 1:
		return Keyword(word[1:]), nil
	}
	if first := word[0]; (first < '0' || first > '9') && !strings.ContainsRune(":+-.", rune(first)) {
		return word, nil // a symbol
	}
	if number, ok := number(word); ok {
		return number, nil
	}
	if first := strings.TrimLeft(word, "+-."); first != "" && (first[0] >= '0' && first[0] <= '9' || first[0] == ':') {
		return nil, p.errorf("%q is no number and no word", word)
	}
	return word, nil
}

// number reads whole numbers (also an address in a printed object), floats, and ratios
// as the float next to them. What has more than 64 bits becomes a float.
func number(word string) (any, bool) {
	for _, base := range []int{10, 0} {
		if number, err := strconv.ParseInt(strings.TrimSuffix(word, "N"), base, 64); err == nil {
			return number, true
		}
	}
	if number, err := strconv.ParseFloat(strings.TrimRight(word, "MN"), 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return number, true
	}
	over, under, isRatio := strings.Cut(word, "/")
	a, errA := strconv.ParseFloat(over, 64)
	b, errB := strconv.ParseFloat(under, 64)
	return a / b, isRatio && errA == nil && errB == nil && b != 0
}
