package cmdline

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
	"time"
)

func TestParseSaysWhatIsWanted(t *testing.T) {
	for _, test := range []struct{ arg, want string }{
		{"-count=abc", "-count: parse error; want a whole number, such as 7"},
		{"-count=99999999999999999999", "-count: value out of range; want a whole number"},
		{"-unsigned=-1", "want a whole number that is not negative"},
		{"-rate=fast", "want a number, such as"},
		{"-wait=30", "want a number with its unit"},
		{"-force=maybe", "want true or false"},
		{"-other", "flag provided but not defined: -other"},
		{"-count", "flag needs an argument: -count"},
	} {
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		flags.Int64("count", 0, "")
		flags.Uint64("unsigned", 0, "")
		flags.Float64("rate", 0, "")
		flags.Duration("wait", time.Second, "")
		flags.Bool("force", false, "")
		if err := Parse(flags, []string{test.arg}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.arg, err, test.want)
		}
		if err := Parse(flags, []string{"-h"}); !errors.Is(err, flag.ErrHelp) {
			t.Errorf("-h: %v", err)
		}
	}
}
