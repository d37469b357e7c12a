package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/peterh/liner"

	"zoolab/zk"
)

const (
	historyFile  = ".zoolab_history"
	maxLineBytes = 1 << 20
	// closeTimeout bounds the wait for a server's farewell.
	closeTimeout = 2 * time.Second
	// completionTimeout bounds how long the terminal is silent after Tab.
	completionTimeout = time.Second
)

// shell is the state that commands share.
type shell struct {
	version     string
	streams     Streams
	server      string // connect string
	timeout     time.Duration
	interactive bool

	client  *zk.Client // nil while not connected
	closed  bool       // by the command "close": nothing connects until "connect"
	history []string   // every line, the current one last

	mu           sync.Mutex // guards what follows, and whole messages on the streams
	printWatches bool
	watches      []*watch
}

// watch is one that was set and not yet printed.
type watch struct {
	events  <-chan zk.Event
	printed chan struct{} // closed when its event needs no more attention
}

// errQuit ends the shell.
var errQuit = errors.New("quit")

// errNotConnected follows the command "close".
var errNotConnected = say("Not connected")

// script reads lines until the end of the input, and goes on after failures.
func (s *shell) script() int {
	code := 0
	lines := bufio.NewScanner(s.streams.In)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		err := s.line(lines.Text())
		if errors.Is(err, errQuit) {
			return code
		}
		if err != nil {
			s.complain(err)
			code = 1
		}
	}
	if err := lines.Err(); err != nil {
		s.complain(fmt.Errorf("read commands: %w", err))
		return 1
	}
	return code
}

// interact is the shell at a terminal.
func (s *shell) interact() int {
	s.interactive = true
	fmt.Fprintf(s.streams.Out, "Connecting to %s\n", s.server)
	if err := s.attempt(s.connect); err != nil {
		s.complain(err)
	}
	cooked, err := liner.TerminalMode()
	if err != nil {
		s.complain(err)
		return 1
	}
	editor := liner.NewLiner()
	defer editor.Close()
	raw, err := liner.TerminalMode()
	if err != nil {
		s.complain(err)
		return 1
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
		if strings.TrimSpace(text) != "" {
			editor.AppendHistory(text)
		}
		// Outside of the prompt Ctrl-C must be a signal again, to stop a command.
		_ = cooked.ApplyMode()
		err = s.line(text)
		_ = raw.ApplyMode()
		if errors.Is(err, errQuit) {
			return 0
		}
		if err != nil {
			s.complain(err)
		}
	}
}

func (s *shell) prompt() string {
	state := "CLOSED"
	if s.client != nil {
		state = strings.ToUpper(s.client.State().String())
	}
	return fmt.Sprintf("[zk: %s(%s) %d] ", s.server, state, len(s.history))
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

// writeHistory keeps the lines, readable only for their user: they may hold passwords.
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

// line carries out one line of input.
func (s *shell) line(text string) error {
	words, err := split(text)
	if err != nil || len(words) == 0 {
		return err
	}
	s.history = append(s.history, strings.TrimSpace(text))
	return s.perform(words)
}

// perform carries out one command and prints the watches that it fired.
func (s *shell) perform(words []string) error {
	command, ok := find(words[0])
	if !ok {
		return say("Command not found: %s; help lists the commands", words[0])
	}
	args, err := command.parse(words[1:])
	if err != nil {
		return err
	}
	err = s.attempt(func(ctx context.Context) error {
		if command.needsServer {
			if err := s.connect(ctx); err != nil {
				return err
			}
		}
		return command.run(s, ctx, args)
	})
	s.drain()
	return err
}

// attempt gives a function its time.
func (s *shell) attempt(f func(ctx context.Context) error) error {
	ctx, cancel := s.interruptible()
	defer cancel()
	return f(ctx)
}

// complain prints why something failed.
func (s *shell) complain(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintln(s.streams.Err, words(err))
}

func (s *shell) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.streams.Out, format, args...)
}

func (s *shell) write(data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.streams.Out.Write(append(bytes.Clone(data), '\n'))
}
