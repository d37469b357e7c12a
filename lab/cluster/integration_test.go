package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"

	"zoolab/nemesis"
)

// buildServer builds the stand-in server as a static binary.
func buildServer(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "server")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "./testdata/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the stand-in server: %v\n%s", err, out)
	}
	return binary
}

// testLogger writes to the test's log.
func testLogger(t *testing.T) *slog.Logger {
	return slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelInfo}))
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// startTestCluster starts three stand-in servers, or skips the test where the
// driver can't work.
func startTestCluster(t *testing.T, driver string) Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a cluster")
	}
	// The first one on a machine also makes the images.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	switch driver {
	case DriverDocker:
		cli, _, err := connectEngine(ctx)
		if err != nil {
			t.Skipf("needs a container engine: %v", err)
		}
		_ = cli.Close()
	case DriverLocal:
		if os.Geteuid() != 0 {
			t.Skip("the local driver needs root")
		}
	}
	c, err := New(ctx, Options{
		Driver: driver, Nodes: 3, ComposeFile: "../../compose.yaml", Binary: buildServer(t), Logger: testLogger(t),
		Faults: nemesis.Kinds(), Binary2: buildServer(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stopCtx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		if err := c.Stop(stopCtx); err != nil {
			t.Error(err)
		}
	})
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	allAnswer(t, c)
	return c
}

// eventually waits for what one look may miss on a busy machine: probes and questions to
// servers give up soon.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	const timeout = 2 * time.Minute
	deadline := time.Now().Add(timeout)
	for {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, timeout, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// allAnswer waits until every member answers.
func allAnswer(t *testing.T, c Cluster) {
	t.Helper()
	for _, m := range c.Members() {
		eventually(t, m.Name+" answers", func() error {
			if !c.Answers(t.Context(), m.Name) {
				return errors.New("no answer at " + m.Client)
			}
			return nil
		})
	}
}

func TestDockerCluster(t *testing.T) { testCluster(t, DriverDocker) }

func TestLocalCluster(t *testing.T) { testCluster(t, DriverLocal) }

func testCluster(t *testing.T, driver string) {
	t.Parallel()
	c := startTestCluster(t, driver)
	t.Logf("%+v", c.Info())
	eventually(t, "n1 leads", func() error {
		leader, err := c.Leader(t.Context())
		if err == nil && leader != "n1" {
			t.Fatalf("leader %q, want n1", leader)
		}
		return err
	})
	t.Run("commands", func(t *testing.T) { testCommands(t, c.(namespaces)) })
	t.Run("schedule", func(t *testing.T) { testSchedule(t, c) })
	t.Run("disks", func(t *testing.T) { testDisks(t, c) })
	t.Run("limits", func(t *testing.T) { testLimits(t, c) })
	t.Run("changes", func(t *testing.T) { testChanges(t, c) })
	t.Run("shapes", func(t *testing.T) { testShapes(t, c) })
	t.Run("rules survive a restart", func(t *testing.T) { testRulesSurvive(t, c) })
	t.Run("heal all", func(t *testing.T) { testHealAll(t, c) })
	t.Run("crash is no fault", func(t *testing.T) { testCrash(t, c) })
	t.Run("collect", func(t *testing.T) { testCollect(t, c) })
	t.Run("stop", func(t *testing.T) { testStop(t, c, driver) })
}

// TestAutoDriver: without an engine, auto takes the local driver and says why.
func TestAutoDriver(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the local driver needs root")
	}
	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(t.TempDir(), "no-engine.sock"))
	o := Options{Driver: DriverAuto, Nodes: 3, ComposeFile: "../../compose.yaml", Binary: "server"}
	c, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if info := c.Info(); info.Driver != DriverLocal || !strings.Contains(info.Why, ErrNoEngine.Error()) {
		t.Errorf("%+v", info)
	}
	o.Driver = DriverDocker
	if _, err := New(t.Context(), o); !errors.Is(err, ErrNoEngine) {
		t.Errorf("docker without an engine: %v", err)
	}
}

