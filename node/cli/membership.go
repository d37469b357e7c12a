package cli

import (
	"context"
	"os"
	"regexp"
	"strconv"
	"strings"

	"zoolab/zk"
)

// memberLine is a line of a configuration that is about members.
var memberLine = regexp.MustCompile(`^(server|group|weight)\.`)

func getConfig(s *shell, ctx context.Context, args arguments) error {
	var reply zk.DataReply
	var err error
	if args.has("w") {
		reply, _, err = s.client.GetConfigW(ctx)
	} else {
		reply, err = s.client.GetConfig(ctx)
	}
	if err != nil {
		return err
	}
	if args.has("c") {
		s.printf("%s\n", connectString(string(reply.Data)))
	} else {
		s.printData(reply.Data)
	}
	s.printStatIf(args, reply.Stat)
	return nil
}

// connectString makes "version host:port,host:port" from a configuration: what a client
// needs to know of "server.1=host:2888:3888:participant;host:2181".
func connectString(configuration string) string {
	version := ""
	var clients []string
	for line := range strings.Lines(configuration) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		if key == "version" {
			version = value
		}
		_, client, found := strings.Cut(value, ";")
		if !strings.HasPrefix(key, "server.") || !found {
			continue
		}
		if !strings.Contains(client, ":") { // the port alone: of all addresses
			client = "0.0.0.0:" + client
		}
		clients = append(clients, client)
	}
	return version + " " + strings.Join(clients, ",")
}

func reconfig(s *shell, ctx context.Context, args arguments) error {
	change, err := membershipOption(args)
	if err != nil {
		return err
	}
	version := zk.AnyConfig
	if text, ok := args.options["v"]; ok {
		if version, err = strconv.ParseInt(text, 16, 64); err != nil {
			return say("-v must be followed by a long (configuration version)")
		}
	}
	reply, err := s.client.Reconfig(ctx, change, version)
	if err != nil {
		return err
	}
	s.printf("Committed new configuration:\n")
	s.printData(reply.Data)
	s.printStatIf(args, reply.Stat)
	return nil
}

// membershipOption reads what reconfig shall change.
func membershipOption(args arguments) (zk.Membership, error) {
	var change zk.Membership
	incremental := args.has("add") || args.has("remove")
	bulk := args.has("file") || args.has("members")
	c, _ := find("reconfig")
	switch {
	case !incremental && !bulk:
		return change, say("%s", c.help())
	case incremental && bulk:
		return change, say("Can't use -file or -members together with -add or -remove (mixing incremental and non-incremental modes is not allowed)")
	case args.has("file") && args.has("members"):
		return change, say("Can't use -file and -members together (conflicting non-incremental modes)")
	}
	change.Joining = servers(args.options["add"])
	change.Leaving = servers(args.options["remove"])
	change.Members = servers(args.options["members"])
	if file, ok := args.options["file"]; ok {
		text, err := os.ReadFile(file)
		if err != nil {
			return change, say("Error processing %s: %v", file, err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); memberLine.MatchString(line) {
				change.Members = append(change.Members, line)
			}
		}
		if len(change.Members) == 0 {
			return change, say("Error processing %s: it has no line that starts with server.", file)
		}
	}
	return change, nil
}

// servers splits a list at its commas.
func servers(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.ToLower(text), ",")
}
