package cli

import (
	"context"
	"fmt"
	"strings"

	"zoolab/zk"
)

// eventNames are the types of events as Java's client names them.
var eventNames = map[zk.EventType]string{
	zk.EventNone: "None", zk.EventCreated: "NodeCreated", zk.EventDeleted: "NodeDeleted",
	zk.EventDataChanged: "NodeDataChanged", zk.EventChildrenChanged: "NodeChildrenChanged",
	zk.EventDataWatchRemoved: "DataWatchRemoved", zk.EventChildWatchRemoved: "ChildWatchRemoved",
	zk.EventPersistentWatchRemoved: "PersistentWatchRemoved",
}

// printEvent prints an event as zkCli.sh does, unless printwatches is off.
func (s *shell) printEvent(state, kind, path string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.printWatches {
		fmt.Fprintf(s.streams.Out, "\nWATCHER::\n\nWatchedEvent state:%s type:%s path:%s\n", state, kind, path)
	}
}

// watchEvent prints what a watch saw. The client calls it before any call returns that
// is as new, so a script's output has the event in front of what the next command prints.
func (s *shell) watchEvent(event zk.Event) {
	s.printEvent("SyncConnected", eventNames[event.Type], event.Path)
}

// unread is a channel for the events of a watch, which watchEvent has printed already.
func unread() chan zk.Event { return make(chan zk.Event, 2) }

func addWatch(s *shell, ctx context.Context, args arguments) error {
	mode := zk.WatchRecursive
	if text, ok := args.options["m"]; ok {
		switch strings.ToUpper(text) {
		case "PERSISTENT":
			mode = zk.WatchPersistent
		case "PERSISTENT_RECURSIVE":
		default:
			c, _ := find("addWatch")
			return say("%s", c.help())
		}
	}
	_, err := s.client.AddWatch(ctx, args.word(0), mode, unread())
	return err
}

func removeWatches(s *shell, ctx context.Context, args arguments) error {
	which := zk.WatchTypeAny
	switch {
	case args.has("c"):
		which = zk.WatchTypeChildren
	case args.has("d"):
		which = zk.WatchTypeData
	}
	_, err := s.client.RemoveWatches(ctx, args.word(0), which, args.has("l"))
	return err
}
