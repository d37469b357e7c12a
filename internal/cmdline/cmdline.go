// Package cmdline parses the flags of the commands of this project, with errors that say what
// is wanted. The flag package's own say "parse error".
package cmdline

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
	"time"
)

// refused matches what the flag package says of a value that it can't read.
var refused = regexp.MustCompile(`for (?:flag )?-([^ :]+): (?:parse error|value out of range|invalid boolean value.*)$`)

// Parse reads flags from args, as flags.Parse does. The error is flag.ErrHelp where help was
// asked for.
func Parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return err
	}
	return Explain(flags, err)
}

// Explain adds to an error of flags what value would have been right.
func Explain(flags *flag.FlagSet, err error) error {
	match := refused.FindStringSubmatch(err.Error())
	if match == nil {
		return err
	}
	f := flags.Lookup(match[1])
	if f == nil {
		return err
	}
	if want := Want(f); want != "" {
		return fmt.Errorf("%w; want %s", err, want)
	}
	return err
}

// Want says what the values of a flag look like, "" where that is not known.
func Want(f *flag.Flag) string {
	getter, ok := f.Value.(flag.Getter)
	if !ok {
		return ""
	}
	switch getter.Get().(type) {
	case time.Duration:
		return "a number with its unit, such as 30s or 10m"
	case int, int64:
		return "a whole number, such as 7"
	case uint, uint64:
		return "a whole number that is not negative, such as 7"
	case float64:
		return "a number, such as 200 or 0.5"
	case bool:
		return "true or false, behind an equals sign"
	}
	return ""
}
