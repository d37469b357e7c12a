// Package tools has the commands that look at data directories, and change them only
// where that is what they are for: txnlog, snapshot, purge, init.
//
// What Apache ZooKeeper has a tool for is printed as that tool prints it (TxnLogToolkit,
// SnapshotFormatter, SnapshotComparer, PurgeTxnLog, zkServer-initialize.sh), so that
// scripts keep working; where the form was of no use it differs, and the function's
// comment says how. Children are in order here, where Apache's are in that of a hash.
//
// A directory may be in use by a server: everything but purge and init only reads, repairs
// nothing, and takes the end of a log that is being written for its end.
//
// Each command is called with its arguments and gives the exit code: 0 done, 1 failed,
// 2 wrong arguments.
package tools

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// Streams are what a command talks to.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// command is one command with its arguments.
type command struct {
	name  string // as it is called: "node purge"
	usage string
	flags *flag.FlagSet
	Streams
}

func newCommand(name, usage string, s Streams) *command {
	c := &command{name: name, usage: usage, flags: flag.NewFlagSet(name, flag.ContinueOnError), Streams: s}
	c.flags.SetOutput(io.Discard)
	return c
}

// boolean is a flag with a short and a long name, as Apache's tools have them.
func (c *command) boolean(short, long string) *bool {
	p := c.flags.Bool(short, false, "")
	c.flags.BoolVar(p, long, false, "")
	return p
}

// text is the same for a flag with a value.
func (c *command) text(short, long, value string) *string {
	p := c.flags.String(short, value, "")
	c.flags.StringVar(p, long, value, "")
	return p
}

// parse takes flags and other arguments in any order, and several flags of one letter in
// one argument. A code of -1 says to go on.
func (c *command) parse(args []string, least, most int) (rest []string, code int) {
	args = c.split(args)
	for {
		if err := c.flags.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				fmt.Fprint(c.Out, c.usage)
				return nil, exitDone
			}
			return nil, c.wrong("%v", err)
		}
		if c.flags.NArg() == 0 {
			break
		}
		rest = append(rest, c.flags.Arg(0))
		args = c.flags.Args()[1:]
	}
	switch {
	case len(rest) < least:
		return nil, c.wrong("there are too few arguments")
	case len(rest) > most:
		return nil, c.wrong("there are too many arguments, from %q on", rest[most])
	}
	return rest, -1
}

// split gives each of several flags in one argument its own.
func (c *command) split(args []string) []string {
	var list []string
	for _, arg := range args {
		letters, dashed := strings.CutPrefix(arg, "-")
		together := dashed && len(letters) > 1 && c.flags.Lookup(letters) == nil
		for _, letter := range letters {
			f := c.flags.Lookup(string(letter))
			together = together && f != nil && isBool(f)
		}
		if !together {
			list = append(list, arg)
			continue
		}
		for _, letter := range letters {
			list = append(list, "-"+string(letter))
		}
	}
	return list
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// wrong is for wrong arguments.
func (c *command) wrong(format string, args ...any) int {
	fmt.Fprintf(c.Err, "%s: %s; see %s -h\n", c.name, fmt.Sprintf(format, args...), c.name)
	return exitUsage
}

// failed is for what could not be done.
func (c *command) failed(err error) int {
	fmt.Fprintf(c.Err, "%s: %v\n", c.name, err)
	return exitFailed
}

// dateTime is a time as Apache's tools write it, DateFormat.SHORT and LONG of Java 17.
const dateTime = "1/2/06, 3:04:05 PM MST"
