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
	options            map[string]bool // by letter: whether a value follows
	minWords, maxWords int
	needsServer        bool
	run                func(s *shell, ctx context.Context, args arguments) error
}

// flags makes the options of a command from their letters; one before a colon has a value.
func flags(letters string) map[string]bool {
	options := make(map[string]bool)
	for letter := range strings.FieldsSeq(letters) {
		name, value := strings.CutSuffix(letter, ":")
		options[name] = value
	}
	return options
}

// commands are in the order of their names.
var commands []command

func init() { // not a literal, for help prints the table
	commands = []command{
		{"addauth", "scheme auth", nil, 1, 2, true, addAuth},
		{"close", "", nil, 0, 0, false, closeSession},
		{"config", "[-s]", flags("s"), 0, 0, true, config},
		{"connect", "[host:port[,host:port...][/chroot]]", nil, 0, 1, false, connect},
		{"create", "[-s] [-e] [-c] path [data] [acl]", flags("s e c"), 1, 3, true, create},
		{"delete", "[-v version] path", flags("v:"), 1, 1, true, remove},
		{"deleteall", "path [-b batch size]", flags("b:"), 1, 1, true, deleteAll},
		{"get", "[-s] [-w] path", flags("s w"), 1, 1, true, get},
		{"getAcl", "[-s] path", flags("s"), 1, 1, true, getACL},
		{"getAllChildrenNumber", "path", nil, 1, 1, true, getAllChildrenNumber},
		{"getEphemerals", "[path]", nil, 0, 1, true, getEphemerals},
		{"help", "", nil, 0, 1, false, help},
		{"history", "", nil, 0, 0, false, history},
		{"ls", "[-s] [-w] [-R] path", flags("s w R"), 1, 1, true, ls},
		{"printwatches", "[on|off]", nil, 0, 1, false, printWatches},
		{"quit", "", nil, 0, 0, false, quit},
		{"redo", "cmdno", nil, 1, 1, false, redo},
		{"set", "[-s] [-v version] path data", flags("s v:"), 2, 2, true, set},
		{"setAcl", "[-s] [-v version] [-R] path acl", flags("s v: R"), 2, 2, true, setACL},
		{"stat", "[-w] path", flags("w"), 1, 1, true, stat},
		{"sync", "path", nil, 1, 1, true, syncPath},
		{"version", "", nil, 0, 0, false, version},
		{"whoami", "", nil, 0, 0, true, whoAmI},
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
			return say("Command not found: %s", name)
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

func redo(s *shell, _ context.Context, args arguments) error {
	i, err := strconv.Atoi(args.word(0))
	if err != nil || i < 0 || i >= len(s.history)-1 {
		return say("Command index out of range: %s", args.word(0))
	}
	line := s.history[i]
	again, err := split(line)
	if err != nil {
		return err
	}
	// A redo of a redo would end only if it reached another command.
	if again[0] == "redo" {
		return say("Command %d is itself a redo", i)
	}
	s.history[len(s.history)-1] = line
	return s.perform(again)
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
	return s.client.AddAuth(ctx, args.word(0), []byte(args.word(1)))
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
	v, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0, say("The version %q is no number", text)
	}
	return int32(v), nil
}
