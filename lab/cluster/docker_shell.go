package cluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
)

// shellMarker begins the line that a shell prints after each command, before
// its exit code.
const shellMarker = "zoolab-command-ended "

// shell is a bash in a sidecar that runs one command after the other. Starting
// a command through the engine costs a tenth of a second of a busy machine, and
// a probe of a partition runs fifteen; through a shell that waits, a command
// costs a fork. A shell is used by one caller at a time.
type shell struct {
	conn   types.HijackedResponse
	pipe   *io.PipeReader // what stdout reads from
	stdout *bufio.Reader
	stderr *tailBuffer
}

// tailBuffer takes the standard error of a shell: it keeps the newest bytes of each
// command's, up to the marker that the shell prints behind it.
type tailBuffer struct {
	data  []byte
	ended chan string // the tail of each command that ended; closed with the shell
}

const tailBytes = 2000

func (b *tailBuffer) Write(p []byte) (int, error) {
	b.data = append(b.data, p...)
	if text, ended := bytes.CutSuffix(b.data, []byte(shellMarker+"\n")); ended {
		b.ended <- string(bytes.TrimSpace(text))
		b.data = nil
	}
	b.data = b.data[max(0, len(b.data)-tailBytes):]
	return len(p), nil
}

// openShell starts a shell in a container.
func (d *dockerCluster) openShell(ctx context.Context, id string) (*shell, error) {
	created, err := d.cli.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: []string{"bash", "--norc", "--noprofile"}, AttachStdin: true, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, err
	}
	conn, err := d.cli.ContainerExecAttach(ctx, created.ID, container.ExecAttachOptions{})
	if err != nil {
		return nil, err
	}
	reader, writer := io.Pipe()
	s := &shell{conn: conn, pipe: reader, stdout: bufio.NewReader(reader), stderr: &tailBuffer{ended: make(chan string, 1)}}
	go func() {
		// Ends when the connection does, with whatever error that gives.
		_, err := stdcopy.StdCopy(writer, s.stderr, conn.Reader)
		close(s.stderr.ended)
		writer.CloseWithError(errors.Join(io.ErrUnexpectedEOF, err))
	}()
	return s, nil
}

// close ends the shell, and the goroutine that copies its output.
func (s *shell) close() {
	s.conn.Close()
	s.pipe.Close()
}

// run runs a command and returns its output and exit code. After an error the shell
// is of no more use. Standard output and error arrive on their own, so each has a
// marker behind it.
func (s *shell) run(ctx context.Context, argv []string) (stdout, stderr string, code int, err error) {
	// The connection knows nothing of ctx.
	stop := context.AfterFunc(ctx, s.close)
	defer stop()
	line := shellQuote(argv) + " </dev/null; code=$?; printf '\\n" + shellMarker + "\\n' >&2; printf '\\n" + shellMarker + "%d\\n' $code\n"
	if _, err := io.WriteString(s.conn.Conn, line); err != nil {
		return "", "", 0, errors.Join(ctx.Err(), err)
	}
	var out strings.Builder
	for {
		text, err := s.stdout.ReadString('\n')
		if err != nil {
			return "", "", 0, errors.Join(ctx.Err(), err)
		}
		if number, ended := strings.CutPrefix(text, shellMarker); ended {
			code, err := strconv.Atoi(strings.TrimSpace(number))
			stderr, open := <-s.stderr.ended
			if !open {
				err = errors.Join(ctx.Err(), io.ErrUnexpectedEOF)
			}
			return strings.TrimSuffix(out.String(), "\n"), stderr, code, err
		}
		out.WriteString(text)
	}
}

// shellQuote writes an argument list as a line that a shell reads back as such.
func shellQuote(argv []string) string {
	quoted := make([]string, len(argv))
	for i, arg := range argv {
		quoted[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

// netExec implements namespaces: it runs a command in a member's sidecar, in a
// shell that is idle, or in a new one.
func (d *dockerCluster) netExec(ctx context.Context, member string, argv ...string) (string, error) {
	d.mu.Lock()
	id, found := d.sidecars[member]
	var s *shell
	if idle := d.shells[member]; len(idle) > 0 {
		s, d.shells[member] = idle[len(idle)-1], idle[:len(idle)-1]
	}
	d.mu.Unlock()
	if !found {
		return "", fmt.Errorf("cluster: no member %q, or it was not started", member)
	}
	if s == nil {
		var err error
		if s, err = d.openShell(ctx, id); err != nil {
			return "", fmt.Errorf("cluster: shell in the sidecar of %s: %w", member, err)
		}
	}
	stdout, stderr, code, err := s.run(ctx, argv)
	if err != nil {
		s.close()
		return "", fmt.Errorf("cluster: %s in the sidecar of %s: %w", argv[0], member, err)
	}
	d.mu.Lock()
	d.shells[member] = append(d.shells[member], s)
	d.mu.Unlock()
	if code != 0 {
		return "", fmt.Errorf("cluster: %s in the sidecar of %s: exit code %d: %s", argv[0], member, code, stderr)
	}
	return stdout, nil
}

// netFile implements namespaces: the sidecar's, as a file of this machine. An engine
// on another one, or in a virtual machine, has other processes than those seen here.
func (d *dockerCluster) netFile(ctx context.Context, member string) (*os.File, error) {
	d.mu.Lock()
	id, found := d.sidecars[member]
	d.mu.Unlock()
	if !found {
		return nil, fmt.Errorf("cluster: no member %q, or it was not started", member)
	}
	inspect, err := d.cli.ContainerInspect(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("cluster: inspect the sidecar of %s: %w", member, err)
	}
	inside, err := d.netExec(ctx, member, "readlink", "/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	path := fmt.Sprintf("/proc/%d/ns/net", inspect.State.Pid)
	if seen, err := os.Readlink(path); err != nil || seen != strings.TrimSpace(inside) {
		return nil, fmt.Errorf("cluster: the lab can't enter the network of %s: that needs root and an engine on the lab's own host", member)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cluster: network namespace of %s: %w", member, err)
	}
	return file, nil
}

// closeShells ends the idle shells.
func (d *dockerCluster) closeShells() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, idle := range d.shells {
		for _, s := range idle {
			s.close()
		}
	}
	clear(d.shells)
}
