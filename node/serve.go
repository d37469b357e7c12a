package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"zoolab/node/config"
	"zoolab/node/control"
	"zoolab/node/member"
)

const serveUsage = `usage: node serve [zoo.cfg]

Runs a server in the foreground until SIGTERM or SIGINT, with its log on the standard
error; ZOO_LOG_LEVEL is debug, info, warn or error. Without zoo.cfg it is a standalone
server on port 2181 with its data in ./data; with server.N lines it is the member of an
ensemble that DATADIR/myid, or ZOO_MY_ID, names. What zoo.cfg leaves open may stand in
SERVER_JVMFLAGS or JVMFLAGS as -Dzookeeper.NAME=VALUE. Exit code: 0 stopped, 1 failed, 2 wrong
arguments or configuration.
`

// serve runs a server until SIGTERM or SIGINT.
func serve(args []string) int {
	flags := flag.NewFlagSet("node serve", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Print(serveUsage)
		return 0
	case err != nil:
		fmt.Fprintf(os.Stderr, "node serve: %v; see node serve -h\n", err)
		return 2
	case flags.NArg() > 1:
		fmt.Fprintf(os.Stderr, "node serve takes at most one configuration file, not %d arguments; see node serve -h\n", flags.NArg())
		return 2
	}
	return serveFile(flags.Args())
}

// serveFile is serve with the configuration file alone, or nothing for the defaults.
func serveFile(args []string) int {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: logLevel()}))
	cfg, ok := configuration(args, log)
	if !ok {
		return 2
	}
	m, err := member.Open(cfg, log)
	var wrong *config.Error
	if errors.As(err, &wrong) {
		fmt.Fprintln(os.Stderr, wrong)
		return 2
	}
	if err != nil {
		log.Error("can't start", withAdvice(err)...)
		return 1
	}
	defer giveRoom()()
	log.Info("listening for clients", "address", m.Addr(), "secureAddress", m.SecureAddr())
	if err := control.Ready(); err != nil {
		log.Warn("the service manager was not told of the start", "err", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := m.Run(ctx); err != nil {
		log.Error("the server ends, since it can't go on safely", withAdvice(err)...)
		return 1
	}
	log.Info("stopped")
	return 0
}

// withAdvice gives an error to a log, with what a person can do if it is the operating system's.
func withAdvice(err error) []any {
	if what := advice(err); what != "" {
		return []any{"err", err, "advice", what}
	}
	return []any{"err", err}
}

func advice(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return "make the file and its directory writable for the user that runs the server"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return "make room on that disk and start the server again; nothing that was acknowledged is lost"
	case errors.Is(err, syscall.EIO):
		return "the disk fails: replace it; the server starts again with an empty directory, and the other members send it their data"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return "allow the server more open files (ulimit -n)"
	}
	return ""
}

// configuration loads the file, or gives the defaults without one.
func configuration(args []string, log *slog.Logger) (*config.Config, bool) {
	if len(args) == 0 {
		return config.Default("data"), true
	}
	cfg, warnings, err := config.Load(args[0], config.EnvironmentOf(os.Getenv))
	for _, w := range warnings {
		log.Warn("configuration", "warning", w.String())
	}
	var several config.Errors
	switch {
	case errors.As(err, &several):
		for _, e := range several {
			fmt.Fprintln(os.Stderr, e)
		}
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
	}
	return cfg, err == nil
}

// logLevel is info unless ZOO_LOG_LEVEL says debug, info, warn or error.
func logLevel() slog.Level {
	var level slog.Level
	if text := os.Getenv("ZOO_LOG_LEVEL"); text != "" {
		if err := level.UnmarshalText([]byte(text)); err != nil {
			fmt.Fprintf(os.Stderr, "ZOO_LOG_LEVEL %q is none of debug, info, warn, error; using info\n", text)
		}
	}
	return level
}
