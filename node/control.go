package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"zoolab/node/control"
)

const controlUsage = `usage: node %s [-config DIR] [zoo.cfg]

%s

zoo.cfg is looked for as it is given, then in the directory of the configuration: that
of -config, else of ZOOCFGDIR, else ./conf if there is one. Without zoo.cfg it is the
file ZOOCFG (zoo.cfg) there; if nothing says where, a standalone server on port 2181
with its data in ./data.

The process id is in DATADIR/zookeeper_server.pid (or the file ZOOPIDFILE), the log in
./logs (or the directory ZOO_LOG_DIR). Exit code: 0 done, 1 failed, 2 wrong arguments or
configuration.
`

// controls say what zkServer.sh's verbs do.
var controls = map[string]string{
	"start":            "Starts a server in the background and waits until it has bound its ports.",
	"start-foreground": "Runs a server in the foreground, with its log on the standard error: as node serve.",
	"stop":             "Ends the server that start started, and waits for its end.",
	"restart":          "Stops the server, if it runs, and starts it.",
	"print-cmd":        "Prints the command line with which start runs the server.",
}

// controlCommand gives the subcommand of a verb.
func controlCommand(verb string) func(args []string) int {
	return func(args []string) int { return runControl(verb, args) }
}

func runControl(verb string, args []string) int {
	flags := flag.NewFlagSet("node "+verb, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dir := flags.String("config", os.Getenv("ZOOCFGDIR"), "")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Printf(controlUsage, verb, controls[verb])
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "node %s: %v; see node %s -h\n", verb, err, verb)
		return 2
	case flags.NArg() > 1:
		fmt.Fprintf(os.Stderr, "node %s takes at most one configuration file, not %d arguments; see node %s -h\n", verb, flags.NArg(), verb)
		return 2
	}
	file, err := configurationFile(*dir, flags.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	var serveArgs []string
	if file != "" {
		fmt.Fprintf(os.Stderr, "Using config: %s\n", file)
		serveArgs = []string{file}
	}
	if verb == "start-foreground" {
		return serveFile(serveArgs)
	}
	s, code := controlled(serveArgs)
	if s == nil {
		return code
	}
	return carryOut(verb, s)
}

// configurationFile finds the configuration as zkServer.sh does; "" is none.
func configurationFile(dir, name string) (string, error) {
	if dir == "" {
		if info, err := os.Stat("conf"); err == nil && info.IsDir() {
			dir = "conf"
		}
	}
	asGiven := name != ""
	if name == "" {
		if dir == "" {
			return "", nil
		}
		if name = os.Getenv("ZOOCFG"); name == "" {
			name = "zoo.cfg"
		}
	}
	tried := []string{name}
	if !strings.ContainsRune(name, filepath.Separator) {
		tried = []string{filepath.Join(dir, name)}
		if asGiven && dir != "" {
			tried = []string{name, filepath.Join(dir, name)}
		}
	}
	for _, path := range tried {
		if _, err := os.Stat(path); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", fmt.Errorf("there is no configuration %s; give the path of an existing zoo.cfg", strings.Join(tried, " or "))
}

// controlled describes the server of a configuration; nil, and an exit code, if it can't.
func controlled(serveArgs []string) (*control.Server, int) {
	cfg, ok := configuration(serveArgs, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if !ok {
		return nil, 2
	}
	program, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return nil, 1
	}
	return control.New(cfg, program, append([]string{"serve"}, serveArgs...), os.Getenv, os.Stdout), 0
}

func carryOut(verb string, s *control.Server) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	var err error
	switch verb {
	case "print-cmd":
		fmt.Println(s.Command())
	case "start":
		err = s.Start(ctx)
	case "stop":
		err = s.Stop(ctx)
	case "restart":
		if err = s.Stop(ctx); err == nil {
			err = s.Start(ctx)
		}
	}
	if err != nil && !errors.Is(err, control.ErrRunning) {
		fmt.Fprintf(os.Stderr, "node %s: %v\n", verb, err)
	}
	if err != nil {
		return 1
	}
	return 0
}
