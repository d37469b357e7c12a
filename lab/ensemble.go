package main

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

	"zoolab/lab/cluster"
	"zoolab/lab/store"
	"zoolab/nemesis"
)

const (
	// srvrTimeout bounds one question to one member; a paused one never answers.
	srvrTimeout = 400 * time.Millisecond
	// sampleInterval is how often members are asked who leads.
	sampleInterval = 200 * time.Millisecond
	// maxSrvrBytes bounds an answer.
	maxSrvrBytes = 16 << 10
)

// memberStatus is what a member says of itself.
type memberStatus struct {
	mode string // "leader", "follower", "observer", "standalone"
	zxid int64
	err  error // it did not answer
}

func (s memberStatus) leads() bool {
	return s.err == nil && (s.mode == "leader" || s.mode == "standalone")
}

// askStatus asks one member with the four-letter word srvr.
func askStatus(ctx context.Context, addr string) memberStatus {
	ctx, cancel := context.WithTimeout(ctx, srvrTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return memberStatus{err: err}
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return memberStatus{err: err}
	}
	if _, err := io.WriteString(conn, "srvr"); err != nil {
		return memberStatus{err: err}
	}
	return parseStatus(io.LimitReader(conn, maxSrvrBytes))
}

// parseStatus reads the lines "Mode: leader" and "Zxid: 0x100000002".
func parseStatus(answer io.Reader) memberStatus {
	var status memberStatus
	lines := bufio.NewScanner(answer)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		switch value = strings.TrimSpace(value); key {
		case "Mode":
			status.mode = value
		case "Zxid":
			zxid, err := strconv.ParseUint(value, 0, 64)
			if err != nil {
				return memberStatus{err: fmt.Errorf("srvr says zxid %q", value)}
			}
			status.zxid = int64(zxid)
		}
	}
	if err := lines.Err(); err != nil {
		return memberStatus{err: err}
	}
	if status.mode == "" {
		return memberStatus{err: errors.New("it is not serving")}
	}
	return status
}

// askAll asks all members at the same time.
func (a *access) askAll(ctx context.Context, members []cluster.Member) []memberStatus {
	statuses := make([]memberStatus, len(members))
	tasks := make([]func(), len(members))
	for i, member := range members {
		tasks[i] = func() { statuses[i] = a.ask(ctx, member.Client) }
	}
	nemesis.Together(a.clock, tasks...)
	return statuses
}

// notFormed says in words what an ensemble lacks, "" if every member answers
// and exactly one leads.
func notFormed(members []cluster.Member, statuses []memberStatus) string {
	var leaders, silent []string
	for i, status := range statuses {
		switch {
		case status.err != nil:
			silent = append(silent, fmt.Sprintf("%s (%v)", members[i].Name, status.err))
		case status.leads():
			leaders = append(leaders, members[i].Name)
		}
	}
	switch {
	case len(silent) > 0:
		return "no answer from " + strings.Join(silent, ", ")
	case len(leaders) == 0:
		return "nobody leads"
	case len(leaders) > 1:
		return strings.Join(leaders, " and ") + " lead at the same time"
	}
	return ""
}

// leaderWatch samples who leads, and keeps it as spans of time.
type leaderWatch struct {
	members []cluster.Member
	nowNs   func() int64
	cancel  context.CancelFunc
	wait    func() // for the end of the sampling

	mu    sync.Mutex // guards what follows
	spans []leaderSpan
}

// leaderSpan is open while the member answers as leader of that epoch.
type leaderSpan struct {
	store.Leader
	lastSeenNs int64
	open       bool
}

// leaderSilence is how long a leader may be silent before its span ends where
// it was last seen.
const leaderSilence = time.Second

func (a *access) watchLeaders(ctx context.Context, members []cluster.Member, nowNs func() int64) *leaderWatch {
	ctx, cancel := context.WithCancel(ctx)
	w := &leaderWatch{members: members, nowNs: nowNs, cancel: cancel}
	w.wait = a.clock.Go(func() {
		for {
			began := a.clock.Now()
			w.sample(nowNs(), a.askAll(ctx, members))
			if a.clock.Sleep(ctx, sampleInterval-a.clock.Now().Sub(began)) != nil {
				return
			}
		}
	})
	return w
}

func (w *leaderWatch) sample(nowNs int64, statuses []memberStatus) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, status := range statuses {
		name, epoch := w.members[i].Name, status.zxid>>32
		span := w.openSpan(name)
		if span != nil {
			sameEpoch := status.leads() && epoch == span.Epoch
			switch {
			case sameEpoch:
				span.lastSeenNs = nowNs
				continue
			case status.err != nil && nowNs-span.lastSeenNs < int64(leaderSilence):
				continue
			case status.err != nil:
				span.EndNs, span.open = span.lastSeenNs, false
			default:
				span.EndNs, span.open = nowNs, false
			}
		}
		if status.leads() {
			w.spans = append(w.spans, leaderSpan{Leader: store.Leader{Member: name, Epoch: epoch, StartNs: nowNs}, lastSeenNs: nowNs, open: true})
		}
	}
}

func (w *leaderWatch) openSpan(member string) *leaderSpan {
	for i := len(w.spans) - 1; i >= 0; i-- {
		if span := &w.spans[i]; span.open && span.Member == member {
			return span
		}
	}
	return nil
}

// current names who leads now, for the status line.
func (w *leaderWatch) current() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var newest *leaderSpan
	for i := range w.spans {
		if span := &w.spans[i]; span.open && w.nowNs()-span.lastSeenNs < int64(leaderSilence) && (newest == nil || span.Epoch > newest.Epoch) {
			newest = span
		}
	}
	if newest == nil {
		return "none"
	}
	return fmt.Sprintf("%s (epoch %d)", newest.Member, newest.Epoch)
}

// stop ends the sampling and returns the spans.
func (w *leaderWatch) stop() []store.Leader {
	w.cancel()
	w.wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	leaders := make([]store.Leader, 0, len(w.spans))
	for _, span := range w.spans {
		leaders = append(leaders, span.Leader)
	}
	return leaders
}
