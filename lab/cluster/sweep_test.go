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
			eventually(t, time.Minute, "the other lab has started its cluster", func() error {
				_, err := os.Stat(ready)
				return err
			})
			if err := victim.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = victim.Wait() // it was killed, which is an error

			if err := errors.Join(sweepNothing(t, living, false), sweepNothing(t, living, true)); err != nil {
				t.Error(err)
			}
			if traces := runTraces(t, driver, run); len(traces) > 0 {
				t.Errorf("left behind: %v", traces)
			}
		})
	}
}

// sweepNothing sweeps, and is an error if a living lab was disturbed, or if
// nothing was left to be swept when something should have been.
func sweepNothing(t *testing.T, living Cluster, again bool) error {
	t.Helper()
	removed, err := Sweep(t.Context(), testLogger(t), false)
	if err != nil {
		return err
	}
	if !again && removed == 0 {
		return errors.New("Sweep found nothing")
	}
	for _, m := range living.Members() {
		if !living.Answers(t.Context(), m.Name) {
			return errors.New("Sweep has disturbed a living lab: " + m.Name + " does not answer")
		}
	}
	return nil
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
	time.Sleep(time.Minute)
}
