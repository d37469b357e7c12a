package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"zoolab/internal/cmdline/scripts"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"lab": main})
}

// TestScripts runs the lab as people do, with bad input of every kind above all.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root) // of the repository, where the lab finds compose.yaml
			return nil
		},
		Condition: func(name string) (bool, error) { return name == "root" && os.Getuid() == 0, nil },
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    scripts.Exits,
			"tmpfs":    mountSmall,
			"readonly": remountReadOnly,
			"working":  awaitWork,
		},
	})
}

// awaitWork waits until the command in the background has taken a second of processor time: then
// it is long past its start, however slow the machine is.
func awaitWork(ts *testscript.TestScript, _ bool, _ []string) {
	const ticks = 100 // a second, as Linux counts for processes
	stat := fmt.Sprintf("/proc/%d/stat", ts.BackgroundCmds()[0].Process.Pid)
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(stat)
		ts.Check(err)
		// Behind the name in parentheses there are the state and ten numbers, then user and system time.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		user, err := strconv.Atoi(fields[11])
		ts.Check(err)
		if user >= ticks {
			return
		}
	}
	ts.Fatalf("the command does not work")
}

// mountSmall is "tmpfs DIR SIZE": a file system of that size until the script ends.
func mountSmall(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o755))
	ts.Check(syscall.Mount("none", dir, "tmpfs", 0, "size="+args[1]))
	ts.Defer(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// remountReadOnly is "readonly DIR": a file system of mountSmall takes no more writes.
func remountReadOnly(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(syscall.Mount("none", ts.MkAbs(args[0]), "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
}
