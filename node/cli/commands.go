package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"zoolab/zk"
)

// command is one row of the table.
type command struct {
	name, usage        string
	options            map[string]bool // by name: whether a value follows
	minWords, maxWords int             // words beyond the latter are ignored, with a note
	strict             bool            // they are not ignored but an error
	needsServer        bool
	run                func(s *shell, ctx context.Context, args arguments) error

	// oneOf are options that exclude each other; one of them may be required.
	oneOf       []string
	oneRequired bool
	// watchUsage says how to write what once was a word behind the path: -w.
	watchUsage string
}

// flags makes the options of a command from their names; one before a colon has a value.
func flags(names string) map[string]bool {
	options := make(map[string]bool)
	for name := range strings.FieldsSeq(names) {
		name, value := strings.CutSuffix(name, ":")
		options[name] = value
	}
	return options
}

// commands are in the order of their names.
var commands []command

func init() { // not a literal, for help prints the table
	limits := []string{"n", "b", "N", "B"}
	commands = []command{
		{name: "addWatch", usage: "[-m mode] path # optional mode is one of [PERSISTENT, PERSISTENT_RECURSIVE] - default is PERSISTENT_RECURSIVE",
			options: flags("m:"), minWords: 1, maxWords: 1, strict: true, needsServer: true, run: addWatch},
		{name: "addauth", usage: "scheme auth", minWords: 1, maxWords: 2, needsServer: true, run: addAuth},
		{name: "close", run: closeSession},
		{name: "config", usage: "[-c] [-w] [-s]", options: flags("c w s"), needsServer: true, run: getConfig},
		{name: "connect", usage: "host:port", maxWords: 1, run: connect},
		{name: "create", usage: "[-s] [-e] [-c] [-t ttl] path [data] [acl]", options: flags("s e c t:"),
			minWords: 1, maxWords: 3, needsServer: true, run: create},
		{name: "delete", usage: "[-v version] path", options: flags("v:"), minWords: 1, maxWords: 2, needsServer: true, run: remove},
		{name: "deleteall", usage: "path [-b batch size]", options: flags("b:"), minWords: 1, maxWords: 1, needsServer: true, run: deleteAll},
		{name: "delquota", usage: "[-n|-b|-N|-B] path", options: flags("n b N B"), oneOf: limits,
			minWords: 1, maxWords: 1, needsServer: true, run: deleteQuota},
		{name: "get", usage: "[-s] [-w] path", options: flags("s w"), minWords: 1, maxWords: 2, watchUsage: "get [-s] [-w] path", needsServer: true, run: get},
		{name: "getAcl", usage: "[-s] path", options: flags("s"), minWords: 1, maxWords: 1, needsServer: true, run: getACL},
		{name: "getAllChildrenNumber", usage: "path", minWords: 1, maxWords: 1, needsServer: true, run: getAllChildrenNumber},
		{name: "getEphemerals", usage: "path", maxWords: 1, needsServer: true, run: getEphemerals},
		{name: "help", usage: "[command]", maxWords: 1, run: help},
		{name: "history", run: history},
		{name: "listquota", usage: "path", minWords: 1, maxWords: 1, needsServer: true, run: listQuota},
		{name: "ls", usage: "[-s] [-w] [-R] path", options: flags("s w R ?"), minWords: 1, maxWords: 2, watchUsage: "ls [-w] path", needsServer: true, run: ls},
		{name: "printwatches", usage: "on|off", maxWords: 1, run: printWatches},
		{name: "quit", run: quit},
		{name: "reconfig", usage: "[-s] [-v version] [[-file path] | [-members serverID=host:port1:port2;port3[,...]*]] | " +
			"[-add serverId=host:port1:port2;port3[,...]]* [-remove serverId[,...]*]",
			options: flags("s v: file: members: add: remove:"), needsServer: true, run: reconfig},
		{name: "redo", usage: "cmdno", minWords: 1, maxWords: 1, run: redo},
		{name: "removewatches", usage: "path [-c|-d|-a] [-l]", options: flags("c d a l"), minWords: 1, maxWords: 1, needsServer: true, run: removeWatches},
		{name: "set", usage: "[-s] [-v version] path data", options: flags("s v:"), minWords: 2, maxWords: 2, needsServer: true, run: set},
		{name: "setAcl", usage: "[-s] [-v version] [-R] path acl", options: flags("s v: R"), minWords: 2, maxWords: 2, needsServer: true, run: setACL},
		{name: "setquota", usage: "-n|-b|-N|-B val path", options: flags("n: b: N: B:"), oneOf: limits, oneRequired: true,
			minWords: 1, maxWords: 1, needsServer: true, run: setQuota},
		{name: "stat", usage: "[-w] path", options: flags("w"), minWords: 1, maxWords: 2, watchUsage: "stat [-w] path", needsServer: true, run: stat},
		{name: "sync", usage: "path", minWords: 1, maxWords: 1, needsServer: true, run: syncPath},
		{name: "version", strict: true, run: version},
		{name: "whoami", needsServer: true, run: whoAmI},
	}
}

