package clienttest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"

	"zoolab/internal/apache"
)

// talk is a client that answers each line it is given with one line.
type talk struct {
	t     *testing.T
	in    io.Writer
	lines *bufio.Scanner
	seen  strings.Builder
}

func startTalk(t *testing.T, name string, args ...string) *talk {
	t.Helper()
	cmd := exec.Command(name, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timeout := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	t.Cleanup(func() {
		in.Close()
		_, _ = io.Copy(io.Discard, out)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s ended with %v", name, err)
		}
		timeout.Stop()
	})
	return &talk{t: t, in: in, lines: bufio.NewScanner(out)}
}

func (c *talk) say(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, line); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads lines until one of the texts comes, and returns it.
func (c *talk) expect(texts ...string) string {
	c.t.Helper()
	for c.lines.Scan() {
		fmt.Fprintln(&c.seen, c.lines.Text())
		for _, text := range texts {
			if strings.Contains(c.lines.Text(), text) {
				return text
			}
		}
	}
	c.t.Fatalf("the client ended without %q:\n%s", texts, c.seen.String())
	return ""
}

// eachMemberDown starts an ensemble and calls f while each of its members in turn is
// dead, so once while the leader is and once while the client's server is.
func eachMemberDown(t *testing.T, use func(servers string) (down func(round int))) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	binary, err := shared.binary()
	if err != nil {
		t.Fatal(err)
	}
	cfgs := make([]apache.Config, ensembleSize)
	for i := range cfgs {
		cfgs[i].Command = []string{binary, "serve"}
	}
	servers, err := apache.StartEnsemble(ctx, t.TempDir(), cfgs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = apache.StopAll(servers) }) // before the client's cleanup is registered
	down := use(connectString(servers))
	for round, server := range servers {
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		down(round)
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		if err := server.WaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// TestKazooFailover keeps a session while every member dies once.
func TestKazooFailover(t *testing.T) {
	needKazoo(t)
	eachMemberDown(t, func(servers string) func(int) {
		client := startTalk(t, python, "testdata/failover.py", servers)
		client.expect("ready")
		return func(round int) {
			client.say(fmt.Sprint("value-", round))
			client.expect(fmt.Sprintf("value-%d True", round))
		}
	})
}

// TestJavaFailover does the same with Apache's shell, which tries nothing twice.
func TestJavaFailover(t *testing.T) {
	need(t, javaShell, "zookeeper default-jre-headless")
	eachMemberDown(t, func(servers string) func(int) {
		client := startTalk(t, javaShell, "-server", servers)
		client.say("create -e /failover")
		client.expect("Created /failover")
		return func(round int) {
			for {
				client.say(fmt.Sprintf("set /failover value-%d\ngetEphemerals\nget /failover", round))
				if client.expect(fmt.Sprintf("value-%d", round), "ConnectionLoss for /failover") != "ConnectionLoss for /failover" {
					break
				}
			}
			client.say("getEphemerals")
			client.expect("[/failover]")
		}
	})
}
