package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"zoolab/internal/cmdline/scripts"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"simrun": main}) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": scripts.Exits},
	})
}
