// Package cli is the command-line client: one command, or a shell of them, with the
// names, options and output of zkCli.sh.
//
// What a command prints goes to the output; why it failed, in words, to the error
// stream. A shell that reads from a terminal has history and completion and says what
// happens to its session; one that reads from a file or a pipe carries out a line at a
// time, goes on after a failure, and ends with exit code 1 if there was one.
//
// Commands run one after the other on the goroutine of Run. Watches are printed by
// goroutines of their own, at the latest when the command during which they fired ends.
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

const defaultServer = "127.0.0.1:2181"

// Streams are where a shell reads and prints.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Run carries out "node cli ARGS" and returns the exit code: 0 done, 1 failed, 2 wrong
// options. The version is what the command "version" prints.
func Run(args []string, version string, streams Streams) int {
	flags := flag.NewFlagSet("node cli", flag.ContinueOnError)
	flags.SetOutput(streams.Err)
	server := flags.String("server", defaultServer, "`host:port[,host:port...][/chroot]` to connect to")
	timeoutMs := flags.Int("timeout", 30000, "session timeout, and the longest that a command may take, in `milliseconds`")
	flags.Usage = func() {
		fmt.Fprintln(streams.Err, "node cli [-server host:port[,host:port...][/chroot]] [-timeout milliseconds] [COMMAND ARGUMENT...]")
		flags.PrintDefaults()
		fmt.Fprintln(streams.Err, "The commands are:")
		printHelp(streams.Err)
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0
	} else if err != nil {
		return 2
	}
	if *timeoutMs <= 0 {
		fmt.Fprintf(streams.Err, "-timeout is %d; it must be above 0\n", *timeoutMs)
		return 2
	}
	s := &shell{version: version, streams: streams, server: *server, printWatches: true,
		timeout: time.Duration(*timeoutMs) * time.Millisecond}
	defer s.disconnect()
	if command := flags.Args(); len(command) > 0 {
		return s.once(command)
	}
	if terminal(streams.In) && terminal(streams.Out) {
		return s.interact()
	}
	return s.script()
}

func terminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// once runs one command.
func (s *shell) once(words []string) int {
	s.history = []string{""}
	if err := s.perform(words); err != nil && !errors.Is(err, errQuit) {
		s.complain(err)
		return 1
	}
	return 0
}

// interruptible gives a command its time, until Ctrl-C.
func (s *shell) interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), s.timeout)
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	return ctx, func() { stop(); cancel() }
}
