package servetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"zoolab/internal/apache"
	"zoolab/zk/jute"
	"zoolab/zk/tlsconf"
)

// stores has key stores made by Java's keytool, with the password secret6.
var stores, _ = filepath.Abs("../../zk/tlsconf/testdata/stores")

// TestScripts runs the command line: each file of testdata is a story of one process.
// $NODE is the program, $PORT a free port, $ADDR the address with it, $STORES the directory of key stores.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			ports, err := apache.FreePorts(4)
			if err != nil {
				return err
			}
			for i, name := range []string{"QUORUM", "ELECTION", "OTHER"} {
				env.Setenv(name, fmt.Sprint(ports[i+1]))
			}
			scripts, err := filepath.Abs("../../scripts")
			if err != nil {
				return err
			}
			env.Setenv("SCRIPTS", scripts)
			env.Defer(func() { endDaemon(filepath.Join(env.WorkDir, "data", "zookeeper_server.pid")) })
			env.Setenv("NODE", nodeBinary)
			env.Setenv("STORES", stores)
			env.Setenv("PORT", fmt.Sprint(ports[0]))
			env.Setenv("ADDR", fmt.Sprintf("127.0.0.1:%d", ports[0]))
			return nil
		},
		Condition: func(condition string) (bool, error) {
			switch condition {
			case "root":
				return os.Getuid() == 0, nil
			case "default-port-free":
				l, err := net.Listen("tcp", ":2181")
				if err != nil {
					return false, nil
				}
				return true, l.Close()
			}
			return false, fmt.Errorf("no condition %q", condition)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"expand": expand, "ready": ready, "fill": fill, "occupy": occupy, "waitword": waitWord, "term": term,
			"secure":   secureWord,
			"waitfile": waitFile, "damage": damage, "fillnodes": fillNodes,
		},
	})
}

// expand replaces variables in files.
func expand(ts *testscript.TestScript, _ bool, files []string) {
	for _, file := range files {
		path := ts.MkAbs(file)
		ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(file), ts.Getenv)), 0o644))
	}
}

// ready waits until the server at an address serves.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		_, err := apache.Mode(args[0])
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s does not serve: %v", args[0], err)
		}
	}
}

// term sends SIGTERM to what runs in the background, which kill can't.
func term(ts *testscript.TestScript, _ bool, _ []string) {
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// waitWord waits until a four-letter word has an answer: address, word, answer.
func waitWord(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		answer, err := apache.Command(args[0], args[1])
		if err == nil && answer == args[2] {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s answers %q (%v) to %s", args[0], answer, err, args[1])
		}
	}
}

// secureWord prints the answer to a four-letter word on a TLS port: address, word.
func secureWord(ts *testscript.TestScript, _ bool, args []string) {
	store := func(name string) tlsconf.Store {
		return tlsconf.Store{Path: filepath.Join(stores, name), Password: "secret6"}
	}
	client, err := tlsconf.Open(tlsconf.Settings{KeyStore: store("server.jks"), TrustStore: store("trust.p12")}, nil)
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		answer, err := askSecurely(client, args[0], args[1])
		if err == nil && strings.Contains(answer, "Mode: ") {
			_, err = io.WriteString(ts.Stdout(), answer)
			ts.Check(err)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s answers %q (%v) to %s", args[0], answer, err, args[1])
		}
	}
}

// askSecurely returns what a TLS port answers to a four-letter word. An answer that does
// not end as TLS wants it is an error.
func askSecurely(client *tlsconf.Stores, address, word string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

// occupy listens on an address for as long as the script runs.
func occupy(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", args[0])
	ts.Check(err)
	ts.Defer(func() { l.Close() })
}

// fill creates znodes until the server ends the connection.
func fill(ts *testscript.TestScript, _ bool, args []string) {
	c, err := net.Dial("tcp", args[0])
	ts.Check(err)
	defer c.Close()
	w := &wire{script: &script{names: make(map[int64]string)}, conn: c}
	w.send(jute.Marshal(&jute.ConnectRequest{TimeoutMs: 10000, Passwd: make([]byte, 16)}))
	for i := range 10_000 {
		if _, err := w.read(); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				ts.Fatalf("the server neither answers nor ends")
			}
			return
		}
		h := jute.RequestHeader{Xid: int32(i + 1), Type: jute.OpCreate}
		w.send(createReq(fmt.Sprintf("/n%d", i), strings.Repeat("x", 4096), 0).Append(jute.Marshal(&h)))
	}
	ts.Fatalf("the disk never was full")
}

// logOf returns what a server wrote.
func logOf(t *testing.T, s *apache.Server) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Clean(s.LogFile))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
