package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/peterh/liner"
	"golang.org/x/term"

	"zoolab/zk"
)

const historyFile = ".zoolab_history"

func terminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// colours reports whether the error stream shows them. NO_COLOR is the usual wish for
// none.
func colours(stream any) bool {
	return terminal(stream) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// interact is the shell at a terminal.
func (s *shell) interact() int {
	s.greets = true
	s.coloured = colours(s.streams.Err)
	s.greet()
	s.welcome()
	_ = s.interruptible(s.connect) // the prompt shows the state
	cooked, err := liner.TerminalMode()
	if err != nil {
		s.complain(err)
		return exitFailed
	}
	editor := liner.NewLiner()
	defer editor.Close()
	raw, err := liner.TerminalMode()
	if err != nil {
		s.complain(err)
		return exitFailed
	}
	editor.SetCtrlCAborts(true)
	editor.SetTabCompletionStyle(liner.TabPrints)
	editor.SetCompleter(s.complete)
	readHistory(editor)
	defer writeHistory(editor)
	for {
		text, err := editor.Prompt(s.prompt())
		if errors.Is(err, liner.ErrPromptAborted) {
			continue
		}
		if err != nil { // the end of the input
			return 0
		}
		if worthKeeping(text) {
			editor.AppendHistory(text)
		}
		// Outside of the prompt Ctrl-C must be a signal again, to stop a command.
		_ = cooked.ApplyMode()
		err = s.interruptible(func(ctx context.Context) error { return s.line(ctx, text) })
		_ = raw.ApplyMode()
		if errors.Is(err, errQuit) {
			return 0
		}
	}
}

// interruptible runs a part until Ctrl-C and complains if it failed.
func (s *shell) interruptible(part func(ctx context.Context) error) error {
	ctx, stop := untilInterrupt()
	defer stop()
	err := part(ctx)
	s.complain(err)
	return err
}

func (s *shell) prompt() string {
	state := promptNames[zk.StateClosed]
	if s.client != nil {
		state = promptNames[s.client.State()]
	}
	return fmt.Sprintf("[zk: %s(%s) %d] ", s.server, state, len(s.history))
}

// worthKeeping reports whether a line belongs in the history: not if it is empty, or
// holds a password.
func worthKeeping(line string) bool {
	line = strings.TrimSpace(line)
	return line != "" && !strings.HasPrefix(line, "addauth")
}

func historyPath() (string, error) {
	home, err := os.UserHomeDir()
	return filepath.Join(home, historyFile), err
}

// readHistory loads the lines of earlier shells; without them it starts empty.
func readHistory(editor *liner.State) {
	path, err := historyPath()
	if err != nil {
		return
	}
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = editor.ReadHistory(file)
}

// writeHistory keeps the lines, readable only for their user: data may be secret.
func writeHistory(editor *liner.State) {
	path, err := historyPath()
	if err != nil {
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = editor.WriteHistory(file)
}
