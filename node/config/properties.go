package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// property is one entry of a file in Java's .properties syntax.
type property struct {
	key, value string
	line       int // where the entry starts, from 1
}

// Properties reads text in Java's .properties syntax, as of a file of a client's
// settings. Where a key stands twice, the last value counts. The error names the line.
func Properties(text string) (map[string]string, error) {
	var first error
	entries := parseProperties(text, func(line int, key string, f *fault) {
		if first == nil {
			first = fmt.Errorf("line %d: %s: %s; %s", line, key, f.problem, f.fix)
		}
	})
	values := make(map[string]string, len(entries))
	for _, entry := range entries {
		values[entry.key] = entry.value
	}
	return values, first
}

// parseProperties splits text into its entries, in order; duplicates stay.
// It follows java.util.Properties.load: # and ! start comments; =, : or blanks
// end a key; a backslash at the end of a line continues it; \t \n \r \f \uXXXX
// and \<any> are escapes. Unlike Java, which reads Latin-1, it takes bytes above
// 127 as they are, so UTF-8 paths work. Keys and values are trimmed as Apache
// does. An entry with a malformed \u escape is reported through bad and left out.
func parseProperties(text string, bad func(line int, key string, f *fault)) []property {
	var entries []property
	lines := lineReader{rest: strings.TrimPrefix(text, byteOrderMark)}
	for {
		logical, line, ok := lines.next()
		if !ok {
			return entries
		}
		rawKey, rawValue := splitEntry(logical)
		key, keyOK := unescape(rawKey)
		value, valueOK := unescape(rawValue)
		key = trimJava(key)
		if !keyOK || !valueOK {
			bad(line, key, faultf(`write \u and four hexadecimal digits, or \\ for a backslash`,
				`malformed \u escape in %q`, logical))
			continue
		}
		entries = append(entries, property{key: key, value: trimJava(value), line: line})
	}
}

// byteOrderMark is what some editors put ahead of a text. Java would make it a part of the
// first key, which nobody can see.
const byteOrderMark = "\ufeff"

// lineReader joins natural lines into logical lines.
type lineReader struct {
	rest string
	line int // number of natural lines taken
}

// next returns the next logical line that is neither blank nor a comment,
// without its leading blanks and with continuations joined.
func (r *lineReader) next() (logical string, line int, ok bool) {
	for r.rest != "" {
		natural := strings.TrimLeft(r.take(), propertyBlanks)
		if natural == "" || isComment(natural) {
			continue
		}
		line = r.line
		var joined strings.Builder
		for endsInBackslash(natural) {
			joined.WriteString(natural[:len(natural)-1])
			natural = strings.TrimLeft(r.take(), propertyBlanks)
			if joined.Len() == 0 && isComment(natural) {
				natural = ""
			}
		}
		joined.WriteString(natural)
		if joined.Len() > 0 {
			return joined.String(), line, true
		}
	}
	return "", 0, false
}

// propertyBlanks are the characters that .properties files treat as blank.
const propertyBlanks = " \t\f"

// take removes one natural line, which ends in \n, \r or \r\n. At the end of the
// text it returns an empty line.
func (r *lineReader) take() string {
	r.line++
	end := strings.IndexAny(r.rest, "\r\n")
	if end < 0 {
		natural := r.rest
		r.rest = ""
		return natural
	}
	natural := r.rest[:end]
	if strings.HasPrefix(r.rest[end:], "\r\n") {
		end++
	}
	r.rest = r.rest[end+1:]
	return natural
}

// isComment reports whether a line is a comment. As in Java, that is also true
// of a line that continues one with nothing but a backslash on it.
func isComment(natural string) bool {
	return natural != "" && (natural[0] == '#' || natural[0] == '!')
}

// endsInBackslash reports whether natural ends in a backslash that is not itself
// escaped.
func endsInBackslash(natural string) bool {
	count := len(natural) - len(strings.TrimRight(natural, `\`))
	return count%2 == 1
}

// splitEntry cuts a logical line at the first unescaped =, : or blank.
func splitEntry(logical string) (key, value string) {
	end := len(logical)
	for i := 0; i < len(logical); i++ {
		if logical[i] == '\\' {
			i++
		} else if strings.IndexByte("=:"+propertyBlanks, logical[i]) >= 0 {
			end = i
			break
		}
	}
	value = strings.TrimLeft(logical[end:], propertyBlanks)
	if value != "" && (value[0] == '=' || value[0] == ':') {
		value = strings.TrimLeft(value[1:], propertyBlanks)
	}
	return logical[:end], value
}

// unescape resolves backslash escapes; ok is false on a malformed \u.
func unescape(raw string) (text string, ok bool) {
	if strings.IndexByte(raw, '\\') < 0 {
		return raw, true
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			b.WriteByte(raw[i])
			continue
		}
		i++
		if i == len(raw) {
			break
		}
		switch raw[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			char, size, ok := unicodeEscape(raw[i-1:])
			if !ok {
				return b.String(), false
			}
			b.WriteRune(char)
			i += size - 2
		default:
			b.WriteByte(raw[i])
		}
	}
	return b.String(), true
}

// unicodeEscape reads the \uXXXX, or the pair of them that makes one character
// beyond the basic plane, at the start of raw, and returns its length.
func unicodeEscape(raw string) (char rune, size int, ok bool) {
	first, ok := codeUnit(raw)
	if !ok {
		return 0, 0, false
	}
	if !utf16.IsSurrogate(first) {
		return first, 6, true
	}
	if second, ok := codeUnit(raw[6:]); ok {
		if char := utf16.DecodeRune(first, second); char != utf8.RuneError {
			return char, 12, true
		}
	}
	return utf8.RuneError, 6, true
}

func codeUnit(raw string) (unit rune, ok bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(raw[2:6], 16, 16)
	return rune(n), err == nil
}

// trimJava removes what Java's String.trim removes: all characters up to the
// space at both ends.
func trimJava(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
}
