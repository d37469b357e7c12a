// Package etcd starts real etcd processes for the benchmark that compares this server with
// them: the program of Debian's etcd-server package, on loopback ports. As with
// internal/apache, a caller that stops what it started leaves nothing behind.
//
// It asks etcd by its JSON gateway, which every etcd from 3.4 on serves by default, so that no
// gRPC is needed here.
package etcd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"zoolab/internal/process"
)

// ErrUnavailable says that this machine can't run etcd, and what to install.
var ErrUnavailable = errors.New("no etcd on this machine: install it with: apt-get install etcd-server")

// program is the server's name on the PATH.
const program = "etcd"

// Version names the version of the installed server, such as "3.4.23". The error is
// ErrUnavailable where there is none.
func Version() (string, error) {
	if _, err := exec.LookPath(program); err != nil {
		return "", ErrUnavailable
	}
	output, err := exec.Command(program, "--version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w: %s", program, err, bytes.TrimSpace(output))
	}
	first, _, _ := strings.Cut(string(output), "\n")
	version, ok := strings.CutPrefix(first, "etcd Version: ")
	if !ok {
		return "", fmt.Errorf("%s --version tells no version: %q", program, first)
	}
	return version, nil
}

// Config describes one member. ClientPort and PeerPort are free loopback ports.
type Config struct {
	// Dir holds the log and the directory "data"; it is created.
	Dir                  string
	ClientPort, PeerPort int
	// Flags follow those that make a member of it; all others have etcd's defaults.
	Flags []string
}

// Server is one running (or stopped) member.
type Server struct {
	process.Process
	clientAddr string
}

// Start launches the members of one cluster and returns at once: call WaitReady on each. Where
// a member's directory has data, they are used. On an error nothing keeps running.
func Start(cfgs ...Config) ([]*Server, error) {
	var peers []string
	for i, cfg := range cfgs {
		peers = append(peers, fmt.Sprintf("%d=%s", i+1, localURL(cfg.PeerPort)))
	}
	var servers []*Server
	for i, cfg := range cfgs {
		server, err := start(strconv.Itoa(i+1), strings.Join(peers, ","), cfg)
		if err != nil {
			return nil, errors.Join(err, KillAll(servers))
		}
		servers = append(servers, server)
	}
	return servers, nil
}

func localURL(port int) string { return fmt.Sprintf("http://127.0.0.1:%d", port) }

func start(name, cluster string, cfg Config) (*Server, error) {
	dataDir := filepath.Join(cfg.Dir, "data")
	// etcd warns of data that others may read.
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create the data directory: %w", err)
	}
	clients, peers := localURL(cfg.ClientPort), localURL(cfg.PeerPort)
	argv := []string{
		program, "--name", name, "--data-dir", dataDir,
		"--listen-client-urls", clients, "--advertise-client-urls", clients,
		"--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers, "--initial-cluster", cluster,
	}
	server := &Server{
		Process: process.Process{
			Title:   fmt.Sprintf("etcd %s on %s", name, clients),
			Argv:    append(argv, cfg.Flags...),
			Dir:     cfg.Dir,
			LogFile: filepath.Join(cfg.Dir, "server.log"),
		},
		clientAddr: fmt.Sprintf("127.0.0.1:%d", cfg.ClientPort),
	}
	if err := server.Restart(); err != nil {
		return nil, err
	}
	return server, nil
}

// KillAll kills every server and joins the errors.
func KillAll(servers []*Server) error {
	var errs []error
	for _, server := range servers {
		errs = append(errs, server.Kill())
	}
	return errors.Join(errs...)
}

// Addr is host:port for clients.
func (s *Server) Addr() string { return s.clientAddr }

// WaitReady returns when the member answers a linearizable read, or with an error that ends in
// the log's last lines when the context is done or the process has exited.
func (s *Server) WaitReady(ctx context.Context) error {
	return s.Await(ctx, func() error {
		_, err := s.Keys()
		return err
	})
}

// Leads reports whether the member says that it leads its cluster.
func (s *Server) Leads() (bool, error) {
	var status struct {
		Header struct {
			MemberID string `json:"member_id"`
		}
		Leader string // absent where none is known
	}
	if err := s.post("maintenance/status", `{}`, &status); err != nil {
		return false, err
	}
	return status.Leader != "" && status.Leader == status.Header.MemberID, nil
}

// Keys counts the keys by a linearizable read.
func (s *Server) Keys() (int, error) {
	// From the smallest key on: "\0" in base 64, twice.
	const all = `{"key": "AA==", "range_end": "AA==", "count_only": true}`
	var answer struct {
		Count string // absent where it is 0
	}
	if err := s.post("kv/range", all, &answer); err != nil {
		return 0, err
	}
	if answer.Count == "" {
		return 0, nil
	}
	return strconv.Atoi(answer.Count)
}

// post sends a request to the JSON gateway and reads the answer.
func (s *Server) post(method, request string, answer any) error {
	const timeout = 10 * time.Second // of a busy machine; one that is down refuses at once
	client := http.Client{Timeout: timeout, Transport: &http.Transport{DisableKeepAlives: true}}
	url := fmt.Sprintf("http://%s/v3/%s", s.clientAddr, method)
	response, err := client.Post(url, "application/json", strings.NewReader(request))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, response.Status, bytes.TrimSpace(body))
	}
	if err := json.Unmarshal(body, answer); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}
