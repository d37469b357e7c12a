package cli

import (
	"context"
	"slices"
	"strings"
	"time"
)

// completionTimeout bounds how long the terminal is silent after Tab.
const completionTimeout = time.Second

// complete offers what may stand at the end of the line: a command's name, or the path
// of a znode. It asks the server for one list of children.
func (s *shell) complete(line string) []string {
	i := strings.LastIndexAny(line, " \t") + 1
	before, word := line[:i], line[i:]
	if strings.TrimSpace(before) == "" {
		return completeFrom(before, word, commandNames(), " ")
	}
	slash := strings.LastIndex(word, "/")
	if slash < 0 || word[0] != '/' || s.client == nil {
		return nil
	}
	parent := word[:slash]
	if parent == "" {
		parent = "/"
	}
	ctx, cancel := context.WithTimeout(context.Background(), completionTimeout)
	defer cancel()
	reply, err := s.client.Children(ctx, parent)
	if err != nil {
		return nil
	}
	slices.Sort(reply.Children)
	return completeFrom(before+word[:slash+1], word[slash+1:], reply.Children, "")
}

func commandNames() []string {
	names := make([]string, len(commands))
	for i := range commands {
		names[i] = commands[i].name
	}
	return names
}

func completeFrom(before, start string, names []string, after string) []string {
	var lines []string
	for _, name := range names {
		if strings.HasPrefix(name, start) {
			lines = append(lines, before+name+after)
		}
	}
	return lines
}
