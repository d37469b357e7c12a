package conformance

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"zoolab/zk/jute"
)

// word is one word of a step: its text, and the text with quoted strings resolved.
type word struct{ raw, value string }

// splitWords splits a step at spaces. A Go string in quotes may stand anywhere in a word. A
// hash sign behind a space begins a comment.
func splitWords(line string) ([]word, error) {
	var words []word
	for {
		line = strings.TrimLeftFunc(line, unicode.IsSpace)
		if line == "" || line[0] == '#' {
			return words, nil
		}
		var w word
		for line != "" && !unicode.IsSpace(rune(line[0])) {
			if line[0] != '"' {
				w.raw, w.value, line = w.raw+line[:1], w.value+line[:1], line[1:]
				continue
			}
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("a string begins and does not end: %s", line)
			}
			value, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", quoted, err)
			}
			w.raw, w.value, line = w.raw+quoted, w.value+value, line[len(quoted):]
		}
		words = append(words, w)
	}
}

// arguments are the words behind an operation's name.
type arguments struct {
	bare  []word          // words that are no key=value
	named map[string]word // the others
}

func newArguments(words []word) arguments {
	a := arguments{named: make(map[string]word)}
	for _, w := range words {
		key, raw, ok := strings.Cut(w.raw, "=")
		if !ok || strings.ContainsAny(key, `"/:`) {
			a.bare = append(a.bare, w)
			continue
		}
		a.named[key] = word{raw: raw, value: strings.TrimPrefix(w.value, key+"=")}
	}
	return a
}

// take returns a named value and removes it, so that what is left over is an error.
func (a *arguments) take(key, otherwise string) word {
	w, ok := a.named[key]
	if !ok {
		return word{raw: otherwise, value: otherwise}
	}
	delete(a.named, key)
	return w
}

// takeBare returns the next bare word, if there is one.
func (a *arguments) takeBare() (word, bool) {
	if len(a.bare) == 0 {
		return word{}, false
	}
	w := a.bare[0]
	a.bare = a.bare[1:]
	return w, true
}

// takeFlag reports whether a bare word is there, and removes it.
func (a *arguments) takeFlag(name string) bool {
	for i, w := range a.bare {
		if w.raw == name {
			a.bare = append(a.bare[:i:i], a.bare[i+1:]...)
			return true
		}
	}
	return false
}

// rest is the error for words that no field took.
func (a *arguments) rest() error {
	if len(a.bare) > 0 {
		return fmt.Errorf("no field takes %q", a.bare[0].raw)
	}
	for key := range a.named {
		return fmt.Errorf("there is no field %q", key)
	}
	return nil
}

// bytesOf gives the bytes that a word stands for; nil for null.
func bytesOf(w word) ([]byte, error) {
	if w.raw == "null" {
		return nil, nil
	}
	if digits, ok := strings.CutPrefix(w.raw, "hex:"); ok {
		b, err := hex.DecodeString(digits)
		return append([]byte{}, b...), err
	}
	if count, ok := strings.CutPrefix(w.raw, "zeros:"); ok {
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 || n > 16<<20 {
			return nil, fmt.Errorf("%q is no count of zeros", count)
		}
		return make([]byte, n), nil
	}
	return append([]byte{}, w.value...), nil
}

// intOf gives a number of so many bits; hexadecimal digits give its bits.
func intOf(w word, bits int) (int64, error) {
	if strings.HasPrefix(w.raw, "0x") {
		n, err := strconv.ParseUint(w.raw[2:], 16, bits)
		return int64(n), err
	}
	return strconv.ParseInt(w.raw, 10, bits)
}

// aclOf gives a list "scheme:id:perms|..." on the wire. Permissions are letters as in the
// shell, or a number.
func aclOf(w word) ([]byte, error) {
	switch w.raw {
	case "null":
		return jute.AppendInt32(nil, -1), nil
	case "empty":
		return jute.AppendInt32(nil, 0), nil
	case "open":
		w.value = "world:anyone:cdrwa"
	}
	entries := strings.Split(w.value, "|")
	b := jute.AppendInt32(nil, int32(len(entries)))
	for _, entry := range entries {
		scheme, rest, _ := strings.Cut(entry, ":")
		at := strings.LastIndex(rest, ":")
		if at < 0 {
			return nil, fmt.Errorf("%q is not scheme:id:perms", entry)
		}
		perms, err := permsOf(rest[at+1:])
		if err != nil {
			return nil, err
		}
		b = jute.AppendInt32(b, perms)
		b = jute.AppendString(b, scheme)
		b = appendText(b, word{raw: rest[:at], value: rest[:at]})
	}
	return b, nil
}

func permsOf(text string) (int32, error) {
	if n, err := strconv.ParseInt(text, 10, 32); err == nil {
		return int32(n), nil
	}
	var perms int32
	for _, letter := range text {
		bit, ok := map[rune]int32{'r': jute.PermRead, 'w': jute.PermWrite, 'c': jute.PermCreate, 'd': jute.PermDelete, 'a': jute.PermAdmin}[letter]
		if !ok {
			return 0, fmt.Errorf("%q is no permission", letter)
		}
		perms |= bit
	}
	return perms, nil
}

// appendText adds a string, or a null one.
func appendText(b []byte, w word) []byte {
	if w.raw == "null" {
		return jute.AppendInt32(b, -1)
	}
	return jute.AppendString(b, w.value)
}

// appendTexts adds a list of strings, separated by commas.
func appendTexts(b []byte, w word) []byte {
	if w.raw == "null" {
		return jute.AppendInt32(b, -1)
	}
	if w.raw == "" {
		return jute.AppendInt32(b, 0)
	}
	items := strings.Split(w.value, ",")
	b = jute.AppendInt32(b, int32(len(items)))
	for _, item := range items {
		b = appendText(b, word{raw: item, value: item})
	}
	return b
}
