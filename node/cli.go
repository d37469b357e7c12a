package main

import (
	"os"

	"zoolab/node/cli"
	"zoolab/node/member"
)

// runCLI is the command-line client: one command, or a shell.
func runCLI(args []string) int {
	return cli.Run(args, member.Version, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}
