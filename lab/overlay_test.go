package main

import (
	"bufio"
	"context"
	"os"
	"testing"
)

// TestOtherLabHasTheLastWord: one that is interrupted, and still ends as it should, is no
// crash, and its verdict counts.
func TestOtherLabHasTheLastWord(t *testing.T) {
	for _, code := range []string{"0", "2"} {
		out, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		defer in.Close()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		go func() {
			if bufio.NewScanner(out).Scan() { // it is ready
				interrupt()
			}
		}()
		script := `trap "exit ` + code + `" TERM; echo ready; for i in $(seq 600); do sleep 0.1; done; exit 3`
		if got := other(ctx, in, os.Stderr, "sh", "-c", script); got != int(code[0]-'0') {
			t.Errorf("exit code %d, want %s", got, code)
		}
	}
}
