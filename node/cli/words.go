package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"zoolab/zk"
	"zoolab/zk/jute"
)

// message is an error that is a sentence for people, with the words of zkCli.sh where
// it has some.
type message string

func (m message) Error() string { return string(m) }

func say(format string, args ...any) error { return message(fmt.Sprintf(format, args...)) }

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 127 // there is no such command
	exitInterrupted = 130
)

// unknownCommand is the error of a name that is no command.
type unknownCommand struct{ message }

func notFound(name string) error {
	return unknownCommand{message(fmt.Sprintf("Command not found: %s; help lists the commands", name))}
}

// exitCode is what the shell ends with if err was the last command's.
func exitCode(err error) int {
	var unknown unknownCommand
	switch {
	case err == nil || errors.Is(err, errQuit):
		return 0
	case errors.As(err, &unknown):
		return exitNotFound
	}
	return exitFailed
}

// sentences are what zkCli.sh says for an error code, with the path behind it.
var sentences = []struct {
	cause error
	text  string
}{
	{jute.CodeNoNode, "Node does not exist: "},
	{jute.CodeNoChildrenForEphemerals, "Ephemerals cannot have children: "},
	{jute.CodeNodeExists, "Node already exists: "},
	{jute.CodeNotEmpty, "Node not empty: "},
	{jute.CodeNotReadOnly, "Not a read-only call: "},
	{jute.CodeInvalidACL, "Acl is not valid : "},
	{jute.CodeNoAuth, "Insufficient permission : "},
	{jute.CodeBadArguments, "Arguments are not valid : "},
	{jute.CodeBadVersion, "version No is not valid : "},
	{jute.CodeQuotaExceeded, "Quota has exceeded : "},
}

// codeNames are the names of the codes that have no sentence, as Java's client prints
// them behind "KeeperErrorCode = ".
var codeNames = map[jute.ErrorCode]string{
	jute.CodeSystemError: "SystemError", jute.CodeRuntimeInconsistency: "RuntimeInconsistency",
	jute.CodeDataInconsistency: "DataInconsistency", jute.CodeConnectionLoss: "ConnectionLoss",
	jute.CodeMarshallingError: "MarshallingError", jute.CodeUnimplemented: "Unimplemented",
	jute.CodeOperationTimeout: "OperationTimeout", jute.CodeAPIError: "APIError",
	jute.CodeSessionExpired: "Session expired", jute.CodeInvalidCallback: "Invalid callback",
	jute.CodeAuthFailed: "AuthFailed", jute.CodeSessionMoved: "Session moved",
	jute.CodeEphemeralOnLocalSession: "Ephemeral node on local session",
	jute.CodeNoWatcher:               "No such watcher", jute.CodeReconfigDisabled: "Reconfig is disabled",
	jute.CodeSessionClosedRequireSASL: "Session closed because client failed to authenticate",
	jute.CodeThrottledOp:              "Op throttled due to high load",
}

// words puts an error as zkCli.sh does.
func words(err error) string {
	var op *zk.OpError
	if !errors.As(err, &op) {
		if errors.Is(err, context.Canceled) {
			return "Interrupted"
		}
		return err.Error()
	}
	switch {
	case errors.Is(err, context.Canceled) && op.MayHaveHappened:
		return fmt.Sprintf("Interrupted; %s of %s may have taken effect", op.Op, op.Path)
	case errors.Is(err, context.Canceled):
		return "Interrupted"
	case errors.Is(err, jute.CodeReconfigInProgress):
		return "Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)"
	case errors.Is(err, jute.CodeNewConfigNoQuorum):
		return "No quorum of new config is connected and up-to-date with the leader of last commmitted config - " +
			"try invoking reconfiguration after new servers are connected and synced"
	}
	if errors.Is(err, zk.ErrBadArguments) && op.Zxid == 0 { // no server was asked
		if complaint := checkPath(op.Path); complaint != nil {
			return complaint.Error()
		}
	}
	for _, known := range sentences {
		if errors.Is(err, known.cause) {
			return known.text + op.Path
		}
	}
	var code jute.ErrorCode
	if !errors.As(err, &code) || codeNames[code] == "" {
		return err.Error()
	}
	text := "KeeperErrorCode = " + codeNames[code]
	if op.Path != "" {
		text += " for " + op.Path
	}
	if op.MayHaveHappened {
		text += " (it may have taken effect)"
	}
	return text
}

// checkPath says in zkCli.sh's words why a path can't be one; nil if it can.
func checkPath(path string) error {
	switch {
	case path == "":
		return say("Path length must be > 0")
	case path[0] != '/':
		return say("Path must start with / character")
	case path == "/":
		return nil
	case path[len(path)-1] == '/':
		return say("Path must not end with / character")
	}
	invalid := func(reason string, at int) error {
		return say("Invalid path string \"%s\" caused by %s @%d", path, reason, at)
	}
	at := 0 // of the character in front of the component
	for name := range strings.SplitSeq(path[1:], "/") {
		switch name {
		case "":
			return invalid("empty node name specified", at+1)
		case ".", "..":
			return invalid("relative paths not allowed", at+len(name))
		}
		for _, r := range name {
			at++
			if r == 0 {
				return invalid("null character not allowed", at)
			}
			if r <= 0x1f || r >= 0x7f && r <= 0x9f || r >= 0xd800 && r <= 0xf8ff || r >= 0xfff0 && r <= 0xffff {
				return invalid("invalid character", at)
			}
		}
		at++
	}
	return nil
}
