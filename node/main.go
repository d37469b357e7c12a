// Command node is the server and its tools: see usage.
//
// It is the composition root: nothing imports it.
package main

import (
	"fmt"
	"os"

	"zoolab/node/tools"
)

const usage = `node is a ZooKeeper server.

  node serve [zoo.cfg]        run a server; without a file a standalone one on port 2181
                              with its data in ./data
  node start | start-foreground | stop | restart | print-cmd [zoo.cfg]
                              zkServer.sh's verbs; see node start -h
  node status [-q] [ADDRESS | zoo.cfg]
                              ask a server for its role, without an argument that of start;
                              exit code 0 when it serves
  node snapshot dump | summary | compare
                              look into snapshots; see node snapshot -h
  node txnlog FILE            print, repair or shorten a transaction log; see node txnlog -h
  node purge DATALOGDIR [SNAPDIR] -n COUNT
                              remove old snapshots and logs
  node init [--configfile FILE] [--myid N] [--force]
                              make the data directories of a new member
  node cli [-server host:port[,host:port...][/chroot]] [OPTION...] [COMMAND ARGUMENT...]
                              run one command, or a shell without one, as zkCli.sh does;
                              node cli -help lists options and commands
  node version                print the version
`

func main() { os.Exit(run(os.Args[1:])) }

// commands are the subcommands. Each returns the exit code: 0 done, 1 failed, 2 wrong
// arguments or configuration.
var commands = map[string]func(args []string) int{
	"cli":              runCLI,
	"init":             tool(tools.Init),
	"print-cmd":        controlCommand("print-cmd"),
	"purge":            tool(tools.Purge),
	"restart":          controlCommand("restart"),
	"serve":            serve,
	"snapshot":         tool(tools.Snapshot),
	"start":            controlCommand("start"),
	"start-foreground": controlCommand("start-foreground"),
	"status":           status,
	"stop":             controlCommand("stop"),
	"txnlog":           tool(tools.TxnLog),
	"version":          version,
}

// tool gives a command of package tools its streams.
func tool(command func([]string, tools.Streams) int) func(args []string) int {
	return func(args []string) int {
		return command(args, tools.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	}
}

func run(args []string) int {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return 2
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Print(usage)
		return 0
	}
	command, ok := commands[args[0]]
	if !ok {
		fmt.Fprintf(os.Stderr, "node: there is no command %q\n\n%s", args[0], usage)
		return 2
	}
	return command(args[1:])
}