// TestCancelledStart cuts the start off at several moments, as Ctrl-C does:
// nothing may be left of it.
func TestCancelledStart(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts clusters")
	}
	binary := buildServer(t)
	for driver, moments := range map[string][]time.Duration{
		DriverDocker: {100 * time.Millisecond, 500 * time.Millisecond, 900 * time.Millisecond, 1300 * time.Millisecond},
		DriverLocal:  {10 * time.Millisecond, 50 * time.Millisecond},
	} {
		for _, moment := range moments {
			t.Run(fmt.Sprintf("%s after %s", driver, moment), func(t *testing.T) {
				c, err := New(t.Context(), Options{Driver: driver, Nodes: 3, ComposeFile: "../../compose.yaml", Binary: binary})
				if errors.Is(err, ErrNoEngine) || os.Geteuid() != 0 {
					t.Skipf("can't use the driver: %v", err)
				}
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), moment)
				defer cancel()
				if err := c.Start(ctx); err == nil {
					t.Log("was started before the moment came")
					if err := c.Stop(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				// What the engine does late would show within a moment. What it still removes is
				// not left.
				time.Sleep(500 * time.Millisecond)
				eventually(t, "nothing is left", func() error {
					if left := runTraces(t, driver, c.Info().Run); len(left) > 0 {
						return fmt.Errorf("left behind: %v", left)
					}
					return nil
				})
			})
		}
	}
}

// testCommands runs commands in a namespace: output, exit code and standard
// error come back, a command that hangs ends with its context, and does no harm
// to those beside and after it.
func testCommands(t *testing.T, ns namespaces) {
	out, err := ns.netExec(t.Context(), "n1", "printf", "%s", "no newline; it's $HOME")
	if err != nil || out != "no newline; it's $HOME" {
		t.Errorf("got %q, %v", out, err)
	}
	for range 2 {
		_, err = ns.netExec(t.Context(), "n1", "sh", "-c", "echo why >&2; exit 3")
		if err == nil || !strings.Contains(err.Error(), "3") || !strings.Contains(err.Error(), "why") {
			t.Errorf("error %v does not tell exit code and standard error", err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := ns.netExec(ctx, "n1", "sleep", "60"); err == nil {
			t.Error("a command outlived its context")
		}
	})
	for i := range 20 {
		want := strings.Repeat(fmt.Sprintf("line %d\n", i), 1000)
		if out, err := ns.netExec(t.Context(), "n1", "printf", "%s", want); err != nil || out != want {
			t.Errorf("%d bytes, %v; want %d", len(out), err, len(want))
		}
	}
	wg.Wait()
	if _, err := ns.netExec(t.Context(), "n9", "true"); err == nil {
		t.Error("a command ran at a member that does not exist")
	}
}

// events records a run's events.
type events struct {
	mu  sync.Mutex
	all []nemesis.Event
}

func (e *events) RecordNemesis(event nemesis.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
}

// testSchedule carries out every kind of fault, two of them overlapping, and
// wants all to be proved effective and healed.
func testSchedule(t *testing.T, c Cluster) {
	step := func(at int, fault, variant string, targets ...string) nemesis.Step {
		return nemesis.Step{At: time.Duration(at) * time.Millisecond, Fault: fault, Variant: variant, Targets: targets, Duration: 400 * time.Millisecond}
	}
	schedule := nemesis.Schedule{
		Members: []string{"n1", "n2", "n3"}, Total: 15 * time.Second,
		Steps: []nemesis.Step{
			step(0, "kill", "one", "n2"),
			step(1200, "pause", "minority", "n3"),
			// A kill of a paused process, which is to be frozen again after its
			// restart, since the pause lasts longer.
			step(2100, "pause", "one", "n3"),
			step(2220, "kill", "one", "n3"),
			step(3300, "partition", "leader", nemesis.RoleLeader),
			step(4800, "partition", "one-way", "n2"),
			step(4860, "kill", "majority", "n1", "n2"),
			step(6900, "partition", "bridge", "n3", "n1"),
			step(7800, "partition", "clients", "n2"),
			step(8700, "partition", "flapping", "n1"),
			step(10800, "partition", "random", "n1", "n2", "n2", "n3"),
			step(11700, "stop", "rolling", "n1", "n2", "n3"),
		},
	}
	schedule.Steps[2].Duration = 1700 * time.Millisecond
	flapping := &schedule.Steps[9]
	flapping.Duration, flapping.Params = 5*time.Second, map[string]int{"periodMs": 400}
	carryOut(t, c, schedule)
}

// carryOut carries a schedule out and wants every step proved and healed. That a probe came too
// late on a busy machine is no proof of the contrary: then it is carried out once more.
func carryOut(t *testing.T, c Cluster, schedule nemesis.Schedule) {
	t.Helper()
	for tries := 3; ; {
		var recorded events
		outcomes, err := nemesis.Run(t.Context(), schedule, c, &recorded)
		for _, e := range recorded.all {
			t.Logf("%d %-9s %s %s %v %s %v", e.Index, e.Phase, e.Fault, e.Variant, e.Targets, e.Detail, e.Err)
		}
		if err != nil || len(outcomes) != len(schedule.Steps) {
			t.Fatalf("%d outcomes of %d, %v", len(outcomes), len(schedule.Steps), err)
		}
		var unproved []string
		for _, e := range recorded.all {
			if e.Phase == nemesis.PhaseHeal && strings.HasPrefix(e.Detail, "0 changes") {
				unproved = append(unproved, "the flapping partition never changed")
			}
		}
		for _, o := range outcomes {
			if errors.Is(o.Err, nemesis.ErrCrashed) {
				tries = 1
			}
			if o.Err != nil || !o.Effective || !o.Healed {
				unproved = append(unproved, fmt.Sprintf("%s %s %v: %+v", o.Step.Fault, o.Step.Variant, o.Targets, o))
			}
		}
		if tries--; len(unproved) == 0 {
			return
		} else if tries == 0 {
			t.Fatal(strings.Join(unproved, "\n"))
		}
		t.Logf("once more, since %s", strings.Join(unproved, "\n"))
	}
}

// testRulesSurvive kills and restarts a node that is cut off: its address and
// the rules stay, its data stays, and clients reach it all the while.
func testRulesSurvive(t *testing.T, c Cluster) {
	ctx := t.Context()
	links := []nemesis.Link{{From: "n1", To: "n2"}, {From: "n2", To: "n1"}}
	want := func(passed bool) {
		t.Helper()
		eventually(t, fmt.Sprintf("links passable: %v", passed), func() error {
			states, err := c.Probe(ctx, append(links, nemesis.Link{From: "n3", To: "n2"}))
			for _, link := range links {
				if states[link].Passed != passed || states[link].Dropped == passed {
					err = errors.Join(err, fmt.Errorf("%s: %+v, want passed %v", link, states[link], passed))
				}
			}
			if open := states[nemesis.Link{From: "n3", To: "n2"}]; !open.Passed || open.Dropped {
				err = errors.Join(err, fmt.Errorf("n3->n2 was not blocked: %+v", open))
			}
			return err
		})
	}
	want(true)
	if err := c.Block(ctx, "survive", links); err != nil {
		t.Fatal(err)
	}
	want(false)
	before := c.Members()
	if err := c.Kill(ctx, "n2"); err != nil {
		t.Fatal(err)
	}
	if status, err := c.Status(ctx, "n2"); err != nil || status.State != nemesis.Down {
		t.Errorf("after kill: %+v, %v", status, err)
	}
	if c.Answers(ctx, "n2") {
		t.Error("a killed node answers")
	}
	if err := c.Restart(ctx, "n2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "n2 answers clients, cut off as it is", func() error {
		if !c.Answers(ctx, "n2") {
			return errors.New("no answer")
		}
		return nil
	})
	want(false)
	if after := c.Members(); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("members changed from %v to %v", before, after)
	}
	if err := c.Unblock(ctx, "survive"); err != nil {
		t.Fatal(err)
	}
	want(true)
}