func find(name string) (*command, bool) {
	i := slices.IndexFunc(commands, func(c command) bool { return c.name == name })
	if i < 0 {
		return nil, false
	}
	return &commands[i], true
}

func printHelp(w io.Writer) {
	for i := range commands {
		fmt.Fprintf(w, "\t%s\n", commands[i].help())
	}
}

func help(s *shell, _ context.Context, args arguments) error {
	if name := args.word(0); name != "" {
		c, ok := find(name)
		if !ok {
			return notFound(name)
		}
		s.printf("%s\n", c.help())
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	printHelp(s.streams.Out)
	return nil
}

func quit(*shell, context.Context, arguments) error { return errQuit }

func version(s *shell, _ context.Context, _ arguments) error {
	s.printf("ZooKeeper CLI version: %s\n", s.version)
	return nil
}

func closeSession(s *shell, _ context.Context, _ arguments) error {
	if s.closed {
		return errNotConnected
	}
	s.disconnect()
	s.closed = true
	return nil
}

func connect(s *shell, ctx context.Context, args arguments) error {
	s.disconnect()
	s.closed = false
	if server := args.word(0); server != "" {
		s.server = server
	}
	return s.connect(ctx)
}

// historyLines is how many lines the command "history" prints.
const historyLines = 11

func history(s *shell, _ context.Context, _ arguments) error {
	for i := max(0, len(s.history)-historyLines); i < len(s.history); i++ {
		s.printf("%d - %s\n", i, s.history[i])
	}
	return nil
}

func redo(s *shell, ctx context.Context, args arguments) error {
	i, err := strconv.Atoi(args.word(0))
	if err != nil {
		return say("Command index %q is no number", args.word(0))
	}
	if i < 0 || i >= len(s.history)-1 {
		return say("Command index out of range")
	}
	line := s.history[i]
	again, err := split(line)
	if err != nil {
		return err
	}
	if again[0] == "redo" {
		return say("No redoing redos")
	}
	s.history[len(s.history)-1] = line
	return s.perform(ctx, again)
}

func printWatches(s *shell, _ context.Context, args arguments) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch args.word(0) {
	case "":
		state := "off"
		if s.printWatches {
			state = "on"
		}
		fmt.Fprintf(s.streams.Out, "printwatches is %s\n", state)
	case "on":
		s.printWatches = true
	case "off":
		s.printWatches = false
	default:
		return say("printwatches takes on or off, not %q", args.word(0))
	}
	return nil
}

func addAuth(s *shell, ctx context.Context, args arguments) error {
	var auth []byte // null without a word, as Apache's shell sends it, and not empty
	if len(args.words) > 1 {
		auth = []byte(args.word(1))
	}
	return s.client.AddAuth(ctx, args.word(0), auth)
}

func whoAmI(s *shell, ctx context.Context, _ arguments) error {
	identities, _, err := s.client.WhoAmI(ctx)
	if err != nil {
		return err
	}
	s.printf("Auth scheme: User\n")
	for _, id := range identities {
		s.printf("%s: %s\n", id.AuthScheme, id.User)
	}
	return nil
}

// versionOption reads -v.
func versionOption(args arguments) (int32, error) {
	text, ok := args.options["v"]
	if !ok {
		return zk.AnyVersion, nil
	}
	return parseVersion(text)
}

func parseVersion(text string) (int32, error) {
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, say("The version %q is no number", text)
	}
	return int32(v), nil
}
