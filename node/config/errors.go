package config

import (
	"fmt"
	"strings"
)

// Error is one fault of the configuration. Its text is what an operator reads
// before a server that did not start.
type Error struct {
	File    string // path as it was given, or a description of the source
	Line    int    // line in File, from 1; 0 when the fault is that a line is absent
	Key     string // setting as written in the file; "" when the file itself is at fault
	Problem string // what is wrong
	Fix     string // what to write instead
}

// Error gives "file:line: key: problem; fix".
func (e *Error) Error() string {
	text := position(e.File, e.Line, e.Key) + shortened(e.Problem)
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	return text
}

// Wrong is the Error of a setting that turns out to be unusable when the server starts, at
// the line where it was given.
func (c *Config) Wrong(key, problem, fix string) *Error {
	canonical, _ := canonicalKey(key)
	at, given := c.places[canonical]
	if !given {
		at = place{file: c.File, key: key}
	}
	if at.file == "" {
		at.file = "default configuration"
	}
	return &Error{File: at.file, Line: at.line, Key: at.key, Problem: problem, Fix: fix}
}

// ClientAddrKey names the setting that the address of a client port comes from.
func (c *Config) ClientAddrKey(secure bool) string {
	keys := []string{"clientPortAddress", "clientPort"}
	if secure {
		keys = []string{"secureClientPortAddress", "secureClientPort"}
	}
	for _, key := range keys {
		if _, given := c.places[key]; given {
			return key
		}
	}
	for _, server := range c.Membership.Servers {
		if server.ID == c.MyID || !c.Distributed {
			return fmt.Sprintf("server.%d", server.ID)
		}
	}
	return keys[1]
}

// Errors are all faults that were found, in order of file and line. Use
// errors.As with a *Error to reach the first.
type Errors []*Error

// Error gives one line per fault.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the single faults to errors.As and errors.Is.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// Warning is something in the configuration that an operator should know and
// that does not keep the server from starting.
type Warning struct {
	File    string
	Line    int // 0 when no single line is meant
	Key     string
	Problem string
}

// String gives "file:line: key: problem".
func (w Warning) String() string { return position(w.File, w.Line, w.Key) + shortened(w.Problem) }

// maxQuotedBytes is how much of a key, or of what is said of its value, a message shows.
const maxQuotedBytes = 600

// shortened takes the middle out of a text that nobody would read to its end: a file that is
// no configuration may have lines of any length.
func shortened(text string) string {
	if len(text) <= maxQuotedBytes {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuotedBytes/2]+" ... "+text[len(text)-maxQuotedBytes/2:], "")
}

func position(file string, line int, key string) string {
	text := file
	if line > 0 {
		text += fmt.Sprintf(":%d", line)
	}
	text += ": "
	if key != "" {
		text += shortened(key) + ": "
	}
	return text
}

// fault is an Error without its place: what a parser of single values returns.
// nil means that all is well.
type fault struct {
	problem string
	fix     string
}

func faultf(fix, format string, args ...any) *fault {
	return &fault{problem: fmt.Sprintf(format, args...), fix: fix}
}
