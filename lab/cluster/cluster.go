// Package cluster starts, breaks, and takes down ensembles for the lab, behind
// one interface with two drivers:
//
//	docker  node containers that join the network namespaces of sidecars, as
//	        compose.yaml describes it
//	local   processes in network namespaces of their own, on a bridge; needs
//	        root, but no container engine
//
// Both run the same zoo.cfg, inject the same faults (signals, freezing, iptables
// rules between member addresses) and leave client ports reachable from outside.
//
// Ordering: New, Start, then anything, then Stop. Stop is idempotent, works
// after a failed Start, and removes everything that the run made. What a killed
// lab has left behind is removed by Sweep, which finds it by labels, names and
// pid files and leaves the runs of living labs alone.
//
// Concurrency: after Start every method may be called from any goroutine.
//
// The package knows nothing of the server's code: it can run any image that
// takes its id from ZOO_MY_ID and its configuration from /conf/zoo.cfg.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"zoolab/nemesis"
)

// Member is one server of the ensemble.
type Member struct {
	Name   string // "n1"
	ID     int64  // server id
	Addr   string // IP address inside the ensemble's network
	Client string // host:port of the client port, reachable by the lab
}

// Info describes a cluster for reports.
type Info struct {
	Driver  string // "docker" or "local"
	Why     string // why this driver was chosen
	Engine  string // engine and version, or the kernel
	Image   string // image name, or path of the binary
	ImageID string // content address of the image or binary
	Network string // subnet
	Run     string // run id, in every label and name
	Started time.Duration
}

// Cluster is a running ensemble.
type Cluster interface {
	nemesis.Injector

	// Members lists the ensemble in the order of ids; addresses are known after
	// Start.
	Members() []Member
	// Start makes the network and the members. It returns when their processes
	// run, which is before the ensemble is formed.
	Start(ctx context.Context) error
	// StopNodes ends all servers with SIGTERM and waits for their end, so that
	// Collect finds data directories at rest. The rest of the cluster stays.
	StopNodes(ctx context.Context) error
	// Stop removes everything that Start made.
	Stop(ctx context.Context) error
	// Collect writes each member's log to dir/<member>/node.log, its state to
	// dir/<member>/state.json and its data directory to dir/<member>/data. It
	// works with members that are down.
	Collect(ctx context.Context, dir string) error
	Info() Info
}

// Driver names.
const (
	DriverAuto   = "auto"
	DriverDocker = "docker"
	DriverLocal  = "local"
)

// ErrNoEngine says that no container engine answers.
var ErrNoEngine = errors.New("no container engine answers")

// MaxNodes bounds the size of an ensemble.
const MaxNodes = 9

// Options say what to start.
type Options struct {
	Driver string // DriverAuto, DriverDocker or DriverLocal
	// Run names everything that is made; letters, digits and hyphens. Empty: drawn.
	Run string
	// Nodes is the size of the ensemble, 1 to MaxNodes.
	Nodes int
	// ComposeFile is the path of compose.yaml.
	ComposeFile string
	// Image of the nodes; empty: built from Binary and the Dockerfile that
	// ComposeFile names. Only for docker.
	Image string
	// Binary is a static server binary for linux. Needed by local, and by docker
	// without Image.
	Binary string
	// Image2 and Binary2 are the server that the fault upgrade changes to. Image2 is
	// only for docker.
	Image2, Binary2 string
	// Faults names what may be asked of the nemesis, so that the driver prepares
	// what must be there from the start.
	Faults []string
	// Config has further lines for zoo.cfg ("key=value"); they replace lines
	// with the same key.
	Config []string
	// Logger takes what the driver does; nil discards it.
	Logger *slog.Logger
	// Notice tells a person what now takes long and only once; nil tells nobody.
	Notice func(format string, args ...any)
}

func (o *Options) normalize() error {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Notice == nil {
		o.Notice = func(string, ...any) {}
	}
	if o.Nodes < 1 || o.Nodes > MaxNodes {
		return fmt.Errorf("cluster: %d nodes, want 1 to %d", o.Nodes, MaxNodes)
	}
	if o.Run == "" {
		o.Run = drawRun()
	}
	if err := validRun(o.Run); err != nil {
		return err
	}
	if o.ComposeFile == "" {
		o.ComposeFile = "compose.yaml"
	}
	if o.reconfigures() {
		o.Config = slices.Concat(o.Config, reconfigurable())
	}
	return nil
}

// New chooses a driver and prepares a cluster; nothing is started yet.
func New(ctx context.Context, o Options) (Cluster, error) {
	if err := o.normalize(); err != nil {
		return nil, err
	}
	switch o.Driver {
	case DriverDocker:
		docker, err := newDocker(ctx, o, "asked for")
		if errors.Is(err, ErrNoEngine) {
			err = fmt.Errorf("%w; start one, name one with DOCKER_HOST, or do without: -cluster %s (as root), or -cluster sim", err, DriverLocal)
		}
		return made(docker, err)
	case DriverLocal:
		return made(newLocal(o, "asked for"))
	case DriverAuto, "":
	default:
		return nil, fmt.Errorf("cluster: unknown driver %q, want %s, %s or %s", o.Driver, DriverAuto, DriverDocker, DriverLocal)
	}
	docker, err := newDocker(ctx, o, "a container engine answers")
	if err == nil {
		o.Logger.Info("cluster driver chosen", "driver", DriverDocker, "why", docker.why)
		return docker, nil
	}
	if !errors.Is(err, ErrNoEngine) {
		return nil, err
	}
	local, localErr := newLocal(o, err.Error())
	if localErr != nil {
		return nil, errors.Join(err, localErr)
	}
	o.Logger.Info("cluster driver chosen", "driver", DriverLocal, "why", local.why)
	return local, nil
}

// made gives what a driver made. Beside an error that is nil, and not a Cluster that
// holds a nil pointer, which no caller could tell from one that works.
func made[C Cluster](c C, err error) (Cluster, error) {
	if err != nil {
		return nil, err
	}
	return c, nil
}
