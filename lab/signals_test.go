package main

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestBrokenPipe wants a lab to live on whose output nobody reads any more: it has an
// ensemble to stop.
func TestBrokenPipe(t *testing.T) {
	if os.Getenv("ZOOLAB_TEST_BROKEN_PIPE") != "" {
		_, stop := interrupted()
		defer stop()
		if _, err := fmt.Println("nobody reads this"); err == nil {
			t.Error("the pipe is not broken")
		}
		return
	}
	t.Parallel()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	lab := exec.Command(os.Args[0], "-test.run", "^TestBrokenPipe$")
	lab.Env, lab.Stdout, lab.Stderr = append(os.Environ(), "ZOOLAB_TEST_BROKEN_PIPE=1"), writer, os.Stderr
	err = lab.Run()
	if status := lab.ProcessState; status == nil || !status.Exited() {
		t.Errorf("the lab ended by %v, %v", status, err)
	}
}
