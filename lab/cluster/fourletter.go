package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// commandTimeout bounds a four-letter command. A paused server never answers.
const commandTimeout = 700 * time.Millisecond

// FourLetter sends a four-letter command to a client port and returns the
// answer. A server that is down may still have its connection accepted, by the
// engine's proxy, and then closed: that is an empty answer, hence an error.
func FourLetter(ctx context.Context, address, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, command); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(io.LimitReader(conn, 64<<10))
	if len(answer) == 0 {
		return "", errors.Join(fmt.Errorf("no answer to %s from %s", command, address), err)
	}
	return string(answer), nil
}

// answers reports whether a server answers on its client port.
func answers(ctx context.Context, m Member) bool {
	_, err := FourLetter(ctx, m.Client, "ruok")
	return err == nil
}

// findLeader asks all members for their mode. Where two claim to lead, as right
// after a partition, the one with the newer zxid does.
func findLeader(ctx context.Context, members []Member) (string, error) {
	var mu sync.Mutex
	leader, leaderZxid := "", uint64(0)
	var wg sync.WaitGroup
	for _, m := range members {
		wg.Go(func() {
			answer, err := FourLetter(ctx, m.Client, "srvr")
			if err != nil {
				return
			}
			mode, zxid := parseSrvr(answer)
			if mode != "leader" && mode != "standalone" {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if leader == "" || zxid > leaderZxid {
				leader, leaderZxid = m.Name, zxid
			}
		})
	}
	wg.Wait()
	if leader == "" {
		return "", fmt.Errorf("no member says that it leads")
	}
	return leader, nil
}

// parseSrvr reads the lines "Mode: leader" and "Zxid: 0x100000002".
func parseSrvr(answer string) (mode string, zxid uint64) {
	lines := bufio.NewScanner(strings.NewReader(answer))
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch key {
		case "Mode":
			mode = strings.TrimSpace(value)
		case "Zxid":
			// A malformed zxid counts as zero: it only breaks ties.
			zxid, _ = strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(value), "0x"), 16, 64)
		}
	}
	return mode, zxid
}
