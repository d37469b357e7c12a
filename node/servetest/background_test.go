package servetest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"zoolab/internal/process"
	"zoolab/zk/jute"
)

// endDaemon ends what a failed script left in the background.
func endDaemon(pidFile string) {
	text, err := os.ReadFile(pidFile)
	if err != nil {
		return
	}
	if pid, err := strconv.Atoi(string(text)); err == nil && pid > 1 {
		process.KillDaemon(pid)
	}
}

// waitFile waits until a file is there and has something in it.
func waitFile(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if b, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && len(b) > 0 {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("there is no %s", args[0])
		}
	}
}

// damage replaces the first of a text in a file: file, old, new.
func damage(ts *testscript.TestScript, _ bool, args []string) {
	b := []byte(ts.ReadFile(args[0]))
	at := bytes.Index(b, []byte(args[1]))
	if at < 0 {
		ts.Fatalf("%s does not hold %q", args[0], args[1])
	}
	copy(b[at:], args[2])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o644))
}

// fillNodes creates so many znodes: address, count.
func fillNodes(ts *testscript.TestScript, _ bool, args []string) {
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	c, err := net.Dial("tcp", args[0])
	ts.Check(err)
	defer c.Close()
	w := &wire{script: &script{names: make(map[int64]string)}, conn: c}
	w.send(jute.Marshal(&jute.ConnectRequest{TimeoutMs: 10000, Passwd: make([]byte, 16)}))
	for i := range count {
		_, err := w.read()
		ts.Check(err)
		h := jute.RequestHeader{Xid: int32(i + 1), Type: jute.OpCreate}
		w.send(createReq(fmt.Sprintf("/fill%d", i), "x", 0).Append(jute.Marshal(&h)))
	}
	_, err = w.read()
	ts.Check(err)
}
