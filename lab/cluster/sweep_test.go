package cluster

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestSweep starts a lab in a process of its own for each driver, kills it
// with SIGKILL, and wants Sweep to remove its cluster, but not a living lab's.
func TestSweep(t *testing.T) {
	if os.Getenv("ZOOLAB_TEST_VICTIM") != "" {
		t.Skip("is itself the lab to be killed")
	}
	t.Parallel()
	for _, driver := range []string{DriverDocker, DriverLocal} {
		t.Run(driver, func(t *testing.T) {
			living := startTestCluster(t, driver)
			run := "victim-" + drawRun()
			ready := filepath.Join(t.TempDir(), "ready")
			victim := exec.Command(os.Args[0], "-test.run", "^TestSweepVictim$")
			victim.Env = append(os.Environ(), "ZOOLAB_TEST_VICTIM="+driver, "ZOOLAB_TEST_RUN="+run, "ZOOLAB_TEST_READY="+ready)
			victim.Stdout, victim.Stderr = testWriter{t}, testWriter{t}
			if err := victim.Start(); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the other lab has started its cluster", func() error {
				_, err := os.Stat(ready)
				return err
			})
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = victim.Wait() // it was killed, which is an error

			if traces := runTraces(t, driver, run); len(traces) == 0 {
				t.Log("another lab has swept already") // runs begin with a sweep
			}
			for range 2 {
				if _, err := SweepRuns(t.Context(), testLogger(t), driver); err != nil {
					t.Error(err)
				}
				if traces := runTraces(t, driver, run); len(traces) > 0 {
					t.Errorf("left behind: %v", traces)
				}
			}
			if _, err := Sweep(t.Context(), testLogger(t), false); err != nil {
				t.Error(err)
			}
			allAnswer(t, living) // the sweep has not disturbed a living lab
		})
	}
}

// TestSweepLeavesWhatIsBeingMade wants a directory left alone that has no owner's name yet,
// and swept when it never got one.
func TestSweepLeavesWhatIsBeingMade(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(localRoot(), "new")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := SweepRuns(t.Context(), testLogger(t), DriverLocal); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("what was just made is gone: %v", err)
	}
	old := time.Now().Add(-2 * ownTime)
	if err := os.Chtimes(dir, old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := SweepRuns(t.Context(), testLogger(t), DriverLocal); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what nobody owns is left: %v", err)
	}
}

func runTraces(t *testing.T, driver, run string) []string {
	t.Helper()
	if driver == DriverDocker {
		cli, _, err := connectEngine(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer cli.Close()
		return dockerLeftovers(t, &dockerCluster{cli: cli, opts: Options{Run: run}})
	}
	return localLeftovers(t, run)
}

// TestSweepVictim is the lab that TestSweep kills.
func TestSweepVictim(t *testing.T) {
	driver := os.Getenv("ZOOLAB_TEST_VICTIM")
	if driver == "" {
		t.Skip("is started by TestSweep")
	}
	c, err := New(t.Context(), Options{
		Driver: driver, Run: os.Getenv("ZOOLAB_TEST_RUN"), Nodes: 1, ComposeFile: "../../compose.yaml",
		Binary: buildServer(t), Logger: testLogger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(os.Getenv("ZOOLAB_TEST_READY"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Minute)
}
