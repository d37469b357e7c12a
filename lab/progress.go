package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/term"
)

// progress tells a person at the terminal what goes on. On a terminal it keeps
// one line up to date; elsewhere it prints a line for each phase and, in long
// phases, one every few seconds.
type progress struct {
	out   io.Writer
	width int // of the terminal, 0 if there is none

	mu     sync.Mutex // guards what follows and the output
	phase  string
	since  time.Time
	limit  time.Duration
	status func() string
	ticker *time.Ticker
	done   chan struct{}
}

// stopped is the phase after the last one.
const stopped = "stopped"

const (
	terminalInterval = 250 * time.Millisecond
	plainInterval    = 10 * time.Second
)

func newProgress(out *os.File) *progress {
	p := &progress{out: out, done: make(chan struct{})}
	interval := plainInterval
	if term.IsTerminal(int(out.Fd())) {
		interval = terminalInterval
		p.width = 80
		if width, _, err := term.GetSize(int(out.Fd())); err == nil && width > 20 {
			p.width = width
		}
	}
	p.ticker = time.NewTicker(interval)
	go func() {
		for {
			select {
			case <-p.done:
				return
			case <-p.ticker.C:
				p.tick()
			}
		}
	}()
	return p
}

// begin starts a phase. A limit other than 0 is shown as the time left; status,
// if not nil, adds what changes.
func (p *progress) begin(phase string, limit time.Duration, status func() string) {
	p.mu.Lock()
	p.phase, p.since, p.limit, p.status = phase, time.Now(), limit, status
	p.mu.Unlock()
	if p.width == 0 {
		p.say("%s", phase)
	} else {
		p.tick()
	}
}

// say prints a line that stays.
func (p *progress) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.out, format+"\n", args...)
}

// stop ends the status line. It may be called more than once.
func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == stopped {
		return
	}
	p.phase = stopped
	p.ticker.Stop()
	close(p.done)
	p.clear()
}

// clear empties the status line, so that something else can stand there.
func (p *progress) clear() {
	if p.width > 0 {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

func (p *progress) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.phase == "" || p.phase == stopped || p.width == 0 && p.status == nil {
		return
	}
	text := p.phase
	if p.limit > 0 {
		left := max(0, p.limit-time.Since(p.since))
		text += fmt.Sprintf(" %s left", left.Round(time.Second))
	}
	if p.status != nil {
		text += " | " + p.status()
	}
	if p.width == 0 {
		fmt.Fprintln(p.out, "  "+text)
		return
	}
	for utf8.RuneCountInString(text) >= p.width {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	p.clear()
	fmt.Fprint(p.out, strings.TrimRight(text, " "))
}
