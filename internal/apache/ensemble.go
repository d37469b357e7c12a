package apache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"
)

// StartEnsemble starts a member for each of cfgs on free loopback ports, in
// dir/1, dir/2 and so on, and returns when all of them serve. The fields ID,
// ClientPort and Peers are filled in. On an error nothing keeps running.
func StartEnsemble(ctx context.Context, dir string, cfgs ...Config) ([]*Server, error) {
	size := len(cfgs)
	ports, err := FreePorts(3 * size)
	if err != nil {
		return nil, err
	}
	peers := make([]Peer, size)
	for i := range peers {
		peers[i] = Peer{ID: int64(i + 1), Host: cfgs[i].Host, QuorumPort: ports[3*i], ElectionPort: ports[3*i+1], Observer: cfgs[i].Observer}
	}
	var servers []*Server
	for i, peer := range peers {
		member := cfgs[i]
		member.ID, member.ClientPort, member.Peers = peer.ID, ports[3*i+2], peers
		server, err := Start(filepath.Join(dir, fmt.Sprint(peer.ID)), member)
		if err != nil {
			return nil, errors.Join(err, StopAll(servers))
		}
		servers = append(servers, server)
	}
	for _, server := range servers {
		if err := server.WaitReady(ctx); err != nil {
			return nil, errors.Join(err, StopAll(servers))
		}
	}
	return servers, nil
}

// StopAll stops every server and joins the errors.
func StopAll(servers []*Server) error {
	var errs []error
	for _, server := range servers {
		errs = append(errs, server.Kill())
	}
	return errors.Join(errs...)
}

// Command sends a four-letter word such as "srvr" to addr and gives the answer.
func Command(addr, word string) (string, error) {
	return ask(addr, word, 10*time.Second) // of a busy machine; one that is down refuses at once
}

func ask(addr, word string, timeout time.Duration) (string, error) {
	conn, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return "", fmt.Errorf("ask %s for %s: %w", addr, word, err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return "", fmt.Errorf("ask %s for %s: %w", addr, word, err)
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return "", fmt.Errorf("ask %s for %s: %w", addr, word, err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 1<<20))
	if err != nil && (len(answer) == 0 || errors.Is(err, os.ErrDeadlineExceeded)) {
		return "", fmt.Errorf("ask %s for %s: %w", addr, word, err)
	}
	return string(answer), nil
}

// Mode asks srvr for the server's role: "leader", "follower", "observer",
// "standalone" or "read-only". A server that does not serve is an error. So is one that is slow:
// one of Apache's that is just starting may take a connection and never answer it, so whoever
// waits for a server has to ask again soon.
func Mode(addr string) (string, error) {
	answer, err := ask(addr, "srvr", 2*time.Second)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(answer) {
		if mode, ok := strings.CutPrefix(line, "Mode: "); ok {
			return strings.TrimSpace(mode), nil
		}
	}
	return "", fmt.Errorf("%s gives no mode: %q", addr, strings.TrimSpace(answer))
}

// RunCLI runs one command, such as "get", "/a", with Apache's command-line
// client against addr and gives what it printed. The Java machine needs about
// a second to start: use a client library where many commands are needed.
func RunCLI(ctx context.Context, addr string, command ...string) (string, error) {
	args := append(cliArgs(addr), command...)
	return runJava(ctx, nil, args)
}

// RunCLIScript feeds the commands, one a line, to one shell of Apache's
// command-line client, so that they share a session, and gives its output.
func RunCLIScript(ctx context.Context, addr string, commands ...string) (string, error) {
	script := strings.Join(commands, "\n") + "\nquit\n"
	return runJava(ctx, strings.NewReader(script), cliArgs(addr))
}

// RunCLIStreams feeds a script to one shell of Apache's command-line client and gives
// what it printed to each stream and its exit code.
func RunCLIStreams(ctx context.Context, addr, script string) (stdout, stderr string, code int, err error) {
	if err := Available(); err != nil {
		return "", "", 0, err
	}
	var out, complaints strings.Builder
	cmd := javaCommand(ctx, cliArgs(addr))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script), &out, &complaints
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code, err = exit.ExitCode(), nil
	}
	return out.String(), complaints.String(), code, err
}

func cliArgs(addr string) []string {
	return []string{"org.apache.zookeeper.ZooKeeperMain", "-server", addr}
}

func runJava(ctx context.Context, stdin io.Reader, args []string) (string, error) {
	if err := Available(); err != nil {
		return "", err
	}
	cmd := javaCommand(ctx, args)
	cmd.Stdin = stdin
	output, err := cmd.CombinedOutput()
	if err != nil {
		return string(output), fmt.Errorf("java %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(output)))
	}
	return string(output), nil
}

func javaCommand(ctx context.Context, args []string) *exec.Cmd {
	prefix := []string{"-Xmx128m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", ClassPath()}
	cmd := exec.CommandContext(ctx, "java", append(prefix, args...)...)
	cmd.Env = append(os.Environ(), "TERM=dumb")
	return cmd
}

// formatProperties writes key=value lines in the order of the keys.
func formatProperties(lines map[string]string) string {
	keys := make([]string, 0, len(lines))
	for key := range lines {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	var text strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&text, "%s=%s\n", key, lines[key])
	}
	return text.String()
}
