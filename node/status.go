package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"zoolab/node/config"
	"zoolab/node/member"
	"zoolab/zk/tlsconf"
)

const statusTimeout = 3 * time.Second

const statusUsage = `usage: node status [-q] [ADDRESS | zoo.cfg]

Asks a server for its role: at ADDRESS (host:port), or where zoo.cfg says, which is looked
for as node start does; see node start -h. Exit code: 0 it serves, 1 it does not, 2 wrong
arguments or configuration.

  -q  print nothing, only set the exit code
`

// status asks a server for its role by the word srvr. Its exit code makes it a health
// check: 0 when the server serves, 1 when it does not. What it prints is what zkServer.sh does.
func status(args []string) int {
	flags := flag.NewFlagSet("node status", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	quiet := flags.Bool("q", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(statusUsage)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "node status: %v; see node status -h\n", err)
		return 2
	}
	address, secured, err := statusAddress(flags.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	answer, err := ask(address, secured, "srvr")
	mode := modeOf(answer)
	if err == nil && mode == "" {
		err = fmt.Errorf("%s", strings.TrimSpace(answer))
	}
	if err != nil {
		if !*quiet {
			fmt.Fprintf(os.Stderr, "%s is not serving: %v\n", address, err)
		}
		return 1
	}
	if !*quiet {
		host, port, _ := net.SplitHostPort(address)
		fmt.Printf("Client port found: %s. Client address: %s. Client SSL: %t.\nMode: %s\n", port, host, secured != nil, mode)
	}
	return 0
}

// statusAddress returns where to ask. secured is nil unless the server has only a port for
// TLS: then it has the server's own stores, so that a health check needs no others.
func statusAddress(args []string) (address string, secured *tlsconf.Stores, err error) {
	var name string
	switch {
	case len(args) > 1:
		return "", nil, fmt.Errorf("node status takes one address or configuration file, not %d arguments", len(args))
	case len(args) == 1:
		name = args[0]
	}
	if _, _, err := net.SplitHostPort(name); err == nil {
		return name, nil, nil
	}
	file, err := configurationFile(os.Getenv("ZOOCFGDIR"), name)
	switch {
	case err != nil:
		return "", nil, err
	case file == "":
		return "127.0.0.1:2181", nil, nil
	}
	cfg, _, err := config.Load(file, config.EnvironmentOf(os.Getenv))
	if err != nil {
		return "", nil, err
	}
	a := cfg.Clients.Addr
	if a.Port == 0 && cfg.Clients.SecureAddr.Port != 0 {
		a = cfg.Clients.SecureAddr
		own := cfg.Clients.TLS
		own.NoHostnameVerification = true // 127.0.0.1 need not be in the certificate
		if secured, err = tlsconf.Open(own, nil); err != nil {
			return "", nil, err
		}
	}
	if ip := net.ParseIP(a.Host); a.Host == "" || ip != nil && ip.IsUnspecified() {
		a.Host = "127.0.0.1"
	}
	return a.String(), secured, nil
}

// ask sends a four-letter word and returns the answer.
func ask(address string, secured *tlsconf.Stores, word string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), statusTimeout)
	defer cancel()
	dial := new(net.Dialer).DialContext
	if secured != nil {
		dial = secured.Dial
	}
	c, err := dial(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(statusTimeout))
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(c)
	return string(answer), err
}

func modeOf(answer string) string {
	for line := range strings.Lines(answer) {
		if mode, ok := strings.CutPrefix(line, "Mode: "); ok {
			return strings.TrimSpace(mode)
		}
	}
	return ""
}

func version(args []string) int {
	fmt.Println(member.Version)
	return 0
}
