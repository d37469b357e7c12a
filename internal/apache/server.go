package apache

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"zoolab/internal/process"
)

// Peer is one member's line in the configuration of an ensemble.
type Peer struct {
	ID int64
	// Host is empty for 127.0.0.1.
	Host         string
	QuorumPort   int
	ElectionPort int
	Observer     bool
}

// Config describes one member. The zero value of each optional field selects
// the default that its comment names.
type Config struct {
	// ID is the member's id, written to myid when Peers is not empty.
	ID int64
	// ClientPort is the loopback port for clients; it must be free.
	ClientPort int
	// Peers lists all members, this one included; empty for a standalone server.
	Peers []Peer
	// Observer makes the member one that does not vote, where StartEnsemble fills Peers in.
	Observer bool
	// Host is where the member listens for the others, where StartEnsemble fills Peers in; empty
	// for 127.0.0.1.
	Host string
	// HeapMB is the maximum of the Java heap; default 256.
	HeapMB int
	// TickTimeMs is tickTime; default 2000.
	TickTimeMs int
	// Extra holds further lines of zoo.cfg; they override those written here.
	Extra map[string]string
	// JavaFlags are further flags of the Java machine, such as -Dname=value.
	JavaFlags []string
	// Command, when not empty, runs instead of Apache's server, with the path of
	// zoo.cfg as its last argument: so another server runs under the same hands,
	// and one ensemble may have members of both kinds.
	Command []string
}

// Server is one running (or stopped) server process. Its directory holds zoo.cfg, log and data.
type Server struct {
	process.Process
	// ClientAddr is host:port of the client port.
	ClientAddr string
	// DataDir is the data directory, below Dir.
	DataDir string

	cfg Config
}

// Start writes zoo.cfg and myid below dir, which it creates, launches the
// server and returns at once. A member of an ensemble answers only when a
// quorum of its peers runs: start all of them, then call WaitReady on each.
func Start(dir string, cfg Config) (*Server, error) {
	if err := Available(); err != nil && len(cfg.Command) == 0 {
		return nil, err
	}
	if cfg.HeapMB == 0 {
		cfg.HeapMB = 256
	}
	if cfg.TickTimeMs == 0 {
		cfg.TickTimeMs = 2000
	}
	zooCfg := filepath.Join(dir, "zoo.cfg")
	addr := fmt.Sprintf("127.0.0.1:%d", cfg.ClientPort)
	server := &Server{
		Process: process.Process{
			Title:   fmt.Sprintf("server %d on %s", cfg.ID, addr),
			Argv:    append(command(cfg), zooCfg),
			Dir:     dir,
			LogFile: filepath.Join(dir, "server.log"),
		},
		ClientAddr: addr,
		DataDir:    filepath.Join(dir, "data"),
		cfg:        cfg,
	}
	if err := os.MkdirAll(server.DataDir, 0o755); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	if err := os.WriteFile(zooCfg, []byte(ZooCfg(server.DataDir, cfg)), 0o644); err != nil {
		return nil, fmt.Errorf("write the configuration: %w", err)
	}
	if len(cfg.Peers) > 0 {
		myid := strconv.FormatInt(cfg.ID, 10)
		if err := os.WriteFile(filepath.Join(server.DataDir, "myid"), []byte(myid), 0o644); err != nil {
			return nil, fmt.Errorf("write myid: %w", err)
		}
	}
	if err := server.Restart(); err != nil {
		return nil, err
	}
	return server, nil
}

// ZooCfg gives the text of zoo.cfg for a member whose data lies in dataDir. It
// has no line that only one of the two servers would understand, so that the
// benchmark can give the same file to both.
func ZooCfg(dataDir string, cfg Config) string {
	lines := map[string]string{
		"tickTime":               strconv.Itoa(cfg.TickTimeMs),
		"initLimit":              "10",
		"syncLimit":              "5",
		"dataDir":                dataDir,
		"clientPort":             strconv.Itoa(cfg.ClientPort),
		"clientPortAddress":      "127.0.0.1",
		"maxClientCnxns":         "0",
		"admin.enableServer":     "false",
		"4lw.commands.whitelist": "*",
	}
	for _, peer := range cfg.Peers {
		host, role := peer.Host, "participant"
		if host == "" {
			host = "127.0.0.1"
		}
		if peer.Observer {
			role = "observer"
		}
		if peer.Observer && peer.ID == cfg.ID {
			lines["peerType"] = "observer"
		}
		lines[fmt.Sprintf("server.%d", peer.ID)] = fmt.Sprintf("%s:%d:%d:%s", host, peer.QuorumPort, peer.ElectionPort, role)
	}
	for key, value := range cfg.Extra {
		lines[key] = value
	}
	return formatProperties(lines)
}

// command gives the command line up to the path of zoo.cfg.
func command(cfg Config) []string {
	if len(cfg.Command) > 0 {
		return slices.Clone(cfg.Command)
	}
	argv := []string{
		"java",
		fmt.Sprintf("-Xmx%dm", cfg.HeapMB),
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dzookeeper.extendedTypesEnabled=true",
	}
	argv = append(argv, cfg.JavaFlags...)
	return append(argv, "-cp", ClassPath(), "org.apache.zookeeper.server.quorum.QuorumPeerMain")
}

// WaitReady returns when the server serves requests (its srvr command gives a
// mode), or with an error that ends in the log's last lines when the context
// is done or the process has exited.
func (s *Server) WaitReady(ctx context.Context) error {
	return s.Await(ctx, func() error {
		_, err := Mode(s.ClientAddr)
		return err
	})
}
