// Package cli is the command-line client: one command, or a shell of them, with the
// names, options, output and exit codes of zkCli.sh 3.8.0.
//
// What a command prints goes to the output; that a znode was created, notes, and why
// something failed go to the error stream. The words are those of zkCli.sh, so scripts
// that were written for it work; COMPATIBILITY.md lists what differs, and why.
//
// A shell that reads from a terminal has history and completion, and says what happens
// to its session. One that reads from a file or a pipe carries out a line at a time,
// goes on after a failure, and ends with the exit code of the last command.
//
// Commands run one after the other on the goroutine of Run. What watches see is printed
// by the client's goroutine, in front of what the next command prints.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"zoolab/zk"
)

const defaultServer = "localhost:2181"

// Streams are where a shell reads and prints.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// invocation is what the command line asks for.
type invocation struct {
	server, configuration    string
	timeoutMs                int
	readOnly, patient, greet bool
	command                  []string // empty for a shell
}

// parseInvocation reads the command line. The error was told; flag.ErrHelp is not a
// failure.
func parseInvocation(args []string, errors io.Writer) (invocation, error) {
	var in invocation
	flags := flag.NewFlagSet("node cli", flag.ContinueOnError)
	flags.SetOutput(errors)
	flags.StringVar(&in.server, "server", defaultServer, "`host:port[,host:port...][/chroot]` to connect to")
	flags.IntVar(&in.timeoutMs, "timeout", 30000, "session timeout in `milliseconds`")
	flags.BoolVar(&in.readOnly, "r", false, "also use a server that has lost its quorum, for reading")
	flags.BoolVar(&in.patient, "waitforconnection", false, "wait for the first connection as long as -timeout says, not 10 seconds at most")
	flags.StringVar(&in.configuration, "client-configuration", "", "`file` of properties of Java's client: zookeeper.client.secure, zookeeper.ssl.*, ...")
	flags.BoolVar(&in.greet, "greet", false, "print what zkCli.sh prints besides answers: the welcome and what happens to the session")
	flags.Usage = func() {
		fmt.Fprintln(errors, "node cli [OPTION...] [COMMAND ARGUMENT...]")
		flags.PrintDefaults()
		fmt.Fprintln(errors, "The commands are:")
		printHelp(errors)
	}
	if err := flags.Parse(args); err != nil {
		return in, err
	}
	if in.timeoutMs <= 0 {
		fmt.Fprintf(errors, "-timeout is %d; it must be above 0\n", in.timeoutMs)
		return in, errFlags
	}
	in.command = flags.Args()
	return in, nil
}

var errFlags = errors.New("wrong option")

// Run carries out "node cli ARGS" and returns the exit code: 0 done, 1 failed, 2 wrong
// options, 127 no such command, 130 interrupted. The version is what the command
// "version" prints.
func Run(args []string, version string, streams Streams) int {
	in, err := parseInvocation(args, streams.Err)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		return exitUsage
	}
	options, err := clientOptions(in.configuration)
	if err != nil {
		fmt.Fprintln(streams.Err, err)
		return exitUsage
	}
	if in.readOnly {
		options = append(options, zk.WithReadOnly())
	}
	s := &shell{version: version, streams: streams, server: in.server, printWatches: true,
		patient: in.patient, greets: in.greet, options: options,
		timeout: time.Duration(in.timeoutMs) * time.Millisecond}
	defer s.disconnect()
	if len(in.command) == 0 && terminal(streams.In) && terminal(streams.Out) {
		return s.interact()
	}
	ctx, stop := untilInterrupt()
	defer stop()
	if len(in.command) > 0 {
		return s.once(ctx, in.command)
	}
	return s.script(ctx)
}
