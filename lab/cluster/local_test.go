package cluster

import (
	"context"
	"testing"
	"time"
)

// TestCommandEndsWithItsContext has a program leave a child that holds its
// standard output open.
func TestCommandEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := command(ctx, "sh", "-c", "sleep 120 & sleep 120"); err == nil {
		t.Error("no error from a program that was killed")
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("returned after %s, want the whole group killed at once", took)
	}
}
