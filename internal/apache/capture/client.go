package main

import (
	"bufio"
	"context"
	_ "embed"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"zoolab/internal/apache"
	"zoolab/zk/jute"
)

//go:embed Drive.java
var driveSource []byte

// captureClient records the client port of a standalone server: the Java client
// through every operation it has, and frames of our own for the forms that the
// Java client does not send. It leaves the server's files in dir for captureDisk.
func captureClient(ctx context.Context, dir string) (*transcript, *apache.Server, error) {
	ports, err := apache.FreePorts(1)
	if err != nil {
		return nil, nil, err
	}
	server, err := apache.Start(filepath.Join(dir, "standalone"), apache.Config{
		ClientPort: ports[0],
		HeapMB:     128,
		JavaFlags:  []string{"-Dznode.container.checkIntervalMs=1000"},
	})
	if err != nil {
		return nil, nil, err
	}
	if err := server.WaitReady(ctx); err != nil {
		return nil, server, err
	}
	p, err := newProxy("java-client", server.ClientAddr, func() splitter { return prefixed{} })
	if err != nil {
		return nil, server, err
	}
	if err := drive(ctx, dir, p, server.ClientAddr); err != nil {
		p.close()
		return nil, server, err
	}
	text := newTranscript(
		"The client port of Apache ZooKeeper 3.8.0, standalone, without the length prefixes.",
		"Connections java-client-* are the Java client's; hand-* are frames of our own making.",
		"Rewrite with: go run ./internal/apache/capture")
	text.add(p.close())
	recordings, err := handMadeFrames(server.ClientAddr)
	if err != nil {
		return nil, server, err
	}
	text.add(recordings)
	readOnly, err := readOnlyFrames(ctx, filepath.Join(dir, "readonly"))
	if err != nil {
		return nil, server, err
	}
	text.add(readOnly)
	return text, server, nil
}

// readOnlyFrames records a member without a quorum that answers reads only.
func readOnlyFrames(ctx context.Context, dir string) ([]*recording, error) {
	ports, err := apache.FreePorts(5)
	if err != nil {
		return nil, err
	}
	member, err := apache.Start(dir, apache.Config{
		ID: 1, ClientPort: ports[0], HeapMB: 128, JavaFlags: []string{"-Dreadonlymode.enabled=true"},
		// Without a leader only a local session can be opened.
		Extra: map[string]string{"localSessionsEnabled": "true"},
		Peers: []apache.Peer{
			{ID: 1, QuorumPort: ports[1], ElectionPort: ports[2]},
			{ID: 2, QuorumPort: ports[3], ElectionPort: ports[4]},
		},
	})
	if err != nil {
		return nil, err
	}
	defer member.Kill()
	if err := member.WaitReady(ctx); err != nil {
		return nil, err
	}
	reader, err := handMadeSession(member.ClientAddr, "hand-read-only-server", &jute.ReadOnlyConnectRequest{
		HasReadOnly: true, ReadOnly: true,
		ConnectRequest: jute.ConnectRequest{TimeoutMs: 20000, Passwd: make([]byte, 16)},
	}, []jute.Record{
		header(1, jute.OpExists), &jute.ExistsRequest{Path: "/"},
		header(2, jute.OpCreate), &jute.CreateRequest{Path: "/refused", ACL: openACL()},
		header(3, jute.OpGetChildren2), &jute.GetChildren2Request{Path: "/"},
	})
	if err != nil {
		return nil, err
	}
	return []*recording{reader.recording}, nil
}

// drive runs the Java driver and cuts the proxied connections when it asks.
func drive(ctx context.Context, dir string, p *proxy, direct string) error {
	source := filepath.Join(dir, "Drive.java")
	if err := os.WriteFile(source, driveSource, 0o644); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "java", "-Xmx128m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Dzookeeper.extendedTypesEnabled=true", "-cp", apache.ClassPath(), source, p.addr(), direct)
	var errors strings.Builder
	cmd.Stderr = &errors
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		fmt.Fprintln(os.Stderr, "driver:", lines.Text())
		if lines.Text() == "cut" {
			p.cutAll()
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("the Java driver failed: %w\n%s", err, errors.String())
	}
	return nil
}