// testHealAll breaks everything at once and heals it with one call.
func testHealAll(t *testing.T, c Cluster) {
	ctx := t.Context()
	if err := errors.Join(
		c.Kill(ctx, "n1"), c.Pause(ctx, "n2"),
		c.Block(ctx, "all", []nemesis.Link{{From: "n1", To: "n3"}, {From: "n3", To: "n1"}}),
	); err != nil {
		t.Fatal(err)
	}
	eventually(t, "n2 is paused", func() error {
		status, err := c.Status(ctx, "n2")
		if err == nil && (status.State != nemesis.Paused || c.Answers(ctx, "n2")) {
			err = fmt.Errorf("%+v, or it answers", status)
		}
		return err
	})
	if err := c.HealAll(ctx); err != nil {
		t.Fatal(err)
	}
	allAnswer(t, c)
	link := nemesis.Link{From: "n1", To: "n3"}
	eventually(t, "the link passes after HealAll", func() error {
		states, err := c.Probe(ctx, []nemesis.Link{link})
		if err == nil && (!states[link].Passed || states[link].Dropped) {
			err = fmt.Errorf("%+v", states)
		}
		return err
	})
}

// testCrash ends a server behind the nemesis' back: a kill step that finds it
// down must say so instead of passing for effective.
func testCrash(t *testing.T, c Cluster) {
	ctx := t.Context()
	crash := map[string]func() error{
		DriverDocker: func() error {
			d := c.(*dockerCluster)
			return d.cli.ContainerKill(ctx, d.nodes["n3"], "SIGKILL")
		},
		DriverLocal: func() error {
			l := c.(*localCluster)
			return exec.Command("kill", "-9", fmt.Sprint(l.processes["n3"].pid)).Run()
		},
	}[c.Info().Driver]
	if err := crash(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "n3 is down", func() error {
		status, err := c.Status(ctx, "n3")
		if err == nil && status.State != nemesis.Down {
			err = errors.New(status.State.String())
		}
		return err
	})
	if err := c.HealAll(ctx); err != nil {
		t.Fatal(err)
	}
	if status, err := c.Status(ctx, "n3"); err != nil || status.State != nemesis.Down {
		t.Errorf("HealAll hid a crash: %+v, %v", status, err)
	}
	schedule := nemesis.Schedule{Members: []string{"n1", "n2", "n3"}, Total: time.Second, Steps: []nemesis.Step{
		{Fault: "kill", Variant: "one", Targets: []string{"n3"}, Duration: 100 * time.Millisecond},
	}}
	outcomes, err := nemesis.Run(ctx, schedule, c, &events{})
	if err != nil || len(outcomes) != 1 {
		t.Fatalf("%v, %v", outcomes, err)
	}
	if !errors.Is(outcomes[0].Err, nemesis.ErrCrashed) || outcomes[0].Effective {
		t.Errorf("outcome %+v, want %v", outcomes[0], nemesis.ErrCrashed)
	}
}

