// Server is a stand-in for a coordination server in the tests of package
// cluster: it reads clientPort and dataDir from a zoo.cfg, answers ruok, conf and srvr
// on the client port, and appends a line to a file in dataDir at each start. With
// reconfigEnabled it also writes beside its zoo.cfg, or refuses to start.
//
// Usage: server serve FILE | status -q ADDRESS
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "serve":
		return serve(args[1])
	case len(args) == 3 && args[0] == "status":
		conn, err := net.DialTimeout("tcp", args[2], time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	return fmt.Errorf("want serve FILE or status -q ADDRESS, got %q", args)
}

func serve(path string) error {
	// From the beginning, or one that is told to end while it starts would not say so.
	terminate := make(chan os.Signal, 1)
	signal.Notify(terminate, syscall.SIGTERM)
	config, err := readConfig(path)
	if err != nil {
		return err
	}
	id := os.Getenv("ZOO_MY_ID")
	if id == "" {
		return fmt.Errorf("ZOO_MY_ID is not set")
	}
	starts, err := os.OpenFile(filepath.Join(config["dataDir"], "starts"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(starts, "start of %s\n", id); err != nil {
		return err
	}
	if err := starts.Close(); err != nil {
		return err
	}
	if config["reconfigEnabled"] == "true" {
		if err := os.WriteFile(path+".dynamic", nil, 0o644); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", ":"+config["clientPort"])
	if err != nil {
		return err
	}
	fmt.Printf("server %s listens on %s\n", id, listener.Addr())
	go accept(listener, id, config)
	<-terminate
	fmt.Printf("server %s ends\n", id)
	return nil
}

func readConfig(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	config := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), "="); found {
			config[key] = value
		}
	}
	return config, nil
}

func accept(listener net.Listener, id string, config map[string]string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			fmt.Fprintln(os.Stderr, "server:", err)
			os.Exit(1)
		}
		go answer(conn, id, config)
	}
}

func answer(conn net.Conn, id string, config map[string]string) {
	defer conn.Close()
	command := make([]byte, 4)
	if _, err := io.ReadFull(conn, command); err != nil {
		return
	}
	switch string(command) {
	case "ruok":
		fmt.Fprint(conn, "imok")
	case "conf":
		value := config["maxSessionTimeout"]
		if value == "" {
			value = "10000"
		}
		fmt.Fprintf(conn, "maxSessionTimeout=%s\n", value)
	case "srvr":
		mode := "follower"
		if id == "1" {
			mode = "leader"
		}
		fmt.Fprintf(conn, "Zxid: 0x100000000\nMode: %s\n", mode)
	}
}
