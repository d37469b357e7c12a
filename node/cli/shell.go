package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"zoolab/zk"
)

// maxLineBytes bounds a line of a script.
const maxLineBytes = 1 << 20

// shell is the state that commands share.
type shell struct {
	version  string
	streams  Streams
	server   string // connect string
	timeout  time.Duration
	patient  bool // wait for the first connection as long as timeout says
	greets   bool // print the welcome and what happens to the session, as zkCli.sh does
	coloured bool // mark complaints on the screen
	options  []zk.Option

	client  *zk.Client // nil while not connected
	closed  bool       // by the command "close": nothing connects until "connect"
	history []string   // every line, the current one last

	mu           sync.Mutex // guards what follows, and whole messages on the streams
	printWatches bool
}

// errQuit ends the shell.
var errQuit = errors.New("quit")

// errNotConnected follows the command "close". zkCli.sh prints it to the output.
var errNotConnected = say("Not connected")

// once runs one command.
func (s *shell) once(ctx context.Context, words []string) int {
	s.history = []string{strings.Join(words, " ")}
	s.greet()
	err := s.perform(ctx, words)
	s.complain(err)
	return exitCode(err)
}

// script reads lines until the end of the input or of ctx. It goes on after failures
// and ends, as zkCli.sh does, with the exit code of the last command.
func (s *shell) script(ctx context.Context) int {
	lines := make(chan string)
	failed := make(chan error, 1)
	go func() {
		defer close(lines)
		scanner := bufio.NewScanner(s.streams.In)
		scanner.Buffer(nil, maxLineBytes)
		for scanner.Scan() {
			select {
			case lines <- scanner.Text():
			case <-ctx.Done():
				return
			}
		}
		failed <- scanner.Err()
	}()
	s.greet()
	s.welcome()
	code := 0
	for {
		select {
		case <-ctx.Done():
			return exitInterrupted
		case line, more := <-lines:
			if !more {
				if err := <-failed; err != nil {
					s.complain(fmt.Errorf("read commands: %w", err))
					return exitFailed
				}
				return code
			}
			err := s.line(ctx, line)
			if errors.Is(err, errQuit) {
				return code
			}
			s.complain(err)
			if strings.TrimSpace(line) != "" {
				code = exitCode(err)
			}
		}
	}
}

// greet says what is connected to.
func (s *shell) greet() {
	if s.greets {
		s.printf("Connecting to %s\n", s.server)
	}
}

// welcome says that commands may follow.
func (s *shell) welcome() {
	if s.greets {
		s.printf("Welcome to ZooKeeper!\n")
	}
}

// line carries out one line of input.
func (s *shell) line(ctx context.Context, text string) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	s.history = append(s.history, text)
	words, err := split(text)
	if err != nil {
		return err
	}
	return s.perform(ctx, words)
}

// perform carries out one command.
func (s *shell) perform(ctx context.Context, words []string) error {
	command, ok := find(words[0])
	if !ok {
		return notFound(words[0])
	}
	args, err := command.parse(words[1:])
	if err != nil {
		return err
	}
	if command.watchUsage != "" && len(args.words) > 1 {
		s.notef("'%s path [watch]' has been deprecated. Please use '%s' instead.", command.name, command.watchUsage)
		args.options["w"] = ""
	}
	if ignored := command.ignored(args); len(ignored) > 0 {
		s.notef("Ignored: %s; usage: %s", strings.Join(ignored, " "), command.help())
	}
	if command.needsServer {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	return command.run(s, ctx, args)
}

// untilInterrupt gives a context that ends with Ctrl-C.
func untilInterrupt() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), os.Interrupt)
}

// complain prints why something failed, if err says that it did.
func (s *shell) complain(err error) {
	switch {
	case err == nil || errors.Is(err, errQuit):
	case errors.Is(err, errNotConnected):
		s.printf("%v\n", err)
	case s.coloured:
		s.notef("\x1b[31m%s\x1b[0m", words(err))
	default:
		s.notef("%s", words(err))
	}
}

// notef prints a line to the error stream.
func (s *shell) notef(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.streams.Err, format+"\n", args...)
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