// handMadeFrames sends what the Java client does not: the handshake without a
// readOnly byte, a session that is taken up again, a wrong password, SASL, ping,
// an unknown operation, create2 in a multi.
func handMadeFrames(addr string) ([]*recording, error) {
	var recordings []*recording
	first, err := handMadeSession(addr, "hand-without-readonly", &jute.ReadOnlyConnectRequest{
		ConnectRequest: jute.ConnectRequest{TimeoutMs: 20000, Passwd: make([]byte, 16)},
	}, []jute.Record{
		&jute.RequestHeader{Xid: -2, Type: jute.OpPing},
		header(1, jute.OpSASL), &jute.GetSASLRequest{Token: []byte("token")},
		header(2, jute.OpExists), &jute.ExistsRequest{Path: "/a"},
		header(3, jute.OpCheckWatches), &jute.CheckWatchesRequest{Path: "/a", Type: 3},
		header(4, jute.OpMulti), &jute.MultiRequest{Ops: []jute.MultiOp{
			{Type: jute.OpCreate2, Record: &jute.CreateRequest{Path: "/create2", Data: []byte("x"), ACL: openACL()}},
			{Type: jute.OpDelete, Record: &jute.DeleteRequest{Path: "/create2", Version: -1}},
		}},
		header(5, jute.OpCreate), &jute.CreateRequest{Path: "/hand-ephemeral", ACL: openACL(), Flags: jute.ModeEphemeral},
	})
	if err != nil {
		return nil, err
	}
	recordings = append(recordings, first.recording)
	var opened jute.ConnectResponse
	if err := jute.Unmarshal(first.handshake, &opened); err != nil {
		return nil, err
	}
	again := jute.ReadOnlyConnectRequest{HasReadOnly: true, ConnectRequest: jute.ConnectRequest{
		TimeoutMs: 20000, SessionID: opened.SessionID, Passwd: opened.Passwd,
	}}
	second, err := handMadeSession(addr, "hand-session-again", &again, []jute.Record{
		header(6, jute.OpGetEphemerals), &jute.GetEphemeralsRequest{PrefixPath: "/"},
	})
	if err != nil {
		return nil, err
	}
	again.Passwd = make([]byte, 16)
	third, err := handMadeSession(addr, "hand-wrong-password", &again, nil)
	if err != nil {
		return nil, err
	}
	again.Passwd = nil
	again.SessionID = 0
	fourth, err := handMadeSession(addr, "hand-unknown-operation", &again, []jute.Record{header(1, jute.OpCode(99))})
	if err != nil {
		return nil, err
	}
	return append(recordings, second.recording, third.recording, fourth.recording), nil
}

func header(xid int32, op jute.OpCode) *jute.RequestHeader {
	return &jute.RequestHeader{Xid: xid, Type: op}
}

func openACL() []jute.ACL {
	return []jute.ACL{{Perms: jute.PermAll, ID: jute.ID{Scheme: "world", ID: "anyone"}}}
}

type handMade struct {
	recording *recording
	handshake []byte
}

// handMadeSession sends a handshake and requests (each a header, then its body
// if it has one) and reads what comes back until the server has been silent.
func handMadeSession(addr, name string, connect jute.Record, records []jute.Record) (handMade, error) {
	conn, err := dialRecorded(name, addr, func() splitter { return prefixed{} })
	if err != nil {
		return handMade{}, err
	}
	defer conn.Close()
	if err := writeFrame(conn, jute.Marshal(connect)); err != nil {
		return handMade{}, err
	}
	handshake, err := readFrame(conn)
	if err != nil {
		return handMade{}, fmt.Errorf("%s: %w", name, err)
	}
	for i := 0; i < len(records); {
		frame := jute.Marshal(records[i])
		i++
		if i < len(records) {
			if _, isHeader := records[i].(*jute.RequestHeader); !isHeader {
				frame = records[i].Append(frame)
				i++
			}
		}
		if err := writeFrame(conn, frame); err != nil {
			return handMade{}, fmt.Errorf("%s: %w", name, err)
		}
		if _, err := readFrame(conn); err != nil {
			// Some of these requests end the connection; that is the answer.
			break
		}
	}
	return handMade{conn.recording, handshake}, nil
}

func writeFrame(w io.Writer, frame []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(frame))), frame...))
	return err
}

func readFrame(conn *recordedConn) ([]byte, error) {
	if err := conn.SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
		return nil, err
	}
	var prefix [4]byte
	if _, err := io.ReadFull(conn, prefix[:]); err != nil {
		return nil, err
	}
	frame := make([]byte, binary.BigEndian.Uint32(prefix[:]))
	_, err := io.ReadFull(conn, frame)
	return frame, err
}
