package main

import (
	"bufio"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
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

// TestInterruptedBuildOfOtherLab ends without a verdict, which is no fault of the lab's, and
// leaves nothing.
func TestInterruptedBuildOfOtherLab(t *testing.T) {
	inRepository(t)
	overlay := filepath.Join(t.TempDir(), "overlay.json")
	if err := os.WriteFile(overlay, []byte(`{"Replace": {}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	o := defaultOptions()
	o.Overlay = overlay
	ctx, interrupt := context.WithTimeout(t.Context(), 300*time.Millisecond) // linking alone takes longer
	defer interrupt()
	if code := rebuild(ctx, &o, nil, os.Stderr, os.Stderr); code != exitUnknown {
		t.Errorf("exit code %d, want %d", code, exitUnknown)
	}
	if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}
