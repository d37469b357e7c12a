package cli

import (
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string // nil for an error
	}{
		{"ls /", []string{"ls", "/"}},
		{"  ls\t/  ", []string{"ls", "/"}},
		{`set /a "two words"`, []string{"set", "/a", "two words"}},
		{`set /a 'a "b" c'`, []string{"set", "/a", `a "b" c`}},
		{`set /a ""`, []string{"set", "/a", ""}},
		{"set /a it's", []string{"set", "/a", "it's"}},
		{`set /a {"a":1}`, []string{"set", "/a", `{"a":1}`}},
		{`set /a "x"y`, []string{"set", "/a", "x", "y"}}, // as zkCli.sh does
		{`set /a "x""y"`, []string{"set", "/a", "x", "y"}},
		{"set /ä ö", []string{"set", "/ä", "ö"}},
		{`get "open`, nil},
		{`get 'o"pen`, nil},
		{`get "a" '`, nil},
	} {
		got, err := split(test.line)
		if (err != nil) != (test.want == nil) || !slices.Equal(got, test.want) {
			t.Errorf("split(%q) = %q, %v; want %q", test.line, got, err, test.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ line, options, words, complaint string }{
		{"get /a", "", "/a", ""},
		{"get -s -w /a", "s= w=", "/a", ""},
		{"get /a -sw", "s= w=", "/a", ""},
		{"set -v 3 /a b", "v=3", "/a b", ""},
		{"set -v3 /a b", "v=3", "/a b", ""},
		{"set -v=3 /a b", "v=3", "/a b", ""},
		{"set -sv 3 /a b", "s= v=3", "/a b", ""},
		{"set -v -1 /a b", "v=-1", "/a b", ""},
		{"set /a -5", "", "/a -5", ""},
		{"set /a -x", "", "/a -x", ""},
		{"set -- -s -v", "", "-s -v", ""},
		{"set /a -- -s", "", "/a -s", ""},
		{"set /a -", "", "/a -", ""},
		{"reconfig -add 1=a,2=b -remove=3", "add=1=a,2=b remove=3", "", ""},
		{"get", "", "", "get [-s] [-w] path"},
		{"get -sx /a", "", "", "Unrecognized option: -sx; usage: get [-s] [-w] path"},
		{"set /a b -v", "", "", "Missing argument for option: v; usage: set [-s] [-v version] path data"},
		{"version x", "", "", "version"},
		{"setquota /a", "", "", "Missing required option: one of -n, -b, -N, -B; usage: setquota -n|-b|-N|-B val path"},
		{"delquota -nB /a", "", "",
			"The option 'B' was specified but an option from this group has already been selected: 'n'; usage: delquota [-n|-b|-N|-B] path"},
	} {
		words := strings.Fields(test.line)
		c, _ := find(words[0])
		args, err := c.parse(words[1:])
		if test.complaint != "" {
			if err == nil || err.Error() != test.complaint {
				t.Errorf("%s: %v, want %q", test.line, err, test.complaint)
			}
			continue
		}
		var options []string
		for name, value := range args.options {
			options = append(options, name+"="+value)
		}
		slices.Sort(options)
		if got := strings.Join(options, " "); err != nil || got != test.options || strings.Join(args.words, " ") != test.words {
			t.Errorf("%s: options %q, words %q, %v; want %q, %q", test.line, got, args.words, err, test.options, test.words)
		}
	}
}

func TestPathComplaints(t *testing.T) {
	for path, want := range map[string]string{
		"/": "", "/a/b": "", "/a/.b/c..": "", "/zookeeper/ü": "",
		"":           "Path length must be > 0",
		"a":          "Path must start with / character",
		"/a/":        "Path must not end with / character",
		"/a//b":      `Invalid path string "/a//b" caused by empty node name specified @3`,
		"/a/./b":     `Invalid path string "/a/./b" caused by relative paths not allowed @3`,
		"/a/..":      `Invalid path string "/a/.." caused by relative paths not allowed @4`,
		"/ab/c\x00":  "Invalid path string \"/ab/c\x00\" caused by null character not allowed @5",
		"/ab/\u009f": "Invalid path string \"/ab/\u009f\" caused by invalid character @4",
	} {
		got := ""
		if err := checkPath(path); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

func TestTrack(t *testing.T) {
	for text, want := range map[string]string{
		"":                 "count=-1,bytes=-1",
		"count=3,bytes=5":  "count=3,bytes=5",
		"count=,bytes=":    "count=-1,bytes=-1",
		"bytes=5,count=-1": "count=-1,bytes=5",
		"count=1,bytes=3=;countHardLimit=100;byteHardLimit=1000": "count=1,bytes=3=;byteHardLimit=1000;countHardLimit=100",
		"count=1,bytes=3=;later=7":                               "count=1,bytes=3=;later=7",
	} {
		got, err := parseTrack([]byte(text))
		if err != nil || got.String() != want {
			t.Errorf("%q: %v, %v; want %s", text, got, err, want)
		}
	}
	if _, err := parseTrack([]byte("count=many")); err == nil {
		t.Error("a count that is no number was taken")
	}
}

func TestConnectString(t *testing.T) {
	for configuration, want := range map[string]string{
		"": " ",
		"server.1=a:1:2:participant;b:2181\nserver.2=c:1:2:observer;2182\nserver.3=d:1:2\nversion=10000000a": "10000000a b:2181,0.0.0.0:2182",
	} {
		if got := connectString(configuration); got != want {
			t.Errorf("%q: %q, want %q", configuration, got, want)
		}
	}
}

// FuzzLine finds lines that make the shell panic, and parts of quotas that it loses.
func FuzzLine(f *testing.F) {
	f.Add(`set -v3 /a "two words"`)
	f.Add("count=1,bytes=3=;byteHardLimit=1000")
	f.Fuzz(func(t *testing.T, line string) {
		if words, err := split(line); err == nil && len(words) > 0 {
			for i := range commands {
				_, _ = commands[i].parse(words[1:])
			}
		}
		_ = checkPath(line)
		_ = connectString(line)
		track, err := parseTrack([]byte(line))
		if err != nil {
			return
		}
		again, err := parseTrack([]byte(track.String()))
		if err != nil || again.String() != track.String() {
			t.Errorf("%q became %q, then %q, %v", line, track, again, err)
		}
	})
}