// testCollect collects with one member killed, and the others at rest.
func testCollect(t *testing.T, c Cluster) {
	ctx := t.Context()
	if err := c.Kill(ctx, "n1"); err != nil {
		t.Fatal(err)
	}
	if err := c.StopNodes(ctx); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := c.Collect(ctx, dir); err != nil {
		t.Fatal(err)
	}
	for _, m := range c.Members() {
		log, err := os.ReadFile(filepath.Join(dir, m.Name, "node.log"))
		if err != nil || !strings.Contains(string(log), "listens on") {
			t.Errorf("log of %s: %q, %v", m.Name, log, err)
		}
		// Once in the rolling stop of the schedule, twice for a change and back, and
		// once at the end; more often if something had to be carried out once more.
		want := 4
		if m.Name == "n1" {
			want = 3
		}
		if ends := strings.Count(string(log), "ends"); ends < want {
			t.Errorf("%s was ended by SIGTERM %d times, want %d at least", m.Name, ends, want)
		}
		starts, err := os.ReadFile(filepath.Join(dir, m.Name, "data", "starts"))
		if err != nil || strings.Count(string(starts), "start of") < 2 {
			t.Errorf("data of %s does not hold what was written before its restarts: %q, %v", m.Name, starts, err)
		}
		if _, err := os.Stat(filepath.Join(dir, m.Name, "state.json")); err != nil {
			t.Error(err)
		}
	}
}

// testStop wants nothing to be left of the run, and Stop to be idempotent.
func testStop(t *testing.T, c Cluster, driver string) {
	ctx := t.Context()
	if err := errors.Join(c.Stop(ctx), c.Stop(ctx)); err != nil {
		t.Fatal(err)
	}
	run := c.Info().Run
	if driver == DriverDocker {
		if left := dockerLeftovers(t, c.(*dockerCluster)); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		return
	}
	if left := localLeftovers(t, run); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func localLeftovers(t *testing.T, run string) []string {
	t.Helper()
	var left []string
	for _, argv := range [][]string{{"ip", "netns", "list"}, {"ip", "link"}, {"iptables", "-w", "-S", "FORWARD"}} {
		out, err := command(t.Context(), argv[0], argv[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out) {
			if strings.Contains(line, bridgeName(run)) {
				left = append(left, strings.TrimSpace(line))
			}
		}
	}
	if _, err := os.Stat(filepath.Join(localRoot(), run)); !errors.Is(err, os.ErrNotExist) {
		left = append(left, filepath.Join(localRoot(), run))
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, process := range processes {
		if pid, err := strconv.Atoi(filepath.Base(process)); err == nil && runsIn(pid, filepath.Join(localRoot(), run)) {
			left = append(left, process)
		}
	}
	return left
}

func dockerLeftovers(t *testing.T, d *dockerCluster) []string {
	t.Helper()
	filter := filters.NewArgs(filters.Arg("label", labelRun+"="+d.opts.Run))
	var left []string
	containers, err := d.cli.ContainerList(t.Context(), container.ListOptions{All: true, Filters: filter})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers {
		left = append(left, c.Names...)
	}
	networks, err := d.cli.NetworkList(t.Context(), network.ListOptions{Filters: filter})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range networks {
		left = append(left, n.Name)
	}
	volumes, err := d.cli.VolumeList(t.Context(), volume.ListOptions{Filters: filter})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Volumes {
		left = append(left, v.Name)
	}
	return left
}
