package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"zoolab/internal/apache"
)

// terminal is a shell on a pseudo-terminal, with the test as its person.
type terminal struct {
	t    *testing.T
	pty  *os.File
	mu   sync.Mutex
	seen strings.Builder // all that the screen got
	from int             // what was expected so far ends here
}

// openTerminal starts the shell with the home directory.
func openTerminal(t *testing.T, home, server string) (*terminal, *exec.Cmd) {
	t.Helper()
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	t.Cleanup(func() { pty.Close() })
	number, err := unix.IoctlGetInt(int(pty.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(pty.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(int(pty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	cmd := exec.Command(shellProgram(t), "-server", server)
	cmd.Env = append(os.Environ(), "HOME="+home, "TERM=xterm")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	term := &terminal{t: t, pty: pty}
	go term.watch()
	return term, cmd
}

// shellProgram is the shell as a program.
func shellProgram(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "cli") // under this name the test binary is the shell
	if err := os.Symlink(self, program); err != nil {
		t.Fatal(err)
	}
	return program
}

func (term *terminal) watch() {
	buf := make([]byte, 4096)
	for {
		n, err := term.pty.Read(buf)
		term.mu.Lock()
		term.seen.Write(buf[:n])
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// expect waits until the screen shows the texts, in any order, behind what was expected before.
func (term *terminal) expect(texts ...string) {
	term.t.Helper()
	if !term.shows(patience, texts...) {
		term.mu.Lock()
		defer term.mu.Unlock()
		term.t.Fatalf("the screen does not show %q; it shows %q", texts, term.seen.String()[term.from:])
	}
}

// shows is expect for texts that may not come.
func (term *terminal) shows(within time.Duration, texts ...string) bool {
	for deadline := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		if term.find(texts) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// find goes on behind the last of the texts if all are there.
func (term *terminal) find(texts []string) bool {
	term.mu.Lock()
	defer term.mu.Unlock()
	end := term.from
	for _, text := range texts {
		i := strings.Index(term.seen.String()[term.from:], text)
		if i < 0 {
			return false
		}
		end = max(end, term.from+i+len(text))
	}
	term.from = end
	return true
}

// complete presses Tab until the screen shows the text: the shell does not wait long for a
// server's list of children.
func (term *terminal) complete(text string) {
	term.t.Helper()
	for deadline := time.Now().Add(patience); ; {
		term.press("\t")
		if term.shows(5*time.Second, text) {
			return
		}
		if time.Now().After(deadline) {
			term.t.Fatalf("Tab never makes it %q", text)
		}
	}
}

func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := term.pty.WriteString(keys); err != nil {
		term.t.Fatal(err)
	}
}

// TestTerminal uses the shell as a person does: completion, history of this and of the
// last shell, events between prompts, Ctrl-C and Ctrl-D.
func TestTerminal(t *testing.T) {
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	server, err := start(t.TempDir(), apache.Config{Command: []string{nodeBinary(t), "serve"}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Kill()
	home := t.TempDir()
	term, cmd := openTerminal(t, home, server.ClientAddr)
	prompt := func(n int) string { return fmt.Sprintf("(CONNECTED) %d] ", n) }
	// The session's event is printed when the client tells of it, maybe behind the prompt.
	term.expect("type:None path:null", prompt(0))
	term.press("create /grove oak\r")
	term.expect("Created /grove")
	term.expect(prompt(1))
	term.press("ge\t /gr") // as far as all commands with "ge" are alike
	term.complete("/grove")
	term.press("\r")
	term.expect("oak")
	term.expect(prompt(2))
	term.press("stat -w /gr")
	term.complete("/grove")
	term.press("\r")
	term.expect("dataLength = 3")
	term.expect(prompt(3))
	if err := exec.Command(cmd.Path, "-server", server.ClientAddr, "set", "/grove", "elm").Run(); err != nil {
		t.Fatal(err)
	}
	term.expect("type:NodeDataChanged path:/grove")
	term.press("get /none\r")
	term.expect("\x1b[31mNode does not exist: /none\x1b[0m")
	term.expect(prompt(4))
	term.press("addauth digest bob:builder\r") // a password, which history leaves out
	term.expect(prompt(5))
	term.press("half a li\x03") // Ctrl-C
	term.expect(prompt(5))
	term.press("\x10\x10\x10\x10\r") // Ctrl-P: lines of before
	term.expect("Node already exists: /grove")
	term.expect(prompt(6))
	term.press("close\r")
	term.expect("(CLOSED) 7] ")
	term.press("\x04") // Ctrl-D
	if err := cmd.Wait(); err != nil {
		t.Errorf("the shell ended with %v", err)
	}
	info, err := os.Stat(filepath.Join(home, ".zoolab_history"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("history file: %v, %v", info, err)
	}
	term, cmd = openTerminal(t, home, server.ClientAddr)
	term.expect(prompt(0))
	term.press("\x10\x10\r") // the last but one line of the last shell
	term.expect("Node already exists: /grove")
	term.press("quit\r")
	if err := cmd.Wait(); err != nil {
		t.Errorf("the shell ended with %v", err)
	}
}

// TestInterruptedScript presses Ctrl-C while a script waits for more lines: the session
// is closed, and the exit code says why it ended.
func TestInterruptedScript(t *testing.T) {
	if testing.Short() {
		t.Skip("starts server processes; run without -short")
	}
	server, err := start(t.TempDir(), apache.Config{Command: []string{nodeBinary(t), "serve"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Kill() }()
	program := shellProgram(t)
	cmd := exec.Command(program, "-server", server.ClientAddr)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	complaints, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(patience, func() { _ = cmd.Process.Kill() }).Stop()
	if _, err := in.Write([]byte("create -e /mine\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := complaints.Read(make([]byte, 100)); err != nil { // Created /mine
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d", code)
	}
	// The shell does not wait long for the session's end. It would expire after 30 s.
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		out, err := exec.Command(program, "-server", server.ClientAddr, "ls", "/").CombinedOutput()
		if string(out) == "[zookeeper]\n" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s, %v", out, err)
		}
	}
}
